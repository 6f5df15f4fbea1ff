//! Campaigns from the command line: by hand, in a closed loop, killed at many moments.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{dal, is_killed_after, refuse, run, succeed, write};

/// Counts what it is asked in `asked`, answers smoothly, and fails at a tenth of the points.
const SIMULATOR: &str = r#"
read header; echo "drag,lift"
while IFS=, read -r speed blades material; do
  echo "$speed,$blades,$material" >> asked
  awk -v s="$speed" -v b="$blades" -v m="$material" 'BEGIN {
    if (int(s * 1000) % 10 == 3) { print "error: no convergence,"; exit }
    printf "%.12g,%.12g\n", log(s) * b + (m == "wood"), s * 0.1 - b
  }'
done
"#;

fn problem(folder: &Path) {
    let text = "name = \"rig\"\n\
        [[inputs]]\nname = \"speed\"\nlow = 1\nhigh = 100\nscale = \"log\"\n\
        [[inputs]]\nname = \"blades\"\ninteger = true\nlow = 2\nhigh = 6\n\
        [[inputs]]\nname = \"material\"\nlevels = [\"steel\", \"wood\"]\n\
        [[outputs]]\nname = \"drag\"\n[[outputs]]\nname = \"lift\"\n\
        [oracle.command]\nprogram = [\"sh\", \"simulate.sh\"]\ntime_limit = 60\n\
         retries = 0\n";
    write(folder, "rig.toml", text);
    write(folder, "simulate.sh", SIMULATOR);
}

fn begin(folder: &Path, name: &str) {
    succeed(folder, &["new", name, "--problem", "rig.toml", "--initial", "8", "--batch", "4"]);
}

/// How often each point was asked.
fn asked(folder: &Path) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for line in fs::read_to_string(folder.join("asked")).unwrap_or_default().lines() {
        *times.entry(line.to_owned()).or_insert(0) += 1;
    }
    times
}

