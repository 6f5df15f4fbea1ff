//! Plain English: a sentence about a process names the process or the condition, not a person who is not there.

use anyhow::Result;

use crate::{Findings, Project};

/// Words that stand where a condition belongs. Split so that this file does not offend itself.
const PERSONS: &[&str] = &[
    concat!("who", "ever"),
    concat!("no", "body"),
    concat!("some", "body"),
    concat!("any", "body"),
    concat!("every", "body"),
    concat!("lives", " to see"),
];

/// Endings of the files that are looked at.
const PROSE: &[&str] = &["rs", "md", "toml", "py", "sh", "js"];

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for file in PROSE.iter().flat_map(|extension| project.with_extension(extension)) {
        for (line, word) in persons(&project.read(file)?) {
            let place = file.display();
            found.offences.push(format!("{place}:{line}: says `{word}`; name the process, or say the condition"));
        }
    }
    Ok(found)
}

/// Lines, from 1, and the word on them that says a person.
fn persons(text: &str) -> Vec<(usize, &'static str)> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(i, line)| {
            let line = line.to_lowercase();
            PERSONS.iter().find(|word| line.contains(**word)).map(|word| (i + 1, *word))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persons_are_found_in_every_form() {
        let text = format!("a line\n// {}'s number\n//! told to {}.", PERSONS[3], PERSONS[1].to_uppercase());
        assert_eq!(persons(&text), [(2, PERSONS[3]), (3, PERSONS[1])]);
        assert_eq!(persons("no one condition, some bodies, who and whom"), []);
    }
}
