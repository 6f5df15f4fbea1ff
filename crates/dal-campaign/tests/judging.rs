//! What judges a model where a campaign is not smooth: outputs that do not vary, answers that no model can learn,
//! corrections, domains and rules that change on the way.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Hands, PROBLEM, Rig, begin};
use dal_campaign::words::{Candidates, Cell, Drawn};
use dal_campaign::{
    AskFor, CampaignFile, Folder, Judge, Otherwise, Part, RunEnd, RunEvent, RunOptions, Target, Trainer,
};
use dal_core::{FitJob, Labelled, LearnError, Learner, Oracle, Stop, Surrogate, SurrogateError};
use dal_files::Source;
use ndarray::{Array2, ArrayView2};

/// Predicts the label of the nearest labelled point.
#[derive(Debug)]
struct Nearest(Labelled);

impl Surrogate for Nearest {
    fn n_inputs(&self) -> usize {
        self.0.n_inputs()
    }
    fn n_outputs(&self) -> usize {
        self.0.n_outputs()
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let mut mean = Array2::zeros((x.nrows(), self.0.n_outputs()));
        for (point, mut to) in x.outer_iter().zip(mean.outer_iter_mut()) {
            let gap = |i: usize| (&self.0.x().row(i) - &point).mapv(|v| v * v).sum();
            let near = (0..self.0.len()).min_by(|&a, &b| gap(a).total_cmp(&gap(b))).unwrap();
            to.assign(&self.0.y().row(near));
        }
        Ok(mean)
    }
}

struct NearestLearner;

impl Learner for NearestLearner {
    fn platform(&self) -> String {
        "nearest".into()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        jobs.iter().map(|job| Ok(Box::new(Nearest(job.labelled.clone())) as Box<dyn Surrogate>)).collect()
    }
}

const NEAREST: Trainer<'static> = Trainer::Own(&NearestLearner);

/// A campaign that draws at random.
fn random(root: &Path, change: impl FnOnce(&mut CampaignFile)) -> Folder {
    let random = |file: &mut CampaignFile| {
        file.strategy = "random".into();
        change(file);
    };
    begin(root, random, &Hands::default())
}

/// Opens a campaign anew with other settings.
fn changed(folder: Folder, change: impl FnOnce(&mut CampaignFile)) -> Folder {
    let (root, mut file) = (folder.root().to_owned(), folder.settings().clone());
    drop(folder);
    change(&mut file);
    fs::write(root.join("campaign.toml"), file.text()).unwrap();
    Folder::write(&root, Hands::default().clock()).unwrap()
}

fn ask(folder: &mut Folder, n: usize) -> Vec<Drawn> {
    folder.ask(&AskFor { n: Some(n), ..AskFor::default() }, NEAREST, &Stop::new()).unwrap().points
}

fn tell(folder: &mut Folder, points: &[Drawn], answer: impl Fn(&Drawn) -> String) {
    let rows: String = points.iter().map(|point| format!("{},{}\n", point.id, answer(point))).collect();
    folder.tell(Source::from_bytes("y.csv", format!("id,thrust,noise\n{rows}")), Otherwise::Refuse).unwrap();
}

/// Two outputs that vary.
fn smooth(point: &Drawn) -> String {
    let (Cell::Number(speed), Cell::Number(blades)) = (&point.x[0], &point.x[1]) else { panic!("numbers") };
    format!("{:?},{:?}", speed.ln() * blades, 3.0 * blades + speed)
}

fn round(folder: &mut Folder, n: usize, answer: impl Fn(&Drawn) -> String) -> Vec<Drawn> {
    let points = ask(folder, n);
    tell(folder, &points, answer);
    points
}

fn run(folder: &mut Folder, budget: usize) -> RunEnd {
    let options = RunOptions { budget: Some(budget), in_batches: true, ..RunOptions::default() };
    let rig: Arc<dyn Oracle> = Arc::new(Rig::default());
    folder.run(&options, &rig, NEAREST, &Stop::new(), &mut |_: &RunEvent| {}).unwrap()
}

#[test]
fn an_output_that_does_not_vary_is_left_out_until_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = random(dir.path(), |_| {});
    let flat = |point: &Drawn| format!("{},0.1", smooth(point).split(',').next().unwrap());
    for _ in 0..2 {
        round(&mut folder, 12, flat);
    }
    assert_eq!(folder.left_out(), [(1, false)]);
    let estimate = &folder.estimates().rounds[0];
    let sd = folder.spread()[0].1.unwrap();
    let (relative, thrust) = (estimate.relative.unwrap().rmse, estimate.outputs[0].rmse / sd);
    assert!((relative / thrust - 1.0).abs() < 1e-12, "{relative} {thrust}");
    // The design says nothing of its spread: then all answers do.
    round(&mut folder, 12, smooth);
    assert!(folder.left_out().is_empty() && folder.spread()[1].1.is_some());
    let after = folder.spread()[0].1.unwrap();
    assert_eq!(after, sd, "that of the other output stands");
}

