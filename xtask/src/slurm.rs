//! `cargo xtask slurm`: a sweep on two real Slurm nodes on loopback, with everything that happens to clusters.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::faults::{Files, files};
use crate::process::{built_dal, capture, find_program, install_packages, run};

/// Runs a sweep on two Slurm nodes: one is cut off, the controller is killed, tasks are requeued and cancelled.
#[derive(clap::Args)]
pub struct Args {
    /// The program, instead of building it.
    #[arg(long)]
    dal: Option<PathBuf>,
    /// First of the five ports that Slurm listens on, on loopback.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Seconds until everything has to be done.
    #[arg(long, default_value_t = PATIENCE)]
    patience: u64,
}

/// How many trials the sweep has.
const TRIALS: usize = 6;
/// How many tasks they have to be, at least: more than an array of the configuration below may have.
const TASKS: usize = 3;
const SWEEP: &str = r#"
name = "slurm"
seeds = 6
[protocol]
initial = 60
queries = 20
steps = 9
test_points = 200
pool_ratios = [2]
[training]
epochs = EPOCHS
members = 4
[[problem]]
id = "sine"
preset = "published"
network = { hidden = [20, 20] }
[[strategy]]
id = "gsx"
"#;

/// First of the five ports, where none is named.
const PORT: u16 = 17_300;
/// Seconds until everything has to be done, where none are named.
const PATIENCE: u64 = 300;

/// Runs the test with what `dal` is built as.
pub fn run_with_defaults() -> Result<()> {
    run_slurm(&Args { dal: None, port: PORT, patience: PATIENCE })
}

/// Runs the test.
pub fn run_slurm(args: &Args) -> Result<()> {
    let needed = [
        ("slurmctld", "slurmctld"),
        ("slurmd", "slurmd"),
        ("sbatch", "slurm-client"),
        ("munged", "munge"),
        ("parallel", "parallel"),
    ];
    // Daemons lie where only root looks.
    let is_there = |program: &str| find_program(&[program]).is_some() || Path::new("/usr/sbin").join(program).is_file();
    let missing: Vec<&str> =
        needed.into_iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| package).collect();
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    let dal = built_dal(args.dal.as_deref())?;
    // A socket's path has at most 108 bytes.
    let folder = PathBuf::from(format!("/var/tmp/dal-slurm-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let outcome = Cluster::start(&folder, args.port).and_then(|mut cluster| {
        let outcome = cluster.test(&dal, Duration::from_secs(args.patience));
        cluster.stop();
        outcome
    });
    match outcome {
        Ok(()) => fs::remove_dir_all(&folder).with_context(|| folder.display().to_string()),
        Err(error) => Err(error.context(format!("logs are in {}", folder.display()))),
    }
}

struct Cluster {
    folder: PathBuf,
    conf: PathBuf,
    munged: Child,
    controller: Child,
    nodes: [Child; 2],
}

impl Cluster {
    fn start(folder: &Path, port: u16) -> Result<Self> {
        for sub in ["etc", "state", "log", "munge", "spool-n1", "spool-n2"] {
            fs::create_dir(folder.join(sub))?;
        }
        run(Command::new("chmod").arg("755").arg(folder).arg(folder.join("munge")))?;
        let key = folder.join("etc/munge.key");
        // Nothing is kept secret by it: every port is on loopback.
        fs::write(&key, [7_u8; 128])?;
        run(Command::new("chmod").arg("600").arg(&key))?;
        let conf = folder.join("etc/slurm.conf");
        fs::write(&conf, configuration(folder, port))?;
        let mut munged = daemon("munged", &conf, folder);
        munged.args(["--foreground", "--num-threads=2"]).arg(option("--key-file", &key));
        for (name, file) in
            [("socket", "munge.sock"), ("pid-file", "munged.pid"), ("log-file", "munged.log"), ("seed-file", "seed")]
        {
            munged.arg(option(&format!("--{name}"), &folder.join("munge").join(file)));
        }
        let munged = munged.spawn().context("munged")?;
        wait("munged", 10, || Ok(folder.join("munge/munge.sock").exists()))?;
        let controller = controller(&conf, folder, true)?;
        let nodes = [node(&conf, folder, "n1")?, node(&conf, folder, "n2")?];
        let mut cluster = Self { folder: folder.to_owned(), conf, munged, controller, nodes };
        let idle = wait("two idle nodes", 30, || cluster.is_idle());
        if let Err(error) = idle {
            cluster.stop();
            return Err(error);
        }
        Ok(cluster)
    }

