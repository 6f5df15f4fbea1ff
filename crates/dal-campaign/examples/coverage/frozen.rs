//! Frozen models: rounds drawn again and again from one model, and campaigns' stopping rule on them.

use std::path::Path;

use dal_campaign::CampaignFile;
use dal_campaign::estimate::POOLED_ROUNDS;
use dal_campaign::stopping::{FIRST_LOOK, alpha};
use dal_core::model::{MlpEnsemble, TrainingSpec};
use dal_core::{Labelled, Needs, SeedPath, Surrogate};
use dal_eval::{LossTerms, draw_probabilities, lure_weights, median};
use dal_nn::{CpuLearner, CpuSurrogate};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;

use crate::{Outcome, Rule, Sizes, coded, keep, label, npy, problem, share};

/// Labels of the models.
pub const LABELS: [usize; 3] = [80, 280, 880];
/// Models of each size, at most.
pub const SEEDS: usize = 3;
/// Sizes of a round.
pub const DRAWS: [usize; 3] = [10, 20, 40];
/// Candidates of a round.
const CANDIDATES: usize = 4096;
/// Points that the truth is taken over.
const TRUTH: usize = 20_000;
/// Rows that are labelled at one time.
const CHUNK: usize = 2_000;
/// The uniform share of a draw (`power-qbc`'s default).
const UNIFORM: f64 = 0.25;
/// Replays of the stopping rule a model, the size of their rounds, and the most rounds.
const REPLAYS: (usize, usize, usize) = (7, 20, 20);
/// Numbers that are kept of a round: estimate, lower and upper end, drawn by the score and uniformly.
pub const KEPT: usize = 6;

/// The power of the rule by which campaigns choose where they name none.
fn power_of_default() -> Outcome<f64> {
    let file = CampaignFile::new("problem.toml", 1);
    let beta = file.strategy_settings.get("beta").and_then(|beta| beta.as_f64());
    Ok(beta.ok_or("the default rule has no power")?)
}

/// A model's score and loss at points of a stream.
#[derive(Default)]
struct Points {
    score: Vec<f64>,
    loss: Vec<f64>,
}

/// A model by what is seen of it.
struct Model {
    n: usize,
    seed: usize,
    truth: Points,
    pool: Points,
}

/// A model with its standardisation of the outputs.
struct Trained {
    surrogate: CpuSurrogate,
    mean: Array1<f64>,
    sd: Array1<f64>,
}

/// Interval ends and the estimate of one round.
#[derive(Clone, Copy)]
struct Found {
    mean: f64,
    ends: Option<(f64, f64)>,
}

fn root(id: &str, sizes: &Sizes) -> SeedPath {
    SeedPath::root(sizes.seed as u64).purpose("coverage").purpose(id)
}

/// Trains and labels alone.
pub fn look(id: &str, dir: &Path, sizes: &Sizes) -> Outcome<()> {
    models(id, dir, sizes, &root(id, sizes)).map(drop)
}

/// A model's tables are written when it is done: a second call goes on with the models that are missing.
pub fn measure(id: &str, dir: &Path, sizes: &Sizes) -> Outcome<()> {
    let name = |part: &str, n: usize, seed: usize, end: &str| dir.join(format!("{part}-{id}-{n}-{seed}.{end}"));
    let done = |n: usize, seed: usize| name("frozen", n, seed, "csv").exists();
    if LABELS.iter().all(|&n| (0..sizes.seeds).all(|seed| done(n, seed))) {
        return Ok(());
    }
    let seeds = root(id, sizes);
    let mut models = models(id, dir, sizes, &seeds)?;
    if sizes.rule == Rule::Default {
        let power = power_of_default()?;
        models.iter_mut().flat_map(|model| &mut model.pool.score).for_each(|score| *score = score.powf(power));
    }
    // One model of each size before the second of any.
    models.sort_by_key(|model| (model.seed, model.n));
    for model in models.iter().filter(|model| !done(model.n, model.seed)) {
        let (mut raw, mut csv) = (Vec::new(), String::from(HEADER));
        let truth = model.truth.loss.iter().sum::<f64>() / TRUTH as f64;
        let seeds = seeds.purpose("rounds").index(model.n as u64).index(model.seed as u64);
        let rounds = rounds(model, &seeds, sizes.rounds)?;
        for (d, draws) in DRAWS.iter().enumerate() {
            csv += &line(id, model, *draws, truth, &rounds[d]);
            for (by_score, uniform, _) in &rounds[d].rounds {
                for found in [by_score, uniform] {
                    let ends = [Some(found.mean), found.ends.map(|ends| ends.0), found.ends.map(|ends| ends.1)];
                    raw.extend(ends.map(|value| coded(value, truth)));
                }
            }
        }
        let mut stops = String::from("problem,labels,seed,replay,fired_above_target,fired_at_half\n");
        // Rounds are drawn from the pool: to a replay its mean is the true error.
        let truth = model.pool.loss.iter().sum::<f64>() / model.pool.loss.len() as f64;
        for replay in 0..REPLAYS.0 {
            let seeds = seeds.purpose("replay").index(replay as u64);
            let above = fires(model, truth / (1.1 * 1.1), REPLAYS.2, &seeds)?;
            let half = fires(model, truth * 4.0, FIRST_LOOK + 2, &seeds.purpose("half"))?;
            let say = |round: Option<usize>| round.map_or(String::new(), |round| round.to_string());
            stops += &format!("{id},{},{},{replay},{},{}\n", model.n, model.seed, say(above), say(half));
        }
        let shape = [DRAWS.len(), sizes.rounds, KEPT];
        keep(&name("rounds", model.n, model.seed, "npy"), &npy(&shape, &raw))?;
        keep(&name("stopping", model.n, model.seed, "csv"), stops.as_bytes())?;
        keep(&name("frozen", model.n, model.seed, "csv"), csv.as_bytes())?;
        eprintln!("{id}: model {} of {} labels done", model.seed, model.n);
    }
    Ok(())
}

