//! An oracle that is a program: it gets points as CSV in physical units and prints their outputs as CSV.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dal_core::{LabelFailureKind, OnRow, Oracle, OracleError, check_unit_box};
use ndarray::ArrayView2;
use sha2::{Digest, Sha256};

use super::answers::{Again, Answer, Answers, End, Shape, excerpt};
use super::inputs::Inputs;

/// How often a running call is looked at when it says nothing.
const TICK: Duration = Duration::from_millis(20);
/// How long the pipes of a program that has ended are listened to, where something else still holds them open.
const GRACE: Duration = Duration::from_secs(10);
/// How much of the program's last words is kept for messages.
const LAST_WORDS: usize = 2_000;

/// The calls under way in this whole process.
static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { groups: BTreeSet::new(), folders: BTreeSet::new() });

struct UnderWay {
    /// Process groups of the programs.
    groups: BTreeSet<u32>,
    /// Folders of their files.
    folders: BTreeSet<PathBuf>,
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every program that this process is calling, with its helpers, and removes their files: for whoever ends the process at
/// once, on Ctrl-C say. A program has a process group of its own, so that the terminal's Ctrl-C does not reach it.
///
/// The calls fail, and no other can be started from then on.
pub fn end_all_calls() {
    let calls = under_way();
    #[cfg(unix)]
    calls.groups.iter().for_each(|&group| kill_group(group));
    for folder in &calls.folders {
        // What was killed may take a moment to be gone and write on; what stays then, stays, with nobody left to be told.
        for _ in 0..50 {
            if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    // Held for ever: a call that is about to start waits for the end of the process.
    std::mem::forget(calls);
}

#[cfg(unix)]
fn kill_group(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group is gone already where every member ended and was reaped.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// How points reach the program and answers come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// Points on stdin, answers on stdout.
    #[default]
    Stdin,
    /// Points in a file, answers in another: the arguments `{input}` and `{output}` stand for their paths.
    Files,
}

/// How a program is called.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// The program and its arguments; no shell is involved.
    pub program: Vec<String>,
    /// The folder it runs in.
    pub directory: PathBuf,
    /// How points and answers travel.
    pub exchange: Exchange,
    /// Whether the answer begins with a header.
    pub header: bool,
    /// The most points in one call; all of them, spread over the parallel calls, if none.
    pub rows_per_call: Option<usize>,
    /// The most calls at one time.
    pub parallel: usize,
    /// How long one call may take.
    pub time_limit: Duration,
    /// How often a row without a label is tried again, each time in a call of its own.
    pub retries: usize,
    /// A file to which everything is appended that the program writes to stderr.
    pub stderr_file: Option<PathBuf>,
}

/// The oracle that calls a program.
#[derive(Debug)]
pub struct CommandOracle {
    settings: CommandSettings,
    inputs: Inputs,
    outputs: Vec<String>,
}

enum Event {
    Row(usize, Answer, Again),
    /// The program cannot be started at all.
    Unavailable(String),
}

enum Piece {
    Answer(Vec<u8>),
    Words(Vec<u8>),
}

impl CommandOracle {
    pub(super) fn new(settings: CommandSettings, inputs: Inputs, outputs: Vec<String>) -> Self {
        Self { settings, inputs, outputs }
    }

    /// Calls the program for each group of rows, several at a time, and hands out rows as they are settled.
    fn run_round(
        &self,
        lines: &[String],
        groups: VecDeque<Vec<usize>>,
        on_event: &mut dyn FnMut(usize, Answer, Again),
    ) -> Result<(), OracleError> {
        let n_workers = self.settings.parallel.min(groups.len());
        let (queue, abandoned) = (Mutex::new(groups), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let mut unavailable = None;
        thread::scope(|scope| {
            // Also when `on_event` panics: the calls under way end instead of being waited for.
            let _abandon = SetOnDrop(&abandoned);
            for _ in 0..n_workers {
                let (sender, queue, abandoned) = (sender.clone(), &queue, &abandoned);
                scope.spawn(move || {
                    while !abandoned.load(Ordering::Relaxed) {
                        let Some(rows) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                            break;
                        };
                        self.call(lines, &rows, &sender, abandoned);
                    }
                });
            }
            drop(sender);
            for event in &receiver {
                match event {
                    Event::Row(row, answer, again) => on_event(row, answer, again),
                    Event::Unavailable(message) => {
                        abandoned.store(true, Ordering::Relaxed);
                        unavailable.get_or_insert(message);
                    }
                }
            }
        });
        unavailable.map_or(Ok(()), |message| Err(OracleError::Unavailable { message }))
    }

    /// One call: `rows` are the positions of its points in the batch.
    fn call(&self, lines: &[String], rows: &[usize], events: &Sender<Event>, abandoned: &AtomicBool) {
        let mut csv = self.inputs.header();
        rows.iter().for_each(|&row| csv.push_str(&lines[row]));
        let mut running = match self.start(csv) {
            Ok(running) => running,
            Err(message) => {
                let _ = events.send(Event::Unavailable(message));
                return;
            }
        };
        let shape = Shape { outputs: &self.outputs, header: self.settings.header, n_rows: rows.len() };
        let mut answers = Answers::new(shape);
        // The receiver outlives the calls unless it panics, and then nobody wants the rows.
        let settle = |row: usize, answer: Answer, again: Again| drop(events.send(Event::Row(rows[row], answer, again)));
        let mut on_row = |row: usize, answer: Answer| settle(row, answer, Again::Useful);
        let stop = running.listen(&mut answers, &mut on_row, self.settings.time_limit, abandoned);
        let (status, words) = running.end(&mut answers, &mut on_row, &stop);
        let end = describe_end(&stop, &status, words, self.settings.time_limit);
        answers.finish(&end, &mut |row, answer, again| settle(row, answer, again));
    }

    fn start(&self, csv: String) -> Result<Running, String> {
        let settings = &self.settings;
        let exchange = match settings.exchange {
            Exchange::Stdin => None,
            Exchange::Files => Some(Files::write(&settings.directory, &csv).map_err(|e| {
                format!("the folder {} cannot take the points' file: {e}", settings.directory.display())
            })?),
        };
        let argument = |text: &String| -> OsString {
            let Some(files) = &exchange else { return text.into() };
            let path = |file: &Path| file.to_string_lossy().into_owned();
            text.replace("{input}", &path(&files.input)).replace("{output}", &path(&files.output)).into()
        };
        // A relative path is meant from the folder the program runs in; a bare name is looked for as a shell does.
        let program = match Path::new(&settings.program[0]) {
            path if path.components().count() > 1 => settings.directory.join(path).into_os_string(),
            path => path.as_os_str().to_owned(),
        };
        let mut command = Command::new(&program);
        command.args(settings.program[1..].iter().map(argument)).current_dir(&settings.directory);
        command.stdin(if exchange.is_none() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that a time limit ends the program's helpers too.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let log = match &settings.stderr_file {
            None => None,
            Some(path) => Some(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|e| format!("{}: {e}", path.display()))?,
            ),
        };
        let child = {
            // Under the lock, so that no call starts while all are being ended.
            let mut calls = under_way();
            let child = command.spawn();
            if let Ok(child) = &child {
                calls.groups.insert(child.id());
            }
            child.map_err(|e| format!("the program {} cannot be started: {e}", program.display()))?
        };
        let mut running = Running { child, pieces: None, files: exchange, words: Vec::new(), reaped: false };
        running
            .connect(csv, log)
            .map_err(|e| format!("the program {} cannot be listened to: {e}", program.display()))?;
        Ok(running)
    }
}

impl Oracle for CommandOracle {
    fn n_inputs(&self) -> usize {
        self.inputs.space().n_columns()
    }

