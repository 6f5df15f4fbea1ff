//! Which process something belongs to, told so that another process can find out whether it still lives.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process, named beyond the reuse of its number: by machine, start of the system, and its own start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessName {
    /// The machine's name.
    pub host: String,
    /// Which start of the system; empty where the system does not tell.
    #[serde(default)]
    pub boot: String,
    /// Which space of process numbers, such as a container's; empty where the system does not tell.
    #[serde(default)]
    pub space: String,
    /// Its number.
    pub pid: u32,
    /// When it started, in the system's ticks since the system's start; 0 where the system does not tell.
    #[serde(default)]
    pub start: u64,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Alive,
    /// It does not.
    Gone,
    /// It is or was on another machine or in another container, where one cannot look.
    Elsewhere,
}

impl ProcessName {
    /// This process.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let space = fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned());
        let start = stat(pid).map_or(0, |stat| stat.start);
        Self { host: host(), boot, space: space.unwrap_or_default(), pid, start }
    }

    /// Whether it lives.
    pub fn standing(&self) -> Standing {
        if let Some(standing) = self.place() {
            return standing;
        }
        match stat(self.pid) {
            Some(stat) if stat.start == self.start && !stat.ended => Standing::Alive,
            Some(_) => Standing::Gone,
            None => number_is_taken(self.pid),
        }
    }

    /// What is known without a look at processes: nothing where it belongs to this start of this machine.
    pub(crate) fn place(&self) -> Option<Standing> {
        let here = Self::this();
        if self.host != here.host {
            return Some(Standing::Elsewhere);
        }
        if self.boot != here.boot {
            return Some(Standing::Gone);
        }
        (self.space != here.space).then_some(Standing::Elsewhere)
    }

    /// For a file's name: machine, start of the system, number and start.
    pub(crate) fn file_stem(&self) -> String {
        format!("{}-{}-{}-{}", safe(&self.host, 40), safe(&self.boot, 8), self.pid, self.start)
    }

    /// The machine, for a part of a file's name between dashes.
    pub(crate) fn file_part(&self) -> String {
        safe(&self.host, 40)
    }
}

/// Plain characters, without dashes.
fn safe(text: &str, most: usize) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    text.chars().take(most).map(kept).collect()
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    "localhost".into()
}

/// Where the system tells nothing of a process but whether its number is taken.
#[cfg(all(unix, not(target_os = "linux")))]
fn number_is_taken(pid: u32) -> Standing {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match pid.map(rustix::process::test_kill_process) {
        Some(Ok(()) | Err(rustix::io::Errno::PERM)) => Standing::Alive,
        _ => Standing::Gone,
    }
}

#[cfg(target_os = "linux")]
fn number_is_taken(_: u32) -> Standing {
    Standing::Gone
}

#[cfg(not(unix))]
fn number_is_taken(_: u32) -> Standing {
    Standing::Elsewhere
}

/// What Linux tells of a process in `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// It has ended, and only its parent has not asked how.
    pub(crate) ended: bool,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// Ticks since the system's start.
    pub(crate) start: u64,
}

/// The state of a process; `None` if there is none, or on other systems than Linux.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The program's name stands in parentheses and may itself hold blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Field 3 of proc(5) is the state, 5 the group, 6 the session, 22 the start.
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X" | "x"),
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The states of all processes that can be seen; empty on other systems than Linux.
pub(crate) fn all_stats() -> Vec<Stat> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(stat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_namesakes_do_not() {
        let this = ProcessName::this();
        assert_eq!(this, ProcessName::this());
        assert_eq!(this.standing(), Standing::Alive);
        assert_eq!(ProcessName { host: "elsewhere".into(), ..this.clone() }.standing(), Standing::Elsewhere);
        if cfg!(target_os = "linux") {
            assert!(this.start > 0 && !this.boot.is_empty());
            assert_eq!(ProcessName { boot: "last year".into(), ..this.clone() }.standing(), Standing::Gone);
            assert_eq!(ProcessName { start: this.start + 1, ..this.clone() }.standing(), Standing::Gone);
            assert_eq!(ProcessName { space: "container".into(), ..this }.standing(), Standing::Elsewhere);
        }
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_is_read() {
        let text = "12 (a) R (b c) S 1 7 8 0 -1 4194560 0 0 0 0 1 2 0 0 20 0 1 0 4711 0 0 184";
        assert_eq!(parse_stat(text), Some(Stat { ended: false, group: 7, session: 8, start: 4711 }));
        assert_eq!(parse_stat("12 (a) Z 1 7"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn names_of_files_are_plain() {
        let name =
            ProcessName { host: "a/b ü".into(), boot: "01234567-89".into(), space: String::new(), pid: 3, start: 4 };
        assert_eq!(name.file_stem(), "a_b__-01234567-3-4");
    }
}
