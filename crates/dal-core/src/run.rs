//! Drives one or many campaigns of one problem: collects what they wait for, trains together, labels, tells.

use std::ops::ControlFlow;

use ndarray::ArrayView2;
use thiserror::Error;

use crate::campaign::{Ask, Decision};
use crate::{
    Campaign, CampaignError, Clock, FitJob, LabelFailure, LabelFailureKind, Labelled, LearnError, Learner, Oracle,
    OracleError, Pending, Stop, Surrogate, check_label,
};

/// Whatever an observer could not do, such as writing a record.
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// A model that was just trained.
#[derive(Clone, Copy)]
pub struct Fitted<'a> {
    /// 0 for the model of the initial set, then one more per step.
    pub entry: usize,
    /// What it was trained on.
    pub labelled: &'a Labelled,
    /// The model.
    pub surrogate: &'a dyn Surrogate,
}

/// A choice that was just made.
#[derive(Clone, Copy)]
pub struct Proposed<'a> {
    /// What was decided, the pool included.
    pub decision: &'a Decision,
    /// The model it was decided with.
    pub surrogate: &'a dyn Surrogate,
}

/// Watches campaigns; every hook defaults to doing nothing. An error fails that campaign alone.
///
/// Evaluation on test data belongs in [`fitted`](Self::fitted): no learner ever sees an observer.
#[allow(unused_variables)]
pub trait Observer {
    /// A model is wanted for this campaign. An error ends the campaign before anything is trained for it.
    ///
    /// # Errors
    /// Whatever keeps the campaign from going on.
    fn starting(&mut self, campaign: usize) -> Result<(), ObserverError> {
        Ok(())
    }
    /// These campaigns' models are about to be trained by one call.
    fn fitting(&mut self, campaigns: &[usize]) {}
    /// They are trained (or failed).
    fn fit_ended(&mut self, campaigns: &[usize]) {}
    /// The clock by which a model's answers to the strategy are timed ([`Decision::model_seconds`]); none, unless the
    /// observer brings one.
    fn clock(&self) -> Option<Clock> {
        None
    }
    /// A model is ready.
    ///
    /// # Errors
    /// Whatever keeps the observer from its work.
    fn fitted(&mut self, campaign: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        Ok(())
    }
    /// The strategy is about to choose.
    fn proposing(&mut self, campaign: usize) {}
    /// The strategy has chosen.
    ///
    /// # Errors
    /// Whatever keeps the observer from its work.
    fn proposed(&mut self, campaign: usize, proposed: &Proposed<'_>) -> Result<(), ObserverError> {
        Ok(())
    }
    /// The oracle is about to be asked for this campaign's pending points.
    fn asking(&mut self, campaign: usize) {}
    /// One row of the pending points was answered.
    ///
    /// # Errors
    /// Whatever keeps the observer from its work.
    fn labelled(
        &mut self,
        campaign: usize,
        row: usize,
        answer: Result<&[f64], &LabelFailure>,
    ) -> Result<(), ObserverError> {
        Ok(())
    }
    /// A campaign came to its end.
    ///
    /// # Errors
    /// Whatever keeps the observer from its work.
    fn finished(&mut self, campaign: usize) -> Result<(), ObserverError> {
        Ok(())
    }
    /// A campaign cannot go on.
    fn failed(&mut self, campaign: usize, error: &RunError) {}
}

/// Several observers as one: every hook reaches each of them, in this order.
///
/// Where one fails, those after it do not get that call: the campaign ends, and all of them are told so by
/// [`failed`](Observer::failed). The clock is the first that any of them has. A stopwatch that stands first therefore
/// measures what those after it do: their work on a model lies between its `fitted` and its `proposing`.
///
/// ```
/// use dal_core::{Observer, Observers};
/// #[derive(Default)]
/// struct Trainings(usize);
/// impl Observer for Trainings {
///     fn fitting(&mut self, campaigns: &[usize]) { self.0 += campaigns.len(); }
/// }
/// let (mut one, mut other) = (Trainings::default(), Trainings::default());
/// Observers::new(vec![&mut one, &mut other]).fitting(&[0, 3]);
/// assert_eq!((one.0, other.0), (2, 2));
/// ```
#[derive(Default)]
pub struct Observers<'a> {
    all: Vec<&'a mut dyn Observer>,
}

impl<'a> Observers<'a> {
    /// These, in this order.
    pub fn new(all: Vec<&'a mut dyn Observer>) -> Self {
        Self { all }
    }

