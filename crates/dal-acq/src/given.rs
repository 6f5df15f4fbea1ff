//! Selection on a user's own data: predictions made elsewhere, at the pool only, in the place of a model.

use std::iter::once;

use dal_core::{
    Committee, Course, Dimension, Labelled, LabelledError, Moments, Needs, OnChunk, Proposal, Queries, Scale, SeedPath,
    Space, SpaceError, Step, Stop, Strategy, StrategyError, Surrogate, SurrogateError, Uncertainty,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, s};
use thiserror::Error;

use crate::card::{Found, Labels};

/// Numbers of a member looked at together: with those of nine others they stay in the first-level cache.
const PIECE: usize = 512;
/// What stands for an input of which nothing is known but that it is a number: its column is the number itself.
const NUMBER: Dimension = Dimension::Continuous { low: -1.0, high: 1.0, scale: Scale::Linear };

/// The predictions of a committee at the points of one pool; knows no other points.
///
/// Shapes: pool (N, d), members (M, N, J).
#[derive(Clone, Debug)]
pub struct GivenPredictions {
    pool: Array2<f64>,
    members: Array3<f64>,
}

/// Predictions that do not fit their pool.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GivenError {
    /// No member or no output.
    #[error("predictions have {members} members and {outputs} outputs; at least one of each is needed")]
    Empty {
        /// Members.
        members: usize,
        /// Outputs.
        outputs: usize,
    },
    /// Predictions for another number of points.
    #[error(
        "predictions are for {found} points, but the pool has {expected}; their shape is (members, pool points, outputs)"
    )]
    Points {
        /// Pool points.
        expected: usize,
        /// Points predicted.
        found: usize,
    },
    /// A prediction is NaN or infinite.
    #[error("member {member} predicts {value} for pool point {row}, output {output}; predictions must be finite")]
    NonFinite {
        /// 0-based member.
        member: usize,
        /// 0-based pool point.
        row: usize,
        /// 0-based output.
        output: usize,
        /// The offending value.
        value: f64,
    },
}

impl GivenPredictions {
    /// Pairs a pool (N, d) with the members' predictions (M, N, J) at it.
    ///
    /// # Errors
    /// Shapes that do not fit, values that are not finite.
    pub fn new(pool: Array2<f64>, members: Array3<f64>) -> Result<Self, GivenError> {
        let (n_members, found, n_outputs) = members.dim();
        if n_members == 0 || n_outputs == 0 {
            return Err(GivenError::Empty { members: n_members, outputs: n_outputs });
        }
        if found != pool.nrows() {
            return Err(GivenError::Points { expected: pool.nrows(), found });
        }
        // Looked for with places only where there is one: places take longer than values.
        if !members.iter().all(|v| v.is_finite())
            && let Some(((member, row, output), &value)) = members.indexed_iter().find(|(_, v)| !v.is_finite())
        {
            return Err(GivenError::NonFinite { member, row, output, value });
        }
        Ok(Self { pool, members })
    }

    /// Predictions that fit and may hold NaN, for the contract battery.
    pub(crate) fn unchecked(pool: Array2<f64>, members: Array3<f64>) -> Self {
        Self { pool, members }
    }

    /// An error unless `x` is the pool itself.
    fn check(&self, x: ArrayView2<'_, f64>) -> Result<(), SurrogateError> {
        if x.ncols() != self.pool.ncols() {
            return Err(SurrogateError::WrongWidth { expected: self.pool.ncols(), found: x.ncols() });
        }
        let known = self.pool.nrows();
        if x == self.pool {
            return Ok(());
        }
        let row = x.outer_iter().zip(self.pool.outer_iter()).position(|(a, b)| a != b);
        Err(SurrogateError::UnknownPoint { known, row: row.unwrap_or(known.min(x.nrows())) })
    }

    /// The pool.
    pub(crate) fn pool(&self) -> ArrayView2<'_, f64> {
        self.pool.view()
    }

    /// The members' predictions at the pool.
    pub(crate) fn members_at_pool(&self) -> ArrayView3<'_, f64> {
        self.members.view()
    }
}

