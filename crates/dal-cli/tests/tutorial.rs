//! Every command of docs/tutorial.md, in a copy of examples/beam.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs python3; cargo xtask ci --full runs it"]
fn the_tutorials_commands_work_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("docs/tutorial.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root.join("examples/beam")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_dal")).parent().unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands: Vec<&str> = blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty()).collect();
    assert!(commands.len() > 15, "{commands:?}");
    let mut status = String::new();
    for command in &commands {
        let script = format!("PATH='{}':\"$PATH\"; {command}", bin.display());
        let output = Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{out}{err}");
        if command.starts_with("dal status campaign") {
            status = out.into_owned();
        }
    }
    assert!(status.contains("deflection") && status.contains("stress") && status.contains("failed"), "{status}");
    let header = fs::read_to_string(dir.path().join("beam.csv")).unwrap();
    assert!(header.starts_with("id,length,load,taper,height,layers,material,deflection,stress,state"), "{header}");
    // NumPy alone reads the model, where there is NumPy.
    let numpy = Command::new("python3").args(["-c", "import numpy"]).output().unwrap().status.success();
    if numpy {
        let run = |command: &str| {
            let script = format!("PATH='{}':\"$PATH\"; {command}", bin.display());
            let output = Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).output().unwrap();
            assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let theirs = run("python3 read_model.py beam.safetensors < x.csv");
        let ours = run("dal predict campaign --input x.csv --format json");
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        let rows = theirs.lines().skip(1).zip(ours.as_array().unwrap());
        let mut n = 0;
        for (line, row) in rows {
            let values: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            for (value, name) in values.iter().zip(["deflection", "stress"]) {
                let ours = row[name].as_f64().unwrap();
                assert!((value / ours - 1.0).abs() < 1e-3, "{name}: {value} and {ours}");
                n += 1;
            }
        }
        assert_eq!(n, 6);
    }
}
