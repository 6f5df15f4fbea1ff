//! The closed loop: batches and free slots, failures, stops at every answer, budgets.

mod common;

use std::sync::Arc;

use common::{Hands, NETWORKS, Rig, begin};
use dal_campaign::words::{Started, What, Word};
use dal_campaign::{AskFor, CampaignError, Folder, RunEnd, RunEvent, RunOptions, Status};
use dal_core::{OnRow, Oracle, OracleError, Stop, StopLevel};
use dal_store::{Log, ProcessName};
use ndarray::ArrayView2;

fn run(
    folder: &mut Folder,
    rig: &Arc<Rig>,
    options: &RunOptions,
    stop_after: Option<usize>,
) -> Result<RunEnd, CampaignError> {
    let oracle: Arc<dyn Oracle> = rig.clone();
    let stop = Stop::new();
    let mut n = 0;
    let theirs = stop.clone();
    let mut on_event = move |event: &RunEvent| {
        if let RunEvent::Answered { .. } = event {
            n += 1;
            if stop_after == Some(n) {
                theirs.raise(StopLevel::Drain);
            }
        }
    };
    folder.run(options, &oracle, NETWORKS, &stop, &mut on_event)
}

fn batches(budget: usize) -> RunOptions {
    RunOptions { budget: Some(budget), in_batches: true, ..RunOptions::default() }
}

/// What must not depend on interruptions: points, answers, and why they were chosen.
fn outcome(folder: &Folder) -> (String, Vec<dal_campaign::words::Round>) {
    (folder.export_csv(), folder.state().rounds().to_vec())
}

#[test]
fn a_run_in_batches_that_is_stopped_after_every_answer_ends_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = begin(&dir.path().join("a"), |_| {}, &Hands::default());
    let rig = Arc::new(Rig { failing: 1, ..Rig::default() });
    assert_eq!(run(&mut whole, &rig, &batches(22), None).unwrap(), RunEnd::Budget);
    assert_eq!((rig.n_asked(), whole.state().n_asked(), whole.state().rounds().len()), (22, 22, 4));
    let failed = whole.state().points().filter(|point| point.status() == Status::Failed).count();
    assert!(failed > 0 && whole.standing().labels == 22 - failed);

    let root = dir.path().join("b");
    drop(begin(&root, |_| {}, &Hands::default()));
    let rig = Arc::new(Rig { failing: 1, ..Rig::default() });
    let mut stops = 0;
    loop {
        let mut folder = Folder::write(&root, Hands::default().clock()).unwrap();
        match run(&mut folder, &rig, &batches(22), Some(1)).unwrap() {
            RunEnd::Stopped => stops += 1,
            end => {
                assert_eq!(end, RunEnd::Budget);
                break;
            }
        }
    }
    assert!(stops >= 21, "{stops}");
    let mut folder = Folder::write(&root, Hands::default().clock()).unwrap();
    assert_eq!(outcome(&folder), outcome(&whole));
    assert_eq!(rig.n_asked(), 22, "no point was asked twice");
    let name = |folder: &Folder| folder.model(NETWORKS, &Stop::new()).unwrap().name;
    assert_eq!(name(&folder), name(&whole));
    // A larger budget goes on; the same one is spent.
    assert_eq!(run(&mut folder, &rig, &batches(22), None).unwrap(), RunEnd::Budget);
    assert_eq!(rig.n_asked(), 22);
    assert_eq!(run(&mut folder, &rig, &batches(24), None).unwrap(), RunEnd::Budget);
    assert_eq!((rig.n_asked(), rig.n_points()), (24, 24));
}

#[test]
fn free_slots_lose_nothing_and_ask_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let rig = Arc::new(Rig { failing: 1, ..Rig::default() });
    let options = RunOptions { budget: Some(30), parallel: 3, ..RunOptions::default() };
    let mut runs = 0;
    while run(&mut folder, &rig, &options, Some(7)).unwrap() == RunEnd::Stopped {
        runs += 1;
        assert!(runs < 10);
    }
    assert_eq!((rig.n_asked(), rig.n_points()), (30, 30));
    let over = folder.state().points().filter(|p| matches!(p.status(), Status::Done | Status::Failed)).count();
    assert_eq!(over, 30);
    let most = rig.most_at_once.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most}");
    // A round is frozen: all of its points come from one model, and later ones keep away from those in flight.
    for round in &folder.state().rounds()[1..] {
        assert!(
            round.model.is_some() && round.candidates.n == 200 && round.points.iter().all(|p| p.predicted.is_some())
        );
    }
}