/// Mean and, where asked, variance over members, taken around the first member and the mean, so that members that
/// agree have exactly their value as the mean and no variance. A piece of all members at a time stays in cache.
fn over_members(members: &Array3<f64>, with_variance: bool) -> Moments {
    let members = members.as_standard_layout();
    let (n_members, n, n_outputs) = members.dim();
    let (members, size) = (members.as_slice().expect("standard layout"), n * n_outputs);
    let mut mean = Array2::<f64>::zeros((n, n_outputs));
    let mut variance = Array2::<f64>::zeros(if with_variance { (n, n_outputs) } else { (0, n_outputs) });
    let means = mean.as_slice_mut().expect("standard layout");
    let variances = variance.as_slice_mut().expect("standard layout");
    for start in (0..size).step_by(PIECE) {
        let piece = start..(start + PIECE).min(size);
        let of = |member: usize| &members[member * size..][piece.clone()];
        let (first, mean) = (of(0), &mut means[piece.clone()]);
        for member in 1..n_members {
            for ((sum, &value), &origin) in mean.iter_mut().zip(of(member)).zip(first) {
                *sum += value - origin;
            }
        }
        for (sum, &origin) in mean.iter_mut().zip(first) {
            *sum = origin + *sum / n_members as f64;
        }
        if !with_variance {
            continue;
        }
        let variance = &mut variances[piece.clone()];
        for member in 0..n_members {
            for ((sum, &value), &mean) in variance.iter_mut().zip(of(member)).zip(&*mean) {
                let t = value - mean;
                *sum += t * t;
            }
        }
        for sum in variance {
            *sum /= n_members as f64;
        }
    }
    Moments { mean, variance }
}

/// Mean and variance over members of shape (M, n, J).
pub(crate) fn moments(members: &Array3<f64>) -> Moments {
    over_members(members, true)
}

impl Surrogate for GivenPredictions {
    fn n_inputs(&self) -> usize {
        self.pool.ncols()
    }

    fn n_outputs(&self) -> usize {
        self.members.len_of(Axis(2))
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.check(x)?;
        Ok(over_members(&self.members, false).mean)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        Some(self)
    }
}

impl Uncertainty for GivenPredictions {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        self.check(x)?;
        Ok(moments(&self.members))
    }
}

impl Committee for GivenPredictions {
    fn n_members(&self) -> usize {
        self.members.len_of(Axis(0))
    }

    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        self.check(x)?;
        let (n, chunk) = (self.pool.nrows(), chunk_rows.max(1));
        for first in (0..n).step_by(chunk) {
            on_chunk(first, self.members.slice(s![.., first..(first + chunk).min(n), ..]));
        }
        Ok(())
    }
}

/// What [`select`] chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Pool rows in the order in which they were picked, distinct.
    pub picked: Vec<usize>,
    /// The score of each pick at the moment it was picked, shape (n_queries,), where the rule has one;
    /// [`PickScore`](crate::PickScore) says what it is. NaN of a first pick that was made without labelled points, and
    /// of last ones that another rule made.
    pub picked_scores: Option<Array1<f64>>,
    /// The probability of each pick given the earlier ones, shape (n_queries,), where the rule knows it.
    pub probabilities: Option<Array1<f64>>,
    /// The score of every pool point before the first pick, shape (n_pool,), where the rule has one.
    pub scores: Option<Array1<f64>>,
    /// Remarks of the strategy, such as a term that is constant on this pool.
    pub notes: Vec<String>,
}

