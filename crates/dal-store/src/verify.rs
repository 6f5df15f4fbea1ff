//! Holding every file of a store against its seal, and setting aside what is damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::claim::{CLAIM, NOW};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::names::{NEW, TRY, is_hashed, is_older, list_all};
use crate::record::Status;
use crate::run::{FOOTER, JOURNAL, LABELS, PROVENANCE, QUERIES, RECORDS, Run, SPEC, SUPERSEDED, TIMING, WAITING};
use crate::store::{LABELS as LABELS_DIR, LOCK, MANIFEST, QUARANTINE, RUNS, SWEEPS, Store, StoreWriter, TASKS};
use crate::sweep::PlannedRun;

/// What a run's directory may hold.
const KNOWN: [&str; 9] = [SPEC, RECORDS, QUERIES, LABELS, FOOTER, TIMING, PROVENANCE, JOURNAL, WAITING];

/// What was found of one run.
#[derive(Debug)]
pub struct CheckedRun {
    /// Name of its directory.
    pub directory: String,
    /// How it stands; `None` if that cannot be read.
    pub status: Option<Status>,
    /// Files that its results rest on and that are not what they were; the run counts for nothing while there are any.
    pub damage: Vec<StoreError>,
    /// Files outside its results (timings, provenance) that cannot be read; its results stand.
    pub beside: Vec<StoreError>,
    /// Names of such files that a run that is over lacks.
    pub lost: Vec<&'static str>,
    /// Bytes at the end of its checkpoint that are cut short or spoilt: their steps are done again.
    pub dropped_bytes: u64,
    /// Whether a checkpoint was left beside the footer of a run that is done; the next start of the sweep removes it.
    pub has_leftover: bool,
    /// Names of files that belong to no run.
    pub foreign: Vec<String>,
}

/// What was found beside the runs.
#[derive(Debug, Default)]
pub struct CheckedStore {
    /// Sweeps, answers and what else cannot be read.
    pub damage: Vec<DamagedFile>,
    /// What belongs to no store, by path below its directory.
    pub foreign: Vec<String>,
    /// Runs that sweeps of this store planned and that were never begun, each once.
    pub absent: Vec<PlannedRun>,
}

/// A damaged file that is no run's.
#[derive(Debug)]
pub struct DamagedFile {
    /// Its path below the store's directory.
    pub name: String,
    /// What is wrong with it.
    pub error: StoreError,
}

impl Store {
    /// Holds one run, a name of [`run_names`](Self::run_names), against its seals. Needs no lock; runs may be checked
    /// by several threads.
    pub fn check_run(&self, directory: &str) -> CheckedRun {
        let mut checked = CheckedRun {
            directory: directory.to_owned(),
            status: None,
            damage: Vec::new(),
            beside: Vec::new(),
            lost: Vec::new(),
            dropped_bytes: 0,
            has_leftover: false,
            foreign: Vec::new(),
        };
        let mut folder = self.root().join(RUNS).join(directory);
        match self.run(directory) {
            Ok(run) => {
                check(&run, &mut checked);
                run.directory().clone_into(&mut folder);
            }
            Err(error) => checked.damage.push(error),
        }
        match list_all(&folder) {
            // Attempts that cannot be read are named above.
            Err(_) if !folder.exists() && !checked.damage.is_empty() => {}
            Ok(found) => {
                let names = found.into_iter().filter(|found| found.is_dir || !KNOWN.contains(&found.name.as_str()));
                checked.foreign.extend(names.map(|found| found.name).filter(|name| !name.ends_with(".tmp")));
            }
            Err(error) => checked.damage.push(error),
        }
        checked
    }

    /// Checks what is no run: sweeps against the hashes in their names, kept answers against their checksums, and the
    /// directory for what does not belong there.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn check_rest(&self) -> Result<CheckedStore, StoreError> {
        let mut checked = CheckedStore::default();
        let known = [MANIFEST, LOCK, RUNS, SWEEPS, LABELS_DIR, QUARANTINE, SUPERSEDED, TASKS];
        for found in list_all(self.root())?.into_iter().filter(|found| !known.contains(&found.name.as_str())) {
            // Reports and exports are often written into the store that they are made of.
            let of_ours =
                ["report.html", "schema.json"].iter().any(|name| self.root().join(&found.name).join(name).is_file());
            if !of_ours && !found.name.ends_with(".tmp") {
                checked.foreign.push(found.name);
            }
        }
        let is_run = |found: &crate::names::Found| found.is_dir && is_hashed(&found.name);
        let ours = [TRY, NEW, CLAIM, NOW];
        let unborn = |name: &str| is_older(name) || ours.iter().any(|prefix| name.starts_with(prefix));
        let foreign =
            list_all(&self.root().join(RUNS))?.into_iter().filter(|found| !is_run(found) && !unborn(&found.name));
        checked.foreign.extend(foreign.map(|found| format!("{RUNS}/{}", found.name)));

