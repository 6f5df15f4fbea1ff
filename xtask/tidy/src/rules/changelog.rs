//! The changelog: one line an entry, and of each version the breaking ones first.

use std::path::Path;

use anyhow::Result;

use crate::{Findings, Project};

const FILE: &str = "CHANGELOG.md";
const BREAKING: &str = "### Breaking";

pub fn check(project: &Project) -> Result<Findings> {
    let offences = judge(&project.read(Path::new(FILE))?);
    Ok(Findings {
        offences: offences.into_iter().map(|offence| format!("{FILE}:{offence}")).collect(),
        ..Findings::default()
    })
}

/// `LINE: what is wrong`.
fn judge(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut in_version, mut has_section) = (false, false);
    for (i, line) in text.lines().enumerate() {
        let mut say = |what: &str| found.push(format!("{}: {what}", i + 1));
        if line.starts_with("## ") {
            (in_version, has_section) = (true, false);
        } else if line.starts_with("### ") {
            if line == BREAKING && has_section {
                say("breaking entries come first");
            }
            has_section = true;
        } else if in_version && !line.is_empty() && !line.starts_with("- ") {
            say("is no entry of one line: `- ` and at most a line of words");
        } else if line.to_lowercase().contains("breaking:") {
            say("a breaking entry stands under `### Breaking`");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines_and_breaking_ones_come_first() {
        let good = "# Changelog\n\nAny words.\n\n## Unreleased\n\n### Breaking\n\n- one\n\n### More\n\n- two\n\n## 1.0\n\n- three\n";
        assert_eq!(judge(good), [""; 0]);
        let bad = "## Unreleased\n\n### More\n\n- two\n  goes on\n- **Breaking:** one\n\n### Breaking\n\n- three\n";
        assert_eq!(
            judge(bad),
            [
                "6: is no entry of one line: `- ` and at most a line of words",
                "7: a breaking entry stands under `### Breaking`",
                "9: breaking entries come first",
            ]
        );
    }
}