/// A selection on given data cannot be made.
#[derive(Debug, Error)]
pub enum SelectError {
    /// The strategy needs predictions, and none were given.
    #[error(
        "the strategy needs {need}: supply the members' predictions at the pool, an array of shape \
         (members, pool points, outputs); one member is enough where only predictions are needed"
    )]
    NeedsMembers {
        /// What it needs.
        need: &'static str,
    },
    /// The strategy needs more of the model than its predictions.
    #[error(
        "the strategy needs {need}, which predictions alone do not give: it runs where the model is trained \
         (`dal bench run`, or a surrogate that offers it)"
    )]
    NeedsModel {
        /// What it needs.
        need: &'static str,
    },
    /// The strategy looks at labelled points, and there are none.
    #[error("the strategy looks at {need}: supply them")]
    NeedsLabels {
        /// What it looks at.
        need: &'static str,
    },
    /// The strategy lays a design out over the ranges of the inputs, and they are not known.
    #[error(
        "the strategy lays points out over the ranges of the inputs, and a table of numbers does not say them: give \
         the problem that the points are of (`dal select --problem`), or choose by it in a campaign"
    )]
    NeedsSpace,
    /// The labelled points and their answers do not make a labelled set.
    #[error(transparent)]
    Labelled(#[from] LabelledError),
    /// Predictions and labelled set differ in their number of outputs.
    #[error("the labelled set has {labelled} outputs, the predictions have {predicted}")]
    OutputsDiffer {
        /// Outputs of the labelled set.
        labelled: usize,
        /// Outputs of the predictions.
        predicted: usize,
    },
    /// The strategy makes points of its own.
    #[error("the strategy makes points of its own and picks none of the pool: it runs where the oracle is asked")]
    PicksNothing,
    /// The pool has no columns.
    #[error("the pool: {0}")]
    Space(#[from] SpaceError),
    /// The strategy could not choose.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
}

/// What is known of a problem beside its pool.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The space of the points; none where the inputs count as numbers and nothing is known of them.
    pub space: Option<&'a Space>,
    /// Labelled points, shape (n, d).
    pub x: Option<ArrayView2<'a, f64>>,
    /// Their answers, shape (n, J).
    pub y: Option<ArrayView2<'a, f64>>,
    /// The members' predictions at the pool.
    pub predictions: Option<&'a GivenPredictions>,
}

impl Known<'_> {
    /// Chooses as [`select_known`], where `n_asked` points were asked for before, those without an answer among them:
    /// a design that goes on from batch to batch begins behind so many.
    ///
    /// # Errors
    /// As [`select_known`].
    pub fn select_after(
        &self,
        n_asked: usize,
        found: &Found,
        pool: ArrayView2<'_, f64>,
        n_queries: usize,
        seeds: &SeedPath,
        stop: &Stop,
    ) -> Result<Chosen, SelectError> {
        let (strategy, labels) = (&*found.strategy, found.labels());
        let n_outputs = self.y.map(|y| y.ncols()).or(self.predictions.map(GivenPredictions::n_outputs)).unwrap_or(1);
        let choose = |x: Array2<f64>, n: usize| {
            // Answers without their points say nothing of the point that stands in for them.
            let y = self.y.filter(|_| self.x.is_some());
            let y = y.map_or_else(|| Array2::zeros((x.nrows(), n_outputs)), |y| y.to_owned());
            choose(strategy, self.space, &Labelled::new(x, y)?, n_asked, pool, self.predictions, n, seeds, stop)
        };
        if labels == Labels::Outputs && self.y.is_none() {
            return Err(SelectError::NeedsLabels { need: "the answers of labelled points" });
        }
        if let Some(x) = self.x {
            return choose(x.to_owned(), n_queries);
        }
        let Some(centre) = pool.mean_axis(Axis(0)) else {
            return Err(StrategyError::PoolTooSmall { requested: n_queries, available: 0 }.into());
        };
        let square = |row: &ArrayView1<'_, f64>| row.iter().zip(&centre).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let rows = pool.outer_iter().map(|row| square(&row));
        let first = rows.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(row, _)| row);
        let start = pool.slice(s![first..=first, ..]).to_owned();
        match labels {
            // Whatever stands there is not looked at.
            Labels::None => choose(start, n_queries),
            Labels::Inputs if strategy.needs() == Needs::default() && n_queries > 0 => {
                // One of them is chosen here, which is no news to who asked for them.
                if n_queries > pool.nrows() {
                    return Err(StrategyError::PoolTooSmall { requested: n_queries, available: pool.nrows() }.into());
                }
                // One point would not ask it to choose.
                check_ranges(strategy, self.space)?;
                let mut chosen = choose(start.clone(), n_queries - 1)?;
                if chosen.picked.contains(&first) {
                    // It ties with points that are the same: one more is chosen, and it is left out.
                    chosen = choose(start, n_queries)?;
                    let at = chosen.picked.iter().position(|row| *row == first).unwrap_or(n_queries - 1);
                    chosen.picked.remove(at);
                    chosen.picked_scores = chosen.picked_scores.map(|scores| {
                        scores.into_iter().enumerate().filter(|(k, _)| *k != at).map(|(_, score)| score).collect()
                    });
                }
                chosen.picked.insert(0, first);
                chosen.picked_scores = chosen.picked_scores.map(|scores| once(f64::NAN).chain(scores).collect());
                chosen.notes.push(format!("nothing is labelled: it begins at row {first}, nearest to the pool's mean"));
                Ok(chosen)
            }
            _ => Err(SelectError::NeedsLabels { need: "labelled points" }),
        }
    }
}

