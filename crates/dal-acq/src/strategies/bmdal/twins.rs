//! The selections against their definitions, nothing carried from one pick to the next, and against those of another
//! program.

use ndarray::{Array1, Array2, Array3, ArrayView1, Axis, concatenate, s};
use proptest::prelude::*;
use rand::RngExt;

use dal_core::{SeedPath, Settings, Stop};
use dal_geom::Cholesky;

use super::Transform;
use super::bait::bait;
use super::centres::{ByDistance, Nearest};
use super::points::{NOISE, Points};
use super::variance::{Chosen, epig, maxdet};
use crate::given::Chosen as Told;
use crate::{GivenPredictions, Known, find, select_known};

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
    Points {
        pool: draw(n[0]),
        labelled: draw(n[1]),
        domain: draw(n[2]),
        centre_at_zero: false,
        rank: usize::MAX,
        used_up: 0.0,
        stop: Stop::new(),
    }
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
            let (picked, scores) = nearest.pick(rule, n_picks, &Stop::new(), &mut || at.next().unwrap());
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
            Points { pool, labelled: labelled / size, domain: by_formula(2000, 9) / size, ..random([0; 3], 16, 0) };
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
            nearest.pick(rule, 7, &Stop::new(), &mut || {
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
        labelled: Array2::zeros((0, 7)),
        domain: factors.domain.dot(&map),
        centre_at_zero: true,
        rank: 7,
        used_up: NOISE,
        stop: Stop::new(),
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
        // A distance is no score of the rule.
        let n_scored = chosen.picked_scores.iter().take_while(|score| score.is_finite()).count();
        assert_eq!((n_scored, chosen.picked_scores.len()), (chosen.n_own, 20));
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
    // More picks than columns, too: each brings variances down further.
    let chosen = maxdet(&after, 12);
    assert_eq!((chosen.n_own, bait(&after, false, 12).n_own, epig(&after, false, 12).n_own), (12, 12, 12));
    for m in 0..12 {
        let all = variances(&chosen.picked[..m]);
        let left = (0..30).filter(|i| !chosen.picked[..m].contains(i));
        let best = left.reduce(|a, b| if all[b] > all[a] { b } else { a }).unwrap();
        assert_eq!(chosen.picked[m], best, "pick {m}");
        assert!((chosen.picked_scores[m] - all[best]).abs() < 1e-8 * all[best]);
    }
}

/// Smooth features of a spectrum that falls by a power of ten a column or two, mean squared norm 1.
fn smooth(n: usize, p: usize, seed: u64) -> Points {
    let mut points = random([n, 0, 40], p, seed);
    let phases = random([2, 0, 0], p, seed + 1).pool;
    let feature = |x: f64, k: usize| {
        let f = k as f64;
        (1.0 + phases[[0, k]]) * (f * 3.1 * x + 3.0 * phases[[1, k]]).cos() * 10_f64.powf(-0.5 * f)
    };
    points.pool = Array2::from_shape_fn((n, p), |(i, k)| feature(((i * 37) % n) as f64 / n as f64, k));
    points.domain = Array2::from_shape_fn((40, p), |(i, k)| feature((i as f64 + 0.3) / 40.0, k));
    let size = (points.pool.mapv(|v| v * v).sum() / n as f64).sqrt();
    points.pool /= size;
    points.domain /= size;
    Points { centre_at_zero: true, used_up: NOISE, ..points }
}

/// Forward `bait` as published, every feature changed at every pick.
fn bait_by_updates(points: &Points, on_domain: bool, n: usize) -> (Vec<usize>, Vec<f64>) {
    let mut pool = points.pool.clone();
    let mut targets = if on_domain { points.domain.clone() } else { pool.clone() };
    let (mut picked, mut scores) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let b = targets.t().dot(&targets);
        let score = |i: usize| {
            let x = pool.row(i);
            x.dot(&b.dot(&x)) / (x.dot(&x) + NOISE)
        };
        let left = (0..pool.nrows()).filter(|i| !picked.contains(i)).map(|i| (i, score(i)));
        let (row, best) = left.reduce(|a, b| if b.1 > a.1 { b } else { a }).unwrap();
        picked.push(row);
        scores.push(best);
        let x = pool.row(row).to_owned();
        let root = (x.dot(&x) + NOISE).sqrt();
        let map = Array2::<f64>::eye(x.len())
            - x.view().insert_axis(Axis(1)).dot(&x.view().insert_axis(Axis(0))) / (root * (root + NOISE.sqrt()));
        pool = pool.dot(&map);
        targets = targets.dot(&map);
    }
    (picked, scores)
}

