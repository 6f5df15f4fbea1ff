//! Every rule against its definition written out in loops, nothing carried from one pick to the next.

use dal_acq::contract::Case;
use dal_acq::find;
use dal_core::{Needs, Proposal, SeedPath, Settings, Surrogate};
use ndarray::{Array1, Array2, ArrayView1};
use proptest::prelude::*;

/// Data of a case as the definitions name them.
struct Data {
    lx: Array2<f64>,
    ly: Array2<f64>,
    px: Array2<f64>,
    f: Array2<f64>,
    variance: Array1<f64>,
}

fn data(case: &Case) -> Data {
    let model = case.model(&Needs { committee: true, ..Needs::default() });
    let moments = model.committee().unwrap().moments(case.pool.view()).unwrap();
    Data {
        lx: case.labelled.x().to_owned(),
        ly: case.labelled.y().to_owned(),
        px: case.pool.clone(),
        f: moments.mean,
        variance: moments.variance.rows().into_iter().map(|row| row.sum() / row.len() as f64).collect(),
    }
}

fn squared(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

impl Data {
    /// Rows of L and of the picks: inputs with answers or predictions.
    fn known<'a>(&'a self, picks: &'a [usize]) -> impl Iterator<Item = (ArrayView1<'a, f64>, ArrayView1<'a, f64>)> {
        let labelled = self.lx.outer_iter().zip(self.ly.outer_iter());
        labelled.chain(picks.iter().map(|&q| (self.px.row(q), self.f.row(q))))
    }

    fn gap_squared(&self, i: usize, picks: &[usize], x: bool, y: bool) -> f64 {
        self.known(picks)
            .map(|(kx, ky)| {
                let dx = if x { squared(self.px.row(i), kx) } else { 1.0 };
                let dy = if y { squared(self.f.row(i), ky) } else { 1.0 };
                dx * dy
            })
            .fold(f64::INFINITY, f64::min)
    }

    fn left(&self, picks: &[usize]) -> Vec<usize> {
        (0..self.px.nrows()).filter(|i| !picks.contains(i)).collect()
    }
}

fn best(candidates: &[usize], score: impl Fn(usize) -> f64) -> usize {
    let mut winner = candidates[0];
    for &i in candidates {
        if score(i) > score(winner) {
            winner = i;
        }
    }
    winner
}

fn minmax(values: &[f64], tolerance: f64) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|v| if high - low <= tolerance { 0.0 } else { (v - low) / (high - low) }).collect()
}

fn covering(data: &Data, n: usize, x: bool, y: bool) -> Vec<usize> {
    let mut picks = Vec::new();
    for _ in 0..n {
        picks.push(best(&data.left(&picks), |i| data.gap_squared(i, &picks, x, y)));
    }
    picks
}

fn cosine_density(px: &Array2<f64>, k: usize) -> Vec<f64> {
    let norm = |a: ArrayView1<'_, f64>| a.dot(&a).sqrt();
    (0..px.nrows())
        .map(|i| {
            let mut all: Vec<f64> = (0..px.nrows())
                .filter(|&j| j != i)
                .map(|j| {
                    let (a, b) = (px.row(i), px.row(j));
                    let norms = norm(a) * norm(b);
                    if norms > 0.0 { a.dot(&b) / norms } else { 0.0 }
                })
                .collect();
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(k);
            if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 }
        })
        .collect()
}

fn diversity(data: &Data, n: usize, density: Option<&[f64]>, raw: bool) -> Vec<usize> {
    let u = if raw { data.variance.to_vec() } else { minmax(&data.variance.to_vec(), 0.0) };
    let mut picks = Vec::new();
    for _ in 0..n {
        let left = data.left(&picks);
        let gaps: Vec<f64> = left.iter().map(|&i| data.gap_squared(i, &picks, true, false).sqrt()).collect();
        let gaps = if raw { gaps } else { minmax(&gaps, 0.0) };
        let mut scores: Vec<f64> = left.iter().zip(&gaps).map(|(&i, g)| u[i] + g).collect();
        if let Some(density) = density {
            let here: Vec<f64> = left.iter().map(|&i| density[i]).collect();
            let here = if raw { here } else { minmax(&here, 1e-14) };
            scores.iter_mut().zip(here).for_each(|(score, q)| *score += q);
        }
        let divisor = if density.is_some() { 3.0 } else { 2.0 };
        let places: Vec<usize> = (0..left.len()).collect();
        picks.push(left[best(&places, |place| scores[place] / divisor)]);
    }
    picks
}