/// Chooses with what there is: labelled points or their answers may be missing where the strategy does not look at
/// them. A rule of coordinates alone begins without labelled points at the pool point nearest to the mean of the pool,
/// as greedy sampling does (Wu, Lin, Huang, Information Sciences 474, 2019). Where `stop` is raised to end now, rules
/// that pick one by one end at the next pick. A design that goes on from batch to batch begins behind as many points as
/// are labelled.
///
/// # Errors
/// As [`select`]; labelled points or answers that the strategy looks at and that are missing; it was stopped.
pub fn select_known(
    found: &Found,
    known: &Known<'_>,
    pool: ArrayView2<'_, f64>,
    n_queries: usize,
    seeds: &SeedPath,
    stop: &Stop,
) -> Result<Chosen, SelectError> {
    known.select_after(known.x.map_or(0, |x| x.nrows()), found, pool, n_queries, seeds, stop)
}

/// Chooses `n_queries` rows of `pool` (N, d), with the members' predictions at it where they are given. The inputs
/// count as numbers: nothing is known of their ranges, nor of integers and levels among them.
///
/// # Errors
/// A need that the data cannot meet, with what to supply, that of a design for the inputs' ranges among them; shapes
/// that do not fit; what the strategy refuses.
pub fn select(
    strategy: &dyn Strategy,
    labelled: &Labelled,
    pool: ArrayView2<'_, f64>,
    predictions: Option<&GivenPredictions>,
    n_queries: usize,
    seeds: &SeedPath,
) -> Result<Chosen, SelectError> {
    choose(strategy, None, labelled, labelled.len(), pool, predictions, n_queries, seeds, &Stop::new())
}

fn choose(
    strategy: &dyn Strategy,
    space: Option<&Space>,
    labelled: &Labelled,
    n_asked: usize,
    pool: ArrayView2<'_, f64>,
    predictions: Option<&GivenPredictions>,
    n_queries: usize,
    seeds: &SeedPath,
    stop: &Stop,
) -> Result<Chosen, SelectError> {
    let needs = strategy.needs();
    // What a table of predictions offers does not depend on its numbers.
    let table = GivenPredictions::unchecked(Array2::zeros((0, 0)), Array3::zeros((0, 0, 0)));
    if let Some(beyond) = needs.capabilities().find(|capability| !(capability.is_offered)(&table)) {
        return Err(SelectError::NeedsModel { need: beyond.name });
    }
    match predictions {
        Some(given) if given.n_outputs() != labelled.n_outputs() => {
            return Err(SelectError::OutputsDiffer { labelled: labelled.n_outputs(), predicted: given.n_outputs() });
        }
        None => {
            if let Some(capability) = needs.capabilities().next() {
                return Err(SelectError::NeedsMembers { need: capability.name });
            }
        }
        Some(_) => {}
    }
    let surrogate = predictions.map(|given| given as &dyn Surrogate);
    propose(strategy, space, labelled, n_asked, pool, surrogate, n_queries, seeds, stop)
}

/// Chooses `n_queries` rows of `pool` (N, d) with a surrogate that was trained for the strategy's needs. Without a
/// space the inputs count as numbers. Stops as [`select_known`].
///
/// # Errors
/// What the surrogate does not offer; shapes that do not fit; what the strategy refuses; it was stopped.
pub fn select_by_surrogate(
    strategy: &dyn Strategy,
    space: Option<&Space>,
    labelled: &Labelled,
    pool: ArrayView2<'_, f64>,
    surrogate: Option<&dyn Surrogate>,
    n_queries: usize,
    seeds: &SeedPath,
    stop: &Stop,
) -> Result<Chosen, SelectError> {
    propose(strategy, space, labelled, labelled.len(), pool, surrogate, n_queries, seeds, stop)
}

/// Refuses what lays points out over ranges where these are not known.
fn check_ranges(strategy: &dyn Strategy, space: Option<&Space>) -> Result<(), SelectError> {
    if space.is_none() && strategy.uses_ranges() { Err(SelectError::NeedsSpace) } else { Ok(()) }
}

