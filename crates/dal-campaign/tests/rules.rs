//! Rules that fill the space, searches for a network, points that were not tried, tables that a campaign begins with.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Hands, NETWORKS, Rig, begin};
use dal_campaign::words::{Cell, What};
use dal_campaign::{AskFor, CampaignError, CampaignFile, Folder, Guess, Hints, RunEnd, RunEvent, RunOptions, Status};
use dal_core::{LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Space, Stop};
use dal_files::Source;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

fn run(folder: &mut Folder, oracle: Arc<dyn Oracle>, budget: usize) -> Result<RunEnd, CampaignError> {
    let options = RunOptions { budget: Some(budget), in_batches: true, ..RunOptions::default() };
    folder.run(&options, &oracle, NETWORKS, &Stop::new(), &mut |_: &RunEvent| {})
}

/// The points of a round on the unit box.
fn units(folder: &Folder, rounds: std::ops::Range<usize>) -> Array2<f64> {
    let parts: Vec<Array2<f64>> = folder.state().rounds()[rounds]
        .iter()
        .flat_map(|round| &round.points)
        .map(|point| {
            let unit = folder.subject().unit(&point.x).unwrap();
            Array2::from_shape_vec((1, unit.len()), unit).unwrap()
        })
        .collect();
    concatenate(Axis(0), &parts.iter().map(Array2::view).collect::<Vec<_>>()).unwrap()
}

#[test]
fn passive_rules_go_on_from_round_to_round() {
    let sobol = |batch: usize, budget: usize| {
        let dir = tempfile::tempdir().unwrap();
        let change = |file: &mut CampaignFile| (file.strategy, file.batch) = ("sobol".into(), batch);
        let mut folder = begin(dir.path(), change, &Hands::default());
        assert_eq!(run(&mut folder, Arc::new(Rig::default()), budget).unwrap(), RunEnd::Budget);
        let n = folder.state().rounds().len();
        let rounds = &folder.state().rounds()[1..];
        assert!(rounds.iter().all(|round| round.rule == "sobol" && round.points.iter().all(|p| p.predicted.is_some())));
        units(&folder, 1..n)
    };
    // One sequence, however it is cut into rounds.
    let (small, large) = (sobol(4, 28), sobol(8, 28));
    assert_eq!((small.nrows(), &small), (16, &large));
    // Each quarter of a log range has its share of 16 points of one sequence.
    for quarter in 0..4 {
        let n = small.column(0).iter().filter(|v| ((**v + 1.0) * 2.0) as usize == quarter).count();
        assert!((3..=5).contains(&n), "{n}");
    }

    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.strategy = "lhs".into(), &Hands::default());
    run(&mut folder, Arc::new(Rig::default()), 16).unwrap();
    // Of the 16 strata of 12 known and 4 new points each new one has one that no other is in.
    let (known, new) = (units(&folder, 0..1), units(&folder, 1..2));
    let space: &Space = folder.subject().space();
    let stratum = |x: ArrayView2<'_, f64>| -> Vec<usize> {
        space.quantiles(x).unwrap().column(0).iter().map(|u| (u * 16.0) as usize).collect()
    };
    let (known, new) = (stratum(known.view()), stratum(new.view()));
    for (k, own) in new.iter().enumerate() {
        assert!(!known.contains(own) && !new[..k].contains(own), "{known:?} {new:?}");
    }
}

#[test]
fn a_random_draw_says_how_likely_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.strategy = "random".into(), &Hands::default());
    run(&mut folder, Arc::new(Rig::default()), 20).unwrap();
    for round in &folder.state().rounds()[1..] {
        for (place, point) in round.points.iter().enumerate() {
            assert_eq!(point.probability, Some(1.0 / (round.candidates.n - place) as f64));
        }
    }
    assert!(!folder.state().choice().unwrap().weighted, "even draws weigh alike");
    // A rule that draws by disagreement says it too, and errors are weighted by it.
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.strategy = "power-qbc".into(), &Hands::default());
    run(&mut folder, Arc::new(Rig::default()), 24).unwrap();
    let drawn = folder.state().rounds()[1..].iter().flat_map(|round| &round.points);
    assert!(drawn.map(|point| point.probability.unwrap()).all(|p| p > 0.0 && p < 1.0));
    assert!(folder.state().choice().unwrap().weighted && folder.state().rounds()[2].errors.as_ref().unwrap().weighted);
}

