//! The selections against their definitions, nothing carried from one pick to the next, and against those of another
//! program.

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate, s};
use proptest::prelude::*;
use rand::RngExt;

use dal_core::SeedPath;
use dal_geom::Cholesky;

use super::Transform;
use super::centres::{ByDistance, Nearest};
use super::points::{NOISE, Points};
use super::variance::{Chosen, bait, epig, maxdet};

/// The covariance of rows of `a` and of `b` given noisy observations at `given`, from a factorisation of the kernel's
/// matrix.
fn covariance(a: &Array2<f64>, b: &Array2<f64>, given: &Array2<f64>) -> Array2<f64> {
    let mut gram = given.dot(&given.t());
    gram.diag_mut().mapv_inplace(|v| v + NOISE);
    let factor = Cholesky::new("the twin's matrix", gram.view()).unwrap();
    let white = |rows: &Array2<f64>| {
        let mut rows = rows.dot(&given.t());
        factor.whiten(&mut rows).unwrap();
        rows
    };
    a.dot(&b.t()) - white(a).dot(&white(b).t())
}

fn given(points: &Points, picked: &[usize]) -> Array2<f64> {
    concatenate![Axis(0), points.labelled, points.pool.select(Axis(0), picked)]
}

/// The scores of every pool point at one pick, by the definition.
type Scores = fn(&Points, &Array2<f64>, &Array2<f64>) -> Array1<f64>;

fn variances(a: &Array2<f64>, given: &Array2<f64>) -> Array1<f64> {
    covariance(a, a, given).diag().to_owned()
}

fn maxdet_scores(points: &Points, _: &Array2<f64>, given: &Array2<f64>) -> Array1<f64> {
    variances(&points.pool, given)
}

fn bait_scores(points: &Points, target: &Array2<f64>, given: &Array2<f64>) -> Array1<f64> {
    let own = variances(&points.pool, given) + NOISE;
    covariance(&points.pool, target, given).mapv(|k| k * k).sum_axis(Axis(1)) / own
}

fn epig_scores(points: &Points, target: &Array2<f64>, given: &Array2<f64>) -> Array1<f64> {
    let (own, of_target) = (variances(&points.pool, given) + NOISE, variances(target, given) + NOISE);
    let squares = covariance(&points.pool, target, given).mapv(|k| k * k);
    let rows = squares.outer_iter().zip(&own);
    rows.map(|(row, own)| {
        let one = |(k, t): (&f64, &f64)| -0.5 * (1.0 - k / (own * t)).ln();
        row.iter().zip(&of_target).map(one).sum::<f64>() / of_target.len() as f64
    })
    .collect()
}

/// Every own pick is the best by the definition and has its score, within rounding of a matrix that noise of 1e-6
/// conditions.
fn check_by_definition(points: &Points, target: &Array2<f64>, chosen: &Chosen, scores: Scores) -> Result<(), String> {
    for m in 0..chosen.n_own {
        let known = given(points, &chosen.picked[..m]);
        // The twin subtracts covariances of size 1 from each other: near the noise its own digits are gone.
        if variances(&points.pool, &known).iter().all(|&v| v < 1e-2) {
            break;
        }
        let all = scores(points, target, &known);
        let score = all[chosen.picked[m]];
        let left = (0..all.len()).filter(|i| !chosen.picked[..m].contains(i));
        let best = left.map(|i| all[i]).fold(f64::NEG_INFINITY, f64::max);
        let slack = 1e-7 * best.abs().max(NOISE);
        if (score - best).abs() > slack || (score - chosen.picked_scores[m]).abs() > slack {
            return Err(format!("pick {m}: {score}, told {}, best {best}", chosen.picked_scores[m]));
        }
        if m == 0 && (&all - &Array1::from(chosen.scores.clone())).iter().any(|d| d.abs() > slack) {
            return Err("scores before the first pick".into());
        }
    }
    Ok(())
}

