//! One active-learning loop as a state machine: it asks for labels or for a model, and moves on when it is told.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use thiserror::Error;

use crate::{
    Clock, Course, FitJob, LabelFailure, Labelled, LabelledError, Needs, Pool, Proposal, Protocol, Queries, Space,
    SpaceError, Start, Step, Stop, Strategy, StrategyError, Surrogate, TrialSeeds, point_key,
};

/// Points that were asked for together, with their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The points, shape (n, n_columns).
    pub x: Array2<f64>,
    /// Their rows in a pool of [`Candidates`](Pool::Candidates).
    pub candidate_rows: Option<Vec<usize>>,
    /// One answer per point.
    pub answers: Vec<Result<Vec<f64>, LabelFailure>>,
}

/// How a choice differs from the protocol's.
#[derive(Clone, Copy, Default)]
pub struct Ask<'a> {
    /// How many points to choose; `None`: the protocol's number.
    pub n_queries: Option<usize>,
    /// Points that are being labelled elsewhere, shape (n, n_columns). The strategy sees them as labelled with the
    /// model's prediction, so that a rule of distances keeps away from them; the model does not learn them.
    pub in_flight: Option<ArrayView2<'a, f64>>,
    /// Measures how long the model takes to answer ([`Decision::model_seconds`]).
    pub clock: Option<&'a Clock>,
    /// Of each row of a pool of [`Candidates`](Pool::Candidates) how likely it has an answer ([`Step::odds`]).
    pub odds: Option<&'a [f64]>,
    /// Ends the choice with [`StrategyError::Stopped`] where it is raised to end now.
    pub stop: Option<&'a Stop>,
}

/// What a campaign waits for.
#[derive(Debug)]
pub enum Pending<'a> {
    /// Labels for these points, shape (n, n_columns): [`Campaign::tell`] each row that is
    /// [`outstanding`](Campaign::outstanding).
    Label(ArrayView2<'a, f64>),
    /// A model trained on this job: [`Campaign::absorb`] it.
    Fit(FitJob<'a>),
    /// Nothing.
    Done,
}

/// A campaign was set up or spoken to in a way that makes no sense, or cannot go on.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// A number in the protocol is zero or too large.
    #[error("protocol: {reason}")]
    BadProtocol {
        /// What is wrong.
        reason: String,
    },
    /// An answer for a row that was not asked for, or that has one already.
    #[error("row {row} is not waiting for a label ({asked} rows were asked for)")]
    NotAsked {
        /// The row.
        row: usize,
        /// Rows asked for.
        asked: usize,
    },
    /// A label of the wrong length.
    #[error("row {row} has {found} outputs, earlier labels have {expected}")]
    WrongOutputs {
        /// The row.
        row: usize,
        /// Outputs of earlier labels.
        expected: usize,
        /// Outputs of this one.
        found: usize,
    },
    /// A label that is NaN or infinite: tell a [`LabelFailure`] instead.
    #[error("output {output} of row {row} is {value}; tell a failure instead")]
    NonFiniteLabel {
        /// The row.
        row: usize,
        /// 0-based output.
        output: usize,
        /// The offending value.
        value: f64,
    },
    /// A model was told while none was asked for.
    #[error("the campaign is not waiting for a model")]
    NoFitPending,
    /// Every initial point failed to be labelled, so there is nothing to learn from.
    #[error("none of the {asked} initial points could be labelled; the first failure: {first}")]
    NothingLabelled {
        /// Points asked for.
        asked: usize,
        /// The first failure.
        first: LabelFailure,
    },
    /// Batches to resume from belong to another campaign.
    #[error("batch {batch} does not belong to this campaign: {reason}")]
    ForeignBatch {
        /// 0-based batch.
        batch: usize,
        /// What differs.
        reason: String,
    },
    /// Points that cannot be adopted.
    #[error("points that were not asked for cannot be adopted: {reason}")]
    BadAdoption {
        /// What is wrong.
        reason: String,
    },
    /// Points in flight that are none of the space.
    #[error("points in flight: {0}")]
    InFlight(SpaceError),
    /// A strategy proposed points that may not be asked for.
    #[error("the strategy proposed {reason}")]
    BadProposal {
        /// What is wrong with them.
        reason: String,
    },
    /// The strategy could not choose.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// Labels that do not make a labelled set.
    #[error(transparent)]
    Labelled(#[from] LabelledError),
}

/// What [`Campaign::absorb`] decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The 0-based step.
    pub step: usize,
    /// The pool it was chosen from, shape (n_pool, n_columns).
    pub pool: Array2<f64>,
    /// What the strategy said.
    pub proposal: Proposal,
    /// The points to label, shape (n_queries, n_columns).
    pub queries: Array2<f64>,
    /// Their rows in a pool of [`Candidates`](Pool::Candidates).
    pub candidate_rows: Option<Vec<usize>>,
    /// The strategy's remarks.
    pub notes: Vec<String>,
    /// Seconds that the model took to answer the strategy, where a clock was given. Never part of a result.
    pub model_seconds: Option<f64>,
}

#[derive(Clone, Debug)]
struct Asked {
    x: Array2<f64>,
    candidate_rows: Option<Vec<usize>>,
    answers: Vec<Option<Result<Vec<f64>, LabelFailure>>>,
    n_open: usize,
}

impl Asked {
    fn new(x: Array2<f64>, candidate_rows: Option<Vec<usize>>) -> Self {
        let n = x.nrows();
        Self { x, candidate_rows, answers: vec![None; n], n_open: n }
    }
}

#[derive(Clone, Debug)]
enum Phase {
    Label(Asked),
    Fit,
    Done,
}

