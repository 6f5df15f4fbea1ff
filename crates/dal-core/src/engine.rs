//! Who trains: an engine makes learners of a model description, and a list of engines is handed down by the binary.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use rand::RngExt;

use crate::model::{MlpEnsemble, ModelSpec, Shape};
use crate::{FitJob, Labelled, LearnError, Learner, Needs, SeedPath, SettingError, Stop, Surrogate, TrialSeeds};

/// A clock: seconds since some fixed moment. Libraries read none by themselves.
pub type Clock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// An engine with where and how it trains, as sweep files and command lines name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineChoice<'a> {
    /// `cpu`, `tch`, ...
    pub id: &'a str,
    /// `cpu` or `cuda:N`; `None`: the engine's default.
    pub device: Option<&'a str>,
    /// Of the matrix products in training: `f32`, `tf32` or `bf16`; `None`: f32.
    pub precision: Option<&'a str>,
    /// Vector instructions of the engine `cpu`: `avx512`, `avx2`, `neon` or `portable`; `None`: the fastest there are.
    pub platform: Option<&'a str>,
}

/// Makes learners of the model kinds that it knows.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Id, as sweep files name it.
    fn id(&self) -> &str;
    /// Where it trains, as sweep files name it; kept with a run's provenance.
    fn device(&self) -> String {
        "cpu".into()
    }
    /// A learner of such models for problems of this shape, for the thread that asks.
    ///
    /// # Errors
    /// A description that the engine cannot train; `key` names the part of it.
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError>;
    /// How many trials of a problem with such models are driven by one call of `run_trials`, at most; engines that
    /// train in lock step want many. Everything that a step trains is in memory at once.
    fn trials_together(&self, _model: &ModelSpec, _shape: Shape) -> usize {
        1
    }
    /// Worker threads where the user does not say, on a machine of so many processors.
    fn default_jobs(&self, n_cpus: usize) -> usize {
        n_cpus
    }
    /// Whether the engine can go on, asked after a trial failed: a device that was lost fails every later training, so
    /// the sweep ends there instead of recording failures to its end.
    ///
    /// # Errors
    /// Why it cannot; the reason for a person.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Opens an engine on a device and in a precision, with a clock to measure training with.
pub type OpenEngine = fn(&EngineChoice<'_>, &Clock) -> Result<Arc<dyn Engine>, SettingError>;

/// One line of the list of engines: which model kinds are trained under which engine id.
#[derive(Clone, Copy)]
pub struct EngineCard {
    /// The id that sweep files name.
    pub id: &'static str,
    /// The model kinds it trains, as [`ModelSpec::kind`] names them.
    pub kinds: &'static [&'static str],
    /// One line, for a person.
    pub title: &'static str,
    /// Opens it.
    pub open: OpenEngine,
}

impl fmt::Debug for EngineCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineCard").field("id", &self.id).field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Opens the engine that is chosen for models of a kind. Several cards may share an id: each trains its own kinds.
///
/// # Errors
/// An id or kind that no card has (key `engine`, `model.kind`), or a device, precision or platform that the engine
/// refuses (`device`, `precision`, `platform`).
pub fn open_engine(
    cards: &[EngineCard],
    choice: &EngineChoice<'_>,
    kind: &str,
    clock: &Clock,
) -> Result<Arc<dyn Engine>, SettingError> {
    let of_id: Vec<&EngineCard> = cards.iter().filter(|card| card.id == choice.id).collect();
    if of_id.is_empty() {
        let mut known: Vec<&str> = cards.iter().map(|card| card.id).collect();
        known.dedup();
        let reason = format!("there is no engine `{}`; there are: {}", choice.id, known.join(", "));
        return Err(SettingError::new("engine", reason).with_suggestion(choice.id, known));
    }
    match of_id.iter().find(|card| card.kinds.contains(&kind)) {
        Some(card) => (card.open)(choice, clock),
        None => {
            let known: Vec<&str> = of_id.iter().flat_map(|card| card.kinds.iter().copied()).collect();
            let reason = format!(
                "the engine `{}` trains no models of kind `{kind}`; it trains: {}",
                choice.id,
                known.join(", ")
            );
            Err(SettingError::new("model.kind", reason))
        }
    }
}