#[test]
fn a_rule_that_saw_what_is_taken_back_looks_again() {
    let dir = tempfile::tempdir().unwrap();
    let end = |name: &str| {
        let change = |file: &mut CampaignFile| (file.batch, file.target) = (10, Some(Target::Relative(1e3)));
        let mut folder = random(&dir.path().join(name), change);
        assert_eq!(run(&mut folder, 80), RunEnd::Rule);
        assert!(folder.state().ended().is_some());
        folder
    };
    let mut folder = end("a");
    folder.undo().unwrap();
    assert!(folder.state().ended().is_none());
    // One of the last round's ten answers is open again.
    assert_eq!(folder.look(&Target::Relative(1e3), None).unwrap().rounds, 2);

    let mut folder = end("b");
    let row = Source::from_bytes("y.csv", "id,thrust,noise\n20,1e9,1e9\n");
    folder.tell(row, Otherwise::Correct).unwrap();
    assert!(folder.state().ended().is_none());
}

#[test]
fn another_domain_is_judged_by_rounds_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let change = |file: &mut CampaignFile| (file.batch, file.target) = (10, Some(Target::Relative(1e3)));
    let mut folder = random(dir.path(), change);
    assert_eq!(run(&mut folder, 80), RunEnd::Rule);
    let before = folder.estimates();
    assert_eq!((before.rounds.len(), &*before.rounds[0].domain), (3, "the whole space"));
    drop(folder);
    fs::write(dir.path().join("problem.toml"), PROBLEM.replace("high = 100", "high = 1000")).unwrap();
    let mut folder = Folder::write(dir.path(), Hands::default().clock()).unwrap();
    let target = Target::Relative(1e3);
    let look = folder.look(&target, None).unwrap();
    assert_eq!((folder.rounds_elsewhere(), look.rounds, look.fires()), (3, 0, false));
    assert!(folder.estimates().rounds.is_empty() && folder.gain(1).is_none());
    // What ended the run was of the other domain.
    assert_eq!(run(&mut folder, 80), RunEnd::Rule);
    assert_eq!((folder.estimates().rounds.len(), folder.state().rounds().len()), (3, 7));
    // The earlier one again, and one with a constraint, which has none.
    drop(folder);
    fs::write(dir.path().join("problem.toml"), PROBLEM).unwrap();
    let folder = Folder::write(dir.path(), Hands::default().clock()).unwrap();
    assert_eq!(folder.estimates().rounds.len(), 3);
    let folder = changed(folder, |file| file.constraints = vec!["speed * blades <= 60".into()]);
    assert_eq!((folder.rounds_elsewhere(), folder.estimates().rounds.len()), (6, 0));
    // A log of before says nothing of its domain, which counts as the present one.
    let old: Candidates = serde_json::from_str(r#"{"n": 3, "stream": "s", "drawn": 3}"#).unwrap();
    assert_eq!(old.domain, "");
    assert_eq!(serde_json::to_string(&old).unwrap(), r#"{"n":3,"stream":"s","drawn":3}"#);
}

#[test]
fn answers_that_no_model_can_learn_and_rounds_of_failures_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("problem.toml"),
        PROBLEM.replace("name = \"thrust\"", "name = \"thrust\"\ntransform = \"log\""),
    )
    .unwrap();
    let file = CampaignFile {
        initial: 12,
        batch: 4,
        candidates: 200,
        held_out: Some(0.5),
        ..CampaignFile::new("problem.toml", 3).choosing_by("random")
    };
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    let positive = |point: &Drawn| format!("{},2", 1.0 + point.id as f64);
    round(&mut folder, 12, positive);
    let points = ask(&mut folder, 24);
    let bad = [points[0].id, points[12].id];
    tell(&mut folder, &points, |point| if bad.contains(&point.id) { "0,2".into() } else { positive(point) });
    let estimate = folder.estimates().rounds[0].clone();
    assert_eq!((estimate.answered, estimate.failed, estimate.open), (11, 1, 0));
    assert!(estimate.relative.unwrap().rmse.is_finite() && estimate.answered_share.share < 1.0);
    // Nor are they shown beside what was predicted.
    let history = folder.history();
    assert!(history.foretold.len() == 22 && history.foretold.iter().all(|of| !bad.contains(&of.id)));
    assert!(history.trend[0].foretold.iter().flatten().all(|error| error.is_finite()));
    let model = folder.model(NEAREST, &Stop::new()).unwrap();
    let found = folder.held_out(&model).unwrap().unwrap();
    assert_eq!((found.answered, found.failed), (11, 1));
    assert!(found.relative.is_some_and(|relative| relative.interval.is_some()));
    // The second output does not vary, so that all of them together are the first one, in its logarithm.
    assert_eq!((estimate.scaled, found.scaled), (vec![estimate.relative, None], vec![found.relative, None]));
    // A round without a single answer stays, and says so.
    round(&mut folder, 8, |_| "error: stalled,".into());
    let estimates = folder.estimates();
    let last = estimates.rounds.last().unwrap();
    assert_eq!((last.round, last.answered, last.failed, last.outputs.len()), (2, 0, 4, 0));
    assert!(last.relative.is_none() && last.answered_share.share == 0.0);
    assert_eq!(estimates.pooled_of(&[]).unwrap().models, 1);
}

