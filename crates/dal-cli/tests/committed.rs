//! The tables in `docs/results`: what older versions exported is read by this one, and says what the pages beside say.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{run, succeed};

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/results").canonicalize().expect("docs/results is there")
}

/// Every folder below that holds exported tables, sorted.
fn exports(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        if path.join("schema.json").is_file() {
            found.push(path.clone());
        }
        found.extend(exports(&path));
    }
    found.sort();
    found
}

#[test]
fn every_export_is_read_and_its_page_is_made() {
    let out = tempfile::tempdir().unwrap();
    let results = results();
    let all = exports(&results);
    assert!(all.len() >= 14, "{all:?}");
    for export in &all {
        let name = export.strip_prefix(&results).unwrap().to_string_lossy().replace(['/', '\\'], "-");
        succeed(out.path(), &["report", &export.to_string_lossy(), "--out", &name]);
        assert!(out.path().join(&name).join("report.html").is_file(), "{name}");
    }
    for part in ["a", "b"] {
        let page = results.join("evidence").join(part).join("page");
        for table in ["nauc.csv", "robustness.csv", "wins.csv"] {
            let (then, now) = (page.join(table), out.path().join(format!("evidence-{part}/tables")).join(table));
            assert_eq!(fs::read_to_string(then).unwrap(), fs::read_to_string(now).unwrap(), "{part}, {table}");
        }
    }
}

/// As the last step of `cargo xtask bench-all` calls it.
#[test]
fn the_evidence_stands_beside_another_page() {
    let out = tempfile::tempdir().unwrap();
    let of = |name: &str| results().join(name).to_string_lossy().into_owned();
    let (page, a, b) = (of("collapse-large"), of("evidence/a"), of("evidence/b"));
    let (code, said, stderr) = run(out.path(), &["report", &page, "--out", "r", "--evidence", &a, "--evidence", &b]);
    let beside = said.matches("What the evidence found").count();
    assert_eq!((code, beside), (0, 2), "{said}{stderr}");
}