    fn n_outputs(&self) -> usize {
        self.outputs.len()
    }

    fn label(&self, x: ArrayView2<'_, f64>, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        let lines = x
            .outer_iter()
            .map(|point| self.inputs.csv_line(point))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| OracleError::Unavailable { message: e.to_string() })?;
        let mut pending: Vec<usize> = (0..x.nrows()).collect();
        for attempt in 0..=self.settings.retries {
            let last = attempt == self.settings.retries;
            let share = pending.len().div_ceil(self.settings.parallel.max(1)).max(1);
            // A row that takes a whole call down with it must not do so twice.
            let size = if attempt == 0 { self.settings.rows_per_call.unwrap_or(share).min(share) } else { 1 };
            let groups = pending.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
            let mut failed = Vec::new();
            self.run_round(&lines, groups, &mut |row, answer, again| match answer {
                Ok(values) => on_row(row, Ok(&values)),
                Err(failure) if last || again == Again::WouldHide => on_row(row, Err(failure)),
                Err(_) => failed.push(row),
            })?;
            failed.sort_unstable();
            pending = failed;
            if pending.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// Why listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Exited,
    TimedOut,
    /// What it prints is no answer any more.
    Senseless,
    /// Nobody wants the answer any more.
    Abandoned,
}

fn describe_end(stop: &Stop, status: &io::Result<ExitStatus>, words: String, time_limit: Duration) -> End {
    let end = |kind, orderly, how: String| End { kind, orderly, how, words: words.clone() };
    match (stop, status) {
        (Stop::TimedOut, _) => {
            end(LabelFailureKind::TimedOut, false, format!("was stopped at the time limit of {time_limit:?}"))
        }
        (Stop::Abandoned, _) => end(LabelFailureKind::Missing, false, "was stopped".into()),
        (Stop::Senseless, _) => end(LabelFailureKind::Malformed, false, "was stopped".into()),
        (Stop::Exited, Ok(status)) if status.success() => end(LabelFailureKind::Missing, true, "ended".into()),
        (Stop::Exited, Ok(status)) => end(LabelFailureKind::Crashed, false, describe_status(*status)),
        (Stop::Exited, Err(e)) => end(LabelFailureKind::Crashed, false, format!("ended, its status unknown ({e})")),
    }
}

fn describe_status(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was killed by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("ended with exit status {code}"),
        None => "ended abnormally".into(),
    }
}

/// A started program. However this ends, the program and its group end with it, and nothing is left to be reaped.
struct Running {
    child: Child,
    pieces: Option<Receiver<Piece>>,
    files: Option<Files>,
    words: Vec<u8>,
    reaped: bool,
}

impl Running {
    /// Starts the threads that write the points and read what the program prints.
    fn connect(&mut self, csv: String, log: Option<File>) -> io::Result<()> {
        let (sender, receiver) = mpsc::sync_channel(64);
        if let Some(mut stdin) = self.child.stdin.take() {
            // A program that reads only part of its input is heard all the same.
            thread::Builder::new().spawn(move || drop(stdin.write_all(csv.as_bytes())))?;
        }
        let by_files = self.files.is_some();
        if let Some(stdout) = self.child.stdout.take() {
            let wrap = if by_files { Piece::Words } else { Piece::Answer };
            let sender = sender.clone();
            thread::Builder::new().spawn(move || pump(stdout, None, wrap, &sender))?;
        }
        if let Some(stderr) = self.child.stderr.take() {
            thread::Builder::new().spawn(move || pump(stderr, log, Piece::Words, &sender))?;
        }
        self.pieces = Some(receiver);
        Ok(())
    }