/// Least sum of squared deviations over all ways to part sorted distinct values into `k` runs.
fn natural_breaks(u: &[f64], k: usize) -> Vec<usize> {
    let mut sorted = u.to_vec();
    sorted.sort_by(f64::total_cmp);
    let m = sorted.len();
    let deviation = |a: usize, b: usize| {
        let mean = sorted[a..b].iter().sum::<f64>() / (b - a) as f64;
        sorted[a..b].iter().map(|v| (v - mean) * (v - mean)).sum::<f64>()
    };
    let mut layers = vec![(0..=m).map(|i| if i == 0 { (0.0, 0) } else { (deviation(0, i), 0) }).collect::<Vec<_>>()];
    for c in 1..k {
        let before = &layers[c - 1];
        let layer = (0..=m)
            .map(|i| {
                (c..i)
                    .map(|s| (before[s].0 + deviation(s, i), s))
                    .fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a })
            })
            .collect();
        layers.push(layer);
    }
    let mut bounds = vec![sorted[0]; k];
    let mut end = m;
    for c in (1..k).rev() {
        end = layers[c][end].1;
        bounds[c] = sorted[end];
    }
    u.iter().map(|v| bounds.iter().rposition(|b| b <= v).unwrap()).collect()
}

fn dacs(data: &Data, n: usize) -> Vec<usize> {
    let n_pool = data.px.nrows();
    let u: Vec<f64> = (0..n_pool)
        .map(|i| {
            let mut near: Vec<f64> =
                (0..n_pool).filter(|&j| j != i).map(|j| squared(data.px.row(i), data.px.row(j))).collect();
            near.sort_by(f64::total_cmp);
            near.truncate(10);
            if near.is_empty() { 0.0 } else { -near.iter().sum::<f64>() / near.len() as f64 }
        })
        .collect();
    let group = natural_breaks(&u, 4.min(n_pool));
    let n_groups = group.iter().max().unwrap() + 1;
    let sizes: Vec<usize> = (0..n_groups).map(|g| group.iter().filter(|x| **x == g).count()).collect();
    let weights: Vec<f64> = sizes.iter().map(|s| ((1.0 - *s as f64 / n_pool as f64) / 0.25).exp()).collect();
    let mut budget = vec![0; n_groups];
    while budget.iter().sum::<usize>() < n {
        let amount = n - budget.iter().sum::<usize>();
        let open: Vec<usize> = (0..n_groups).filter(|&g| budget[g] < sizes[g]).collect();
        let total: f64 = open.iter().map(|&g| weights[g]).sum();
        let quota = |g: usize| amount as f64 * weights[g] / total;
        let mut share: Vec<usize> = open.iter().map(|&g| (quota(g) + 1e-12).floor() as usize).collect();
        while share.iter().sum::<usize>() < amount {
            let places: Vec<usize> = (0..open.len()).collect();
            let place = best(&places, |p| quota(open[p]) - share[p] as f64);
            share[place] += 1;
        }
        for (&g, s) in open.iter().zip(share) {
            budget[g] = (budget[g] + s).min(sizes[g]);
        }
    }
    let mut picks = Vec::new();
    for (g, &b) in budget.iter().enumerate() {
        for _ in 0..b {
            let left: Vec<usize> = data.left(&picks).into_iter().filter(|&i| group[i] == g).collect();
            picks.push(best(&left, |i| data.gap_squared(i, &picks, true, false)));
        }
    }
    picks
}

