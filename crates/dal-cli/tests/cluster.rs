//! Sweeps that several processes share: shards, lists of work through a shell, merged stores, and a signal.

mod common;

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use common::{deterministic_files, refuse, run, succeed, write};

fn sweep(epochs: usize) -> String {
    format!(
        r#"
name = "shared"
seeds = 2
[protocol]
initial = 12
queries = 4
steps = 3
test_points = 50
pool_ratios = [2]
[training]
epochs = {epochs}
members = 2
[[problem]]
id = "sine"
preset = "published"
network = {{ hidden = [8, 8] }}
[[strategy]]
id = "random"
[[strategy]]
id = "gsx"
"#
    )
}

fn folder(epochs: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(epochs));
    dir
}

fn bench(dir: &Path, store: &str, more: &[&str]) {
    succeed(dir, &[&["bench", "run", "sweep.toml", "--store", store, "--platform", "portable"][..], more].concat());
}

#[test]
fn shards_that_are_merged_are_the_whole() {
    let dir = folder(20);
    bench(dir.path(), "whole", &[]);
    bench(dir.path(), "a", &["--shard", "1/2"]);
    bench(dir.path(), "b", &["--shard", "2/2"]);
    succeed(dir.path(), &["bench", "merge", "a", "b", "--into", "c"]);
    assert_eq!(deterministic_files(&dir.path().join("c")), deterministic_files(&dir.path().join("whole")));
    refuse(dir.path(), &["bench", "run", "sweep.toml", "--store", "x", "--shard", "3/2"], &["--shard", "2/4"]);

    // What is damaged is named and not taken.
    let name = fs::read_dir(dir.path().join("a/runs")).unwrap().flatten().map(|run| run.file_name()).min().unwrap();
    fs::write(dir.path().join("a/runs").join(&name).join("records.jsonl"), "half").unwrap();
    let (code, found, said) = run(dir.path(), &["bench", "merge", "a", "b", "--into", "d", "--format", "csv"]);
    assert_eq!((code, found.matches("damaged,").count()), (1, 1), "{found} {said}");
    assert!(!dir.path().join("d/runs").join(&name).exists());
    refuse(dir.path(), &["bench", "merge", "a", "--into", "d", "--prefer", "z"], &["--prefer z"]);
}

