//! What a report of a campaign shows: its history, and what its model says of the problem.

mod common;

use std::fs;
use std::sync::Arc;

use common::{Hands, NETWORKS, PROBLEM, Rig, begin};
use dal_campaign::insight::{AxisKind, Failing};
use dal_campaign::{CampaignFile, Folder, ModelSource, RunEvent, RunOptions};
use dal_core::{Oracle, Stop};

const SMALL: &str = "[network]\nhidden = [16]\nepochs = 400\nmembers = 3\nlearning_rate = 0.02\n";

fn run(folder: &mut Folder, rig: &Arc<Rig>, budget: usize) {
    let options = RunOptions { budget: Some(budget), ..RunOptions::default() };
    let oracle: Arc<dyn Oracle> = Arc::clone(rig) as Arc<dyn Oracle>;
    folder.run(&options, &oracle, NETWORKS, &Stop::new(), &mut |_: &RunEvent| {}).unwrap();
}

fn small(root: &std::path::Path, hands: &Hands) -> Folder {
    drop(begin(root, |file| file.model = ModelSource::ProblemFile, hands));
    fs::write(root.join("problem.toml"), format!("{PROBLEM}{SMALL}")).unwrap();
    Folder::write(root, hands.clock()).unwrap()
}

#[test]
fn a_model_says_what_the_problem_is_like() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::default();
    let rig = Arc::new(Rig { failing: 2, ..Rig::default() });
    let mut folder = small(dir.path(), &hands);
    let empty = folder.history();
    assert!(empty.points.is_empty() && empty.foretold.is_empty() && empty.trend.is_empty());
    assert!(folder.drawing_model().unwrap().is_none());
    run(&mut folder, &rig, 40);
    let history = folder.history();
    assert_eq!(history.inputs.len(), 3);
    assert!(matches!(history.inputs[0].kind, AxisKind::Number { low: 1.0, high: 100.0, log: true }));
    assert!(matches!(history.inputs[1].kind, AxisKind::Whole { low: 2, high: 6, .. }));
    assert_eq!((history.points.len(), history.asked.len()), (40, 40));
    let failed = history.points.iter().filter(|point| point.status == "failed");
    assert!(failed.clone().count() > 0 && failed.clone().all(|point| point.failure.as_deref() == Some("refused")));
    // What was predicted before learning is what the log has, beside the answer.
    let answered: usize = folder.state().rounds()[1..]
        .iter()
        .flat_map(|round| &round.points)
        .filter(|drawn| !folder.state().point(drawn.id).unwrap().answers.is_empty())
        .count();
    assert_eq!(history.foretold.len(), answered);
    for of in &history.foretold {
        let drawn =
            folder.state().rounds().iter().flat_map(|round| &round.points).find(|drawn| drawn.id == of.id).unwrap();
        assert_eq!(of.predicted, drawn.predicted.as_ref().unwrap().mean);
        assert_eq!(of.measured, folder.state().point(of.id).unwrap().answers[0]);
    }
    assert!(history.trend.windows(2).all(|two| two[0].n_labelled < two[1].n_labelled));
    assert!(history.trend.last().unwrap().validated.is_some());
    assert!(history.trend.iter().any(|entry| entry.foretold_overall.is_some()));

    let model = folder.model(NETWORKS, &Stop::new()).unwrap();
    let insight = folder.model_insight(&model, &Stop::new()).unwrap();
    assert_eq!(insight, folder.model_insight(&model, &Stop::new()).unwrap());
    assert_eq!((insight.members, insight.n_labelled), (3, folder.standing().labels));
    assert!(!insight.dependent_inputs && insight.order.len() == 3);
    // The second output is 100 · blades − speed on the unit box.
    let noise = insight.importance[1].as_ref().unwrap();
    assert!(noise[1].total.value > 0.9 && noise[1].first.value > 0.85, "{noise:?}");
    assert!(noise[0].total.value < 0.05 && noise[2].total.value < 0.05, "{noise:?}");
    assert!(noise.iter().all(|of| of.total.low <= of.total.value && of.total.value <= of.total.high));
    // The first has speed by itself, blades and material only together.
    let thrust = insight.importance[0].as_ref().unwrap();
    assert!(thrust[0].first.value > 0.6 && thrust[1].total.value > thrust[1].first.value + 0.05, "{thrust:?}");
    let along = &insight.dependence[1][1];
    assert_eq!(along.x, [2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(along.mean.windows(2).all(|two| two[1] - two[0] > 25.0), "{along:?}");
    assert!(along.low.iter().zip(&along.mean).zip(&along.high).all(|((low, mean), high)| low <= mean && mean <= high));
    assert_eq!(insight.dependence[0][2].x.len(), 2);
    let unsure = insight.unsure.unwrap();
    assert!(unsure.overall > 0.0 && unsure.maps.len() == 3);
    let map = &unsure.maps[0];
    let edges = |input: usize| unsure.profiles[input].as_ref().unwrap().edges.len() - 1;
    assert_eq!((map.spread.len(), map.spread[0].len()), (edges(map.inputs.0), edges(map.inputs.1.unwrap())));
    assert!(unsure.profiles.iter().flatten().all(|profile| profile.spread.iter().flatten().all(|v| *v > 0.0)));

    // While answers come in, the model that drew the last round is there still.
    let drawn = folder.state().rounds().last().unwrap().model.clone();
    assert_eq!(folder.drawing_model().unwrap().map(|model| model.name), drawn);
}

#[test]
fn constraints_hold_along_curves_and_one_input_has_a_map_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::default();
    let mut folder = small(dir.path(), &hands);
    run(&mut folder, &Arc::new(Rig::default()), 14);
    let text = fs::read_to_string(dir.path().join("campaign.toml")).unwrap();
    let text = text.lines().map(|line| match line.starts_with("# constraints = [") {
        true => "constraints = [\"speed * blades <= 100\"]\n".to_owned(),
        false => format!("{line}\n"),
    });
    fs::write(dir.path().join("campaign.toml"), text.collect::<String>()).unwrap();
    let folder = Folder::read(dir.path(), hands.clock()).unwrap();
    assert_eq!(folder.constraints().len(), 1);
    let model = folder.model(NETWORKS, &Stop::new()).unwrap();
    let insight = folder.model_insight(&model, &Stop::new()).unwrap();
    assert!(insight.dependent_inputs && insight.importance.iter().all(Option::is_some));
    // Corners that the constraint refuses hold no point.
    let unsure = insight.unsure.unwrap();
    let map = unsure.maps.iter().find(|map| map.inputs == (0, Some(1)) || map.inputs == (1, Some(0))).unwrap();
    assert_eq!(map.spread.last().unwrap().last().unwrap(), &None);

    let one = tempfile::tempdir().unwrap();
    let problem = "name = \"line\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[outputs]]\nname = \"y\"\n";
    fs::write(one.path().join("problem.toml"), format!("{problem}{SMALL}")).unwrap();
    let file = CampaignFile { model: ModelSource::ProblemFile, ..CampaignFile::new("problem.toml", 1) };
    let mut folder = Folder::begin(one.path(), &file, hands.clock()).unwrap();
    let rows: String = (0..12).map(|i| format!("{},{}\n", f64::from(i) / 11.0, f64::from(i * i))).collect();
    let source = dal_files::Source::from_bytes("t.csv", format!("a,y\n{rows}"));
    folder.tell(source, dal_campaign::Otherwise::Refuse).unwrap();
    let model = folder.model(NETWORKS, &Stop::new()).unwrap();
    let insight = folder.model_insight(&model, &Stop::new()).unwrap();
    let unsure = insight.unsure.unwrap();
    assert_eq!(unsure.maps.iter().map(|map| map.inputs).collect::<Vec<_>>(), [(0, None)]);
    assert_eq!((unsure.maps[0].spread.len(), unsure.maps[0].spread[0].len()), (8, 1));
    let only = insight.importance[0].as_ref().unwrap()[0];
    assert!((only.total.value - 1.0).abs() < 0.1 && (only.first.value - 1.0).abs() < 0.1, "{only:?}");
}

