//! Tests of `command`: shell scripts that answer, crash, hang, print garbage and leave helpers behind.

use super::{CallDesk, CommandOracle, CommandSettings, Exchange};
use crate::user::inputs::Inputs;
use dal_core::{Dimension, LabelFailure, LabelFailureKind as Kind, Oracle, OracleError, Scale, Stop, StopLevel, every};
use ndarray::{Array2, s};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Labels points 0, 1, .., n − 1 of one input with a shell script; `change` may set more than the defaults.
fn ask(script: &str, n: usize, change: impl FnOnce(&mut CommandSettings)) -> Asked {
    ask_and(script, n, change, |_| {})
}

/// As [`ask`], and tells `on_row` of each row as it comes.
fn ask_and(script: &str, n: usize, change: impl FnOnce(&mut CommandSettings), mut on_row: impl FnMut(usize)) -> Asked {
    let oracle = oracle_of(script, change);
    let x = Array2::from_shape_fn((n, 1), |(i, _)| 2.0 * (i as f64 / HIGH) - 1.0);
    let mut rows = vec![None; n];
    let mut keep = every(|row, answer| {
        let is_in_doubt = matches!(&answer, Err(failure) if failure.kind == Kind::InDoubt);
        assert!(rows[row].is_none() || is_in_doubt, "row {row} twice");
        rows[row] = Some(answer.map(|y| y[0]));
        on_row(row);
    });
    let result = oracle.label(x.view(), &Stop::new(), &mut keep);
    drop(keep);
    Asked { rows, result }
}

/// The upper bound of the one input.
const HIGH: f64 = 100_000.0;

/// A program that is a shell script; `change` may set more than the defaults.
fn oracle_of(script: &str, change: impl FnOnce(&mut CommandSettings)) -> CommandOracle {
    let mut settings = CommandSettings {
        program: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        directory: ".".into(),
        exchange: Exchange::Stdin,
        driver: None,
        header: true,
        rows_per_call: None,
        parallel: 1,
        time_limit: Duration::from_secs(300),
        retries: 0,
        stderr_file: None,
    };
    change(&mut settings);
    let inputs =
        Inputs::new(vec![("a".into(), vec![], Dimension::Continuous { low: 0.0, high: HIGH, scale: Scale::Linear })]);
    CommandOracle::new(settings, inputs.unwrap(), vec!["y".into()])
}

struct Asked {
    rows: Vec<Option<Result<f64, LabelFailure>>>,
    result: Result<(), OracleError>,
}

impl Asked {
    /// The labels; every row must be settled and the batch not refused.
    fn labels(&self) -> Vec<Option<f64>> {
        assert!(self.result.is_ok(), "{:?}", self.result);
        self.rows.iter().map(|row| row.as_ref().expect("settled").as_ref().ok().copied()).collect()
    }

    fn failure(&self, row: usize) -> &LabelFailure {
        self.rows[row].as_ref().unwrap().as_ref().unwrap_err()
    }
}

fn round(v: &[Option<f64>]) -> Vec<Option<i64>> {
    v.iter().map(|v| v.map(|v| v.round() as i64)).collect()
}

/// Doubles each point as awk does.
const DOUBLE: &str = "awk -F, 'NR==1 {print \"y\"} NR>1 {print 2*$1; fflush()}'";

#[test]
fn a_sound_program_labels_every_row() {
    let asked = ask(DOUBLE, 50, |_| {});
    assert_eq!(round(&asked.labels()), (0..50).map(|i| Some(2 * i)).collect::<Vec<_>>());
    let parallel = ask(DOUBLE, 50, |s| (s.parallel, s.rows_per_call) = (4, Some(7)));
    assert_eq!(parallel.labels(), asked.labels());
    assert!(ask(DOUBLE, 0, |_| {}).labels().is_empty());
}