#[test]
fn a_table_gives_a_passive_rule_its_nearest_rows() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|i| format!("{i},{}\n", i * i)).collect();
    std::fs::write(dir.path().join("t.csv"), format!("a,y\n{rows}")).unwrap();
    let problem =
        "name = \"t\"\n[[inputs]]\nname = \"a\"\n[[outputs]]\nname = \"y\"\n[oracle.table]\nfile = \"t.csv\"\n";
    std::fs::write(dir.path().join("problem.toml"), problem).unwrap();
    for strategy in ["sobol", "lhs"] {
        let root = dir.path().join(strategy);
        std::fs::create_dir(&root).unwrap();
        let plain = CampaignFile::new("../problem.toml", 1).choosing_by(strategy);
        let file = CampaignFile { initial: 5, batch: 8, ..plain };
        let mut folder = Folder::begin(&root, &file, Hands::default().clock()).unwrap();
        let oracle = Arc::clone(folder.subject().problem().oracle().unwrap());
        assert_eq!(run(&mut folder, oracle, 21).unwrap(), RunEnd::Budget);
        let mut x: Vec<String> = folder.state().points().map(|point| point.x[0].to_string()).collect();
        x.sort();
        x.dedup();
        assert_eq!(x.len(), 21);
    }
}

#[test]
fn a_list_holds_the_only_points_that_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..30).map(|i| format!("{},{},{}\n", ["wood", "steel"][i % 2], i + 1, 2 + i % 5)).collect();
    std::fs::write(dir.path().join("list.csv"), format!("material,speed,blades\n{rows}")).unwrap();
    let change = |file: &mut CampaignFile| file.candidate_list = Some("list.csv".into());
    let mut folder = begin(dir.path(), change, &Hands::default());
    assert_eq!(run(&mut folder, Arc::new(Rig::default()), 100).unwrap(), RunEnd::Exhausted);
    let mut speeds: Vec<String> = folder.state().points().map(|point| point.x[0].to_string()).collect();
    speeds.sort_by_key(|speed| speed.parse::<f64>().unwrap() as i64);
    speeds.dedup();
    assert_eq!(speeds, (1..=30).map(|i| i.to_string()).collect::<Vec<_>>());
    drop(folder);
    std::fs::write(dir.path().join("list.csv"), format!("material,speed,blades\nbrass,1,2\n{rows}")).unwrap();
    let error = Folder::read(dir.path(), Hands::default().clock()).unwrap_err().to_string();
    assert!(error.contains("list.csv") && error.contains("brass"), "{error}");
}

#[test]
fn held_inputs_and_constraints_hold_for_passive_rules() {
    for strategy in ["sobol", "lhs"] {
        let dir = tempfile::tempdir().unwrap();
        let change = |file: &mut CampaignFile| {
            (file.strategy, file.constraints) = (strategy.into(), vec!["speed * blades <= 60".into()]);
        };
        let mut folder = begin(dir.path(), change, &Hands::default());
        run(&mut folder, Arc::new(Rig::default()), 20).unwrap();
        let fixed = vec![("material".to_owned(), Cell::Level("wood".into()))];
        let wanted = AskFor { n: Some(6), fixed, ..AskFor::default() };
        let asked = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
        assert!(asked.points.len() == 6 && asked.points.iter().all(|point| point.x[2] == Cell::Level("wood".into())));
        for point in folder.state().points() {
            let (Cell::Number(speed), Cell::Number(blades)) = (&point.x[0], &point.x[1]) else { panic!("numbers") };
            assert!(speed * blades <= 60.0);
        }
    }
}

/// Answers one point a call and then ends, so that the others of the call were not tried; the first call answers none.
#[derive(Debug, Default)]
struct OneACall {
    calls: AtomicUsize,
    /// Calls that try nothing.
    idle: usize,
}