/// Where every pick takes most of what is left, sums that are carried from pick to pick keep their digits.
#[test]
fn bait_keeps_its_digits_where_the_spectrum_falls_fast() {
    for seed in 0..4 {
        let points = smooth(150, 12, seed);
        for on_domain in [false, true] {
            let chosen = bait(&points, on_domain, 10);
            assert!(chosen.n_own >= 6, "{seed} {on_domain}: {}", chosen.n_own);
            let (picked, scores) = bait_by_updates(&points, on_domain, chosen.n_own);
            assert!(scores[0] / scores[chosen.n_own - 1] > 1e4, "{scores:?}");
            assert_eq!(chosen.picked[..chosen.n_own], picked, "{seed} {on_domain}");
            for (own, due) in chosen.picked_scores.iter().zip(&scores) {
                assert!((own - due).abs() < 1e-7 * due, "{seed} {on_domain}: {own} {due}");
            }
        }
    }
}

/// With fewer targets than columns B is not formed; the same picks as with columns of zeros cut off.
#[test]
fn bait_on_few_targets_is_that_of_the_matrix() {
    let narrow = random([14, 6, 9], 9, 3);
    let wide = |rows: &Array2<f64>| concatenate![Axis(1), *rows, Array2::zeros((rows.nrows(), 40))];
    let mut points = Points {
        pool: wide(&narrow.pool),
        labelled: wide(&narrow.labelled),
        domain: wide(&narrow.domain),
        ..random([0; 3], 49, 0)
    };
    points.transform(Transform::Posterior).unwrap();
    let mut narrow = narrow;
    narrow.transform(Transform::Posterior).unwrap();
    for on_domain in [false, true] {
        let (a, b) = (bait(&points, on_domain, 6), bait(&narrow, on_domain, 6));
        assert_eq!(a.picked, b.picked);
        assert!(a.picked_scores.iter().zip(&b.picked_scores).all(|(a, b)| (a - b).abs() < 1e-8 * b));
    }
}

/// Squares of features that overflow or vanish are brought to the scale; NaN is told with its set.
#[test]
fn any_scale_is_brought_to_one_and_bad_features_are_named() {
    let scaled = |factor: f64| {
        let mut points = random([9, 4, 3], 5, 2);
        for rows in [&mut points.pool, &mut points.labelled, &mut points.domain] {
            *rows *= factor;
        }
        points.scale();
        points.pool
    };
    for factor in [1e200, 1e-200, 1e-310] {
        let gap = (&scaled(factor) - &scaled(1.0)).iter().fold(0.0, |most: f64, d| most.max(d.abs()));
        assert!(gap < if factor < 1e-300 { 1e-8 } else { 1e-12 }, "{factor}: {gap}");
    }
    let told = |change: &dyn Fn(&mut Points)| {
        let mut points = random([9, 4, 3], 5, 2);
        change(&mut points);
        points.check().unwrap_err().to_string()
    };
    assert!(told(&|points| points.pool[[7, 1]] = f64::NAN).contains("pool point 7"));
    assert!(told(&|points| points.labelled[[2, 1]] = f64::NAN).contains("labelled point 2"));
    assert!(told(&|points| points.domain[[1, 0]] = f64::INFINITY).contains("point of the target 1"));
}

/// Predictions of members at a pool of one column.
fn table(n_members: usize, n: usize, n_outputs: usize) -> GivenPredictions {
    let mut rng = SeedPath::root(6).rng();
    let members = Array3::from_shape_simple_fn((n_members, n, n_outputs), || rng.random_range(-1.0..1.0));
    GivenPredictions::new(Array2::from_shape_fn((n, 1), |(i, _)| i as f64), members).unwrap()
}

fn select_by(id: &str, pairs: &[(&str, &str)], given: &GivenPredictions, n: usize, seed: u64) -> Result<Told, String> {
    let settings = pairs.iter().fold(Settings::default(), |all, &(key, value)| all.with(key, value));
    let known = Known { space: None, x: None, y: None, predictions: Some(given) };
    let found = find(id, &settings).map_err(|error| error.to_string())?;
    select_known(&found, &known, given.pool(), n, &SeedPath::root(seed), &Stop::new())
        .map_err(|error| error.to_string())
}

fn deviations(given: &GivenPredictions) -> Array2<f64> {
    let members = given.members_at_pool();
    let (n_members, n, n_outputs) = members.dim();
    let mean = members.mean_axis(Axis(0)).unwrap();
    let all = Array2::from_shape_fn((n, n_members * n_outputs), |(i, c)| {
        members[[c / n_outputs, i, c % n_outputs]] - mean[[i, c % n_outputs]]
    });
    let size = (all.mapv(|v| v * v).sum() / n as f64).sqrt();
    all / size
}

