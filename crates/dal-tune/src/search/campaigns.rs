//! Campaigns of a candidate: training sets that query methods choose with it, and how its members end on them.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use dal_core::{
    Campaign, Fitted, LabelFailure, LabelFailureKind, LearnError, Observer, ObserverError, OnRow, Oracle, OracleError,
    OutputScaling, Pool, Protocol, RunError, Settings, Stop, Strategy, TrainingEnd, TrialSeeds, run_trials,
};
use dal_eval::{MemberCounts, MemberTraining};
use dal_work::panic_message;
use ndarray::ArrayView2;

use super::Search;
use super::workers::{Shared, Work, worked_through};
use crate::chosen::{Admission, CampaignKey, CampaignResult, ChosenSets, Method, ModelEnd};
use crate::data::{Fold, Points};
use crate::error::TuneError;
use crate::journal::{Entry, lock};
use crate::progress::Event;

impl Shared<'_> {
    /// Runs a candidate's campaigns, as far as the journal does not hold them, and judges it; `None` where a stop came
    /// first.
    pub(super) fn admission(
        &self,
        candidate: usize,
        data: &Fold,
        work: &mut Work,
    ) -> Result<Option<Admission>, TuneError> {
        let keys = self.search.campaign_keys(candidate);
        let open: Vec<CampaignKey> = {
            let known = lock(&self.campaigns);
            keys.iter().copied().filter(|key| !known.contains_key(key)).collect()
        };
        let settings = &self.search.settings;
        let model = self.search.candidates[candidate].trained(settings.epochs, settings.members);
        let together = self.search.engine.trials_together(&model, self.search.shape).max(1);
        let cost = self.search.campaign_work(candidate, self.search.chosen_sets(data).labels_trained_on());
        work.left = cost * open.len() as f64;
        let groups: Vec<dal_work::Task<Vec<CampaignKey>>> = open
            .chunks(together)
            .map(|keys| dal_work::Task { cost: cost * keys.len() as f64, work: keys.to_vec() })
            .collect();
        let shared_work = Mutex::new(work);
        worked_through(&groups, self.options.jobs, self.stop, |keys| {
            self.campaigns_together(keys, data, cost, &shared_work)
        })?;
        let known = lock(&self.campaigns);
        let ended: Option<Vec<_>> = keys.iter().map(|key| Some((*key, known.get(key)?.clone()))).collect();
        Ok(ended.map(|campaigns| Admission::of(candidate, campaigns)))
    }

    /// Runs campaigns side by side. Where that panics, each by itself, so that one falls alone.
    fn campaigns_together(
        &self,
        keys: &[CampaignKey],
        data: &Fold,
        cost: f64,
        work: &Mutex<&mut Work>,
    ) -> Result<(), TuneError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.search.run_campaigns(keys, data, self.stop)));
        let results = match outcome {
            Ok(results) => results?,
            Err(payload) if keys.len() == 1 => {
                vec![Ok(CampaignResult::Failed(format!("a panic: {}", panic_message(&*payload))))]
            }
            Err(_) => return keys.iter().try_for_each(|key| self.campaigns_together(&[*key], data, cost, work)),
        };
        let mut first_error = Ok(());
        for (key, result) in keys.iter().zip(results) {
            let kept = result.and_then(|result| self.keep_campaign(*key, result, cost, work));
            first_error = first_error.and(kept);
        }
        first_error
    }

    fn keep_campaign(
        &self,
        key: CampaignKey,
        result: CampaignResult,
        cost: f64,
        work: &Mutex<&mut Work>,
    ) -> Result<(), TuneError> {
        self.journal.append(&Entry::Campaign { key, result: result.clone() })?;
        lock(&self.campaigns).insert(key, result.clone());
        let (done, left) = lock(work).did(cost);
        let candidate = &self.search.candidates[key.candidate];
        self.progress.event(&Event::Campaign { candidate, method: key.method, result: &result, done, left });
        Ok(())
    }
}

impl Search {
    /// Every campaign of a candidate.
    fn campaign_keys(&self, candidate: usize) -> Vec<CampaignKey> {
        let seeds = 0..self.settings.chosen.seeds as u64;
        let of = |method| seeds.clone().map(move |seed| CampaignKey { candidate, method, seed });
        Method::ALL.into_iter().flat_map(of).collect()
    }

    /// Ensembles that the campaigns of one candidate train.
    pub(super) fn n_campaign_trainings(&self, data: &Fold) -> usize {
        (self.chosen_sets(data).steps + 1) * self.settings.chosen.seeds * Method::ALL.len()
    }

    /// What its campaigns are, given the labels that there are.
    fn chosen_sets(&self, data: &Fold) -> ChosenSets {
        match self.is_built_in() {
            true => self.settings.chosen.clone(),
            false => self.settings.chosen.among(data.train.x.nrows()),
        }
    }