#[test]
fn files_carry_points_and_answers_too() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| {
        s.exchange = Exchange::Files;
        s.directory = folder.path().to_owned();
        s.program.extend(["sh", "{input}", "{output}"].map(str::to_owned));
    };
    let asked = ask(&format!("{DOUBLE} < \"$1\" > \"$2\"; echo done"), 20, set);
    assert_eq!(round(&asked.labels())[19], Some(38));
    let cut = ask("printf 'y\\n7\\n8\\n9' > \"$2\"; echo broken >&2; exit 3", 3, set);
    assert_eq!(round(&cut.labels()), [Some(7), Some(8), None]);
    assert!(cut.failure(2).message.contains("broken"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the calls' folders are gone");
}

#[test]
fn answers_written_anew_are_no_answers() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| {
        (s.exchange, s.directory, s.retries) = (Exchange::Files, folder.path().to_owned(), 1);
        s.program.extend(["sh", "{input}", "{output}"].map(str::to_owned));
    };
    let seen = folder.path().join("seen");
    // `y`, `1` is read, then all is written once more.
    let anew = |script: &str| {
        let wait = "while ! [ -e seen ]; do sleep 0.01; done";
        let asked = ask_and(&format!("printf 'y\\n1\\n' > \"$2\"; {wait}; {script}"), 3, set, |_| {
            std::fs::write(&seen, "").unwrap();
        });
        std::fs::remove_file(&seen).unwrap();
        asked
    };
    // Shorter, as long, longer, and with a line's middle where the first writing ended.
    for text in ["y\\n", "y\\n5\\n", "y\\n5\\n6\\n7\\n", "y\\n12e-3\\n7\\n8\\n"] {
        let asked = anew(&format!("printf '{text}' > \"$2\""));
        assert_eq!(asked.failure(0).kind, Kind::InDoubt, "what was handed out is taken back");
        let failed = asked.failure(2);
        assert!(failed.message.contains("must be written once") && failed.message.contains("in doubt"), "{failed}");
    }
    // The same again and more is no harm, even if the file is seen empty in between.
    let asked = anew(": > \"$2\"; sleep 0.2; printf 'y\\n1\\n2\\n3\\n' > \"$2\"");
    assert_eq!(asked.labels(), [Some(1.0), Some(2.0), Some(3.0)]);
}

#[test]
fn rows_are_handed_out_while_the_program_works_on() {
    let folder = tempfile::tempdir().unwrap();
    // The program goes on only when the test has its second row.
    let script = "echo y; echo 1; echo 2; while ! [ -e seen ]; do sleep 0.01; done; echo 3";
    let seen = folder.path().join("seen");
    let set = |s: &mut CommandSettings| s.directory = folder.path().to_owned();
    let asked = ask_and(script, 3, set, |row| {
        if row == 1 {
            std::fs::write(&seen, "").unwrap();
        }
    });
    assert_eq!(asked.labels(), [Some(1.0), Some(2.0), Some(3.0)]);
}

#[test]
fn a_crash_fails_the_unanswered_rows_with_the_last_words() {
    let asked = ask("echo y; echo 1; echo 'mesh: no cells' >&2; exit 3", 3, |_| {});
    assert_eq!(asked.labels(), [Some(1.0), None, None]);
    let failure = asked.failure(1);
    assert_eq!(failure.kind, Kind::Crashed);
    for words in ["exit status 3", "mesh: no cells", "after 1 of 3 answers"] {
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn a_signal_in_the_middle_of_a_line_fails_that_row() {
    let asked = ask("echo y; echo 1; printf 2.5; kill -9 $$", 3, |_| {});
    assert_eq!(asked.labels(), [Some(1.0), None, None]);
    assert_eq!((asked.failure(1).kind, asked.failure(2).kind), (Kind::Crashed, Kind::NotTried));
    assert!(asked.failure(1).message.contains("signal 9") && asked.failure(1).message.contains("2.5"));
    assert!(asked.failure(1).message.contains("wrote nothing to stderr"));
}

#[test]
fn a_hanging_program_is_stopped_with_its_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| {
        (s.time_limit, s.directory) = (Duration::from_secs(3), folder.path().to_owned());
    };
    let script = "sleep 1000 & echo $! > helper; echo $$ > self; echo y; echo 1; echo stuck >&2; sleep 1000";
    let asked = ask(script, 2, set);
    assert_eq!(asked.labels(), [Some(1.0), None]);
    assert_eq!(asked.failure(1).kind, Kind::TimedOut);
    assert!(asked.failure(1).message.contains("limit of 3s") && asked.failure(1).message.contains("stuck"));
    assert_eq!(state_of(&folder.path().join("self")), None, "the program is not reaped");
    assert!(vanishes(&folder.path().join("helper")), "a helper lives on");
}

#[test]
fn helpers_that_hold_the_pipes_do_not_keep_a_finished_call_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 1000 & echo $! > helper; echo y; echo 1";
    let asked = ask(script, 1, |s| s.directory = folder.path().to_owned());
    assert_eq!(asked.labels(), [Some(1.0)]);
    assert!(vanishes(&folder.path().join("helper")), "a helper lives on");
}