/// What training a model costs: seconds of one network and epoch, or of the whole training where the kind has none, as
/// `fixed + per_point · n`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Whatever the number of points.
    pub fixed: f64,
    /// For each point.
    pub per_point: f64,
    /// Seconds in which one network, or a model of a kind that has none, answers for one point.
    pub evaluation: f64,
}

impl Rate {
    /// Seconds of one pass over so many points.
    pub fn seconds(&self, n_points: f64) -> f64 {
        self.fixed + self.per_point * n_points
    }
}

/// One calibration goes on until it has taken this many seconds.
const ENOUGH: f64 = 0.04;
/// The most epochs of a calibration.
const MOST_EPOCHS: usize = 1 << 16;

/// Times trainings of a model on random data of the smallest and the largest number of points, `together` of them in
/// one call.
///
/// An ensemble is timed with ever more epochs until the clock has moved enough; alone, with one member. One that takes
/// long over few points is timed at fewer than the largest number, twice the smallest at least: seconds are linear in
/// the points, and looking must not ask for the memory that running needs. Another kind is trained once per size.
///
/// # Errors
/// A model that the engine refuses. Whether trainings converge is no matter here.
pub fn calibrate(
    engine: &dyn Engine,
    model: &ModelSpec,
    shape: Shape,
    sizes: [usize; 2],
    together: usize,
    clock: &Clock,
) -> Result<Rate, SettingError> {
    let large = sizes[0].max(sizes[1]).max(2);
    let small = sizes[0].min(sizes[1]).clamp(1, large);
    let (at_small, answer) = pass_seconds(engine, model, shape, small, together, clock)?;
    if small == large {
        return Ok(Rate { fixed: 0.0, per_point: at_small / small as f64, evaluation: answer });
    }
    let large = match model {
        ModelSpec::MlpEnsemble(_) => large.min(points_timed(small, at_small * together.max(1) as f64)),
        _ => large,
    };
    let (at_large, evaluation) = pass_seconds(engine, model, shape, large, together, clock)?;
    let at_small = at_small.min(at_large);
    let per_point = (at_large - at_small) / (large - small) as f64;
    Ok(Rate { fixed: (at_small - per_point * small as f64).max(0.0), per_point, evaluation })
}

/// Points of which a pass is expected to take one calibration's seconds, twice the smallest number at least.
fn points_timed(small: usize, seconds_at_small: f64) -> usize {
    (ENOUGH / seconds_at_small * small as f64).max(2.0 * small as f64) as usize
}

/// Seconds of one pass over `n` points, and of one network's answer for a point.
fn pass_seconds(
    engine: &dyn Engine,
    model: &ModelSpec,
    shape: Shape,
    n: usize,
    together: usize,
    clock: &Clock,
) -> Result<(f64, f64), SettingError> {
    let stream = SeedPath::root(0).purpose("calibration");
    let mut rng = stream.rng();
    let mut uniform = |columns| Array2::from_shape_fn((n, columns), |_| rng.random::<f64>() * 2.0 - 1.0);
    let (x, y) = (uniform(shape.n_inputs), uniform(shape.n_outputs));
    let labelled = Labelled::new(x, y).map_err(|error| SettingError::new("model", error.to_string()))?;
    let needs = Needs::default();
    let mut epochs = 1;
    loop {
        let timed = match model {
            // A batch costs hardly more than one of its members where launches are what takes the time.
            ModelSpec::MlpEnsemble(mlp) => {
                let n_members = if together > 1 { mlp.n_members() } else { 1 };
                ModelSpec::from(with_training(mlp, epochs, n_members))
            }
            other => other.clone(),
        };
        let learner = engine.learner(&timed, shape)?;
        let job = |k| FitJob { labelled: &labelled, needs: &needs, seeds: stream.index(k as u64) };
        let jobs: Vec<FitJob<'_>> = (0..together.max(1)).map(job).collect();
        let fit = || {
            let start = clock();
            let fits = learner.fit_all(&jobs, &Stop::new());
            (clock() - start, fits)
        };
        let (mut elapsed, fits) = fit();
        if elapsed >= ENOUGH || epochs >= MOST_EPOCHS || timed.as_mlp().is_none() {
            if timed.as_mlp().is_some() {
                // What else the machine does costs caches, never the other way round.
                elapsed = elapsed.min(fit().0);
            }
            let n_passes = (timed.n_passes() * jobs.len()) as f64;
            let n_networks = timed.as_mlp().map_or(1, MlpEnsemble::n_members);
            let model = fits.into_iter().find_map(Result::ok);
            let answer = model.map_or(0.0, |model| answer_seconds(&*model, labelled.x(), clock));
            return Ok((elapsed / n_passes, answer / n_networks as f64));
        }
        // A little more than enough, if epochs take as long as those just timed.
        let more = epochs as f64 * 1.2 * ENOUGH / elapsed.max(1e-9);
        epochs = (more.ceil() as usize).clamp(2 * epochs, 64 * epochs).min(MOST_EPOCHS);
    }
}

