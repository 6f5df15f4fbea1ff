//! Holding every file of a store against its seal, and setting aside what is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::claim::{CLAIM, NOW};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::manifest;
use crate::names::{MANIFEST, NEW, RUNS, TRY, is_hashed, is_older, list_all};
use crate::record::Status;
use crate::run::{FOOTER, JOURNAL, LABELS, PROVENANCE, QUERIES, RECORDS, Run, SPEC, SUPERSEDED, TIMING, WAITING};
use crate::store::{LABELS as LABELS_DIR, LOCK, QUARANTINE, SWEEPS, Store, StoreWriter, TASKS, sweep_stem};
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
    /// Name of the sweep that it was made by, where that is known: of a run that is over.
    pub sweep: Option<String>,
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
    /// Directories of the runs that the records of sweeps plan.
    planned: BTreeSet<String>,
    /// Stems of the names of records that are damaged: what they plan is not known.
    unreadable: BTreeSet<String>,
}

/// A record of a sweep that is not there, though runs were made by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSweep {
    /// Name of the sweep.
    pub name: String,
    /// How the path of its record below the store's directory looks; the hash in it is not known.
    pub file: String,
    /// Runs that were made by it and that no record plans.
    pub runs: usize,
}

impl CheckedStore {
    /// The records of sweeps that were deleted: runs name the sweep that they were made by, and no record plans them.
    pub fn lost_sweeps(&self, runs: &[CheckedRun]) -> Vec<LostSweep> {
        let mut lost = BTreeMap::<&str, usize>::new();
        for run in runs.iter().filter(|run| !self.planned.contains(&run.directory)) {
            if let Some(sweep) = run.sweep.as_deref().filter(|name| !self.unreadable.contains(&sweep_stem(name))) {
                *lost.entry(sweep).or_default() += 1;
            }
        }
        let record = |(name, runs): (&str, usize)| LostSweep {
            name: name.to_owned(),
            file: format!("{SWEEPS}/{}-….json", sweep_stem(name)),
            runs,
        };
        lost.into_iter().map(record).collect()
    }
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
    /// As [`open`](Self::open), but a store whose `store.json` alone is damaged or missing is opened all the same: what
    /// is wrong with the file comes with it.
    ///
    /// # Errors
    /// As [`open`](Self::open); a file whose content does not follow from the rest of the store.
    pub fn open_to_check(root: impl Into<PathBuf>) -> Result<(Self, Option<DamagedFile>), StoreError> {
        let root = root.into();
        match Self::open(&root) {
            Ok(store) => Ok((store, None)),
            Err(error @ StoreError::Damaged { .. }) if manifest::is_of_this_layout(&root) => {
                Ok((Self::at(root), Some(DamagedFile { name: MANIFEST.to_owned(), error })))
            }
            Err(error) => Err(error),
        }
    }

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
            sweep: None,
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
        let folder = self.root().join(SWEEPS);
        let foreign = if folder.is_dir() { list_all(&folder)? } else { Vec::new() };
        let foreign = foreign.into_iter().map(|found| found.name);
        let foreign = foreign.filter(|name| !sweeps.contains(name) && !name.ends_with(".tmp"));
        checked.foreign.extend(foreign.map(|name| format!("{SWEEPS}/{name}")));
        let there: BTreeSet<String> = self.run_names()?.into_iter().collect();
        let mut named = BTreeSet::new();
        for name in sweeps {
            match self.sweep(&name) {
                Ok(sweep) => {
                    checked.planned.extend(sweep.runs.iter().map(|run| run.directory.clone()));
                    let absent = sweep.runs.into_iter().filter(|run| !there.contains(&run.directory));
                    checked.absent.extend(absent.filter(|run| named.insert(run.id.clone())));
                }
                Err(error) => {
                    checked.unreadable.extend(name.rsplit_once('-').map(|(stem, _)| stem.to_owned()));
                    checked.damage.push(DamagedFile { name: format!("{SWEEPS}/{name}"), error });
                }
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
    match run.provenance() {
        Ok(provenance) => checked.sweep = provenance.map(|made| made.sweep).filter(|name| !name.is_empty()),
        Err(error) => checked.beside.push(error),
    }
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
        let free = self.free_in_quarantine(name)?;
        fs::rename(&from, &free).map_err(StoreError::io(&from, "set aside"))?;
        atomic::sync_parent(&free);
        atomic::sync_parent(&from);
        Ok(free)
    }

    /// Writes `store.json` again, which says the same in every store of this layout; what was there is copied to
    /// `quarantine` before. Returns where that is now.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn mend_manifest(&self) -> Result<Option<PathBuf>, StoreError> {
        let path = self.store().root().join(MANIFEST);
        let aside = match fs::read(&path) {
            Ok(bytes) => {
                let free = self.free_in_quarantine(MANIFEST)?;
                atomic::write(&free, &bytes)?;
                Some(free)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(path, "read")(error)),
        };
        manifest::write(self.store().root())?;
        Ok(aside)
    }

    /// A place in `quarantine` for something of this name, whose folder is there.
    fn free_in_quarantine(&self, name: &str) -> Result<PathBuf, StoreError> {
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
        Ok(free)
    }
}
