//! The search: rungs of successive halving, finals on several seeds, the choice, and its proof on the test set.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dal_core::{LearnError, Learner, Needs, SeedPath, Surrogate, TrialSeeds};
use dal_nn::CpuLearner;
use dal_oracles::Problem;
use ndarray::Array2;
use rand::RngExt;
use serde::Serialize;

use crate::data::{Division, Fold, Labels, Layout, Points, tune_stream};
use crate::error::TuneError;
use crate::journal::{Entry, Journal, Known, TrialKey, TrialResult, lock, make_directory, write_whole};
use crate::judge::{Finalist, ProofRow, Score, Verdict, choose, floored_ln};
use crate::space::{Candidate, Ends, SearchSpace, training, widths};

/// Share of a rung's candidates that go on to the next, as a divisor.
const HALVING: usize = 3;
/// The most networks in the finals, the default one not counted.
const FINALISTS: usize = 6;
/// Name of the journal in a search's directory.
const JOURNAL: &str = "journal.jsonl";

/// How a search is carried out; all of it is part of what the search is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Numbers of labels that networks are judged at; a score is the mean over them.
    pub points: Vec<usize>,
    /// Points that they are judged on, where these are drawn or a table is long enough.
    pub validation: usize,
    /// Epochs of the finals.
    pub epochs: usize,
    /// Ensemble members of the finals.
    pub members: usize,
    /// Seeds of the finals.
    pub seeds: usize,
    /// Work that the search may do, in trainings of the reference network by the finals' measure; the proof comes on top.
    pub budget: f64,
    /// Points of the test set, or rows of a table (at most a fifth) that are kept for it.
    pub test_points: usize,
    /// Numbers of labels at which the choice is proved on the test set.
    pub proof_points: Vec<usize>,
    /// Seeds of the proof; 0 leaves it out.
    pub proof_seeds: usize,
}

impl Settings {
    /// The paper's 2 000 labels and the benchmark's training for a problem. The choice is proved at 80, 480 and 2 080 labels on five
    /// seeds, unless labels are answers of a user's program or model.
    pub fn for_problem(problem: &Problem) -> Self {
        let cheap = problem.card().is_some() || problem.candidates().is_some();
        Self {
            points: vec![2000],
            validation: 2000,
            epochs: 500,
            // The published ensembles have ten members, ADM's five.
            members: if problem.id() == "adm" { 5 } else { 10 },
            seeds: 3,
            budget: 40.0,
            test_points: 4000,
            proof_points: vec![80, 480, 2080],
            proof_seeds: if cheap { 5 } else { 0 },
        }
    }

    fn check(&self) -> Result<(), TuneError> {
        let whole = |key, values: &[usize]| match values {
            [] => Err(TuneError::bad(key, "nothing", "at least one number")),
            values if values.iter().any(|v| !(1..=10_000_000).contains(v)) => {
                Err(TuneError::bad(key, format!("{values:?}"), "whole numbers from 1 to 10000000"))
            }
            _ => Ok(()),
        };
        whole("points", &self.points)?;
        whole("validation", &[self.validation])?;
        whole("epochs", &[self.epochs])?;
        whole("members", &[self.members])?;
        whole("seeds", &[self.seeds])?;
        whole("test_points", &[self.test_points])?;
        if self.proof_seeds > 0 {
            whole("proof_points", &self.proof_points)?;
        }
        if !(self.budget > 0.0 && self.budget.is_finite()) {
            return Err(TuneError::bad("budget", self.budget.to_string(), "a positive number"));
        }
        Ok(())
    }
}

/// A stage of the search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// Epochs.
    pub epochs: usize,
    /// Ensemble members.
    pub members: usize,
    /// Seeds: the halving rungs share the first, the finals have others of their own.
    pub seeds: Range<u64>,
    /// Share of the budget.
    pub share: f64,
}