fn propose(
    strategy: &dyn Strategy,
    space: Option<&Space>,
    labelled: &Labelled,
    n_asked: usize,
    pool: ArrayView2<'_, f64>,
    surrogate: Option<&dyn Surrogate>,
    n_queries: usize,
    seeds: &SeedPath,
    stop: &Stop,
) -> Result<Chosen, SelectError> {
    let numbers;
    let shown = match space {
        Some(space) => space,
        None => {
            numbers = Space::new(vec![NUMBER; labelled.n_inputs()])?;
            &numbers
        }
    };
    let course = Course { seeds: seeds.purpose("course"), asked: n_asked, own_points: false };
    let step = Step::new(shown, labelled, pool.reborrow(), surrogate, strategy.needs())?;
    let step = step.with_stop(Some(stop)).with_course(course);
    let Proposal { queries, scores, picked_scores, probabilities } = strategy.propose(&step, n_queries, seeds)?;
    // Behind what the strategy refuses by itself, such as fresh points of a table, which a space would not mend.
    check_ranges(strategy, space)?;
    match queries {
        Queries::Picked(picked) => Ok(Chosen { picked, picked_scores, probabilities, scores, notes: step.notes() }),
        Queries::Synthesised(_) => Err(SelectError::PicksNothing),
    }
}

#[cfg(test)]
mod tests {
    use dal_core::{Settings, StopLevel};

    use ndarray::array;

    use super::*;
    use crate::contract::Case;
    use crate::find;

    fn labelled() -> Labelled {
        Labelled::new(array![[0.0, 0.0]], array![[0.0]]).unwrap()
    }

    #[test]
    fn moments_divide_by_the_members_and_agreement_is_exact() {
        let pool = array![[0.1, 0.2], [0.3, 0.4]];
        let members = Array3::from_shape_vec((3, 2, 1), vec![0.1, 1.0, 0.1, 2.0, 0.1, 6.0]).unwrap();
        let given = GivenPredictions::new(pool.clone(), members).unwrap();
        let moments = given.moments(pool.view()).unwrap();
        assert_eq!(moments.mean, array![[0.1], [3.0]]);
        assert_eq!(moments.variance, array![[0.0], [14.0 / 3.0]]);
        let mut seen = Vec::new();
        given.members(pool.view(), 1, &mut |first, chunk| seen.push((first, chunk.to_owned()))).unwrap();
        assert_eq!(seen[1].1.as_slice().unwrap(), [1.0, 2.0, 6.0]);
        let other = array![[0.1, 0.2], [0.3, 0.5]];
        assert!(matches!(given.mean(other.view()), Err(SurrogateError::UnknownPoint { known: 2, row: 1 })));
    }

    #[test]
    fn what_is_missing_is_named() {
        let pool = array![[0.1, 0.2], [0.3, 0.4]];
        let run = |id: &str, given: Option<&GivenPredictions>, n: usize| {
            let strategy = find(id, &Settings::default()).unwrap().strategy;
            select(&*strategy, &labelled(), pool.view(), given, n, &SeedPath::root(0))
        };
        assert_eq!(run("gsx", None, 1).unwrap().picked, [1]);
        assert!(matches!(run("qbc", None, 1), Err(SelectError::NeedsMembers { need: "predictive uncertainty", .. })));
        assert!(matches!(run("gsy", None, 1), Err(SelectError::NeedsMembers { need: "predictions", .. })));
        for (id, word) in
            [("emoc", "parameter gradients"), ("bald", "a dropout network"), ("learning-loss", "loss-prediction heads")]
        {
            assert!(run(id, None, 1).unwrap_err().to_string().contains(word));
        }
        let wide = GivenPredictions::new(pool.clone(), Array3::zeros((2, 2, 3))).unwrap();
        assert!(matches!(run("qbc", Some(&wide), 1), Err(SelectError::OutputsDiffer { labelled: 1, predicted: 3 })));
        assert!(matches!(run("gsx", None, 3), Err(SelectError::Strategy(StrategyError::PoolTooSmall { .. }))));
    }