#[test]
fn every_child_is_reaped() {
    let folder = tempfile::tempdir().unwrap();
    for script in ["echo y; echo 1; echo 2", "exit 1", "kill -9 $$", "yes garbage"] {
        let set = |s: &mut CommandSettings| s.directory = folder.path().to_owned();
        ask(&format!("echo $$ > self; {script}"), 2, set);
        assert_eq!(state_of(&folder.path().join("self")), None, "{script}");
    }
}

/// The state letter of the process whose number is in `file`, `Z` for one that waits to be reaped; none if there is
/// none.
fn state_of(file: &Path) -> Option<char> {
    let pid = std::fs::read_to_string(file).expect("the script wrote its number");
    let listing = Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output();
    let state = match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        // The state follows the name, which is in parentheses and may hold anything.
        Ok(stat) => stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()),
        Err(_) => listing.ok().and_then(|output| output.stdout.first().map(|&byte| byte.into())),
    };
    state.filter(|state| state.is_alphabetic())
}

/// Whether an orphan ends; who reaps it is not up to us.
fn vanishes(file: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while state_of(file).is_some_and(|state| state != 'Z') {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn garbage_fails_what_it_stands_for_and_ends_the_program() {
    let asked = ask("echo y; echo 1; while :; do echo 'no row, this'; done", 3, |_| {});
    assert_eq!(asked.labels(), [Some(1.0), None, None]);
    assert_eq!(asked.failure(1).kind, Kind::Malformed);
    assert!(asked.failure(1).message.contains("no row, this"));
    let binary = ask("head -c 300000 /dev/zero", 2, |_| {});
    assert_eq!((binary.labels(), binary.failure(0).kind), (vec![None, None], Kind::Malformed));
}

#[test]
fn too_few_too_many_and_non_finite_rows() {
    let few = ask("echo y; echo 1", 3, |_| {});
    assert_eq!((few.labels(), few.failure(2).kind), (vec![None, None, None], Kind::InDoubt));
    assert!(few.failure(0).message.contains("may be another point's"), "{}", few.failure(0));
    let many = ask("echo y; echo 1; echo 2; echo 3", 2, |_| {});
    assert_eq!((many.labels(), many.failure(0).kind), (vec![None, None], Kind::InDoubt));
    let odd = ask("echo y; echo nan; echo 2; echo -inf; echo error: dry; echo 5", 5, |_| {});
    assert_eq!(odd.labels(), [None, Some(2.0), None, None, Some(5.0)]);
    assert_eq!([0, 2, 3].map(|row| odd.failure(row).kind), [Kind::NonFinite, Kind::NonFinite, Kind::Refused]);
}

#[test]
fn rows_are_tried_again_alone() {
    // Crashes at point 3 whatever its neighbours, and at the first call at point 5 too.
    let folder = tempfile::tempdir().unwrap();
    let script = "awk -F, 'NR==1 {print \"y\"} NR>1 {if ($1+0.5 >= 3 && $1 < 3.5) exit 7; print 2*$1; fflush()}'";
    let asked = ask(script, 6, |s| (s.retries, s.directory) = (1, folder.path().to_owned()));
    assert_eq!(round(&asked.labels()), [Some(0), Some(2), Some(4), None, Some(8), Some(10)]);
    assert!(asked.failure(3).message.contains("exit status 7"));
    let flaky = "if [ -e seen ]; then echo y; echo 4; else touch seen; exit 1; fi";
    let again = ask(flaky, 1, |s| (s.retries, s.directory) = (1, folder.path().to_owned()));
    assert_eq!(again.labels(), [Some(4.0)]);
}

#[test]
fn what_a_program_refuses_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let calls = || std::fs::read_to_string(place.join("calls")).unwrap().lines().count();
    let refuses = "echo call >> calls; echo y; echo error: dry";
    let asked = ask(refuses, 1, |s| (s.retries, s.directory) = (3, place.clone()));
    assert_eq!((asked.failure(0).kind, calls()), (Kind::Refused, 1));
    // Where the caller counts the attempts, a crash is its own to try again.
    let crashes = oracle_of("echo call >> calls; exit 7", |s| (s.retries, s.directory) = (3, place.clone()));
    let mut kinds = Vec::new();
    let mut keep = every(|_, answer| kinds.push(answer.map(|_| ()).unwrap_err().kind));
    crashes.tried_once().label(Array2::zeros((1, 1)).view(), &Stop::new(), &mut keep).unwrap();
    drop(keep);
    assert_eq!((kinds, calls()), (vec![Kind::Crashed], 2));
}

#[test]
fn a_retry_does_not_hide_that_a_call_miscounted() {
    // Leaves out point 2 of a call, answers it when asked alone.
    let skips = "awk -F, 'NR==1 {print \"y\"} NR>1 {x[NR]=$1} END {for (i=2;i<=NR;i++) if (NR==2 || x[i]<1.5 || x[i]>2.5) print 2*x[i]}'";
    let asked = ask(skips, 5, |s| s.retries = 2);
    assert!((0..5).all(|row| asked.failure(row).kind == Kind::InDoubt));
    assert!(asked.failure(4).message.contains("in doubt"), "{}", asked.failure(4));
    let adds = "awk -F, 'NR==1 {print \"y\"} NR>1 {print 2*$1; n++} NR==3 {print 1; n++}'";
    let asked = ask(adds, 4, |s| s.retries = 2);
    assert!(asked.failure(3).message.contains("in doubt"), "{}", asked.failure(3));
    // Alone, or before its first answer, a program cannot have mixed anything up.
    let late = "if [ -e seen ]; then echo y; echo 4; else touch seen; echo y; fi";
    let folder = tempfile::tempdir().unwrap();
    let asked = ask(late, 2, |s| (s.retries, s.directory) = (1, folder.path().to_owned()));
    assert_eq!(asked.labels(), [Some(4.0), Some(4.0)]);
}

#[test]
fn everything_on_stderr_is_kept_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    ask("echo one >&2; echo y; echo 1; echo 2; echo two >&2", 2, |s| s.stderr_file = Some(log.clone()));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "one\ntwo\n");
}