fn rungs(settings: &Settings) -> Vec<Rung> {
    let (epochs, members) = (settings.epochs, settings.members);
    let rung = |epochs, members, seeds, share| Rung { epochs, members, seeds, share };
    vec![
        rung(epochs.div_ceil(4), 1, 0..1, 0.2),
        rung(epochs.div_ceil(2), members.min(2), 0..1, 0.2),
        rung(epochs, members.min(3), 0..1, 0.2),
        rung(epochs, members, 1..1 + settings.seeds as u64, 0.4),
    ]
}

/// A search that is fully described and not yet begun.
#[derive(Clone, Debug)]
pub struct Search {
    problem: Problem,
    settings: Settings,
    space: SearchSpace,
    ends: Ends,
    layout: Layout,
    rungs: Vec<Rung>,
    candidates: Vec<Candidate>,
    costs: Vec<f64>,
    parameters: Vec<usize>,
    /// Candidates of the space that the budget left out of the first rung.
    n_left_out: usize,
    platform: String,
}

/// How a search is run; none of it changes results.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Worker threads; each trains one ensemble at a time.
    pub jobs: usize,
}

/// Watches a search; called from worker threads, so it must be quick.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What happens in a search.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The journal was read.
    Resumed {
        /// Trainings that it holds.
        trainings: usize,
        /// Bytes of it that were torn or damaged; what they said is done again.
        dropped_bytes: u64,
    },
    /// Points are being labelled.
    Labelling,
    /// A stage begins.
    Stage {
        /// What it is, in words.
        name: String,
        /// Networks in it.
        networks: usize,
        /// Trainings in it.
        trainings: usize,
    },
    /// An ensemble was trained and judged, and that is on disk.
    Trained {
        /// Which network.
        candidate: &'a Candidate,
        /// How it did.
        result: &'a TrialResult,
        /// Work that this start has done.
        done: f64,
        /// Work expected to be left.
        left: f64,
    },
}

/// How a start of a search ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To the end.
    Chosen(Box<Tuning>),
    /// A stop was asked for; the journal holds what was done.
    Stopped,
}

/// A candidate and how far it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// 0-based, in the order drawn; 0 is the problem's reference network.
    pub candidate: usize,
    /// The network.
    #[serde(flatten)]
    pub network: Candidate,
    /// Its parameters.
    pub parameters: usize,
    /// The last rung that it was trained in, 0-based.
    pub rung: usize,
    /// How it did there; `None` if it failed.
    pub score: Option<Score>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// One training, raw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Which.
    #[serde(flatten)]
    pub key: TrialKey,
    /// MSE on the points judged on; `None` if it failed.
    pub mse: Option<f64>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// The proof on the test set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// One row per number of labels.
    pub rows: Vec<ProofRow>,
    /// What they amount to.
    pub verdict: Verdict,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuning {
    /// The problem's variant.
    pub problem: String,
    /// The numeric platform.
    pub platform: String,
    /// [`dal_core::RESULTS_REVISION`].
    pub results_revision: u32,
    /// The settings.
    pub settings: Settings,
    /// Numbers of labels that networks were judged at: those of the settings, as far as a table has rows.
    pub points: Vec<usize>,
    /// The space.
    pub space: SearchSpace,
    /// How the labels came about.
    pub division: Division,
    /// The rungs.
    pub rungs: Vec<Rung>,
    /// Networks of the space that the budget left untried.
    pub untried: usize,
    /// The reference network: the published one, or that of a user's problem file.
    pub published: Candidate,
    /// Its parameters.
    pub published_parameters: usize,
    /// The choice.
    pub chosen: Candidate,
    /// Its parameters.
    pub chosen_parameters: usize,
    /// 0-based candidate that was chosen.
    pub chosen_candidate: usize,
    /// Finalists within one standard error of the best.
    pub within_one_standard_error: Vec<usize>,
    /// Why, in a sentence or two.
    pub explanation: String,
    /// The test set's word, if it was asked.
    pub proof: Option<Proof>,
    /// Every network that was tried: those that came furthest first, then by score.
    pub tried: Vec<Tried>,
    /// Every training, by rung, candidate, points, fold and seed.
    pub trials: Vec<Trial>,
}

