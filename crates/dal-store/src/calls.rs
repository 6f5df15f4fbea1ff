//! Calls of programs that are under way, each with a file in the folder of answers, so that a later process finds
//! what a killed one left.
//!
//! A program runs in a process group of its own and outlives a `dal` that is killed. The file says which group, when
//! its first process started and by which process it was asked for. It is written when the program has just started,
//! so a kill in that very moment leaves a group that no file knows of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::error::StoreError;
use crate::lines;
use crate::process::{ProcessName, Standing, all_stats, stat};

/// Folder of the files, in a folder of answers.
const CALLS: &str = "calls";
/// How the files end.
const EXTENSION: &str = "call";
/// What their line is bound to.
const SALT: &str = "dal call";
/// How often a group that is being ended is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long a group may take to vanish once it is killed: processes that wait for a disk take a moment.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// The calls under way on a folder of answers.
#[derive(Clone, Debug)]
pub struct Calls {
    folder: PathBuf,
}

/// What a call's file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    /// The group, named by its first process.
    group: ProcessName,
    /// The group's session, where the system tells.
    session: u32,
    /// The process that started it.
    owner: ProcessName,
    what: String,
}

/// A call that this process has made and noted; dropping it removes its file, so drop it when the group has ended.
#[derive(Debug)]
pub struct CallNote {
    path: PathBuf,
}

impl Drop for CallNote {
    fn drop(&mut self) {
        // What stays is found to be gone by the next look.
        let _ = fs::remove_file(&self.path);
    }
}

/// How a noted call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStanding {
    /// The process that made it lives and waits for it.
    Running,
    /// The group lives, the process that made it does not.
    Left,
    /// The group has ended.
    Gone,
    /// It was made on another machine or in another container, where one cannot look.
    Elsewhere,
}

/// A call that a file tells of.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    path: PathBuf,
    note: Note,
}

impl Calls {
    /// The calls on this folder of answers; nothing is made before the first call.
    pub fn of(answers: impl AsRef<Path>) -> Self {
        Self { folder: answers.as_ref().join(CALLS) }
    }

    /// Notes a call of this process: `group` is the number of the process group, which is the number of its first
    /// process, and `what` says to a person what it was started for.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn note(&self, group: u32, what: impl Into<String>) -> Result<CallNote, StoreError> {
        fs::create_dir_all(&self.folder).map_err(StoreError::io(&self.folder, "create"))?;
        let group = ProcessName::of(group);
        let path = self.folder.join(format!("{}.{EXTENSION}", group.file_stem()));
        let session = stat(group.pid).map_or(0, |stat| stat.session);
        let note = Note { group, session, owner: ProcessName::this(), what: what.into() };
        let text = serde_json::to_string(&note).expect("plain data");
        // Not forced to disk: a power failure ends the group as well.
        atomic::place(&path, lines::line(SALT, &text).as_bytes(), false)?;
        Ok(CallNote { path })
    }

    /// Every call that a file tells of, by file; files that say nothing are passed over.
    ///
    /// # Errors
    /// A folder that cannot be listed; an absent one holds none.
    pub fn scan(&self) -> Result<Vec<Call>, StoreError> {
        let failed = |source| StoreError::Io { path: self.folder.clone(), action: "list", source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut calls = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION)
                && let Ok(bytes) = fs::read(&path)
                && let Some((text, _)) = lines::first(SALT, &bytes)
                && let Ok(note) = serde_json::from_str(text)
            {
                calls.push(Call { path, note });
            }
        }
        calls.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(calls)
    }

    /// The calls whose group lives without the process that made it. Files of groups that have ended are removed on
    /// the way.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn leftovers(&self) -> Result<Vec<Call>, StoreError> {
        let mut left = Vec::new();
        for call in self.scan()? {
            match call.standing() {
                CallStanding::Left => left.push(call),
                CallStanding::Gone => call.forget(),
                CallStanding::Running | CallStanding::Elsewhere => {}
            }
        }
        Ok(left)
    }
}

impl Call {
    /// Number of the process group.
    pub fn group(&self) -> u32 {
        self.note.group.pid
    }

    /// The machine that it runs or ran on.
    pub fn host(&self) -> &str {
        &self.note.group.host
    }

    /// The process that made it.
    pub fn owner(&self) -> &ProcessName {
        &self.note.owner
    }

