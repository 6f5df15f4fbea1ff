//! Points that are never learned, rules that end a run, samples of the domain, calibrated intervals.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Hands, NETWORKS, PROBLEM, Rig, begin};
use dal_campaign::words::{Cell, What};
use dal_campaign::{
    AskFor, CampaignError, CampaignFile, Folder, Judge, Part, RunEnd, RunEvent, RunOptions, Status, Target, Trainer,
};
use dal_core::{FitJob, LearnError, Learner, Moments, Oracle, Stop, StopLevel, Surrogate, SurrogateError, Uncertainty};
use dal_files::Source;
use ndarray::{Array2, ArrayView2};

fn options(budget: usize) -> RunOptions {
    RunOptions { budget: Some(budget), in_batches: true, ..RunOptions::default() }
}

fn run(folder: &mut Folder, options: &RunOptions) -> Result<RunEnd, CampaignError> {
    let rig: Arc<dyn Oracle> = Arc::new(Rig::default());
    folder.run(options, &rig, NETWORKS, &Stop::new(), &mut |_: &RunEvent| {})
}

/// A campaign of the rule with a quarter of its points held out, twelve points of design and rounds of eight.
fn quarter(root: &Path, strategy: &str) -> Folder {
    let change = |file: &mut CampaignFile| {
        (file.strategy, file.batch, file.held_out) = (strategy.into(), 8, Some(0.25));
    };
    begin(root, change, &Hands::default())
}

#[test]
fn a_quarter_is_never_learned_and_judges_the_present_model() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = quarter(&dir.path().join("a"), "qbc-diversity");
    assert_eq!(run(&mut folder, &options(36)).unwrap(), RunEnd::Budget);
    let rounds = &folder.state().rounds()[1..];
    assert!(rounds.iter().all(|round| (round.points.len(), round.held_out.len()) == (6, 2)), "{rounds:?}");
    assert!(rounds.iter().flat_map(|round| &round.held_out).all(|drawn| drawn.predicted.is_some()));
    let ids: Vec<u64> = folder.state().points().map(|point| point.id).collect();
    assert_eq!(ids, (1..=36).collect::<Vec<u64>>());
    let standing = folder.standing();
    assert_eq!((standing.labels, standing.held_out), (30, (6, 0)));
    assert!(standing.errors.iter().all(|errors| errors.n <= 24), "cross-validation has them not");
    let apart: Vec<_> = folder.state().points().filter(|point| point.part == Part::HeldOut).cloned().collect();
    // The run has trained the last model already: what it says is there without another training.
    let found = folder.held_out(&folder.kept_model().unwrap().unwrap()).unwrap().unwrap();
    assert_eq!((found.n_labelled, found.drawn, found.answered, found.open, found.lambda), (30, 6, 6, 0, 0.0));
    let rows: String = apart.iter().map(|point| format!("{},{},{}\n", point.x[0], point.x[1], point.x[2])).collect();
    let table = Source::from_bytes("x.csv", format!("speed,blades,material\n{rows}"));
    let predicted = folder.predict(table, NETWORKS, &Stop::new()).unwrap();
    for j in 0..2 {
        let squares = predicted
            .rows
            .iter()
            .zip(&apart)
            .map(|(row, point)| (row.as_ref().unwrap().predicted.mean[j] - point.answers[0][j]).powi(2));
        let expected = (squares.sum::<f64>() / 6.0).sqrt();
        assert!((found.outputs[j].rmse / expected - 1.0).abs() < 1e-6, "{} {expected}", found.outputs[j].rmse);
    }
    // Six points carry no interval.
    assert_eq!(found.outputs[0].interval, None);
    // In a slice nothing is held out, and the share does not make up for it.
    let slice = vec![("material".to_owned(), Cell::Level("wood".into()))];
    let wanted = AskFor { n: Some(8), fixed: slice, ..AskFor::default() };
    assert_eq!(folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap().points.len(), 8);
    assert!(folder.state().rounds().last().unwrap().held_out.is_empty());
    // The answers that are held out could be anything: what is learned, asked and chosen is the same.
    let export = folder.export_csv();
    assert_eq!(export.lines().filter(|line| line.ends_with(",held-out")).count(), 6, "{export}");

    folder.learn_all();
    let model = folder.model(NETWORKS, &Stop::new()).unwrap();
    assert_eq!(model.n_labelled, 36);
    // What is known without them goes with the model as an upper guess.
    let file = dal_campaign::onnx::onnx_file(&folder, Some(&found), NETWORKS, &Stop::new()).unwrap();
    let text = String::from_utf8_lossy(&file);
    let kept = "\"kind\":\"upper-guess\",";
    assert!(text.contains(kept) && text.contains("\"model_of_labels\":30"), "{text}");
    assert!(text.contains(&format!("\"rmse\":{}", found.outputs[0].rmse)), "{text}");
    assert!(folder.held_out(&model).unwrap().is_none(), "no point is left that it did not learn");
}