impl Tuning {
    /// Writes `choice.json` (all but the single trainings) and `trials.csv` (those) into a directory. Equal searches give
    /// equal bytes.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), TuneError> {
        make_directory(directory)?;
        write_whole(&directory.join("choice.json"), (self.to_json() + "\n").as_bytes())?;
        let mut csv = "rung,epochs,members,candidate,points,fold,seed,mse,failure\n".to_owned();
        for trial in &self.trials {
            let TrialKey { rung, candidate, points, fold, seed } = trial.key;
            let last = self.rungs.last();
            let (epochs, members) = self.rungs.get(rung).or(last).map_or((0, 0), |rung| (rung.epochs, rung.members));
            let stage = if rung < self.rungs.len() { rung.to_string() } else { "proof".into() };
            let mse = trial.mse.map(|v| format!("{v:?}")).unwrap_or_default();
            let failure = trial.failure.as_deref().unwrap_or_default().replace('"', "'").replace(['\n', '\r'], " ");
            let failure = if failure.is_empty() { failure } else { format!("\"{failure}\"") };
            csv += &format!("{stage},{epochs},{members},{candidate},{points},{fold},{seed},{mse},{failure}\n");
        }
        write_whole(&directory.join("trials.csv"), csv.as_bytes())
    }

    /// All but the single trainings, as JSON for people and machines.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("results are plain data");
        if let Some(object) = value.as_object_mut() {
            object.remove("trials");
        }
        serde_json::to_string_pretty(&value).expect("results are plain data")
    }
}

/// What a search is about to do, in units of work; for estimates.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Networks in the first rung.
    pub networks: usize,
    /// Networks of the space.
    pub space: usize,
    /// Expected work of the search.
    pub search: f64,
    /// Expected work of the proof.
    pub proof: f64,
    /// One training of the reference network by the finals' measure.
    pub unit: f64,
    /// How the labels come about.
    pub division: Division,
}