#[test]
fn a_program_that_is_not_there_refuses_the_batch() {
    let asked = ask("", 3, |s| s.program = vec!["no-such-program-anywhere".into()]);
    let error = asked.result.unwrap_err().to_string();
    assert!(error.contains("no-such-program-anywhere cannot be started"), "{error}");
}

#[test]
fn a_program_that_reads_nothing_is_heard() {
    // Far more points than a pipe holds.
    let asked = ask("awk 'BEGIN {print \"y\"; for (i = 0; i < 20000; i++) print i}'", 20_000, |_| {});
    assert_eq!(asked.labels()[19_999], Some(19_999.0));
}

/// Asks `oracle` about points 0, 1, .., n − 1 with this stop; each row's label, and whether the batch was stopped.
fn ask_until(
    oracle: &CommandOracle,
    n: usize,
    stop: &Stop,
    mut on_row: impl FnMut(usize) -> ControlFlow<()>,
) -> (Vec<Option<f64>>, bool) {
    let x = Array2::from_shape_fn((n, 1), |(i, _)| 2.0 * (i as f64 / HIGH) - 1.0);
    let mut labels = vec![None; n];
    let result = oracle.label(x.view(), stop, &mut |row, answer| {
        labels[row] = Some(answer.expect("a stop fails no row")[0].round());
        on_row(row)
    });
    let stopped = matches!(result, Err(OracleError::Stopped));
    assert!(stopped || result.is_ok(), "{result:?}");
    (labels, stopped)
}

