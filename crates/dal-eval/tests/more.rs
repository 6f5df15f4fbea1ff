//! Metrics, scores and estimates against values of NumPy and SciPy (see `golden/README.md`).

use dal_eval::{
    CurveMetric, CurvePair, MetricFinding, NormalScores, OutputErrors, OutputScales, all_pairs_quartiles, area_share,
    draw_probabilities, labels_needed, lure_weights, max_t_by_seed, predecessor_target, weighted_loss,
};
use ndarray::Array2;
use serde_json::Value;

fn golden(section: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/more.json")).expect("golden file is JSON");
    let cases = all[section].as_array().expect("section of cases").clone();
    assert!(!cases.is_empty(), "{section}");
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("list").iter().map(|v| v.as_f64().expect("number")).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("list of rows").iter().map(numbers).collect()
}

fn array(value: &Value) -> Array2<f64> {
    let rows = rows(value);
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn assert_close(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1e-3), "{what}: ours {ours}, theirs {theirs}");
}

fn assert_all_close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_close(*ours, *theirs, tolerance, what);
    }
}

#[test]
fn scores_of_the_ensembles_normal_agree() {
    for case in golden("uncertainty") {
        let of = |key: &str| array(&case[key]);
        let scores =
            NormalScores::of(of("mean").view(), of("variance").view(), of("truth").view(), &numbers(&case["scales"]))
                .unwrap();
        assert_close(scores.nll.unwrap(), case["nll"].as_f64().unwrap(), 1e-12, "nll");
        assert_close(scores.crps, case["crps"].as_f64().unwrap(), 1e-8, "crps");
        assert_close(scores.coverage_90, case["coverage_90"].as_f64().unwrap(), 1e-15, "coverage");
        match (scores.rank_correlation, case["rank_correlation"].as_f64()) {
            (Some(ours), Some(theirs)) => assert_close(ours, theirs, 1e-12, "rank correlation"),
            (ours, theirs) => assert_eq!(ours, theirs),
        }
    }
}

#[test]
fn errors_of_outputs_agree() {
    for case in golden("outputs") {
        let truth = array(&case["truth"]);
        let scales = OutputScales::of(truth.view()).unwrap();
        assert_all_close(&scales.sd, &numbers(&case["sd"]), 1e-12, "sd");
        let found = OutputErrors::of(array(&case["predicted"]).view(), truth.view(), &scales).unwrap();
        let of = |field: fn(&dal_eval::OutputError) -> f64| found.outputs.iter().map(field).collect::<Vec<f64>>();
        assert_all_close(&of(|o| o.rmse), &numbers(&case["rmse"]), 1e-12, "rmse");
        assert_all_close(&of(|o| o.r2.unwrap()), &numbers(&case["r2"]), 1e-10, "r2");
        assert_all_close(&of(|o| o.mae), &numbers(&case["mae"]), 1e-12, "mae");
        assert_all_close(&of(|o| o.p95_abs), &numbers(&case["p95_abs"]), 1e-12, "p95");
        assert_all_close(&of(|o| o.max_abs), &numbers(&case["max_abs"]), 1e-12, "max");
        let pooled = found.pooled.unwrap();
        for (ours, key) in [
            (pooled.mse, "pooled_mse"),
            (pooled.mae, "pooled_mae"),
            (pooled.p95_abs, "pooled_p95"),
            (pooled.max_abs, "pooled_max"),
        ] {
            assert_close(ours, case[key].as_f64().unwrap(), 1e-11, key);
        }
    }
}

#[test]
fn metrics_of_curves_agree() {
    for case in golden("curves") {
        let (method, random) = (rows(&case["method"]), rows(&case["random"]));
        let n_labelled: Vec<usize> = numbers(&case["n_labelled"]).into_iter().map(|n| n as usize).collect();
        let n_steps = n_labelled.len() - 1;
        let target = predecessor_target(random.iter().chain(&method).map(Vec::as_slice)).unwrap();
        assert_eq!(Some(target), case["target"].as_f64());
        let pairs: Vec<CurvePair<'_>> = method
            .iter()
            .zip(&random)
            .map(|(method, random)| CurvePair { method, random, n_labelled: &n_labelled, target: Some(target) })
            .collect();
        for metric in CurveMetric::ALL {
            let found = MetricFinding::of(metric, &pairs, 0.95).unwrap();
            let due = &case["metrics"][metric.id()];
            assert_all_close(&found.ratios, &numbers(&due["ratios"]), 1e-12, metric.id());
            let interval = found.interval.unwrap();
            assert_close(found.value, due["value"].as_f64().unwrap(), 1e-12, metric.id());
            assert_close(interval.lower, due["lower"].as_f64().unwrap(), 1e-8, metric.id());
            assert_close(interval.upper, due["upper"].as_f64().unwrap(), 1e-8, metric.id());
        }
        let needed = |runs: &[Vec<f64>]| -> Vec<f64> {
            runs.iter().map(|run| labels_needed(run, &n_labelled, target).unwrap()).collect()
        };
        let quartiles = all_pairs_quartiles(&needed(&method), &needed(&random)).unwrap();
        assert_all_close(&quartiles, &numbers(&case["quartiles"]), 1e-12, "quartiles");
        for (key, n) in [("share_1", 1), ("share_3", 3)] {
            let shares: Vec<f64> = random.iter().map(|r| area_share(r, n, n_steps).unwrap()).collect();
            assert_all_close(&shares, &numbers(&case[key]), 1e-12, key);
        }
    }
}

#[test]
fn max_t_with_missing_seeds_agrees() {
    for case in golden("max_t") {
        let blocks: Vec<Vec<Vec<Option<f64>>>> = case["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| {
                let cells = block.as_array().unwrap().iter();
                cells.map(|cell| cell.as_array().unwrap().iter().map(Value::as_f64).collect()).collect()
            })
            .collect();
        let found = max_t_by_seed(&blocks, 0).unwrap().concat();
        let of = |field: fn(&dal_eval::MaxTCell) -> f64| found.iter().map(field).collect::<Vec<f64>>();
        assert_all_close(&of(|c| c.p_greater), &numbers(&case["greater"]), 1e-12, "greater");
        assert_all_close(&of(|c| c.p_less), &numbers(&case["less"]), 1e-12, "less");
    }
}

#[test]
fn drawn_batches_agree() {
    for case in golden("lure") {
        let picks: Vec<usize> = numbers(&case["picks"]).into_iter().map(|i| i as usize).collect();
        let q = draw_probabilities(&numbers(&case["weights"]), &picks).unwrap();
        assert_all_close(&q, &numbers(&case["q"]), 1e-12, "q");
        let v = lure_weights(&q, case["n"].as_u64().unwrap() as usize).unwrap();
        let estimate = weighted_loss(&v, &numbers(&case["losses"])).unwrap();
        assert_close(estimate, case["estimate"].as_f64().unwrap(), 1e-11, "estimate");
    }
}