impl Search {
    /// Describes a search; asks for no label and trains nothing.
    ///
    /// # Errors
    /// Settings that make no sense, a table that is too short, a budget that does not hold the finals.
    pub fn new(problem: Problem, settings: Settings, space: SearchSpace) -> Result<Self, TuneError> {
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
        let ends = Ends::of(&problem);
        let reference = Candidate::from(problem.learning());
        let candidates = space.drawn(&reference, &tune_stream(&problem));
        let costs = candidates.iter().map(|c| ends.cost(c)).collect::<Result<Vec<f64>, _>>()?;
        let parameters = candidates.iter().map(|c| ends.n_parameters(c)).collect::<Result<Vec<usize>, _>>()?;
        let rungs = rungs(&settings);
        let network = ends.network(&reference)?;
        let platform = CpuLearner::new(network, training(&reference, 1, 1))?.platform();
        let mut search = Self {
            problem,
            settings,
            space,
            ends,
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

    /// What it is about to do.
    pub fn outlook(&self) -> Outlook {
        let n = self.candidates.len();
        let first: f64 = (0..n).map(|c| self.work(0, c)).sum();
        Outlook {
            networks: n,
            space: n + self.n_left_out,
            search: first + self.later_work(1, n),
            proof: self.proof_work(0),
            unit: self.unit(),
            division: self.layout.division.clone(),
        }
    }

    /// Trains one member of the reference network for so many epochs on random data of the largest size and returns the work
    /// that was: timed by a caller, what a unit of work costs here.
    ///
    /// # Errors
    /// A network that cannot be trained.
    pub fn rehearse(&self, epochs: usize) -> Result<f64, TuneError> {
        let n = self.points().last().copied().unwrap_or(1);
        let mut rng = SeedPath::root(0).purpose("calibration").rng();
        let mut uniform = |columns| Array2::from_shape_fn((n, columns), |_| rng.random::<f64>() * 2.0 - 1.0);
        let points = Points { x: uniform(self.ends.n_inputs), y: uniform(self.ends.n_outputs) };
        let spec = training(&self.candidates[0], epochs, 1);
        let learner = CpuLearner::new(self.ends.network(&self.candidates[0])?, spec)?;
        // Whether it converges is no matter here.
        let _ = learner.fit(&points.labelled(n)?, &Needs::default(), &SeedPath::root(0).purpose("calibration"));
        Ok(self.costs[0] * (epochs * n) as f64)
    }

    /// Runs the search in a directory, or goes on with what its journal holds.
    ///
    /// When `stop` becomes true, every worker ends after the training that it is at.
    ///
    /// # Errors
    /// A journal that is locked or of another search; labels that fail; a stage in which every network fails.
    pub fn run(
        &self,
        directory: &Path,
        options: RunOptions,
        progress: &dyn Progress,
        stop: &AtomicBool,
    ) -> Result<Outcome, TuneError> {
        make_directory(directory)?;
        let (journal, known) = Journal::open(&directory.join(JOURNAL), &self.header())?;
        let Known { labels, trials, dropped_bytes } = known;
        if !trials.is_empty() || !labels.is_empty() || dropped_bytes > 0 {
            progress.event(&Event::Resumed { trainings: trials.len(), dropped_bytes });
        }
        progress.event(&Event::Labelling);
        let labels = Labels { problem: &self.problem, layout: &self.layout, journal: &journal, known: labels };
        let folds = labels.folds()?;
        let shared = Shared { search: self, journal: &journal, options, progress, stop, trials: Mutex::new(trials) };
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
        let finalists: Vec<Finalist<'_>> = finals
            .iter()
            .filter_map(|&c| {
                let score = tried[&c].score.as_ref()?;
                Some(Finalist { candidate: c, parameters: self.parameters[c], score })
            })
            .collect();
        // Not empty: the last rung has at least one score.
        let Some(choice) = choose(&finalists) else { return Ok(Outcome::Stopped) };
        let explanation = self.explanation(&choice, &tried, there.len());
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
            rungs: self.rungs.clone(),
            untried: self.n_left_out,
            published: self.candidates[0].clone(),
            published_parameters: self.parameters[0],
            chosen: self.candidates[choice.chosen].clone(),
            chosen_parameters: self.parameters[choice.chosen],
            chosen_candidate: choice.chosen,
            within_one_standard_error: choice.within,
            explanation,
            proof,
            tried,
            trials: trials.collect(),
        })))
    }

    /// What the search is, as one line of JSON: the journal's first line. The proof is not part of it: it changes nothing that
    /// comes before it, so it can be asked for later, or with more seeds.
    fn header(&self) -> String {
        let mut settings = serde_json::to_value(&self.settings).expect("settings are plain data");
        if let Some(settings) = settings.as_object_mut() {
            settings.retain(|key, _| !key.starts_with("proof_"));
        }
        let value = serde_json::json!({
            "format": 1,
            "problem": self.problem.variant_id(),
            "digest": self.problem.digest(),
            "reference_network": self.candidates[0],
            "settings": settings,
            "space": self.space,
            "platform": self.platform,
            "results_revision": dal_core::RESULTS_REVISION,
        });
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

    /// Points trained on in one pass over the sizes and folds.
    fn n_points(&self) -> f64 {
        (self.points().iter().sum::<usize>() * self.layout.division.n_folds()) as f64
    }

    /// Work of one training of the reference network by the finals' measure.
    fn unit(&self) -> f64 {
        self.costs[0] * self.n_points() * (self.settings.epochs * self.settings.members) as f64
    }

    /// Work of a candidate in a rung.
    fn work(&self, rung: usize, candidate: usize) -> f64 {
        let rung = &self.rungs[rung];
        let seeds = (rung.seeds.end - rung.seeds.start) as f64;
        self.costs[candidate] * self.n_points() * (rung.epochs * rung.members) as f64 * seeds
    }

    /// Expected work from a rung on, if the one before it has `n` candidates of average cost.
    fn later_work(&self, from: usize, n: usize) -> f64 {
        let mut n = n;
        let average = self.costs[..self.candidates.len()].iter().sum::<f64>() / self.candidates.len() as f64;
        (from..self.rungs.len())
            .map(|r| {
                n = self.limit(r, n);
                let each = self.work(r, 0) * average / self.costs[0];
                (n as f64 * each)
                    .min(self.rungs[r].share * self.settings.budget * self.unit())
                    .max(2.0 * self.work(r, 0))
            })
            .sum()
    }

    fn proof_work(&self, chosen: usize) -> f64 {
        let points = self.proof_sizes().iter().sum::<usize>() * self.settings.proof_seeds;
        let both = self.costs[0] + self.costs[chosen];
        both * (points * self.settings.epochs * self.settings.members) as f64
    }

    /// The most candidates of a rung after one of `n`.
    fn limit(&self, rung: usize, n: usize) -> usize {
        let third = n.div_ceil(HALVING).max(2);
        if rung + 1 == self.rungs.len() { third.min(FINALISTS) } else { third }
    }

    /// Who goes on to a rung: the best of the one before, as many as its share of the budget holds and at least two; and the
    /// reference network, if it can be trained at all, so that the choice is always compared with it.
    fn carried(&self, rung: usize, ranked: &[usize], n: usize) -> Vec<usize> {
        let share = self.rungs[rung].share * self.settings.budget * self.unit();
        let mut work = 0.0;
        let mut carried = Vec::new();
        for &c in ranked {
            work += self.work(rung, c);
            if carried.len() >= 2 && (carried.len() >= self.limit(rung, n) || work > share) {
                break;
            }
            carried.push(c);
        }
        if ranked.contains(&0) && !carried.contains(&0) {
            carried.push(0);
        }
        carried
    }

    fn rung_tasks<'a>(&'a self, rung: usize, candidates: &[usize], folds: &'a [Fold]) -> Vec<Task<'a>> {
        let spec = &self.rungs[rung];
        let stream = tune_stream(&self.problem).purpose("fit");
        let mut tasks = Vec::new();
        for &candidate in candidates {
            for seed in spec.seeds.clone() {
                for (fold, data) in folds.iter().enumerate() {
                    for points in self.points() {
                        let work = self.costs[candidate] * (points * spec.epochs * spec.members) as f64;
                        tasks.push(Task {
                            key: TrialKey { rung, candidate, points, fold, seed },
                            epochs: spec.epochs,
                            members: spec.members,
                            train: &data.train,
                            judged_on: &data.validation,
                            seeds: stream.index(seed).index(fold as u64),
                            work,
                        });
                    }
                }
            }
        }
        tasks
    }

    fn proof_tasks<'a>(
        &'a self,
        candidates: &[usize],
        sizes: &[usize],
        sets: &'a [Points],
        test: &'a Points,
    ) -> Vec<Task<'a>> {
        let (epochs, members) = (self.settings.epochs, self.settings.members);
        let variant = self.problem.variant_id();
        let mut tasks = Vec::new();
        for &candidate in candidates {
            for (seed, train) in sets.iter().enumerate() {
                for &points in sizes {
                    tasks.push(Task {
                        key: TrialKey { rung: self.rungs.len(), candidate, points, fold: 0, seed: seed as u64 },
                        epochs,
                        members,
                        train,
                        judged_on: test,
                        seeds: TrialSeeds::new(&variant, seed as u64).fit(0),
                        work: self.costs[candidate] * (points * epochs * members) as f64,
                    });
                }
            }
        }
        tasks
    }

    /// A candidate after a rung.
    fn judged(&self, rung: usize, candidate: usize, trials: &BTreeMap<TrialKey, TrialResult>) -> Tried {
        let mut replicates = Vec::new();
        let mut failure = None;
        for seed in self.rungs[rung].seeds.clone() {
            for fold in 0..self.layout.division.n_folds() {
                let points = self.points();
                let mut log_mse = 0.0;
                for &points in &points {
                    match trials.get(&TrialKey { rung, candidate, points, fold, seed }) {
                        Some(TrialResult::Mse(mse)) => log_mse += floored_ln(*mse),
                        Some(TrialResult::Failed(why)) => failure = failure.or_else(|| Some(why.clone())),
                        None => failure = failure.or_else(|| Some("it was not trained".into())),
                    }
                }
                replicates.push(log_mse / points.len() as f64);
            }
        }
        Tried {
            candidate,
            network: self.candidates[candidate].clone(),
            parameters: self.parameters[candidate],
            rung,
            score: failure.is_none().then(|| Score::of(&replicates)),
            failure,
        }
    }

    fn proved(&self, chosen: usize, sizes: &[usize], trials: &BTreeMap<TrialKey, TrialResult>) -> Proof {
        let errors = |candidate: usize, points: usize| -> Vec<Option<f64>> {
            let of = |seed| match trials.get(&TrialKey { rung: self.rungs.len(), candidate, points, fold: 0, seed }) {
                Some(TrialResult::Mse(mse)) => Some(*mse),
                _ => None,
            };
            (0..self.settings.proof_seeds as u64).map(of).collect()
        };
        let rows: Vec<ProofRow> =
            sizes.iter().map(|&points| ProofRow::of(points, errors(0, points), errors(chosen, points))).collect();
        let verdict = Verdict::of(&rows, chosen == 0);
        Proof { rows, verdict }
    }

    fn explanation(&self, choice: &crate::judge::Choice, tried: &BTreeMap<usize, Tried>, finalists: usize) -> String {
        let mse = |c: usize| tried[&c].score.as_ref().map_or("failed".into(), |score| format!("{:.3e}", score.mse()));
        let name = |c: usize| {
            let network = &self.candidates[c];
            format!("{network} ({} parameters)", self.parameters[c])
        };
        let finals = &self.rungs[self.rungs.len() - 1];
        let seeds = finals.seeds.end - finals.seeds.start;
        let mut text = format!(
            "Of {} networks {finalists} reached the finals ({} epochs, {} members, {seeds} seeds). The lowest validation MSE there is {}, \
             by {}",
            self.candidates.len(),
            finals.epochs,
            finals.members,
            mse(choice.best),
            name(choice.best),
        );
        let error = tried[&choice.best].score.as_ref().map_or(0.0, |score| score.standard_error);
        if choice.within.len() == 1 {
            text += &format!(
                "; no other finalist is within one standard error (a factor of {:.3}), so it is chosen.",
                error.exp()
            );
        } else if choice.chosen == choice.best {
            text += &format!(
                "; of the {} finalists within one standard error (a factor of {:.3}) none is smaller, so it is chosen.",
                choice.within.len(),
                error.exp()
            );
        } else {
            text += &format!(
                "; of the {} finalists within one standard error (a factor of {:.3}) the smallest is {} with {}: it is chosen.",
                choice.within.len(),
                error.exp(),
                name(choice.chosen),
                mse(choice.chosen)
            );
        }
        if choice.chosen == 0 {
            text += " It is the reference network.";
        } else if let Some(reference) = tried.get(&0) {
            let how = match (&reference.score, reference.rung + 1 == self.rungs.len()) {
                (None, _) => format!("could not be trained ({})", reference.failure.as_deref().unwrap_or("no reason")),
                (Some(_), true) => format!("has {}", mse(0)),
                (Some(_), false) => "did not reach the finals".into(),
            };
            text += &format!(" The reference network, {}, {how}.", widths(&self.candidates[0].hidden));
        }
        if self.n_left_out > 0 {
            let space = self.candidates.len() + self.n_left_out;
            text += &format!(" The budget left {} of the space's {space} networks untried.", self.n_left_out);
        }
        text
    }
}

