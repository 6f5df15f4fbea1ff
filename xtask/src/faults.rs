//! `cargo xtask faults`: sweeps that are disturbed as machines and people disturb them, and what is left of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fuzz::Dice;
use crate::process::{built_dal, run, target_dir};

/// Disturbs small sweeps and holds what is left against an undisturbed one.
#[derive(clap::Args)]
#[command(
    after_help = "Every case is named by its number. A case passes where the store is identical to the undisturbed
one after the sweep was started again, and after `dal bench verify --quarantine` where it said that
something is damaged. Full disks need the right to mount (root), folders that are read-only
chattr or another user than root; clocks jump in that claims are given other times.

Examples:
  cargo xtask faults                  two minutes of cases
  cargo xtask faults --cases 200      all of them
  cargo xtask faults --case 17        one, its folder kept"
)]
pub struct Args {
    /// How many cases; without, as many as two minutes take.
    #[arg(long)]
    cases: Option<u64>,
    /// Only this case.
    #[arg(long)]
    case: Option<u64>,
    /// The program, instead of building it.
    #[arg(long)]
    dal: Option<PathBuf>,
}

/// Looks for a file that can be spoilt, a twentieth of a second apart.
const LOOKS: usize = 40;
/// Time where no number of cases is given.
const TIME: Duration = Duration::from_secs(120);
/// Starts until a disturbed sweep must be whole.
const MOST_STARTS: usize = 8;

const SWEEP: &str = r#"
name = "faults"
seeds = 2
platform = "portable"
[protocol]
initial = 12
queries = 4
steps = 3
test_points = 50
pool_ratios = [2]
[training]
epochs = 600
members = 2
[[problem]]
id = "sine"
preset = "published"
network = { hidden = [16, 16] }
[[strategy]]
id = "random"
[[strategy]]
id = "gsx"
[[strategy]]
id = "qbc"
"#;

/// Files by name below the folder of runs.
pub type Files = BTreeMap<String, Vec<u8>>;

/// As many cases as two minutes take.
pub fn run_minutes() -> Result<()> {
    run_faults(&Args { cases: None, case: None, dal: None })
}

/// Runs the cases.
pub fn run_faults(args: &Args) -> Result<()> {
    if !cfg!(unix) {
        bail!("processes are disturbed by signals, which Unix has");
    }
    let dal = built_dal(args.dal.as_deref())?;
    let folder = target_dir().join("faults");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::write(folder.join("sweep.toml"), SWEEP)?;
    let undisturbed = folder.join("undisturbed");
    let start = Instant::now();
    if start_one(&dal, &folder, &undisturbed)?.wait()?.code() != Some(0) {
        bail!("the undisturbed sweep failed");
    }
    let (due, takes) = (files(&undisturbed)?, start.elapsed());
    let (mut told, mut failed) = (BTreeMap::<&str, (usize, usize)>::new(), Vec::new());
    let numbers: Vec<u64> = match (args.case, args.cases) {
        (Some(case), _) => vec![case],
        (None, Some(cases)) => (0..cases).collect(),
        (None, None) => (0..10_000).collect(),
    };
    let begun = Instant::now();
    let mut n_cases = 0;
    for number in numbers {
        if args.cases.is_none() && args.case.is_none() && begun.elapsed() > TIME {
            break;
        }
        n_cases += 1;
        let store = folder.join(format!("case-{number}"));
        let case = Case { dal: &dal, folder: &folder, store: &store, takes };
        let (kinds, outcome) = case.go(number, &due)?;
        for kind in kinds {
            let (n, damaged) = told.entry(kind).or_default();
            *n += 1;
            *damaged += usize::from(matches!(outcome, Ok(true)));
        }
        match outcome {
            Ok(_) if args.case.is_none() => fs::remove_dir_all(&store).with_context(|| store.display().to_string())?,
            Ok(_) => {}
            Err(words) => {
                eprintln!("case {number}: {words}");
                failed.push(number);
            }
        }
    }
    eprintln!("{n_cases} cases, {:.0} s", begun.elapsed().as_secs_f64());
    for (kind, (n, damaged)) in told {
        eprintln!("{kind:>24}: {n} times, {damaged} of them in cases where damage was named and set aside");
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{} cases failed: {failed:?} (cargo xtask faults --case N)", failed.len()),
    }
}

struct Case<'a> {
    dal: &'a Path,
    folder: &'a Path,
    store: &'a Path,
    /// How long the undisturbed sweep took.
    takes: Duration,
}

