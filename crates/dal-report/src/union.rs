//! Tables of several machines, or of several sessions on one, as one set of runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{BASELINE, Circumstances, Entry, Made, Model, ReportData, RunStatus, RunSummary, Setting, Sweep};
use crate::error::ReportError;
use crate::load::{OUTPUTS, are_others, free_name, several};

/// Relative difference of two errors up to which runs count as equal: tables may hold six digits.
const SAME: f64 = 1e-4;

impl ReportData {
    /// Takes up what `other` has: of a run that both have, the form that is further; of two finished ones its own.
    ///
    /// # Errors
    /// [`ReportError::Differs`] for a run that both finished with different results; nothing is taken then.
    pub fn unite(&mut self, mut other: Self) -> Result<(), ReportError> {
        let own: BTreeMap<&str, &RunSummary> = self.runs.iter().map(|run| (run.name.as_str(), run)).collect();
        for run in &other.runs {
            let Some(own) = own.get(run.name.as_str()) else { continue };
            if let Some(reason) = difference(own, run) {
                return Err(ReportError::Differs {
                    run: run.name.clone(),
                    sources: [self.source.clone(), other.source],
                    reason,
                });
            }
        }
        let mut circumstances = self.made_so(&other);
        for (how, made) in other.made_so(self) {
            let all = circumstances.entry(how).or_default();
            all.runs += made.runs;
            all.peak_memory_mib = all.peak_memory_mib.max(made.peak_memory_mib);
        }
        other.name_apart_from(&self.sweeps);
        self.note_replans(&mut other);
        let mut runs: BTreeMap<String, RunSummary> =
            std::mem::take(&mut self.runs).into_iter().map(|run| (run.name.clone(), run)).collect();
        for run in other.runs {
            match runs.get_mut(&run.name) {
                Some(own) if run.further() <= own.further() => {
                    own.circumstances = own.circumstances.take().or(run.circumstances);
                }
                own => {
                    let of_own = own.and_then(|own| own.circumstances.take());
                    let circumstances = run.circumstances.or(of_own);
                    runs.insert(run.name.clone(), RunSummary { circumstances, ..run });
                }
            }
        }
        self.runs = runs.into_values().collect();
        self.fill_digests();
        self.place_absent();
        for sweep in other.sweeps {
            if !self.sweeps.contains(&sweep) {
                self.sweeps.push(sweep);
            }
        }
        for how in self.runs.iter().filter_map(|run| run.circumstances.as_deref()) {
            circumstances.entry(how.clone()).or_default().runs += 1;
        }
        self.provenance = circumstances.into_iter().collect();
        self.unreadable.extend(other.unreadable);
        self.planned_twice.extend(other.planned_twice);
        Ok(())
    }