    /// Takes answers until the program ends, its time is up, or there is no sense in listening on.
    fn listen(
        &mut self,
        answers: &mut Answers<'_>,
        on_row: &mut dyn FnMut(usize, Answer),
        time_limit: Duration,
        abandoned: &AtomicBool,
    ) -> Stop {
        // A limit too long for the clock is no limit that anybody lives to see.
        let deadline = Instant::now().checked_add(time_limit);
        loop {
            let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Stop::TimedOut;
            }
            if abandoned.load(Ordering::Relaxed) {
                return Stop::Abandoned;
            }
            if !self.take_piece(left.min(TICK), answers, on_row) {
                return Stop::Senseless;
            }
            if self.has_exited() {
                return Stop::Exited;
            }
        }
    }

    /// Waits for one piece and uses it; false if it makes listening on senseless.
    fn take_piece(&mut self, wait: Duration, answers: &mut Answers<'_>, on_row: &mut dyn FnMut(usize, Answer)) -> bool {
        match self.pieces.as_ref().map(|pieces| pieces.recv_timeout(wait)) {
            Some(Ok(Piece::Answer(bytes))) => return answers.feed(&bytes, on_row),
            Some(Ok(Piece::Words(bytes))) => {
                self.words.extend(bytes);
                let surplus = self.words.len().saturating_sub(2 * LAST_WORDS);
                self.words.drain(..surplus);
            }
            Some(Err(RecvTimeoutError::Timeout)) => {}
            // Both pipes are closed; the program itself may take a moment longer.
            Some(Err(RecvTimeoutError::Disconnected)) => {
                self.pieces = None;
                thread::sleep(wait.min(Duration::from_millis(1)));
            }
            None => thread::sleep(wait.min(Duration::from_millis(2))),
        }
        self.files.as_mut().is_none_or(|files| files.read_on(answers, on_row) != Look::Senseless)
    }