/// Says what it doubled, one row a call; waits at point 1 until the file `go` is there.
const WAITS_AT_1: &str = "read header; echo y; while read -r a; do \
    case $a in 1|1.0*|0.99*) trap 'echo 2; exit 0' TERM; echo $$ >> at; while ! [ -e go ]; do sleep 0.01; done ;; esac; \
    awk -v a=$a 'BEGIN {print 2*a}'; done";

#[test]
fn a_drain_takes_what_runs_and_starts_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(1), folder.path().to_owned());
    let oracle = oracle_of(WAITS_AT_1, set);
    let (at, go) = (folder.path().join("at"), folder.path().join("go"));
    let stop = Stop::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !at.exists() {
                thread::sleep(Duration::from_millis(2));
            }
            stop.raise(StopLevel::Drain);
            std::fs::write(&go, "").unwrap();
        });
        let (labels, stopped) = ask_until(&oracle, 4, &stop, |_| ControlFlow::Continue(()));
        assert!(stopped);
        assert_eq!(
            labels,
            [Some(0.0), Some(2.0), None, None],
            "the running call is heard to its end, no other is made"
        );
    });
    // The same oracle goes on.
    let (labels, stopped) = ask_until(&oracle, 4, &Stop::new(), |_| ControlFlow::Continue(()));
    assert_eq!((labels, stopped), (vec![Some(0.0), Some(2.0), Some(4.0), Some(6.0)], false));
}

#[test]
fn now_ends_a_silent_program_and_the_oracle_answers_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(1), folder.path().to_owned());
    let silent = oracle_of("echo $$ > self; if [ -e go ]; then echo y; echo 0; else sleep 1000; fi", set);
    let own = folder.path().join("self");
    let stop = Stop::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !own.exists() {
                thread::sleep(Duration::from_millis(2));
            }
            stop.raise(StopLevel::Now);
        });
        assert_eq!(ask_until(&silent, 2, &stop, |_| ControlFlow::Continue(())), (vec![None, None], true));
    });
    assert_eq!(state_of(&own), None, "the program lives on");
    // A stop that was there before starts nothing at all.
    std::fs::remove_file(&own).unwrap();
    assert_eq!(ask_until(&silent, 2, &stop, |_| ControlFlow::Continue(())), (vec![None, None], true));
    assert!(!own.exists());
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(ask_until(&silent, 2, &Stop::new(), |_| ControlFlow::Continue(())), (vec![Some(0.0); 2], false));
}

#[test]
fn a_program_that_is_asked_to_end_may_finish_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(2), folder.path().to_owned());
    let oracle = oracle_of(WAITS_AT_1, set);
    let at = folder.path().join("at");
    let stop = Stop::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !at.exists() {
                thread::sleep(Duration::from_millis(2));
            }
            stop.raise(StopLevel::Now);
        });
        let (labels, stopped) = ask_until(&oracle, 3, &stop, |_| ControlFlow::Continue(()));
        assert_eq!((labels, stopped), (vec![Some(0.0), Some(2.0), None], true));
    });
}

#[test]
fn after_a_break_no_row_is_handed_out_and_the_next_call_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| (s.parallel, s.directory) = (2, folder.path().to_owned());
    let oracle = oracle_of(DOUBLE, set);
    let mut seen = 0;
    let (_, stopped) = ask_until(&oracle, 20, &Stop::new(), |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((seen, stopped), (3, false));
    let (labels, stopped) = ask_until(&oracle, 3, &Stop::new(), |_| ControlFlow::Continue(()));
    assert_eq!((labels, stopped), (vec![Some(0.0), Some(2.0), Some(4.0)], false));
}

