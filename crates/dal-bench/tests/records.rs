//! What the records of a sweep say beside the curves: what was learned, member by member and output by output, and what
//! uncertainty and auxiliary networks were worth.

mod common;

use std::fs;

use common::{built_in, options, plan, plan_with, small, store};
use dal_bench::{Plan, RunOptions, Silent, Sweep, run};
use dal_core::Stop;
use dal_store::{EntryRecord, PlannedLook, Run, Store};
use ndarray::Axis;

/// Every run of a store with its records.
fn records(store: &Store) -> Vec<(Run, Vec<EntryRecord>)> {
    let runs = store.runs().unwrap().map(Result::unwrap);
    runs.map(|run| (run.clone(), run.records().unwrap())).collect()
}

fn made(plan: &Plan) -> (tempfile::TempDir, Store) {
    let (dir, store) = store();
    let summary = run(plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert!(summary.failed.is_empty() && summary.left() == 0, "{summary:?}");
    (dir, store)
}

#[test]
fn every_entry_says_what_was_learned_whatever_chose_its_points() {
    let plan = plan(&small(&["random", "vary"]));
    let (_dir, store) = made(&plan);
    for (run, records) in records(&store) {
        let problem = plan.problems().iter().find(|p| p.problem().variant_id() == run.spec().problem.variant).unwrap();
        let labels = &problem.test_set().unwrap().y;
        let variance = labels.var_axis(Axis(0), 0.0);
        let of_test = run.test_labels().unwrap();
        assert_eq!((of_test.n, of_test.sd.len()), (labels.nrows(), labels.ncols()));
        assert!((of_test.variance - variance.mean().unwrap()).abs() < 1e-9 * of_test.variance);
        for record in &records {
            assert_eq!(record.learned, Some(record.errors.mse < of_test.variance));
            let errors = record.output_errors.as_ref().unwrap();
            let mse = errors.outputs.iter().map(|e| e.rmse * e.rmse).sum::<f64>() / errors.outputs.len() as f64;
            assert!((mse - record.errors.mse).abs() < 1e-9 * mse);
            for (error, variance) in errors.outputs.iter().zip(&variance) {
                assert!((error.r2.unwrap() - (1.0 - error.rmse * error.rmse / variance)).abs() < 1e-6);
            }
            assert!(errors.pooled.is_some());
            // Two members, also where the strategy asked for no model at all.
            assert_eq!(record.members.len(), 2);
            assert!(record.members.iter().all(|m| m.final_over_variance.is_some() && m.final_over_best >= Some(1.0)));
            let uncertainty = record.uncertainty.unwrap();
            assert!((0.0..=1.0).contains(&uncertainty.coverage_90) && uncertainty.crps > 0.0);
            assert!(uncertainty.rank_correlation.is_some_and(|r| (-1.0..=1.0).contains(&r)));
            assert_eq!(record.auxiliary, None);
        }
    }
}

#[test]
fn an_auxiliary_network_is_held_against_the_variance() {
    let (_dir, store) = made(&plan(&small(&["dropout"])));
    for (run, records) in records(&store) {
        for record in records {
            let auxiliary = record.auxiliary.unwrap();
            let due = record.auxiliary_mse.unwrap() / run.test_labels().unwrap().variance;
            assert!((auxiliary.over_variance.unwrap() - due).abs() < 1e-9 * due);
            assert_eq!(auxiliary.members.len(), 1);
            if let Some(choice) = record.choice {
                assert!(choice.score_error_correlation.is_some());
            }
        }
    }
}

#[test]
fn models_that_predict_a_constant_are_counted_and_named() {
    // A rate of next to nothing leaves every member where it began.
    let text = small(&["random"]).replace("epochs = 8", "epochs = 1\nlearning_rate = 1e-12");
    let (_dir, store) = store();
    let summary = run(&plan(&text), &store, &options(1), &Silent, &Stop::new()).unwrap();
    let learning = &summary.learning;
    assert_eq!((summary.finished, learning.known), (4, 4));
    assert_eq!(learning.members.trained, 4 * 3 * 2);
    assert!(learning.members.collapsed > 0 && learning.places.len() > 1, "{learning:?}");
    assert!(!learning.not_learned.is_empty());
    let names: Vec<String> = records(&store)
        .iter()
        .filter(|(_, records)| records.last().unwrap().learned == Some(false))
        .map(|(run, _)| run.directory().file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(learning.not_learned, names);
}

#[test]
fn failed_labels_say_where_they_lie_in_the_inputs_units() {
    let dir = tempfile::tempdir().unwrap();
    // Below a = 0.3 the output is not positive, which a logarithm cannot take.
    let row = |i: usize| {
        let a = i as f64 / 80.0;
        format!("{a},{},{}\n", ["steel", "brass"][i % 2], if a < 0.3 { -1.0 } else { 1.0 + a })
    };
    fs::write(dir.path().join("t.csv"), "a,metal,y\n".to_owned() + &(0..80).map(row).collect::<String>()).unwrap();
    let problem = "name = \"mine\"\ninputs = [{ name = \"a\", low = 0.0, high = 1.0 }, \
                   { name = \"metal\", levels = [\"steel\", \"brass\"] }]\n\
                   outputs = [{ name = \"y\", unit = \"mm\", transform = \"log\" }]\n[oracle.table]\nfile = \"t.csv\"\n";
    fs::write(dir.path().join("problem.toml"), problem).unwrap();
    let sweep = "name = \"s\"\nseeds = 1\n[protocol]\ninitial = 20\nqueries = 5\nsteps = 2\ntest_points = 20\n\
                 [training]\nepochs = 20\nmembers = 2\n[[problem]]\nid = \"problem.toml\"\n\
                 network = { hidden = [8], batch_norm = false }\n[[strategy]]\nid = \"qbc\"\n";
    let plan = Sweep::parse(sweep, dir.path().join("a.toml")).unwrap().resolve_with(&built_in()).unwrap();
    let (_kept, store) = store();
    run(&plan, &store, &RunOptions::default(), &Silent, &Stop::new()).unwrap();
    let (run, records) = self::records(&store).remove(0);
    let failed: Vec<_> = records.iter().flat_map(|record| &record.failed_labels).collect();
    assert!(!failed.is_empty());
    for label in failed {
        assert!(label.at[0].parse::<f64>().unwrap() < 0.3, "{label:?}");
        assert!(["steel", "brass"].contains(&label.at[1].as_str()) && label.at.len() == 2, "{label:?}");
    }
    // The spread is that of ln y; errors of the output are in its unit, the pooled figure is not.
    let sd = run.test_labels().unwrap().sd[0];
    assert!(sd < 0.3, "{sd}");
    for record in &records {
        let errors = record.output_errors.as_ref().unwrap();
        assert!(errors.pooled.is_some_and(|pooled| record.learned == Some(pooled.mse < 1.0)));
        assert!(record.uncertainty.is_some());
    }
    let words = &plan.record().own_problems["mine"];
    assert_eq!((words.outputs[0].unit.as_str(), words.outputs[0].transform.as_str()), ("mm", "log, standardised"));
}

#[test]
fn planned_looks_come_to_the_sweeps_record() {
    let text = small(&["random", "far"])
        .replace("seeds = 2", "seeds = 2\nlooks = [{ seeds = 1, level = 0.01 }, { seeds = 2, level = 0.04 }]");
    let plan = plan_with(&text, &common::Toys::default());
    let due = [PlannedLook { seeds: 1, level: 0.01 }, PlannedLook { seeds: 2, level: 0.04 }];
    assert_eq!(plan.record().looks, due);
    let (_dir, store) = made(&plan);
    assert_eq!(store.sweeps().unwrap()[0].as_ref().unwrap().looks, due);
}

/// Points of a small grid are drawn for the test set and for pools alike; rows of a table are kept apart.
#[test]
fn of_a_space_of_few_points_it_is_said_that_models_are_judged_on_learned_ones() {
    let dir = tempfile::tempdir().unwrap();
    let points = (1..=10).flat_map(|n| ["steel", "brass"].map(|metal| format!("{n},{metal},{}\n", 0.5 * f64::from(n))));
    fs::write(dir.path().join("t.csv"), "n,metal,y\n".to_owned() + &points.collect::<String>()).unwrap();
    let of = |high: &str, oracle: &str, test_points: usize| {
        let problem = format!(
            "name = \"mine\"\ninputs = [{{ name = \"n\", low = 1, high = {high}, integer = true }}, \
             {{ name = \"metal\", levels = [\"steel\", \"brass\"] }}]\noutputs = [{{ name = \"y\" }}]\n{oracle}"
        );
        fs::write(dir.path().join("problem.toml"), problem).unwrap();
        let sweep = format!(
            "name = \"s\"\nseeds = 1\n[protocol]\ninitial = 4\nqueries = 2\nsteps = 2\ntest_points = {test_points}\n\
             [[problem]]\nid = \"problem.toml\"\nnetwork = {{ hidden = [8], batch_norm = false }}\n\
             [[strategy]]\nid = \"random\"\n"
        );
        let plan = Sweep::parse(&sweep, dir.path().join("a.toml")).unwrap().resolve_with(&built_in()).unwrap();
        (plan.record().own_problems["mine"].n_points, plan.notes().join("; "))
    };
    let program = "[oracle.command]\nprogram = [\"true\"]\ntime_limit = 9.0\n";
    let (n, said) = of("10", program, 40);
    assert!(n == Some(20) && said.contains("has 20 points, so that up to 40 % of the test points"), "{n:?} {said}");
    let (n, said) = of("401", program, 40);
    assert!(n == Some(802) && !said.contains("test points"), "{n:?} {said}");
    let (n, said) = of("10", "[oracle.table]\nfile = \"t.csv\"\n", 10);
    assert!(n.is_none() && !said.contains("learned, too"), "{n:?} {said}");
}