    fn slurm(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("SLURM_CONF", &self.conf).current_dir(&self.folder);
        command
    }

    fn is_idle(&self) -> Result<bool> {
        let states = self.slurm("sinfo", &["-h", "-t", "idle", "-o", "%D"]).stderr(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&states.stdout).trim() == "2")
    }

    fn dal(&self, dal: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(dal);
        command.args(args).env("SLURM_CONF", &self.conf).current_dir(&self.folder);
        command
    }

    /// The ids of this user's tasks in a state, of those on a node or of all.
    fn tasks(&self, state: &str, node: &str) -> Result<Vec<String>> {
        let mut squeue = self.slurm("squeue", &["-h", "-r", "-t", state, "-o", "%i"]);
        if !node.is_empty() {
            squeue.args(["-w", node]);
        }
        Ok(capture(&mut squeue)?.split_whitespace().map(str::to_owned).collect())
    }

    fn test(&mut self, dal: &Path, patience: Duration) -> Result<()> {
        let begun = self.submit_several_tasks(dal)?;
        let platform = self.list()?["platform"].as_str().map(str::to_owned).context("list.json: no platform")?;
        wait("two tasks that run", 60, || Ok(self.tasks("R", "n1")?.len() + self.tasks("R", "n2")?.len() == 2))?;
        thread::sleep(Duration::from_secs(4));
        if let Some(one) = self.tasks("R", "n1")?.first() {
            eprintln!("{one} is stopped until its time is over");
            let work = Command::new("pgrep").args(["-f", &format!("bench work .*--job {one} ")]).output()?;
            let work = String::from_utf8_lossy(&work.stdout).into_owned();
            run(Command::new("kill").arg("-STOP").args(work.split_whitespace()))?;
        }
        eprintln!("n2 is cut off");
        self.cut("n2")?;
        run(&mut self.slurm("scontrol", &["update", "NodeName=n2", "State=DOWN", "Reason=cut-off"]))?;
        thread::sleep(Duration::from_secs(2));
        self.nodes[1] = node(&self.conf, &self.folder, "n2")?;
        // Where no other task waits, it is the one that was cut off, which a user releases.
        let resubmit = ["bench", "resubmit", "store"];
        wait("a task on n2", 60, || {
            self.dal(dal, &resubmit).output()?;
            Ok(!self.tasks("R", "n2")?.is_empty())
        })?;
        thread::sleep(Duration::from_secs(4));
        if let Some(one) = self.tasks("R", "n2")?.first() {
            eprintln!("{one} is queued again by hand");
            run(&mut self.slurm("scontrol", &["requeue", one]))?;
        }
        thread::sleep(Duration::from_secs(3));
        eprintln!("the controller is killed");
        self.controller.kill()?;
        self.controller.wait()?;
        self.controller = controller(&self.conf, &self.folder, false)?;
        wait("the controller", 30, || {
            Ok(self.slurm("scontrol", &["ping"]).output()?.status.success() && self.tasks("all", "").is_ok())
        })?;
        if let Some(one) = self.tasks("PD", "")?.last() {
            eprintln!("{one} is cancelled");
            run(&mut self.slurm("scancel", &[one]))?;
        }
        self.resubmit_until_whole(dal, begun, patience)?;
        run(&mut self.dal(dal, &["bench", "status", "store"]))?;
        run(&mut self.dal(dal, &["bench", "cancel", "store"]))?;
        wait("an empty queue", 60, || Ok(self.tasks("PD,R,CG", "")?.is_empty()))?;
        eprintln!("whole after {} s; the same without Slurm", begun.elapsed().as_secs());
        run(&mut self.dal(dal, &["bench", "verify", "store"]))?;
        let local = ["bench", "run", "sweep.toml", "--store", "local", "--jobs", "2", "--platform", &platform];
        run(&mut self.dal(dal, &local))?;
        equal(&self.folder.join("local"), &self.folder.join("store"))?;
        self.lines(dal, &platform)
    }

    /// Hands on a sweep of several tasks, and says when. Short trials share a task, and how long they seem is measured
    /// again by every submission, beside whatever else the machine does just then: what became of it is looked up, and
    /// longer trials are handed on where too many share.
    fn submit_several_tasks(&self, dal: &Path) -> Result<Instant> {
        let submit = ["bench", "submit", "sweep.toml", "--store", "store", "--executor", "slurm", "--task-time", "30s"];
        // A minute is the shortest time that Slurm gives; tasks are told of its end after some twenty seconds.
        let more = ["--sbatch-arg=--time=1", "--sbatch-arg=--signal=B:USR1@40", "--sbatch-arg=--mem=200M"];
        let mut epochs = self.epochs(dal)?;
        for _ in 0..6 {
            fs::write(self.folder.join("sweep.toml"), SWEEP.replace("EPOCHS", &epochs.to_string()))?;
            eprintln!("{TRIALS} trials of {epochs} epochs");
            let begun = Instant::now();
            run(&mut self.dal(dal, &[&submit[..], &more].concat()))?;
            if self.list()?["tasks"].as_array().is_some_and(|tasks| tasks.len() >= TASKS) {
                return Ok(begun);
            }
            run(&mut self.dal(dal, &["bench", "cancel", "store"]))?;
            wait("an empty queue", 60, || Ok(self.tasks("PD,R,CG", "")?.is_empty()))?;
            fs::remove_dir_all(self.folder.join("store"))?;
            epochs += epochs / 2;
        }
        bail!("{TRIALS} trials are fewer than {TASKS} tasks, however long they are");
    }

    /// What was handed on.
    fn list(&self) -> Result<serde_json::Value> {
        let path = self.folder.join("store/tasks/0001/list.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Does what a user and an operator do until nothing is open.
    fn resubmit_until_whole(&self, dal: &Path, begun: Instant, patience: Duration) -> Result<()> {
        loop {
            // What an operator does after a controller was lost; nodes that are well refuse it.
            let mut resume = self.slurm("scontrol", &["update", "NodeName=n1,n2", "State=RESUME"]);
            resume.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            let said = self.dal(dal, &["bench", "resubmit", "store"]).output()?;
            let words = String::from_utf8_lossy(&said.stderr).into_owned();
            for line in words.lines().filter(|line| !line.ends_with(" 0 handed on")) {
                eprintln!("  {line}");
            }
            if !said.status.success() {
                bail!("resubmit: {words}");
            }
            if words.contains(": 0 tasks open") {
                return Ok(());
            }
            if begun.elapsed() > patience {
                bail!("tasks are still open after {} s: {words}", begun.elapsed().as_secs());
            }
            thread::sleep(Duration::from_secs(3));
        }
    }

    /// The lines of `--executor lines` through GNU parallel, twice, in a folder whose name a shell would take apart.
    fn lines(&self, dal: &Path, platform: &str) -> Result<()> {
        let odd = self.folder.join("it's \"odd\" $(touch pasted) `x`\nand more");
        fs::create_dir(&odd)?;
        let sweep = SWEEP.replace("EPOCHS", "20");
        fs::write(odd.join("sweep.toml"), &sweep)?;
        fs::write(self.folder.join("short.toml"), sweep)?;
        let submit = ["bench", "submit", "sweep.toml", "--store", "st ore", "--executor", "lines"];
        let lines = capture(self.dal(dal, &submit).args(["--platform", platform]).current_dir(&odd))?;
        let path = self.folder.join("lines.txt");
        fs::write(&path, &lines)?;
        for _ in 0..2 {
            run(Command::new("parallel").args(["-j", "2", "--halt", "now,fail=1", "-a"]).arg(&path).current_dir(&odd))?;
        }
        if odd.join("pasted").exists() || self.folder.join("pasted").exists() {
            bail!("a name was run as a command");
        }
        run(&mut self.dal(dal, &["bench", "run", "short.toml", "--store", "short", "--platform", platform]))?;
        equal(&self.folder.join("short"), &odd.join("st ore"))
    }

    /// Epochs with which a trial takes 20 s by the cost model: more than half of the shortest task, so that two share
    /// one.
    fn epochs(&self, dal: &Path) -> Result<u64> {
        const TRIED: u64 = 10_000;
        fs::write(self.folder.join("tried.toml"), SWEEP.replace("EPOCHS", &TRIED.to_string()))?;
        let plan = ["bench", "submit", "tried.toml", "--store", "tried", "--executor", "lines", "--plan"];
        let bound = || {
            let table = capture(self.dal(dal, &plan).args(["--cores", "1", "--format", "csv"]))?;
            let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let (names, row) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            let bound =
                names.iter().zip(row).find(|(name, _)| **name == "bound_s").and_then(|(_, s)| s.parse::<f64>().ok());
            bound.filter(|sum| *sum > 0.0).with_context(|| format!("no bound in {table}"))
        };
        // A moment in which the machine does something else too makes trials seem long: the least of three counts. A
        // plan may also reckon with slower instructions than the nodes turn out to have.
        let mut least = f64::INFINITY;
        for _ in 0..3 {
            least = least.min(bound()?);
        }
        Ok((20.0 * TRIALS as f64 / least * TRIED as f64) as u64 + 1)
    }

    /// A power cut: the node's daemon, its steps and all below, parents first, because a parent would print on.
    fn cut(&mut self, name: &str) -> Result<()> {
        let mut all = vec![self.nodes[1].id().to_string()];
        let jobs = capture(&mut self.slurm("squeue", &["-h", "-t", "R", "-w", name, "-o", "%A"]))?;
        for job in jobs.split_whitespace() {
            let steps = Command::new("pgrep").args(["-f", &format!("^slurmstepd: \\[{job}\\.")]).output()?;
            all.extend(String::from_utf8_lossy(&steps.stdout).split_whitespace().map(str::to_owned));
        }
        let mut at = 0;
        while let Some(parent) = all.get(at).cloned() {
            let children = Command::new("pgrep").args(["-P", &parent]).output()?;
            all.extend(String::from_utf8_lossy(&children.stdout).split_whitespace().map(str::to_owned));
            at += 1;
        }
        Command::new("kill").arg("-9").args(&all).stderr(Stdio::null()).status()?;
        self.nodes[1].wait()?;
        Ok(())
    }

    /// Ends what was started, by its ids.
    fn stop(&mut self) {
        let _ = self.slurm("scancel", &["--full", "-u", "root"]).stderr(Stdio::null()).status();
        thread::sleep(Duration::from_secs(1));
        for child in self.nodes.iter_mut().chain([&mut self.controller, &mut self.munged]) {
            let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }
}

/// Whether two stores hold the same runs, and nothing else among them.
fn equal(due: &Path, found: &Path) -> Result<()> {
    let (due, found): (Files, Files) = (files(due)?, files(found)?);
    if let Some((name, _)) = due.iter().find(|(name, bytes)| found.get(*name) != Some(*bytes)) {
        bail!("{name} is missing in the store, or differs from that of a local run");
    }
    if let Some(name) = found.keys().find(|name| !due.contains_key(*name)) {
        bail!("the store has {name}, a local run has not");
    }
    eprintln!("{} runs, equal to those of a local run", due.keys().filter(|name| !name.contains('/')).count());
    Ok(())
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// A daemon in the foreground.
fn daemon(program: &str, conf: &Path, folder: &Path) -> Command {
    let in_sbin = Path::new("/usr/sbin").join(program);
    let mut command = Command::new(find_program(&[program]).unwrap_or(in_sbin));
    command.env("SLURM_CONF", conf).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn controller(conf: &Path, folder: &Path, is_first: bool) -> Result<Child> {
    let mut command = daemon("slurmctld", conf, folder);
    command.arg("-D").arg("-f").arg(conf);
    if is_first {
        command.arg("-c");
    }
    command.spawn().context("slurmctld")
}

fn node(conf: &Path, folder: &Path, name: &str) -> Result<Child> {
    daemon("slurmd", conf, folder).args(["-D", "-N", name, "-f"]).arg(conf).spawn().context("slurmd")
}

fn wait(what: &str, seconds: u64, is_there: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        if is_there().unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("waited {seconds} s for {what}")
}

/// Two nodes of one core on loopback, without accounting and control groups.
fn configuration(folder: &Path, port: u16) -> String {
    let d = folder.display();
    format!(
        "ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={d}/munge/munge.sock
CredType=cred/munge
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool-%n
SlurmctldPidFile={d}/state/slurmctld.pid
SlurmdPidFile={d}/spool-%n/slurmd.pid
SlurmctldLogFile={d}/log/slurmctld.log
SlurmdLogFile={d}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,sched_interval=2,bf_interval=2,defer=0
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=2
MinJobAge=300
WaitTime=0
JobRequeue=1
MaxArraySize=2
MailProg=/bin/true
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={} CPUs=1 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={} CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
",
        port + 1,
        port + 2
    )
}