#[test]
fn a_model_is_that_of_its_labels_in_whatever_order_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let models: Vec<String> = [false, true]
        .into_iter()
        .map(|backwards| {
            let mut folder = random(&dir.path().join(backwards.to_string()), |file| file.initial = 12);
            let mut points = ask(&mut folder, 12);
            if backwards {
                points.reverse();
            }
            for point in points.iter().filter(|point| point.id != 5) {
                tell(&mut folder, std::slice::from_ref(point), smooth);
            }
            folder.model(NEAREST, &Stop::new()).unwrap().name
        })
        .collect();
    assert_eq!(models[0], models[1]);
}

#[test]
fn gains_are_of_one_judge_and_rules_see_no_audit() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = random(dir.path(), |file| file.initial = 12);
    for n in [12, 8, 8] {
        round(&mut folder, n, smooth);
    }
    assert!(folder.gain(1).is_some());
    // From now on points are held out, and the rule does not draw.
    let mut folder = changed(folder, |file| (file.strategy, file.held_out) = ("gsx".into(), Some(0.5)));
    let wanted = AskFor { n: Some(8), ..AskFor::default() };
    let asked = folder.would_ask(&wanted, NEAREST, &Stop::new()).unwrap();
    let points = round(&mut folder, 8, smooth);
    let apart = |folder: &Folder, id: u64| folder.state().point(id).unwrap().part == Part::HeldOut;
    assert_eq!((asked.held_out.len(), points.len()), (4, 8));
    assert!(points.iter().all(|point| apart(&folder, point.id) == asked.held_out.contains(&point.id)));
    assert_eq!(folder.gain(1), None, "one round says nothing of a gain");
    round(&mut folder, 8, smooth);
    let spread = folder.spread();
    let errors: Vec<f64> = folder.state().rounds()[3..]
        .iter()
        .map(|round| {
            let losses = round.held_out.iter().flat_map(|drawn| {
                let answer = &folder.state().point(drawn.id).unwrap().answers[0];
                let predicted = &drawn.predicted.as_ref().unwrap().mean;
                let gaps: Vec<f64> =
                    (0..2).map(|j| (predicted[j] - answer[j]).powi(2) / spread[j].1.unwrap().powi(2)).collect();
                gaps
            });
            (losses.sum::<f64>() / 8.0).sqrt()
        })
        .collect();
    let gain = folder.gain(1).unwrap();
    assert!((gain.before - errors[0]).abs() < 1e-12 && (gain.now - errors[1]).abs() < 1e-12, "{gain:?} {errors:?}");
    assert_eq!(folder.gain(2), None, "the draws of before are another judge");

    let look = |folder: &Folder| {
        let model = folder.model(NEAREST, &Stop::new()).unwrap();
        folder.look(&Target::Relative(1e3), Some(&model)).unwrap()
    };
    let before = look(&folder);
    assert_eq!((before.rounds, before.judge), (2, Judge::HeldOut { answered: 8 }));
    folder.begin_audit(12).unwrap();
    let points = folder.hand_out_audit().unwrap();
    tell(&mut folder, &points, |_| "1e6,1e6".into());
    assert_eq!(look(&folder), before);
    // Rounds without a point that judges count for none.
    while folder.state().rounds().last().unwrap().points.len() != 1 {
        round(&mut folder, 1, smooth);
    }
    assert_eq!(look(&folder).rounds - before.rounds, 0);
    // From the first look on each round brings another model, and a look of its own, be a point held out in it or not.
    let ks: Vec<usize> = (0..14)
        .map(|_| {
            round(&mut folder, 1, smooth);
            look(&folder).k
        })
        .collect();
    let first = ks.iter().position(|k| *k > 0).unwrap();
    assert!(ks[first..].iter().copied().eq(1..=14 - first), "{ks:?}");
    let apart = folder.state().rounds().iter().rev().take(14 - first).filter(|round| !round.held_out.is_empty());
    assert!(apart.count() < 14 - first);
}