    /// Tables of older versions say neither which version of a user's problem a run is of nor how outputs were
    /// transformed: where the others know of one alone, it is that one.
    fn fill_digests(&mut self) {
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut in_full: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.own && !run.model.problem_digest.is_empty()) {
            known.entry(&run.problem).or_default().insert(&run.model.problem_digest);
            let identity = run.model.identity.as_str();
            let short = identity.rfind(OUTPUTS).map_or(identity, |at| &identity[..at]);
            in_full.entry((&run.problem, short)).or_default().insert(identity);
        }
        let only =
            |of: Option<&BTreeSet<&str>>| Some(of?.first().filter(|_| of.is_some_and(|of| of.len() == 1))?.to_string());
        let filled: Vec<(usize, String, Option<String>)> = (self.runs.iter().enumerate())
            .filter(|(_, run)| run.own && run.model.problem_digest.is_empty() && run.model != Model::default())
            .filter_map(|(at, run)| {
                let identity = only(in_full.get(&(run.problem.as_str(), run.model.identity.as_str())));
                Some((at, only(known.get(run.problem.as_str()))?, identity))
            })
            .collect();
        for (at, digest, identity) in filled {
            let model = &mut self.runs[at].model;
            model.problem_digest = digest;
            model.identity = identity.unwrap_or_else(|| std::mem::take(&mut model.identity));
        }
    }

    /// Gives sweeps names of their own that others have for sweeps of other users' problems: columns and titles are
    /// looked up by the sweep's name.
    fn name_apart_from(&mut self, others: &[Sweep]) {
        let own: Vec<String> = self.sweeps.iter().map(|sweep| sweep.name.clone()).collect();
        for sweep in &mut self.sweeps {
            let new = free_name(&sweep.name, |name| {
                others.iter().any(|other| other.name == name && are_others(&other.own_problems, &sweep.own_problems))
                    || (name != sweep.name && own.iter().any(|own| own == name))
            });
            if new != sweep.name {
                for run in self.runs.iter_mut().filter(|run| run.sweep == sweep.name) {
                    run.sweep.clone_from(&new);
                }
                sweep.name = new;
            }
        }
    }

    /// Sweeps without looks, here and in `other`, that plan the same runs with different seeds get the numbers of both.
    fn note_replans(&mut self, other: &mut Self) {
        fn plan<'a>(runs: &'a [RunSummary], sweep: &str) -> (BTreeSet<u64>, BTreeSet<&'a str>) {
            let is_it = |run: &&RunSummary| run.sweep == sweep && run.strategy != BASELINE && !run.setting.timing;
            runs.iter().filter(is_it).map(|run| (run.seed, run.name.as_str())).unzip()
        }
        for own in self.sweeps.iter_mut().filter(|sweep| sweep.looks.is_empty()) {
            for theirs in other.sweeps.iter_mut().filter(|sweep| sweep.name == own.name && sweep.looks.is_empty()) {
                let ((seeds, runs), (of_other, other_runs)) =
                    (plan(&self.runs, &own.name), plan(&other.runs, &own.name));
                if runs.is_disjoint(&other_runs) {
                    continue;
                }
                let mut numbers: BTreeSet<usize> = several([&seeds, &of_other]).into_iter().collect();
                numbers.extend(own.replanned.iter().chain(&theirs.replanned));
                own.replanned = numbers.into_iter().collect();
                theirs.replanned.clone_from(&own.replanned);
            }
        }
    }

    /// The circumstances, each with as many runs as do not say themselves that they were made so: of tables of older
    /// versions. A run counts as one that says so where its form in `other` does.
    fn made_so(&self, other: &Self) -> BTreeMap<Circumstances, Made> {
        let of_other: BTreeMap<&str, &Circumstances> =
            other.runs.iter().filter_map(|run| Some((run.name.as_str(), run.circumstances.as_deref()?))).collect();
        let mut made: BTreeMap<Circumstances, Made> = self.provenance.iter().cloned().collect();
        for run in self.runs.iter().filter(|run| run.status != RunStatus::Absent) {
            let how = run.circumstances.as_deref().or_else(|| of_other.get(run.name.as_str()).copied());
            if let Some(made) = how.and_then(|how| made.get_mut(how)) {
                made.runs = made.runs.saturating_sub(1);
            }
        }
        made
    }

    /// Gives runs that were not begun and whose model their own store could not tell the setting and model of a begun
    /// one of their sweep and problem, or of their problem alone where all begun ones agree.
    fn place_absent(&mut self) {
        let (unplaced, placed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition(|run| run.status == RunStatus::Absent && run.model == Model::default());
        let mut first: BTreeMap<(&str, &str), &RunSummary> = BTreeMap::new();
        for run in placed.iter().filter(|run| run.status != RunStatus::Absent) {
            first.entry((&run.sweep, &run.problem)).or_insert(run);
        }
        let mut of_problem: BTreeMap<&str, Option<&RunSummary>> = BTreeMap::new();
        for run in placed.iter().filter(|run| run.status != RunStatus::Absent) {
            let known = of_problem.entry(&run.problem).or_insert(Some(run));
            *known = known.filter(|known| known.model == run.model && known.protocol == run.protocol);
        }
        let like = |run: &RunSummary| {
            let of_sweep = first.get(&(run.sweep.as_str(), run.problem.as_str())).copied();
            of_sweep.or_else(|| of_problem.get(run.problem.as_str()).copied().flatten())
        };
        let found: Vec<RunSummary> = unplaced
            .into_iter()
            .map(|run| match like(&run) {
                Some(like) => RunSummary {
                    setting: Setting { timing: run.setting.timing, ..like.setting.clone() },
                    protocol: like.protocol.clone(),
                    model: like.model.clone(),
                    own: like.own,
                    test_labels: like.test_labels.clone(),
                    ..run
                },
                None => run,
            })
            .collect();
        self.runs = placed;
        self.runs.extend(found);
        self.runs.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// In what two finished forms of a run differ; nothing where one of them is not finished.
fn difference(a: &RunSummary, b: &RunSummary) -> Option<String> {
    if a.status != RunStatus::Done || b.status != RunStatus::Done {
        return None;
    }
    if a.entries.len() != b.entries.len() {
        return Some(format!("{} entries and {}", a.entries.len(), b.entries.len()));
    }
    let is_same = |a: &Entry, b: &Entry| {
        a.n_labelled == b.n_labelled && (a.mse == b.mse || (a.mse - b.mse).abs() <= SAME * a.mse.abs().max(b.mse.abs()))
    };
    let pairs = a.entries.iter().zip(&b.entries).enumerate();
    let (entry, (a, b)) = pairs.into_iter().find(|(_, (a, b))| !is_same(a, b))?;
    Some(format!("entry {entry} has the MSE {} at {} labels and {} at {}", a.mse, a.n_labelled, b.mse, b.n_labelled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Protocol, Sweep};
    use std::sync::Arc;

    fn run(name: &str, status: RunStatus, errors: &[f64]) -> RunSummary {
        let entry = |(t, &mse): (usize, &f64)| Entry { n_labelled: 80 + 40 * t, mse, ..Entry::default() };
        RunSummary {
            setting: Setting { engine: "cpu".into(), platform: "p".into(), results_revision: 1, timing: false },
            protocol: Protocol {
                preset: "tuned".into(),
                initial: 80,
                queries: 40,
                steps: 1,
                test_points: 9,
                label_noise_percent: 0,
            },
            problem: "sine".into(),
            strategy: "gsx".into(),
            pool_ratio: Some(2),
            seed: 0,
            model: Model::default(),
            own: false,
            test_labels: None,
            status,
            waiting: None,
            entries: errors.iter().enumerate().map(entry).collect(),
            name: name.into(),
            sweep: "a".into(),
            circumstances: None,
        }
    }

    fn data(runs: Vec<RunSummary>) -> ReportData {
        let n = runs.len();
        let sweep = Sweep { name: "a".into(), ..Sweep::default() };
        let made = (Circumstances::default(), Made { runs: n, peak_memory_mib: n as u64 });
        ReportData { source: "s".into(), runs, sweeps: vec![sweep], provenance: vec![made], ..ReportData::default() }
    }

    #[test]
    fn the_furthest_form_of_each_run_counts() {
        let mut all = data(vec![
            run("b", RunStatus::Absent, &[]),
            run("c", RunStatus::Done, &[0.5, 0.123_456_789]),
            run("d", RunStatus::Partial, &[0.5]),
        ]);
        let other = data(vec![
            run("a", RunStatus::Done, &[0.4, 0.3]),
            run("b", RunStatus::Done, &[0.6, 0.2]),
            run("c", RunStatus::Done, &[0.5, 0.123_457]),
            run("d", RunStatus::Absent, &[]),
        ]);
        all.unite(other).unwrap();
        let forms: Vec<(&str, &RunStatus, usize)> =
            all.runs.iter().map(|run| (run.name.as_str(), &run.status, run.entries.len())).collect();
        let done = &RunStatus::Done;
        assert_eq!(forms, [("a", done, 2), ("b", done, 2), ("c", done, 2), ("d", &RunStatus::Partial, 1)]);
        assert_eq!(all.runs[2].entries[1].mse, 0.123_456_789, "its own form, with all its digits");
        assert_eq!(all.sweeps.len(), 1);
        assert_eq!(all.provenance, [(Circumstances::default(), Made { runs: 7, peak_memory_mib: 4 })]);
    }

    #[test]
    fn a_run_that_both_have_was_made_once() {
        let how = |cpu: &str| Circumstances { cpu: cpu.into(), ..Circumstances::default() };
        let counted = |says: [bool; 2]| {
            let of = |says: bool, made: &[(&str, &str)]| {
                let mut all = data(Vec::new());
                all.provenance = Vec::new();
                for &(name, cpu) in made {
                    let circumstances = says.then(|| Arc::new(how(cpu)));
                    all.runs.push(RunSummary { circumstances, ..run(name, RunStatus::Done, &[0.5]) });
                    match all.provenance.iter_mut().find(|(known, _)| known.cpu == cpu) {
                        Some((_, made)) => made.runs += 1,
                        None => all.provenance.push((how(cpu), Made { runs: 1, peak_memory_mib: 1 })),
                    }
                }
                all
            };
            let mut store = of(says[0], &[("a", "one"), ("b", "one"), ("c", "two")]);
            store.unite(of(says[1], &[("a", "one"), ("c", "two"), ("d", "two"), ("e", "three")])).unwrap();
            store.provenance.iter().map(|(how, made)| (how.cpu.clone(), made.runs)).collect::<Vec<_>>()
        };
        let due = [("one".to_owned(), 2), ("three".to_owned(), 1), ("two".to_owned(), 2)];
        for says in [[true, true], [true, false], [false, true]] {
            assert_eq!(counted(says), due, "{says:?}");
        }
    }

    #[test]
    fn runs_that_were_not_begun_have_the_model_of_their_sweep_and_problem() {
        let model = Model { network: "4 × 50".into(), ..Model::default() };
        let begun = RunSummary { model: model.clone(), ..run("b", RunStatus::Done, &[0.5]) };
        let elsewhere = RunSummary { problem: "hydro".into(), ..run("c", RunStatus::Absent, &[]) };
        let mut all = data(vec![run("a", RunStatus::Absent, &[]), elsewhere]);
        all.unite(data(vec![begun])).unwrap();
        let found: Vec<(&str, &Model)> = all.runs.iter().map(|run| (run.name.as_str(), &run.model)).collect();
        assert_eq!(found, [("a", &model), ("b", &model), ("c", &Model::default())]);
        // Of another sweep, too, where all begun runs of the problem agree.
        let other = RunSummary { sweep: "b".into(), ..run("d", RunStatus::Absent, &[]) };
        all.unite(data(vec![other])).unwrap();
        assert_eq!(all.runs[3].model, model);
    }

    #[test]
    fn two_results_of_one_run_are_an_error() {
        let mut all = data(vec![run("a", RunStatus::Done, &[0.4, 0.3])]);
        for errors in [&[0.4, 0.31][..], &[0.4]] {
            let error = all.unite(data(vec![run("a", RunStatus::Done, errors)])).unwrap_err().to_string();
            assert!(error.starts_with("a: its results in s and in s differ: "), "{error}");
        }
        assert_eq!(all.runs, [run("a", RunStatus::Done, &[0.4, 0.3])]);
    }
}
