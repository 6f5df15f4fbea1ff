//! `cargo xtask fuzz`: throws command lines, files and environments at `dal`; it may refuse them, but never crash.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{built_dal, target_dir};

/// What is thrown, and for how long.
#[derive(clap::Args)]
#[command(after_help = "Every case is named by its seed and number, so that it can be thrown again:

  cargo xtask fuzz                        a minute: four fixed seeds, and one that is printed
  cargo xtask fuzz --seed 7 --seconds 600
  cargo xtask fuzz --seed 7 --case 123    one case, its folder kept

A panic (exit code 101), an abort (134), and every end by a signal are failures; a case that runs
for ten seconds is ended and is none.")]
pub struct Args {
    /// Seconds in all.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this case of the seed.
    #[arg(long, requires = "seed")]
    case: Option<u64>,
    /// The program to throw at [default: built now].
    #[arg(long, value_name = "PATH")]
    dal: Option<PathBuf>,
}

/// Thrown in every run.
const FIXED: [u64; 4] = [1, 2, 3, 4];
/// A case that runs longer is ended; not everything that is thrown is small.
const LIMIT: Duration = Duration::from_secs(10);
/// Virtual memory of a case, KiB: what asks for more has to be told so, not to abort.
const MEMORY_KIB: u64 = 6 << 20;

/// As a stage of `ci --full`.
pub fn run_minute() -> Result<()> {
    run_fuzz(&Args { seconds: 60, seed: None, case: None, dal: None })
}

/// Throws cases until the time is over.
pub fn run_fuzz(args: &Args) -> Result<()> {
    if !cfg!(unix) {
        bail!("the limit of memory needs a Unix shell");
    }
    // In the development profile, where arithmetic that overflows is a panic.
    let dal = built_dal(args.dal.as_deref())?;
    let random = RandomState::new().build_hasher().finish();
    let seeds = args.seed.map_or_else(|| FIXED.into_iter().chain([random]).collect(), |seed| vec![seed]);
    let share = Duration::from_secs(args.seconds) / u32::try_from(seeds.len()).unwrap_or(1);
    let (mut cases, mut ended, mut failed) = (0, 0, Vec::new());
    for seed in seeds {
        eprintln!("seed {seed}{}", if args.seed.is_none() && seed == random { ", drawn now" } else { "" });
        let start = Instant::now();
        for number in args.case.unwrap_or(0).. {
            if start.elapsed() >= share && args.case.is_none() {
                break;
            }
            let folder = target_dir().join("fuzz").join(format!("{seed}-{number}"));
            let outcome = Case::new(seed, number).throw(&dal, &folder)?;
            cases += 1;
            match outcome {
                Outcome::Fine => {}
                Outcome::Ended => ended += 1,
                Outcome::Crashed(words) => {
                    eprintln!("{words}");
                    failed.push(format!("--seed {seed} --case {number}"));
                }
            }
            if args.case.is_some() {
                eprintln!("its folder: {}", folder.display());
                break;
            }
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
            fs::remove_file(folder.with_extension("log"))?;
        }
    }
    eprintln!("{cases} cases, {ended} of them ended after {} s, {} crashed", LIMIT.as_secs(), failed.len());
    if !failed.is_empty() {
        bail!("crashed: {}", failed.join("; "));
    }
    Ok(())
}

enum Outcome {
    Fine,
    Ended,
    Crashed(String),
}