/// Knows the answer to point 1, and whether calls are under way.
#[derive(Debug, Default)]
struct Desk {
    under_way: Arc<AtomicUsize>,
    begun: Mutex<Vec<(u32, usize)>>,
    refuses: bool,
}

struct Begun(Arc<AtomicUsize>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl CallDesk for Desk {
    fn arrived(&self, lines: &[&str]) -> Vec<Option<Vec<f64>>> {
        let is_1 = |line: &&str| (line.trim().parse::<f64>().unwrap() - 1.0).abs() < 1e-6;
        lines.iter().map(|line| is_1(line).then(|| vec![-7.0])).collect()
    }

    fn begun(&self, group: u32, points: usize) -> Result<Box<dyn Send>, String> {
        if self.refuses {
            return Err("the disk is full".into());
        }
        self.begun.lock().unwrap().push((group, points));
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Begun(Arc::clone(&self.under_way))))
    }
}

#[test]
fn what_arrived_meanwhile_is_not_asked_and_calls_are_told() {
    for (rows_per_call, calls) in [(None, vec![3]), (Some(1), vec![1, 1, 1])] {
        let desk = Arc::new(Desk::default());
        let oracle = oracle_of(DOUBLE, |settings| settings.rows_per_call = rows_per_call);
        let oracle = oracle.with_desk(Some(Arc::clone(&desk) as Arc<dyn CallDesk>));
        let (labels, stopped) = ask_until(&oracle, 4, &Stop::new(), |row| {
            let under_way = desk.under_way.load(Ordering::SeqCst);
            assert!(row == 1 || under_way <= 1, "{under_way}");
            ControlFlow::Continue(())
        });
        assert_eq!((labels, stopped), (vec![Some(0.0), Some(-7.0), Some(4.0), Some(6.0)], false));
        assert_eq!(desk.under_way.load(Ordering::SeqCst), 0, "every call's note is dropped");
        let begun = desk.begun.lock().unwrap();
        assert_eq!(begun.iter().map(|(_, points)| *points).collect::<Vec<_>>(), calls);
    }
}

#[test]
fn a_call_that_cannot_be_told_is_ended_and_the_batch_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let oracle = oracle_of("read header; read -r a; echo $a >> asked; sleep 100", |settings| {
        settings.directory = folder.path().to_owned();
    });
    let oracle = oracle.with_desk(Some(Arc::new(Desk { refuses: true, ..Desk::default() })));
    let x = Array2::zeros((1, 1));
    let error = oracle.label(x.view(), &Stop::new(), &mut every(|_, _| ())).unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
    assert!(!folder.path().join("asked").exists(), "it got no point");
}

/// Doubles each point, with a call for each; says down and fails while the file `down` is there, or at a negative point
/// number. Writes down what it is asked.
const FRAIL: &str = "read header; while read -r a; do echo $a >> asked; \
    if [ -e down ] || [ ${a%.*} -ge 1000 ]; then echo no licence >&2; exit 7; fi; echo y; awk -v a=$a 'BEGIN {print 2*a}'; done";

fn asked(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("asked")).unwrap_or_default().lines().count()
}

#[test]
fn rows_behind_a_crashing_one_were_not_tried() {
    let asked = ask("echo y; echo 1; echo boom >&2; exit 3", 4, |_| {});
    let kinds: Vec<Kind> = (1..4).map(|row| asked.failure(row).kind).collect();
    assert_eq!(kinds, [Kind::Crashed, Kind::NotTried, Kind::NotTried]);
    assert!(asked.failure(2).message.contains("at an earlier point of its call"), "{}", asked.failure(2));
    assert!(asked.failure(2).message.contains("exit status 3") && asked.failure(2).message.contains("boom"));
    // Where answers come in another order, which one it was is not known.
    let mixed = ask("echo row,y; echo 2,5; exit 3", 4, |_| {});
    assert!([0, 1, 3].iter().all(|row| mixed.failure(*row).kind == Kind::Crashed));
    // Tried again, each has its own outcome.
    let script = "read header; echo y; while read -r a; do case $a in 1|1.0*|0.99*) exit 3;; esac; awk -v a=$a 'BEGIN {print 2*a}'; done";
    let again = ask(script, 4, |s| s.retries = 1);
    assert_eq!(round(&again.labels()), [Some(0), None, Some(4), Some(6)]);
    assert_eq!(again.failure(1).kind, Kind::Crashed);
}