impl Oracle for OneACall {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        for row in 0..x.nrows() {
            let kind = match row {
                0 if call % 2 == 1 => LabelFailureKind::Crashed,
                _ => LabelFailureKind::NotTried,
            };
            let flow: ControlFlow<()> = match row {
                0 if call >= self.idle && call.is_multiple_of(2) => on_row(row, Ok(&[1.0, x[[0, 0]]])),
                _ => on_row(row, Err(LabelFailure::new(kind, "at an earlier point"))),
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn what_was_not_tried_uses_up_no_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.attempts = 2, &Hands::default());
    let oracle = Arc::new(OneACall::default());
    assert_eq!(run(&mut folder, oracle.clone(), 12).unwrap(), RunEnd::Budget);
    // Every point was tried: half of the calls crash at a point, which is tried once more at the next call and answers.
    assert!(folder.state().points().all(|point| point.status() == Status::Done && point.losses <= 1));
    assert_eq!(oracle.calls.load(Ordering::SeqCst), 24 - 1);
    // Calls that try nothing at all would go on for ever.
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let error = run(&mut folder, Arc::new(OneACall { idle: 1, ..OneACall::default() }), 12).unwrap_err();
    assert!(matches!(error, CampaignError::Down { n: 12, .. }), "{error}");
}

/// A program that crashes in half of the space, every time; it may know whether it works at all.
#[derive(Debug)]
struct Corner {
    watches_itself: bool,
}

impl Oracle for Corner {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        for (row, point) in x.outer_iter().enumerate() {
            let crash = LabelFailure::new(LabelFailureKind::Crashed, "segmentation fault");
            let answer = [1.0 + point[0], 2.0];
            if on_row(row, if point[0] > 0.0 { Err(crash) } else { Ok(&answer) }).is_break() {
                break;
            }
        }
        Ok(())
    }
    fn watches_itself(&self) -> bool {
        self.watches_itself
    }
}

/// What crashes is tried again together, three times in all: a program that can tell is not called down for that.
#[test]
fn points_that_crash_again_and_again_end_no_run_of_an_oracle_that_watches_itself() {
    let of = |watches_itself: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = begin(dir.path(), |file| file.attempts = 3, &Hands::default());
        let end = run(&mut folder, Arc::new(Corner { watches_itself }), 24);
        (end, folder.state().points().filter(|point| point.status() == Status::Failed).count())
    };
    let (end, failed) = of(true);
    assert!(matches!(end, Ok(RunEnd::Budget)) && (4..20).contains(&failed), "{failed}");
    assert!(matches!(of(false).0, Err(CampaignError::Down { .. })));
}

#[test]
fn a_wider_search_is_said_and_used_and_stands_beside_the_ladder_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    assert!(folder.tune(2, 1, &Stop::new(), &mut |_| {}).unwrap_err().to_string().contains("no labels yet"));
    run(&mut folder, Arc::new(Rig::default()), 12).unwrap();
    let mut events = Vec::new();
    let tuned = folder.tune(2, 1, &Stop::new(), &mut |event| events.push(event.clone())).unwrap();
    let last = events.last().unwrap();
    assert!(last.done == last.of && events.len() == last.of && tuned.n_networks >= 5, "{events:?}");
    assert_eq!(folder.state().choice(), Some(&tuned.choice));
    assert_eq!(tuned.choice.tuned.as_ref(), Some(tuned.choice.model()));
    let said = folder.words().iter().filter(|word| matches!(word.what, What::Chosen(_))).count();
    assert_eq!(said, 1);
    // The next round is drawn by it; a later choice has it among its rungs.
    run(&mut folder, Arc::new(Rig::default()), 16).unwrap();
    assert_eq!(folder.state().choice(), Some(&tuned.choice));
    run(&mut folder, Arc::new(Rig::default()), 24).unwrap();
    let later = folder.state().choice().unwrap();
    assert!(later.n_labelled > 12 && later.rungs.len() <= 6 && later.tuned == tuned.choice.tuned);
    assert!(later.rungs.iter().any(|rung| Some(&rung.model) == later.tuned.as_ref()));
    let reopened = {
        drop(folder);
        Folder::read(dir.path(), Hands::default().clock()).unwrap()
    };
    assert_eq!(reopened.state().choice().unwrap().tuned, tuned.choice.tuned);
}

