//! One call: the program is started on some rows, listened to, and what it said about them is told.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use dal_core::Stop;

use super::ending::{Heard, describe_end};
use super::files::Files;
use super::running::Running;
use super::{CommandOracle, Exchange};
use crate::user::answers::{Again, Answer, Answers, Shape};

pub(super) enum Event {
    Row(usize, Answer, Again),
    /// A call has ended by itself, and every row of it was told: whether any was answered.
    Ended {
        answered: bool,
    },
    /// Nothing; dropping it tells its sender that all before it was looked at.
    LookedAt {
        _sender: Sender<()>,
    },
    /// The program cannot be started at all.
    Unavailable(String),
}

/// Whether answers are still wanted: no stop says now, and every answer so far could be kept.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) stop: &'a Stop,
    pub(super) abandoned: &'a AtomicBool,
}

impl Wanted<'_> {
    pub(super) fn is_wanted(&self) -> bool {
        !self.stop.is_now() && !self.abandoned.load(Ordering::Relaxed)
    }

    /// Whether another call may be started.
    pub(super) fn may_start(&self) -> bool {
        !self.stop.is_draining() && self.is_wanted()
    }
}

impl CommandOracle {
    /// One call about the points that no answer has arrived of meanwhile: `rows` are their positions in the batch.
    pub(super) fn call(&self, lines: &[String], rows: &[usize], events: &Sender<Event>, wanted: &Wanted<'_>) {
        let rows = self.open_rows(lines, rows, events);
        if !rows.is_empty() {
            self.call_whatever_is_known(lines, &rows, events, wanted);
        }
    }

    /// The same, though answers may be kept: whether the program still gives them is the question.
    pub(super) fn call_whatever_is_known(
        &self,
        lines: &[String],
        rows: &[usize],
        events: &Sender<Event>,
        wanted: &Wanted<'_>,
    ) {
        let mut csv = self.inputs.header();
        rows.iter().for_each(|&row| csv.push_str(&lines[row]));
        if let Some(driver) = &self.settings.driver {
            rows.iter().for_each(|&row| self.evaluate(driver, &lines[row], row, events, wanted));
            return;
        }
        let mut running = match self.start(csv, rows.len(), wanted) {
            Ok(running) => running,
            Err(message) => {
                let _ = events.send(Event::Unavailable(message));
                return;
            }
        };
        let asked = rows.iter().map(|&row| lines[row].as_str()).collect();
        let shape = Shape {
            outputs: &self.outputs,
            header: self.settings.header,
            n_rows: rows.len(),
            inputs: self.inputs.of_files(),
            asked,
            told: false,
        };
        let mut answers = Answers::new(shape);
        let answered = Cell::new(false);
        // The receiver outlives the calls unless it panics, and then the rows are not wanted.
        let settle = |row: usize, answer: Answer, again: Again| {
            answered.set(answered.get() || answer.is_ok());
            drop(events.send(Event::Row(rows[row], answer, again)));
        };
        let mut on_row = |row: usize, answer: Answer| settle(row, answer, Again::Useful);
        let heard = running.listen(&mut answers, &mut on_row, self.settings.time_limit, wanted);
        let (status, words) = running.end(&mut answers, &mut on_row, &heard);
        let end = describe_end(&heard, &status, words, self.settings.time_limit);
        answers.finish(&end, &mut |row, answer, again| {
            // Rows that a stop left without an answer have not failed: they are as if they had not been asked.
            if heard != Heard::Abandoned || answer.is_ok() {
                settle(row, answer, again);
            }
        });
        if heard != Heard::Abandoned {
            drop(events.send(Event::Ended { answered: answered.get() }));
        }
    }