fn cluster_variance(data: &Data, n: usize) -> Vec<usize> {
    let mut clusters: Vec<Vec<usize>> = (0..data.px.nrows()).map(|i| vec![i]).collect();
    while clusters.len() > n.div_ceil(2) {
        let mut least = (f64::INFINITY, 0, 0);
        for a in 0..clusters.len() {
            for b in a + 1..clusters.len() {
                let pairs = clusters[a].iter().flat_map(|&i| clusters[b].iter().map(move |&j| (i, j)));
                let sum: f64 = pairs.map(|(i, j)| squared(data.px.row(i), data.px.row(j)).sqrt()).sum();
                let mean = sum / (clusters[a].len() * clusters[b].len()) as f64;
                if mean < least.0 {
                    least = (mean, a, b);
                }
            }
        }
        let moved = clusters.remove(least.2);
        clusters[least.1].extend(moved);
        clusters[least.1].sort_unstable();
    }
    clusters.sort_by_key(|c| (c.len(), c[0]));
    let mut picks = Vec::new();
    while picks.len() < n {
        for cluster in &mut clusters {
            if picks.len() < n && !cluster.is_empty() {
                let pick = best(cluster, |i| data.variance[i]);
                cluster.retain(|&i| i != pick);
                picks.push(pick);
            }
        }
    }
    picks
}

fn rows(proposal: Proposal) -> Vec<usize> {
    proposal.rows().expect("picks of the pool").to_vec()
}

fn picked(case: &Case, id: &str, setting: Option<(&str, &str)>, n: usize) -> Vec<usize> {
    let settings: Settings = setting.into_iter().collect();
    rows(case.propose(&*find(id, &settings).unwrap().strategy, n, &SeedPath::root(0)).unwrap())
}

fn random_case(seed: u64, shape: (usize, usize, usize, usize)) -> Case {
    let (n_labelled, n_pool, d, n_outputs) = shape;
    Case::random(n_labelled, n_pool, d, n_outputs, 4, &SeedPath::root(seed))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn rules_equal_their_definitions(
        seed: u64,
        shape in (1..20usize, 1..40usize, 1..6usize, 1..4usize),
        part in 1..=10usize,
    ) {
        let case = random_case(seed, shape);
        let n = (shape.1 * part).div_ceil(10);
        let d = data(&case);
        let density = cosine_density(&d.px, 10);
        let distance: Vec<f64> = density.iter().map(|q| 1.0 - q).collect();
        prop_assert_eq!(picked(&case, "gsx", None, n), covering(&d, n, true, false));
        prop_assert_eq!(picked(&case, "gsy", None, n), covering(&d, n, false, true));
        prop_assert_eq!(picked(&case, "gsxy", None, n), covering(&d, n, true, true));
        prop_assert_eq!(picked(&case, "qbc-diversity", None, n), diversity(&d, n, None, false));
        prop_assert_eq!(picked(&case, "qbc-diversity", Some(("scaling", "raw")), n), diversity(&d, n, None, true));
        let id = "qbc-diversity-density";
        prop_assert_eq!(picked(&case, id, None, n), diversity(&d, n, Some(&density), false));
        prop_assert_eq!(picked(&case, id, Some(("scaling", "raw")), n), diversity(&d, n, Some(&density), true));
        prop_assert_eq!(picked(&case, id, Some(("density", "distance")), n), diversity(&d, n, Some(&distance), false));
        prop_assert_eq!(picked(&case, "dacs", None, n), dacs(&d, n));
        prop_assert_eq!(picked(&case, "cluster-variance", None, n), cluster_variance(&d, n));
        let mut order: Vec<usize> = (0..shape.1).collect();
        order.sort_by(|&a, &b| d.variance[b].total_cmp(&d.variance[a]));
        prop_assert_eq!(picked(&case, "qbc", None, n), order[..n].to_vec());
    }

    /// Points and predictions on a coarse lattice: copies and ties everywhere, which the lowest index must win.
    #[test]
    fn ties_go_to_the_lowest_index(seed: u64, shape in (1..10usize, 1..30usize, 1..4usize, 1..3usize)) {
        let mut case = random_case(seed, shape);
        let coarse = |v: f64| (v * 2.0).round() / 2.0;
        case.pool.mapv_inplace(coarse);
        case.members.mapv_inplace(coarse);
        let (lx, ly) = (case.labelled.x().mapv(coarse), case.labelled.y().mapv(coarse));
        case.labelled = dal_core::Labelled::new(lx, ly).unwrap();
        let (n, d) = (shape.1, data(&case));
        prop_assert_eq!(picked(&case, "gsx", None, n), covering(&d, n, true, false));
        prop_assert_eq!(picked(&case, "gsy", None, n), covering(&d, n, false, true));
        prop_assert_eq!(picked(&case, "gsxy", None, n), covering(&d, n, true, true));
        prop_assert_eq!(picked(&case, "qbc-diversity", None, n), diversity(&d, n, None, false));
    }
}