    /// What it was started for.
    pub fn what(&self) -> &str {
        &self.note.what
    }

    /// How it stands now.
    pub fn standing(&self) -> CallStanding {
        match self.note.group.place() {
            Some(Standing::Elsewhere) => CallStanding::Elsewhere,
            Some(_) => CallStanding::Gone,
            None if !self.group_lives() => CallStanding::Gone,
            None if self.note.owner.standing() == Standing::Alive => CallStanding::Running,
            None => CallStanding::Left,
        }
    }

    /// Whether a process of the noted group lives. A group may outlive its first process, and its number is not given
    /// to another process as long as it has a member; but where all have ended, number and group may be another's.
    #[cfg(target_os = "linux")]
    fn group_lives(&self) -> bool {
        let Note { group, session, .. } = &self.note;
        match stat(group.pid) {
            // The number of the first process is another's now, so that no member was left when it was given away.
            Some(first) if first.start != group.start => false,
            Some(first) if !first.ended => true,
            // Others that go by its number may be a later group's whose first process has ended too: at least they
            // must be of the same session and not older.
            _ => all_stats().iter().any(|member| {
                member.group == group.pid && !member.ended && member.session == *session && member.start >= group.start
            }),
        }
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn group_lives(&self) -> bool {
        use rustix::process::{Pid, test_kill_process_group};
        let group = i32::try_from(self.group()).ok().and_then(Pid::from_raw);
        group.is_some_and(|group| test_kill_process_group(group).is_ok())
    }

    #[cfg(not(unix))]
    fn group_lives(&self) -> bool {
        self.note.group.standing() == Standing::Alive
    }

    /// Removes the file of a call that has ended.
    pub fn forget(self) {
        // What stays is looked at again.
        let _ = fs::remove_file(&self.path);
    }

    /// Waits until the group has ended or `until` says to stop waiting, and says whether it has ended.
    pub fn wait(&self, until: &mut dyn FnMut() -> bool) -> bool {
        while matches!(self.standing(), CallStanding::Left | CallStanding::Running) {
            if until() {
                return false;
            }
            thread::sleep(TICK);
        }
        true
    }

    /// Ends a group that was left: asks it to end (SIGTERM), and kills what is there after `patience`. Its file is
    /// removed.
    ///
    /// A group that has ended is no error; one whose owner lives, or of another machine, is left alone.
    ///
    /// # Errors
    /// A group that still runs, because it is not this user's, say.
    pub fn end(self, patience: Duration) -> Result<(), StoreError> {
        for (signal, patience) in [(Ending::Ask, patience), (Ending::Kill, AFTER_KILL)] {
            match self.standing() {
                CallStanding::Left => {}
                CallStanding::Gone => {
                    self.forget();
                    return Ok(());
                }
                CallStanding::Running => return Err(self.still_runs("the process that started it waits for it")),
                CallStanding::Elsewhere => {
                    return Err(
                        self.still_runs(&format!("it was started on {}, and has to be ended there", self.host()))
                    );
                }
            }
            self.send(signal).map_err(|reason| self.still_runs(&reason))?;
            let start = Instant::now();
            if self.wait(&mut || start.elapsed() >= patience) {
                self.forget();
                return Ok(());
            }
        }
        Err(self.still_runs("it does not end even when killed"))
    }

    fn still_runs(&self, reason: &str) -> StoreError {
        StoreError::StillRuns { group: self.group(), what: self.what().to_owned(), reason: reason.to_owned() }
    }

    #[cfg(unix)]
    fn send(&self, ending: Ending) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process_group};
        let signal = match ending {
            Ending::Ask => Signal::TERM,
            Ending::Kill => Signal::KILL,
        };
        let group = i32::try_from(self.group()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| "this is no number of a group".to_owned())?;
        match kill_process_group(group, signal) {
            // It may have ended since.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _: Ending) -> Result<(), String> {
        Err("this system has no process groups".into())
    }
}