/// A training to be done.
struct Task<'a> {
    key: TrialKey,
    epochs: usize,
    members: usize,
    train: &'a Points,
    judged_on: &'a Points,
    seeds: SeedPath,
    work: f64,
}

/// Work of this start.
struct Work {
    done: f64,
    left: f64,
}

struct Shared<'a> {
    search: &'a Search,
    journal: &'a Journal,
    options: RunOptions,
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
    trials: Mutex<BTreeMap<TrialKey, TrialResult>>,
}

impl Shared<'_> {
    /// Trains what the journal does not hold, the most work first; whether it came to the end.
    fn train(&self, tasks: Vec<Task<'_>>, work: &mut Work) -> Result<bool, TuneError> {
        let mut open: Vec<Task<'_>> = {
            let trials = lock(&self.trials);
            let (known, open): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| trials.contains_key(&task.key));
            work.left -= known.iter().map(|task| task.work).sum::<f64>();
            open
        };
        // Stable, so that equal work keeps its order.
        open.sort_by(|a, b| b.work.total_cmp(&a.work));
        let next = AtomicUsize::new(0);
        let halted = AtomicBool::new(false);
        let error = Mutex::new(None);
        let shared_work = Mutex::new(work);
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.max(1).min(open.len()) {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) && !halted.load(Ordering::Relaxed) {
                        let Some(task) = open.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        if let Err(stopped) = self.one(task, &shared_work) {
                            halted.store(true, Ordering::Relaxed);
                            lock(&error).get_or_insert(stopped);
                        }
                    }
                });
            }
        });
        if let Some(error) = lock(&error).take() {
            return Err(error);
        }
        let trials = lock(&self.trials);
        Ok(open.iter().all(|task| trials.contains_key(&task.key)))
    }

    fn one(&self, task: &Task<'_>, work: &Mutex<&mut Work>) -> Result<(), TuneError> {
        let candidate = &self.search.candidates[task.key.candidate];
        let outcome = catch_unwind(AssertUnwindSafe(|| self.search.train(candidate, task)));
        let result = match outcome {
            Ok(result) => result?,
            Err(payload) => TrialResult::Failed(format!("a panic: {}", panic_message(&*payload))),
        };
        self.journal.append(&Entry::Trial { key: task.key, result: result.clone() })?;
        lock(&self.trials).insert(task.key, result.clone());
        let (done, left) = {
            let mut work = lock(work);
            work.done += task.work;
            work.left = (work.left - task.work).max(0.0);
            (work.done, work.left)
        };
        self.progress.event(&Event::Trained { candidate, result: &result, done, left });
        Ok(())
    }
}

impl Search {
    /// Trains and judges one ensemble.
    fn train(&self, candidate: &Candidate, task: &Task<'_>) -> Result<TrialResult, TuneError> {
        let labelled = task.train.labelled(task.key.points)?;
        let spec = training(candidate, task.epochs, task.members);
        let learner = CpuLearner::new(self.ends.network(candidate)?, spec)?;
        let model = match learner.fit(&labelled, &Needs::default(), &task.seeds) {
            Ok(model) => model,
            Err(error @ LearnError::Diverged { .. }) => return Ok(TrialResult::Failed(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let mean = match model.mean(task.judged_on.x.view()) {
            Ok(mean) => mean,
            Err(error) => return Ok(TrialResult::Failed(error.to_string())),
        };
        let squares: f64 = mean.iter().zip(&task.judged_on.y).map(|(f, y)| (f - y) * (f - y)).sum();
        let mse = squares / mean.len() as f64;
        Ok(match mse.is_finite() {
            true => TrialResult::Mse(mse),
            false => TrialResult::Failed("a prediction is no finite number".into()),
        })
    }
}

/// What a panic said.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