#[test]
fn of_many_outputs_a_few_are_shown_after_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let outputs: String = (0..30).map(|k| format!("[[outputs]]\nname = \"y{k}\"\nunit = \"dB\"\n")).collect();
    let problem = format!("name = \"wide\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n{outputs}");
    fs::write(dir.path().join("problem.toml"), problem).unwrap();
    let file = CampaignFile::new("problem.toml", 1);
    let mut folder = Folder::begin(dir.path(), &file, Hands::default().clock()).unwrap();
    let names = |folder: &Folder| folder.history().shown.iter().map(|shown| shown.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&folder), ["mean of all 30 outputs", "y5", "y15", "y25"]);
    assert_eq!(folder.history().n_outputs, 30);
    // Failures that lie at one end are told apart.
    let rows: String = (0..20)
        .map(|i| {
            let a = f64::from(i) / 19.0;
            if i > 13 { format!("{a},failed{}\n", ",".repeat(29)) } else { format!("{a}{}\n", ",1".repeat(30)) }
        })
        .collect();
    let header: String = (0..30).map(|k| format!(",y{k}")).collect();
    let source = dal_files::Source::from_bytes("t.csv", format!("a{header}\n{rows}"));
    folder.tell(source, dal_campaign::Otherwise::Refuse).unwrap();
    assert_eq!(folder.history().failing, [Some(Failing::Larger { share: 1.0 })]);
}
