//! Space-filling designs in physical values: strata, constraints, small spaces, seeds.

mod common;

use std::collections::HashSet;
use std::fs;

use dal_campaign::constraints::Constraint;
use dal_campaign::design::{Method, design};
use dal_campaign::words::Cell;
use dal_campaign::{CampaignError, Subject};

const METHODS: [Method; 3] = [Method::Lhs, Method::Sobol, Method::Uniform];

fn subject(text: &str) -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("problem.toml");
    fs::write(&path, text).unwrap();
    Subject::open(&path).unwrap()
}

fn constraint(subject: &Subject, text: &str) -> Vec<Constraint> {
    vec![Constraint::parse(text, subject.names(), subject.levels()).unwrap()]
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Number(v) => *v,
        Cell::Level(level) => panic!("{level}"),
    }
}

#[test]
fn every_stratum_of_every_input_has_its_point() {
    let subject = subject(common::PROBLEM);
    for method in [Method::Lhs, Method::Sobol] {
        let points = design(&subject, &[], 32, method, 1).unwrap();
        assert_eq!(points.len(), 32);
        // The speed lies on a log scale from 1 to 100.
        let strata: HashSet<usize> = points.iter().map(|x| (number(&x[0]).log10() / 2.0 * 32.0) as usize).collect();
        assert_eq!(strata.len(), 32, "{method:?}");
        for blades in 2..=6 {
            let n = points.iter().filter(|x| number(&x[1]) == f64::from(blades)).count();
            assert!((5..=8).contains(&n), "{method:?}: {n} of {blades}");
        }
        assert_eq!(points.iter().filter(|x| x[2] == Cell::Level("wood".into())).count(), 16);
    }
    for method in METHODS {
        let of = |seed| design(&subject, &[], 20, method, seed).unwrap();
        assert!(of(1) == of(1) && of(1) != of(2), "{method:?}");
    }
}

#[test]
fn constraints_are_met_and_rare_ones_refused() {
    let subject = subject(common::PROBLEM);
    let held = constraint(&subject, "speed * blades <= 60 and not (material == 'wood' and blades > 4)");
    for method in METHODS {
        let points = design(&subject, &held, 50, method, 3).unwrap();
        assert_eq!(points.len(), 50, "{method:?}");
        assert!(points.iter().all(|x| held[0].holds(x)));
        let rare = constraint(&subject, "speed > 99.99 and blades == 3");
        let error = design(&subject, &rare, 5, method, 3);
        assert!(
            matches!(&error, Err(CampaignError::Request { message }) if message.contains("one in 1000")),
            "{error:?}"
        );
    }
}

#[test]
fn a_space_of_few_points_gives_each_of_them_once() {
    let subject = subject(&common::PROBLEM.replace("low = 1\nhigh = 100\nscale = \"log\"", "levels = [\"u\", \"v\"]"));
    let held = constraint(&subject, "blades < 4 or material == 'wood'");
    for method in METHODS {
        for seed in 0..5 {
            for (n, constraints, due) in
                [(15, &[][..], 15), (20, &[], 20), (100, &[], 20), (13, &held, 13), (99, &held, 14)]
            {
                let points = design(&subject, constraints, n, method, seed).unwrap();
                let different: HashSet<String> = points.iter().map(|x| format!("{x:?}")).collect();
                assert_eq!((points.len(), different.len()), (due, due), "{method:?}, {n}, seed {seed}");
                assert!(points.iter().all(|x| constraints.iter().all(|c| c.holds(x))));
            }
        }
    }
    // What is added to a sequence does not depend on how many points are wanted.
    let of = |n| design(&subject, &[], n, Method::Sobol, 1).unwrap();
    let all = of(20);
    assert!((1..20).all(|n| of(n) == all[..n]));
}

#[test]
fn whole_numbers_that_fall_together_are_made_up_for() {
    let text = |high: i64, scale: &str| {
        format!(
            "name = \"small\"\n[[inputs]]\nname = \"b\"\ninteger = true\nlow = 1\nhigh = {high}\n\
             scale = \"{scale}\"\n[[inputs]]\nname = \"c\"\nlevels = [\"u\", \"v\"]\n[[outputs]]\nname = \"y\"\n"
        )
    };
    for (high, scale, n) in [
        (3, "linear", 6),
        (10, "linear", 15),
        (10, "linear", 20),
        (1001, "linear", 300),
        (1001, "linear", 2002),
        (1001, "log", 2002),
        // Too many to list beside so few points.
        (2_000_000, "log", 4000),
    ] {
        let subject = subject(&text(high, scale));
        for method in METHODS {
            let points = design(&subject, &[], n, method, 0).unwrap();
            let different: HashSet<String> = points.iter().map(|x| format!("{x:?}")).collect();
            assert_eq!((points.len(), different.len()), (n, n), "{method:?}: {n} of 1 to {high}, {scale}");
            assert!(points == design(&subject, &[], n, method, 0).unwrap());
        }
    }
    // A point that is added to a hypercube is far from its others.
    let subject = subject(&text(1001, "linear"));
    let points = design(&subject, &[], 300, Method::Lhs, 0).unwrap();
    let gap = |at: usize| {
        let others = points.iter().enumerate().filter(|(k, x)| *k != at && x[1] == points[at][1]);
        others.map(|(_, x)| (number(&x[0]) - number(&points[at][0])).abs()).fold(f64::INFINITY, f64::min)
    };
    assert!(gap(298) >= 3.0 && gap(299) >= 3.0, "{} {}", gap(298), gap(299));
}