/// One active-learning loop.
///
/// [`pending`](Self::pending) says what it waits for; [`tell`](Self::tell) and [`absorb`](Self::absorb) move it on. It
/// holds no model and draws no number outside the streams of its [`TrialSeeds`], so the same answers give the same
/// campaign; [`resume`](Self::resume) rebuilds one from its answers.
#[derive(Clone)]
pub struct Campaign {
    space: Space,
    strategy: Arc<dyn Strategy>,
    needs: Needs,
    protocol: Protocol,
    seeds: TrialSeeds,
    labelled: Option<Labelled>,
    n_outputs: Option<usize>,
    /// Rows of the candidates that were never asked for, ascending.
    remaining: Vec<usize>,
    failures: Vec<(usize, usize, LabelFailure)>,
    n_batches: usize,
    /// Points that came after the first ones, adopted and failed ones included.
    n_asked: usize,
    phase: Phase,
}

impl Campaign {
    /// A campaign that waits for its initial labels, or for a model of the given ones.
    ///
    /// One that begins with given labels goes on as one that sampled the same points: [`entry`](Self::entry) is 0 for
    /// the model of either.
    ///
    /// # Errors
    /// A protocol without initial points or queries, a pool smaller than the queries, candidates outside the unit box,
    /// given points that the space does not admit.
    pub fn new(
        space: Space,
        strategy: Arc<dyn Strategy>,
        protocol: Protocol,
        seeds: TrialSeeds,
    ) -> Result<Self, CampaignError> {
        let bad = |reason: String| CampaignError::BadProtocol { reason };
        let n_initial = match &protocol.start {
            Start::Sample { n } => *n,
            Start::Given(labelled) => labelled.len(),
        };
        if n_initial == 0 || protocol.n_queries == 0 {
            return Err(bad(format!(
                "initial points and queries per step must be positive, but are {n_initial} and {}",
                protocol.n_queries
            )));
        }
        let n_pool = match &protocol.pool {
            Pool::Uniform { n_candidates } => {
                if *n_candidates < protocol.n_queries {
                    return Err(bad(format!(
                        "{} queries per step need a pool of at least as many candidates, but it has {n_candidates}",
                        protocol.n_queries
                    )));
                }
                None
            }
            Pool::Candidates(candidates) => {
                crate::check_unit_box(candidates.view(), space.n_columns())
                    .map_err(|e| bad(format!("candidates: {e}")))?;
                Some(candidates.nrows())
            }
        };
        let (phase, labelled, remaining) = match &protocol.start {
            Start::Given(given) => {
                space.check(given.x()).map_err(|e| bad(format!("given points: {e}")))?;
                (Phase::Fit, Some(given.clone()), (0..n_pool.unwrap_or(0)).collect())
            }
            Start::Sample { n } => match &protocol.pool {
                Pool::Uniform { .. } => {
                    (Phase::Label(Asked::new(space.sample(*n, &seeds.initial()), None)), None, Vec::new())
                }
                Pool::Candidates(candidates) => {
                    if candidates.nrows() < *n {
                        return Err(bad(format!("{n} initial points of {} candidates", candidates.nrows())));
                    }
                    let mut rows = shuffled(candidates.nrows(), &seeds);
                    let mut remaining = rows.split_off(*n);
                    remaining.sort_unstable();
                    let initial = Asked::new(candidates.select(Axis(0), &rows), Some(rows));
                    (Phase::Label(initial), None, remaining)
                }
            },
        };
        let needs = strategy.needs();
        let mut campaign = Self {
            space,
            strategy,
            needs,
            protocol,
            seeds,
            n_outputs: labelled.as_ref().map(Labelled::n_outputs),
            n_batches: usize::from(labelled.is_some()),
            n_asked: 0,
            labelled,
            remaining,
            failures: Vec::new(),
            phase,
        };
        if let Start::Given(given) = &campaign.protocol.start {
            let x = given.x().to_owned();
            campaign.strike(x.view());
        }
        Ok(campaign)
    }

    /// A campaign that has gone through these batches already: the initial one (unless its labels were given) and one
    /// per finished step, in order. A batch of adopted points stands among them, one that came while the initial points
    /// were pending behind these.
    ///
    /// # Errors
    /// As [`new`](Self::new); batches that this campaign would not have asked for.
    pub fn resume(
        space: Space,
        strategy: Arc<dyn Strategy>,
        protocol: Protocol,
        seeds: TrialSeeds,
        batches: &[Batch],
    ) -> Result<Self, CampaignError> {
        let mut campaign = Self::new(space, strategy, protocol, seeds)?;
        for (i, batch) in batches.iter().enumerate() {
            let foreign = |reason: &str| CampaignError::ForeignBatch { batch: i, reason: reason.into() };
            if batch.answers.len() != batch.x.nrows() {
                return Err(foreign("points and answers differ in number"));
            }
            match &campaign.phase {
                Phase::Label(asked) if asked.x != batch.x => return Err(foreign("its initial points are others")),
                Phase::Label(_) => {}
                Phase::Fit => {
                    if campaign.is_last_entry() {
                        return Err(foreign("the campaign ends before it"));
                    }
                    crate::check_unit_box(batch.x.view(), campaign.space.n_columns())
                        .map_err(|e| foreign(&e.to_string()))?;
                    match (&campaign.protocol.pool, &batch.candidate_rows) {
                        // Adopted: its points need not be candidates.
                        (Pool::Candidates(_), None) => campaign.strike(batch.x.view()),
                        (_, rows) => campaign.take_candidates(rows.as_deref()).map_err(|reason| foreign(&reason))?,
                    }
                    campaign.n_asked += batch.x.nrows();
                    campaign.phase = Phase::Label(Asked::new(batch.x.clone(), batch.candidate_rows.clone()));
                }
                Phase::Done => return Err(foreign("the campaign ends before it")),
            }
            for (row, answer) in batch.answers.iter().enumerate() {
                campaign.tell(row, answer.as_deref().map_err(Clone::clone))?;
            }
        }
        Ok(campaign)
    }