    /// The rows that nothing has been heard of meanwhile; the others are told.
    fn open_rows(&self, lines: &[String], rows: &[usize], events: &Sender<Event>) -> Vec<usize> {
        let Some(desk) = &self.desk else { return rows.to_vec() };
        let points: Vec<&str> = rows.iter().map(|&row| lines[row].as_str()).collect();
        let mut arrived = desk.arrived(&points).into_iter();
        let mut is_open = |row: &usize| match arrived.next().flatten() {
            Some(values) => {
                let _ = events.send(Event::Row(*row, Ok(values), Again::Useful));
                false
            }
            None => true,
        };
        rows.iter().copied().filter(|row| is_open(row)).collect()
    }

    fn start(&self, csv: String, points: usize, wanted: &Wanted<'_>) -> Result<Running, String> {
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
        let mut command = Command::new(self.program());
        command.args(settings.program[1..].iter().map(argument)).current_dir(&settings.directory);
        let by_files = exchange.is_some();
        self.launch(command, exchange, (!by_files).then_some(csv), points, wanted)
    }

    /// What is started: a relative path is meant from the folder the program runs in; a bare name is looked for as a
    /// shell does.
    pub(super) fn program(&self) -> OsString {
        match Path::new(&self.settings.program[0]) {
            path if path.components().count() > 1 => self.settings.directory.join(path).into_os_string(),
            path => path.as_os_str().to_owned(),
        }
    }

    /// Starts a program in a group of its own, and begins to listen to it. It gets this text on stdin; without one,
    /// what it prints is no answer.
    pub(super) fn launch(
        &self,
        mut command: Command,
        files: Option<Files>,
        csv: Option<String>,
        points: usize,
        wanted: &Wanted<'_>,
    ) -> Result<Running, String> {
        let program = command.get_program().to_owned();
        command.stdin(if csv.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that a time limit ends the program's helpers too.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let log = match &self.settings.stderr_file {
            None => None,
            Some(path) => Some(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|e| format!("{}: {e}", path.display()))?,
            ),
        };
        let child = patiently(wanted, || command.spawn())
            .map_err(|e| format!("the program {} cannot be started: {e}", Path::new(&program).display()))?;
        let mut running = Running { child, pieces: None, files, words: Vec::new(), reaped: false, note: None };
        if let Some(desk) = &self.desk {
            // Before it gets its points: if the call cannot be told, nothing has been paid for.
            running.note = Some(desk.begun(running.child.id(), points)?);
        }
        running
            .connect(csv, log)
            .map_err(|e| format!("the program {} cannot be listened to: {e}", Path::new(&program).display()))?;
        Ok(running)
    }
}

/// How often a start is tried again while the machine is short of something; the pauses double, thirteen seconds in
/// all.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Starts something, and tries again while the machine is short of processes or memory: such a shortage mostly passes,
/// and a run must not fail for it. `Err` says what is short if it lasts.
fn patiently<T>(wanted: &Wanted<'_>, mut start: impl FnMut() -> io::Result<T>) -> Result<T, String> {
    let mut tried = 0;
    loop {
        match start() {
            Ok(started) => return Ok(started),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) => {
                if tried == TRIES || !wanted.may_start() {
                    let remedy = "end other programs, or raise the limits";
                    return Err(format!("the machine is short of processes or memory ({error}); {remedy}"));
                }
                thread::sleep(FIRST_PAUSE * 2u32.pow(tried));
                tried += 1;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_that_passes_is_waited_for() {
        let (stop, abandoned) = (Stop::new(), AtomicBool::new(false));
        let wanted = Wanted { stop: &stop, abandoned: &abandoned };
        let mut left = 2;
        let started = patiently(&wanted, || {
            left -= 1;
            if left >= 0 { Err(io::Error::from(io::ErrorKind::WouldBlock)) } else { Ok(7) }
        });
        assert_eq!(started, Ok(7));
        let mut calls = 0;
        let absent = patiently::<()>(&wanted, || {
            calls += 1;
            Err(io::Error::from(io::ErrorKind::NotFound))
        });
        assert!(absent.is_err() && calls == 1);
        stop.press();
        let short = patiently::<()>(&wanted, || Err(io::Error::from(io::ErrorKind::OutOfMemory)));
        assert!(short.unwrap_err().contains("short of processes or memory"), "a stop ends the patience");
    }
}