#[test]
fn a_run_with_held_out_points_that_is_stopped_ends_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = quarter(&dir.path().join("a"), "power-qbc");
    run(&mut whole, &options(24)).unwrap();
    let root = dir.path().join("b");
    drop(quarter(&root, "power-qbc"));
    let oracle: Arc<dyn Oracle> = Arc::new(Rig::default());
    for stops in 0.. {
        let mut folder = Folder::write(&root, Hands::default().clock()).unwrap();
        let stop = Stop::new();
        let theirs = stop.clone();
        let mut on_event = move |event: &RunEvent| {
            if let RunEvent::Answered { .. } = event {
                theirs.raise(StopLevel::Drain);
            }
        };
        if folder.run(&options(24), &oracle, NETWORKS, &stop, &mut on_event).unwrap() == RunEnd::Budget {
            assert!(stops > 20);
            assert_eq!(folder.export_csv(), whole.export_csv());
            break;
        }
    }
    // Such a round is judged by its draws alone.
    let estimates = whole.estimates();
    assert!(estimates.rounds.iter().all(|estimate| estimate.drawn < 8) && !estimates.rounds.is_empty());
}

#[test]
fn audits_are_never_learned_and_count_for_no_budget() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    run(&mut folder, &options(16)).unwrap();
    let before = folder.model(NETWORKS, &Stop::new()).unwrap().name;
    assert!(folder.audited(NETWORKS, &Stop::new()).unwrap().is_none());
    for _ in 0..2 {
        folder.begin_audit(25).unwrap();
    }
    let oracle: Arc<dyn Oracle> = Arc::new(Rig { failing: 2, ..Rig::default() });
    let mut over = Vec::new();
    let mut on_event = |event: &RunEvent| {
        if let RunEvent::Answered { over: n, budget, .. } = event {
            over.push((*n, *budget));
        }
    };
    assert!(folder.run_audit(&oracle, &Stop::new(), &mut on_event).unwrap());
    assert_eq!(over, (1..=25).map(|n| (n, 25)).collect::<Vec<_>>());
    assert_eq!((folder.state().n_asked(), folder.standing().labels), (16, 16));
    let found = folder.audited(NETWORKS, &Stop::new()).unwrap().unwrap();
    assert_eq!((found.drawn, found.answered + found.failed, found.open), (25, 25, 0));
    assert!(found.failed > 0 && found.outputs.iter().all(|output| output.interval.is_some()));
    // The error is that of the points that a page draws, as the model predicts them now.
    let model = folder.model(NETWORKS, &Stop::new()).unwrap();
    let points = folder.audited_points(&model).unwrap();
    assert!(folder.history().foretold.iter().all(|of| !of.audit) && points.iter().all(|of| of.audit && of.uniform));
    assert_eq!(points.len(), found.answered);
    for j in 0..2 {
        let squares: f64 = points.iter().map(|of| (of.predicted[j] - of.measured[j]).powi(2)).sum();
        let (rmse, sd) = ((squares / points.len() as f64).sqrt(), folder.spread()[j].1.unwrap());
        assert!((found.outputs[j].rmse / rmse - 1.0).abs() < 1e-9);
        assert!((found.scaled[j].unwrap().rmse / (rmse / sd) - 1.0).abs() < 1e-9);
    }
    let share = found.answered_share;
    assert!((share.share - found.answered as f64 / 25.0).abs() < 1e-12);
    let (low, high) = share.interval.unwrap();
    assert!(low < share.share && share.share < high && high <= 1.0);
    assert_eq!(folder.model(NETWORKS, &Stop::new()).unwrap().name, before);
    folder.learn_all();
    assert_eq!(folder.model(NETWORKS, &Stop::new()).unwrap().name, before, "an audit stays an audit");
    // By hand: what is out is shown again, and nothing else asks for it.
    folder.begin_audit(27).unwrap();
    let points = folder.hand_out_audit().unwrap();
    assert_eq!((points.len(), folder.hand_out_audit().unwrap()), (2, points));
    let asked = folder.ask(&AskFor { n: Some(1), ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap();
    assert_eq!(asked.n_again, 0);
}

/// Predicts the mean of the labels and is sure of it, but where its own answer is beyond.
struct Level {
    mean: Vec<f64>,
    n_inputs: usize,
}

/// The first input above which [`Level`] is not sure at all.
const BEYOND: f64 = 0.6;

impl Surrogate for Level {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }
    fn n_outputs(&self) -> usize {
        self.mean.len()
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(Array2::from_shape_fn((x.nrows(), self.mean.len()), |(_, j)| self.mean[j]))
    }
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        Some(self)
    }
}