#[test]
fn a_campaign_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "c");
    refuse(at, &["new", "c", "--problem", "rig.toml"], &["c: a campaign has begun here already"]);
    refuse(at, &["new", "d", "--problem", "no.toml"], &["no.toml"]);
    refuse(at, &["new", "d", "--problem", "rig.toml", "--strategy", "qbz"], &["there is no strategy `qbz`"]);
    assert!(!at.join("d").exists());
    refuse(at, &["status", "d"], &["there is no campaign here", "dal new d"]);
    // Ask, label with `dal label` as a laboratory would, tell.
    let points = succeed(at, &["ask", "c", "-n", "8", "--format", "csv"]);
    assert!(points.starts_with("id,speed,blades,material,score,disagreement,distance,probability\n1,"), "{points}");
    write(at, "points.csv", &points);
    let (code, _, stderr) = run(at, &["label", "rig.toml", "--input", "points.csv", "--out", "labels.csv"]);
    assert!(code <= 1, "{stderr}");
    let mut results = "id,drag,lift\n".to_owned();
    for line in fs::read_to_string(at.join("labels.csv")).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let row: usize = cells[0].parse().unwrap();
        results += &format!("{},{},{}\n", row + 1, cells[4], cells[5]);
    }
    write(at, "results.csv", &results);
    let said = succeed(at, &["tell", "c", "results.csv"]);
    assert!(said.contains("new answers") && said.contains("labels in all"), "{said}");
    assert!(succeed(at, &["tell", "c", "results.csv"]).starts_with("0 new answers"));
    refuse(at, &["tell", "c", "points.csv"], &["points.csv", "drag"]);
    // What `dal label --out` wrote is known by the points' values; answers alone belong to the points of a file.
    assert!(succeed(at, &["tell", "c", "labels.csv"]).starts_with("0 new answers"));
    write(at, "inputs.csv", "speed,blades,material\n7,3,wood\n8,3,wood\n");
    write(at, "answers.csv", "drag,lift\n1,2\nerror: stalled,\n");
    refuse(
        at,
        &["tell", "c", "answers.csv", "--points", "points.csv"],
        &["answers.csv, beside points.csv: it holds 2 answers to 8 points"],
    );
    let said = succeed(at, &["tell", "c", "answers.csv", "--points", "inputs.csv"]);
    assert!(said.contains("1 new answer, 1 failed, 2 of these never asked for"), "{said}");
    succeed(at, &["undo", "c"]);
    // As `dal label` reads them: a column `row` says whose a line is.
    write(at, "rows.csv", "row;drag;lift\n1;3,5;4\n0;1,5;2\n");
    succeed(at, &["tell", "c", "rows.csv", "--points", "inputs.csv"]);
    let points = succeed(at, &["export", "c", "--to", "csv"]);
    assert!(points.contains(",7,3,wood,1.5,2.0,") && points.contains(",8,3,wood,3.5,4.0,"), "{points}");
    succeed(at, &["undo", "c"]);
    // An export is told to another campaign, also once the problem has other columns.
    write(at, "export.csv", &succeed(at, &["export", "c", "--to", "csv"]));
    begin(at, "other");
    let (code, said, stderr) = run(at, &["tell", "other", "export.csv"]);
    assert!(code == 0 && said.contains("of these never asked for") && stderr.contains("known by their values"));
    let text = fs::read_to_string(at.join("rig.toml")).unwrap();
    write(at, "rig.toml", &text.replace("\"blades\"", "\"vanes\""));
    refuse(at, &["status", "c"], &["a campaign keeps its columns", "`dal export --to csv`, `dal tell`"]);
    let (code, again, stderr) = run(at, &["export", "c", "--to", "csv"]);
    assert!(code == 0 && stderr.contains("the problem file has other columns by now"), "{stderr}");
    assert_eq!(again, fs::read_to_string(at.join("export.csv")).unwrap());
    refuse(at, &["export", "c", "--to", "dakota"], &["a campaign keeps its columns"]);
    write(at, "rig.toml", &text);
    // In the folder itself, without naming it.
    let c = at.join("c");
    let status: serde_json::Value = serde_json::from_str(&succeed(&c, &["status", "--format", "json"])).unwrap();
    let answered = results.lines().skip(1).filter(|line| !line.ends_with(",,")).count();
    assert_eq!(status["labels"].as_u64().unwrap() as usize, answered);
    let dry = succeed(&c, &["ask", "-n", "3", "--format", "json", "--fix", "material=wood", "--dry-run"]);
    assert_eq!(dry, succeed(&c, &["ask", "-n", "3", "--format", "json", "--fix", "material=wood"]));
    let asked: serde_json::Value = serde_json::from_str(&dry).unwrap();
    assert!(asked.as_array().unwrap().iter().all(|p| p["x"]["material"] == "wood" && p["disagreement"].is_number()));
    refuse(&c, &["ask", "--fix", "material=brass"], &["material = brass", "steel, wood"]);
    refuse(&c, &["ask", "--lease", "soon"], &["90min"]);
    let id = asked[0]["id"].to_string();
    assert!(succeed(&c, &["withdraw", &id, &id]).starts_with("1 point withdrawn"));
    assert!(succeed(&c, &["undo"]).contains("1 points withdrawn"));
    assert!(succeed(&c, &["status"]).contains(&format!("\n{id:>2}")));
    // Predictions and exports.
    write(at, "x.csv", "material,speed,blades\nwood,10,3\nsteel,20,4\n");
    let predicted = succeed(at, &["predict", "c", "--input", "x.csv"]);
    assert!(
        predicted.starts_with("speed,blades,material,drag,drag_sd,lift,lift_sd,outside,answers\n10,3,wood,"),
        "{predicted}"
    );
    assert_eq!(predicted, succeed(at, &["predict", "c", "--input", "x.csv"]));
    write(at, "bad.csv", "material,speed,blades\nwood,10,3\nwood,1000,3\n");
    let (code, stdout, stderr) = run(at, &["predict", "c", "--input", "bad.csv"]);
    assert!(code == 1 && stdout.lines().count() == 3 && stderr.contains("1000"), "{stdout}{stderr}");
    let table = succeed(at, &["export", "c", "--to", "csv"]);
    assert_eq!(table.lines().count(), 1 + 8 + 3);
    succeed(at, &["export", "c", "--to", "safetensors", "--out", "model.safetensors"]);
    assert!(fs::metadata(at.join("model.safetensors")).unwrap().len() > 1000);
    // A file is there whole or not at all: what was there stays until the new one is.
    write(at, "model.onnx", "an older file");
    succeed(at, &["export", "c", "--to", "onnx", "--out", "model.onnx"]);
    let model = fs::read(at.join("model.onnx")).unwrap();
    assert!(model.len() > 1000 && dal(at, &["export", "c", "--to", "onnx"]).output().unwrap().stdout == model);
    refuse(at, &["export", "c", "--to", "onnx", "--out", "none/model.onnx"], &["none/model.onnx", "cannot be written"]);
    let left: Vec<_> =
        fs::read_dir(at).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok()).collect();
    assert!(!left.iter().any(|name| name.contains(".tmp")), "{left:?}");
}