        let sweeps = self.sweep_names()?;
        let foreign = list_all(&self.root().join(SWEEPS))?.into_iter().map(|found| found.name);
        let foreign = foreign.filter(|name| !sweeps.contains(name) && !name.ends_with(".tmp"));
        checked.foreign.extend(foreign.map(|name| format!("{SWEEPS}/{name}")));
        let there: BTreeSet<String> = self.run_names()?.into_iter().collect();
        let mut named = BTreeSet::new();
        for name in sweeps {
            match self.sweep(&name) {
                Ok(sweep) => {
                    let absent = sweep.runs.into_iter().filter(|run| !there.contains(&run.directory));
                    checked.absent.extend(absent.filter(|run| named.insert(run.id.clone())));
                }
                Err(error) => checked.damage.push(DamagedFile { name: format!("{SWEEPS}/{name}"), error }),
            }
        }

        let labels = self.root().join(LABELS_DIR);
        for found in if labels.is_dir() { list_all(&labels)? } else { Vec::new() } {
            let name = format!("{LABELS_DIR}/{}", found.name);
            match found.name.strip_suffix(".journal") {
                Some(stem) if is_hashed(stem) && !found.is_dir => {
                    let path = labels.join(&found.name);
                    let reason = match Journal::spoilt_bytes(&path) {
                        Ok(Some(0)) => continue,
                        Ok(Some(spoilt)) => format!("{spoilt} of its bytes are cut short or damaged"),
                        Ok(None) => "it is no file of answers".to_owned(),
                        Err(error) => {
                            checked.damage.push(DamagedFile { name, error });
                            continue;
                        }
                    };
                    let remedy = "the next start of a sweep keeps the others and asks again for what these said".into();
                    let error = StoreError::Damaged { path, line: None, reason, remedy };
                    checked.damage.push(DamagedFile { name, error });
                }
                // What was spoilt earlier is kept beside what was saved of it.
                _ if found.name.ends_with(".damaged") => {}
                _ => checked.foreign.push(name),
            }
        }
        Ok(checked)
    }
}

fn check(run: &Run, checked: &mut CheckedRun) {
    checked.status = Some(run.status().clone());
    for name in run.sealed_names() {
        checked.damage.extend(run.check(name).err());
    }
    checked.beside.extend(run.timings().err());
    checked.beside.extend(run.provenance().err());
    if *run.status() == Status::Done {
        checked.has_leftover = run.directory().join(JOURNAL).exists();
    } else {
        match run.checkpoint() {
            Ok(checkpoint) => checked.dropped_bytes = checkpoint.dropped_bytes,
            Err(error) => checked.damage.push(error),
        }
    }
    let is_over = !matches!(run.status(), Status::Partial { .. });
    if is_over {
        checked.lost.extend([TIMING, PROVENANCE].into_iter().filter(|name| !run.directory().join(name).exists()));
    }
    if is_over && run.directory().join(LABELS).exists() && run.sealed_names().all(|name| name != LABELS) {
        checked.foreign.push(LABELS.to_owned());
    }
}

impl StoreWriter {
    /// Moves something of the store, by its path below the store's directory (`runs/NAME`, or as in
    /// [`CheckedStore::damage`]), to `quarantine`, beside what lies there by that name already; returns where it is
    /// now. Nothing is deleted: the next start of the sweep repeats the run, or writes the sweep's record again.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn set_aside(&self, name: &str) -> Result<PathBuf, StoreError> {
        let mut from = self.store().root().join(name);
        if let Some(run) = name.strip_prefix(RUNS).and_then(|name| name.strip_prefix('/'))
            && !from.exists()
        {
            // A run that is not over: all its attempts but the last, which is set aside below.
            let mut attempts = self.store().listing()?.of_run(&self.store().root().join(RUNS), run);
            if let Some(last) = attempts.pop() {
                for attempt in attempts {
                    let name = attempt.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    self.set_aside(&format!("{RUNS}/{name}"))?;
                }
                from = last;
            }
        }
        let to = self.store().root().join(QUARANTINE).join(name);
        let folder = to.parent().unwrap_or(Path::new(QUARANTINE));
        fs::create_dir_all(folder).map_err(StoreError::io(folder, "create"))?;
        let mut free = to.clone();
        for n in 1.. {
            if free.symlink_metadata().is_err() {
                break;
            }
            free = to.with_added_extension(n.to_string());
        }
        fs::rename(&from, &free).map_err(StoreError::io(&from, "set aside"))?;
        atomic::sync_parent(&free);
        atomic::sync_parent(&from);
        Ok(free)
    }
}