    fn tell(&mut self, mut hook: impl FnMut(&mut dyn Observer)) {
        self.all.iter_mut().for_each(|observer| hook(&mut **observer));
    }

    fn ask(
        &mut self,
        mut hook: impl FnMut(&mut dyn Observer) -> Result<(), ObserverError>,
    ) -> Result<(), ObserverError> {
        self.all.iter_mut().try_for_each(|observer| hook(&mut **observer))
    }
}

impl std::fmt::Debug for Observers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observers").field("n", &self.all.len()).finish()
    }
}

impl Observer for Observers<'_> {
    fn starting(&mut self, campaign: usize) -> Result<(), ObserverError> {
        self.ask(|observer| observer.starting(campaign))
    }

    fn fitting(&mut self, campaigns: &[usize]) {
        self.tell(|observer| observer.fitting(campaigns));
    }

    fn fit_ended(&mut self, campaigns: &[usize]) {
        self.tell(|observer| observer.fit_ended(campaigns));
    }

    fn clock(&self) -> Option<Clock> {
        self.all.iter().find_map(|observer| observer.clock())
    }

    fn fitted(&mut self, campaign: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        self.ask(|observer| observer.fitted(campaign, fitted))
    }

    fn proposing(&mut self, campaign: usize) {
        self.tell(|observer| observer.proposing(campaign));
    }

    fn proposed(&mut self, campaign: usize, proposed: &Proposed<'_>) -> Result<(), ObserverError> {
        self.ask(|observer| observer.proposed(campaign, proposed))
    }

    fn asking(&mut self, campaign: usize) {
        self.tell(|observer| observer.asking(campaign));
    }

    fn labelled(
        &mut self,
        campaign: usize,
        row: usize,
        answer: Result<&[f64], &LabelFailure>,
    ) -> Result<(), ObserverError> {
        self.ask(|observer| observer.labelled(campaign, row, answer))
    }

    fn finished(&mut self, campaign: usize) -> Result<(), ObserverError> {
        self.ask(|observer| observer.finished(campaign))
    }

    fn failed(&mut self, campaign: usize, error: &RunError) {
        self.tell(|observer| observer.failed(campaign, error));
    }
}

/// Why a campaign could not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// Training failed.
    #[error("training at entry {entry}: {source}")]
    Learn {
        /// The entry.
        entry: usize,
        /// What happened.
        source: LearnError,
    },
    /// The oracle refused a batch.
    #[error("labelling: {0}")]
    Oracle(#[from] OracleError),
    /// The campaign itself, its strategy included.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// An observer.
    #[error("recording: {0}")]
    Observer(ObserverError),
    /// A stop was asked for. It is no failure: what was answered stands, and the campaign can be taken up again.
    #[error("stopped")]
    Stopped,
}

