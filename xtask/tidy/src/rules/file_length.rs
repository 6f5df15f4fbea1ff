//! A Rust file has at most 700 lines before its tests.

use anyhow::{Context, Result};

use super::tests_apart::{attributes, only_for_tests};
use crate::{Findings, Project};

/// The most lines before the tests at a file's foot.
const MOST: usize = 700;

/// Longer files, each with the reason why it stays one.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub fn check(project: &Project) -> Result<Findings> {
    let mut lengths = Vec::new();
    for file in project.with_extension("rs") {
        let name = file.display().to_string();
        let lines = lines_before_tests(&project.read(file)?).with_context(|| name.clone())?;
        lengths.push((name, lines));
    }
    Ok(judge(&lengths, EXCEPTIONS))
}

fn judge(lengths: &[(String, usize)], exceptions: &[(&str, &str)]) -> Findings {
    let mut found = Findings::default();
    for (file, lines) in lengths.iter().filter(|(_, lines)| *lines > MOST) {
        match exceptions.iter().find(|(excepted, _)| excepted == file) {
            Some((_, reason)) => found.notes.push(format!("{file}: {lines} lines before its tests: {reason}")),
            None => found.offences.push(format!("{file}:{MOST}: has {lines} lines before its tests; at most {MOST}")),
        }
    }
    for (file, _) in exceptions {
        if !lengths.iter().any(|(name, lines)| name == file && *lines > MOST) {
            found.offences.push(format!("{file}: is excepted in file_length.rs and need not be"));
        }
    }
    found
}

/// How many lines come before the items for tests that end a file.
///
/// # Errors
/// The text is not Rust.
fn lines_before_tests(text: &str) -> Result<usize> {
    let parsed = syn::parse_file(text)?;
    if only_for_tests(&parsed.attrs) {
        return Ok(0);
    }
    let tests = parsed.items.iter().rev().take_while(|item| only_for_tests(attributes(item))).last();
    // An item begins with its first attribute, which may be a line of documentation.
    let first =
        tests.and_then(|item| attributes(item).first()).map(|attribute| attribute.pound_token.spans[0].start().line);
    Ok(first.map_or_else(|| text.lines().count(), |line| line - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_at_the_foot_do_not_count() {
        let counted = |text| lines_before_tests(text).unwrap();
        assert_eq!(counted("//! A file.\nfn f() {}\n"), 2);
        assert_eq!(counted("//! A file.\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n"), 3);
        assert_eq!(counted("fn f() {}\n#[cfg(all(test, unix))]\nmod a {}\n#[cfg(test)]\nmod b {}\n"), 1);
        // Code for tests that stands before other code counts.
        assert_eq!(counted("#[cfg(test)]\nmod a {}\nfn f() {}\n"), 3);
        // This is compiled with the feature, too.
        assert_eq!(counted("#[cfg(any(test, feature = \"x\"))]\nmod a {}\n"), 2);
        assert_eq!(counted("#![cfg(test)]\nfn f() {}\n"), 0);
    }

    #[test]
    fn exceptions_are_noted_and_go_when_they_are_not_needed() {
        let lengths = [("long.rs".to_owned(), 701), ("most.rs".to_owned(), 700), ("other.rs".to_owned(), 800)];
        let found = judge(&lengths, &[("long.rs", "one table"), ("most.rs", "was longer"), ("gone.rs", "was here")]);
        assert_eq!(found.notes, ["long.rs: 701 lines before its tests: one table"]);
        assert_eq!(
            found.offences,
            [
                "other.rs:700: has 800 lines before its tests; at most 700",
                "most.rs: is excepted in file_length.rs and need not be",
                "gone.rs: is excepted in file_length.rs and need not be",
            ]
        );
    }
}
