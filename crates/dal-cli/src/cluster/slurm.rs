//! Slurm as an ordinary user meets it: sbatch, squeue, scontrol, scancel. Whatever a sweep, a path or a name says goes
//! to them as an argument of its own, never as text of a shell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The script of every task: program, list and number of its first task come as arguments.
pub const SCRIPT: &str = r#"#!/bin/bash
exec "$1" bench work "$2" --task "$(($3 + SLURM_ARRAY_TASK_ID))" \
  --job "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" --requeue --claim-age "$4"
"#;

/// Where Slurm's programs are missing, that is what is said.
fn call(program: &str, args: &[OsString]) -> Result<String, Refused> {
    output_of(program, Command::new(program).args(args))
}

fn output_of(program: &str, command: &mut Command) -> Result<String, Refused> {
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refused(format!("{program} is not on the path: this machine has no Slurm")),
        _ => Refused(format!("cannot start {program}: {error}")),
    })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Refused(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

/// What one of Slurm's programs said when it refused.
#[derive(Clone, Debug)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether fewer tasks at a time may be taken: limits of arrays and of submitted jobs.
    pub fn is_limit(&self) -> bool {
        let words = self.0.to_lowercase();
        ["invalid job array", "maxarraysize", "limit", "qos policy", "maxjobcount"].iter().any(|of| words.contains(of))
    }
}

/// Submits tasks `first..first + n` of a list as one array; its job's id.
pub fn submit_array(options: &[OsString], indices: &str, script: &[OsString]) -> Result<String, Refused> {
    let mut args: Vec<OsString> = vec!["--parsable".into(), format!("--array={indices}").into()];
    args.extend_from_slice(options);
    args.extend_from_slice(script);
    // With several clusters it says ID;CLUSTER.
    Ok(call("sbatch", &args)?.trim().split(';').next().unwrap_or_default().to_owned())
}

/// The most tasks that one array may have, by the site's configuration.
pub fn max_array_size() -> usize {
    let config = call("scontrol", &["show".into(), "config".into()]).unwrap_or_default();
    let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"));
    let size = line.and_then(|rest| rest.trim_start_matches([' ', '=']).trim().parse().ok());
    // Slurm's own default.
    size.unwrap_or(1001)
}

/// The longest time that each of some partitions (`a,b`; the default one, if none is named) gives a job, in seconds;
/// `None`: no limit is known.
pub fn longest_time(partitions: Option<&str>) -> Option<f64> {
    shortest_limit(&call("sinfo", &["-h".into(), "-o".into(), "%P|%l".into()]).ok()?, partitions)
}

fn shortest_limit(text: &str, partitions: Option<&str>) -> Option<f64> {
    let times = text.lines().filter_map(|line| line.split_once('|'));
    times
        .filter(|(name, _)| is_wanted(name.trim(), partitions))
        .filter_map(|(_, time)| seconds(time.trim()))
        .min_by(f64::total_cmp)
}

/// Whether sinfo's name of a partition, which marks the default one, is among those that were asked for.
fn is_wanted(name: &str, partitions: Option<&str>) -> bool {
    match partitions {
        Some(partitions) => partitions.split(',').any(|wanted| wanted.trim() == name.trim_end_matches('*')),
        None => name.ends_with('*'),
    }
}

/// Options of sbatch that are looked at here, each as one word of the long form (`--partition=gpu`), whether they were
/// given as `-p gpu`, `-pgpu`, `--partition gpu` or so; the others as they are.
pub fn long_options(args: &[String]) -> Vec<String> {
    const KNOWN: [(&str, &str); 9] = [
        ("-p", "--partition"),
        ("-A", "--account"),
        ("-q", "--qos"),
        ("-C", "--constraint"),
        ("-t", "--time"),
        ("-M", "--clusters"),
        ("-o", "--output"),
        ("", "--reservation"),
        ("", "--signal"),
    ];
    let mut long = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let parts = KNOWN.iter().find_map(|(short, name)| match arg.strip_prefix(name) {
            Some("") => Some((name, None)),
            Some(rest) if rest.starts_with(['=', ' ']) => Some((name, Some(rest[1..].trim()))),
            _ if short.is_empty() => None,
            _ => arg.strip_prefix(short).map(|rest| (name, Some(rest.trim()).filter(|rest| !rest.is_empty()))),
        });
        long.push(match parts {
            Some((name, Some(value))) => format!("{name}={value}"),
            Some((name, None)) => match args.next() {
                Some(value) => format!("{name}={value}"),
                None => arg.clone(),
            },
            None => arg.clone(),
        });
    }
    long
}

/// Whether an option in its long form names other clusters; it may be cut short, as long as it means no other.
pub fn names_clusters(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    name.len() > "--cl".len() && "--clusters".starts_with(name)
}

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeType {
    /// How many there are and what they have, for people.
    pub words: String,
    /// Those that have room now, idle ones first.
    pub free: Vec<String>,
}

