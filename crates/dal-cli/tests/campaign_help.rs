//! The examples of every campaign verb's --help, run as they are printed.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{succeed, write};

/// Answers quickly and smoothly.
const SIMULATOR: &str = "#!/bin/sh\nawk -F, 'NR == 1 { print \"drag,lift\" } NR > 1 { print log($1) * $2 + $3, $1 / 9 - $3; fflush() }' OFS=,\n";

const COLUMNS: &str = "[[inputs]]\nname = \"load\"\nlow = 1\nhigh = 1000\nscale = \"log\"\n\
    [[inputs]]\nname = \"length\"\nlow = 1\nhigh = 10\n\
    [[inputs]]\nname = \"layers\"\ninteger = true\nlow = 2\nhigh = 6\n\
    [[inputs]]\nname = \"material\"\nlevels = [\"steel\", \"wood\"]\n\
    [[outputs]]\nname = \"drag\"\n[[outputs]]\nname = \"lift\"\n\
    [oracle.command]\nprogram = [\"./simulate.sh\"]\ntime_limit = 60\nretries = 0\n\
    [network]\nhidden = [4]\nepochs = 3\nmembers = 2\n";

/// A folder with all that the examples speak of.
fn prepare(at: &Path) {
    for name in ["beam.toml", "problem.toml"] {
        write(at, name, &format!("name = \"beam\"\n{COLUMNS}"));
    }
    write(at, "simulate.sh", SIMULATOR);
    let speed = |i: i32| 10f64.powf(f64::from(i) / 10.0);
    let data: String = (0..30).map(|i| format!("{},{},{},{}\n", speed(i), i % 7, i * i, i - 3)).collect();
    write(at, "data.csv", &format!("speed,angle,drag,lift\n{data}"));
    let data: String = (0..30).map(|i| format!("{} NO_ID {} {} {}\n", i + 1, speed(i), i % 7, i * i)).collect();
    write(at, "dakota_tabular.dat", &format!("%eval_id interface x1 x2 response_fn_1\n{data}"));
    succeed(at, &["new", "beam", "--problem", "beam.toml", "--initial", "14"]);
    let settings = fs::read_to_string(at.join("beam/campaign.toml")).unwrap();
    write(at, "beam/campaign.toml", &settings.replace("model = \"ladder\"", "model = \"problem-file\""));
    let drawn = ["new", "beam.drawn", "--problem", "beam.toml", "--initial", "14", "--strategy", "power-qbc"];
    succeed(at, &drawn);
    let settings = fs::read_to_string(at.join("beam.drawn/campaign.toml")).unwrap();
    write(at, "beam.drawn/campaign.toml", &settings.replace("model = \"ladder\"", "model = \"problem-file\""));
    write(at, "points.csv", &succeed(at, &["ask", "beam", "-n", "14", "--format", "csv"]));
    let rows = |shift: f64| -> String { (1..=11).map(|id| format!("{id},{},{id}\n", f64::from(id) + shift)).collect() };
    write(at, "results.csv", &format!("id,drag,lift\n{}", rows(0.0)));
    write(at, "repeated.csv", &format!("id,drag,lift\n{}", rows(0.25)));
    write(at, "mended.csv", &format!("id,drag,lift\n{}", rows(0.5)));
    let alone: String = (1..=14).map(|id| format!("{id}.5,failed\n")).collect();
    write(at, "answers.csv", &format!("drag,lift\n{alone}"));
    write(at, "measure.sh", "#!/bin/sh\ncat results.csv\n");
    write(at, "x.csv", "load,length,layers,material\n10,3,4,steel\n20,4,3,wood\n");
    write(at, "beam/x.csv", "load,length,layers,material\n10,3,4,steel\n");
    for script in ["simulate.sh", "measure.sh"] {
        let mut permissions = fs::metadata(at.join(script)).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(at.join(script), permissions).unwrap();
    }
}

/// The commands among the examples: what stands before the remark behind three blanks.
fn examples(help: &str) -> Vec<String> {
    let lines = help.split("Examples:\n").nth(1).unwrap_or_default().lines();
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().split("   ").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_verbs_examples_work_as_printed() {
    let root = tempfile::tempdir().unwrap();
    let template = root.path().join("template");
    fs::create_dir(&template).unwrap();
    prepare(&template);
    let bin = Path::new(env!("CARGO_BIN_EXE_dal")).parent().unwrap();
    let verbs = [
        "new", "design", "ask", "tell", "withdraw", "undo", "run", "status", "audit", "predict", "export", "report",
        "tune",
    ];
    let mut n = 0;
    for verb in verbs {
        let help = succeed(root.path(), &[verb, "--help"]);
        let examples = examples(&help);
        assert!(examples.iter().any(|line| line.contains(&format!("dal {verb} "))), "{help}");
        // A problem's searches take hours, and stores are not of this place; a campaign's folder is.
        let of_others = ["tune", "report"].contains(&verb);
        for example in examples.iter().filter(|example| !of_others || example.contains(" beam")) {
            let at = root.path().join(format!("{n}"));
            let told = ["audit", "predict", "export", "report", "tune"].contains(&verb);
            // Those that learn need labels, and these settings; a folder in which a campaign begins must not have one.
            let mut script = format!(
                "set -e; cp -r '{}' '{}'; cd '{}'; PATH=\"$PWD:{}:$PATH\"; ",
                template.display(),
                at.display(),
                at.display(),
                bin.display()
            );
            if told {
                script += "dal tell beam results.csv; ";
            }
            if example == "dal audit beam" {
                script += "dal audit beam -n 12; ";
            }
            if verb == "tune" {
                script += "sed -i.old s/problem-file/ladder/ beam/campaign.toml; ";
            }
            if verb == "new" {
                script += "rm -r beam; ";
            }
            if ["ask", "undo", "withdraw"].contains(&verb) && !example.contains(" beam") {
                script += "cd beam; ";
            }
            // A rival answer needs a first one.
            if example.contains("repeated") || example.contains("mended") {
                script += "dal tell beam results.csv; ";
            }
            script += example;
            let output = Command::new("sh").arg("-c").arg(&script).current_dir(root.path()).output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{example}\n{out}{err}");
            n += 1;
        }
    }
    assert!(n >= 35, "{n}");
}