#[test]
fn a_loop_to_a_budget_with_free_slots() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "c");
    refuse(at, &["run", "c"], &["--budget"]);
    let said = succeed(at, &["run", "c", "--budget", "17", "--parallel", "2"]);
    assert!(said.contains("labels"), "{said}");
    let times = asked(at);
    assert!(times.len() == 17 && times.values().all(|n| *n == 1), "{times:?}");
    let status = succeed(at, &["status", "c"]);
    assert!(status.contains("network") && status.contains("not on the whole space"), "{status}");
    // A second process is refused while one is at work.
    let mut child =
        dal(at, &["run", "c", "--budget", "4000"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    if child.try_wait().unwrap().is_none() {
        succeed(at, &["status", "c"]);
        refuse(at, &["undo", "c"], &["another process is at work"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The next number of a fixed sequence, below 2³¹.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

#[test]
fn killed_at_fifty_moments_a_campaign_in_batches_ends_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "whole");
    let run_args = |name: &'static str| ["run", name, "--budget", "20", "--in-batches", "--threads", "1"];
    succeed(at, &run_args("whole"));
    let points = succeed(at, &["export", "whole", "--to", "csv"]);
    let model = |name: &str| {
        succeed(at, &["export", name, "--to", "safetensors", "--out", "m"]);
        fs::read(at.join("m")).unwrap()
    };
    let whole = model("whole");
    let mut kills = 0;
    // A fixed sequence of moments, in milliseconds.
    let mut moment = 12345_u64;
    while kills < 50 {
        // What the others asked is forgotten, so that the program is called.
        let _ = fs::remove_dir_all(at.join("torn"));
        let _ = fs::remove_dir_all(at.join("rig.answers"));
        begin(at, "torn");
        loop {
            let after = Duration::from_millis(5 + next(&mut moment) % 400);
            if !is_killed_after(at, &run_args("torn"), after) {
                break;
            }
            kills += 1;
            if kills >= 50 {
                succeed(at, &run_args("torn"));
                break;
            }
        }
        assert_eq!(succeed(at, &["export", "torn", "--to", "csv"]), points);
        assert_eq!(model("torn"), whole);
    }
}

#[test]
fn tells_and_asks_that_are_killed_are_said_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "c");
    succeed(at, &["ask", "c", "-n", "8"]);
    let rows: String = (1..=8).map(|id| format!("{id},{id},1\n")).collect();
    write(at, "results.csv", &format!("id,drag,lift\n{rows}"));
    let labels = || -> u64 {
        let status = succeed(at, &["status", "c", "--format", "json"]);
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["labels"].as_u64().unwrap()
    };
    for moment in 0..20_u64 {
        let args: [&str; 4] =
            if moment % 2 == 0 { ["tell", "c", "results.csv", "--replicate"] } else { ["ask", "c", "-n", "2"] };
        let mut child = dal(at, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(2 * moment));
        let _ = child.kill();
        child.wait().unwrap();
        assert!([0, 8].contains(&labels()));
    }
    succeed(at, &["tell", "c", "results.csv"]);
    assert_eq!(labels(), 8);
}

#[test]
fn designs_come_with_and_without_a_campaign() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    let points = succeed(at, &["design", "rig.toml", "-n", "10", "--constraint", "speed < 50 or material == 'wood'"]);
    assert!(points.starts_with("speed,blades,material\n") && points.lines().count() == 11, "{points}");
    let few = succeed(at, &["design", "rig.toml", "-n", "4", "--method", "sobol", "--seed", "3"]);
    let more = succeed(at, &["design", "rig.toml", "-n", "8", "--method", "sobol", "--seed", "3"]);
    assert!(more.starts_with(&few));
    succeed(at, &["design", "sine", "-n", "3", "--format", "json"]);
    refuse(
        at,
        &["design", "rig.toml", "-n", "4", "--constraint", "sped < 5"],
        &["there is no input `sped`", "character 1"],
    );
    refuse(at, &["design", "rig.toml", "-n", "4", "--constraint", "speed > 99.9999"], &["one in 1000"]);
    begin(at, "c");
    assert_eq!(succeed(at, &["design", "c", "-n", "5", "--method", "uniform"]).lines().count(), 6);
    refuse(at, &["design", "c", "-n", "5", "--set", "k=1"], &["--set is for built-in problems", "campaign's folder"]);
}