/// On one-sided one-dimensional pools all cosine similarities are 1: the density term is constant and says so.
#[test]
fn a_constant_term_counts_nothing_and_says_so() {
    let mut case = Case::random(5, 30, 1, 1, 4, &SeedPath::root(3));
    case.pool.mapv_inplace(|v| v.abs() + 0.01);
    let strategy = find("qbc-diversity-density", &Settings::default()).unwrap().strategy;
    let model = case.model(&strategy.needs());
    let step = case.step(Some(&model), strategy.needs()).unwrap();
    let proposal = strategy.propose(&step, 8, &SeedPath::root(0)).unwrap();
    assert!(step.notes().iter().any(|note| note.starts_with("the density term is constant")), "{:?}", step.notes());
    assert_eq!(rows(proposal), picked(&case, "qbc-diversity", None, 8));
}

/// Clusters of distinct sizes have no ties to break, so the pool's order must not matter.
#[test]
fn cluster_variance_does_not_depend_on_the_pools_order() {
    let strategy = find("cluster-variance", &Settings::default().with("n_clusters", 4)).unwrap().strategy;
    for seed in 0..20 {
        let mut case = Case::random(5, 26, 2, 1, 4, &SeedPath::root(seed));
        // Four heaps of 2, 4, 8 and 12 points in the corners.
        for (i, mut row) in case.pool.outer_iter_mut().enumerate() {
            let corner = [2, 6, 14, 26].iter().position(|&end| i < end).unwrap();
            row.mapv_inplace(|v| 0.1 * v);
            row[0] += if corner % 2 == 0 { -0.9 } else { 0.9 };
            row[1] += if corner < 2 { -0.9 } else { 0.9 };
        }
        let order: Vec<usize> = (0..26).map(|i| (i * 7 + seed as usize) % 26).collect();
        let mut other = case.clone();
        other.pool = case.pool.select(ndarray::Axis(0), &order);
        other.members = case.members.select(ndarray::Axis(1), &order);
        let here = rows(case.propose(&*strategy, 13, &SeedPath::root(0)).unwrap());
        let there = rows(other.propose(&*strategy, 13, &SeedPath::root(0)).unwrap());
        assert_eq!(here, there.iter().map(|&i| order[i]).collect::<Vec<_>>());
    }
}