/// The models' scores and losses, which are kept: trained and labelled once.
fn models(id: &str, dir: &Path, sizes: &Sizes, seeds: &SeedPath) -> Outcome<Vec<Model>> {
    let kept = dir.join("looks").join(format!("{id}-{}-{}-{}.f32", sizes.pool, sizes.seeds, sizes.seed));
    let mut models: Vec<Model> = LABELS
        .iter()
        .flat_map(|&n| {
            (0..sizes.seeds).map(move |seed| Model { n, seed, truth: Points::default(), pool: Points::default() })
        })
        .collect();
    if !kept.exists() {
        let problem = problem(id)?;
        let oracle = problem.oracle()?.clone();
        let of = |model: &Model| trained(&problem, seeds, model.n, model.seed);
        let trained = models.iter().map(of).collect::<Outcome<Vec<Trained>>>()?;
        eprintln!("{id}: {} models trained", trained.len());
        let mut looks: Vec<[Vec<f32>; 2]> = vec![[Vec::new(), Vec::new()]; trained.len()];
        for (stream, n) in [("truth", TRUTH), ("pool", sizes.pool)] {
            for (block, first) in (0..n).step_by(CHUNK).enumerate() {
                let x = problem.space().sample(CHUNK.min(n - first), &seeds.purpose(stream).index(block as u64));
                let y = label(&*oracle, &x)?;
                for (model, look) in trained.iter().zip(&mut looks) {
                    let (score, loss) = model.look(x.view(), y.view())?;
                    look[0].extend(score.into_iter().map(|v| v as f32));
                    look[1].extend(loss.into_iter().map(|v| v as f32));
                }
            }
            eprintln!("{id}: {n} points of the {stream} labelled");
        }
        let bytes = looks.iter().flatten().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        keep(&kept, &bytes)?;
    }
    let bytes = std::fs::read(&kept)?;
    let mut values = bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    if bytes.len() != 8 * models.len() * (TRUTH + sizes.pool) {
        return Err(format!("{}: not the looks of these models; remove it", kept.display()).into());
    }
    for model in &mut models {
        for column in 0..2 {
            let mut of = |points: &mut Points, n: usize| {
                let part = values.by_ref().take(n).collect();
                if column == 0 { points.score = part } else { points.loss = part }
            };
            of(&mut model.truth, TRUTH);
            of(&mut model.pool, sizes.pool);
        }
    }
    Ok(models)
}

/// A small ensemble on standardised outputs of uniform points.
fn trained(problem: &dal_oracles::Problem, seeds: &SeedPath, n: usize, seed: usize) -> Outcome<Trained> {
    let seeds = seeds.purpose("model").index(n as u64).index(seed as u64);
    let x = problem.space().sample(n, &seeds.purpose("labels"));
    let mut y = label(&**problem.oracle()?, &x)?;
    let mean = y.mean_axis(Axis(0)).ok_or("no labels")?;
    let sd = y.std_axis(Axis(0), 0.0).mapv(|sd| if sd > 0.0 { sd } else { 1.0 });
    y = (y - &mean) / &sd;
    let small = MlpEnsemble {
        hidden: vec![32, 32].into(),
        batch_norm: None,
        training: TrainingSpec { n_members: 5, learning_rate: 1e-2, weight_decay: 1e-5, ..TrainingSpec::DEFAULT },
        ..MlpEnsemble::DEFAULT
    };
    let learner = CpuLearner::new(small.network(problem.shape())?, small.training.clone())?.with_threads(1);
    let needs = Needs { mean: true, uncertainty: true, ..Needs::default() };
    let surrogate = learner.fit(&Labelled::new(x, y)?, &needs, &seeds.purpose("fit"))?;
    Ok(Trained { surrogate, mean, sd })
}

