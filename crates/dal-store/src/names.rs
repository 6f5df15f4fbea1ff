//! How what lies in a folder of runs is called: runs, attempts at them, and what is not whole yet.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;
use crate::process::ProcessName;
use crate::spec::short_hash;

/// The file that makes a directory a store.
pub(crate) const MANIFEST: &str = "store.json";
/// Where its runs are.
pub(crate) const RUNS: &str = "runs";

/// Directories and files that are not whole yet start with this.
pub(crate) const HIDDEN: char = '.';

/// Names of attempts begin with this.
pub(crate) const TRY: &str = ".try-";
/// Names of attempts that are not whole yet begin with this.
pub(crate) const NEW: &str = ".new-";
/// Longer names of runs stand in those of their attempts by their ids alone: file systems take 255 bytes.
const LONGEST: usize = 160;
/// Stands for the label that was left out.
pub(crate) const SHORTENED: &str = "~";
/// Distinguishes what one process makes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Tells apart what this process makes from all else, also from a process that has its number later.
pub(crate) fn nonce() -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    let process = PROCESS.get_or_init(|| serde_json::to_string(&ProcessName::this()).expect("plain data"));
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    short_hash(format!("{process} {n}").as_bytes())[..12].to_owned()
}

/// What a name of an attempt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) run: &'a str,
    pub(crate) host: &'a str,
    pub(crate) pid: u32,
}

pub(crate) fn parts(name: &str) -> Option<Parts<'_>> {
    let mut parts = name.strip_prefix(TRY).or(name.strip_prefix(NEW))?.rsplitn(4, '-');
    let (_nonce, pid, host, run) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    is_hashed(run).then_some(Parts { run, host, pid: pid.parse().ok()? })
}

/// How a run is called in the names of its attempts.
pub(crate) fn short(run: &str) -> String {
    match run.len() > LONGEST {
        true => format!("{SHORTENED}-{}", &run[run.len() - 16..]),
        false => run.to_owned(),
    }
}

/// The machine, in a name: two of one name, or that share its beginning, are told apart.
pub(crate) fn host() -> String {
    static HOST: OnceLock<String> = OnceLock::new();
    let of = |this: &ProcessName| {
        let whole = short_hash(format!("{} {} {}", this.host, this.boot, this.space).as_bytes());
        format!("{}.{}", this.file_part(), &whole[..8])
    };
    HOST.get_or_init(|| of(&ProcessName::this())).clone()
}

/// Whether a folder of this name may be an attempt at this run.
pub(crate) fn is_of(name: &str, run: &str) -> bool {
    parts(name).is_some_and(|parts| parts.run == short(run))
}

/// Whether a folder of this name is what an older version left of a run that did not become whole.
pub(crate) fn is_older(name: &str) -> bool {
    name.strip_prefix(HIDDEN).is_some_and(is_hashed)
}

/// Whether a folder of this name is an attempt.
pub(crate) fn is_attempt(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TRY))
}

/// A name for an attempt of this process.
pub(crate) fn name_of(run: &str) -> String {
    format!("{TRY}{}-{}-{}-{}", short(run), host(), std::process::id(), nonce())
}

/// Something in a directory.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// What is in a directory, sorted by name.
pub(crate) fn list_all(dir: &Path) -> Result<Vec<Found>, StoreError> {
    let failed = |source| StoreError::Io { path: dir.to_owned(), action: "list", source };
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = match entry.file_type() {
            // Another process has removed it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            kind => kind.map_err(failed)?,
        };
        let is_dir = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        all.push(Found { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Whether a name ends as those of runs and sweeps do: a dash and 16 hexadecimal digits.
pub(crate) fn is_hashed(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(label, hash)| {
        !label.is_empty() && hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are() {
        let run = "sine-gsx-g2-s0-0235b744c06c5a20";
        let name = name_of(run);
        assert_eq!(parts(&name), Some(Parts { run, host: &host(), pid: std::process::id() }));
        assert_ne!(name, name_of(run), "two attempts of one process");
        let (name, hash) = host().rsplit_once('.').map(|(name, hash)| (name.to_owned(), hash.to_owned())).unwrap();
        assert_eq!((name, hash.len()), (ProcessName::this().file_part(), 8));
        let long = format!("{}-0235b744c06c5a20", "x".repeat(230));
        assert!(name_of(&long).len() < 255);
        assert_eq!(parts(&name_of(&long)).unwrap().run, "~-0235b744c06c5a20");
        assert_eq!(parts(".try-nonsense"), None);
    }
}