    #[test]
    fn rules_that_pick_one_by_one_end_where_they_are_stopped() {
        let pool = Array2::from_shape_fn((30, 2), |(i, j)| ((i * 7 + j * 3) as f64).sin());
        let members = Array3::from_shape_fn((3, 30, 1), |(m, i, _)| ((m * 31 + i) as f64).cos());
        let given = GivenPredictions::new(pool.clone(), members).unwrap();
        let (x, y) = (array![[0.9, 0.9]], array![[0.3]]);
        let known = Known { space: None, x: Some(x.view()), y: Some(y.view()), predictions: Some(&given) };
        let stop = Stop::new();
        for id in ["gsx", "gsxy", "dacs", "qbc-diversity", "power-qbc-diversity", "maxdet-members"] {
            let found = find(id, &Settings::default()).unwrap();
            let run = |stop: &Stop| select_known(&found, &known, pool.view(), 5, &SeedPath::root(0), stop);
            assert_eq!(run(&stop).unwrap().picked.len(), 5, "{id}");
            // To let what runs come to its end is no reason to end.
            let draining = Stop::new();
            draining.raise(StopLevel::Drain);
            assert_eq!(run(&draining).unwrap().picked, run(&stop).unwrap().picked, "{id}");
            draining.raise(StopLevel::Now);
            let stopped = run(&draining).unwrap_err();
            assert!(matches!(stopped, SelectError::Strategy(StrategyError::Stopped)), "{id}: {stopped}");
        }
    }

    #[test]
    fn labels_may_be_missing_where_they_are_not_looked_at() {
        let pool = array![[0.9, 0.9], [0.1, 0.0], [-0.7, -0.8], [0.8, -0.9]];
        let given = GivenPredictions::new(pool.clone(), Array3::from_shape_fn((2, 4, 1), |(m, i, _)| (m * i) as f64));
        let given = given.unwrap();
        let x = array![[0.9, 0.9]];
        let run = |id: &str, x: Option<&Array2<f64>>, predictions| {
            let known = Known { space: None, x: x.map(|x| x.view()), y: None, predictions };
            let found = find(id, &Settings::default()).unwrap();
            select_known(&found, &known, pool.view(), 3, &SeedPath::root(0), &Stop::new()).map(|chosen| chosen.picked)
        };
        assert_eq!(run("random", None, None).unwrap().len(), 3);
        assert_eq!(run("qbc", None, Some(&given)).unwrap(), [3, 2, 1]);
        // The greedy rules begin near the mean, which is row 1, and go on as if it were labelled.
        assert_eq!(run("gsx", None, None).unwrap(), [1, 0, 3]);
        assert_eq!(run("gsx", Some(&x), None).unwrap()[0], 2);
        let many = |n: usize, pool: &Array2<f64>| {
            let known = Known { space: None, x: None, y: None, predictions: None };
            let found = find("gsx", &Settings::default()).unwrap();
            select_known(&found, &known, pool.view(), n, &SeedPath::root(0), &Stop::new())
        };
        assert_eq!(many(4, &pool).unwrap().picked, [1, 0, 3, 2]);
        for n in [5, 6] {
            let error = many(n, &pool).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{n} queries asked of a pool of 4 points")), "{error}");
        }
        // Points that are the same as the first are picked, and it only once.
        let equal = array![[0.1, 0.0], [0.1, 0.0], [0.9, 0.9], [0.1, 0.0]];
        let chosen = many(4, &equal).unwrap();
        assert_eq!((&chosen.picked[..], chosen.picked_scores.unwrap().len()), (&[0, 2, 1, 3][..], 4));
        for (id, need) in [("gsy", "answers"), ("gsxy", "answers"), ("qbc-diversity", "labelled points")] {
            let error = run(id, None, Some(&given)).unwrap_err().to_string();
            assert!(error.contains(need), "{id}: {error}");
        }
        assert!(run("qbc-diversity", Some(&x), Some(&given)).is_ok());
    }

    #[test]
    fn cards_say_truly_what_is_looked_at_of_the_labelled_set() {
        let case = Case::random(6, 40, 2, 2, 4, &SeedPath::root(8));
        let other = Case::random(6, 40, 2, 2, 4, &SeedPath::root(9));
        let given = GivenPredictions::new(case.pool.clone(), case.members.clone()).unwrap();
        for card in crate::catalogue() {
            let strategy = card.default_strategy();
            let run = |x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>| {
                let labelled = Labelled::new(x.to_owned(), y.to_owned()).unwrap();
                let (space, seeds, stop) = (Some(&case.space), SeedPath::root(1), Stop::new());
                choose(&*strategy, space, &labelled, 6, case.pool.view(), Some(&given), 5, &seeds, &stop)
                    .map(|chosen| chosen.picked)
            };
            // Rules that need more than predictions cannot be asked here.
            let Ok(picked) = run(case.labelled.x(), case.labelled.y()) else { continue };
            let other_y = run(case.labelled.x(), other.labelled.y()).unwrap();
            let other_x = run(other.labelled.x(), case.labelled.y()).unwrap();
            assert_eq!(other_y == picked, card.labels != Labels::Outputs, "{}: outputs", card.id);
            assert!(other_x == picked || card.labels != Labels::None, "{}: inputs", card.id);
        }
    }

