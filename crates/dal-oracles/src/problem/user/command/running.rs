//! A started program: its pipes, when it has ended, and that nothing of it stays behind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::call::Wanted;
use super::ending::Heard;
use super::files::{Files, Look};
#[cfg(unix)]
use super::group::{kill_group, terminate_group};
use crate::user::answers::{Answer, Answers, excerpt};

/// How often a running call is looked at when it says nothing.
const TICK: Duration = Duration::from_millis(20);
/// How long the pipes of a program that has ended are listened to, where something else still holds them open.
const GRACE: Duration = Duration::from_secs(10);
/// How long a program that is asked to end may take to do so, before it is made to.
const FAREWELL: Duration = Duration::from_secs(5);
/// How much of the program's last words is kept for messages.
const LAST_WORDS: usize = 2_000;

pub(super) enum Piece {
    Answer(Vec<u8>),
    Words(Vec<u8>),
}

/// A started program. However this ends, the program and its group end with it, and nothing is left to be reaped.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) pieces: Option<Receiver<Piece>>,
    pub(super) files: Option<Files>,
    pub(super) words: Vec<u8>,
    pub(super) reaped: bool,
    /// Says to others that the group lives; dropped behind everything else, when it does not any more.
    pub(super) note: Option<Box<dyn Send>>,
}

impl Running {
    /// Starts the threads that write the points and read what the program prints: answers, where it gets points.
    pub(super) fn connect(&mut self, csv: Option<String>, log: Option<File>) -> io::Result<()> {
        let (sender, receiver) = mpsc::sync_channel(64);
        let prints_answers = csv.is_some();
        if let Some((mut stdin, csv)) = self.child.stdin.take().zip(csv) {
            // A program that reads only part of its input is heard all the same.
            thread::Builder::new().spawn(move || drop(stdin.write_all(csv.as_bytes())))?;
        }
        if let Some(stdout) = self.child.stdout.take() {
            let wrap = if prints_answers { Piece::Answer } else { Piece::Words };
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
    pub(super) fn listen(
        &mut self,
        answers: &mut Answers<'_>,
        on_row: &mut dyn FnMut(usize, Answer),
        time_limit: Duration,
        wanted: &Wanted<'_>,
    ) -> Heard {
        // A limit too long for the clock is none.
        let deadline = Instant::now().checked_add(time_limit);
        loop {
            let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Heard::TimedOut;
            }
            if !wanted.is_wanted() {
                return Heard::Abandoned;
            }
            if !self.take_piece(left.min(TICK), answers, on_row) {
                return Heard::Senseless;
            }
            if self.has_exited() {
                return Heard::Exited;
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
    pub(super) fn end(
        &mut self,
        answers: &mut Answers<'_>,
        on_row: &mut dyn FnMut(usize, Answer),
        heard: &Heard,
    ) -> (io::Result<ExitStatus>, String) {
        if *heard == Heard::Abandoned {
            // It was well until now: it may put its files in order, and a row that it still finishes counts.
            self.terminate();
            let deadline = Instant::now() + FAREWELL;
            while !self.has_exited() && Instant::now() < deadline {
                self.take_piece(TICK, answers, on_row);
            }
        }
        self.kill();
        let deadline = Instant::now() + GRACE;
        // A helper that left the group can hold a pipe open for ever; it gets a moment, not more.
        while self.pieces.is_some() && Instant::now() < deadline {
            self.take_piece(TICK, answers, on_row);
        }
        if let Some(files) = &mut self.files {
            while *heard != Heard::Senseless && files.read_on(answers, on_row) == Look::More {}
            // Also where an answer made no sense: it may be the middle of a line that was begun anew.
            files.check(answers);
        }
        (self.reap(), last_words(&self.words))
    }

    /// Waits for the program, after which its number may be given to another process.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        self.child.wait()
    }

    /// Whether the program has ended; it stays unreaped, so that its number, and its group's, are not given to others.
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
    fn terminate(&mut self) {
        terminate_group(self.child.id());
    }

    #[cfg(unix)]
    fn kill(&mut self) {
        kill_group(self.child.id());
    }

    #[cfg(not(unix))]
    fn terminate(&mut self) {
        self.kill();
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

/// Sends on what it reads until the pipe closes or the receiver is gone.
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