    /// What the campaign waits for.
    pub fn pending(&self) -> Pending<'_> {
        match &self.phase {
            Phase::Label(asked) => Pending::Label(asked.x.view()),
            Phase::Fit => Pending::Fit(FitJob {
                labelled: self.labelled.as_ref().expect("a fit follows labels"),
                needs: &self.needs,
                seeds: self.seeds.fit(self.entry()),
            }),
            Phase::Done => Pending::Done,
        }
    }

    /// Rows of the pending points that have no answer yet.
    pub fn outstanding(&self) -> Vec<usize> {
        match &self.phase {
            Phase::Label(asked) => (0..asked.x.nrows()).filter(|&i| asked.answers[i].is_none()).collect(),
            _ => Vec::new(),
        }
    }

    /// Where the pending points stand in a pool of [`Candidates`](Pool::Candidates), row by row.
    pub fn pending_candidate_rows(&self) -> Option<&[usize]> {
        match &self.phase {
            Phase::Label(asked) => asked.candidate_rows.as_deref(),
            _ => None,
        }
    }

    /// Takes the answer for one pending row, in any order; the last one moves the campaign on to its next model.
    ///
    /// Failed rows are kept in [`failures`](Self::failures) and leave the labelled set as it is.
    ///
    /// # Errors
    /// A row that is not waiting, a label of the wrong length or not finite (the campaign is then unchanged); no
    /// initial point labelled at all.
    pub fn tell(&mut self, row: usize, answer: Result<&[f64], LabelFailure>) -> Result<(), CampaignError> {
        let Phase::Label(asked) = &mut self.phase else {
            return Err(CampaignError::NotAsked { row, asked: 0 });
        };
        if asked.answers.get(row).is_none_or(Option::is_some) {
            return Err(CampaignError::NotAsked { row, asked: asked.x.nrows() });
        }
        if let Ok(label) = answer {
            let expected = self.n_outputs.unwrap_or(label.len().max(1));
            if label.is_empty() || label.len() != expected {
                return Err(CampaignError::WrongOutputs { row, expected, found: label.len() });
            }
            if let Some((output, &value)) = label.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return Err(CampaignError::NonFiniteLabel { row, output, value });
            }
        }
        if let Ok(label) = &answer {
            self.n_outputs = Some(label.len());
        }
        asked.answers[row] = Some(answer.map(<[f64]>::to_vec));
        asked.n_open -= 1;
        if asked.n_open == 0 { self.settle() } else { Ok(()) }
    }

    /// Takes points that were never asked for, `x` (n, n_columns) with their answers `y` (n, n_outputs), into the
    /// labelled set, as a batch of its own: the next model learns them, and they count as one step. Candidates that are
    /// the same points are not asked for any more. Pending points stay pending.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use dal_core::*;
    /// # use ndarray::array;
    /// # #[derive(Debug)]
    /// # struct Rule;
    /// # impl Strategy for Rule {
    /// #     fn needs(&self) -> Needs { Needs::default() }
    /// #     fn propose(&self, _: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
    /// #         Ok(Proposal::picked((0..n).collect()))
    /// #     }
    /// # }
    /// let protocol = Protocol {
    ///     start: Start::Given(Labelled::new(array![[0.0], [0.5]], array![[1.0], [2.0]])?),
    ///     n_queries: 4,
    ///     n_steps: None,
    ///     pool: Pool::Uniform { n_candidates: 100 },
    /// };
    /// let (space, seeds) = (Space::continuous_unit(1), TrialSeeds::new("mine", 0));
    /// let mut campaign = Campaign::new(space, Arc::new(Rule), protocol, seeds)?;
    /// campaign.adopt(array![[-0.5]].view(), array![[1.5]].view())?;
    /// assert_eq!((campaign.entry(), campaign.labelled().map(Labelled::len)), (1, Some(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// No points, points that the space does not admit, answers that are not finite or of another number than earlier
    /// ones, a campaign that is at its end; the campaign is then unchanged.
    pub fn adopt(&mut self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<(), CampaignError> {
        let bad = |reason: String| CampaignError::BadAdoption { reason };
        if x.nrows() == 0 {
            return Err(bad("there are none".into()));
        }
        let ended = match self.phase {
            Phase::Done => true,
            Phase::Fit => self.is_last_entry(),
            Phase::Label(_) => false,
        };
        if ended {
            return Err(bad("the campaign is at its end".into()));
        }
        self.space.check(x).map_err(|e| bad(e.to_string()))?;
        match &mut self.labelled {
            Some(labelled) => labelled.extend(x, y)?,
            None => {
                if let Some(expected) = self.n_outputs.filter(|n| *n != y.ncols()) {
                    return Err(bad(format!("{} outputs where earlier answers have {expected}", y.ncols())));
                }
                self.labelled = Some(Labelled::new(x.to_owned(), y.to_owned())?);
            }
        }
        self.n_outputs = Some(y.ncols());
        self.n_batches += 1;
        self.n_asked += x.nrows();
        self.strike(x);
        Ok(())
    }

    /// Strikes candidates off that are these very points.
    fn strike(&mut self, x: ArrayView2<'_, f64>) {
        if let Pool::Candidates(candidates) = &self.protocol.pool {
            let known: HashSet<Box<[u64]>> = x.outer_iter().map(point_key).collect();
            self.remaining.retain(|&row| !known.contains(&point_key(candidates.row(row))));
        }
    }

    /// Whether the model that is pending is the last one.
    fn is_last_entry(&self) -> bool {
        self.protocol.n_steps.is_some_and(|n_steps| self.entry() >= n_steps)
    }

    /// All pending rows are answered: they join the labelled set.
    fn settle(&mut self) -> Result<(), CampaignError> {
        let Phase::Label(asked) = std::mem::replace(&mut self.phase, Phase::Fit) else {
            return Ok(());
        };
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        let mut first_failure = None;
        for (row, answer) in asked.answers.into_iter().enumerate() {
            match answer.expect("every row is answered") {
                Ok(label) => {
                    rows.push(row);
                    labels.extend(label);
                }
                Err(failure) => {
                    first_failure.get_or_insert_with(|| failure.clone());
                    self.failures.push((self.n_batches, row, failure));
                }
            }
        }
        self.n_batches += 1;
        if !rows.is_empty() {
            let x = asked.x.select(Axis(0), &rows);
            let y =
                Array2::from_shape_vec((rows.len(), labels.len() / rows.len()), labels).expect("lengths were checked");
            match &mut self.labelled {
                Some(labelled) => labelled.extend(x.view(), y.view())?,
                None => self.labelled = Some(Labelled::new(x, y)?),
            }
        } else if self.labelled.is_none() {
            self.phase = Phase::Done;
            let first = first_failure.expect("a batch has rows");
            return Err(CampaignError::NothingLabelled { asked: asked.x.nrows(), first });
        }
        Ok(())
    }

    /// Takes the model that was pending and decides what to label next; `None` when the last step is behind. The
    /// strategy sees model and labels in model units ([`Surrogate::model_units`]).
    ///
    /// # Errors
    /// No model is pending, the strategy cannot choose, or it proposes what may not be asked for: another number of
    /// points than is due, none at all, rows that are not distinct rows of the pool, points that the space does not
    /// admit. The campaign is then unchanged.
    pub fn absorb(&mut self, surrogate: &dyn Surrogate) -> Result<Option<Decision>, CampaignError> {
        self.absorb_for(surrogate, &Ask::default())
    }

    /// [`absorb`](Self::absorb) for another number of points, beside points in flight, or measured.
    ///
    /// # Errors
    /// As [`absorb`](Self::absorb); no points asked for, points in flight that the space does not admit.
    pub fn absorb_for(&mut self, surrogate: &dyn Surrogate, ask: &Ask<'_>) -> Result<Option<Decision>, CampaignError> {
        if !matches!(self.phase, Phase::Fit) {
            return Err(CampaignError::NoFitPending);
        }
        let step = self.entry();
        if self.is_last_entry() {
            self.phase = Phase::Done;
            return Ok(None);
        }
        let wanted = ask.n_queries.unwrap_or(self.protocol.n_queries);
        if wanted == 0 {
            return Err(CampaignError::BadProtocol { reason: "at least one query must be asked for".into() });
        }
        let (pool, pool_rows) = match &self.protocol.pool {
            Pool::Uniform { n_candidates } => {
                (self.space.sample((*n_candidates).max(wanted), &self.seeds.candidates(step)), None)
            }
            Pool::Candidates(candidates) => (candidates.select(Axis(0), &self.remaining), Some(self.remaining.clone())),
        };
        let n_queries = wanted.min(pool.nrows());
        if n_queries == 0 {
            self.phase = Phase::Done;
            return Ok(None);
        }
        let labelled = self.labelled.as_ref().expect("a fit follows labels");
        let (labelled, surrogate) =
            surrogate.model_units().map_or((labelled, surrogate), |units| (units.labelled, units.surrogate));
        let with_flying = match ask.in_flight.filter(|x| x.nrows() > 0) {
            Some(x) => {
                self.space.check(x).map_err(CampaignError::InFlight)?;
                let y = surrogate.mean(x).map_err(StrategyError::Surrogate)?;
                let (x, y) = (concatenate![Axis(0), labelled.x(), x], concatenate![Axis(0), labelled.y(), y]);
                Some(Labelled::with_initial(x, y, labelled.n_initial())?)
            }
            None => None,
        };
        let seen = with_flying.as_ref().unwrap_or(labelled);
        let view = Step::new(&self.space, seen, pool.view(), Some(surrogate), self.needs.clone())?;
        let odds = ask.odds.zip(pool_rows.as_ref()).map(|(odds, rows)| {
            let given = |&row: &usize| odds.get(row).copied().filter(|odds| (0.0..=1.0).contains(odds));
            let reason = "odds of an answer are wanted for every candidate, from 0 to 1";
            let error = || CampaignError::BadProtocol { reason: reason.into() };
            rows.iter().map(given).collect::<Option<Vec<f64>>>().ok_or_else(error)
        });
        let view = view.with_odds(odds.transpose()?).with_clock(ask.clock).with_stop(ask.stop).with_course(Course {
            seeds: self.seeds.course(),
            asked: self.n_asked,
            own_points: matches!(self.protocol.pool, Pool::Uniform { .. }),
        });
        let proposal = self.strategy.propose(&view, n_queries, &self.seeds.strategy(step))?;
        let (notes, model_seconds) = (view.notes(), view.model_seconds());
        drop(view);
        let bad = |reason: String| CampaignError::BadProposal { reason };
        check_numbers(&proposal, n_queries, pool.nrows()).map_err(bad)?;
        let (queries, picked) = match &proposal.queries {
            Queries::Picked(rows) => {
                check_picks(rows, n_queries, pool.nrows())?;
                (pool.select(Axis(0), rows), Some(rows))
            }
            Queries::Synthesised(x) => {
                if x.nrows() != n_queries {
                    return Err(bad(format!("{} points where {n_queries} were asked for", x.nrows())));
                }
                self.space.check(x.view()).map_err(|e| bad(format!("a point outside the space: {e}")))?;
                (x.clone(), None)
            }
        };
        let candidate_rows = match (pool_rows, picked) {
            (Some(pool_rows), Some(picked)) => Some(picked.iter().map(|&i| pool_rows[i]).collect::<Vec<_>>()),
            (Some(_), None) => return Err(bad("points of its own where only listed candidates exist".into())),
            (None, _) => None,
        };
        self.take_candidates(candidate_rows.as_deref()).map_err(bad)?;
        self.n_asked += queries.nrows();
        self.phase = Phase::Label(Asked::new(queries.clone(), candidate_rows.clone()));
        Ok(Some(Decision { step, pool, proposal, queries, candidate_rows, notes, model_seconds }))
    }

    /// Strikes rows off the remaining candidates.
    fn take_candidates(&mut self, rows: Option<&[usize]>) -> Result<(), String> {
        match (&self.protocol.pool, rows) {
            (Pool::Uniform { .. }, None) => Ok(()),
            (Pool::Uniform { .. }, Some(_)) => Err("it names candidates, but the pool is drawn afresh".into()),
            (Pool::Candidates(_), None) => Err("it names no candidates".into()),
            (Pool::Candidates(_), Some(rows)) => {
                let mut taken = rows.to_vec();
                taken.sort_unstable();
                taken.dedup();
                if taken.len() != rows.len() || taken.iter().any(|row| self.remaining.binary_search(row).is_err()) {
                    return Err("a candidate was asked for twice or does not exist".into());
                }
                self.remaining.retain(|row| taken.binary_search(row).is_err());
                Ok(())
            }
        }
    }

    /// The 0-based number of the pending or last model: how many steps are labelled.
    pub fn entry(&self) -> usize {
        self.n_batches.saturating_sub(1)
    }

    /// The labelled set, once there is one.
    pub fn labelled(&self) -> Option<&Labelled> {
        self.labelled.as_ref()
    }

    /// Rows that failed: (batch, row, failure); batch 0 is the initial one.
    pub fn failures(&self) -> &[(usize, usize, LabelFailure)] {
        &self.failures
    }

    /// What the strategy declared.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The protocol.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The streams.
    pub fn seeds(&self) -> &TrialSeeds {
        &self.seeds
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Gives up: nothing is pending any more.
    pub fn abandon(&mut self) {
        self.phase = Phase::Done;
    }
}

impl fmt::Debug for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campaign")
            .field("strategy", &self.strategy)
            .field("entry", &self.entry())
            .field("n_labelled", &self.labelled.as_ref().map_or(0, Labelled::len))
            .field("n_failures", &self.failures.len())
            .finish_non_exhaustive()
    }
}