    #[test]
    fn designs_need_the_ranges_of_the_inputs() {
        let pool = array![[400.0, 0.2], [700.0, 0.4], [900.0, 0.9]];
        for id in ["sobol", "lhs"] {
            let found = find(id, &Settings::default()).unwrap();
            assert!(found.strategy.uses_ranges(), "{id}");
            let seeds = SeedPath::root(0);
            let chosen = select(&*found.strategy, &labelled(), pool.view(), None, 1, &seeds);
            assert!(matches!(chosen, Err(SelectError::NeedsSpace)), "{id}: {chosen:?}");
            let known = Known { space: None, x: None, y: None, predictions: None };
            for n in [1, 2] {
                let chosen = select_known(&found, &known, pool.view(), n, &seeds, &Stop::new());
                assert!(chosen.unwrap_err().to_string().contains("--problem"), "{id}");
            }
        }
    }

    #[test]
    fn fresh_points_of_the_domain_need_its_ranges() {
        let case = Case::random(6, 20, 2, 1, 3, &SeedPath::root(5));
        for (target, is_refused) in [("pool+labelled", false), ("domain", true)] {
            let strategy = find("bait-f-p", &Settings::default().with("target", target)).unwrap().strategy;
            let model = case.model(&strategy.needs());
            let (seeds, stop) = (SeedPath::root(0), Stop::new());
            let run = |space: Option<&Space>| {
                select_by_surrogate(&*strategy, space, &case.labelled, case.pool.view(), Some(&model), 4, &seeds, &stop)
            };
            assert_eq!(run(Some(&case.space)).unwrap().picked.len(), 4);
            assert_eq!(matches!(run(None), Err(SelectError::NeedsSpace)), is_refused);
        }
    }

    #[test]
    fn a_design_goes_on_behind_the_points_that_were_asked_for() {
        let space = Space::continuous_unit(2);
        let pool = space.sample(200, &SeedPath::root(3));
        let found = find("sobol", &Settings::default()).unwrap();
        let run = |n_asked: usize, x: Option<&Array2<f64>>, pool: &Array2<f64>, n: usize| {
            let known = Known { space: Some(&space), x: x.map(|x| x.view()), y: None, predictions: None };
            let (seeds, stop) = (SeedPath::root(0), Stop::new());
            let after = known.select_after(n_asked, &found, pool.view(), n, &seeds, &stop).unwrap();
            if x.map_or(0, |x| x.nrows()) == n_asked {
                assert_eq!(select_known(&found, &known, pool.view(), n, &seeds, &stop).unwrap(), after);
            }
            pool.select(Axis(0), &after.picked)
        };
        let all = run(0, None, &pool, 16);
        let first = run(0, None, &pool, 8);
        assert_eq!(first, all.slice(s![..8, ..]));
        let left: Vec<usize> =
            (0..200).filter(|&row| !first.outer_iter().any(|taken| taken == pool.row(row))).collect();
        let left = pool.select(Axis(0), &left);
        assert_eq!(run(8, Some(&first), &left, 8), all.slice(s![8.., ..]));
        // The last two have no answer.
        assert_eq!(run(8, Some(&first.slice(s![..6, ..]).to_owned()), &left, 8), all.slice(s![8.., ..]));
    }

    #[test]
    fn bad_predictions_are_refused() {
        let pool = array![[0.1], [0.3]];
        let mut members = Array3::zeros((2, 2, 1));
        members[[1, 0, 0]] = f64::NAN;
        assert!(matches!(
            GivenPredictions::new(pool.clone(), members),
            Err(GivenError::NonFinite { member: 1, row: 0, output: 0, .. })
        ));
        assert!(matches!(GivenPredictions::new(pool.clone(), Array3::zeros((0, 2, 1))), Err(GivenError::Empty { .. })));
        assert!(matches!(
            GivenPredictions::new(pool, Array3::zeros((2, 3, 1))),
            Err(GivenError::Points { expected: 2, found: 3 })
        ));
    }
}
