//! The contract that every strategy keeps, as a battery that can be run over any of them.
//!
//! The battery brings its own data and a model with every capability, written down as formulas, so that it needs no
//! training: run it over a strategy of your own as the tests of this crate run it over the catalogue, or, where it
//! makes points of its own, over a space of yours with [`check_strategy_on`].
//!
//! ```
//! use dal_acq::{contract::check_strategy, find, Invariance};
//! use dal_core::SeedPath;
//!
//! let gsx = find("gsx", &Default::default())?;
//! check_strategy(&*gsx.strategy, &[Invariance::AxisFlips], &SeedPath::root(1))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod model;

use dal_core::{
    Capability, Dimension, Labelled, Needs, Proposal, Queries, Scale, SeedPath, Space, SpaceError, Step, Strategy,
    StrategyError, Surrogate,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use rand::RngExt;
use thiserror::Error;

pub use self::model::CaseModel;
use crate::Invariance;
use crate::given::GivenPredictions;

/// What a strategy did that it must not do.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{rule}: {details}")]
pub struct ContractViolation {
    /// The rule, in words.
    pub rule: &'static str,
    /// What was seen.
    pub details: String,
}

type Verdict = Result<(), ContractViolation>;

fn violation(rule: &'static str, details: impl Into<String>) -> ContractViolation {
    ContractViolation { rule, details: details.into() }
}

/// Scores this close, relative to their size, count as tied.
const LEAD: f64 = 1e-9;

/// Data of one test: space, labelled set, pool, members' predictions at the pool.
#[derive(Clone, Debug)]
pub struct Case {
    /// The space; points may lie beyond its box where every input is a number.
    pub space: Space,
    /// The labelled set.
    pub labelled: Labelled,
    /// The pool, shape (N, d).
    pub pool: Array2<f64>,
    /// Predictions at the pool, shape (M, N, J); may hold NaN, to see what becomes of it.
    pub members: Array3<f64>,
}

impl Case {
    /// Random points in the box and members that agree on a wave and err each by itself.
    ///
    /// Shapes: `n_labelled` and `n_pool` points of `d` coordinates, `n_outputs` outputs, `n_members` members.
    pub fn random(
        n_labelled: usize,
        n_pool: usize,
        d: usize,
        n_outputs: usize,
        n_members: usize,
        seeds: &SeedPath,
    ) -> Self {
        Self::random_in(&Space::continuous_unit(d), n_labelled, n_pool, n_outputs, n_members, seeds)
    }

    /// The same with points of a space.
    pub fn random_in(
        space: &Space,
        n_labelled: usize,
        n_pool: usize,
        n_outputs: usize,
        n_members: usize,
        seeds: &SeedPath,
    ) -> Self {
        let mut rng = seeds.purpose("case").rng();
        let mut draw =
            |rows: usize, columns: usize| Array2::from_shape_fn((rows, columns), |_| rng.random_range(-1.0..1.0));
        let labelled_x = space.sample(n_labelled, &seeds.purpose("labelled"));
        let pool = space.sample(n_pool, &seeds.purpose("pool"));
        let waves = draw(space.n_columns(), n_outputs);
        let answer = |x: &Array2<f64>| (x.dot(&waves) * 3.0).mapv(f64::sin);
        let labelled_y = answer(&labelled_x) + draw(n_labelled, n_outputs) * 0.1;
        let truth = answer(&pool);
        let mut members = Array3::zeros((n_members, n_pool, n_outputs));
        for mut member in members.outer_iter_mut() {
            member.assign(&(&truth + draw(n_pool, n_outputs) * 0.3));
        }
        let labelled = Labelled::new(labelled_x, labelled_y).expect("random points are finite");
        Self { space: space.clone(), labelled, pool, members }
    }

    /// The same points in another order: row `i` of the new pool is row `order[i]` of this one.
    fn reordered(&self, order: &[usize]) -> Self {
        Self {
            space: self.space.clone(),
            labelled: self.labelled.clone(),
            pool: self.pool.select(Axis(0), order),
            members: self.members.select(Axis(1), order),
        }
    }

    /// The same case with other inputs.
    fn with_inputs(&self, map: impl Fn(ArrayView2<'_, f64>) -> Array2<f64>) -> Self {
        let labelled = self.labelled_from(map(self.labelled.x()), self.labelled.y().to_owned());
        Self { space: self.space.clone(), labelled, pool: map(self.pool.view()), members: self.members.clone() }
    }

    fn labelled_from(&self, x: Array2<f64>, y: Array2<f64>) -> Labelled {
        Labelled::with_initial(x, y, self.labelled.n_initial()).expect("a finite map of finite points")
    }

    /// A model of this case that offers what `offer` names.
    pub fn model(&self, offer: &Needs) -> CaseModel {
        let given = GivenPredictions::unchecked(self.pool.clone(), self.members.clone());
        let poisoned = self.members.iter().any(|v| !v.is_finite());
        CaseModel { given, offer: offer.clone(), poisoned }
    }

    /// A step of this case.
    ///
    /// # Errors
    /// As [`Step::new`].
    pub fn step<'a>(&'a self, model: Option<&'a dyn Surrogate>, needs: Needs) -> Result<Step<'a>, StrategyError> {
        Step::new(&self.space, &self.labelled, self.pool.view(), model, needs)
    }

    /// Runs a strategy on this case.
    ///
    /// # Errors
    /// What the strategy refuses.
    pub fn propose(&self, strategy: &dyn Strategy, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let model = self.model(&strategy.needs());
        let step = self.step(Some(&model), strategy.needs())?;
        strategy.propose(&step, n, seeds)
    }
}

/// Runs the battery: exactly n distinct picks for every batch up to the whole pool, one score a pick where there are
/// scores, more than the pool refused; the declared needs are the used ones, and a model that lacks one is refused; the
/// same seeds give the same picks, also with other ranges of the inputs where these are not said to be used; constant
/// predictions, copies, one dimension, one point, one member are dealt with; NaN in the model is an error; and every
/// invariance in `promises` holds on random cases.
///
/// # Errors
/// The first violation found.
pub fn check_strategy(strategy: &dyn Strategy, promises: &[Invariance], seeds: &SeedPath) -> Verdict {
    check_strategy_on(&Space::continuous_unit(3), strategy, seeds)?;
    check_ranges(strategy, seeds)?;
    for &promise in promises {
        for d in [1, 2, 5] {
            let case = Case::random(6, 37, d, 2, 5, &seeds.purpose("promise").index(d as u64));
            check_promise(strategy, promise, &case, seeds)?;
        }
    }
    Ok(())
}

/// The part of the battery that promises nothing about picks, with points of a space. A strategy that makes points of
/// its own has to make exactly n that the space admits, the same with the same seeds; it may make more than the pool
/// has.
///
/// # Errors
/// The first violation found.
pub fn check_strategy_on(space: &Space, strategy: &dyn Strategy, seeds: &SeedPath) -> Verdict {
    let generic = Case::random_in(space, 7, 31, 2, 4, &seeds.purpose("generic"));
    for (name, case) in cases(&generic, seeds) {
        check_picks(strategy, &case, name, seeds)?;
    }
    check_needs(strategy, &generic, seeds)?;
    check_nan(strategy, &generic, seeds)
}

/// Degenerate variations of a case, all of them of points that its space admits.
fn cases(generic: &Case, seeds: &SeedPath) -> Vec<(&'static str, Case)> {
    let space = &generic.space;
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = generic.clone();
        change(&mut case);
        case.pool = space.project(case.pool.view()).expect("finite points of the right width");
        case
    };
    let random = |shape: [usize; 4], purpose: &str| {
        let [n_labelled, n_pool, n_outputs, n_members] = shape;
        Case::random_in(space, n_labelled, n_pool, n_outputs, n_members, &seeds.purpose(purpose))
    };
    let first_labelled = generic.labelled.x().row(0).to_owned();
    vec![
        ("generic", generic.clone()),
        ("one dimension", Case::random(5, 26, 1, 1, 3, &seeds.purpose("line"))),
        ("one pool point", random([5, 1, 1, 3], "one point")),
        ("two pool points", random([1, 2, 1, 3], "two points")),
        ("one labelled point", random([1, 15, 3, 3], "one label")),
        ("one member", random([4, 20, 1, 1], "one member")),
        ("constant predictions", with(&|case| case.members.fill(0.1))),
        (
            "members that agree",
            with(&|case| {
                let first = case.members.slice(s![0..1, .., ..]).to_owned();
                case.members = ndarray::concatenate![Axis(0), first, first, first];
            }),
        ),
        (
            "copies in the pool",
            with(&|case| {
                for i in 0..10 {
                    let original = case.pool.row(i).to_owned();
                    case.pool.row_mut(i + 10).assign(&original);
                    case.pool.row_mut(i + 20).assign(&original);
                }
            }),
        ),
        (
            "copies of labelled points",
            with(&|case| {
                let n = case.labelled.len();
                case.pool.slice_mut(s![..n, ..]).assign(&case.labelled.x());
            }),
        ),
        ("one place", with(&|case| case.pool.outer_iter_mut().for_each(|mut row| row.assign(&first_labelled)))),
        ("the origin", with(&|case| case.pool.slice_mut(s![3..6, ..]).fill(0.0))),
        ("a lattice", with(&|case| case.pool.mapv_inplace(|v| (v * 2.0).round() / 2.0))),
    ]
}

fn refused(rule: &'static str, case: &str, n: usize, error: &StrategyError) -> ContractViolation {
    violation(rule, format!("{case}, {n} queries: {error}"))
}

fn check_picks(strategy: &dyn Strategy, case: &Case, name: &'static str, seeds: &SeedPath) -> Verdict {
    let n_pool = case.pool.nrows();
    for n in [0, 1, 2, n_pool / 2, n_pool - 1, n_pool] {
        if n > n_pool {
            continue;
        }
        let proposal = case
            .propose(strategy, n, seeds)
            .map_err(|error| refused("every pool can be chosen from", name, n, &error))?;
        check_queries(&proposal.queries, case, n, name)?;
        check_numbers(&proposal, n, n_pool, name)?;
        let again =
            case.propose(strategy, n, seeds).map_err(|error| refused("a second call succeeds", name, n, &error))?;
        if !same(&again, &proposal) {
            return Err(violation("the same seeds give the same picks", format!("{name}, {n} queries")));
        }
    }
    match case.propose(strategy, n_pool + 1, seeds) {
        Ok(Proposal { queries: queries @ Queries::Synthesised(_), .. }) => {
            check_queries(&queries, case, n_pool + 1, name)
        }
        Err(StrategyError::PoolTooSmall { requested, available }) if requested == n_pool + 1 && available == n_pool => {
            Ok(())
        }
        other => Err(violation("more queries than pool points are refused", format!("{name}: {other:?}"))),
    }
}

/// Exactly `n` distinct rows of the pool, or `n` points that the space admits.
fn check_queries(queries: &Queries, case: &Case, n: usize, name: &'static str) -> Verdict {
    let n_pool = case.pool.nrows();
    match queries {
        Queries::Picked(picked) => {
            let mut sorted = picked.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if picked.len() != n || sorted.len() != n || sorted.last().is_some_and(|&i| i >= n_pool) {
                let details = format!("{name}, {n} queries of {n_pool}: {picked:?}");
                return Err(violation("exactly n distinct rows of the pool are picked", details));
            }
            Ok(())
        }
        Queries::Synthesised(x) => {
            let rule = "exactly n points that the space admits are made";
            case.space.check(x.view()).map_err(|error| violation(rule, format!("{name}, {n} queries: {error}")))?;
            if x.nrows() == n { Ok(()) } else { Err(violation(rule, format!("{name}, {n} queries: {}", x.nrows()))) }
        }
    }
}

/// Scores are finite, one for each pool point or query, NaN for last queries that another rule made; probabilities lie
/// in (0, 1], one for each query.
fn check_numbers(proposal: &Proposal, n: usize, n_pool: usize, name: &'static str) -> Verdict {
    let scores = proposal.scores.as_ref().filter(|_| n > 0);
    for (what, scores, due) in [("queries", proposal.picked_scores.as_ref(), n), ("pool points", scores, n_pool)] {
        let Some(scores) = scores else { continue };
        let n_scored = scores.iter().take_while(|v| v.is_finite()).count();
        // The last queries have none where the rule left them to another.
        let may_lack = what == "queries" && (n_scored > 0 || name != "generic");
        let is_told = n_scored == due || (may_lack && scores.iter().skip(n_scored).all(|v| v.is_nan()));
        if scores.len() != due || !is_told {
            return Err(violation("scores are finite, one each", format!("{name}: {due} {what}, {scores}")));
        }
    }
    match &proposal.probabilities {
        Some(values) if values.len() != n || values.iter().any(|&p| !(p > 0.0 && p <= 1.0)) => {
            Err(violation("probabilities lie in (0, 1], one a query", format!("{name}: {n} queries, {values}")))
        }
        _ => Ok(()),
    }
}

/// The pool rows of a proposal that the rules about picks can be held against.
fn picks(proposal: &Proposal) -> Result<&[usize], ContractViolation> {
    proposal.rows().ok_or_else(|| violation("rows of the pool are picked", "it made points of its own"))
}

fn check_needs(strategy: &dyn Strategy, case: &Case, seeds: &SeedPath) -> Verdict {
    let declared = strategy.needs();
    let model = case.model(&declared);
    let run = |model: Option<&dyn Surrogate>| -> Result<Needs, StrategyError> {
        let step = case.step(model, declared.clone())?;
        strategy.propose(&step, 5, seeds)?;
        Ok(step.used())
    };
    let used = run(Some(&model)).map_err(|error| refused("declared needs suffice", "generic", 5, &error))?;
    if used != declared {
        return Err(violation("declared needs are the used ones", format!("declared {declared:?}, used {used:?}")));
    }
    if declared == Needs::default() {
        return run(None)
            .map(|_| ())
            .map_err(|error| refused("without needs no model is wanted", "generic", 5, &error));
    }
    let missing = |rule: &'static str, model: Option<&dyn Surrogate>, due: Option<&Capability>| match run(model) {
        Err(StrategyError::Missing { need }) if due.is_none_or(|capability| capability.name == need) => Ok(()),
        other => Err(violation(rule, format!("{}: {other:?}", due.map_or("no model", |capability| capability.name)))),
    };
    missing("a missing model is named", None, None)?;
    for lacking in declared.capabilities() {
        let mut offer = Needs::default();
        for capability in declared.capabilities().filter(|capability| capability.name != lacking.name) {
            (capability.declare_as)(&declared, &mut offer);
        }
        let model = case.model(&offer);
        // What every model has, or what another capability brings along, cannot be missing.
        if !(lacking.is_offered)(&model) {
            missing("a missing capability is named", Some(&model), Some(lacking))?;
        }
    }
    Ok(())
}