impl Case<'_> {
    /// What was done to it; whether damage was named, or what is wrong with the store.
    fn go(&self, number: u64, due: &Files) -> Result<(Vec<&'static str>, Result<bool, String>)> {
        let mut numbers = Dice(number);
        let disk = if numbers.below(6) == 0 { SmallDisk::mount(self.store)? } else { None };
        let outcome = self.on_its_disk(&mut numbers, disk.as_ref(), due);
        drop(disk);
        outcome
    }

    fn on_its_disk(
        &self,
        numbers: &mut Dice,
        disk: Option<&SmallDisk>,
        due: &Files,
    ) -> Result<(Vec<&'static str>, Result<bool, String>)> {
        let mut runners = Vec::new();
        for _ in 0..=numbers.below(3) {
            runners.push(start_one(self.dal, self.folder, self.store)?);
        }
        let mut kinds = Vec::new();
        for _ in 0..=numbers.below(3) {
            let share = self.takes.as_millis() as u64 / 2;
            thread::sleep(Duration::from_millis(numbers.next() % share.max(1)));
            let one = numbers.below(runners.len());
            kinds.push(self.disturb(numbers, &mut runners, one)?);
        }
        for runner in &mut runners {
            runner.wait()?;
        }
        if let Some(disk) = disk {
            kinds.push("a full disk");
            disk.grow()?;
        }
        let mut named = false;
        for _ in 0..MOST_STARTS {
            let output = self.bench(&["run", "sweep.toml"], true)?;
            if output.status.code() == Some(0) {
                return Ok((kinds, self.compare(due).map(|()| named)));
            }
            // It says what is damaged, and what to do.
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            if !words.contains("--quarantine") {
                return Ok((
                    kinds,
                    Err(format!("ended with {:?} and without a remedy: {words}", output.status.code())),
                ));
            }
            named = true;
            self.bench(&["verify", "--quarantine"], false)?;
        }
        Ok((kinds, Err(format!("was not whole after {MOST_STARTS} starts"))))
    }

    fn bench(&self, args: &[&str], store_is_option: bool) -> Result<std::process::Output> {
        let mut command = Command::new(self.dal);
        command.current_dir(self.folder).arg("bench").args(args);
        if store_is_option {
            command.arg("--store");
        }
        command.arg(self.store).output().context("dal")
    }

    fn disturb(&self, numbers: &mut Dice, runners: &mut Vec<Child>, one: usize) -> Result<&'static str> {
        let id = runners[one].id();
        Ok(match numbers.below(12) {
            0 => {
                runners[one].kill()?;
                "kill -9 of one"
            }
            1 => {
                for runner in runners.iter_mut() {
                    runner.kill()?;
                }
                "kill -9 of all"
            }
            2 => {
                signal("TERM", id)?;
                "SIGTERM"
            }
            3 | 4 => {
                signal("STOP", id)?;
                runners.push(start_one(self.dal, self.folder, self.store)?);
                // Past the age of a claim.
                thread::sleep(Duration::from_millis(1500));
                signal("CONT", id)?;
                "SIGSTOP past a claim"
            }
            5 => self.spoil(numbers, "a file cut short", |bytes, at| bytes.truncate(at))?,
            6 => self.spoil(numbers, "a flipped bit", |bytes, at| bytes[at] ^= 1)?,
            7 => {
                runners.push(start_with_small_files(self.dal, self.folder, self.store)?);
                "files with a limit"
            }
            8 => self.read_only(numbers)?,
            9 => self.set_clocks(numbers)?,
            10 => {
                runners.extend(self.submit_twice()?);
                "two submits"
            }
            _ => {
                runners.push(start_one(self.dal, self.folder, self.store)?);
                "one more start"
            }
        })
    }

    /// For a while nothing can be put into the folder of runs.
    fn read_only(&self, numbers: &mut Dice) -> Result<&'static str> {
        let runs = self.store.join("runs");
        let set = |flag: &str, mode: &str| -> Result<bool> {
            // Root may write whatever the mode says, but not into what is immutable.
            let mut immutable = Command::new("chattr");
            let outcome = immutable.arg(flag).arg(&runs).stderr(Stdio::null()).status();
            Ok(outcome.is_ok_and(|status| status.success())
                || Command::new("chmod").arg(mode).arg(&runs).stderr(Stdio::null()).status()?.success())
        };
        if !set("+i", "555")? {
            return Ok("nothing was there yet");
        }
        thread::sleep(Duration::from_millis(200 + numbers.below(1500) as u64));
        set("-i", "755")?;
        Ok("a folder that is read-only")
    }

    /// Claims get times as if the clock of the file server had jumped.
    fn set_clocks(&self, numbers: &mut Dice) -> Result<&'static str> {
        let to = ["1970-01-02", "2 hours ago", "2 hours", "2099-01-01"][numbers.below(4)];
        for file in fs::read_dir(self.store.join("runs")).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with(".claim-") {
                // -c: one that was given up meanwhile is not made again.
                let mut touch = Command::new("touch");
                touch.args(["-c", "-d", to]).arg(file.path()).stderr(Stdio::null()).status().context("touch")?;
            }
        }
        Ok("a clock that jumped")
    }

    /// Two submissions at the same time; the first task of each is begun.
    fn submit_twice(&self) -> Result<Vec<Child>> {
        let submit = || {
            let mut command = Command::new(self.dal);
            command.current_dir(self.folder).args(["bench", "submit", "sweep.toml", "--executor", "lines", "--store"]);
            command.arg(self.store).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            command.spawn().context("dal")
        };
        let mut begun = Vec::new();
        for submitted in [submit()?, submit()?] {
            let lines = String::from_utf8_lossy(&submitted.wait_with_output()?.stdout).into_owned();
            if let Some(line) = lines.lines().next() {
                let mut command = Command::new("sh");
                command.current_dir(self.folder).args(["-c", &format!("exec {line} --claim-age 1s")]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                begun.push(command.spawn().context("sh")?);
            }
        }
        Ok(begun)
    }

    /// Changes a file of a run, in its place or an attempt.
    fn spoil(&self, numbers: &mut Dice, name: &'static str, how: impl Fn(&mut Vec<u8>, usize)) -> Result<&'static str> {
        let mut all = Vec::new();
        // A start measures its networks first, which takes longer than some disturbances come apart.
        for _ in 0..LOOKS {
            for folder in fs::read_dir(self.store.join("runs")).into_iter().flatten().flatten() {
                all.extend(fs::read_dir(folder.path()).into_iter().flatten().flatten().map(|file| file.path()));
            }
            if !all.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        all.sort();
        if all.is_empty() {
            return Ok("nothing was there yet");
        }
        let path = &all[numbers.below(all.len())];
        if let Ok(mut bytes) = fs::read(path)
            && !bytes.is_empty()
        {
            let at = numbers.below(bytes.len());
            how(&mut bytes, at);
            // Gone meanwhile, with its attempt.
            let _ = fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes));
        }
        Ok(name)
    }

    fn compare(&self, due: &Files) -> Result<(), String> {
        let found = files(self.store).map_err(|error| error.to_string())?;
        if found.keys().ne(due.keys()) {
            let (found, due): (Vec<_>, Vec<_>) = (found.keys().collect(), due.keys().collect());
            return Err(format!("it has the files {found:?}, not {due:?}"));
        }
        match found.iter().find(|(name, bytes)| due[*name] != **bytes) {
            Some((name, _)) => Err(format!("{name} differs")),
            None => Ok(()),
        }
    }
}