/// The types of nodes of some partitions (`a,b`; the default one, if none is named): nodes with equal processors,
/// memory, features and devices are one type.
pub fn node_types(partitions: Option<&str>) -> Result<Vec<NodeType>, Refused> {
    let format = "%P|%N|%T|%z|%m|%f|%G";
    Ok(types_of(&call("sinfo", &["-h".into(), "-N".into(), "-o".into(), format.into()])?, partitions))
}

fn types_of(text: &str, partitions: Option<&str>) -> Vec<NodeType> {
    let mut types: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.splitn(4, '|').map(str::trim).collect();
        let [name, node, state, kind] = cells[..] else { continue };
        if is_wanted(name, partitions) {
            let (nodes, node) = (types.entry(kind.to_owned()).or_default(), (state.to_owned(), node.to_owned()));
            // A node may be in several partitions.
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    let named = |(kind, nodes): (String, Vec<(String, String)>)| {
        let of = |wanted: &'static str| nodes.iter().filter(move |(state, _)| state == wanted);
        let free = of("idle").chain(of("mixed")).map(|(_, node)| node.clone()).collect();
        let example = nodes.first().map(|(_, node)| node.as_str()).unwrap_or_default();
        NodeType { words: format!("like {example} ({} of them, {kind})", nodes.len()), free }
    };
    types.into_iter().map(named).collect()
}

/// Runs a program on one node, which has to be free within half a minute; what it writes to standard output.
pub fn run_on(node: &str, place: &[OsString], program: &[OsString]) -> Result<String, Refused> {
    let mut args: Vec<OsString> = vec![format!("--nodelist={node}").into()];
    args.extend(["--immediate=30", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--time=1"].map(OsString::from));
    args.extend(["--mem=100M", "--job-name=dal", "--quiet"].map(OsString::from));
    args.extend_from_slice(place);
    args.extend_from_slice(program);
    call("srun", &args)
}

/// `2-03:04:05`, `03:04:05`, `04:05` or `05` (minutes) as seconds; `None` for `infinite`.
pub fn seconds(time: &str) -> Option<f64> {
    let (days, rest) = time.split_once('-').unwrap_or(("0", time));
    let parts: Vec<f64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let days: f64 = days.parse().ok()?;
    let rest = match (parts.as_slice(), time.contains('-')) {
        ([h, m, s], _) => 3600.0 * h + 60.0 * m + s,
        ([h, m], true) => 3600.0 * h + 60.0 * m,
        ([m, s], false) => 60.0 * m + s,
        ([h], true) => 3600.0 * h,
        ([m], false) => 60.0 * m,
        _ => return None,
    };
    Some(86_400.0 * days + rest)
}

/// A task in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// `PENDING`, `RUNNING`, ….
    pub state: String,
    /// Why it waits.
    pub reason: String,
    /// What Slurm adds to that, such as `launch failed requeued held`.
    pub description: String,
    /// How often it was queued again.
    pub restarts: u64,
}

impl Queued {
    /// Whether Slurm will still run it, or does.
    pub fn is_active(&self) -> bool {
        !OVER.iter().any(|(_, over)| *over == self.state)
    }
}

/// What Slurm knows of this user's tasks, by `JOB_TASK`; a hint only. Where it tells nothing as JSON, as older versions
/// and those that were built without, it is asked for lines.
pub fn queue() -> Result<BTreeMap<String, Queued>> {
    queue_in_json().or_else(|refused| {
        let args = ["-h", "-r", "-o", "%i|%t|%r"].map(OsString::from);
        call("squeue", &args).map(|text| queue_of_lines(&text)).map_err(|_| refused)
    })
}

/// Tasks from lines of id, short state and reason.
fn queue_of_lines(text: &str) -> BTreeMap<String, Queued> {
    let task = |line: &str| {
        let mut cells = line.trim().splitn(3, '|').map(|cell| cell.trim().to_owned());
        let (id, state, reason) = (cells.next()?, cells.next()?, cells.next()?);
        let long = OPEN.iter().chain(&OVER).find(|(short, _)| *short == state).map(|(_, long)| (*long).to_owned());
        let queued = Queued { state: long.unwrap_or(state), description: reason.clone(), reason, restarts: 0 };
        id.contains('_').then_some((id, queued))
    };
    text.lines().filter_map(task).collect()
}

/// Short and long names of the states of tasks that are not over.
const OPEN: [(&str, &str); 2] = [("PD", "PENDING"), ("R", "RUNNING")];
/// The same of those that are.
const OVER: [(&str, &str); 10] = [
    ("CD", "COMPLETED"),
    ("F", "FAILED"),
    ("CA", "CANCELLED"),
    ("TO", "TIMEOUT"),
    ("NF", "NODE_FAIL"),
    ("OOM", "OUT_OF_MEMORY"),
    ("BF", "BOOT_FAIL"),
    ("DL", "DEADLINE"),
    ("PR", "PREEMPTED"),
    ("RV", "REVOKED"),
];

fn queue_in_json() -> Result<BTreeMap<String, Queued>> {
    let mut squeue = Command::new("squeue");
    // Tasks of an array that wait stand together, and in full only with this.
    squeue.env("SLURM_BITSTR_LEN", "0");
    let text = output_of("squeue", squeue.args(["--me", "-r", "--json"]))?;
    let value: Value = serde_json::from_str(&text).context("what squeue --json says")?;
    let Some(jobs) = value["jobs"].as_array() else { bail!("squeue --json names no jobs") };
    Ok(jobs.iter().flat_map(tasks_of).collect())
}

/// The tasks that an entry of the queue stands for: one, or all of an array that wait and were never apart.
fn tasks_of(job: &Value) -> Vec<(String, Queued)> {
    let number = |value: &Value| value.as_u64().or_else(|| value["number"].as_u64().filter(|_| value["set"] != false));
    let state = match &job["job_state"] {
        Value::Array(states) => states.first().and_then(Value::as_str),
        state => state.as_str(),
    };
    let Some((array, state)) = number(&job["array_job_id"]).filter(|id| *id > 0).zip(state) else { return Vec::new() };
    let queued = Queued {
        state: state.to_owned(),
        reason: job["state_reason"].as_str().unwrap_or_default().to_owned(),
        description: job["state_description"].as_str().unwrap_or_default().to_owned(),
        restarts: number(&job["restart_cnt"]).unwrap_or(0),
    };
    let tasks = match (number(&job["array_task_id"]), job["array_task_string"].as_str()) {
        (_, Some(text)) if !text.is_empty() => listed(text),
        (Some(task), _) => vec![task],
        _ => Vec::new(),
    };
    tasks.into_iter().map(|task| (format!("{array}_{task}"), queued.clone())).collect()
}

/// The numbers in `0-3,7,9-15:2%4`; what stands after `%` is how many may run at the same time.
fn listed(text: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for part in text.split('%').next().unwrap_or_default().split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last), Ok(step)) = (first.trim().parse(), last.trim().parse::<u64>(), step.parse()) {
            numbers.extend((first..=last).step_by(usize::max(step, 1)));
        }
    }
    numbers
}

