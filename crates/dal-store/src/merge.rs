//! Merging stores: runs are copied whole; equal ones must be equal in every byte of their results.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::attempt::{self, Listing};
use crate::claim::Taken;
use crate::error::StoreError;
use crate::names::{RUNS, name_of};
use crate::record::Status;
use crate::run::{FOOTER, JOURNAL, PROVENANCE, Run, TIMING};
use crate::store::{SWEEPS, Store, StoreWriter};

/// What merging did.
#[derive(Debug, Default)]
pub struct MergedRuns {
    /// Runs that were copied.
    pub copied: usize,
    /// Runs that were there with the same bytes.
    pub known: usize,
    /// Checkpoints of runs that are not over and were copied, as they came further than what was there.
    pub begun: usize,
    /// Runs whose results differ between stores: nothing was taken of them.
    pub differing: Vec<DifferingRun>,
    /// Runs and sweeps that cannot be read or are damaged, with their stores: of a run a form that can be read was
    /// taken all the same.
    pub damaged: Vec<(PathBuf, StoreError)>,
    /// Runs that were not taken, as another process is at work on them here, and which.
    pub elsewhere: Vec<(String, String)>,
    /// Runs that failed elsewhere and are begun here: they were left as they are. The folders of their failed forms.
    pub begun_here: Vec<DifferingRun>,
}

/// A run of which stores hold different results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingRun {
    /// Its name.
    pub name: String,
    /// The folders of its forms.
    pub folders: Vec<PathBuf>,
}

impl StoreWriter {
    /// Copies into this store the runs and sweeps of others. A run that is over in several stores must be equal in
    /// every file that its footer seals; where it is not, nothing of it is taken, unless `prefer` names one of `from`
    /// (by its place), whose form then counts. A form in this store that is not preferred is set aside. Of runs that
    /// are not over the furthest checkpoint is taken. A damaged form is named, and the others count; in this store it
    /// is set aside for one of them. Interrupted and repeated it comes to the same.
    ///
    /// # Errors
    /// A directory that cannot be listed; a disk that refuses. A damaged run is no error, but named.
    pub fn merge(&self, from: &[Store], prefer: Option<usize>) -> Result<MergedRuns, StoreError> {
        let mut merged = MergedRuns::default();
        let mut names = BTreeSet::new();
        let mut stores = Vec::new();
        for (place, store) in from.iter().enumerate() {
            let listing = store.listing()?;
            names.extend(store.run_names_in(&listing));
            stores.push((Some(place), store, listing));
            for name in store.sweep_names()? {
                match store.sweep(&name) {
                    Ok(_) => {
                        copy_file(&store.root().join(SWEEPS).join(&name), &self.store().root().join(SWEEPS), &name)?
                    }
                    Err(error) => merged.damaged.push((store.root().join(SWEEPS).join(name), error)),
                }
            }
        }
        stores.push((None, self.store(), self.store().listing()?));
        for name in names {
            self.merge_run(&name, &stores, prefer, &mut merged)?;
        }
        Ok(merged)
    }