/// What does not say that it uses the inputs' ranges picks the same from the same numbers whatever these are.
fn check_ranges(strategy: &dyn Strategy, seeds: &SeedPath) -> Verdict {
    if strategy.uses_ranges() {
        return Ok(());
    }
    let case = Case::random(7, 31, 3, 2, 4, &seeds.purpose("ranges"));
    let lattice = Space::new(vec![Dimension::Integer { low: 0, high: 3, scale: Scale::Linear }; 3])
        .expect("a space of three inputs");
    let elsewhere = Case { space: lattice, ..case.clone() };
    let run = |case: &Case| {
        case.propose(strategy, 5, seeds)
            .map_err(|error| refused("it chooses whatever the inputs' ranges", "generic", 5, &error))
    };
    identical("ranges that are used are declared", &run(&case)?, &run(&elsewhere)?)
}

fn check_nan(strategy: &dyn Strategy, case: &Case, seeds: &SeedPath) -> Verdict {
    if strategy.needs() == Needs::default() {
        return Ok(());
    }
    let mut case = case.clone();
    case.members[[1, 3, 0]] = f64::NAN;
    match case.propose(strategy, 4, seeds) {
        Err(
            StrategyError::NonFiniteScore { .. } | StrategyError::NonFiniteFeature { .. } | StrategyError::Surrogate(_),
        ) => Ok(()),
        // Points that followed a gradient which is no number.
        Err(StrategyError::Space(SpaceError::NonFinite { .. })) => Ok(()),
        other => Err(violation("NaN in the model is an error", format!("{other:?}"))),
    }
}