#[test]
fn what_the_machine_failed_is_tried_again_and_a_dead_program_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(&dir.path().join("a"), |_| {}, &Hands::default());
    let rig = Arc::new(Rig { flaky: 1, ..Rig::default() });
    // Ten failures in a row, none of them the point's: the program counts as dead, and its points were never asked.
    assert!(matches!(run(&mut folder, &rig, &batches(12), None), Err(CampaignError::Down { n: 10, .. })));
    assert!(folder.state().points().all(|point| (point.status(), point.losses) == (Status::Asked, 0)));
    assert_eq!(rig.n_asked(), 10);
    assert_eq!(run(&mut folder, &rig, &batches(12), None).unwrap(), RunEnd::Budget);
    assert_eq!((folder.standing().labels, rig.n_points()), (12, 12));

    let mut folder = begin(&dir.path().join("b"), |file| file.attempts = 2, &Hands::default());
    let options = |budget| RunOptions { budget: Some(budget), parallel: 1, ..RunOptions::default() };
    let rig = Arc::new(Rig { flaky: 9, ..Rig::default() });
    // Without a single answer nothing says that the points have none.
    assert!(matches!(run(&mut folder, &rig, &options(3), None), Err(CampaignError::Down { n: 6, .. })));
    assert!(folder.state().points().all(|point| (point.status(), point.losses) == (Status::Asked, 0)));
    assert_eq!(run(&mut folder, &Arc::new(Rig::default()), &options(3), None).unwrap(), RunEnd::Budget);
    assert_eq!(run(&mut folder, &rig, &options(6), None).unwrap(), RunEnd::Budget);
    let failed: Vec<_> = folder.state().points().skip(3).map(|point| (point.status(), point.losses)).collect();
    assert_eq!(failed, [(Status::Failed, 1); 3], "the second failure counts as the point's own");
}

#[test]
fn fewer_attempts_leave_no_lost_point_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.attempts = 9, &Hands::default());
    let rig = Arc::new(Rig { flaky: 9, ..Rig::default() });
    let options = |budget| RunOptions { budget: Some(budget), parallel: 1, ..RunOptions::default() };
    assert_eq!(run(&mut folder, &Arc::new(Rig::default()), &options(3), None).unwrap(), RunEnd::Budget);
    let options = options(6);
    assert_eq!(run(&mut folder, &rig, &options, Some(6)).unwrap(), RunEnd::Stopped);
    let states =
        |folder: &Folder| -> Vec<_> { folder.state().points().skip(3).map(|p| (p.status(), p.losses)).collect() };
    assert_eq!(states(&folder), [(Status::Lost, 2); 3]);
    let mut file = folder.settings().clone();
    drop(folder);
    file.attempts = 2;
    std::fs::write(dir.path().join("campaign.toml"), file.text()).unwrap();
    let mut folder = Folder::write(dir.path(), Hands::default().clock()).unwrap();
    assert_eq!(run(&mut folder, &rig, &options, None).unwrap(), RunEnd::Budget);
    assert_eq!((states(&folder), rig.n_asked()), (vec![(Status::Failed, 2); 3], 9), "each was tried once more");
}

#[test]
fn what_a_run_on_another_machine_left_is_labelled_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let rig = Arc::new(Rig::default());
    assert_eq!(run(&mut folder, &rig, &batches(12), Some(9)).unwrap(), RunEnd::Stopped);
    let ids: Vec<u64> = folder.state().pending().map(|point| point.id).collect();
    let by = ProcessName { host: "another machine".into(), ..ProcessName::this() };
    let what = What::Started(Started { ids: ids.clone(), by });
    let word = Word { n: folder.words().len() as u64, at: 0.0, what };
    drop(folder);
    let mut log = Log::open(&dir.path().join("log"), "dal campaign 1").unwrap();
    log.append(&serde_json::to_string(&word).unwrap()).unwrap();
    drop(log);
    // Who only looks cannot tell; who has the log knows that no other process writes.
    let hands = Hands::default();
    let running = |folder: &Folder| ids.iter().all(|id| folder.state().point(*id).unwrap().status() == Status::Running);
    assert!(ids.len() == 3 && running(&Folder::read(dir.path(), hands.clock()).unwrap()));
    let mut folder = Folder::write(dir.path(), hands.clock()).unwrap();
    let wanted = AskFor { n: Some(1), ..AskFor::default() };
    let asked = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    assert_eq!((asked.n_again, asked.points[0].id), (1, ids[0]));
    assert_eq!(folder.state().point(ids[0]).unwrap().status(), Status::Asked);
    // What was handed out is left to the one that has it.
    assert_eq!(run(&mut folder, &rig, &batches(12), None).unwrap(), RunEnd::Budget);
    assert_eq!((rig.n_asked(), folder.standing().labels), (11, 11));
}