impl Uncertainty for Level {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        let of = |row: usize| if x[[row, 0]] > BEYOND { 1e4 } else { x[[row, 1]].powi(2) };
        let variance = Array2::from_shape_fn((x.nrows(), self.mean.len()), |(row, _)| of(row));
        Ok(Moments { mean: self.mean(x)?, variance })
    }
}

struct LevelLearner;

impl Learner for LevelLearner {
    fn platform(&self) -> String {
        "level".into()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let level = |job: &FitJob<'_>| {
            let y = job.labelled.y();
            let mean = y.columns().into_iter().map(|column| column.sum() / column.len() as f64).collect();
            Ok(Box::new(Level { mean, n_inputs: job.labelled.n_inputs() }) as Box<dyn Surrogate>)
        };
        jobs.iter().map(level).collect()
    }
}

#[test]
fn what_the_networks_say_of_points_that_fail_is_no_part_of_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let trainer = Trainer::Own(&LevelLearner);
    for beyond in [Some(BEYOND), None] {
        let name = if beyond.is_some() { "failing" } else { "whole" };
        let change = |file: &mut CampaignFile| file.strategy = "random".into();
        let mut folder = begin(&dir.path().join(name), change, &Hands::default());
        let oracle: Arc<dyn Oracle> = Arc::new(Rig { beyond, ..Rig::default() });
        folder.run(&options(60), &oracle, trainer, &Stop::new(), &mut |_: &RunEvent| {}).unwrap();
        // The second audit's points are those that the first one's could fit a coefficient for.
        for n in [40, 120] {
            folder.begin_audit(n).unwrap();
            folder.run_audit(&oracle, &Stop::new(), &mut |_: &RunEvent| {}).unwrap();
        }
        let found = folder.audited(trainer, &Stop::new()).unwrap().unwrap();
        assert_eq!((found.drawn, found.open, found.failed > 10), (120, 0, beyond.is_some()));
        let audited: Vec<_> = folder.state().points().filter(|p| p.part == Part::Audit).collect();
        let units: Vec<&[f64]> = audited.iter().map(|point| point.unit.as_deref().unwrap()).collect();
        let model = folder.model(trainer, &Stop::new()).unwrap();
        let one = ArrayView2::from_shape((1, units[0].len()), units[0]).unwrap();
        let level = model.surrogate.mean(one).unwrap();
        // Blades and materials alike, the speed along its range.
        let values = |column: usize| {
            let mut values: Vec<f64> = units.iter().map(|unit| unit[column]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let (blades, material) = (values(1), values(2));
        assert_eq!((blades.len(), material.len()), (5, 2));
        let reach = beyond.unwrap_or(1.0) + 1.0;
        for (j, output) in found.outputs.iter().enumerate() {
            let mut squares = Vec::new();
            for speed in (0..1000).map(|i| -1.0 + reach * (f64::from(i) + 0.5) / 1000.0) {
                for (b, m) in blades.iter().flat_map(|b| material.iter().map(move |m| (b, m))) {
                    let y = [2.0 * speed + b * m, 100.0 * b - speed][j];
                    squares.push((y - level[[0, j]]).powi(2));
                }
            }
            let truth = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
            let (low, high) = output.interval.unwrap();
            assert!(low <= truth && truth <= high, "{name}, {j}: {truth} in {low} to {high}");
            let gaps = audited.iter().flat_map(|point| &point.answers).map(|y| (y[j] - level[[0, j]]).powi(2));
            let plain = (gaps.sum::<f64>() / found.answered as f64).sqrt();
            match beyond {
                Some(_) => assert!((output.rmse / plain - 1.0).abs() < 1e-9, "{} {plain}", output.rmse),
                // Nothing fails: but for the few huge variances there is no telling where the points happen to lie.
                None => assert!((output.rmse / plain - 1.0).abs() < 0.01, "{} {plain}", output.rmse),
            }
        }
        assert!(beyond.is_none() || found.lambda == 0.0);
        let (low, high) = found.answered_share.interval.unwrap_or((1.0, 1.0));
        let share = reach / 2.0;
        assert!(low <= share && share <= high, "{share} in {low} to {high}");
        // A prediction is a number everywhere, but says where there may be no answer.
        let table = Source::from_bytes("x.csv", "speed,blades,material\n80,3,wood\n3,3,wood\n");
        let predicted = folder.predict(table, trainer, &Stop::new()).unwrap();
        let answers: Vec<Option<f64>> = predicted.rows.iter().map(|row| row.as_ref().unwrap().answers).collect();
        match beyond {
            Some(_) => {
                assert!(predicted.auc.is_some_and(|auc| auc > 0.6));
                assert!(answers[0].unwrap() < 0.6 && answers[1].unwrap() > 0.8, "{answers:?}");
            }
            None => assert_eq!((predicted.auc, answers), (None, vec![None, None])),
        }
    }
}

#[test]
fn a_target_ends_a_run_after_three_whole_rounds_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    for (strategy, share) in [("power-qbc", None), ("qbc-diversity", Some(0.5))] {
        let change = |file: &mut CampaignFile| {
            (file.strategy, file.batch, file.held_out) = (strategy.into(), 10, share);
            file.target = Some(Target::Relative(1e3));
        };
        let mut folder = begin(&dir.path().join(strategy), change, &Hands::default());
        assert_eq!(run(&mut folder, &options(80)).unwrap(), RunEnd::Rule, "{strategy}");
        assert_eq!((folder.state().rounds().len(), folder.state().n_asked()), (4, 42));
        let ended = folder.state().ended().unwrap().clone();
        assert!(ended.rule == "target 1000.0" && ended.why.contains("look 1 at α = 2.50e-2"), "{ended:?}");
        let target = Target::Relative(1e3);
        let look = folder.look(&target, folder.kept_model().unwrap().as_ref()).unwrap();
        assert!(look.fires() && look.k == 1);
        match look.judge {
            Judge::Draws { rounds } => assert!(share.is_none() && rounds == 3),
            Judge::HeldOut { answered } => assert!(share.is_some() && answered == 15),
        }
        // Nothing was asked since: it ends again, and the log does not grow.
        let n = folder.words().len();
        assert_eq!(run(&mut folder, &options(80)).unwrap(), RunEnd::Rule);
        assert_eq!(folder.words().len(), n);
        // A stricter one goes on.
        let strict = RunOptions { target: Some(Target::parse(&["thrust=1e-9".into()]).unwrap()), ..options(52) };
        assert_eq!(run(&mut folder, &strict).unwrap(), RunEnd::Budget);
        assert!(folder.state().ended().is_none() && folder.state().n_asked() == 52);
        let unknown = RunOptions { target: Some(Target::parse(&["lift=1".into()]).unwrap()), ..options(60) };
        assert!(run(&mut folder, &unknown).unwrap_err().to_string().contains("there is no output `lift`"));
    }
}