/// A SplitMix64 generator (Steele, Lea and Flood 2014): no more is needed to be odd.
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below n; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Once in n times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// Numbers at the edges of everything.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "100",
    "65536",
    "1000000",
    "10000000",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e6",
    "1e18",
    "1e308",
    "1e400",
    "-1e300",
    "0.5",
    "1e-320",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_000",
    "+5",
    " 4",
    "",
];
/// Words that stand where others are due.
const WORDS: &[&str] = &[
    "",
    " ",
    "-",
    "--",
    "x",
    "é",
    "e\u{301}",
    "\u{1f600}",
    "\u{202e}abc",
    "a=b",
    "=1+1",
    "/dev/null",
    ".",
    "x/../y",
    "%s%n",
    "\"",
    "'",
    "a\nb",
    "a\tb",
    "CON",
    "sine?order=2",
    "sine",
    "[",
    "{}",
    "null",
    "\\",
    "none",
    "1,2,3",
    ",",
];
const PROBLEMS: &[&str] = &["sine", "hydro", "bessel", "damp", "foil", "robo", "table.toml", "stack"];
const STRATEGIES: &[&str] = &[
    "random",
    "gsx",
    "gsy",
    "gsxy",
    "qbc",
    "qbc-diversity",
    "qbc-diversity-density",
    "bald",
    "emoc",
    "learning-loss",
    "dacs",
    "cluster-variance",
];
const FILES: &[&str] = &[
    "x.csv",
    "y.csv",
    "pool.csv",
    "members.npy",
    "sweep.toml",
    "table.toml",
    "table.csv",
    "empty",
    "folder",
    "absent",
    "noise",
];
const SETTINGS: &[&str] = &[
    "order=2",
    "scaling=raw",
    "k=3",
    "n_passes=2",
    "rate=0.1",
    "weight=1",
    "n_layers=2",
    "width=3",
    "n_parameters=10",
    "seed=1",
    "fraction=0.5",
    "n_neighbours=5",
];

/// One thing to throw.
struct Case {
    dice: Dice,
}

impl Case {
    fn new(seed: u64, number: u64) -> Self {
        let mut dice = Dice(seed);
        let start = dice.next();
        Self { dice: Dice(start ^ number.wrapping_mul(0xd134_2543_de82_ef95)) }
    }

