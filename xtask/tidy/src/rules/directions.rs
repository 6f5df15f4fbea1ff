//! Which crate depends on which, and the section of ARCHITECTURE.md that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::{Package, Target};
use crate::{Findings, Project};

/// Which of the project's crates each one depends on (for its tests, examples and benches a crate may use any).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("dal-core", &[]),
    ("dal-geom", &[]),
    ("dal-kernels", &[]),
    ("dal-fixtures", &[]),
    ("dal-oracles", &["dal-core", "dal-files", "dal-fixtures"]),
    ("dal-nn", &["dal-core", "dal-eval", "dal-kernels"]),
    ("dal-acq", &["dal-core", "dal-geom"]),
    ("dal-eval", &[]),
    ("dal-store", &["dal-core"]),
    ("dal-work", &["dal-core"]),
    ("dal-files", &["dal-core"]),
    ("dal-bench", &["dal-core", "dal-acq", "dal-oracles", "dal-eval", "dal-store", "dal-work"]),
    ("dal-report", &["dal-eval", "dal-store"]),
    ("dal-tune", &["dal-acq", "dal-core", "dal-eval", "dal-nn", "dal-oracles", "dal-store", "dal-work"]),
    ("dal-campaign", &["dal-core", "dal-acq", "dal-eval", "dal-files", "dal-nn", "dal-oracles", "dal-store"]),
    (
        "dal-cli",
        &[
            "dal-core",
            "dal-acq",
            "dal-campaign",
            "dal-files",
            "dal-nn",
            "dal-oracles",
            "dal-eval",
            "dal-store",
            "dal-bench",
            "dal-report",
            "dal-tune",
            "dal-work",
        ],
    ),
    ("dal-benches", &["dal-core", "dal-geom", "dal-eval", "dal-acq", "dal-nn", "dal-oracles"]),
    ("xtask", &[]),
    ("xtask-libtorch", &[]),
    ("xtask-tidy", &[]),
];

/// What the root of a library says whose API is not for others.
const LINT: &str = "#![warn(unreachable_pub)]";

const MAP: &str = "ARCHITECTURE.md";
const BEGIN: &str =
    "<!-- `cargo xtask tidy --write` makes this table from DIRECTIONS in xtask/tidy/src/rules/directions.rs. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// What each crate's manifest declares, tests aside.
type Declared = BTreeMap<String, BTreeSet<String>>;

pub fn check(project: &Project) -> Result<Findings> {
    let members: BTreeSet<&str> = project.members().map(|p| p.name.as_str()).collect();
    let declared: Declared = project
        .members()
        .map(|package| {
            let kept = package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
            let names = kept.map(|d| d.name.clone()).filter(|name| members.contains(name.as_str()));
            (package.name.clone(), names.collect())
        })
        .collect();
    let for_others = for_others(project);
    let mut offences = judge(&declared, DIRECTIONS);
    offences.extend(leaning(&declared, &for_others));
    for crate_root in roots_of_the_rest(project) {
        if !project.read(&crate_root)?.contains(LINT) {
            offences.push(format!("{}: lacks `{LINT}`: its API is not for others", crate_root.display()));
        }
    }
    let mut found = Findings { offences, ..Findings::default() };
    let text = project.read(Path::new(MAP))?;
    match replaced(&text, &table(DIRECTIONS, &for_others)) {
        None => found.offences.push(format!("{MAP}: lacks the marks of the table of directions:\n{BEGIN}{END}")),
        Some(new) if new != text => {
            found
                .offences
                .push(format!("{MAP}: its table of directions is not the checked one: cargo xtask tidy --write"));
        }
        Some(_) => {}
    }
    Ok(found)
}

/// Writes the table into the map.
///
/// # Errors
/// The map lacks the table's marks.
pub fn write(project: &Project) -> Result<()> {
    let text = project.read(Path::new(MAP))?;
    let new = replaced(&text, &table(DIRECTIONS, &for_others(project)))
        .with_context(|| format!("{MAP} lacks the marks of the table"))?;
    if new != text {
        fs::write(project.root.join(MAP), new).context(MAP)?;
    }
    Ok(())
}

/// The crates whose API is meant for others.
fn for_others(project: &Project) -> BTreeSet<String> {
    project.members().filter(|package| package.is_for_others()).map(|package| package.name.clone()).collect()
}

/// The libraries of `crates/` whose API is not meant for others: what each makes public, another crate is to need. A
/// library beside a program is that program: it makes public how it is started, and the compiler sees what is unused.
fn roots_of_the_rest(project: &Project) -> Vec<PathBuf> {
    let is = |target: &Target, kind: &str| target.kind.iter().any(|found| found == kind);
    let is_program = |package: &Package| package.targets.iter().any(|target| is(target, "bin"));
    let rest = project.members().filter(|package| !package.is_for_others() && !is_program(package));
    let roots = rest.flat_map(|package| &package.targets).filter(|target| is(target, "lib"));
    let inside = roots.filter_map(|target| target.src_path.strip_prefix(&project.root).ok());
    inside.filter(|path| path.starts_with("crates")).map(Path::to_path_buf).collect()
}

