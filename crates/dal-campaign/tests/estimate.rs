//! Estimates of the error over the domain from rounds that were drawn, against their definition.

mod common;

use std::sync::Arc;

use common::{Hands, NETWORKS, Rig, begin};
use dal_campaign::words::{Answer, Cell};
use dal_campaign::{AskFor, CampaignFile, Folder, Judge, ModelSource, Otherwise, RunEvent, RunOptions, Status, Target};
use dal_core::Stop;
use dal_files::Source;

fn run(folder: &mut Folder, rig: Rig, budget: usize) {
    let options = RunOptions { budget: Some(budget), in_batches: true, ..RunOptions::default() };
    folder
        .run(&options, &(Arc::new(rig) as Arc<dyn dal_core::Oracle>), NETWORKS, &Stop::new(), &mut |_: &RunEvent| {})
        .unwrap();
}

fn drawn(root: &std::path::Path, strategy: &str, rig: Rig, budget: usize) -> Folder {
    let change = |file: &mut CampaignFile| (file.strategy, file.batch) = (strategy.into(), 12);
    let mut folder = begin(root, change, &Hands::default());
    run(&mut folder, rig, budget);
    folder
}

#[test]
fn a_round_of_draws_judges_the_model_that_drew_it() {
    let dir = tempfile::tempdir().unwrap();
    for strategy in ["power-qbc", "power-qbc-diversity", "random"] {
        let folder = drawn(&dir.path().join(strategy), strategy, Rig::default(), 48);
        let estimates = folder.estimates();
        // The design of the beginning was drawn from no model.
        assert_eq!(estimates.rounds.iter().map(|e| e.round).collect::<Vec<_>>(), [1, 2, 3], "{strategy}");
        for (estimate, round) in estimates.rounds.iter().zip(&folder.state().rounds()[1..]) {
            assert_eq!((estimate.drawn, estimate.answered, estimate.open), (12, 12, 0));
            assert_eq!(estimate.n_labelled, round.n_labelled);
            // Twelve answers to twelve draws do not show that nothing ever fails.
            let (low, high) = estimate.answered_share.interval.unwrap();
            assert!(estimate.answered_share.share > 0.5 && low < 0.8 && high == 1.0, "{low}");
            let (m_all, n) = (12.0, round.candidates.n as f64);
            for (j, output) in estimate.outputs.iter().enumerate() {
                let mut sum = 0.0;
                for (m, point) in round.points.iter().enumerate() {
                    let q = point.probability.unwrap();
                    let place = m as f64 + 1.0;
                    let v = 1.0 + (n - m_all) / (n - place) * (1.0 / ((n - place + 1.0) * q) - 1.0);
                    let truth = folder.state().point(point.id).unwrap().answers[0][j];
                    sum += v * (point.predicted.as_ref().unwrap().mean[j] - truth).powi(2);
                }
                let expected = (sum / m_all).max(0.0).sqrt();
                assert!((output.rmse / expected - 1.0).abs() < 1e-9, "{strategy}: {} {expected}", output.rmse);
                let (low, high) = output.interval.unwrap();
                assert!(low <= output.rmse && output.rmse <= high && low > 0.0);
            }
        }
        let pooled = estimates.pooled_of(&[]).unwrap();
        let all = pooled.relative.unwrap();
        assert!(pooled.models == 3 && all.rmse > 0.0 && all.interval.is_some());
        // Every model counts alike, in each output too.
        for (j, output) in pooled.outputs.iter().enumerate() {
            let squares: f64 = estimates.rounds.iter().map(|e| e.outputs[j].rmse.powi(2)).sum();
            assert!((output.rmse / (squares / 3.0).sqrt() - 1.0).abs() < 1e-9 && output.interval.is_some());
        }
    }
}

#[test]
fn failures_leave_a_share_and_open_draws_an_incomplete_round() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig { failing: 3, ..Rig::default() };
    let folder = drawn(&dir.path().join("a"), "power-qbc", rig, 60);
    let estimates = folder.estimates();
    assert!(
        estimates
            .rounds
            .iter()
            .any(|e| e.failed > 0 && e.answered_share.share < 1.0 && e.answered_share.interval.is_some())
    );
    assert!(estimates.rounds.iter().all(|e| !e.is_incomplete() && e.answered + e.failed == e.drawn));
    // No candidate is left out near failures: the draws speak of the whole domain.
    assert!(folder.state().rounds().iter().all(|round| round.candidates.thinned.is_none()));

    let folder = drawn(&dir.path().join("b"), "power-qbc", Rig::default(), 24);
    let before = folder.estimates();
    let last = folder.state().rounds().last().unwrap().clone();
    let ids: Vec<u64> = last.points.iter().take(2).map(|point| point.id).collect();
    assert!(!before.rounds[0].is_incomplete());
    drop(folder);
    let mut folder = Folder::write(&dir.path().join("b"), Hands::default().clock()).unwrap();
    assert!(folder.words().iter().any(|word| matches!(&word.what, dal_campaign::words::What::Told(told)
        if told.rows.iter().any(|row| matches!(row.answer, Answer::Values(_))))));
    // Their answers taken back, two of twelve draws are open again.
    while folder.state().points().filter(|p| ids.contains(&p.id) && p.status() == Status::Done).count() > 0 {
        folder.undo().unwrap();
    }
    let after = folder.estimates();
    assert!(after.rounds.iter().all(|e| e.is_incomplete()) && after.pooled.is_empty());
}