#[test]
fn the_end_of_the_time_and_ctrl_c_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "simulate.sh", &format!("while [ ! -e go ]; do sleep 0.05; done\n{SIMULATOR}"));
    begin(at, "c");
    let args = ["run", "c", "--budget", "8", "--time", "4s"];
    let mut child = dal(at, &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut hear = |words: &str| assert!(said.any(|line| line.contains(words)), "{words}");
    hear("the time is up (--time): stopping after the calls in progress");
    // The first Ctrl-C after that does not end the call, which is still waiting.
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    hear("stopping after the calls in progress (again to end them now");
    write(at, "go", "");
    hear("stopped; the same command goes on");
    assert_eq!((child.wait().unwrap().code(), asked(at).len()), (Some(130), 1));
    let (code, _, said) = run(at, &["run", "c", "--budget", "8", "--time", "1ms"]);
    assert!(code == 0 && said.contains("stopped because the time is up"), "{said}");
}

#[test]
fn a_target_that_nothing_judges_says_so_to_programs_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    succeed(at, &["new", "c", "--problem", "rig.toml", "--strategy", "qbc-diversity"]);
    let status = |more: &[&str]| -> serde_json::Value {
        let args = [&["status", "c", "--format", "json"], more].concat();
        serde_json::from_str(&succeed(at, &args)).unwrap()
    };
    let found = status(&["--target", "0.1"]);
    let why = found["estimates"]["target_unjudged"].as_str().unwrap();
    assert!(found["estimates"]["target"].is_null() && why.contains("nothing can show"), "{found}");
    assert!(status(&[])["estimates"]["target_unjudged"].is_null());
}

#[test]
fn every_verb_shows_an_example_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    for verb in
        ["new", "design", "ask", "tell", "withdraw", "undo", "run", "status", "audit", "predict", "export", "tune"]
    {
        let help = succeed(dir.path(), &[verb, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("  dal {verb} ")), "{help}");
    }
}