#[test]
fn incomplete_rounds_end_nothing_and_rules_need_a_judge() {
    let dir = tempfile::tempdir().unwrap();
    let target = Some(Target::Relative(1e3));
    let mut folder = begin(&dir.path().join("a"), |_| {}, &Hands::default());
    let error = run(&mut folder, &RunOptions { target: target.clone(), ..options(40) }).unwrap_err().to_string();
    assert!(error.contains("nothing judges the model") && error.contains("held_out = 0.25"), "{error}");

    let change = |file: &mut CampaignFile| (file.strategy, file.batch) = ("random".into(), 10);
    let mut folder = begin(&dir.path().join("b"), change, &Hands::default());
    run(&mut folder, &options(32)).unwrap();
    // One of ten points withdrawn is more than 5 %.
    let asked = folder.ask(&AskFor { n: Some(10), ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap();
    folder.withdraw(&[asked.points[3].id]).unwrap();
    let rows: String =
        asked.points.iter().filter(|p| p.id != asked.points[3].id).map(|p| format!("{},1,2\n", p.id)).collect();
    folder.tell(Source::from_bytes("y.csv", format!("id,thrust,noise\n{rows}")), Default::default()).unwrap();
    assert!(folder.estimates().rounds.last().unwrap().is_incomplete());
    let look = folder.look(target.as_ref().unwrap(), None).unwrap();
    assert_eq!((look.rounds, look.k, look.fires()), (2, 0, false));
    assert!(look.in_words().contains("no look before 3 whole rounds, of which there are 2"));
    // The next round is whole again.
    assert_eq!(run(&mut folder, &RunOptions { target, ..options(80) }).unwrap(), RunEnd::Rule);
    assert_eq!(folder.state().rounds().len(), 5);
    let withdrawn = folder.state().points().filter(|point| point.status() == Status::Withdrawn).count();
    assert_eq!(withdrawn, 1);

    // The rule of thumb compares as many rounds.
    let gain = folder.gain(1).unwrap();
    assert!(gain.now > 0.0 && gain.before > 0.0 && folder.gain(2).is_none() && folder.gain(0).is_none());
    let change = |file: &mut CampaignFile| (file.strategy, file.batch, file.no_gain) = ("random".into(), 5, Some(1));
    let mut folder = begin(&dir.path().join("c"), change, &Hands::default());
    let end = run(&mut folder, &options(62)).unwrap();
    let ended = folder.state().ended().map(|ended| ended.why.clone());
    assert_eq!(end == RunEnd::Rule, ended.is_some());
    assert!(ended.is_none_or(|why| why.contains("a rule of thumb")));
}

#[test]
fn a_sample_is_what_rounds_choose_from_and_errors_speak_of() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..300).map(|i| format!("{},{},wood\n", 1.0 + f64::from(i) / 300.0, 2 + i % 3)).collect();
    fs::write(dir.path().join("sample.csv"), format!("speed,blades,material\n{rows}")).unwrap();
    fs::write(dir.path().join("problem.toml"), PROBLEM).unwrap();
    let file = CampaignFile {
        initial: 12,
        batch: 10,
        candidates: 100,
        sample: Some("sample.csv".into()),
        held_out: Some(0.2),
        ..CampaignFile::new("problem.toml", 3).choosing_by("power-qbc")
    };
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    run(&mut folder, &options(32)).unwrap();
    folder.begin_audit(5).unwrap();
    let speed = |cell: &Cell| if let Cell::Number(v) = cell { *v } else { f64::NAN };
    assert!(
        folder
            .state()
            .points()
            .all(|point| (1.0..2.0).contains(&speed(&point.x[0])) && point.x[2] == Cell::Level("wood".into()))
    );
    let speeds: Vec<f64> = folder.state().points().map(|point| speed(&point.x[0])).collect();
    assert!(!speeds.is_sorted(), "rows are taken in random order");
    for round in &folder.state().rounds()[1..3] {
        assert!(round.candidates.n == 100 && round.candidates.stream.ends_with("rows of the sample"));
        assert_eq!((round.points.len(), round.held_out.len()), (8, 2));
    }
    let rounds = folder.estimates().rounds;
    assert_eq!(rounds.len(), 2);
    assert_eq!(rounds[0].domain, "the distinct rows of sample.csv that were not asked for");
    let both = CampaignFile { candidate_list: Some("sample.csv".into()), ..file };
    let other = dir.path().join("other");
    assert!(Folder::begin(&other, &both, Hands::default().clock()).is_err());
}