fn check_promise(strategy: &dyn Strategy, promise: Invariance, case: &Case, seeds: &SeedPath) -> Verdict {
    let n = case.pool.nrows() / 3;
    let mut rng = seeds.purpose("transformation").rng();
    let run = |case: &Case| {
        case.propose(strategy, n, seeds).map_err(|error| refused("a promise can be tested", "random", n, &error))
    };
    let here = run(case)?;
    match promise {
        Invariance::PoolOrder => {
            let mut order: Vec<usize> = (0..case.pool.nrows()).collect();
            for place in 0..order.len() {
                order.swap(place, rng.random_range(place..case.pool.nrows()));
            }
            let mut there = run(&case.reordered(&order))?;
            there.queries = Queries::Picked(picks(&there)?.iter().map(|&i| order[i]).collect());
            same_picks("the pool's order does not matter", &here, &there)
        }
        Invariance::AxisFlips => {
            let signs: Vec<f64> =
                (0..case.pool.ncols()).map(|j| if j == 0 || rng.random::<bool>() { -1.0 } else { 1.0 }).collect();
            let signs = Array1::from_vec(signs);
            let there = run(&case.with_inputs(|x| &x * &signs))?;
            identical("axis flips do not matter", &here, &there)
        }
        Invariance::Rotations => {
            let rotation = rotation(case.pool.ncols(), &mut |low, high| rng.random_range(low..high));
            let there = run(&case.with_inputs(|x| x.dot(&rotation)))?;
            same_picks("rotations do not matter", &here, &there)
        }
        Invariance::MemberShift => {
            let shifted = Case { members: &case.members + 0.7, ..case.clone() };
            same_picks("a constant added to the members does not matter", &here, &run(&shifted)?)
        }
        Invariance::MemberScale => {
            let scaled = Case { members: &case.members * 4.0, ..case.clone() };
            let there = run(&scaled)?;
            identical("the members' scale does not matter", &picks_only(&here)?, &picks_only(&there)?)
        }
        Invariance::OutputScale => {
            let labelled = case.labelled_from(case.labelled.x().to_owned(), &case.labelled.y() * 0.25);
            let scaled = Case { labelled, members: &case.members * 0.25, ..case.clone() };
            let there = run(&scaled)?;
            identical("the outputs' scale does not matter", &picks_only(&here)?, &picks_only(&there)?)
        }
        Invariance::InputCovering => {
            check_covering(strategy, seeds, |case| (case.labelled.x().to_owned(), case.pool.clone()))
        }
        Invariance::OutputCovering => check_covering(strategy, seeds, |case| {
            (case.labelled.y().to_owned(), case.members.mean_axis(Axis(0)).expect("there are members"))
        }),
        Invariance::SkipsCopies => check_copies(strategy, case, seeds),
    }
}

