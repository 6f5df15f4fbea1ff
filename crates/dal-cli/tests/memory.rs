//! Sizes that no memory holds: the number and its limit are named, and a shortage of memory is called one.

mod common;

use common::{refuse, run, write};

const PROBLEM: &str = "name = \"q\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[inputs]]\nname = \"b\"\nlow = 0\n\
                       high = 1\n[[outputs]]\nname = \"y\"\n";

#[test]
fn sizes_beyond_every_memory_are_refused_by_number_and_limit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "q.toml", PROBLEM);
    for n in ["10000001", "9223372036854775807", "18446744073709551615"] {
        let words = [n, "at most 10000000"];
        for method in ["lhs", "sobol", "uniform"] {
            refuse(at, &["design", "q.toml", "-n", n, "--method", method], &words);
        }
        refuse(at, &["select", "gsx", "--problem", "q.toml", "--pool-size", n, "-n", "3"], &words);
        for flag in ["--initial", "--batch", "--budget"] {
            refuse(at, &["new", "c", "--problem", "q.toml", flag, n], &words);
        }
    }
    assert!(!at.join("c").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_shortage_of_memory_is_called_one() {
    let dir = tempfile::tempdir().unwrap();
    // A file of 64 GiB that takes no room on the disk, under a limit of 4 GiB of addresses.
    std::fs::File::create(dir.path().join("x.csv")).unwrap().set_len(1 << 36).unwrap();
    let dal = env!("CARGO_BIN_EXE_dal");
    let command = format!("ulimit -v 4194304; exec '{dal}' label sine --input x.csv");
    let output = std::process::Command::new("sh").args(["-c", &command]).current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && stderr.contains("no memory for another"),
        "{:?} {stderr}",
        output.status
    );
    // The same command with enough of it is judged by what the file holds.
    std::fs::File::create(dir.path().join("x.csv")).unwrap().set_len(4096).unwrap();
    let (code, _, stderr) = run(dir.path(), &["label", "sine", "--input", "x.csv"]);
    assert!(code == 2 && stderr.contains("binary file"), "{stderr}");
}