#[test]
fn points_that_were_handed_out_are_left_to_those_who_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let wanted = dal_campaign::AskFor { n: Some(3), ..dal_campaign::AskFor::default() };
    let asked = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    let rig = Arc::new(Rig::default());
    assert_eq!(run(&mut folder, &rig, &batches(14), None).unwrap(), RunEnd::Budget);
    assert_eq!(rig.n_asked(), 11);
    assert!(asked.points.iter().all(|point| folder.state().point(point.id).unwrap().status() == Status::Asked));
    assert!(matches!(run(&mut folder, &rig, &RunOptions::default(), None), Err(CampaignError::Request { .. })));
}

#[test]
fn a_table_is_its_own_pool_and_runs_out() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..20).map(|i| format!("{i},{}\n", i * i)).collect();
    std::fs::write(dir.path().join("t.csv"), format!("a,y\n{rows}")).unwrap();
    let problem =
        "name = \"t\"\n[[inputs]]\nname = \"a\"\n[[outputs]]\nname = \"y\"\n[oracle.table]\nfile = \"t.csv\"\n";
    std::fs::write(dir.path().join("problem.toml"), problem).unwrap();
    let file = dal_campaign::CampaignFile {
        initial: 6,
        batch: 5,
        constraints: vec!["a != 7".into()],
        ..dal_campaign::CampaignFile::new("problem.toml", 1)
    };
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    let oracle = Arc::clone(folder.subject().problem().oracle().unwrap());
    let end = folder.run(&batches(100), &oracle, NETWORKS, &Stop::new(), &mut |_: &RunEvent| {}).unwrap();
    assert_eq!((end, folder.standing().labels), (RunEnd::Exhausted, 19));
    let first: Vec<String> = folder.state().points().take(6).map(|point| point.x[0].to_string()).collect();
    assert_ne!(first, ["0", "1", "2", "3", "4", "5"], "the first rows of a sorted table are no sample of it");
    assert!(
        folder
            .state()
            .points()
            .all(|point| point.answers[0][0] == point.x[0].to_string().parse::<f64>().unwrap().powi(2))
    );
}

#[test]
fn a_stop_ends_the_training_of_the_model_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    assert_eq!(run(&mut folder, &Arc::new(Rig::default()), &batches(6), None).unwrap(), RunEnd::Budget);
    // Six labels are too few to compare networks on: the model is all that is trained.
    let stop = Stop::new();
    stop.raise(StopLevel::Now);
    let stopped = folder.model(NETWORKS, &stop);
    assert!(matches!(stopped, Err(CampaignError::Stopped)), "{:?}", stopped.map(|model| model.name));
    assert_eq!(folder.model(NETWORKS, &Stop::new()).unwrap().n_labelled, 6);
}

#[test]
fn replicates_of_one_point_have_a_model_but_nothing_to_compare_networks_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let rows: String = (0..9).map(|i| format!("10,3,wood,{i},{}\n", 2 * i)).collect();
    let table = dal_files::Source::from_bytes("t.csv", format!("speed,blades,material,thrust,noise\n{rows}"));
    folder.tell(table, dal_campaign::Otherwise::Replicate).unwrap();
    let model = folder.trained(NETWORKS, &Stop::new()).unwrap();
    assert_eq!((model.n_labelled, model.errors), (9, None));
    let error = folder.tune(1, 1, &Stop::new(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("the 9 labels are repeated measurements of one point"), "{error}");
}

#[test]
fn a_campaign_whose_points_all_fail_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let rig = Arc::new(Rig { failing: 10, ..Rig::default() });
    let outcome = run(&mut folder, &rig, &batches(40), None);
    assert!(matches!(outcome, Err(CampaignError::NothingLabelled { asked: 12, .. })), "{outcome:?}");
}

/// Answers so large that their squares are infinite, at every other point.
#[derive(Debug)]
struct Huge;

impl Oracle for Huge {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        for (row, point) in x.outer_iter().enumerate() {
            let y = if point[0] > 0.0 { 1.7e308 } else { point[0] };
            if on_row(row, Ok(&[y, 1.0])).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn an_answer_that_no_model_can_learn_is_a_failure_of_its_point() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let oracle: Arc<dyn Oracle> = Arc::new(Huge);
    assert_eq!(folder.run(&batches(12), &oracle, NETWORKS, &Stop::new(), &mut |_| {}).unwrap(), RunEnd::Budget);
    let failed: Vec<_> = folder.state().points().filter_map(|point| point.failure.clone()).collect();
    assert!((1..12).contains(&failed.len()) && folder.standing().labels == 12 - failed.len());
    assert!(failed.iter().all(|failure| failure.kind == "out-of-domain" && failure.words.contains("1.7e308")));
}
