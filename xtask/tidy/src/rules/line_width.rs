//! Lines of at most 120 characters in Markdown prose and in Rust's comments; rustfmt sees to the code.

use std::path::Path;

use anyhow::Result;

use crate::{Findings, Project};

/// The most characters of a line.
const MOST: usize = 120;

/// Places whose lines are longer, with the reason: files, folders with all that they hold, names that files have
/// anywhere.
const EXCEPTIONS: &[(&str, &str)] = &[("docs/catalogue.md", "made from the problems' cards"), ("tried.md", GENERATED)];

const GENERATED: &str = "a program writes each paragraph as one line";

pub fn check(project: &Project) -> Result<Findings> {
    let mut lines = Vec::new();
    for (extension, find) in [("md", wide_in_markdown as fn(&str) -> Vec<usize>), ("rs", wide_in_rust)] {
        for file in project.with_extension(extension) {
            lines.extend(find(&project.read(file)?).into_iter().map(|line| (file.display().to_string(), line)));
        }
    }
    Ok(judge(&lines, EXCEPTIONS))
}

fn judge(lines: &[(String, usize)], exceptions: &[(&str, &str)]) -> Findings {
    let mut found = Findings::default();
    for (file, line) in lines {
        if !exceptions.iter().any(|(place, _)| lies(file, place)) {
            found.offences.push(format!("{file}:{line}: has more than {MOST} characters"));
        }
    }
    for (place, reason) in exceptions {
        match lines.iter().filter(|(file, _)| lies(file, place)).count() {
            0 => found.offences.push(format!("{place}: is excepted in line_width.rs and need not be")),
            n => found.notes.push(format!("{place}: lines of more than {MOST} characters: {n}; {reason}")),
        }
    }
    found
}

fn lies(file: &str, place: &str) -> bool {
    Path::new(file).starts_with(place) || Path::new(file).ends_with(place)
}

/// Numbers of the lines of prose that are too wide. Tables, code, headings and HTML cannot be wrapped; of a link, the
/// address does not count.
fn wide_in_markdown(text: &str) -> Vec<usize> {
    let mut fence = None;
    let mut wide = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let start = line.trim_start().trim_start_matches("> ");
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        if fence.is_some() || mark.is_some() {
            fence = if fence.is_none() { mark } else { fence.filter(|open| Some(*open) != mark) };
            continue;
        }
        let whole = ["|", "#", "<"].iter().any(|mark| start.starts_with(mark)) || line.starts_with("    ");
        if !whole && width_without_addresses(line) > MOST {
            wide.push(i + 1);
        }
    }
    wide
}

/// A line's characters, those of its links' addresses left out.
fn width_without_addresses(line: &str) -> usize {
    let mut parts = line.split("](");
    let mut width = parts.next().map_or(0, characters_without_bare_addresses);
    for part in parts {
        let after = part.split_once(')').map_or("", |(_, after)| after);
        width += "]()".len() + characters_without_bare_addresses(after);
    }
    width
}

fn characters_without_bare_addresses(text: &str) -> usize {
    let addresses = text.split_inclusive(' ').filter(|word| word.contains("https://") || word.contains("http://"));
    text.chars().count() - addresses.map(|word| word.chars().count()).sum::<usize>()
}

/// Numbers of the lines with comments that are too wide.
fn wide_in_rust(text: &str) -> Vec<usize> {
    let wide = |line: &str| {
        line.chars().count() > MOST && comment(line).is_some_and(|at| width_without_addresses(&line[at..]) + at > MOST)
    };
    text.lines().enumerate().filter(|(_, line)| wide(line)).map(|(i, _)| i + 1).collect()
}

/// Where a line's comment begins: at two slashes that no string holds, as far as one line tells.
fn comment(line: &str) -> Option<usize> {
    line.match_indices("//").map(|(at, _)| at).find(|&at| line[..at].matches('"').count().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_counts_and_what_cannot_be_wrapped_does_not() {
        let long = "word ".repeat(25);
        assert_eq!(wide_in_markdown(&format!("short\n{long}\n- {long}\n> {long}\n")), [2, 3, 4]);
        let spared = [
            format!("| {long} |"),
            format!("# {long}"),
            format!("```\n{long}\n~~~\n{long}\n```"),
            format!("<img alt=\"{long}\">"),
            format!("    {long}"),
            format!("[a link]({}) and more", "x".repeat(120)),
            format!("see https://example.org/{} for more", "x".repeat(120)),
            "ä".repeat(120),
        ];
        for text in spared {
            assert_eq!(wide_in_markdown(&text), [0; 0], "{text}");
        }
        assert_eq!(wide_in_markdown(&format!("```\n```\n{long}")), [3]);
    }

    #[test]
    fn comments_count_and_code_does_not() {
        let long = "word ".repeat(25);
        for text in [format!("//! {long}"), format!("    /// {long}"), format!("let x = \"a\"; // {long}")] {
            assert_eq!(wide_in_rust(&text), [1], "{text}");
        }
        let spared = [
            format!("let x = \"https://{long}\";"),
            format!("    {long}"),
            format!("// <https://{}>", "x".repeat(120)),
        ];
        for text in spared {
            assert_eq!(wide_in_rust(&text), [0; 0], "{text}");
        }
    }

    #[test]
    fn exceptions_hold_for_folders_and_go_when_they_are_not_needed() {
        let lines = [("a/b/c.rs".to_owned(), 3), ("a/b.rs".to_owned(), 4), ("a/b/d.md".to_owned(), 5)];
        let found = judge(&lines, &[("a/b", "moved soon"), ("a/x", "was long")]);
        assert_eq!(found.notes, ["a/b: lines of more than 120 characters: 2; moved soon"]);
        let by_name = judge(&lines, &[("b.rs", "made"), ("a/b", "moved soon")]);
        assert_eq!(by_name.offences, [""; 0]);
        assert_eq!(
            found.offences,
            ["a/b.rs:4: has more than 120 characters", "a/x: is excepted in line_width.rs and need not be"]
        );
    }
}
