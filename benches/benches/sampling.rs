//! What choosing a batch costs beyond the model's own answers: every rule on `robo`, pool rules on large pools.
//!
//! One sample is one whole proposal: the step's checks, the scores, every pick. Predictions, stochastic passes and
//! predicted losses, features of gradients are worked out before and handed out as copies; `robo/emoc` alone asks a
//! trained network, because its gradients are its cost (`features_timing` has those of features).

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dal_acq::{catalogue, find};
use dal_core::{
    Committee, Dropout, FeatureSpec, Features, FitJob, Labelled, Learner, LossHead, Moments, OnChunk, Oracle, Queries,
    SeedPath, Space, Step, Stop, Strategy, Surrogate, SurrogateError, Uncertainty, every,
};
use dal_nn::{BatchNormSpec, CpuLearner, Head, NetworkSpec, TrainingSpec};
use ndarray::{Array1, Array2, Array3, ArrayView2, s};
use rand::RngExt;

/// Queries of a step.
const BATCH: usize = 40;
/// Columns of sketched gradients.
const COLUMNS: usize = 512;

/// A model whose answers at one pool are ready.
struct Ready {
    n_inputs: usize,
    moments: Moments,
    losses: Array1<f64>,
    /// Ten members' predictions at the pool.
    members: Array3<f64>,
    /// At the pool, then at the labelled points; none where they are not timed.
    features: Array2<f64>,
}

impl Ready {
    fn new(n_inputs: usize, n_pool: usize, n_outputs: usize, seeds: &SeedPath) -> Self {
        let mut rng = seeds.purpose("answers").rng();
        let mean = Array2::from_shape_fn((n_pool, n_outputs), |_| rng.random_range(-1.0..1.0));
        let variance = Array2::from_shape_fn((n_pool, n_outputs), |_| rng.random_range(0.0..0.1));
        let losses = mean.column(0).to_owned();
        let (members, features) = (Array3::zeros((0, n_pool, n_outputs)), Array2::zeros((0, COLUMNS)));
        Self { n_inputs, losses, moments: Moments { mean, variance }, members, features }
    }

    fn with_features(mut self, n_labelled: usize, seeds: &SeedPath) -> Self {
        let mut rng = seeds.purpose("features").rng();
        let (n_pool, n_outputs) = self.moments.mean.dim();
        let mut draw = || rng.random_range(-1.0..1.0);
        self.members = Array3::from_shape_simple_fn((10, n_pool, n_outputs), &mut draw);
        self.features =
            Array2::from_shape_fn((n_pool + n_labelled, COLUMNS), |(_, k)| draw() / ((k + 1) as f64).sqrt());
        self
    }
}

impl Surrogate for Ready {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }
    fn n_outputs(&self) -> usize {
        self.moments.mean.ncols()
    }
    fn mean(&self, _: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(self.moments.mean.clone())
    }
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        Some(self)
    }
    fn dropout(&self) -> Option<&dyn Dropout> {
        Some(self)
    }
    fn loss_head(&self) -> Option<&dyn LossHead> {
        Some(self)
    }
    fn committee(&self) -> Option<&dyn Committee> {
        Some(self)
    }
    fn features(&self) -> Option<&dyn Features> {
        Some(self)
    }
}

impl Committee for Ready {
    fn n_members(&self) -> usize {
        self.members.dim().0
    }
    fn members(&self, x: ArrayView2<'_, f64>, rows: usize, on: &mut OnChunk<'_>) -> Result<(), SurrogateError> {
        for first in (0..x.nrows()).step_by(rows.max(1)) {
            on(first, self.members.slice(s![.., first..(first + rows).min(x.nrows()), ..]));
        }
        Ok(())
    }
}

impl Features for Ready {
    fn features_at(&self, _: ArrayView2<'_, f64>, _: &FeatureSpec) -> Result<Array2<f64>, SurrogateError> {
        Ok(self.features.clone())
    }
}

impl Uncertainty for Ready {
    fn moments(&self, _: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        Ok(self.moments.clone())
    }
}

impl Dropout for Ready {
    fn n_passes(&self) -> usize {
        25
    }
    fn moments(&self, _: ArrayView2<'_, f64>, _: &SeedPath) -> Result<Moments, SurrogateError> {
        Ok(self.moments.clone())
    }
    fn mean(&self, _: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(self.moments.mean.clone())
    }
}