/// Crates for others that depend on one which is not: they could not be published.
fn leaning(declared: &Declared, for_others: &BTreeSet<String>) -> Vec<String> {
    let ours = declared.iter().filter(|(name, _)| for_others.contains(*name));
    let pairs = ours.flat_map(|(name, below)| below.iter().map(move |below| (name, below)));
    let bad = pairs.filter(|(_, below)| !for_others.contains(*below));
    bad.map(|(name, below)| format!("{name}: is for others and depends on {below}, whose `publish` is false")).collect()
}

/// Compares manifests with directions: the map is to show what is, so a permission that is not used is an offence too.
fn judge(declared: &Declared, directions: &[(&str, &[&str])]) -> Vec<String> {
    let mut offences = Vec::new();
    for (name, dependencies) in declared {
        let Some((_, allowed)) = directions.iter().find(|(row, _)| row == name) else {
            offences.push(format!("{name}: has no row in DIRECTIONS (directions.rs)"));
            continue;
        };
        let forbidden = dependencies.iter().filter(|d| !allowed.contains(&d.as_str()));
        offences.extend(forbidden.map(|d| format!("{name}'s Cargo.toml: {name} may not depend on {d}")));
        let unused = allowed.iter().filter(|d| !dependencies.contains(**d));
        offences
            .extend(unused.map(|d| format!("{name}: DIRECTIONS (directions.rs) lets it depend on {d}; it does not")));
    }
    let gone = directions.iter().filter(|(row, _)| !declared.contains_key(*row));
    offences.extend(gone.map(|(row, _)| format!("{row}: has a row in DIRECTIONS (directions.rs) and is no crate")));
    offences
}

/// The directions as a Markdown table: crates that depend on the most layers first.
fn table(directions: &[(&str, &[&str])], for_others: &BTreeSet<String>) -> String {
    let mut rows: Vec<(usize, &str, &[&str])> =
        directions.iter().map(|(name, below)| (layer(name, directions, 0), *name, *below)).collect();
    rows.sort_by_key(|(layer, name, _)| (std::cmp::Reverse(*layer), *name));
    let mut text = String::from("| layer | crate | API for others | depends on |\n|---|---|---|---|\n");
    for (layer, name, below) in rows {
        let mut below: Vec<String> = below.iter().map(|name| format!("`{name}`")).collect();
        below.sort();
        let below = if below.is_empty() { "none of the others".to_owned() } else { below.join(", ") };
        let others = if for_others.contains(name) { "yes" } else { "no" };
        let _ = writeln!(text, "| {layer} | `{name}` | {others} | {below} |");
    }
    text
}

/// The length of the longest chain of dependencies below a crate. Cargo refuses circles; the bound is against a wrong
/// row.
fn layer(name: &str, directions: &[(&str, &[&str])], depth: usize) -> usize {
    let row = directions.iter().find(|(row, _)| *row == name).filter(|_| depth < directions.len());
    let below = row.into_iter().flat_map(|(_, below)| below.iter());
    below.map(|below| 1 + layer(below, directions, depth + 1)).max().unwrap_or(0)
}

/// The text with another table between the marks; none if they are missing.
fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["b", "a"])];

    fn declared(rows: &[(&str, &[&str])]) -> Declared {
        rows.iter().map(|(name, below)| ((*name).into(), below.iter().map(|b| (*b).into()).collect())).collect()
    }

    #[test]
    fn directions_are_what_manifests_declare_no_more_and_no_less() {
        assert_eq!(judge(&declared(ROWS), ROWS), [""; 0]);
        assert_eq!(
            judge(&declared(&[("a", &["b"]), ("b", &[]), ("d", &[])]), ROWS),
            [
                "a's Cargo.toml: a may not depend on b",
                "b: DIRECTIONS (directions.rs) lets it depend on a; it does not",
                "d: has no row in DIRECTIONS (directions.rs)",
                "c: has a row in DIRECTIONS (directions.rs) and is no crate",
            ]
        );
    }

    #[test]
    fn the_table_goes_from_the_top_layer_down_and_between_its_marks() {
        let due = "| layer | crate | API for others | depends on |\n|---|---|---|---|\n| 2 | `c` | no | `a`, `b` |\n\
                   | 1 | `b` | yes | `a` |\n| 0 | `a` | yes | none of the others |\n";
        let for_others = ["a", "b"].map(str::to_owned).into();
        assert_eq!(table(ROWS, &for_others), due);
        assert_eq!(leaning(&declared(ROWS), &for_others), [""; 0]);
        let one = ["b".to_owned()].into();
        assert_eq!(leaning(&declared(ROWS), &one), ["b: is for others and depends on a, whose `publish` is false"]);
        let old = format!("Before.\n{BEGIN}\nold\n\n{END}After.\n");
        let new = replaced(&old, due).unwrap();
        assert_eq!(new, format!("Before.\n{BEGIN}\n{due}\n{END}After.\n"));
        assert_eq!(replaced(&new, due).unwrap(), new);
        assert_eq!(replaced("no marks", due), None);
    }

    #[test]
    fn a_circle_of_rows_ends() {
        assert_eq!(layer("a", &[("a", &["b"]), ("b", &["a"])], 0), 2);
    }
}