/// Seconds in which a model answers for one point.
fn answer_seconds(model: &dyn Surrogate, x: ArrayView2<'_, f64>, clock: &Clock) -> f64 {
    const MOST_CALLS: usize = 64;
    let start = clock();
    for calls in 1.. {
        let failed = model.mean(x).is_err();
        let elapsed = clock() - start;
        if failed || elapsed >= ENOUGH / 4.0 || calls == MOST_CALLS {
            return elapsed / (calls * x.nrows()) as f64;
        }
    }
    0.0
}

fn with_training(mlp: &MlpEnsemble, epochs: usize, n_members: usize) -> MlpEnsemble {
    let mut model = mlp.clone();
    model.training.epochs = epochs;
    model.training.n_members = n_members;
    model
}

/// Trains a model on two points, so that needs which engine or model cannot meet show up before the work begins: of an
/// ensemble one network of the same layers, a few units wide, for no epochs.
///
/// # Errors
/// What the engine cannot train or offer.
pub fn rehearse(engine: &dyn Engine, model: &ModelSpec, shape: Shape, needs: &Needs) -> Result<(), LearnError> {
    let other = |message: String| LearnError::Other { message };
    let narrow = match model {
        ModelSpec::MlpEnsemble(mlp) => {
            let mut narrow = with_training(mlp, 0, 1);
            narrow.hidden = narrow.hidden.iter().map(|&width| width.min(4)).collect();
            ModelSpec::from(narrow)
        }
        whole => whole.clone(),
    };
    let learner = engine.learner(&narrow, shape).map_err(|error| other(error.to_string()))?;
    let points = |n_columns| Array2::from_shape_fn((2, n_columns), |(row, _)| row as f64 - 0.5);
    let labelled =
        Labelled::new(points(shape.n_inputs), points(shape.n_outputs)).map_err(|error| other(error.to_string()))?;
    let seeds = TrialSeeds::new("rehearsal", 0).fit(0);
    let mut fits = learner.fit_all(&[FitJob { labelled: &labelled, needs, seeds }], &Stop::new());
    fits.pop().unwrap_or_else(|| Err(other("the engine gave no answer".into()))).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SurrogateError;
    use std::sync::Mutex;

    /// Predicts nothing; moves the test's clock by 2 µs for each of so many networks and each point.
    struct Blank(Shape, Arc<Mutex<f64>>, usize);

    impl Surrogate for Blank {
        fn n_inputs(&self) -> usize {
            self.0.n_inputs
        }
        fn n_outputs(&self) -> usize {
            self.0.n_outputs
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            *self.1.lock().unwrap() += 2e-6 * (self.2 * x.nrows()) as f64;
            Ok(Array2::zeros((x.nrows(), self.0.n_outputs)))
        }
    }

    /// Takes 1 ms and 10 µs a point for each network and epoch, and offers no dropout.
    #[derive(Debug)]
    struct Slow {
        now: Arc<Mutex<f64>>,
    }

    struct SlowLearner {
        now: Arc<Mutex<f64>>,
        n_passes: usize,
        n_networks: usize,
        shape: Shape,
    }

    impl Learner for SlowLearner {
        fn platform(&self) -> String {
            "slow".into()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            let fit = |job: &FitJob<'_>| {
                *self.now.lock().unwrap() += self.n_passes as f64 * (1e-3 + 1e-5 * job.labelled.len() as f64);
                if job.needs.dropout.is_some() {
                    return Err(LearnError::Unsupported { message: "no dropout".into() });
                }
                Ok(Box::new(Blank(self.shape, Arc::clone(&self.now), self.n_networks)) as Box<dyn Surrogate>)
            };
            jobs.iter().map(fit).collect()
        }
    }

    impl Engine for Slow {
        fn id(&self) -> &str {
            "slow"
        }
        fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
            let n_networks = model.as_mlp().map_or(1, MlpEnsemble::n_members);
            Ok(Box::new(SlowLearner { now: Arc::clone(&self.now), n_passes: model.n_passes(), n_networks, shape }))
        }
    }

    const SHAPE: Shape = Shape { n_inputs: 2, n_outputs: 1 };

    #[test]
    fn a_calibration_finds_the_line_that_costs_lie_on() {
        let now = Arc::new(Mutex::new(0.0));
        let engine = Slow { now: Arc::clone(&now) };
        let clock: Clock = Arc::new(move || *now.lock().unwrap());
        let other = ModelSpec::Other { kind: "slow".into(), settings: Default::default() };
        for (model, together) in [(ModelSpec::default(), 1), (ModelSpec::default(), 5), (other, 3)] {
            let rate = calibrate(&engine, &model, SHAPE, [300, 100], together, &clock).unwrap();
            assert!((rate.fixed / 1e-3 - 1.0).abs() < 1e-6 && (rate.per_point / 1e-5 - 1.0).abs() < 1e-6, "{rate:?}");
            assert!((rate.evaluation / 2e-6 - 1.0).abs() < 1e-6, "{rate:?}");
            let one_size = calibrate(&engine, &model, SHAPE, [100, 100], together, &clock).unwrap();
            assert!((one_size.seconds(100.0) / 2e-3 - 1.0).abs() < 1e-6 && one_size.fixed == 0.0, "{one_size:?}");
        }
    }

    #[test]
    fn a_rehearsal_asks_for_what_will_be_asked_and_trains_no_epoch() {
        let engine = Slow { now: Arc::default() };
        let dropout = Needs { dropout: Some(Default::default()), ..Needs::default() };
        assert_eq!(rehearse(&engine, &ModelSpec::default(), SHAPE, &Needs::default()), Ok(()));
        assert!(matches!(
            rehearse(&engine, &ModelSpec::default(), SHAPE, &dropout),
            Err(LearnError::Unsupported { .. })
        ));
        assert_eq!(*engine.now.lock().unwrap(), 0.0);
    }

    #[test]
    fn an_engine_is_found_by_id_and_kind() {
        fn open(_: &EngineChoice<'_>, _: &Clock) -> Result<Arc<dyn Engine>, SettingError> {
            Ok(Arc::new(Slow { now: Arc::default() }))
        }
        let card = |id, kinds| EngineCard { id, kinds, title: "", open };
        let cards = [card("slow", &["a"]), card("slow", &["b"]), card("fast", &["a"])];
        let clock: Clock = Arc::new(|| 0.0);
        let found = |id, kind| {
            open_engine(&cards, &EngineChoice { id, device: None, precision: None, platform: None }, kind, &clock)
        };
        assert!(found("slow", "a").is_ok() && found("slow", "b").is_ok());
        let error = found("slwo", "a").unwrap_err();
        assert_eq!((error.key.as_str(), error.hint.as_deref()), ("engine", Some("did you mean `slow`?")));
        assert!(error.reason.ends_with("there are: slow, fast"), "{error}");
        let error = found("slow", "c").unwrap_err();
        assert!(error.key == "model.kind" && error.reason.ends_with("it trains: a, b"), "{error}");
    }
}