/// How urgently a group is asked to end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Ask,
    Kill,
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    /// A shell with a helper, in a group of its own.
    fn start(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Until it is a shell with its helper, it is a copy of this process.
        let both = || all_stats().iter().filter(|member| member.group == child.id() && !member.ended).count() == 2;
        while !both() {
            thread::sleep(Duration::from_millis(2));
        }
        child
    }

    fn members(group: u32) -> usize {
        all_stats().iter().filter(|member| member.group == group && !member.ended).count()
    }

    /// The call as if the process that made it had been killed.
    fn orphaned(calls: &Calls, mut note: Note) -> Call {
        note.owner.start += 1;
        let path = calls.folder.join(format!("{}.{EXTENSION}", note.group.file_stem()));
        let text = serde_json::to_string(&note).unwrap();
        fs::write(&path, lines::line(SALT, &text)).unwrap();
        calls.scan().unwrap().into_iter().find(|call| call.path == path).unwrap()
    }

    #[test]
    fn a_call_is_noted_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::of(dir.path());
        assert!(calls.scan().unwrap().is_empty() && calls.leftovers().unwrap().is_empty());
        let mut child = start("sleep 100 & wait");
        let note = calls.note(child.id(), "points 0 to 3").unwrap();
        let found = calls.scan().unwrap();
        assert_eq!((found.len(), found[0].group(), found[0].what()), (1, child.id(), "points 0 to 3"));
        assert_eq!(found[0].standing(), CallStanding::Running);
        assert!(calls.leftovers().unwrap().is_empty());
        let error = found[0].clone().end(Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("points 0 to 3") && error.contains("waits for it"), "{error}");
        assert_eq!(members(child.id()), 2, "a call that is waited for is left alone");
        let left = orphaned(&calls, found[0].note.clone());
        left.end(Duration::from_secs(5)).unwrap();
        child.wait().unwrap();
        assert!(calls.scan().unwrap().is_empty());
        drop(note);
    }

    #[test]
    fn what_was_left_is_ended_with_its_helpers_also_when_it_does_not_listen() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::of(dir.path());
        for script in ["sleep 100 & wait", "trap '' TERM; sleep 100 & wait; wait; wait"] {
            let mut child = start(script);
            let note = calls.note(child.id(), script).unwrap();
            let call = orphaned(&calls, calls.scan().unwrap()[0].note.clone());
            assert_eq!(call.standing(), CallStanding::Left);
            assert_eq!(calls.leftovers().unwrap(), std::slice::from_ref(&call));
            assert!(!call.wait(&mut || true));
            call.end(Duration::from_millis(100)).unwrap();
            assert_eq!(members(child.id()), 0);
            child.wait().unwrap();
            assert!(calls.scan().unwrap().is_empty());
            drop(note);
        }
    }

    #[test]
    fn a_helper_that_outlives_its_shell_is_found_and_a_namesake_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::of(dir.path());
        let mut child = start("sleep 100 & wait");
        let noted = calls.note(child.id(), "x").unwrap();
        let note = calls.scan().unwrap()[0].note.clone();
        let named = |change: &dyn Fn(&mut Note)| {
            let mut note = note.clone();
            change(&mut note);
            orphaned(&calls, note).standing()
        };
        assert_eq!(named(&|_| ()), CallStanding::Left);
        assert_eq!(named(&|note| note.group.start -= 1), CallStanding::Gone);
        assert_eq!(named(&|note| note.group.boot = "another".into()), CallStanding::Gone);
        assert_eq!(named(&|note| note.group.host = "another".into()), CallStanding::Elsewhere);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(members(child.id()), 1, "its helper goes on");
        assert_eq!(named(&|_| ()), CallStanding::Left);
        assert_eq!(named(&|note| note.session += 1), CallStanding::Gone);
        assert_eq!(named(&|note| note.group.start += 1_000_000), CallStanding::Gone);
        let call = orphaned(&calls, note.clone());
        call.end(Duration::from_secs(5)).unwrap();
        assert_eq!(members(child.id()), 0);
        drop(noted);
        assert!(calls.leftovers().unwrap().is_empty());
        let rest: Vec<_> = calls.scan().unwrap().iter().map(Call::standing).collect();
        assert_eq!(rest, [CallStanding::Elsewhere], "files of groups that are gone were removed");
    }

    #[test]
    fn files_that_say_nothing_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::of(dir.path());
        fs::create_dir_all(&calls.folder).unwrap();
        for (name, text) in
            [("a.call", ""), ("b.call", "1234567890123456 3 {}x"), ("c.txt", "notes"), ("d.call.tmp", "x")]
        {
            fs::write(calls.folder.join(name), text).unwrap();
        }
        assert!(calls.scan().unwrap().is_empty());
        assert_eq!(fs::read_dir(&calls.folder).unwrap().count(), 4);
    }
}