/// Ten members of 60 outputs: all 600 columns count unless fewer are asked for, which is said.
#[test]
fn members_of_many_outputs_are_not_sketched_unasked() {
    let given = table(10, 40, 60);
    let features = deviations(&given);
    let chosen = select_by("lcmd-members", &[], &given, 6, 0).unwrap();
    let centre = Array2::zeros((1, 600));
    let (due, _) =
        Nearest::to(features.view(), centre.view()).pick(ByDistance::LargestCluster, 6, &Stop::new(), &mut || 0.0);
    assert_eq!((&chosen.picked, chosen.notes.is_empty()), (&due, true));
    for id in ["lcmd-members", "maxdet-members", "bait-members"] {
        let of = |seed| select_by(id, &[], &given, 6, seed).unwrap().picked;
        assert_eq!(of(0), of(1), "{id}");
        let sketched = select_by(id, &[("columns", "100")], &given, 6, 0).unwrap();
        assert!(sketched.notes[0].contains("600 columns are sketched to 100"), "{id}: {:?}", sketched.notes);
    }
}

/// The mean is over the pool's points and nothing else.
#[test]
fn epig_of_members_averages_over_the_pool() {
    let given = table(5, 12, 1);
    let features = deviations(&given);
    let k = features.dot(&features.t());
    let own = &k.diag() + NOISE;
    let score =
        |i: usize| (0..12).map(|t| -0.5 * (1.0 - k[[i, t]] * k[[i, t]] / (own[i] * own[t])).ln()).sum::<f64>() / 12.0;
    let chosen = select_by("bait-members", &[("criterion", "epig")], &given, 1, 0).unwrap();
    for (i, told) in chosen.scores.unwrap().iter().enumerate() {
        assert!((told - score(i)).abs() < 1e-6 * score(i), "{i}: {told} {}", score(i));
    }
}

/// The scale of predictions is no matter even where their squares overflow or vanish.
#[test]
fn members_of_any_size_give_the_same_picks() {
    let given = table(4, 20, 2);
    for id in ["lcmd-members", "maxdet-members", "bait-members"] {
        let due = select_by(id, &[], &given, 5, 0).unwrap().picked;
        for factor in [1e200, 1e-200] {
            let scaled = GivenPredictions::new(given.pool().to_owned(), &given.members_at_pool() * factor).unwrap();
            assert_eq!(select_by(id, &[], &scaled, 5, 0).unwrap().picked, due, "{id} {factor}");
        }
    }
}

/// Of `bmdal` on members no labelled point is asked for, and fresh points of a table are refused by the setting's name.
#[test]
fn the_family_on_members_takes_a_table_alone() {
    let given = table(4, 20, 2);
    let members = ("features", "members");
    for selection in ["lcmd", "maxdist", "kmeanspp", "maxdet", "bait"] {
        let chosen = select_by("bmdal", &[members, ("selection", selection)], &given, 5, 0).unwrap();
        assert_eq!((chosen.picked.len(), chosen.notes.len()), (5, 0), "{selection}");
    }
    let error = select_by("bmdal", &[members, ("selection", "bait"), ("target", "domain")], &given, 5, 0).unwrap_err();
    assert!(error.contains("target = domain") && error.contains("use pool+labelled"), "{error}");
    // The target is bait's alone.
    assert!(select_by("bmdal", &[members, ("target", "domain")], &given, 5, 0).is_ok());
    assert!(select_by("bmdal", &[("selection", "bait")], &given, 5, 0).unwrap_err().contains("labelled points"));
}

/// Conditioned on the labelled points by either transform, `maxdet` and `bait` choose alike.
#[test]
fn centres_and_posterior_are_one_for_rules_of_the_covariance() {
    let given = table(5, 30, 2);
    for selection in ["maxdet", "bait"] {
        let by = |transform| {
            let pairs = [("features", "members"), ("selection", selection), ("transform", transform)];
            let told = select_by("bmdal", &pairs, &given, 6, 0).unwrap();
            (told.picked, told.scores)
        };
        assert_eq!(by("centres"), by("posterior"), "{selection}");
    }
}

#[test]
fn members_that_agree_are_told() {
    let given = GivenPredictions::new(table(3, 8, 1).pool().to_owned(), Array3::ones((3, 8, 1))).unwrap();
    let one = table(1, 8, 2);
    for given in [&given, &one] {
        for id in ["lcmd-members", "maxdet-members", "bait-members"] {
            let chosen = select_by(id, &[], given, 3, 0).unwrap();
            assert_eq!(chosen.picked, [0, 1, 2], "{id}");
            assert_eq!(chosen.notes, ["the members agree everywhere, so picks follow the pool's order"], "{id}");
        }
    }
    // After the rank picks have no score of the rule.
    let chosen = select_by("maxdet-members", &[], &table(3, 8, 1), 4, 0).unwrap();
    assert_eq!(
        chosen.picked_scores.unwrap().iter().map(|v| v.is_nan()).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    assert!(chosen.notes[0].contains("no more after 2 picks"), "{:?}", chosen.notes);
}