#[test]
fn failures_of_a_program_that_is_down_are_not_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let down = folder.path().join("down");
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(1), folder.path().to_owned());
    let oracle = oracle_of(FRAIL, set);
    let label = |n: usize| {
        let x = Array2::from_shape_fn((n, 1), |(i, _)| 2.0 * (i as f64 / HIGH) - 1.0);
        let mut rows = vec![None; n];
        let mut keep = every(|row, answer| rows[row] = Some(answer.map(|y| y[0].round()).map_err(|e| e.kind)));
        let result = oracle.label(x.view(), &Stop::new(), &mut keep);
        drop(keep);
        (rows, result)
    };
    // Nothing was ever answered: there is no telling, and failures stand.
    std::fs::write(&down, "").unwrap();
    let (rows, result) = label(8);
    assert!(result.is_ok() && rows.iter().all(|row| *row == Some(Err(Kind::Crashed))), "{rows:?}");
    std::fs::remove_file(&down).unwrap();
    assert_eq!(label(2).0, [Some(Ok(0.0)), Some(Ok(2.0))]);
    // Five calls fail, and so does the known point.
    std::fs::write(&down, "").unwrap();
    let before = asked(folder.path());
    let (rows, result) = label(8);
    let Err(OracleError::Down { message }) = result else { panic!("{result:?}") };
    assert!(message.contains("no licence") && message.contains("the same command goes on"), "{message}");
    assert!(rows.iter().all(Option::is_none), "{rows:?}");
    assert_eq!(asked(folder.path()) - before, 5 + 1);
    // Fewer points than that, too: not one of the batch is answered. While it is down, only the known point is asked.
    let (rows, result) = label(2);
    assert!(matches!(result, Err(OracleError::Down { .. })) && rows == [None, None]);
    assert_eq!(asked(folder.path()) - before, 5 + 1 + 1);
    // It comes back.
    std::fs::remove_file(&down).unwrap();
    assert_eq!(label(3).0, [Some(Ok(0.0)), Some(Ok(2.0)), Some(Ok(4.0))]);
}

#[test]
fn failures_of_a_program_that_works_stand_however_many_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(1), folder.path().to_owned());
    let oracle = oracle_of(FRAIL, set);
    let ask = |points: &[f64]| {
        let x = Array2::from_shape_fn((points.len(), 1), |(i, _)| 2.0 * (points[i] / HIGH) - 1.0);
        let mut rows = vec![None; points.len()];
        let mut keep = every(|row, answer| rows[row] = Some(answer.is_ok()));
        oracle.label(x.view(), &Stop::new(), &mut keep).unwrap();
        drop(keep);
        rows.into_iter().map(Option::unwrap).collect::<Vec<bool>>()
    };
    assert_eq!(ask(&[1.0]), [true]);
    // Twelve in a row: twice the known point is asked again.
    let bad: Vec<f64> = (0..12).map(|i| 2000.0 + i as f64).collect();
    let before = asked(folder.path());
    assert_eq!(ask(&bad), [false; 12]);
    // After the fifth and the tenth, and at the end of a batch without an answer.
    assert_eq!(asked(folder.path()) - before, 12 + 3);
    // A known point may come from elsewhere.
    let other = oracle_of(FRAIL, set);
    other.knows("0");
    std::fs::write(folder.path().join("down"), "").unwrap();
    let x = ndarray::array![[-0.5], [0.5]];
    let outcome = other.label(x.view(), &Stop::new(), &mut every(|_, _| panic!("nothing is handed out")));
    assert!(matches!(outcome, Err(OracleError::Down { .. })));
    // A batch of one point likewise, except where the caller counts the attempts.
    let lone = || {
        let oracle = oracle_of(FRAIL, set);
        oracle.knows("0");
        oracle
    };
    let outcome = lone().label(x.slice(s![..1, ..]), &Stop::new(), &mut every(|_, _| panic!("nothing is handed out")));
    assert!(matches!(outcome, Err(OracleError::Down { .. })));
    let mut rows = Vec::new();
    let mut keep = every(|row, answer| rows.push((row, answer.is_ok())));
    lone().tried_once().label(x.slice(s![..1, ..]), &Stop::new(), &mut keep).unwrap();
    drop(keep);
    assert_eq!(rows, [(0, false)]);
    // A program that lives to say why there is no label is not doubted.
    for says in ["nan", "error: dry"] {
        let calls = folder.path().join("calls");
        let _ = std::fs::remove_file(&calls);
        let set = |s: &mut CommandSettings| (s.retries, s.directory) = (0, folder.path().to_owned());
        let alive = oracle_of(&format!("echo call >> calls; echo y; echo {says}"), set);
        alive.knows("0");
        alive.label(x.slice(s![..1, ..]), &Stop::new(), &mut every(|_, answer| assert!(answer.is_err()))).unwrap();
        assert_eq!(std::fs::read_to_string(&calls).unwrap(), "call\n", "{says}");
    }
}

