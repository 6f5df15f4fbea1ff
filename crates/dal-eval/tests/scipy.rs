//! The statistics against SciPy's values (see `golden/README.md`).

use dal_eval::{
    Alternative, EvalError, average_ranks, geometric_mean, quantile, rank_correlation, sign_flip_test, t_interval,
    t_quantile, wilcoxon_signed_rank,
};
use serde_json::Value;

fn golden(section: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/scipy.json")).expect("golden file is JSON");
    let cases = all[section].as_array().expect("section of cases").clone();
    assert!(!cases.is_empty(), "{section}");
    cases
}

fn number(case: &Value, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("{key} in {case}"))
}

fn numbers(case: &Value, key: &str) -> Vec<f64> {
    case[key].as_array().unwrap_or_else(|| panic!("{key}")).iter().map(|v| v.as_f64().expect("number")).collect()
}

fn alternative(case: &Value) -> Alternative {
    match case["alternative"].as_str() {
        Some("less") => Alternative::Less,
        Some("greater") => Alternative::Greater,
        Some("two-sided") => Alternative::TwoSided,
        other => panic!("alternative {other:?}"),
    }
}

fn assert_close(ours: f64, theirs: f64, tolerance: f64, case: &Value) {
    assert!((ours - theirs).abs() <= tolerance * (1.0 + theirs.abs()), "ours {ours}, SciPy {theirs}: {case}");
}

#[test]
fn wilcoxon_signed_rank_agrees() {
    for case in golden("wilcoxon") {
        let test = wilcoxon_signed_rank(&numbers(&case, "differences"), alternative(&case)).unwrap();
        assert_eq!(test.exact, case["kind"] != "large");
        assert_close(test.p, number(&case, "p"), 1e-10, &case);
    }
}

#[test]
fn sign_flip_test_agrees() {
    for case in golden("sign_flip") {
        let p = sign_flip_test(&numbers(&case, "differences"), alternative(&case), 0).unwrap();
        assert_close(p, number(&case, "p"), 1e-12, &case);
    }
}

#[test]
fn t_quantiles_and_intervals_agree() {
    for case in golden("t_quantile") {
        assert_close(t_quantile(number(&case, "p"), number(&case, "df")).unwrap(), number(&case, "t"), 1e-8, &case);
    }
    for case in golden("t_interval") {
        let interval = t_interval(&numbers(&case, "values"), number(&case, "level")).unwrap();
        assert_close(interval.lower, number(&case, "lower"), 1e-9, &case);
        assert_close(interval.upper, number(&case, "upper"), 1e-9, &case);
    }
}

#[test]
fn spearman_agrees() {
    for case in golden("spearman") {
        match rank_correlation(&numbers(&case, "a"), &numbers(&case, "b")) {
            Ok(rho) => assert_close(rho, number(&case, "rho"), 1e-12, &case),
            // SciPy answers NaN for a constant input, which JSON does not hold.
            Err(EvalError::Undefined { .. }) => assert!(case["rho"].is_null(), "{case}"),
            Err(other) => panic!("{other}: {case}"),
        }
    }
}

#[test]
fn ranks_quantiles_and_geometric_means_agree() {
    for case in golden("ranks") {
        assert_eq!(average_ranks(&numbers(&case, "values")).unwrap(), numbers(&case, "ranks"));
    }
    for case in golden("quantile") {
        let ours = quantile(&numbers(&case, "values"), number(&case, "q")).unwrap();
        assert_close(ours, number(&case, "value"), 1e-14, &case);
    }
    for case in golden("geometric_mean") {
        let ours = geometric_mean(&numbers(&case, "values")).unwrap();
        assert_close(ours, number(&case, "value"), 1e-13, &case);
    }
}