/// Runs campaigns of one oracle to their end.
///
/// Models that wait at the same time with equally many points are trained by one call of [`Learner::fit_all`], whatever
/// their needs: the engine knows best which of them share a batch. Campaigns at an earlier entry go first, so that
/// those that were taken up behind the others catch up and train with them from then on. A campaign that fails leaves
/// the others running. On `stop` no model and no batch is begun any more, and campaigns that are not at their end come
/// out as [`RunError::Stopped`]. One outcome per campaign, in order.
pub fn run_trials(
    campaigns: &mut [Campaign],
    oracle: &dyn Oracle,
    learner: &dyn Learner,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Vec<Result<(), RunError>> {
    let mut outcomes: Vec<Option<Result<(), RunError>>> = campaigns.iter().map(|_| None).collect();
    loop {
        for i in 0..campaigns.len() {
            if stop.is_draining() {
                break;
            }
            if outcomes[i].is_none()
                && matches!(campaigns[i].pending(), Pending::Label(_))
                && let Err(error) = label(i, &mut campaigns[i], oracle, stop, observer)
            {
                fail(i, error, &mut campaigns[i], &mut outcomes[i], observer);
            }
        }
        if stop.is_draining() {
            break;
        }
        let mut waiting: Vec<usize> = (0..campaigns.len())
            .filter(|&i| outcomes[i].is_none() && matches!(campaigns[i].pending(), Pending::Fit(_)))
            .collect();
        let Some(earliest) = waiting.iter().map(|&i| campaigns[i].entry()).min() else { break };
        waiting.retain(|&i| campaigns[i].entry() == earliest);
        for mut group in grouped(campaigns, &waiting) {
            if stop.is_draining() {
                break;
            }
            group.retain(|&i| match observer.starting(i) {
                Ok(()) => true,
                Err(error) => {
                    fail(i, RunError::Observer(error), &mut campaigns[i], &mut outcomes[i], observer);
                    false
                }
            });
            if group.is_empty() {
                continue;
            }
            observer.fitting(&group);
            let jobs: Vec<FitJob<'_>> = group
                .iter()
                .map(|&i| match campaigns[i].pending() {
                    Pending::Fit(job) => job,
                    _ => unreachable!("the group waits for models"),
                })
                .collect();
            let mut fits = learner.fit_all(&jobs, stop).into_iter();
            drop(jobs);
            observer.fit_ended(&group);
            for &i in &group {
                let unanswered = || Err(LearnError::Other { message: "the engine gave no answer to this job".into() });
                let fit = fits.next().unwrap_or_else(unanswered);
                if let Err(error) = advance(i, &mut campaigns[i], fit, observer) {
                    fail(i, error, &mut campaigns[i], &mut outcomes[i], observer);
                } else if matches!(campaigns[i].pending(), Pending::Done) {
                    match observer.finished(i).map_err(RunError::Observer) {
                        Ok(()) => outcomes[i] = Some(Ok(())),
                        Err(error) => fail(i, error, &mut campaigns[i], &mut outcomes[i], observer),
                    }
                }
            }
        }
    }
    let ended = |(outcome, campaign): (Option<_>, &Campaign)| {
        outcome.unwrap_or_else(|| match campaign.pending() {
            Pending::Done => Ok(()),
            _ => Err(RunError::Stopped),
        })
    };
    outcomes.into_iter().zip(campaigns.iter()).map(ended).collect()
}

/// Ends one campaign. Observers are not told of a stop: it is no failure of the campaign's.
fn fail(
    i: usize,
    error: RunError,
    campaign: &mut Campaign,
    outcome: &mut Option<Result<(), RunError>>,
    observer: &mut dyn Observer,
) {
    if !matches!(error, RunError::Stopped) {
        observer.failed(i, &error);
        campaign.abandon();
    }
    *outcome = Some(Err(error));
}

/// Campaigns with equal numbers of points, each group in order.
fn grouped(campaigns: &[Campaign], waiting: &[usize]) -> Vec<Vec<usize>> {
    let key = |i: usize| campaigns[i].labelled().map_or(0, Labelled::len);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &i in waiting {
        match groups.iter_mut().find(|group| key(group[0]) == key(i)) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

fn advance(
    i: usize,
    campaign: &mut Campaign,
    fit: Result<Box<dyn Surrogate>, LearnError>,
    observer: &mut dyn Observer,
) -> Result<(), RunError> {
    let entry = campaign.entry();
    let surrogate = fit.map_err(|source| match source {
        LearnError::Stopped => RunError::Stopped,
        source => RunError::Learn { entry, source },
    })?;
    let labelled = campaign.labelled().expect("a fit follows labels");
    let fitted = Fitted { entry, labelled, surrogate: &*surrogate };
    observer.fitted(i, &fitted).map_err(RunError::Observer)?;
    observer.proposing(i);
    let clock = observer.clock();
    if let Some(decision) = campaign.absorb_for(&*surrogate, &Ask { clock: clock.as_ref(), ..Ask::default() })? {
        let proposed = Proposed { decision: &decision, surrogate: &*surrogate };
        observer.proposed(i, &proposed).map_err(RunError::Observer)?;
    }
    Ok(())
}

/// Labels what is outstanding; rows that the oracle leaves out, or answers beyond them, become failures of those rows.
///
/// An answer that the observer cannot keep or the campaign refuses is the last one that is taken: what comes after it
/// would be lost as well. That trouble is what is returned.
fn label(
    i: usize,
    campaign: &mut Campaign,
    oracle: &dyn Oracle,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<(), RunError> {
    let Pending::Label(x) = campaign.pending() else { return Ok(()) };
    let rows = campaign.outstanding();
    let x = x.select(ndarray::Axis(0), &rows);
    let mut problem: Option<RunError> = None;
    let mut open = vec![true; rows.len()];
    observer.asking(i);
    let mut on_row = |k: usize, answer: Result<&[f64], LabelFailure>| {
        if problem.is_some() {
            return ControlFlow::Break(());
        }
        if k >= open.len() || !std::mem::replace(&mut open[k], false) {
            return ControlFlow::Continue(());
        }
        let checked = answer.and_then(|label| check_label(label, oracle.n_outputs()));
        let told = observer
            .labelled(i, rows[k], checked.as_ref().copied())
            .map_err(RunError::Observer)
            .and_then(|()| Ok(campaign.tell(rows[k], checked)?));
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = oracle.label(x.view() as ArrayView2<'_, f64>, stop, &mut on_row);
    if outcome.is_ok() {
        for k in 0..rows.len() {
            let missing = LabelFailure::new(LabelFailureKind::Missing, "the oracle gave no answer for this row");
            if on_row(k, Err(missing)).is_break() {
                break;
            }
        }
    }
    match (problem, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(OracleError::Stopped)) => Err(RunError::Stopped),
        (None, outcome) => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Needs, OnRow, Pool, Proposal, Protocol, SeedPath, Space, Start, Step, Strategy, StrategyError, TrialSeeds,
    };
    use std::sync::Arc;

    #[derive(Debug)]
    struct First;
    impl Strategy for First {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn propose(&self, _: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            Ok(Proposal::picked((0..n).collect()))
        }
    }

    /// Answers every row, the last first, and then refuses the batch if it is told to.
    #[derive(Debug)]
    struct Backwards {
        refuses: bool,
    }
    impl Oracle for Backwards {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            for row in (0..x.nrows()).rev() {
                if on_row(row, Ok(&[row as f64])).is_break() {
                    return Ok(());
                }
            }
            if self.refuses { Err(OracleError::Unavailable { message: "gone".into() }) } else { Ok(()) }
        }
    }

    fn protocol(n_queries: usize, n_steps: usize, n_candidates: usize) -> Protocol {
        let pool = Pool::Uniform { n_candidates };
        Protocol { start: Start::Sample { n: 4 }, n_queries, n_steps: Some(n_steps), pool }
    }

    struct Never;
    impl Learner for Never {
        fn platform(&self) -> String {
            "never".into()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            jobs.iter().map(|_| Err(LearnError::Other { message: "never".into() })).collect()
        }
    }

    /// Cannot take row 2.
    #[derive(Default)]
    struct Clumsy {
        kept: Vec<(usize, f64)>,
    }
    impl Observer for Clumsy {
        fn labelled(
            &mut self,
            _: usize,
            row: usize,
            answer: Result<&[f64], &LabelFailure>,
        ) -> Result<(), ObserverError> {
            if row == 2 {
                return Err("no room for row 2".into());
            }
            self.kept.push((row, answer.map_or(f64::NAN, |label| label[0])));
            Ok(())
        }
    }

    #[test]
    fn an_answer_that_cannot_be_kept_is_the_last_one() {
        for refuses in [false, true] {
            let protocol = protocol(1, 1, 2);
            let seeds = TrialSeeds::new("t", 0);
            let campaign = Campaign::new(Space::continuous_unit(1), Arc::new(First), protocol, seeds).unwrap();
            let mut clumsy = Clumsy::default();
            let outcomes = run_trials(&mut [campaign], &Backwards { refuses }, &Never, &Stop::new(), &mut clumsy);
            assert_eq!(clumsy.kept, [(3, 3.0)]);
            let error = outcomes[0].as_ref().unwrap_err().to_string();
            assert!(error.contains("no room for row 2"), "{error}");
        }
    }

    /// Notes what it is told, under its name.
    struct Scribe<'a>(&'static str, &'a std::cell::RefCell<Vec<String>>);
    impl Scribe<'_> {
        fn note(&self, what: impl std::fmt::Display) {
            self.1.borrow_mut().push(format!("{} {what}", self.0));
        }
    }
    impl Observer for Scribe<'_> {
        fn asking(&mut self, _: usize) {
            self.note("asking");
        }
        fn labelled(&mut self, _: usize, row: usize, _: Result<&[f64], &LabelFailure>) -> Result<(), ObserverError> {
            self.note(row);
            Ok(())
        }
        fn failed(&mut self, _: usize, _: &RunError) {
            self.note("failed");
        }
    }

    #[test]
    fn observers_are_told_in_order_and_of_an_end_all_of_them() {
        let protocol = Protocol {
            start: crate::Start::Sample { n: 4 },
            n_queries: 1,
            n_steps: Some(1),
            pool: Pool::Uniform { n_candidates: 2 },
        };
        let campaign =
            Campaign::new(Space::continuous_unit(1), Arc::new(First), protocol, TrialSeeds::new("t", 0)).unwrap();
        let notes = std::cell::RefCell::default();
        let (mut first, mut clumsy, mut last) = (Scribe("first", &notes), Clumsy::default(), Scribe("last", &notes));
        let mut all = Observers::new(vec![&mut first, &mut clumsy, &mut last]);
        let outcomes = run_trials(&mut [campaign], &Backwards { refuses: false }, &Never, &Stop::new(), &mut all);
        assert!(outcomes[0].is_err());
        assert_eq!(clumsy.kept, [(3, 3.0)]);
        // The last one is not told of the answer that the one before it could not keep.
        let due = ["first asking", "last asking", "first 3", "last 3", "first 2", "first failed", "last failed"];
        assert_eq!(*notes.borrow(), due);
    }
}

#[cfg(test)]
mod lock_step {
    use std::sync::{Arc, Mutex};

    use ndarray::Array2;

    use super::*;
    use crate::{
        Batch, Needs, OnRow, Pool, Proposal, Protocol, SeedPath, Space, Start, Step, Strategy, StrategyError,
        SurrogateError, TrialSeeds,
    };

    /// y = x.
    #[derive(Debug)]
    struct Same;
    impl Oracle for Same {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            let _ = (0..x.nrows()).try_for_each(|row| on_row(row, Ok(&[x[[row, 0]]])));
            Ok(())
        }
    }

    /// Picks the first points; asks for a committee or not.
    #[derive(Debug)]
    struct First(bool);
    impl Strategy for First {
        fn needs(&self) -> Needs {
            Needs { committee: self.0, ..Needs::default() }
        }
        fn propose(&self, _: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            Ok(Proposal::picked((0..n).collect()))
        }
    }

    struct Zero;
    impl Surrogate for Zero {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            Ok(Array2::zeros((x.nrows(), 1)))
        }
    }

    /// Notes the sizes of its calls; answers one job too few of a call of `short` jobs.
    #[derive(Default)]
    struct Together {
        calls: Mutex<Vec<(usize, usize)>>,
        short: usize,
    }
    impl Learner for Together {
        fn platform(&self) -> String {
            "test".into()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            assert!(jobs.iter().all(|job| job.labelled.len() == jobs[0].labelled.len()));
            self.calls.lock().unwrap().push((jobs.len(), jobs[0].labelled.len()));
            let n = jobs.len() - usize::from(jobs.len() == self.short);
            (0..n).map(|_| Ok(Box::new(Zero) as Box<dyn Surrogate>)).collect()
        }
    }

    /// Stops one campaign before its model of an entry.
    #[derive(Default)]
    struct Stopping {
        at: Option<(usize, usize)>,
        fitted: Vec<usize>,
        failed: Vec<usize>,
    }
    impl Observer for Stopping {
        fn starting(&mut self, campaign: usize) -> Result<(), ObserverError> {
            let entry = self.fitted.iter().filter(|&&i| i == campaign).count();
            if self.at == Some((campaign, entry)) { Err("enough".into()) } else { Ok(()) }
        }
        fn fitted(&mut self, campaign: usize, _: &Fitted<'_>) -> Result<(), ObserverError> {
            self.fitted.push(campaign);
            Ok(())
        }
        fn failed(&mut self, campaign: usize, _: &RunError) {
            self.failed.push(campaign);
        }
    }

    fn campaign(seed: u64, batches: &[Batch]) -> Campaign {
        let pool = Pool::Uniform { n_candidates: 6 };
        let protocol = Protocol { start: Start::Sample { n: 4 }, n_queries: 2, n_steps: Some(2), pool };
        let strategy = Arc::new(First(seed % 2 == 1));
        let (space, seeds) = (Space::continuous_unit(1), TrialSeeds::new("same", seed));
        Campaign::resume(space, strategy, protocol, seeds, batches).unwrap()
    }

    /// The batches of a campaign of this seed up to an entry.
    fn batches(seed: u64, n: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut campaign = campaign(seed, &[]);
        while batches.len() < n {
            if let Pending::Fit(_) = campaign.pending() {
                campaign.absorb(&Zero).unwrap();
            }
            let Pending::Label(x) = campaign.pending() else { break };
            let x = x.to_owned();
            let answers = x.outer_iter().map(|row| Ok(row.to_vec())).collect();
            label(0, &mut campaign, &Same, &Stop::new(), &mut Stopping::default()).unwrap();
            batches.push(Batch { x, candidate_rows: None, answers });
        }
        batches
    }

    #[test]
    fn models_with_equally_many_points_are_trained_by_one_call_whatever_their_needs() {
        let mut campaigns: Vec<_> = (0..5).map(|seed| campaign(seed, &[])).collect();
        let learner = Together::default();
        let outcomes = run_trials(&mut campaigns, &Same, &learner, &Stop::new(), &mut Stopping::default());
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(*learner.calls.lock().unwrap(), [(5, 4), (5, 6), (5, 8)]);
    }

    #[test]
    fn those_behind_catch_up_and_train_with_the_others_from_then_on() {
        let mut campaigns: Vec<_> =
            [0, 2, 1, 0].iter().zip(0..).map(|(&n, seed)| campaign(seed, &batches(seed, n))).collect();
        let learner = Together::default();
        let outcomes = run_trials(&mut campaigns, &Same, &learner, &Stop::new(), &mut Stopping::default());
        assert!(outcomes.iter().all(Result::is_ok));
        // Three at the initial set (labels of one were known), then all four.
        assert_eq!(*learner.calls.lock().unwrap(), [(3, 4), (4, 6), (4, 8)]);
        assert!(campaigns.iter().all(|campaign| campaign.labelled().unwrap().len() == 8));
    }

    #[test]
    fn a_stop_before_training_ends_that_campaign_alone() {
        let mut campaigns: Vec<_> = (0..3).map(|seed| campaign(seed, &[])).collect();
        let learner = Together::default();
        let mut stopping = Stopping { at: Some((1, 1)), ..Stopping::default() };
        let outcomes = run_trials(&mut campaigns, &Same, &learner, &Stop::new(), &mut stopping);
        assert!(matches!(outcomes[1], Err(RunError::Observer(_))) && outcomes[0].is_ok() && outcomes[2].is_ok());
        assert_eq!(*learner.calls.lock().unwrap(), [(3, 4), (2, 6), (2, 8)]);
        assert_eq!(stopping.failed, [1]);
    }

    /// Asks for a stop when it is called for the `at`-th time.
    struct Stopper {
        inner: Together,
        stop: Stop,
        at: usize,
    }
    impl Learner for Stopper {
        fn platform(&self) -> String {
            self.inner.platform()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            if self.inner.calls.lock().unwrap().len() == self.at {
                self.stop.raise(crate::StopLevel::Drain);
            }
            self.inner.fit_all(jobs, stop)
        }
    }

    #[test]
    fn a_stop_ends_campaigns_where_they_can_be_taken_up_and_is_no_failure() {
        for at in 0..3 {
            let stop = Stop::new();
            let learner = Stopper { inner: Together::default(), stop: stop.clone(), at };
            let mut campaigns: Vec<_> = (0..2).map(|seed| campaign(seed, &[])).collect();
            let mut stopping = Stopping::default();
            let outcomes = run_trials(&mut campaigns, &Same, &learner, &stop, &mut stopping);
            // The last model is the last thing that a campaign waits for.
            let stopped = |outcome: &Result<(), RunError>| matches!(outcome, Err(RunError::Stopped));
            assert!(outcomes.iter().all(|outcome| if at == 2 { outcome.is_ok() } else { stopped(outcome) }));
            assert!(stopping.failed.is_empty());
            assert_eq!(stopping.fitted.len(), 2 * (at + 1), "what ran came to its end");
            let outcomes = run_trials(&mut campaigns, &Same, &Together::default(), &Stop::new(), &mut stopping);
            assert!(outcomes.iter().all(Result::is_ok));
            assert!(campaigns.iter().all(|campaign| campaign.labelled().unwrap().len() == 8));
        }
    }

    #[test]
    fn a_job_without_an_answer_fails_and_the_others_go_on() {
        let mut campaigns: Vec<_> = (0..3).map(|seed| campaign(seed, &[])).collect();
        let learner = Together { short: 3, ..Together::default() };
        let outcomes = run_trials(&mut campaigns, &Same, &learner, &Stop::new(), &mut Stopping::default());
        assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
        assert!(matches!(outcomes[2], Err(RunError::Learn { entry: 0, source: LearnError::Other { .. } })));
        assert_eq!(*learner.calls.lock().unwrap(), [(3, 4), (2, 6), (2, 8)]);
    }
}