fn picks_only(proposal: &Proposal) -> Result<Proposal, ContractViolation> {
    Ok(Proposal::picked(picks(proposal)?.to_vec()))
}

/// Equal, where scores that picks do not have (NaN) are equal too.
fn same(here: &Proposal, there: &Proposal) -> bool {
    let told = |proposal: &Proposal| {
        let scores = proposal.picked_scores.as_ref();
        let picked_scores = scores.map(|all| all.mapv(|v| if v.is_nan() { f64::INFINITY } else { v }));
        Proposal { picked_scores, ..proposal.clone() }
    };
    told(here) == told(there)
}

fn identical(rule: &'static str, here: &Proposal, there: &Proposal) -> Verdict {
    if same(here, there) {
        return Ok(());
    }
    Err(violation(rule, format!("{:?} became {:?}", here.queries, there.queries)))
}

/// The same picks, up to the first whose lead was within rounding: from there on both are right.
fn same_picks(rule: &'static str, here: &Proposal, there: &Proposal) -> Verdict {
    let (from, to) = (picks(here)?, picks(there)?);
    let Some(place) = from.iter().zip(to).position(|(a, b)| a != b) else { return Ok(()) };
    if let (Some(a), Some(b)) = (&here.picked_scores, &there.picked_scores) {
        let (a, b) = (a[place], b[place]);
        if (a - b).abs() <= LEAD * a.abs().max(b.abs()) {
            return Ok(());
        }
    }
    Err(violation(rule, format!("{from:?} became {to:?}")))
}