impl Trained {
    /// Variance and squared error, each a mean over standardised outputs.
    fn look(&self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Outcome<(Vec<f64>, Vec<f64>)> {
        let found = self.surrogate.uncertainty().ok_or("a model without members")?.moments(x)?;
        let z: Array2<f64> = (&y - &self.mean) / &self.sd;
        let mean = |rows: Array2<f64>| -> Vec<f64> { rows.mean_axis(Axis(1)).map_or(Vec::new(), |m| m.to_vec()) };
        Ok((mean(found.variance), mean((found.mean - z).mapv(|d| d * d))))
    }
}

impl Model {
    /// Candidates of a round, and `n` of them drawn: losses with weights for every smaller round, drawn by the score
    /// and uniformly.
    fn round(&self, n: usize, seeds: &SeedPath) -> Outcome<(Drawn, Vec<f64>)> {
        let mut rng = seeds.rng();
        let rows: Vec<usize> = (0..CANDIDATES).map(|_| rng.random_range(0..self.pool.loss.len())).collect();
        let score: Vec<f64> = rows.iter().map(|&row| self.pool.score[row]).collect();
        let total: f64 = score.iter().sum();
        let weights: Vec<f64> =
            score.iter().map(|s| (1.0 - UNIFORM) * s / total + UNIFORM / CANDIDATES as f64).collect();
        let mut keys: Vec<(f64, usize)> =
            weights.iter().enumerate().map(|(i, w)| (w.ln() - (-unit(&mut rng).ln()).ln(), i)).collect();
        keys.select_nth_unstable_by(n - 1, |a, b| b.0.total_cmp(&a.0));
        keys.truncate(n);
        keys.sort_by(|a, b| b.0.total_cmp(&a.0));
        let picks: Vec<usize> = keys.into_iter().map(|(_, i)| i).collect();
        let q = draw_probabilities(&weights, &picks)?;
        let losses = picks.iter().map(|&i| self.pool.loss[rows[i]]).collect();
        // Candidates stand in random order, so that the first ones are a uniform draw.
        let uniform = rows[..n].iter().map(|&row| self.pool.loss[row]).collect();
        Ok((Drawn { q, losses }, uniform))
    }
}

/// Draws of a round in order.
struct Drawn {
    q: Vec<f64>,
    losses: Vec<f64>,
}

impl Drawn {
    /// Weights and losses of a round of the first `n`: a draw of more begins with one of fewer.
    fn first(&self, n: usize) -> Outcome<(Vec<f64>, Vec<f64>)> {
        Ok((lure_weights(&self.q[..n], CANDIDATES)?, self.losses[..n].to_vec()))
    }
}

fn unit(rng: &mut impl RngExt) -> f64 {
    ((rng.random::<u64>() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Rounds of one size: by the score, uniform, and by the score the last five together where these are whole.
struct Rounds {
    rounds: Vec<(Found, Found, Option<Found>)>,
}

fn found(weights: &[f64], losses: &[f64], seed: u64) -> Outcome<Found> {
    let terms = LossTerms::weighted(weights, losses, Some(CANDIDATES))?;
    let ends = terms.interval(0.9, seed).ok().map(|interval| (interval.lower, interval.upper));
    Ok(Found { mean: terms.mean(), ends })
}

fn rounds(model: &Model, seeds: &SeedPath, n: usize) -> Outcome<Vec<Rounds>> {
    let mut all: Vec<Rounds> = DRAWS.iter().map(|_| Rounds { rounds: Vec::new() }).collect();
    let mut last: Vec<Vec<(Vec<f64>, Vec<f64>)>> = vec![Vec::new(); DRAWS.len()];
    for round in 0..n {
        let (drawn, uniform) = model.round(DRAWS[DRAWS.len() - 1], &seeds.index(round as u64))?;
        for (d, &draws) in DRAWS.iter().enumerate() {
            let (weights, losses) = drawn.first(draws)?;
            let by_score = found(&weights, &losses, round as u64)?;
            let plain = found(&vec![1.0; draws], &uniform[..draws], round as u64)?;
            last[d].push((weights, losses));
            let five = match (round + 1) % POOLED_ROUNDS {
                0 => {
                    let (weights, losses) = pooled(&last[d]);
                    last[d].clear();
                    Some(found(&weights, &losses, round as u64)?)
                }
                _ => None,
            };
            all[d].rounds.push((by_score, plain, five));
        }
    }
    Ok(all)
}

fn pooled(rounds: &[(Vec<f64>, Vec<f64>)]) -> (Vec<f64>, Vec<f64>) {
    let weights = rounds.iter().flat_map(|(weights, _)| weights.iter().copied()).collect();
    (weights, rounds.iter().flat_map(|(_, losses)| losses.iter().copied()).collect())
}

/// The round at which the rule would end a campaign whose model stays what it is, with this target of the mean square.
fn fires(model: &Model, target: f64, most: usize, seeds: &SeedPath) -> Outcome<Option<usize>> {
    let mut drawn = Vec::new();
    for round in 1..=most {
        drawn.push(model.round(REPLAYS.1, &seeds.index(round as u64))?.0.first(REPLAYS.1)?);
        if round < FIRST_LOOK {
            continue;
        }
        let (weights, losses) = pooled(&drawn[drawn.len().saturating_sub(POOLED_ROUNDS)..]);
        let terms = LossTerms::weighted(&weights, &losses, Some(CANDIDATES))?;
        // A limit lies above its estimate: resamples only where it could fire.
        if terms.mean() > target {
            continue;
        }
        let limit = terms.upper_limit(alpha(round + 1 - FIRST_LOOK), round as u64);
        if limit.is_ok_and(|limit| limit <= target) {
            return Ok(Some(round));
        }
    }
    Ok(None)
}

const HEADER: &str = "problem,labels,seed,draws,rounds,truth,truth_se,estimate,estimate_se,off_by_se,upper_holds,\
                      interval_holds,five_hold,uniform_upper_holds,uniform_interval_holds,half_width,uniform_half_width,\
                      pool,off_pool_by_se,pool_upper_holds,pool_interval_holds\n";

fn line(id: &str, model: &Model, draws: usize, truth: f64, rounds: &Rounds) -> String {
    let n = rounds.rounds.len() as f64;
    let variance = |losses: &[f64]| {
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        losses.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>() / losses.len() as f64
    };
    let truth_se = (variance(&model.truth.loss) / TRUTH as f64).sqrt();
    let means: Vec<f64> = rounds.rounds.iter().map(|(by_score, ..)| by_score.mean).collect();
    let estimate = means.iter().sum::<f64>() / n;
    // Rounds share the points that candidates are taken from, which are a sample of the domain themselves.
    let of_pool = variance(&model.pool.loss) / model.pool.loss.len() as f64;
    let estimate_se = (variance(&means) / n + of_pool).sqrt();
    let pool = model.pool.loss.iter().sum::<f64>() / model.pool.loss.len() as f64;
    // What rounds are drawn from: here nothing is uncertain but the rounds.
    let off_pool = (estimate - pool) / (variance(&means) / n).sqrt();
    let off = (estimate - truth) / (estimate_se * estimate_se + truth_se * truth_se).sqrt();
    // A round without an interval is one that does not hold.
    let upper_of = |truth: f64| move |found: &Found| found.ends.is_some_and(|(_, upper)| truth <= upper);
    let both_of =
        |truth: f64| move |found: &Found| found.ends.is_some_and(|(lower, upper)| (lower..=upper).contains(&truth));
    let (upper, both) = (upper_of(truth), both_of(truth));
    let half = |found: &Found| found.ends.map(|(lower, upper)| (upper.sqrt() - lower.sqrt()) / 2.0);
    let middle = |widths: Vec<f64>| median(&widths).unwrap_or(f64::NAN);
    let (by_score, uniform) = (rounds.rounds.iter().map(|r| &r.0), rounds.rounds.iter().map(|r| &r.1));
    let five = rounds.rounds.iter().filter_map(|r| r.2.as_ref());
    format!(
        "{id},{},{},{draws},{n},{truth:.6e},{truth_se:.3e},{estimate:.6e},{estimate_se:.3e},{off:.3},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4e},{:.4e},{pool:.6e},{off_pool:.3},{:.4},{:.4}\n",
        model.n,
        model.seed,
        share(by_score.clone().map(upper)),
        share(by_score.clone().map(both)),
        share(five.map(both)),
        share(uniform.clone().map(upper)),
        share(uniform.clone().map(both)),
        middle(by_score.clone().filter_map(half).collect()),
        middle(uniform.filter_map(half).collect()),
        share(by_score.clone().map(upper_of(pool))),
        share(by_score.map(both_of(pool))),
    )
}