#[test]
fn a_table_becomes_a_campaign_with_its_rows_as_answers() {
    let dir = tempfile::tempdir().unwrap();
    let table = "day;speed;blades;material;drag\n\
        monday;1,5;2;steel;3,5\ntuesday;100,5;3;wood;4\nwednesday;10;4;steel;failed\nthursday;;2;wood;1\n\
        friday;1,5;2;steel;3,7\nsaturday;2;2;wood;\n";
    let guess = Guess::of(Source::from_bytes("lab.csv", table), &Hints::default()).unwrap();
    std::fs::write(dir.path().join("problem.toml"), guess.text(&guess.name())).unwrap();
    let mut folder =
        Folder::begin(dir.path(), &CampaignFile::new("problem.toml", 3), Hands::default().clock()).unwrap();
    let (heard, left) = folder.tell_guess(&guess).unwrap();
    assert_eq!((heard.answers, heard.failed, heard.adopted, heard.empty), (3, 1, 3, 1));
    assert_eq!((left.no_input, left.no_answer), (vec!["line 5 (speed has no value)".into()], vec!["line 7".into()]));
    // The same point measured twice is a replicate.
    assert_eq!(folder.state().point(1).unwrap().answers, [[3.5], [3.7]]);
    assert_eq!((folder.subject().names().join(" "), folder.standing().labels), ("speed blades material".into(), 3));
    // The file may be corrected: the other words of the level are found again, and wider bounds keep the points.
    let text = std::fs::read_to_string(dir.path().join("problem.toml")).unwrap();
    let wider = text.replace("high = 100.5", "high = 200.0").replace("\"wood\"]", "\"wood\", \"brass\"]");
    assert_ne!(wider, text);
    std::fs::write(dir.path().join("problem.toml"), wider).unwrap();
    drop(folder);
    assert_eq!(Folder::read(dir.path(), Hands::default().clock()).unwrap().standing().labels, 3);
}

#[test]
fn rows_without_a_value_of_an_input_are_left_out_and_levels_called_none_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let table = "coating,speed,y\nzinc,1.5,3\nnone,2,4\nNA,3,5\nnone,nan,6\nzinc,inf,7\nzinc,4,nan\n";
    let guess = Guess::of(Source::from_bytes("lab.csv", table), &Hints::default()).unwrap();
    std::fs::write(dir.path().join("problem.toml"), guess.text(&guess.name())).unwrap();
    let file = CampaignFile::new("problem.toml", 3);
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    let (heard, left) = folder.tell_guess(&guess).unwrap();
    assert_eq!((heard.answers, heard.failed, folder.subject().names().join(" ")), (2, 1, "coating speed".into()));
    let due =
        ["line 4 (coating has no value)", "line 5 (speed is no finite number)", "line 6 (speed is no finite number)"];
    assert_eq!(left.no_input, due);
}

/// Fails where the first column is beyond a half.
#[derive(Debug)]
struct Cliff;

impl Oracle for Cliff {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        for (row, point) in x.outer_iter().enumerate() {
            let failed = LabelFailure::new(LabelFailureKind::Refused, "beyond the cliff");
            let values = [point[0] + point[1], point[2]];
            if on_row(row, if point[0] > 0.4 { Err(failed) } else { Ok(&values) }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn where_points_fail_few_more_are_risked() {
    let dir = tempfile::tempdir().unwrap();
    let change = |file: &mut CampaignFile| (file.initial, file.batch, file.candidates) = (40, 10, 1000);
    let mut folder = begin(dir.path(), change, &Hands::default());
    run(&mut folder, Arc::new(Cliff), 80).unwrap();
    let failed = |points: &mut dyn Iterator<Item = u64>| {
        points.filter(|id| folder.state().point(*id).unwrap().status() == Status::Failed).count()
    };
    let first = failed(&mut (1..=40));
    assert!((8..=16).contains(&first), "{first}");
    let later = failed(&mut (41..=80));
    assert!(later <= 16, "{later} of 40");
    assert!(folder.state().rounds()[1..].iter().all(|round| round.candidates.thinned.as_ref().unwrap().n > 100));
}

#[test]
fn a_rule_that_draws_is_less_likely_to_draw_where_points_fail() {
    let dir = tempfile::tempdir().unwrap();
    let change = |file: &mut CampaignFile| {
        (file.initial, file.batch, file.strategy) = (40, 6, "power-qbc".into());
    };
    let mut folder = begin(dir.path(), change, &Hands::default());
    run(&mut folder, Arc::new(Cliff), 46).unwrap();
    let round = folder.state().rounds().last().unwrap();
    assert!(round.candidates.weighted.is_some_and(|auc| auc > 0.7) && round.candidates.thinned.is_none());
    // No pick is below the uniform share of a quarter, but for what the picks before it took away.
    for (place, point) in round.points.iter().enumerate() {
        assert!(point.probability.unwrap() * (round.candidates.n - place) as f64 > 0.24);
    }
    assert_eq!(folder.estimates().rounds.len(), 1);
}