#[test]
fn free_slots_that_are_killed_lose_nothing_and_ask_nothing_twice() {
    use dal_campaign::words::{Answer, What};
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    succeed(at, &["new", "c", "--problem", "rig.toml", "--initial", "8", "--batch", "4", "--strategy", "random"]);
    let args = ["run", "c", "--budget", "32", "--parallel", "3", "--threads", "1"];
    let mut kills = 0;
    let mut moment = 777_u64;
    // A busy machine trains slowly; each kill comes a little later.
    while is_killed_after(at, &args, Duration::from_millis(20 + next(&mut moment) % (300 + 60 * kills as u64))) {
        kills += 1;
        assert!(kills < 500);
    }
    assert!(kills > 0);
    let folder = dal_campaign::Folder::read(&at.join("c"), std::sync::Arc::new(|| 0.0)).unwrap();
    // Nothing is lost: every point that was asked for is over, and as many as the budget says.
    let state = folder.state();
    assert_eq!((state.n_asked(), state.pending().count()), (32, 0));
    // Nothing is asked twice: no two ids are one point, and what had an answer was not started again.
    let mut points: Vec<String> = state.points().map(|point| format!("{:?}", point.x)).collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), 32);
    let mut over = std::collections::HashSet::new();
    for word in folder.words() {
        match &word.what {
            What::Started(started) => assert!(started.ids.iter().all(|id| !over.contains(id)), "{started:?}"),
            What::Told(told) => {
                let mut settled = told.rows.iter().filter(|row| !matches!(row.answer, Answer::Lost(_)));
                assert!(settled.all(|row| over.insert(row.id)), "{told:?}");
            }
            _ => {}
        }
    }
    assert_eq!(over.len(), 32);
    // A call that was under way when its dal was killed may be made again; no other is.
    let times = asked(at);
    assert!(times.len() == 32 && times.values().sum::<usize>() <= 32 + 3 * kills, "{times:?}");
    // Every draw says how likely it was, from which stream, in which order, and what was predicted.
    for round in &state.rounds()[1..] {
        assert!(round.candidates.n == 4096 && !round.candidates.stream.is_empty() && round.model.is_some());
        for (place, point) in round.points.iter().enumerate() {
            assert_eq!(point.probability, Some(1.0 / (4096 - place) as f64));
            assert_eq!(point.predicted.as_ref().map(|p| (p.mean.len(), p.sd.len())), Some((2, 2)));
        }
    }
}

#[test]
fn a_campaign_begins_with_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let rows: String = (0..20)
        .map(|i| {
            let speed = 10f64.powf(f64::from(i) / 6.0);
            let drag = if i == 7 { "error: stalled".to_owned() } else { format!("{}", speed.ln() * 2.0) };
            format!("{i},{speed},{},{},{drag}\n", i % 4, ["steel", "wood"][i as usize % 2])
        })
        .collect();
    write(at, "wind tunnel.csv", &format!("id,speed,blades,material,drag\n{rows}"));
    let shown = succeed(at, &["new", "lab", "--from-csv", "wind tunnel.csv", "--show"]);
    assert!(shown.contains("name = \"wind-tunnel\"") && shown.contains("scale = \"log\"") && !at.join("lab").exists());
    let said = succeed(at, &["new", "lab", "--from-csv", "wind tunnel.csv"]);
    for words in
        ["outputs: drag (guessed because", "19 answers taken in, 1 failed points", "3 inputs, 1 output", "dal ask lab"]
    {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(fs::read_to_string(at.join("lab/problem.toml")).unwrap(), shown);
    assert!(succeed(at, &["status", "lab"]).contains("19 done, 1 failed"));
    let points = succeed(at, &["ask", "lab", "-n", "3", "--format", "csv", "--threads", "1"]);
    assert_eq!(points.lines().count(), 4);
    // What cannot begin leaves nothing behind.
    refuse(at, &["new", "d", "--from-csv", "wind tunnel.csv", "--outputs", "lift"], &["no column `lift`", "speed"]);
    refuse(at, &["new", "d", "--from-csv", "wind tunnel.csv", "--strategy", "qbz"], &["no strategy `qbz`"]);
    refuse(at, &["new", "d", "--from-dakota", "wind tunnel.csv"], &["%eval_id", "--from-csv"]);
    refuse(at, &["new", "d"], &["--from-csv"]);
    assert!(!at.join("d").exists());
    refuse(at, &["new", "lab", "--from-csv", "wind tunnel.csv"], &["lab/problem.toml: is there already"]);
    // A study of Dakota's goes on, under Dakota's names.
    let rows: String = (1..=20).map(|i| format!("{i} NO_ID {}.5 {} {}\n", i, 40 - i, i * i)).collect();
    write(at, "study.dat", &format!("%eval_id interface x1 x2 obj_fn\n{rows}"));
    let said = succeed(at, &["new", "study", "--from-dakota", "study.dat", "--initial", "10"]);
    assert!(said.contains("outputs: obj_fn") && said.contains("20 answers"), "{said}");
    let table = succeed(at, &["ask", "study", "-n", "2", "--format", "dakota", "--threads", "1"]);
    assert!(table.starts_with("%eval_id interface x1 x2\n21 NO_ID "), "{table}");
}

