//! Campaigns from the command line: by hand, in a closed loop, killed at many moments.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{dal, refuse, run, succeed, write};

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
    // In the folder itself, without naming it.
    let c = at.join("c");
    let status: serde_json::Value = serde_json::from_str(&succeed(&c, &["status", "--format", "json"])).unwrap();
    assert_eq!(status["labels"].as_u64().unwrap() as usize, results.lines().count() - 1);
    let dry = succeed(&c, &["ask", "-n", "3", "--format", "json", "--fix", "material=wood", "--dry-run"]);
    assert_eq!(dry, succeed(&c, &["ask", "-n", "3", "--format", "json", "--fix", "material=wood"]));
    let asked: serde_json::Value = serde_json::from_str(&dry).unwrap();
    assert!(asked.as_array().unwrap().iter().all(|p| p["x"]["material"] == "wood" && p["disagreement"].is_number()));
    refuse(&c, &["ask", "--fix", "material=brass"], &["material = brass", "steel, wood"]);
    refuse(&c, &["ask", "--lease", "soon"], &["90min"]);
    let id = asked[0]["id"].to_string();
    succeed(&c, &["withdraw", &id]);
    assert!(succeed(&c, &["undo"]).contains("1 points withdrawn"));
    assert!(succeed(&c, &["status"]).contains(&format!("\n{id:>2}")));
    // Predictions and exports.
    write(at, "x.csv", "material,speed,blades\nwood,10,3\nsteel,20,4\n");
    let predicted = succeed(at, &["predict", "c", "--input", "x.csv"]);
    assert!(
        predicted.starts_with("speed,blades,material,drag,drag_sd,lift,lift_sd,outside\n10,3,wood,"),
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
            moment = moment.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mut child = dal(at, &run_args("torn")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(5 + (moment >> 33) % 400));
            match child.try_wait().unwrap() {
                Some(status) => {
                    assert!(status.success());
                    break;
                }
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills += 1;
                    if kills >= 50 {
                        succeed(at, &run_args("torn"));
                        break;
                    }
                }
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
}

#[test]
fn every_verb_shows_an_example_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["new", "design", "ask", "tell", "withdraw", "undo", "run", "status", "predict", "export"] {
        let help = succeed(dir.path(), &[verb, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("  dal {verb} ")), "{help}");
    }
}