fn start_one(dal: &Path, folder: &Path, store: &Path) -> Result<Child> {
    let mut command = Command::new(dal);
    command.current_dir(folder).args(["bench", "run", "sweep.toml", "--jobs", "1", "--claim-age", "1s", "--store"]);
    command.arg(store).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("dal")
}

/// One whose files may not grow beyond a few kilobytes: writes are refused in their middle.
fn start_with_small_files(dal: &Path, folder: &Path, store: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]).arg(dal);
    command.args(["bench", "run", "sweep.toml", "--jobs", "1", "--claim-age", "1s", "--store"]).arg(store);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("sh")
}

/// A file system of its own with little room, at the store's place.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Less than the sweep takes.
    const ROOM: &'static str = "size=96k";

    /// `None` where the rights to mount are missing.
    fn mount(at: &'a Path) -> Result<Option<Self>> {
        fs::create_dir(at).with_context(|| at.display().to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", Self::ROOM, "dal-faults"]).arg(at).stderr(Stdio::null());
        Ok(mount.status().is_ok_and(|status| status.success()).then_some(Self(at)))
    }

    /// Room was made.
    fn grow(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "remount,size=64m"]).arg(self.0))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A process that has ended takes none.
fn signal(name: &str, id: u32) -> Result<()> {
    Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status().context("kill")?;
    Ok(())
}

/// The files of results, and by name alone whatever else lies among the runs.
pub fn files(store: &Path) -> Result<Files> {
    let mut files = Files::new();
    let runs = store.join("runs");
    for run in fs::read_dir(&runs).with_context(|| runs.display().to_string())? {
        let run = run?;
        let name = run.file_name().to_string_lossy().into_owned();
        files.insert(name.clone(), Vec::new());
        for file in ["spec.json", "records.jsonl", "queries.npy", "footer.json"] {
            if let Ok(bytes) = fs::read(run.path().join(file)) {
                files.insert(format!("{name}/{file}"), bytes);
            }
        }
    }
    Ok(files)
}