fn squared(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The next pick by distances, from every point's distance to every centre.
fn by_distance(rule: ByDistance, pool: &Array2<f64>, centres: &Array2<f64>, picked: &[usize], at: f64) -> (usize, f64) {
    let known: Vec<_> = centres.outer_iter().chain(picked.iter().map(|&i| pool.row(i))).collect();
    let nearest: Vec<(f64, usize)> = pool
        .outer_iter()
        .map(|x| {
            let gaps = known.iter().enumerate().map(|(c, &centre)| (squared(x, centre), c));
            gaps.reduce(|a, b| if b.0 < a.0 { b } else { a }).unwrap_or((x.dot(&x), 0))
        })
        .collect();
    let left: Vec<usize> = (0..pool.nrows()).filter(|i| !picked.contains(i)).collect();
    let farthest = |rows: &[usize]| rows.iter().copied().reduce(|a, b| if nearest[b].0 > nearest[a].0 { b } else { a });
    let pick = match rule {
        ByDistance::Farthest => farthest(&left),
        ByDistance::LargestCluster => {
            let weight = |c: usize| left.iter().filter(|&&i| nearest[i].1 == c).map(|&i| nearest[i].0).sum::<f64>();
            let weights: Vec<f64> = (0..known.len().max(1)).map(weight).collect();
            let heaviest = (0..weights.len()).reduce(|a, b| if weights[b] > weights[a] { b } else { a }).unwrap();
            let of: Vec<usize> =
                left.iter().copied().filter(|&i| weights[heaviest] == 0.0 || nearest[i].1 == heaviest).collect();
            farthest(&of)
        }
        ByDistance::Drawn => {
            let total: f64 = left.iter().map(|&i| nearest[i].0).sum();
            let mut sum = 0.0;
            left.iter().copied().find(|&i| {
                sum += nearest[i].0;
                sum > at * total
            })
        }
    };
    let pick = pick.unwrap();
    (pick, nearest[pick].0.sqrt())
}

fn random(n: [usize; 3], p: usize, seed: u64) -> Points {
    let mut rng = SeedPath::root(seed).rng();
    let mut draw = |rows: usize| Array2::from_shape_simple_fn((rows, p), || rng.random_range(-1.0..1.0));
    Points { pool: draw(n[0]), labelled: draw(n[1]), domain: draw(n[2]), rank: p, used_up: 0.0 }
}

const RULES: [ByDistance; 3] = [ByDistance::LargestCluster, ByDistance::Farthest, ByDistance::Drawn];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn selections_by_distance_are_their_definition(
        n in 1_usize..60, l in 0_usize..9, p in 1_usize..90, copies: bool, part in 1_usize..=4, seed: u64,
    ) {
        let mut points = random([n, l, 0], p, seed);
        if copies && l > 0 {
            for i in (0..n).step_by(2) {
                let original = points.labelled.row(i % l).to_owned();
                points.pool.row_mut(i).assign(&original);
            }
        }
        let n_picks = (n * part).div_ceil(4);
        for rule in RULES {
            // Of copies alone the draw is uniform, which the definition leaves open.
            if rule == ByDistance::Drawn && copies {
                continue;
            }
            let mut draw = 0.0;
            let draws: Vec<f64> = (0..n_picks).map(|_| { draw = (draw + 0.618) % 1.0; draw }).collect();
            let mut at = draws.iter().copied();
            let nearest = Nearest::to(points.pool.view(), points.labelled.view());
            let (picked, scores) = nearest.pick(rule, n_picks, &mut || at.next().unwrap());
            prop_assert_eq!(picked.len(), n_picks);
            for m in 0..n_picks {
                let (due, score) = by_distance(rule, &points.pool, &points.labelled, &picked[..m], draws[m]);
                prop_assert!(
                    picked[m] == due || (scores[m] - score).abs() <= 1e-9 * score, "{rule:?} {m}: {} {due}", picked[m]
                );
                prop_assert!((scores[m] - score).abs() <= 1e-9 * (1.0 + score));
            }
        }
    }

    #[test]
    fn selections_by_covariance_are_their_definition(
        n in 1_usize..40, l in 1_usize..8, p in 1_usize..24, seed: u64,
    ) {
        let before = random([n, l, 11], p, seed);
        let mut after = random([n, l, 11], p, seed);
        after.transform(Transform::Posterior).unwrap();
        let n_picks = n.min(p + 2);
        let everything = concatenate![Axis(0), before.pool, before.labelled];
        let rules: [(Chosen, &Array2<f64>, Scores); 5] = [
            (maxdet(&after, n_picks), &everything, maxdet_scores),
            (bait(&after, false, n_picks), &everything, bait_scores),
            (bait(&after, true, n_picks), &before.domain, bait_scores),
            (epig(&after, false, n_picks), &everything, epig_scores),
            (epig(&after, true, n_picks), &before.domain, epig_scores),
        ];
        for (k, (chosen, target, scores)) in rules.into_iter().enumerate() {
            prop_assert_eq!(chosen.picked.len(), n_picks);
            let outcome = check_by_definition(&before, target, &chosen, scores);
            prop_assert!(outcome.is_ok(), "rule {k}: {}", outcome.unwrap_err());
        }
    }
}

/// Row i: `sin((i + 1)(k + 2) 0.37 + 0.11 k²) (1 + (i k mod 3) / 4)`, k over the columns.
fn by_formula(first: usize, n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, 16), |(i, k)| {
        let (i, f) = (first + i, k as f64);
        ((i as f64 + 1.0) * (f + 2.0) * 0.37 + f * f * 0.11).sin() * (1.0 + (i * k % 3) as f64 / 4.0)
    })
}