    /// Ends the group, takes what is still in the pipes, and reaps the program.
    fn end(
        &mut self,
        answers: &mut Answers<'_>,
        on_row: &mut dyn FnMut(usize, Answer),
        stop: &Stop,
    ) -> (io::Result<ExitStatus>, String) {
        self.kill();
        let deadline = Instant::now() + GRACE;
        // A helper that left the group can hold a pipe open for ever; it gets a moment, not more.
        while self.pieces.is_some() && Instant::now() < deadline {
            self.take_piece(TICK, answers, on_row);
        }
        if let Some(files) = &mut self.files {
            while *stop != Stop::Senseless && files.read_on(answers, on_row) == Look::More {}
            // Also where an answer made no sense: it may be the middle of a line that was begun anew.
            files.check(answers);
        }
        (self.reap(), last_words(&self.words))
    }

    /// Waits for the program, after which its number may be anybody's.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        under_way().groups.remove(&self.child.id());
        self.reaped = true;
        self.child.wait()
    }

    /// Whether the program has ended; it stays unreaped, so that its number, and its group's, cannot be anybody else's.
    #[cfg(unix)]
    fn has_exited(&mut self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    #[cfg(not(unix))]
    fn has_exited(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    #[cfg(unix)]
    fn kill(&mut self) {
        kill_group(self.child.id());
    }

    #[cfg(not(unix))]
    fn kill(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `end` the program is reaped and its number may be another's: then there is nothing to kill.
        if !self.reaped {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// Sends on what it reads until the pipe closes or nobody listens.
fn pump(mut from: impl Read, mut log: Option<File>, wrap: fn(Vec<u8>) -> Piece, to: &SyncSender<Piece>) {
    let mut buffer = vec![0; 1 << 14];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                if let Some(log) = &mut log {
                    // A full disk must not cost labels: the last words are kept in memory as well.
                    let _ = log.write_all(&buffer[..n]);
                }
                if to.send(wrap(buffer[..n].to_vec())).is_err() {
                    break;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// The end of what the program said, in back quotes; empty if it said nothing.
fn last_words(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(LAST_WORDS);
    let text = String::from_utf8_lossy(&bytes[start..]);
    let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
    lines.reverse();
    if lines.is_empty() {
        String::new()
    } else {
        format!("`{}`", lines.iter().map(|l| excerpt(l)).collect::<Vec<_>>().join(" | "))
    }
}

/// The two files of a call, in a folder that vanishes with it.
struct Files {
    folder: PathBuf,
    input: PathBuf,
    output: PathBuf,
    read: u64,
    /// Of what was read.
    digest: Sha256,
    /// Whether the answer file was seen shorter than what was read of it.
    shrunk: bool,
}

/// What a look into the answer file brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    More,
    Nothing,
    /// It makes no sense to look again.
    Senseless,
}

impl Files {
    fn write(directory: &Path, csv: &str) -> io::Result<Self> {
        // Absolute, because the program may change its folder.
        let directory = std::path::absolute(directory)?;
        let folder = {
            // Under the lock, so that no folder is made while all are being removed.
            let mut calls = under_way();
            let folder = tempfile::Builder::new().prefix(".dal-call-").tempdir_in(directory)?.keep();
            calls.folders.insert(folder.clone());
            folder
        };
        let (input, output) = (folder.join("input.csv"), folder.join("output.csv"));
        let files = Self { folder, input, output, read: 0, digest: Sha256::new(), shrunk: false };
        std::fs::write(&files.input, csv)?;
        Ok(files)
    }

    /// Uses what the answer file has grown by, at most a megabyte at a time.
    fn read_on(&mut self, answers: &mut Answers<'_>, on_row: &mut dyn FnMut(usize, Answer)) -> Look {
        // No file yet, or a read that failed: what was read counts, the rest comes with the next look.
        let Ok(mut file) = File::open(&self.output) else { return Look::Nothing };
        if file.metadata().is_ok_and(|now| now.len() < self.read) {
            // A program that writes its whole table after every row empties it first: what it says then may well be the same.
            self.shrunk = true;
            return Look::Nothing;
        }
        if std::mem::take(&mut self.shrunk) && self.is_as_read() == Some(false) {
            answers.replaced();
            return Look::Senseless;
        }
        let mut bytes = Vec::new();
        let _ = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.take(1 << 20).read_to_end(&mut bytes));
        self.read += bytes.len() as u64;
        self.digest.update(&bytes);
        match bytes.is_empty() {
            true => Look::Nothing,
            false if answers.feed(&bytes, on_row) => Look::More,
            false => Look::Senseless,
        }
    }

    /// Compares what was read, once nobody writes any more, with what is there: a program that writes its answers a second time
    /// may have changed lines that were read as they were first.
    fn check(&self, answers: &mut Answers<'_>) {
        if self.is_as_read() == Some(false) {
            answers.replaced();
        }
    }

    /// Whether the answer file still begins with what was read; none where it cannot be read.
    fn is_as_read(&self) -> Option<bool> {
        let mut file = File::open(&self.output).ok()?.take(self.read);
        let (mut again, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Some(again.finalize() == self.digest.clone().finalize()),
                Ok(n) => again.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Nobody is left who could be told of a folder that cannot be removed.
        let _ = std::fs::remove_dir_all(&self.folder);
        under_way().folders.remove(&self.folder);
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use dal_core::{Dimension, LabelFailure, LabelFailureKind as Kind, Scale};
    use ndarray::Array2;

    /// Labels points 0, 1, .., n − 1 of one input with a shell script; `change` may set more than the defaults.
    fn ask(script: &str, n: usize, change: impl FnOnce(&mut CommandSettings)) -> Asked {
        ask_and(script, n, change, |_| {})
    }

    /// As [`ask`], and tells `on_row` of each row as it comes.
    fn ask_and(
        script: &str,
        n: usize,
        change: impl FnOnce(&mut CommandSettings),
        mut on_row: impl FnMut(usize),
    ) -> Asked {
        let mut settings = CommandSettings {
            program: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            directory: ".".into(),
            exchange: Exchange::Stdin,
            header: true,
            rows_per_call: None,
            parallel: 1,
            time_limit: Duration::from_secs(300),
            retries: 0,
            stderr_file: None,
        };
        change(&mut settings);
        let high = 100_000.0;
        let inputs =
            Inputs::new(vec![("a".into(), vec![], Dimension::Continuous { low: 0.0, high, scale: Scale::Linear })]);
        let oracle = CommandOracle::new(settings, inputs.unwrap(), vec!["y".into()]);
        let x = Array2::from_shape_fn((n, 1), |(i, _)| 2.0 * (i as f64 / high) - 1.0);
        let mut rows = vec![None; n];
        let result = oracle.label(x.view(), &mut |row, answer| {
            assert!(rows[row].is_none(), "row {row} twice");
            rows[row] = Some(answer.map(|y| y[0]));
            on_row(row);
        });
        Asked { rows, result }
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
            assert_eq!(asked.labels()[0], Some(1.0), "what was handed out stands");
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
        assert_eq!(asked.failure(2).kind, Kind::Crashed);
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

    /// The state letter of the process whose number is in `file`, `Z` for one that waits to be reaped; none if there is none.
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
        assert_eq!((few.labels(), few.failure(2).kind), (vec![Some(1.0), None, None], Kind::Missing));
        let many = ask("echo y; echo 1; echo 2; echo 3", 2, |_| {});
        assert_eq!((many.labels(), many.failure(1).kind), (vec![Some(1.0), None], Kind::Malformed));
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
    fn a_retry_does_not_hide_that_a_call_miscounted() {
        // Leaves out point 2 of a call, answers it when asked alone.
        let skips = "awk -F, 'NR==1 {print \"y\"} NR>1 {x[NR]=$1} END {for (i=2;i<=NR;i++) if (NR==2 || x[i]<1.5 || x[i]>2.5) print 2*x[i]}'";
        let asked = ask(skips, 5, |s| s.retries = 2);
        assert_eq!(asked.rows.iter().filter(|row| row.as_ref().unwrap().is_err()).count(), 1);
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
}