#[test]
fn a_driver_works_in_the_campaigns_folder() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "name = \"deck\"\n[[inputs]]\nname = \"x1\"\nlow = 1\nhigh = 9\n[[outputs]]\nname = \"f\"\n\
        [oracle.driver]\nprogram = [\"sh\", \"driver.sh\"]\nlink = [\"driver.sh\"]\ntemplate = [\"deck.in.template\"]\n\
        time_limit = 60\nretries = 0\nkeep = \"failed\"\n";
    write(at, "deck.toml", text);
    write(at, "deck.in.template", "a = {x1}\n");
    let script =
        "echo once >> ../../../calls\nawk '{ if ($3 > 5) print \"fail\"; else print $3 * 2, \"f\" }' deck.in > $2\n";
    write(at, "driver.sh", script);
    succeed(at, &["new", "c", "--problem", "deck.toml", "--initial", "8"]);
    succeed(at, &["run", "c", "--budget", "8", "--parallel", "2"]);
    let status = succeed(at, &["status", "c", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let failed = status["points"]["failed"].as_u64().unwrap() as usize;
    assert!(failed > 0 && status["labels"].as_u64().unwrap() as usize == 8 - failed, "{status}");
    assert_eq!(fs::read_dir(at.join("c/evaluations")).unwrap().count(), failed, "those of failed points stay");
    let calls = || fs::read_to_string(at.join("calls")).unwrap().lines().count();
    assert_eq!(calls(), 8);
    // Answers and refusals are kept: another campaign with the same points asks at most for what was refused before the
    // program had answered anything.
    succeed(at, &["new", "d", "--problem", "deck.toml", "--initial", "8"]);
    succeed(at, &["run", "d", "--budget", "8"]);
    assert!((8..8 + failed).contains(&calls()), "{} calls, {failed} refused", calls());
}

#[test]
fn a_campaigns_search_for_a_network_is_said_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "c");
    refuse(at, &["tune", "c", "--networks", "1"], &["no labels yet"]);
    refuse(at, &["tune", "c", "--budget", "3"], &["--budget is of a problem's search", "--networks"]);
    refuse(at, &["tune", "sine", "--networks", "3"], &["--networks is of a campaign's folder"]);
    succeed(at, &["run", "c", "--budget", "12", "--threads", "1"]);
    let rows = succeed(at, &["tune", "c", "--networks", "1", "--jobs", "1", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let chosen = rows.as_array().unwrap().iter().find(|row| row["is"].as_str().unwrap().starts_with("chosen")).unwrap();
    let status = succeed(at, &["status", "c", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["network"], chosen["network"]);
    assert!(succeed(at, &["undo", "c"]).contains("a search for a network at"));
}

#[test]
fn a_laboratory_audits_a_model_and_a_target_ends_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    let new = ["new", "c", "--problem", "rig.toml", "--initial", "10", "--batch", "8", "--strategy", "power-qbc"];
    refuse(at, &[&new[..], &["--target", "drag"]].concat(), &["--target drag", "drag=0.1"]);
    let greedy = ["new", "c", "--problem", "rig.toml", "--target", "0.1", "--strategy", "qbc-diversity"];
    refuse(at, &greedy, &["--target", "nothing judges the model", "--held-out 0.25"]);
    refuse(at, &[&new[..], &["--held-out", "1"]].concat(), &["held_out = 1", "at most 0.9"]);
    assert!(!at.join("c").exists());
    succeed(at, &[&new[..], &["--held-out", "0.5", "--target", "1000"]].concat());
    let run_args = ["run", "c", "--budget", "100", "--in-batches", "--threads", "1"];
    succeed(at, &run_args);
    let status =
        || serde_json::from_str::<serde_json::Value>(&succeed(at, &["status", "c", "--format", "json"])).unwrap();
    let ended = status();
    assert_eq!(ended["ended"]["rule"], "target 1000.0", "{ended}");
    assert_eq!(
        (&ended["estimates"]["target"]["met"], &ended["estimates"]["target"]["look"]),
        (&true.into(), &1.into())
    );
    refuse(at, &["status", "c", "--target", "0"], &["--target = 0: give a positive number"]);
    refuse(at, &["status", "c", "--no-gain", "0"], &["--no-gain 0"]);
    let asked = succeed(at, &["ask", "c", "-n", "4", "--dry-run", "--format", "csv", "--threads", "1"]);
    assert!(asked.starts_with("id,speed,blades,material,score,disagreement,distance,probability,part\n"), "{asked}");
    assert_eq!(asked.lines().filter(|line| line.ends_with(",held-out")).count(), 2, "{asked}");
    let told = succeed(at, &["status", "c", "--target", "drag=1e-9"]);
    assert!(
        told.contains("ended      by the rule `target 1000.0`") && told.contains("target     not shown yet"),
        "{told}"
    );
    // By hand: points are printed until they are told, and nothing learns them.
    let points = succeed(at, &["audit", "c", "-n", "12", "--ask", "--format", "csv"]);
    assert_eq!((points.lines().count(), &succeed(at, &["audit", "c", "--ask", "--format", "csv"])), (13, &points));
    let ids = points.lines().skip(1).map(|line| line.split(',').next().unwrap());
    let answers: String = ids.map(|id| format!("{id},{id},1\n")).collect();
    write(at, "audit.csv", &format!("id,drag,lift\n{answers}"));
    succeed(at, &["tell", "c", "audit.csv"]);
    let found: serde_json::Value =
        serde_json::from_str(&succeed(at, &["audit", "c", "--format", "json", "--threads", "1"])).unwrap();
    let after = status();
    assert_eq!((&after["audited"], &after["labels"]), (&12.into(), &ended["labels"]));
    assert_eq!(found["model_of_labels"], ended["labels"]);
    assert_eq!(after["estimates"]["not_learned"], found);
    let held_out = found["answered"].as_u64().unwrap() - 12;
    assert_eq!(after["held_out"], held_out);
    // At the end a model learns what was held out, too; the error of the one before is said, be it there or not.
    write(at, "x.csv", "speed,blades,material\n30,3,wood\n80,2,steel\n");
    let predict = ["predict", "c", "--input", "x.csv", "--threads", "1"];
    let last = || run(at, &[&predict[..], &["--learn-all"]].concat());
    let (code, of_all, said) = last();
    let guess = format!("the model of {} labels without them, about ", ended["labels"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("learns the {held_out} points that were held out")), "{said}");
    assert!(said.contains(&guess) && said.contains("standard deviations, is an upper guess"), "{said}");
    assert_ne!(of_all, succeed(at, &predict));
    fs::remove_dir_all(at.join("c/models")).unwrap();
    assert_eq!(last(), (0, of_all, said));
}

#[test]
fn values_moved_onto_a_bound_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    begin(at, "c");
    let note = |file: &str, n: &str| format!("{file}: {n} beyond a bound by no more than rounding");
    // Both are a few units in the last place out.
    write(
        at,
        "told.csv",
        "speed,blades,material,drag,lift\n100.00000000000001,3,wood,1,2\n0.9999999999999999,2,wood,1,2\n",
    );
    let (code, stdout, stderr) = run(at, &["tell", "c", "told.csv"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains(&note("told.csv", "2 values")) && stdout.contains("2 of these never asked for"),
        "{stderr}"
    );
    let settings = fs::read_to_string(at.join("c/campaign.toml")).unwrap();
    write(at, "c/campaign.toml", &format!("candidate_list = \"list.csv\"\n{settings}"));
    write(at, "c/list.csv", "speed,blades,material\n100.00000000000001,4,wood\n10,5,steel\n");
    let (code, stdout, stderr) = run(at, &["ask", "c", "-n", "1", "--format", "csv", "--threads", "1"]);
    assert_eq!((code, stdout.lines().count()), (0, 2), "{stderr}");
    assert!(stderr.contains(&note("list.csv", "1 value")), "{stderr}");
}