impl LossHead for Ready {
    fn predicted_loss(&self, _: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError> {
        Ok(self.losses.clone())
    }
}

fn propose(strategy: &dyn Strategy, labelled: &Labelled, pool: &Array2<f64>, model: &dyn Surrogate) -> usize {
    let space = Space::continuous_unit(pool.ncols());
    let step = Step::new(&space, labelled, pool.view(), Some(model), strategy.needs()).expect("finite points");
    let chosen = strategy.propose(&step, BATCH, &SeedPath::root(0)).expect("a batch");
    match chosen.queries {
        Queries::Picked(rows) => rows[0],
        Queries::Synthesised(points) => points.nrows(),
    }
}

fn label(oracle: &dyn Oracle, x: &Array2<f64>) -> Array2<f64> {
    let mut y = Array2::zeros((x.nrows(), oracle.n_outputs()));
    let mut keep = every(|row, answer| {
        y.row_mut(row).assign(&Array1::from_vec(answer.expect("robo answers everywhere").to_vec()));
    });
    oracle.label(x.view(), &Stop::new(), &mut keep).expect("points of the box");
    drop(keep);
    y
}

/// Every rule on `robo` at the last step (2 080 labels), pools of γ = 2, 8, 64.
fn robo(c: &mut Criterion) {
    let problem = dal_oracles::find("robo", &dal_core::Settings::default()).expect("robo is built in");
    let seeds = SeedPath::root(1);
    let space: &Space = problem.space();
    let x = space.sample(2080, &seeds.purpose("labelled"));
    let y = label(&**problem.oracle().unwrap(), &x);
    let mut group = c.benchmark_group("robo");
    group.sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let labelled = Labelled::with_initial(x.clone(), y.clone(), 80).expect("finite points");
    for n_pool in [80, 320, 2560] {
        let pool = space.sample(n_pool, &seeds.purpose("pool"));
        let model = Ready::new(pool.ncols(), n_pool, y.ncols(), &seeds).with_features(2080, &seeds);
        for card in catalogue().filter(|card| !card.needs().tangent) {
            let strategy = card.default_strategy();
            group.bench_function(BenchmarkId::new(card.id, n_pool), |b| {
                b.iter(|| black_box(propose(&*strategy, &labelled, &pool, &model)));
            });
        }
    }
    // The ensemble of the protocol after one epoch: gradients cost the same whatever it has learned.
    let hidden = problem.model().hidden.to_vec();
    let network = NetworkSpec::new(x.ncols(), y.ncols(), hidden, Some(BatchNormSpec::default()), Head::Linear);
    let training = TrainingSpec { n_members: 10, epochs: 1, ..TrainingSpec::default() };
    let learner = CpuLearner::new(network.expect("the published network"), training).expect("the published training");
    let emoc = find("emoc", &dal_core::Settings::default()).expect("built in").strategy;
    let job = FitJob { labelled: &labelled, needs: &emoc.needs(), seeds: seeds.purpose("fit") };
    let model = learner.fit_all(&[job], &Stop::new()).pop().expect("one job").expect("one epoch");
    group.sample_size(10);
    for n_pool in [80, 320] {
        let pool = space.sample(n_pool, &seeds.purpose("pool"));
        group.bench_function(BenchmarkId::new("emoc", n_pool), |b| {
            b.iter(|| black_box(propose(&*emoc, &labelled, &pool, &*model)));
        });
    }
    group.finish();
}

/// Rules of coordinates and predictions on pools of 10⁴ to 10⁶ points, 1 000 labelled, two outputs, four and fourteen
/// inputs.
fn pools(c: &mut Criterion) {
    let seeds = SeedPath::root(2);
    for (d, ids) in [
        (4, &["random", "gsx", "gsy", "gsxy", "qbc", "qbc-diversity", "qbc-diversity-density", "dacs"][..]),
        (14, &["gsx", "gsxy", "qbc-diversity"][..]),
    ] {
        let mut group = c.benchmark_group(format!("pool-d{d}"));
        group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
        let mut rng = seeds.purpose("points").rng();
        let mut draw = |n: usize, k: usize| Array2::from_shape_fn((n, k), |_| rng.random_range(-1.0..1.0));
        let labelled = Labelled::new(draw(1000, d), draw(1000, 2)).expect("finite points");
        for n_pool in [10_000, 100_000, 1_000_000] {
            let pool = draw(n_pool, d);
            let model = Ready::new(d, n_pool, 2, &seeds);
            for id in ids {
                let strategy = find(id, &dal_core::Settings::default()).expect("built in").strategy;
                group.bench_function(BenchmarkId::new(*id, n_pool), |b| {
                    b.iter(|| black_box(propose(&*strategy, &labelled, &pool, &model)));
                });
            }
        }
        group.finish();
    }
}

/// Transform and selection of the batch methods on features: 512 columns, 1 000 labelled points.
fn features(c: &mut Criterion) {
    let seeds = SeedPath::root(4);
    let mut rng = seeds.purpose("points").rng();
    let mut draw = |n: usize, k: usize| Array2::from_shape_fn((n, k), |_| rng.random_range(-1.0..1.0));
    let labelled = Labelled::new(draw(1000, 4), draw(1000, 2)).expect("finite points");
    let mut group = c.benchmark_group("features");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let pool = draw(10_000, 4);
    let model = Ready::new(4, 10_000, 2, &seeds).with_features(1000, &seeds);
    for id in ["lcmd-tp", "maxdist-tp", "kmeanspp-tp", "maxdet-p", "bait-f-p", "lcmd-members"] {
        let strategy = find(id, &dal_core::Settings::default()).expect("built in").strategy;
        group.bench_function(BenchmarkId::new(id, 10_000), |b| {
            b.iter(|| black_box(propose(&*strategy, &labelled, &pool, &model)));
        });
    }
    group.finish();
}

/// The only rule with a matrix of all pairs, at the largest pool of the paper and at one that still fits its budget.
fn clustering(c: &mut Criterion) {
    let seeds = SeedPath::root(3);
    let mut rng = seeds.purpose("points").rng();
    let mut draw = |n: usize, k: usize| Array2::from_shape_fn((n, k), |_| rng.random_range(-1.0..1.0));
    let labelled = Labelled::new(draw(80, 4), draw(80, 2)).expect("finite points");
    let strategy = find("cluster-variance", &dal_core::Settings::default()).expect("built in").strategy;
    let mut group = c.benchmark_group("clustering");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for n_pool in [2560, 10_000] {
        let pool = draw(n_pool, 4);
        let model = Ready::new(4, n_pool, 2, &seeds);
        group.bench_function(BenchmarkId::new("cluster-variance", n_pool), |b| {
            b.iter(|| black_box(propose(&*strategy, &labelled, &pool, &model)));
        });
    }
    group.finish();
}

criterion_group!(benches, robo, pools, features, clustering);
criterion_main!(benches);