#[test]
fn batches_that_are_asked_about_at_the_same_time_share_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    // A call that finds another under way leaves a word.
    let busy = "mkdir busy 2>/dev/null || touch crowded; sleep 0.1; rmdir busy 2>/dev/null";
    let script = &format!("{busy}; echo call >> calls; echo y; echo 1");
    let set = |s: &mut CommandSettings| (s.rows_per_call, s.directory) = (Some(1), folder.path().to_owned());
    let (oracle, x) = (oracle_of(script, set), ndarray::array![[-0.5], [0.5]]);
    let ask = |oracle: &CommandOracle| {
        oracle.label(x.view(), &Stop::new(), &mut every(|_, answer| assert!(answer.is_ok()))).unwrap();
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| ask(&oracle.clone()));
        }
    });
    assert!(!folder.path().join("crowded").exists(), "two calls at a time");
    assert_eq!(std::fs::read_to_string(folder.path().join("calls")).unwrap().lines().count(), 6);
    // A caller who counts the attempts shares out the calls by its own setting: both wait for each other's call.
    let script = "touch here.$$; until [ $(ls here.* | wc -l) -ge 2 ]; do sleep 0.01; done; echo y; echo 1";
    let other = tempfile::tempdir().unwrap();
    let counting = oracle_of(script, |s| s.directory = other.path().to_owned()).tried_once();
    thread::scope(|scope| {
        for row in 0..2 {
            let (counting, x) = (counting.clone(), x.slice(s![row..=row, ..]));
            scope.spawn(move || {
                counting.label(x, &Stop::new(), &mut every(|_, answer| assert!(answer.is_ok()))).unwrap()
            });
        }
    });
}

#[test]
fn a_point_that_was_answered_during_the_wait_for_a_slot_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo call >> calls; echo y; echo 1";
    let oracle = oracle_of(script, |s| s.directory = folder.path().to_owned()).with_desk(Some(Arc::new(Known)));
    let slot = oracle.slots.take(1, &|| true).unwrap();
    let answers = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut answers = Vec::new();
            let mut keep = every(|_, answer: Result<&[f64], LabelFailure>| answers.push(answer.unwrap()[0]));
            oracle.label(ndarray::array![[0.0]].view(), &Stop::new(), &mut keep).unwrap();
            drop(keep);
            answers
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "it waits");
        drop(slot);
        waiting.join().unwrap()
    });
    assert_eq!(answers, [7.0]);
    assert!(!folder.path().join("calls").exists());
}

/// Knows every answer: 7.
#[derive(Debug)]
struct Known;

impl CallDesk for Known {
    fn arrived(&self, lines: &[&str]) -> Vec<Option<Vec<f64>>> {
        lines.iter().map(|_| Some(vec![7.0])).collect()
    }

    fn begun(&self, _: u32, _: usize) -> Result<Box<dyn Send>, String> {
        Ok(Box::new(()))
    }
}