#[test]
fn failures_of_audits_thin_no_candidates() {
    let dir = tempfile::tempdir().unwrap();
    let change = |file: &mut CampaignFile| (file.initial, file.strategy) = (30, "gsx".into());
    let mut folder = begin(dir.path(), change, &Hands::default());
    round(&mut folder, 30, smooth);
    folder.begin_audit(30).unwrap();
    let points = folder.hand_out_audit().unwrap();
    let fails = |point: &Drawn| match &point.x[0] {
        Cell::Number(speed) if *speed > 10.0 => "error: stalled,".to_owned(),
        _ => smooth(point),
    };
    tell(&mut folder, &points, fails);
    ask(&mut folder, 4);
    assert_eq!(folder.state().rounds().last().unwrap().candidates.thinned, None);
}

#[test]
fn a_list_is_named_with_its_rows_that_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|i| format!("{},{},wood\n", 1.0 + f64::from(i) / 60.0, 2 + i % 3)).collect();
    fs::write(dir.path().join("list.csv"), format!("speed,blades,material\n{rows}")).unwrap();
    let change = |file: &mut CampaignFile| (file.candidate_list, file.held_out) = (Some("list.csv".into()), Some(0.5));
    let mut folder = random(dir.path(), change);
    round(&mut folder, 12, smooth);
    round(&mut folder, 8, smooth);
    let estimate = &folder.estimates().rounds[0];
    assert_eq!(estimate.domain, "the 44 rows of list.csv that were not asked for");
    let found = folder.held_out(&folder.model(NEAREST, &Stop::new()).unwrap()).unwrap().unwrap();
    assert_eq!(found.domain, "the 44 rows of list.csv that were not learned");
    let folder = changed(folder, |file| file.candidate_list = None);
    assert_eq!((folder.rounds_elsewhere(), folder.estimates().rounds.len()), (1, 0));
}

#[test]
fn rows_at_full_precision_on_a_logarithmic_scale_are_asked_for_once() {
    let speeds: Vec<f64> =
        (0..70).map(|i| 10f64.powf(2.0 * (f64::from(i) * 0.618_033_988_749_894_9).fract())).collect();
    let row = |(i, speed): (usize, &f64)| format!("{speed:?},{},{}", 2 + i % 5, ["steel", "wood"][i % 2]);
    let rows: Vec<String> = speeds.iter().enumerate().map(row).collect();
    for listed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        // Of a sample a row may be there twice.
        fs::write(dir.path().join("rows.csv"), format!("speed,blades,material\n{}\n", rows.join("\n"))).unwrap();
        let mut folder = random(dir.path(), |file| {
            file.held_out = Some(0.3);
            match listed {
                true => file.candidate_list = Some("rows.csv".into()),
                false => file.sample = Some("rows.csv".into()),
            }
        });
        // Three rows are known before, as a spreadsheet writes them.
        let known: String =
            (0..3).map(|i| format!("{:.12e},{},{},1,2\n", speeds[i], 2 + i % 5, ["steel", "wood"][i % 2])).collect();
        let table = format!("speed,blades,material,thrust,noise\n{known}");
        folder.tell(Source::from_bytes("known.csv", table), Otherwise::Refuse).unwrap();
        assert_eq!(run(&mut folder, 100), RunEnd::Exhausted, "{listed}");
        let times = |speed: &f64| {
            let is_it = |cell: &Cell| matches!(cell, Cell::Number(v) if (v / speed - 1.0).abs() < 1e-9);
            folder.state().points().filter(|point| is_it(&point.x[0])).count()
        };
        assert_eq!(speeds.iter().map(times).collect::<Vec<_>>(), [1; 70], "{listed}");
        let apart = folder.standing().held_out.0;
        assert!((17..=18).contains(&apart), "three tenths of the 58 behind the design: {apart}");
    }
}

#[test]
fn rounds_of_one_point_judge_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = random(dir.path(), |file| (file.batch, file.target) = (1, Some(Target::Relative(1e3))));
    let end = run(&mut folder, 60);
    let why = folder.state().ended().unwrap().why.clone();
    assert_eq!((end, folder.state().n_asked()), (RunEnd::Rule, 22), "{why}");
    assert!(why.contains("look 1 at α = 2.50e-2, by the draws of the last 10 rounds"), "{why}");
    assert_eq!(folder.estimates().pooled_of(&[]).unwrap().models, 10);
}

#[test]
fn points_held_out_of_another_domain_wait_for_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = random(dir.path(), |file| file.held_out = Some(0.5));
    round(&mut folder, 12, smooth);
    round(&mut folder, 8, smooth);
    assert_eq!((folder.standing().held_out, folder.held_out_here()), ((4, 0), (4, 0)));
    let problem = PROBLEM.replace("high = 100", "high = 200");
    fs::write(dir.path().join("problem.toml"), problem).unwrap();
    let folder = changed(folder, |_| {});
    assert_eq!((folder.standing().held_out, folder.held_out_here()), ((4, 0), (0, 0)));
}
