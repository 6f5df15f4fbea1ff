//! The help of every command: it fits a terminal of 100 columns, and shows an example of the command.

mod common;

use common::succeed;

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let name =
        |line: &str| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned);
    commands.filter_map(name).filter(|name| name != "help").collect()
}

/// The helps of a command and of those below it.
fn helps(path: &[&str], found: &mut Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let help = succeed(dir.path(), &[path, &["--help"]].concat());
    let below = listed(&help);
    found.push((path.join(" "), help));
    for name in &below {
        helps(&[path, &[name.as_str()]].concat(), found);
    }
}

#[test]
fn every_help_fits_100_columns_and_shows_an_example() {
    let mut found = Vec::new();
    helps(&[], &mut found);
    assert!(found.len() > 20, "{} commands", found.len());
    for (path, help) in found {
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "dal {path} --help: {line}");
        }
        if listed(&help).is_empty() {
            assert!(help.contains("\nExample") && help.contains(&format!("  dal {path} ")), "{help}");
        }
    }
}

#[test]
fn what_json_is_printed_is_what_the_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&succeed(dir.path(), &[args, &["--format", "json"]].concat())).unwrap()
    };
    for (list, one) in [("problems", "sine"), ("strategies", "gsx")] {
        assert!(json(&[list]).is_array() && json(&[list, one]).is_object());
        let help = succeed(dir.path(), &[list, "--help"]);
        assert!(help.contains("An array of objects; one object where one thing is shown"), "{help}");
    }
}
