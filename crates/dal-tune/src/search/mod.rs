//! The search: rungs of successive halving, finals on several seeds, the choice, and its proof on the test set.

mod budget;
mod campaigns;
mod findings;
mod tasks;
mod workers;

use dal_core::Stop;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use dal_core::{Engine, Shape};
use dal_oracles::Problem;
use ndarray::Array2;

pub use self::budget::Outlook;
use self::workers::{Shared, Work};
use crate::chosen::Admission;
use crate::data::{Division, Labels, Layout, LeftOut, Points, training_points, tune_stream};
use crate::error::TuneError;
use crate::journal::{Journal, Known, TrialKey, TrialResult, lock, make_directory};
use crate::judge::{Finalist, choose};
use crate::progress::{Event, Progress, RunOptions};
use crate::settings::{Rung, Settings, rungs};
use crate::space::{Candidate, SearchSpace};
use crate::tuning::{Outcome, Trial, Tried, Tuning};

/// Name of the journal in a search's directory.
const JOURNAL: &str = "journal.jsonl";

/// A search that is fully described and not yet begun.
#[derive(Clone, Debug)]
pub struct Search {
    problem: Problem,
    settings: Settings,
    space: SearchSpace,
    shape: Shape,
    engine: Arc<dyn Engine>,
    layout: Layout,
    rungs: Vec<Rung>,
    candidates: Vec<Candidate>,
    costs: Vec<f64>,
    parameters: Vec<usize>,
    /// Candidates of the space that the budget left out of the first rung.
    n_left_out: usize,
    platform: String,
}

impl Search {
    /// The points that networks learn from, where they are drawn: shape (points, columns); none of a table's rows.
    pub fn training_points(&self) -> Option<Array2<f64>> {
        match self.layout.division {
            Division::Drawn { train, .. } => Some(training_points(&self.problem, train)),
            _ => None,
        }
    }

    /// Describes a search whose networks `engine` trains; asks for no label and trains nothing.
    ///
    /// The search keeps trainings, not labels: where those cost something, ask the problem through an oracle that keeps
    /// them ([`Problem::with_oracle`]).
    ///
    /// # Errors
    /// A problem without an oracle, settings that make no sense, a table that is too short, a budget that does not hold
    /// the finals.
    pub fn new(
        problem: Problem,
        settings: Settings,
        space: SearchSpace,
        engine: Arc<dyn Engine>,
    ) -> Result<Self, TuneError> {
        problem.oracle()?;
        settings.check()?;
        if space.is_empty() {
            return Err(TuneError::bad("the space", "empty", "at least one value of every property"));
        }
        let mut settings = settings;
        for sizes in [&mut settings.points, &mut settings.proof_points] {
            sizes.sort_unstable();
            sizes.dedup();
        }
        let most = settings.points.last().copied().unwrap_or(1);
        let layout = Layout::of(&problem, most, settings.validation, settings.test_points)?;
        let shape = problem.shape();
        let reference = Candidate(problem.model().clone());
        let candidates = space.drawn(&reference, &tune_stream(&problem));
        let costs = candidates.iter().map(|c| c.cost(shape)).collect::<Result<Vec<f64>, _>>()?;
        let parameters = candidates.iter().map(|c| c.n_parameters(shape)).collect::<Result<Vec<usize>, _>>()?;
        let rungs = rungs(&settings);
        let platform = engine.learner(&reference.trained(1, 1), shape)?.platform();
        let mut search = Self {
            problem,
            settings,
            space,
            shape,
            engine,
            layout,
            rungs,
            candidates,
            costs,
            parameters,
            n_left_out: 0,
            platform,
        };
        let seeds = search.settings.seeds;
        let needed = 2.0 * seeds as f64 / search.rungs[3].share;
        if search.settings.budget < needed {
            return Err(TuneError::BudgetTooSmall { found: search.settings.budget, seeds, needed });
        }
        let share = search.rungs[0].share * search.settings.budget * search.unit();
        let mut work = 0.0;
        let n = (0..search.candidates.len())
            .take_while(|&c| {
                work += search.work(0, c);
                c < 3 || work <= share
            })
            .count();
        search.n_left_out = search.candidates.len() - n;
        search.candidates.truncate(n);
        Ok(search)
    }

    /// The networks of the first rung, the default one first.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Whether the problem is one of the catalogue, not a user's.
    pub fn is_built_in(&self) -> bool {
        self.problem.card().is_some()
    }