#[test]
fn disagreement_becomes_an_interval_after_forty_draws() {
    let dir = tempfile::tempdir().unwrap();
    let change = |file: &mut CampaignFile| (file.strategy, file.batch) = ("power-qbc".into(), 20);
    let mut folder = begin(dir.path(), change, &Hands::default());
    run(&mut folder, &options(32)).unwrap();
    assert_eq!(folder.calibration(), None);
    let table = || Source::from_bytes("x.csv", "speed,blades,material\n10,3,wood\n");
    let predicted = folder.predict(table(), NETWORKS, &Stop::new()).unwrap();
    assert!(predicted.rows[0].as_ref().unwrap().intervals.is_empty() && predicted.calibration.is_none());
    run(&mut folder, &options(72)).unwrap();
    let calibration = folder.calibration().unwrap();
    assert_eq!(calibration.draws, 60);
    let coverage = calibration.coverage.unwrap();
    assert_eq!(coverage.draws, 20);
    assert!(coverage.outputs.iter().all(|share| share.is_some_and(|share| share >= 0.0)));
    let predicted = folder.predict(table(), NETWORKS, &Stop::new()).unwrap();
    let row = predicted.rows[0].as_ref().unwrap();
    for (j, factor) in calibration.factors.iter().enumerate() {
        let (low, high) = row.intervals[j].unwrap();
        let (mean, half) = (row.predicted.mean[j], factor.unwrap() * row.predicted.sd[j]);
        assert!((low - (mean - half)).abs() < 1e-9 * mean.abs() && (high - (mean + half)).abs() < 1e-9 * mean.abs());
    }
    // Words of rules and held-out points are read back as they were said.
    let read = Folder::read(dir.path(), Hands::default().clock()).unwrap();
    assert_eq!(read.state(), folder.state());
    assert!(!read.words().iter().any(|word| matches!(word.what, What::Ended(_))));
}