    fn throw(mut self, dal: &Path, folder: &Path) -> Result<Outcome> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder.join("folder"))?;
        for (name, bytes) in files() {
            fs::write(folder.join(name), bytes)?;
        }
        let args = self.args();
        let needs_store = args.iter().any(|arg| arg == "store");
        let mut said = String::new();
        if needs_store && !self.dice.once_in(4) {
            let sweep = ["bench", "run", "sweep.toml", "--store", "store", "--jobs", "1"].map(OsString::from);
            let made = in_folder(dal, folder, &sweep, &[])?;
            if let Outcome::Crashed(words) = made {
                bail!("the plain sweep crashes: {words}");
            }
        }
        if args.iter().any(|arg| arg == "camp") && args.first().is_none_or(|verb| verb != "new") {
            let campaign =
                ["new", "camp", "--problem", "table.toml", "--initial", "3", "--batch", "2"].map(OsString::from);
            if let Outcome::Crashed(words) = in_folder(dal, folder, &campaign, &[])? {
                bail!("a plain campaign crashes: {words}");
            }
        }
        for _ in 0..[0, 1, 1, 2][self.dice.below(4)] {
            if let Some(path) = self.spoil(folder)? {
                let _ = write!(said, " [{} spoilt]", path.strip_prefix(folder).unwrap_or(&path).display());
            }
        }
        let environment = self.environment();
        Ok(match in_folder(dal, folder, &args, &environment)? {
            Outcome::Crashed(words) => Outcome::Crashed(format!("dal {args:?}{said} {environment:?}\n{words}")),
            other => other,
        })
    }

    fn number(&mut self, good: &[&str]) -> OsString {
        if self.dice.once_in(5) { self.dice.pick(NUMBERS).into() } else { self.dice.pick(good).into() }
    }

    fn word(&mut self, good: &[&str]) -> OsString {
        match self.dice.below(20) {
            0 => self.dice.pick(WORDS).into(),
            1 => not_unicode(),
            2 => self.dice.pick(FILES).into(),
            3 if self.dice.once_in(3) => "a".repeat(70_000).into(),
            _ => self.dice.pick(good).into(),
        }
    }

    /// Options with their values, each there or not.
    fn options(&mut self, args: &mut Vec<OsString>, options: &[(&str, &[&str], bool)]) {
        for (option, good, is_number) in options {
            if !self.dice.once_in(3) {
                continue;
            }
            args.push((*option).into());
            if !good.is_empty() {
                args.push(if *is_number { self.number(good) } else { self.word(good) });
            }
        }
    }

    fn args(&mut self) -> Vec<OsString> {
        let formats: &[&str] = &["json", "csv", "table"];
        let mut args: Vec<OsString> = Vec::new();
        match self.dice.below(21) {
            0 => {
                args.push("problems".into());
                self.options(&mut args, &[("--format", formats, false)]);
                args.push(self.word(PROBLEMS));
            }
            1 => {
                args.push("strategies".into());
                self.options(&mut args, &[("--format", formats, false)]);
                args.push(self.word(STRATEGIES));
            }
            2..=4 => {
                args.extend(["label".into(), self.word(PROBLEMS), "--input".into(), self.word(&["x.csv", "pool.csv"])]);
                self.options(&mut args, &[("--out", &["out.csv"], false), ("--set", SETTINGS, false)]);
            }
            5..=8 => {
                args.extend(["select".into(), self.word(STRATEGIES)]);
                for (option, good) in [("--labelled-x", "x.csv"), ("--labelled-y", "y.csv"), ("--pool", "pool.csv")] {
                    args.extend([option.into(), self.word(&[good])]);
                }
                args.extend(["-n".into(), self.number(&["1", "2", "5"])]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("--members", &["members.npy"], false),
                    ("--seed", &["0", "5"], true),
                    ("--set", SETTINGS, false),
                    ("--format", &["rows", "csv", "json"], false),
                ];
                self.options(&mut args, more);
            }
            9..=11 => {
                args.extend(["bench".into(), "run".into(), self.word(&["sweep.toml"]), "--store".into()]);
                args.push(self.word(&["store", "new"]));
                let more: &[(&str, &[&str], bool)] = &[
                    ("--jobs", &["1", "2", "4"], true),
                    ("--engine", &["cpu", "tch"], false),
                    ("--device", &["cpu", "cuda:0"], false),
                    ("--together", &["1", "3"], true),
                    ("--plan", &[], false),
                    ("--retry-failed", &[], false),
                    ("--format", formats, false),
                ];
                self.options(&mut args, more);
            }
            12 => {
                args.extend(["bench".into(), "verify".into(), self.word(&["store"])]);
                let more: &[(&str, &[&str], bool)] =
                    &[("--quarantine", &[], false), ("--jobs", &["2"], true), ("--format", formats, false)];
                self.options(&mut args, more);
            }
            13 => {
                args.extend([
                    "bench".into(),
                    "export".into(),
                    self.word(&["store"]),
                    "--out".into(),
                    self.word(&["tables"]),
                ]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("--format", &["csv", "csv.gz", "parquet"], false),
                    ("--digits", &["3", "9", "17"], true),
                    ("--tables", &["runs", "runs,entries,sweeps,circumstances"], false),
                    ("--problem", &["table.toml"], false),
                ];
                self.options(&mut args, more);
            }
            14 => {
                args.extend([
                    "report".into(),
                    self.word(&["store"]),
                    "--out".into(),
                    self.word(&["report", "store/report"]),
                ]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("--smooth", &["0.5", "1"], true),
                    ("--from-first-step", &[], false),
                    ("--compare", &["store"], false),
                ];
                self.options(&mut args, more);
            }
            15 => {
                args.extend(["tune".into(), self.word(&["sine", "table.toml"]), "--plan".into()]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("--points", &["20", "20,40"], true),
                    ("--validation", &["20"], true),
                    ("--budget", &["0.01"], true),
                    ("--jobs", &["2"], true),
                    ("--out", &["out"], false),
                    ("--depths", &["1,2"], true),
                    ("--widths", &["4,8"], true),
                    ("--learning-rates", &["1e-3"], true),
                    ("--weight-decays", &["0,1e-4"], true),
                    ("--max-parameters", &["1000"], true),
                    ("--epochs", &["3"], true),
                    ("--members", &["2"], true),
                    ("--seeds", &["1"], true),
                    ("--test-points", &["20"], true),
                    ("--proof-points", &["20"], true),
                    ("--proof-seeds", &["1"], true),
                ];
                self.options(&mut args, more);
            }
            16 => {
                args.extend(["design".into(), self.word(&["sine", "table.toml", "camp"]), "-n".into()]);
                args.push(self.number(&["3", "20"]));
                let more: &[(&str, &[&str], bool)] = &[
                    ("--method", &["lhs", "sobol", "uniform"], false),
                    ("--seed", &["1"], true),
                    ("--constraint", &["speed > 0", "speed^2 < 1e3 and not speed == 2"], false),
                    ("--format", &["csv", "json"], false),
                ];
                self.options(&mut args, more);
            }
            17 | 18 => {
                args.extend(["new".into(), self.word(&["camp"]), "--problem".into(), self.word(&["table.toml"])]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("--initial", &["3", "4"], true),
                    ("--batch", &["2"], true),
                    ("--budget", &["9"], true),
                    ("--seed", &["1"], true),
                    ("--strategy", STRATEGIES, false),
                ];
                self.options(&mut args, more);
            }
            19 => {
                let verbs = ["ask", "tell", "status", "predict", "run", "undo", "withdraw", "export"];
                args.extend([self.dice.pick(&verbs).into(), self.word(&["camp"])]);
                let more: &[(&str, &[&str], bool)] = &[
                    ("-n", &["2"], true),
                    ("--budget", &["6"], true),
                    ("--parallel", &["2"], true),
                    ("--format", &["csv", "json", "table"], false),
                    ("--fix", &["speed=1"], false),
                ];
                self.options(&mut args, more);
                if self.dice.once_in(2) {
                    args.push(self.word(&["x.csv", "table.csv"]));
                }
            }
            _ => {
                for _ in 0..self.dice.below(6) {
                    let commands =
                        ["bench", "run", "report", "--help", "-V", "label", "--store", "--format=json", "-n"];
                    args.push(self.word(&commands));
                }
            }
        }
        // One argument too many, too few, twice, or elsewhere.
        if self.dice.once_in(8) && !args.is_empty() {
            let at = self.dice.below(args.len());
            match self.dice.below(3) {
                0 => drop(args.remove(at)),
                1 => args.insert(at, args[at].clone()),
                _ => args.insert(at, self.dice.pick(WORDS).into()),
            }
        }
        args
    }

    fn environment(&mut self) -> Vec<(&'static str, OsString)> {
        let mut environment = Vec::new();
        for name in
            ["COLUMNS", "LINES", "TERM", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR", "NO_COLOR", "CLICOLOR_FORCE", "DAL"]
        {
            if self.dice.once_in(5) {
                let value = match self.dice.below(4) {
                    0 => self.dice.pick(NUMBERS).into(),
                    1 => not_unicode(),
                    2 => "dumb".into(),
                    _ => self.dice.pick(WORDS).into(),
                };
                environment.push((name, value));
            }
        }
        environment
    }

    /// Changes one file somewhere below the folder; returns which.
    fn spoil(&mut self, folder: &Path) -> Result<Option<PathBuf>> {
        let mut all = Vec::new();
        below(folder, &mut all)?;
        all.sort();
        if all.is_empty() {
            return Ok(None);
        }
        let path = all[self.dice.below(all.len())].clone();
        let mut bytes = fs::read(&path)?;
        let at = self.dice.below(bytes.len());
        match self.dice.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.dice.below(8),
            1 => bytes.truncate(at),
            2 => bytes.splice(at..at, [0xff, 0xfe, b'"', b',', b'\n'].iter().copied()).for_each(drop),
            3 => {
                fs::remove_file(&path)?;
                fs::create_dir(&path)?;
                return Ok(Some(path));
            }
            4 | 5 => bytes = self.other_number(&bytes),
            _ => {
                let mut lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
                let (one, other) = (self.dice.below(lines.len()), self.dice.below(lines.len()));
                if self.dice.once_in(2) {
                    lines.swap(one, other);
                } else {
                    lines.insert(one, lines[other]);
                }
                bytes = lines.join(&b'\n');
            }
        }
        fs::write(&path, bytes)?;
        Ok(Some(path))
    }

    /// Puts another number where one stands.
    fn other_number(&mut self, bytes: &[u8]) -> Vec<u8> {
        let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
        let starts: Vec<usize> = (0..bytes.len()).filter(|&i| is_digit(i) && (i == 0 || !is_digit(i - 1))).collect();
        if starts.is_empty() {
            return bytes.to_vec();
        }
        let start = starts[self.dice.below(starts.len())];
        let end = (start..bytes.len()).find(|&i| !is_digit(i)).unwrap_or(bytes.len());
        [&bytes[..start], self.dice.pick(NUMBERS).as_bytes(), &bytes[end..]].concat()
    }
}