/// A product of plane rotations by random angles.
fn rotation(d: usize, draw: &mut dyn FnMut(f64, f64) -> f64) -> Array2<f64> {
    let mut product = Array2::eye(d);
    for a in 0..d {
        for b in a + 1..d {
            let (sine, cosine) = draw(0.0, std::f64::consts::TAU).sin_cos();
            let mut plane = Array2::eye(d);
            plane[[a, a]] = cosine;
            plane[[b, b]] = cosine;
            plane[[a, b]] = sine;
            plane[[b, a]] = -sine;
            product = product.dot(&plane);
        }
    }
    product
}

/// Largest distance of a pool point from its nearest centre: labelled points and the rows chosen.
fn radius(labelled: &Array2<f64>, pool: &Array2<f64>, chosen: &[usize]) -> f64 {
    let gap = |a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>| (&a - &b).mapv(|v| v * v).sum().sqrt();
    pool.outer_iter()
        .map(|point| {
            let centres = labelled.outer_iter().chain(chosen.iter().map(|&i| pool.row(i)));
            centres.map(|centre| gap(point, centre)).fold(f64::INFINITY, f64::min)
        })
        .fold(0.0, f64::max)
}

fn check_covering(
    strategy: &dyn Strategy,
    seeds: &SeedPath,
    space: impl Fn(&Case) -> (Array2<f64>, Array2<f64>),
) -> Verdict {
    let rule = "the cover is within twice the best radius";
    for index in 0..8 {
        let case = Case::random(2, 8, 2, 2, 3, &seeds.purpose("covering").index(index));
        let (labelled, pool) = space(&case);
        for n in 1..=3 {
            let proposal = case.propose(strategy, n, seeds).map_err(|error| refused(rule, "tiny", n, &error))?;
            let best =
                subsets(pool.nrows(), n).iter().map(|s| radius(&labelled, &pool, s)).fold(f64::INFINITY, f64::min);
            let found = radius(&labelled, &pool, picks(&proposal)?);
            if found > 2.0 * best * (1.0 + LEAD) {
                return Err(violation(rule, format!("radius {found}, best {best}, {n} picks")));
            }
        }
    }
    Ok(())
}

/// Every set of `k` numbers below `n`.
fn subsets(n: usize, k: usize) -> Vec<Vec<usize>> {
    if k == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for last in k - 1..n {
        for mut set in subsets(last, k - 1) {
            set.push(last);
            all.push(set);
        }
    }
    all
}

fn check_copies(strategy: &dyn Strategy, case: &Case, seeds: &SeedPath) -> Verdict {
    let rule = "no copy is picked while another point is left";
    let mut case = case.clone();
    let n_labelled = case.labelled.len();
    case.pool.slice_mut(s![..n_labelled, ..]).assign(&case.labelled.x());
    let n = case.pool.nrows();
    let proposal = case.propose(strategy, n, seeds).map_err(|error| refused(rule, "copies", n, &error))?;
    let picked = picks(&proposal)?;
    let others = n - n_labelled;
    match picked.iter().take(others).find(|&&i| i < n_labelled) {
        Some(i) => {
            Err(violation(rule, format!("row {i}, a labelled point, is among the first {others} of {picked:?}")))
        }
        None => Ok(()),
    }
}