    fn merge_run(
        &self,
        name: &str,
        stores: &[(Option<usize>, &Store, Listing)],
        prefer: Option<usize>,
        merged: &mut MergedRuns,
    ) -> Result<(), StoreError> {
        let mut forms: BTreeMap<Vec<u8>, Vec<(Option<usize>, Run)>> = BTreeMap::new();
        let mut begun = Vec::new();
        let target = self.store().root().join(RUNS).join(name);
        let mut is_damaged_here = false;
        for &(place, store, ref listing) in stores {
            let path = store.root().join(RUNS).join(name);
            let checked = store.run_in(name, listing).and_then(|run| match run {
                Some(run) => run.verify().map(|()| Some(run)),
                None => Ok(None),
            });
            let checked = checked.and_then(|run| match run {
                None => Ok(()),
                Some(run) if matches!(run.status(), Status::Partial { .. }) => {
                    begun.push((place, run));
                    Ok(())
                }
                Some(run) => {
                    // The footer seals every other file of the results.
                    let footer = run.directory().join(FOOTER);
                    let footer = fs::read(&footer).map_err(StoreError::io(&footer, "read"))?;
                    forms.entry(footer).or_default().push((place, run));
                    Ok(())
                }
            });
            if let Err(error) = checked {
                is_damaged_here |= place.is_none() && path.exists();
                merged.damaged.push((path, error));
            }
        }
        let is_here = |form: &[(Option<usize>, Run)]| form.iter().any(|(place, _)| place.is_none());
        let is_preferred = |form: &[(Option<usize>, Run)]| prefer.is_some() && form.iter().any(|(at, _)| *at == prefer);
        let chosen = match forms.len() {
            // What is damaged here stands in the way.
            0 if is_damaged_here => return Ok(()),
            0 => return self.take_begun(begun, merged),
            1 => forms.values().next(),
            _ => forms.values().find(|form| is_preferred(form)),
        };
        let folders = || forms.values().flatten().map(|(_, run)| run.directory().to_owned()).collect();
        let Some(chosen) = chosen else {
            merged.differing.push(DifferingRun { name: name.to_owned(), folders: folders() });
            return Ok(());
        };
        if is_here(chosen) {
            merged.known += 1;
            return Ok(());
        }
        let run = &chosen[0].1;
        if is_here(&begun) && matches!(run.status(), Status::Failed(_)) && !is_preferred(chosen) {
            // A failed form would hide what was begun.
            merged.begun_here.push(DifferingRun { name: name.to_owned(), folders: folders() });
            return Ok(());
        }
        let _claim = match self.claim(name)? {
            Taken::Mine(claim) => claim,
            Taken::Elsewhere(note) => {
                merged.elsewhere.push((name.to_owned(), note.in_words()));
                return Ok(());
            }
        };
        // Only what was judged above goes: what has come here since is left, and copying it refused.
        if (is_damaged_here || forms.values().any(|form| is_here(form))) && target.exists() {
            self.set_aside(&format!("{RUNS}/{name}"))?;
        }
        match self.copy_run(run)? {
            true => merged.copied += 1,
            false => merged.elsewhere.push((name.to_owned(), "a process that has ended it meanwhile".into())),
        }
        Ok(())
    }

    /// The furthest checkpoint, if it is not here already.
    fn take_begun(&self, begun: Vec<(Option<usize>, Run)>, merged: &mut MergedRuns) -> Result<(), StoreError> {
        let folders: Vec<PathBuf> = begun.iter().rev().map(|(_, run)| run.directory().to_owned()).collect();
        let Some(furthest) = attempt::furthest(&folders)? else { return Ok(()) };
        let is_here = |(place, run): &(Option<usize>, Run)| place.is_none() && run.directory() == furthest.directory();
        if begun.iter().any(is_here) {
            return Ok(());
        }
        attempt::create(&self.store().root().join(RUNS), furthest.key(), &furthest.checkpoint()?)?;
        merged.begun += 1;
        Ok(())
    }

    /// Copies a run that is over and that this process has claimed here; it appears whole. Whether it did: `false`
    /// where it was finished here meanwhile, which the next merge compares.
    fn copy_run(&self, run: &Run) -> Result<bool, StoreError> {
        let (runs, name) = (self.store().root().join(RUNS), run.name());
        let target = runs.join(&name);
        let copy = runs.join(name_of(&name));
        fs::create_dir(&copy).map_err(StoreError::io(&copy, "create"))?;
        let is_failed = matches!(run.status(), Status::Failed(_));
        let beside = [TIMING, PROVENANCE, JOURNAL].into_iter().filter(|name| *name != JOURNAL || is_failed);
        let copied = run
            .sealed_names()
            .chain(beside)
            .chain([FOOTER])
            .try_for_each(|file| copy_file(&run.directory().join(file), &copy, file));
        let placed =
            copied.and_then(|()| fs::rename(&copy, &target).map_err(StoreError::io(&target, "put in its place")));
        if let Err(error) = placed {
            let _ = fs::remove_dir_all(&copy);
            return if target.join(FOOTER).exists() { Ok(false) } else { Err(error) };
        }
        atomic::sync_parent(&target);
        Ok(true)
    }
}

/// Copies a file that may be absent; it appears whole.
fn copy_file(file: &Path, into: &Path, name: &str) -> Result<(), StoreError> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.map_err(StoreError::io(file, "read"))?,
    };
    let target = into.join(name);
    if fs::read(&target).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    atomic::write(&target, &bytes)
}