    /// The rungs.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Runs the search in a directory, or goes on with what its journal holds.
    ///
    /// On [`Drain`](dal_core::StopLevel::Drain) every worker ends after the training that it is at, on
    /// [`Now`](dal_core::StopLevel::Now) within an epoch; labels that were answered are kept.
    ///
    /// # Errors
    /// A journal that is locked or of another search; labels that fail; a stage in which every network fails.
    pub fn run(
        &self,
        directory: &Path,
        options: RunOptions,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Outcome, TuneError> {
        match self.run_to_the_end(directory, options, progress, stop) {
            Err(TuneError::Stopped) => Ok(Outcome::Stopped),
            outcome => outcome,
        }
    }

    fn run_to_the_end(
        &self,
        directory: &Path,
        options: RunOptions,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Outcome, TuneError> {
        make_directory(directory)?;
        let (journal, known) = Journal::open(&directory.join(JOURNAL), &self.header())?;
        let Known { trials, campaigns, unlabelled, dropped_bytes } = known;
        if !trials.is_empty() || !campaigns.is_empty() || dropped_bytes > 0 {
            progress.event(&Event::Resumed { trainings: trials.len(), campaigns: campaigns.len(), dropped_bytes });
        }
        progress.event(&Event::Labelling);
        let labels = Labels {
            problem: &self.problem,
            oracle: self.problem.oracle()?,
            layout: &self.layout,
            journal: &journal,
            unlabelled: Mutex::new(unlabelled),
            stop,
        };
        let folds = labels.folds()?;
        let mut left_out = LeftOut::of_folds(&folds);
        let (trials, campaigns) = (Mutex::new(trials), Mutex::new(campaigns));
        let shared = Shared { search: self, journal: &journal, options, progress, stop, trials, campaigns };
        let mut work = Work { done: 0.0, left: 0.0 };
        let mut tried: BTreeMap<usize, Tried> = BTreeMap::new();
        let mut there: Vec<usize> = (0..self.candidates.len()).collect();
        let mut finals = Vec::new();
        // The journal may hold trainings of a proof that was asked for earlier; they are no part of this answer.
        let mut asked: BTreeSet<TrialKey> = BTreeSet::new();
        for (r, rung) in self.rungs.iter().enumerate() {
            let tasks = self.rung_tasks(r, &there, &folds);
            asked.extend(tasks.iter().map(|task| task.key));
            let name = match r + 1 == self.rungs.len() {
                true => format!("finals: {} epochs, {} members", rung.epochs, rung.members),
                false => format!("rung {}: {} epochs, {} members", r + 1, rung.epochs, rung.members),
            };
            progress.event(&Event::Stage { name, networks: there.len(), trainings: tasks.len() });
            work.left = tasks.iter().map(|task| task.work).sum::<f64>()
                + self.later_work(r + 1, there.len())
                + self.admission_work(0)
                + self.proof_work(0);
            if !shared.train(tasks, &mut work)? {
                return Ok(Outcome::Stopped);
            }
            let trials = lock(&shared.trials);
            let mut ranked = Vec::new();
            for &c in &there {
                let entry = self.judged(r, c, &trials);
                if let Some(score) = &entry.score {
                    ranked.push((score.log_mse, c));
                }
                tried.insert(c, entry);
            }
            if ranked.is_empty() {
                let reason = there.iter().find_map(|c| tried[c].failure.clone()).unwrap_or_default();
                return Err(TuneError::AllFailed { candidates: there.len(), reason });
            }
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let ranked: Vec<usize> = ranked.into_iter().map(|(_, c)| c).collect();
            if r + 1 < self.rungs.len() {
                there = self.carried(r + 1, &ranked, there.len());
            } else {
                finals = ranked;
            }
        }
        let mut finalists: Vec<Finalist<'_>> = finals
            .iter()
            .filter_map(|&c| {
                let score = tried[&c].score.as_ref()?;
                Some(Finalist { candidate: c, parameters: self.parameters[c], score })
            })
            .collect();
        // In the order in which they would be chosen: the first that is admitted is the choice.
        let mut admissions: Vec<Admission> = Vec::new();
        let choice = loop {
            let Some(choice) = choose(&finalists) else {
                let reason = admissions.first().map(ToString::to_string).unwrap_or_default();
                return Err(TuneError::NoneAdmitted { finalists: admissions.len(), reason });
            };
            if self.settings.chosen.seeds == 0 {
                break choice;
            }
            let name = format!("admission ({})", self.settings.chosen.sentence());
            let trainings = self.n_campaign_trainings(&folds[0]);
            progress.event(&Event::Stage { name, networks: 1, trainings });
            let Some(admission) = shared.admission(choice.chosen, &folds[0], &mut work)? else {
                return Ok(Outcome::Stopped);
            };
            let admitted = admission.admitted;
            admissions.push(admission);
            if admitted {
                break choice;
            }
            finalists.retain(|finalist| finalist.candidate != choice.chosen);
        };
        let explanation = self.explanation(&choice, &tried, there.len(), &admissions);
        let validated = self.validated(choice.chosen, &lock(&shared.trials));
        let proof = if self.settings.proof_seeds > 0 {
            let both = if choice.chosen == 0 { vec![0] } else { vec![0, choice.chosen] };
            let sizes = self.proof_sizes();
            let name = "proof on the test set".to_owned();
            let seeds = self.settings.proof_seeds as u64;
            let trainings = both.len() * sizes.len() * seeds as usize;
            progress.event(&Event::Labelling);
            let test = labels.test()?;
            let most = sizes.last().copied().unwrap_or(1);
            let sets = (0..seeds).map(|seed| labels.proof(seed, most)).collect::<Result<Vec<Points>, _>>()?;
            left_out.test = LeftOut::of([&test]);
            left_out.proof = LeftOut::of(&sets);
            progress.event(&Event::Stage { name, networks: both.len(), trainings });
            let tasks = self.proof_tasks(&both, &sizes, &sets, &test);
            asked.extend(tasks.iter().map(|task| task.key));
            work.left = tasks.iter().map(|task| task.work).sum();
            if !shared.train(tasks, &mut work)? {
                return Ok(Outcome::Stopped);
            }
            Some(self.proved(choice.chosen, &sizes, &lock(&shared.trials)))
        } else {
            None
        };
        let trials = lock(&shared.trials);
        let trials = trials.iter().filter(|(key, _)| asked.contains(key)).map(|(key, result)| {
            let (mse, failure) = match result {
                TrialResult::Mse(mse) => (Some(*mse), None),
                TrialResult::Failed(why) => (None, Some(why.clone())),
            };
            Trial { key: *key, mse, failure }
        });
        let mut tried: Vec<Tried> = tried.into_values().collect();
        let order = |t: &Tried| t.score.as_ref().map_or(f64::INFINITY, |score| score.log_mse);
        tried.sort_by(|a, b| {
            b.rung.cmp(&a.rung).then(order(a).total_cmp(&order(b))).then(a.candidate.cmp(&b.candidate))
        });
        Ok(Outcome::Chosen(Box::new(Tuning {
            problem: self.problem.variant_id(),
            platform: self.platform.clone(),
            results_revision: dal_core::RESULTS_REVISION,
            settings: self.settings.clone(),
            points: self.points(),
            space: self.space.clone(),
            division: self.layout.division.clone(),
            left_out,
            rungs: self.rungs.clone(),
            untried: self.n_left_out,
            published: self.candidates[0].clone(),
            published_parameters: self.parameters[0],
            chosen: self.candidates[choice.chosen].clone(),
            chosen_parameters: self.parameters[choice.chosen],
            chosen_candidate: choice.chosen,
            within_one_standard_error: choice.within,
            explanation,
            admissions,
            validated,
            proof,
            tried,
            trials: trials.collect(),
        })))
    }

    /// What the search is, as one line of JSON: the journal's first line. The proof is not part of it: it changes
    /// nothing that comes before it, so it can be asked for later, or with more seeds.
    fn header(&self) -> String {
        let mut settings = serde_json::to_value(&self.settings).expect("settings are plain data");
        if let Some(settings) = settings.as_object_mut() {
            settings.retain(|key, _| !key.starts_with("proof_"));
        }
        let mut value = serde_json::json!({
            "format": 1,
            "problem": self.problem.variant_id(),
            "digest": self.problem.digest(),
            "reference_network": self.candidates[0],
            "settings": settings,
            "space": self.space,
            "platform": self.platform,
            "results_revision": dal_core::RESULTS_REVISION,
        });
        // Absent where outputs are learned as they come, so that journals of such searches go on.
        if !self.problem.scaling().is_none() {
            value["outputs"] = serde_json::json!(self.problem.scaling());
        }
        dal_store::canonical_json(&value).expect("descriptions are plain data")
    }

    /// Numbers of labels that networks are judged at, as far as there are rows.
    fn points(&self) -> Vec<usize> {
        let most = self.layout.division.n_train();
        let mut points: Vec<usize> = self.settings.points.iter().map(|&n| n.min(most)).collect();
        points.dedup();
        points
    }

    /// Numbers of labels of the proof, as far as there are rows.
    fn proof_sizes(&self) -> Vec<usize> {
        let most = self.layout.rows_beside_test().unwrap_or(usize::MAX);
        let mut sizes: Vec<usize> = self.settings.proof_points.iter().map(|&n| n.min(most)).collect();
        sizes.dedup();
        sizes
    }
}