/// Picks and scores that `fixtures/bmdal/bmdal.py` worked out with 40 digits.
#[test]
fn batches_are_those_of_another_program() {
    let points = |transform| {
        let labelled = by_formula(1000, 6);
        let size = (labelled.mapv(|v| v * v).sum() / 6.0).sqrt();
        let pool = by_formula(0, 36) / size;
        let mut points =
            Points { pool, labelled: labelled / size, domain: by_formula(2000, 9) / size, rank: 16, used_up: 0.0 };
        points.transform(transform).unwrap();
        points
    };
    let golden: Vec<Vec<&str>> =
        dal_fixtures::BMDAL_GOLDEN.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut n_batches = 0;
    for batch in golden.chunks(7) {
        let (selection, transform) = (batch[0][0], batch[0][1]);
        let transform = if transform == "centres" { Transform::Centres } else { Transform::Posterior };
        let points = points(transform);
        let distance = |rule| {
            let nearest = match transform {
                Transform::Centres => Nearest::to(points.pool.view(), points.labelled.view()),
                Transform::Posterior => Nearest::none(points.pool.view()),
            };
            let mut m = 0.0;
            nearest.pick(rule, 7, &mut || {
                m += 1.0;
                (0.618 * m) % 1.0
            })
        };
        let own = |chosen: Chosen| (chosen.picked, chosen.picked_scores);
        let (picked, scores) = match selection {
            "lcmd" => distance(ByDistance::LargestCluster),
            "maxdist" => distance(ByDistance::Farthest),
            "kmeanspp" => distance(ByDistance::Drawn),
            "maxdet" => own(maxdet(&points, 7)),
            "bait-variance-pool+labelled" => own(bait(&points, false, 7)),
            "bait-variance-domain" => own(bait(&points, true, 7)),
            "bait-epig-pool+labelled" => own(epig(&points, false, 7)),
            "bait-epig-domain" => own(epig(&points, true, 7)),
            other => panic!("the fixture names {other}"),
        };
        for (m, line) in batch.iter().enumerate() {
            let (row, score): (usize, f64) = (line[3].parse().unwrap(), line[4].parse().unwrap());
            assert_eq!(picked[m], row, "{selection} {transform:?}, pick {m}");
            assert!((scores[m] - score).abs() < 1e-9 * (1.0 + score), "{selection} {m}: {} {score}", scores[m]);
        }
        n_batches += 1;
    }
    assert_eq!(n_batches, 11);
}

/// Features of rank 3 in 7 columns: what tells nothing more is left to distances, and every point can be picked.
#[test]
fn beyond_the_rank_it_goes_on_by_distance() {
    let factors = random([20, 1, 5], 3, 4);
    let map = random([3, 1, 1], 7, 5).pool;
    let mut points = Points {
        pool: factors.pool.dot(&map),
        labelled: Array2::zeros((1, 7)),
        domain: factors.domain.dot(&map),
        rank: 7,
        used_up: NOISE,
    };
    points.transform(Transform::Posterior).unwrap();
    for chosen in [maxdet(&points, 20), bait(&points, false, 20), epig(&points, true, 20)] {
        assert!((3..=9).contains(&chosen.n_own), "{}", chosen.n_own);
        let mut all = chosen.picked.clone();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        let own = &chosen.picked[..chosen.n_own];
        let centres = points.pool.slice(s![..0, ..]).to_owned();
        let (due, _) = by_distance(ByDistance::LargestCluster, &points.pool, &centres, own, 0.0);
        assert_eq!(chosen.picked[chosen.n_own], due);
    }
    let bounded = Points { rank: 2, ..points };
    assert_eq!(maxdet(&bounded, 5).n_own, 2);
}

/// Many labelled points leave every pool point less than the noise: the rules go on by their scores, which are those of
/// the matrix `A = Φᵀ Φ + σ² I` over labelled points and picks, `v(x) = σ² x · A⁻¹ x`.
#[test]
fn below_the_noise_the_rules_still_choose() {
    let before = random([30, 400, 1], 8, 11);
    let mut after = random([30, 400, 1], 8, 11);
    after.transform(Transform::Posterior).unwrap();
    let variances = |picked: &[usize]| -> Vec<f64> {
        let known = given(&before, picked);
        let a = known.t().dot(&known) + Array2::<f64>::eye(8) * NOISE;
        let mut white = before.pool.clone();
        Cholesky::new("the twin's matrix", a.view()).unwrap().whiten(&mut white).unwrap();
        white.outer_iter().map(|x| NOISE * x.dot(&x)).collect()
    };
    assert!(variances(&[]).iter().all(|&v| v < NOISE));
    let chosen = maxdet(&after, 7);
    assert_eq!((chosen.n_own, bait(&after, false, 7).n_own, epig(&after, false, 7).n_own), (7, 7, 7));
    for m in 0..7 {
        let all = variances(&chosen.picked[..m]);
        let left = (0..30).filter(|i| !chosen.picked[..m].contains(i));
        let best = left.reduce(|a, b| if all[b] > all[a] { b } else { a }).unwrap();
        assert_eq!(chosen.picked[m], best, "pick {m}");
        assert!((chosen.picked_scores[m] - all[best]).abs() < 1e-8 * all[best]);
    }
}