#[test]
fn a_grid_that_runs_out_and_deviations_of_told_points_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let grid = |name: &str| format!("[[inputs]]\nname = \"{name}\"\ninteger = true\nlow = 0\nhigh = 9\n");
    let rest = "[[outputs]]\nname = \"y\"\n[oracle.command]\nprogram = [\"true\"]\ntime_limit = 1\n\
                [network]\nhidden = [4]\nmembers = 3\nepochs = 20\n";
    let problem = format!("name = \"grid\"\n{}{}{rest}", grid("a"), grid("b"));
    std::fs::write(dir.path().join("problem.toml"), problem).unwrap();
    let plain = CampaignFile::new("problem.toml", 2).choosing_by("power-qbc");
    let file = CampaignFile { initial: 12, batch: 20, model: ModelSource::ProblemFile, ..plain };
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    // A table in place of a design sets the scale, and that is said.
    let rows: String = (0..12).map(|k| format!("{},{},{}\n", k % 10, k / 10, 100 * k)).collect();
    folder.tell(Source::from_bytes("t.csv", format!("a,b,y\n{rows}")), Otherwise::Refuse).unwrap();
    let asked = folder.ask(&AskFor::default(), NETWORKS, &Stop::new()).unwrap();
    let rows: String = asked.points.iter().map(|point| format!("{},{}\n", point.id, point.id % 7)).collect();
    folder.tell(Source::from_bytes("y.csv", format!("id,y\n{rows}")), Otherwise::Refuse).unwrap();
    assert_eq!(folder.told_spread(), Some((12, 12)));
    let last = folder.estimates().rounds.last().cloned().unwrap();
    assert_eq!(last.domain, "the 88 points of the space that were left");
}

#[test]
fn rules_that_do_not_draw_have_no_estimate() {
    let dir = tempfile::tempdir().unwrap();
    let folder = drawn(&dir.path().join("a"), "qbc-diversity", Rig::default(), 36);
    assert_eq!(folder.estimates(), dal_campaign::Estimates::default());
}

#[test]
fn a_slice_has_figures_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = drawn(dir.path(), "random", Rig::default(), 48);
    let whole = folder.estimates();
    assert_eq!(whole.pooled_of(&[]).unwrap().models, 3);
    let slice = vec![("material".to_owned(), Cell::Level("wood".into()))];
    let wanted = AskFor { n: Some(12), fixed: slice.clone(), ..AskFor::default() };
    let asked = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    let rows: String = asked.points.iter().map(|point| format!("{},1,{}\n", point.id, point.id)).collect();
    folder.tell(Source::from_bytes("y.csv", format!("id,thrust,noise\n{rows}")), Otherwise::Refuse).unwrap();
    let after = folder.estimates();
    assert_eq!((after.rounds.len(), &after.rounds[3].fixed), (4, &slice));
    // Of the slice there is one model, and rules look at the whole space.
    assert_eq!(after.pooled_of(&slice).unwrap().models, 1);
    assert_eq!(after.pooled_of(&[]), whole.pooled_of(&[]));
    let look = folder.look(&Target::Relative(1.0), None).unwrap();
    assert_eq!((look.rounds, look.judge), (3, Judge::Draws { rounds: 3 }));
    assert_eq!(after.rounds[..3], whole.rounds[..]);
}

#[test]
fn repeated_measurements_show_the_noise_and_do_not_lower_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = drawn(dir.path(), "random", Rig::default(), 24);
    assert_eq!(folder.noise(), None);
    let before = folder.estimates().rounds[0].outputs[0].rmse;
    let point = folder.state().rounds()[1].points[0].clone();
    let answer = folder.state().point(point.id).unwrap().answers[0].clone();
    // Two more answers, as far above as below: the mean stays, the mean squared error grows by 2/3 · 4.
    let row = |shift: f64| format!("{},{:?},{:?}\n", point.id, answer[0] + shift, answer[1]);
    let table = format!("id,thrust,noise\n{}{}", row(2.0), row(-2.0));
    folder.tell(Source::from_bytes("y.csv", table), Otherwise::Replicate).unwrap();
    let noise = folder.noise().unwrap();
    assert!((noise.sd[0] - 2.0).abs() < 1e-9 && noise.sd[1] < 1e-9 && noise.points == 1, "{noise:?}");
    let after = folder.estimates().rounds[0].outputs[0].rmse;
    let grown = before * before + 8.0 / 3.0 / 12.0;
    assert!((after * after / grown - 1.0).abs() < 1e-9, "{after} {before}");
}