/// `emoc` against gradient vectors written out in full for the battery's model, linear in its parameters.
#[test]
fn emoc_equals_explicit_gradients() {
    let mut case = Case::random(10, 20, 3, 2, 4, &SeedPath::root(11));
    // Points that were labelled later are no anchors.
    let (x, y) = (case.labelled.x().to_owned(), case.labelled.y().to_owned());
    case.labelled = dal_core::Labelled::with_initial(x, y, 6).unwrap();
    let (n_members, n_outputs, n_features) = (4, 2, 6);
    let phi = |x: ArrayView1<'_, f64>| -> Vec<f64> {
        let wave = |k: usize| x.iter().enumerate().map(|(i, v)| (k + i + 1) as f64 * v).sum::<f64>();
        (0..n_features).map(|k| (k as f64 + 1.0 + 0.7 * wave(k)).sin()).collect()
    };
    let theta = |m: usize, j: usize, k: usize| ((m + 2 * j + 3 * k) as f64).cos();
    let mean = case.model(&Needs::default()).mean(case.pool.view()).unwrap();
    let target: Vec<f64> = (0..n_outputs).map(|j| mean.column(j).sum() / 20.0).collect();
    // ∇f_mj(x) and ∇ℓ_m(x′) as vectors over the parameters (j, k) of member m.
    let gradient_f = |j: usize, x: ArrayView1<'_, f64>| {
        let mut g = vec![0.0; n_outputs * n_features];
        g[j * n_features..(j + 1) * n_features].copy_from_slice(&phi(x));
        g
    };
    let gradient_loss = |m: usize, x: ArrayView1<'_, f64>| {
        let features = phi(x);
        let mut g = vec![0.0; n_outputs * n_features];
        for j in 0..n_outputs {
            let value: f64 = (0..n_features).map(|k| theta(m, j, k) * features[k]).sum();
            for k in 0..n_features {
                g[j * n_features + k] = 2.0 / n_outputs as f64 * (value - target[j]) * features[k];
            }
        }
        g
    };
    let emoc = find("emoc", &Settings::default()).unwrap().strategy;
    let scores = case.propose(&*emoc, 5, &SeedPath::root(0)).unwrap().scores.unwrap();
    for (i, candidate) in case.pool.outer_iter().enumerate() {
        let mut total = 0.0;
        for anchor in case.labelled.initial_x().outer_iter() {
            for j in 0..n_outputs {
                let products: f64 = (0..n_members)
                    .map(|m| {
                        let (a, b) = (gradient_f(j, anchor), gradient_loss(m, candidate));
                        a.iter().zip(&b).map(|(p, q)| p * q).sum::<f64>()
                    })
                    .sum();
                total += (products / n_members as f64).abs();
            }
        }
        assert!((scores[i] - total / 6.0).abs() < 1e-12 * (1.0 + total), "{i}: {} {}", scores[i], total / 6.0);
    }
    // Subsets are drawn from the strategy's stream: the same seed, the same scores; all parameters, the full value.
    let subset = |n: usize| find("emoc", &Settings::default().with("n_parameters", n)).unwrap().strategy;
    let run = |n: usize, seed: u64| case.propose(&*subset(n), 5, &SeedPath::root(seed)).unwrap().scores.unwrap();
    assert_eq!(run(4, 1), run(4, 1));
    assert_ne!(run(4, 1), run(4, 2));
    assert_eq!(run(1000, 1), scores);
}

/// `bald` and `learning-loss` rank by what their capability answers.
#[test]
fn auxiliary_scores_are_the_models_own() {
    let case = Case::random(6, 30, 3, 2, 4, &SeedPath::root(5));
    let seeds = SeedPath::root(9);
    for id in ["bald", "learning-loss"] {
        let strategy = find(id, &Settings::default()).unwrap().strategy;
        let model = case.model(&strategy.needs());
        let expected: Vec<f64> = if id == "bald" {
            let variance =
                model.dropout().unwrap().moments(case.pool.view(), &seeds.purpose("dropout")).unwrap().variance;
            variance.rows().into_iter().map(|row| row.sum() / 2.0).collect()
        } else {
            model.loss_head().unwrap().predicted_loss(case.pool.view()).unwrap().to_vec()
        };
        let proposal = case.propose(&*strategy, 7, &seeds).unwrap();
        assert_eq!(proposal.scores.as_ref().unwrap().to_vec(), expected);
        let mut order: Vec<usize> = (0..30).collect();
        order.sort_by(|&a, &b| expected[b].total_cmp(&expected[a]));
        assert_eq!(rows(proposal), order[..7]);
    }
}