#[test]
fn a_sweep_is_submitted_for_machines_that_have_what_this_one_lacks() {
    let dir = folder(20);
    let submit = ["bench", "submit", "sweep.toml", "--executor", "lines", "--platform"];
    let own = succeed(dir.path(), &["bench", "kernels"]);
    let other = ["avx512", "avx2", "neon"].into_iter().find(|path| !own.lines().any(|line| line == *path)).unwrap();
    let lines = succeed(dir.path(), &[&submit[..], &[other, "--store", "other"]].concat());
    assert!(lines.lines().count() == 1, "{lines}");
    refuse(dir.path(), &["bench", "work", "other/tasks/0001/list.json"], &["this machine cannot do", other]);
    refuse(dir.path(), &[&submit[..], &["mmx", "--store", "mmx"]].concat(), &["mmx", "avx512, avx2, neon, portable"]);
    assert!(!dir.path().join("mmx").exists());

    // The same sweep by another name of its folder keeps its instructions.
    succeed(dir.path(), &[&submit[..], &["portable", "--store", "store"]].concat());
    fs::create_dir(dir.path().join("beside")).unwrap();
    succeed(dir.path(), &["bench", "submit", "beside/../sweep.toml", "--executor", "lines", "--store", "store"]);
    let list = fs::read_to_string(dir.path().join("store/tasks/0002/list.json")).unwrap();
    assert!(list.contains(r#""platform":"portable""#), "{list}");

    // Runs on another platform have rows of their own.
    bench(dir.path(), "store", &["--shard", "1/2"]);
    let rows = succeed(dir.path(), &["bench", "status", "store", "--format", "csv"]);
    assert!(!rows.contains("platform"), "{rows}");
    if own.lines().any(|line| line != "portable") {
        succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store", "--shard", "1/2"]);
        let rows = succeed(dir.path(), &["bench", "status", "store", "--format", "csv"]);
        assert!(rows.lines().count() == 5 && rows.contains("cpu/portable/"), "{rows}");
    }

    // A list that was cut short is named, and the others are told of.
    fs::write(dir.path().join("store/tasks/0001/list.json"), "{").unwrap();
    let (code, _, said) = run(dir.path(), &["bench", "status", "store"]);
    assert!(code == 1 && said.contains("0001") && said.contains("tasks/0002: 1 of 1 tasks open"), "{said}");

    // A damaged run is in no task, which is said.
    bench(dir.path(), "store", &[]);
    let damaged = fs::read_dir(dir.path().join("store/runs")).unwrap().flatten().next().unwrap().path();
    fs::write(damaged.join("records.jsonl"), "half").unwrap();
    let (code, lines, said) = run(dir.path(), &[&submit[..], &["portable", "--store", "store"]].concat());
    assert!(code == 1 && lines.is_empty() && said.contains("left out: "), "{said}");
}

#[test]
#[cfg(unix)]
fn lines_are_commands_whatever_the_paths_are_called() {
    let dir = folder(20);
    bench(dir.path(), "whole", &[]);
    let odd = dir.path().join("it's \"odd\" $(touch pasted) `x`\nü");
    fs::create_dir(&odd).unwrap();
    fs::copy(dir.path().join("sweep.toml"), odd.join("sweep.toml")).unwrap();
    let submit = ["bench", "submit", "sweep.toml", "--store", "st ore", "--executor", "lines", "--task-time", "30s"];
    let lines = succeed(&odd, &[&submit[..], &["--platform", "portable"]].concat());
    assert!(lines.lines().count() >= 1 && lines.lines().all(|line| line.contains(" bench work ")), "{lines}");
    // In another order, and twice.
    for line in lines.lines().rev().chain(lines.lines()) {
        let output = Command::new("sh").args(["-c", line]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!odd.join("pasted").exists() && !dir.path().join("pasted").exists());
    assert_eq!(deterministic_files(&odd.join("st ore")), deterministic_files(&dir.path().join("whole")));
    let said = run(&odd, &["bench", "status", "st ore"]).2;
    assert!(said.contains("tasks/0001: 0 of "), "{said}");
    assert_eq!(succeed(&odd, &submit), "", "nothing is left to be handed on");
    refuse(&odd, &["bench", "work", "st ore/tasks/0001/list.json", "--task", "99"], &["--task 99"]);
    refuse(&odd, &["bench", "work", "sweep.toml"], &["list of work"]);
}

#[test]
fn a_plan_for_a_cluster_creates_nothing_and_refuses_times_that_no_training_fits_into() {
    let dir = folder(20);
    let submit = ["bench", "submit", "sweep.toml", "--store", "store", "--executor", "slurm", "--plan"];
    let rows = succeed(dir.path(), &[&submit[..], &["--cores", "1,4,1000000000000", "--format", "csv"]].concat());
    let lines: Vec<&str> = rows.lines().collect();
    assert!(lines.len() == 4 && lines[0].starts_with("cores,tasks,makespan_s"), "{rows}");
    assert!(lines[1].starts_with("1,1,") && lines[2].starts_with("4,1,"), "{rows}");
    let short = ["--sbatch-arg=--time=1", "--sbatch-arg=--signal=B:USR1@60"];
    refuse(dir.path(), &[&submit[..], &short].concat(), &["a single training takes about", "a task may take"]);
    let other = [&submit[..], &["--sbatch-arg=-M", "--sbatch-arg=other"]].concat();
    refuse(dir.path(), &other, &["--sbatch-arg=--clusters=other", "would not find tasks of another"]);
    assert!(!dir.path().join("store").exists());
    let kernels = succeed(dir.path(), &["bench", "kernels"]);
    assert!(kernels.lines().any(|line| line == "portable"), "{kernels}");
}

/// A site whose `sinfo` has one partition, which is no default one.
#[test]
#[cfg(unix)]
fn a_partition_without_nodes_is_refused_before_anything_is_made() {
    use std::os::unix::fs::PermissionsExt;

    let dir = folder(20);
    let sinfo =
        "#!/bin/sh\ncase \"$*\" in *-N*) echo 'cpu|n1|idle|1:1:1|900|(null)|(null)';; *) echo 'cpu|1:00:00';; esac\n";
    fs::create_dir(dir.path().join("bin")).unwrap();
    let sinfo = write(dir.path(), "bin/sinfo", sinfo);
    fs::set_permissions(sinfo, fs::Permissions::from_mode(0o755)).unwrap();
    let submit = ["bench", "submit", "sweep.toml", "--store", "store", "--executor", "slurm"];
    for (partition, place) in
        [(&["--sbatch-arg=-p nowhere"][..], "the partition nowhere"), (&[], "a default partition")]
    {
        let mut command = common::dal(dir.path(), &[&submit[..], partition].concat());
        let output = command.env("PATH", dir.path().join("bin")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let words = [&format!("sinfo names no nodes of {place}"), "--sbatch-arg=--partition=NAME"];
        assert!(words.iter().all(|word| said.contains(*word)), "{said}");
        assert!(!output.status.success() && !dir.path().join("store").exists(), "{said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_signal_ends_work_at_a_whole_checkpoint() {
    let dir = folder(4000);
    let submit = ["bench", "submit", "sweep.toml", "--store", "store", "--executor", "lines", "--platform", "portable"];
    succeed(dir.path(), &submit);
    for (signal, wait) in [("-TERM", 400), ("-USR1", 700)] {
        let mut work = common::dal(dir.path(), &["bench", "work", "store/tasks/0001/list.json"]);
        work.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut work = work.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        Command::new("kill").args([signal, &work.id().to_string()]).status().unwrap();
        let status = work.wait().unwrap();
        assert!([Some(0), Some(130)].contains(&status.code()), "{signal}: {status}");
        let (code, _, said) = run(dir.path(), &["bench", "verify", "store"]);
        assert!(code == 0 && !said.contains("torn"), "{said}");
    }
    succeed(dir.path(), &["bench", "work", "store/tasks/0001/list.json", "--jobs", "2"]);
    bench(dir.path(), "whole", &["--jobs", "2"]);
    assert_eq!(deterministic_files(&dir.path().join("store")), deterministic_files(&dir.path().join("whole")));
}