impl Queued {
    /// Whether it is held.
    pub fn is_held(&self) -> bool {
        self.state == "PENDING" && [&self.reason, &self.description].iter().any(|of| of.to_lowercase().contains("held"))
    }

    /// Whether Slurm itself queued it again after a failure: what a user holds or delays stays as it is.
    fn was_requeued(&self) -> bool {
        self.restarts > 0 || self.description.contains("requeued")
    }
}

/// Lets a task run that Slurm queued again after a failure, and holds or delays.
pub fn release(id: &str, queued: &Queued) -> Result<bool, Refused> {
    if queued.state != "PENDING" || !queued.was_requeued() {
        return Ok(false);
    }
    if queued.is_held() {
        call("scontrol", &["release".into(), id.into()])?;
    } else if queued.reason.eq_ignore_ascii_case("BeginTime") {
        call("scontrol", &["update".into(), format!("JobId={id}").into(), "StartTime=now".into()])?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Ends tasks or whole arrays.
pub fn cancel(ids: &[String]) -> Result<(), Refused> {
    // Command lines have an end.
    for ids in ids.chunks(500) {
        call("scancel", &ids.iter().map(OsString::from).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What `--output` is told: Slurm replaces `%` itself.
pub fn log_pattern(folder: &Path) -> Result<OsString> {
    match folder.to_str() {
        Some(text) if !text.contains('\n') => Ok(format!("--output={}/%A_%a.log", text.replace('%', "%%")).into()),
        _ => bail!("{}: Slurm takes only plain text as the place of logs", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_as_slurm_writes_them() {
        let cases = [("infinite", None), ("1:00:00", Some(3600.0)), ("30:00", Some(1800.0)), ("5", Some(300.0))];
        for (text, due) in cases.into_iter().chain([("2-03:04:05", Some(183_845.0)), ("1-12", Some(129_600.0))]) {
            assert_eq!(seconds(text), due, "{text}");
        }
    }

    #[test]
    fn the_queue_is_read_in_both_of_slurms_forms() {
        let old = json!({"array_job_id": 7, "array_task_id": 0, "job_state": "PENDING", "state_reason": "BeginTime"});
        let new = json!({
            "array_job_id": {"set": true, "number": 7}, "array_task_id": {"set": true, "number": 3},
            "job_state": ["RUNNING"], "state_reason": "None", "restart_cnt": 2
        });
        let one = |job: &Value| tasks_of(job).into_iter().next().unwrap();
        let (id, queued) = one(&old);
        assert_eq!((id.as_str(), queued.state.as_str(), queued.restarts), ("7_0", "PENDING", 0));
        let (id, queued) = one(&new);
        assert_eq!((id.as_str(), queued.state.as_str(), queued.restarts), ("7_3", "RUNNING", 2));
        assert!(tasks_of(&json!({"array_job_id": 0, "job_state": "RUNNING"})).is_empty());
        // Tasks that wait and were never apart.
        let waiting = json!({
            "array_job_id": 7, "array_task_id": null, "array_task_string": "0-2,5,8-12:2%3", "job_state": "PENDING"
        });
        let ids: Vec<String> = tasks_of(&waiting).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["7_0", "7_1", "7_2", "7_5", "7_8", "7_10", "7_12"]);
    }

    #[test]
    fn what_was_requeued_after_a_failure_is_released_and_nothing_else() {
        let queued = |reason: &str, description: &str, restarts| Queued {
            state: "PENDING".into(),
            reason: reason.into(),
            description: description.into(),
            restarts,
        };
        assert!(queued("JobHeldUser", "launch failed requeued held", 0).was_requeued());
        assert!(queued("JobHeldAdmin", "", 1).is_held());
        // Held or delayed by the user.
        assert!(!queued("JobHeldUser", "", 0).was_requeued() && !queued("BeginTime", "", 0).was_requeued());
    }

    #[test]
    fn nodes_that_are_alike_are_one_type() {
        let text = "main*|n1|allocated|2:8:1|64000|epyc|(null)\nmain*|n2|idle|2:8:1|64000|epyc|(null)\n\
                    main*|n3|down*|1:4:1|16000|xeon|(null)\ngpu|g1|mixed|1:4:1|16000|xeon|gpu:2\n";
        let types = types_of(text, None);
        assert_eq!(types.len(), 2);
        assert!(types[1].words.starts_with("like n1 (2 of them, 2:8:1|64000|epyc"), "{}", types[1].words);
        assert_eq!((&types[0].free[..], &types[1].free[..]), (&[][..], &["n2".to_owned()][..]));
        assert_eq!(types_of(text, Some("gpu"))[0].free, ["g1"]);
        assert!(types_of(text, Some("none")).is_empty());
        let both = types_of(&format!("{text}gpu|n2|idle|2:8:1|64000|epyc|(null)\n"), Some("main,gpu"));
        assert_eq!((both.len(), both[1].free.len()), (3, 1), "{both:?}");
        let limits = "main*|2-00:00:00\ngpu|1:00:00\nlong|infinite\n";
        let limit = |partitions| shortest_limit(limits, partitions);
        assert_eq!((limit(None), limit(Some("main,gpu"))), (Some(172_800.0), Some(3600.0)));
        assert_eq!((limit(Some("long")), limit(Some("long,gpu"))), (None, Some(3600.0)));
    }

    #[test]
    fn options_are_known_in_every_form() {
        let of = |args: &[&str]| long_options(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        for args in [&["-p", "gpu"][..], &["-pgpu"], &["-p gpu"], &["--partition", "gpu"], &["--partition=gpu"]] {
            assert_eq!(of(args), ["--partition=gpu"], "{args:?}");
        }
        assert_eq!(of(&["-A", "physics", "-t5", "--time-min=3"]), ["--account=physics", "--time=5", "--time-min=3"]);
        for args in [&["-M", "other"][..], &["-Mother"], &["--clusters=other"], &["--clus=other"]] {
            assert!(names_clusters(&of(args)[0]), "{args:?}");
        }
        assert!(["--cluster-constraint=x", "--constraint=clusters", "--cl"].iter().all(|arg| !names_clusters(arg)));
        assert_eq!(of(&["--gres=gpu:1", "--mem", "4G", "-p"]), ["--gres=gpu:1", "--mem", "4G", "-p"]);
    }

    #[test]
    fn the_queue_is_read_from_lines_where_there_is_no_json() {
        let queue = queue_of_lines("7_0|R|None\n7_3|PD|JobHeldUser\n7_4|PD|launch failed requeued held\n9|PD|None\n");
        assert_eq!((queue.len(), queue["7_0"].state.as_str()), (3, "RUNNING"));
        assert!(queue["7_3"].is_held() && !queue["7_3"].was_requeued() && queue["7_4"].was_requeued());
    }

    #[test]
    fn only_limits_are_met_by_smaller_arrays() {
        let refused = |words: &str| Refused(words.into()).is_limit();
        assert!(refused("sbatch: error: Batch job submission failed: Invalid job array specification"));
        assert!(refused("sbatch: error: QOSMaxSubmitJobPerUserLimit"));
        assert!(!refused("sbatch: error: invalid partition specified: nowhere"));
    }
}