fn shuffled(n: usize, seeds: &TrialSeeds) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut rows: Vec<usize> = (0..n).collect();
    rows.shuffle(&mut seeds.initial().rng());
    rows
}

/// Scores and probabilities come one for each point that they are about, so that a record can be trusted to be
/// complete.
fn check_numbers(proposal: &Proposal, n_queries: usize, n_pool: usize) -> Result<(), String> {
    for (what, numbers, due) in [
        ("scores of pool points", &proposal.scores, n_pool),
        ("scores of queries", &proposal.picked_scores, n_queries),
        ("probabilities", &proposal.probabilities, n_queries),
    ] {
        if let Some(numbers) = numbers.as_ref().filter(|numbers| numbers.len() != due) {
            return Err(format!("{} {what} where there must be {due}", numbers.len()));
        }
    }
    let mut probabilities = proposal.probabilities.iter().flatten();
    match probabilities.find(|&&p| !(p > 0.0 && p <= 1.0)) {
        Some(p) => Err(format!("a pick of probability {p}, which is not in (0, 1]")),
        None => Ok(()),
    }
}

fn check_picks(rows: &[usize], n_queries: usize, n_pool: usize) -> Result<(), CampaignError> {
    let mut seen = vec![false; n_pool];
    let distinct = rows.iter().all(|&row| row < n_pool && !std::mem::replace(&mut seen[row], true));
    if rows.len() != n_queries || !distinct {
        return Err(CampaignError::BadProposal {
            reason: format!("{} rows where {n_queries} distinct ones of {n_pool} were asked for", rows.len()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Dimension, LabelFailureKind, Scale, SeedPath, SurrogateError};
    use ndarray::{Array1, array};

    #[derive(Debug)]
    struct First;
    impl Strategy for First {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn propose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            step.check_request(n)?;
            Ok(Proposal::picked((0..n).collect()))
        }
    }

    /// Picks the last rows of the pool, the last one first.
    #[derive(Debug)]
    struct Last;
    impl Strategy for Last {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn propose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            step.check_request(n)?;
            Ok(Proposal::picked((0..step.pool().nrows()).rev().take(n).collect()))
        }
    }

    /// Keeps the labelled sets that it is shown, and how many points it is told have been asked for.
    #[derive(Debug)]
    struct Looking(Arc<Mutex<Vec<(Labelled, usize)>>>);
    impl Strategy for Looking {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn propose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            self.0.lock().unwrap().push((step.labelled().clone(), step.course().unwrap().asked));
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

    /// Proposes what it is told to.
    #[derive(Debug)]
    struct Told(Arc<Mutex<Proposal>>);
    impl Strategy for Told {
        fn needs(&self) -> Needs {
            Needs::default()
        }
        fn propose(&self, _: &Step<'_>, _: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
            Ok(self.0.lock().unwrap().clone())
        }
    }

    #[test]
    fn what_may_not_be_asked_for_is_refused_and_changes_nothing() {
        let space = Space::new(vec![
            Dimension::Continuous { low: 0.1, high: 10.0, scale: Scale::Log },
            Dimension::Integer { low: 0, high: 4, scale: Scale::Linear },
            Dimension::Categorical { n_levels: 2 },
        ])
        .unwrap();
        let say = Arc::new(Mutex::new(Proposal::picked(vec![])));
        let pool = Pool::Uniform { n_candidates: 8 };
        let seeds = TrialSeeds::new("t", 0);
        let mut campaign =
            Campaign::new(space.clone(), Arc::new(Told(Arc::clone(&say))), protocol(pool), seeds).unwrap();
        answer_all(&mut campaign);
        let good = array![[0.3, 0.5, 1.0, -1.0], [-0.2, -1.0, -1.0, 1.0]];
        let point = |column: usize, value: f64| {
            let mut x = good.clone();
            x[[1, column]] = value;
            Proposal::synthesised(x)
        };
        let refused = [
            Proposal::picked(vec![]),
            Proposal::picked(vec![3]),
            Proposal::picked(vec![3, 3]),
            Proposal::picked(vec![3, 8]),
            Proposal::picked((0..7).collect()),
            Proposal::synthesised(Array2::zeros((0, 4))),
            Proposal::synthesised(good.slice(ndarray::s![..1, ..]).to_owned()),
            Proposal::synthesised(space.sample(7, &SeedPath::root(0))),
            Proposal::synthesised(good.slice(ndarray::s![.., ..3]).to_owned()),
            point(0, 1.001),
            point(0, f64::NAN),
            point(0, f64::NEG_INFINITY),
            point(1, 0.1),
            point(1, -1.5),
            point(2, 1.0),
            point(3, -1.0),
            point(3, 0.9),
            Proposal { scores: Some(Array1::zeros(2)), ..Proposal::picked(vec![1, 2]) },
            Proposal { picked_scores: Some(Array1::zeros(8)), ..Proposal::picked(vec![1, 2]) },
            Proposal { probabilities: Some(array![0.5]), ..Proposal::picked(vec![1, 2]) },
            Proposal { probabilities: Some(array![0.5, 0.0]), ..Proposal::picked(vec![1, 2]) },
        ];
        for proposal in refused {
            let shown = format!("{proposal:?}");
            *say.lock().unwrap() = proposal;
            let outcome = campaign.absorb(&Zero);
            assert!(matches!(outcome, Err(CampaignError::BadProposal { .. })), "{shown}: {outcome:?}");
            assert!(matches!(campaign.pending(), Pending::Fit(_)) && campaign.entry() == 0);
            assert_eq!(campaign.labelled().unwrap().len(), 3);
        }
        *say.lock().unwrap() = Proposal::synthesised(good.clone());
        let decision = campaign.absorb(&Zero).unwrap().unwrap();
        assert_eq!((decision.queries, decision.candidate_rows), (good.clone(), None));
        answer_all(&mut campaign);
        *say.lock().unwrap() = Proposal { probabilities: Some(array![0.5, 1.0]), ..Proposal::picked(vec![1, 0]) };
        assert!(campaign.absorb(&Zero).unwrap().is_some());
    }

    fn protocol(pool: Pool) -> Protocol {
        Protocol { start: Start::Sample { n: 3 }, n_queries: 2, n_steps: Some(2), pool }
    }

    fn start(pool: Pool) -> Campaign {
        Campaign::new(Space::continuous_unit(1), Arc::new(First), protocol(pool), TrialSeeds::new("t", 0)).unwrap()
    }

    fn answer_all(campaign: &mut Campaign) -> Batch {
        let Pending::Label(x) = campaign.pending() else { panic!("labels are pending") };
        let x = x.to_owned();
        let candidate_rows = campaign.pending_candidate_rows().map(<[usize]>::to_vec);
        let answers: Vec<Result<Vec<f64>, LabelFailure>> = x.column(0).iter().map(|&v| Ok(vec![v * v])).collect();
        for (row, answer) in answers.iter().enumerate() {
            campaign.tell(row, answer.as_deref().map_err(Clone::clone)).unwrap();
        }
        Batch { x, candidate_rows, answers }
    }

    #[test]
    fn a_campaign_resumed_from_its_batches_goes_on_as_the_first() {
        let candidates = Pool::Candidates(Space::continuous_unit(1).sample(9, &SeedPath::root(1)));
        for pool in [Pool::Uniform { n_candidates: 8 }, candidates] {
            let mut campaign = start(pool.clone());
            let mut batches = vec![answer_all(&mut campaign)];
            while campaign.absorb(&Zero).unwrap().is_some() {
                batches.push(answer_all(&mut campaign));
            }
            assert!(matches!(campaign.pending(), Pending::Done));
            assert_eq!(campaign.labelled().unwrap().len(), 7);
            for k in 0..=batches.len() {
                let mut resumed = Campaign::resume(
                    Space::continuous_unit(1),
                    Arc::new(First),
                    protocol(pool.clone()),
                    TrialSeeds::new("t", 0),
                    &batches[..k],
                )
                .unwrap();
                if k == 0 {
                    answer_all(&mut resumed);
                }
                while resumed.absorb(&Zero).unwrap().is_some() {
                    answer_all(&mut resumed);
                }
                assert_eq!(resumed.labelled(), campaign.labelled());
            }
            // Adopted points name no candidates.
            let adopted = [batches[0].clone(), Batch { candidate_rows: None, ..batches[1].clone() }];
            let seeds = TrialSeeds::new("t", 0);
            let space = Space::continuous_unit(1);
            let resumed = Campaign::resume(space, Arc::new(First), protocol(pool.clone()), seeds, &adopted).unwrap();
            assert_eq!((resumed.entry(), resumed.labelled().unwrap().len()), (1, 5));
            let mut foreign = batches.clone();
            foreign[0].x[[0, 0]] += 0.1;
            let resumed = Campaign::resume(
                Space::continuous_unit(1),
                Arc::new(First),
                protocol(pool),
                TrialSeeds::new("t", 0),
                &foreign,
            );
            assert!(matches!(resumed, Err(CampaignError::ForeignBatch { batch: 0, .. })));
        }
    }

    /// What a campaign decides at each model until its end, given labels of x² or adopted ones.
    fn decisions(campaign: &mut Campaign, mut on: impl FnMut(&mut Campaign, usize)) -> Vec<Array2<f64>> {
        let mut queries = Vec::new();
        loop {
            on(campaign, queries.len());
            match campaign.pending() {
                Pending::Label(_) => drop(answer_all(campaign)),
                Pending::Fit(_) => match campaign.absorb(&Zero).unwrap() {
                    Some(decision) => queries.push(decision.queries),
                    None => return queries,
                },
                Pending::Done => return queries,
            }
        }
    }

    #[test]
    fn a_campaign_that_begins_with_given_data_and_adopts_points_goes_on_as_one_that_sampled_them() {
        let candidates = Pool::Candidates(Space::continuous_unit(1).sample(12, &SeedPath::root(1)));
        for pool in [Pool::Uniform { n_candidates: 8 }, candidates] {
            let of = |start| Protocol { start, n_queries: 2, n_steps: Some(4), pool: pool.clone() };
            let make = |protocol| {
                Campaign::new(Space::continuous_unit(1), Arc::new(Last), protocol, TrialSeeds::new("t", 0)).unwrap()
            };
            let mut sampling = make(of(Start::Sample { n: 3 }));
            let all = decisions(&mut sampling, |_, _| {});
            assert_eq!(all.len(), 4);
            // Given what the other sampled, then given what it asked for in its first steps before being asked.
            for n_adopted in 0..4 {
                let first = sampling.labelled().unwrap();
                let part = |from: usize, to: usize| {
                    let rows: Vec<usize> = (from..to).collect();
                    (first.x().select(Axis(0), &rows), first.y().select(Axis(0), &rows))
                };
                let (x, y) = part(0, 3);
                let mut given = make(of(Start::Given(Labelled::new(x, y).unwrap())));
                for k in 0..n_adopted {
                    let (x, y) = part(3 + 2 * k, 5 + 2 * k);
                    given.adopt(x.view(), y.view()).unwrap();
                }
                let (Pending::Fit(ours), 0) = (given.pending(), given.failures().len()) else { panic!("a fit is due") };
                assert_eq!((given.entry(), ours.seeds), (n_adopted, sampling.seeds().fit(n_adopted)));
                assert_eq!(decisions(&mut given, |_, _| {}), all[n_adopted..]);
                assert_eq!(given.labelled(), sampling.labelled());
            }
        }
    }

    #[test]
    fn points_are_adopted_while_others_are_pending_and_bad_ones_change_nothing() {
        let candidates = array![[-1.0], [-0.5], [0.0], [0.5], [1.0], [0.25]];
        let start = Start::Given(Labelled::new(array![[-0.0]], array![[0.0]]).unwrap());
        let protocol = Protocol { start, n_queries: 1, n_steps: None, pool: Pool::Candidates(candidates) };
        let seeds = TrialSeeds::new("t", 0);
        let mut campaign = Campaign::new(Space::continuous_unit(1), Arc::new(Last), protocol, seeds).unwrap();
        let one = |x: f64, y: f64| (array![[x]], array![[y]]);
        let first = campaign.absorb(&Zero).unwrap().unwrap();
        assert_eq!(first.queries, array![[0.25]]);
        assert_eq!(campaign.pending_candidate_rows(), Some(&[5][..]));
        for (x, y) in [one(1.5, 0.0), one(0.5, f64::NAN), (array![[0.5]], array![[0.0, 1.0]])] {
            assert!(campaign.adopt(x.view(), y.view()).is_err());
        }
        assert!(campaign.adopt(Array2::zeros((0, 1)).view(), Array2::zeros((0, 1)).view()).is_err());
        assert_eq!((campaign.entry(), campaign.labelled().unwrap().len()), (0, 1));
        let (x, y) = one(1.0, 1.0);
        campaign.adopt(x.view(), y.view()).unwrap();
        assert_eq!((campaign.outstanding(), campaign.entry()), (vec![0], 1));
        answer_all(&mut campaign);
        assert_eq!(campaign.pending_candidate_rows(), None);
        assert_eq!(campaign.labelled().unwrap().x(), array![[-0.0], [1.0], [0.25]]);
        // 1.0 is no candidate any more; there is no end but that of the candidates, and each step asks for its own
        // number.
        let ask = |n| Ask { n_queries: Some(n), ..Ask::default() };
        assert!(matches!(campaign.absorb_for(&Zero, &ask(0)), Err(CampaignError::BadProtocol { .. })));
        let decision = campaign.absorb_for(&Zero, &ask(2)).unwrap().unwrap();
        assert_eq!((decision.step, decision.queries), (2, array![[0.5], [-0.5]]));
        answer_all(&mut campaign);
        assert_eq!(campaign.absorb_for(&Zero, &ask(9)).unwrap().unwrap().queries, array![[-1.0]]);
        answer_all(&mut campaign);
        assert!(campaign.absorb(&Zero).unwrap().is_none());
    }

    /// A rule that goes on in a sequence of its own is told how far it is: points asked for and adopted, but not the
    /// initial ones; the same where the campaign is resumed.
    #[test]
    fn points_asked_for_and_adopted_are_counted() {
        let (seen, pool) = (Arc::new(Mutex::new(Vec::new())), Pool::Uniform { n_candidates: 8 });
        let rule = || Arc::new(Looking(Arc::clone(&seen)));
        let counts = || seen.lock().unwrap().drain(..).map(|(_, asked)| asked).collect::<Vec<_>>();
        let protocol = || Protocol { n_steps: Some(4), ..protocol(pool.clone()) };
        let (space, seeds) = (Space::continuous_unit(1), || TrialSeeds::new("t", 0));
        let mut campaign = Campaign::new(space.clone(), rule(), protocol(), seeds()).unwrap();
        let mut batches = vec![answer_all(&mut campaign)];
        campaign.absorb(&Zero).unwrap();
        batches.push(answer_all(&mut campaign));
        campaign.absorb(&Zero).unwrap();
        batches.push(answer_all(&mut campaign));
        let (x, y) = (array![[0.1], [0.2], [0.3]], array![[1.0], [2.0], [3.0]]);
        campaign.adopt(x.view(), y.view()).unwrap();
        campaign.absorb(&Zero).unwrap();
        assert_eq!(counts(), [0, 2, 7]);
        let mut resumed = Campaign::resume(space, rule(), protocol(), seeds(), &batches).unwrap();
        resumed.absorb(&Zero).unwrap();
        assert_eq!(counts(), [4]);
    }

    #[test]
    fn adopted_points_have_as_many_outputs_as_earlier_answers() {
        let mut campaign = start(Pool::Uniform { n_candidates: 8 });
        campaign.tell(0, Ok(&[1.0])).unwrap();
        let x = array![[0.5]];
        assert!(matches!(campaign.adopt(x.view(), array![[1.0, 2.0]].view()), Err(CampaignError::BadAdoption { .. })));
        campaign.adopt(x.view(), array![[1.0]].view()).unwrap();
        assert_eq!(campaign.labelled().unwrap().len(), 1);
    }

    #[test]
    fn points_in_flight_are_seen_as_labelled_with_the_prediction_and_not_learned() {
        let (x, y) = (array![[0.1], [0.2]], array![[3.0], [4.0]]);
        let given = Labelled::new(x, y).unwrap();
        let pool = Pool::Uniform { n_candidates: 3 };
        let protocol = Protocol { start: Start::Given(given.clone()), n_queries: 1, n_steps: None, pool };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let rule = Arc::new(Looking(Arc::clone(&seen)));
        let mut campaign = Campaign::new(Space::continuous_unit(1), rule, protocol, TrialSeeds::new("t", 0)).unwrap();
        let outside = array![[2.0]];
        let ask = |x| Ask { in_flight: Some(x), ..Ask::default() };
        assert!(matches!(campaign.absorb_for(&Zero, &ask(outside.view())), Err(CampaignError::InFlight(_))));
        let flying = array![[-0.5], [0.75]];
        campaign.absorb_for(&Zero, &ask(flying.view())).unwrap();
        let (x, y) = (array![[0.1], [0.2], [-0.5], [0.75]], array![[3.0], [4.0], [0.0], [0.0]]);
        assert_eq!(*seen.lock().unwrap(), [(Labelled::with_initial(x, y, 2).unwrap(), 0)]);
        assert_eq!(campaign.labelled(), Some(&given));
    }

    #[test]
    fn answers_come_in_any_order_and_failures_leave_the_rest_standing() {
        let mut campaign = start(Pool::Uniform { n_candidates: 8 });
        campaign.tell(2, Ok(&[1.0])).unwrap();
        assert!(matches!(campaign.tell(2, Ok(&[1.0])), Err(CampaignError::NotAsked { row: 2, .. })));
        assert!(matches!(campaign.tell(3, Ok(&[1.0])), Err(CampaignError::NotAsked { row: 3, .. })));
        assert!(matches!(
            campaign.tell(0, Ok(&[1.0, 2.0])),
            Err(CampaignError::WrongOutputs { expected: 1, found: 2, .. })
        ));
        assert!(matches!(campaign.tell(0, Ok(&[f64::NAN])), Err(CampaignError::NonFiniteLabel { row: 0, .. })));
        assert_eq!(campaign.outstanding(), [0, 1]);
        campaign.tell(1, Err(LabelFailure::new(LabelFailureKind::Crashed, "exit status 1"))).unwrap();
        campaign.tell(0, Ok(&[3.0])).unwrap();
        assert_eq!(campaign.labelled().unwrap().y(), array![[3.0], [1.0]]);
        assert_eq!(campaign.failures().len(), 1);
        assert!(matches!(campaign.pending(), Pending::Fit(_)));
    }

    #[test]
    fn without_a_single_label_there_is_no_campaign() {
        let mut campaign = start(Pool::Uniform { n_candidates: 8 });
        let failure = LabelFailure::new(LabelFailureKind::TimedOut, "60 s passed");
        campaign.tell(0, Err(failure.clone())).unwrap();
        campaign.tell(1, Err(failure.clone())).unwrap();
        assert!(matches!(campaign.tell(2, Err(failure)), Err(CampaignError::NothingLabelled { asked: 3, .. })));
        assert!(matches!(campaign.pending(), Pending::Done));
    }

    #[test]
    fn senseless_protocols_are_refused() {
        let make =
            |protocol| Campaign::new(Space::continuous_unit(1), Arc::new(First), protocol, TrialSeeds::new("t", 0));
        let pool = Pool::Uniform { n_candidates: 8 };
        let of = |start, n_queries| Protocol { start, n_queries, n_steps: Some(1), pool: pool.clone() };
        assert!(make(of(Start::Sample { n: 0 }, 2)).is_err());
        assert!(make(of(Start::Sample { n: 1 }, 0)).is_err());
        assert!(make(of(Start::Sample { n: 1 }, 9)).is_err());
        let given = |x: f64| Start::Given(Labelled::new(array![[x]], array![[0.0]]).unwrap());
        assert!(make(of(given(1.5), 2)).is_err());
        assert!(make(of(given(1.0), 2)).is_ok());
        assert!(make(protocol(Pool::Candidates(array![[2.0], [0.0], [0.0], [0.0]]))).is_err());
    }
}