    fn campaign(&self, key: CampaignKey, data: &Fold) -> Result<Campaign, TuneError> {
        let sets = self.chosen_sets(data);
        let pool = match self.is_built_in() {
            true => Pool::Uniform { n_candidates: sets.pool_ratio * sets.queries },
            // Answers of a user's program have been paid for, and a table has no others.
            false => Pool::Candidates(data.train.x.clone()),
        };
        let protocol = Protocol {
            start: dal_core::Start::Sample { n: sets.initial },
            n_queries: sets.queries,
            n_steps: Some(sets.steps),
            pool,
        };
        let strategy: Arc<dyn Strategy> = Arc::from(dal_acq::find(key.method.id(), &Settings::default())?.strategy);
        // No id of a problem has a blank, so that these streams are those of no benchmark.
        let seeds = TrialSeeds::new(&format!("tune {}", self.problem.variant_id()), key.seed);
        Campaign::new(self.problem.space().clone(), strategy, protocol, seeds)
            .map_err(|error| TuneError::bad("campaigns", error.to_string(), "numbers of labels that the problem has"))
    }

    /// Runs campaigns of one candidate to their end, in lock step.
    fn run_campaigns(
        &self,
        keys: &[CampaignKey],
        data: &Fold,
        stop: &Stop,
    ) -> Result<Vec<Result<CampaignResult, TuneError>>, TuneError> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let model = self.candidates[first.candidate].trained(self.settings.epochs, self.settings.members);
        let learner = self.problem.scaling().learner(self.engine.learner(&model, self.shape)?);
        let mut campaigns = keys.iter().map(|key| self.campaign(*key, data)).collect::<Result<Vec<_>, _>>()?;
        let known = Known::of(&data.train);
        let oracle: &dyn Oracle = match self.is_built_in() {
            true => &**self.problem.oracle()?,
            false => &known,
        };
        let mut watch = Watch {
            validation: &data.validation,
            scaling: self.problem.scaling(),
            models: keys.iter().map(|_| Vec::new()).collect(),
        };
        let outcomes = run_trials(&mut campaigns, oracle, &*learner, stop, &mut watch);
        let ended = |(outcome, models): (Result<(), RunError>, Vec<ModelEnd>)| match outcome {
            Ok(()) => Ok(CampaignResult::Models(models)),
            Err(RunError::Stopped) => Err(TuneError::Stopped),
            Err(RunError::Oracle(source)) => Err(TuneError::Oracle { problem: self.problem.id().to_owned(), source }),
            Err(RunError::Learn { source, .. }) if !matches!(source, LearnError::Diverged { .. }) => Err(source.into()),
            Err(error) => Ok(CampaignResult::Failed(error.to_string())),
        };
        Ok(outcomes.into_iter().zip(watch.models).map(ended).collect())
    }

    /// Work of one campaign of a candidate whose models are trained on so many labels together.
    pub(super) fn campaign_work(&self, candidate: usize, labels: usize) -> f64 {
        self.costs[candidate] * (labels * self.settings.epochs * self.settings.members) as f64
    }
}

/// Counts how the members of every model ended.
struct Watch<'a> {
    validation: &'a Points,
    scaling: &'a OutputScaling,
    models: Vec<Vec<ModelEnd>>,
}

impl Observer for Watch<'_> {
    fn fitted(&mut self, campaign: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        let report = fitted.surrogate.training_report().ok_or("the engine does not tell how trainings ended")?;
        let counts = MemberCounts::of(report.members.iter().map(|end| {
            let TrainingEnd { final_loss, best_loss, label_variance, .. } = *end;
            MemberTraining { final_loss, best_loss, label_variance }
        }));
        let mean = fitted.surrogate.mean(self.validation.x.view())?;
        let mse = self.scaling.mse(mean.view(), self.validation.y.view());
        if !mse.is_finite() {
            return Err("a prediction is no finite number".into());
        }
        self.models[campaign].push(ModelEnd {
            labels: fitted.labelled.len(),
            members: counts.trained,
            collapsed: counts.collapsed,
            unsettled: counts.unsettled,
            mse,
        });
        Ok(())
    }
}

/// Labels that are there already.
#[derive(Debug)]
struct Known<'a> {
    points: &'a Points,
    rows: HashMap<Vec<u64>, usize>,
}

impl<'a> Known<'a> {
    fn of(points: &'a Points) -> Self {
        let bits = |row: ArrayView2<'_, f64>| row.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        let row = |i: usize| bits(points.x.slice(ndarray::s![i..=i, ..]));
        // Of equal points the first one answers.
        let rows = (0..points.x.nrows()).rev().map(|i| (row(i), i)).collect();
        Self { points, rows }
    }
}

impl Oracle for Known<'_> {
    fn n_inputs(&self) -> usize {
        self.points.x.ncols()
    }

    fn n_outputs(&self) -> usize {
        self.points.y.ncols()
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        for (k, row) in x.rows().into_iter().enumerate() {
            let bits: Vec<u64> = row.iter().map(|v| v.to_bits()).collect();
            let flow = match self.rows.get(&bits) {
                Some(&i) => on_row(k, Ok(&self.points.y.row(i).to_vec())),
                None => on_row(k, Err(LabelFailure::new(LabelFailureKind::Refused, "this point has no label here"))),
            };
            if let ControlFlow::Break(()) = flow {
                break;
            }
        }
        Ok(())
    }
}

/// The campaigns that a journal holds.
pub(super) type Campaigns = Mutex<BTreeMap<CampaignKey, CampaignResult>>;