#[cfg(unix)]
fn not_unicode() -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(vec![b's', 0xff, 0xfe, b'.', b'c', b's', b'v'])
}
#[cfg(not(unix))]
fn not_unicode() -> OsString {
    "s".into()
}

/// Every file below a folder.
fn below(folder: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { below(&path, all)? } else { all.push(path) }
    }
    Ok(())
}

/// The files that every case begins with.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut members =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3, 6, 1), }".to_vec();
    members.resize(127, b' ');
    members.push(b'\n');
    for i in 0..18 {
        members.extend((f64::from(i) * 0.37 % 1.0).to_le_bytes());
    }
    let table: String = (0..40).map(|i| format!("{},{},{}\n", i, ["a", "b"][i % 2], i * i)).collect();
    let problem = "name = \"table\"\n[[inputs]]\nname = \"speed\"\n[[inputs]]\nname = \"kind\"\nlevels = [\"a\", \"b\"]\n\
                   [[outputs]]\nname = \"lift\"\n[oracle.table]\nfile = \"table.csv\"\n\
                   [network]\nhidden = [4]\nmembers = 2\nepochs = 2\n";
    let sweep = "name = \"fuzz\"\nseeds = 1\nlooks = [{ seeds = 10, level = 0.02 }]\n[protocol]\ninitial = 4\nqueries = 2\n\
                 steps = 2\ntest_points = 10\npool_ratios = [2]\n[training]\nepochs = 2\nmembers = 2\nlearning_rate = 1e-3\n\
                 [[problem]]\nid = \"sine\"\nnetwork = { hidden = [4, 4], batch_norm = false }\n\
                 [[problem]]\nid = \"table.toml\"\nprotocol = { steps = 1 }\n\
                 [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"gsx\"\n[[strategy]]\nid = \"qbc\"\n\
                 [[strategy]]\nid = \"bald\"\nsettings = { n_passes = 3 }\n";
    vec![
        ("x.csv", b"x0,x1\n0.1,0.2\n0.3,-0.4\n-0.5,0.9\n".to_vec()),
        ("y.csv", b"y\n1\n2\n-3\n".to_vec()),
        ("pool.csv", b"x0,x1\n0.5,0.5\n0.25,0.1\n-1,1\n0,0\n0,0\n0.7,-0.2\n".to_vec()),
        ("members.npy", members),
        ("table.csv", format!("speed,kind,lift\n{table}").into_bytes()),
        ("table.toml", problem.into()),
        ("sweep.toml", sweep.into()),
        ("empty", Vec::new()),
        ("noise", (0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()),
    ]
}

/// Runs `dal` with limited memory and time.
fn in_folder(dal: &Path, folder: &Path, args: &[OsString], environment: &[(&str, OsString)]) -> Result<Outcome> {
    // Beside the folder, whose files are spoilt.
    let log = folder.with_extension("log");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; ulimit -c 0; exec \"$@\""), "sh"]).arg(dal).args(args);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
    // The words of a crash, not the way to it.
    command.env("RUST_BACKTRACE", "0");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    // An argument that the system does not take is thrown at nothing.
    let Ok(mut child) = command.spawn() else { return Ok(Outcome::Fine) };
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Ended);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Ok(match status.code() {
        Some(101 | 134) | None => {
            let words = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
            let tail: Vec<&str> = words.lines().rev().take(12).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            Outcome::Crashed(format!("{status}: {}", tail.join("\n")))
        }
        Some(_) => Outcome::Fine,
    })
}
