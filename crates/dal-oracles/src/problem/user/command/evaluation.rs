//! One evaluation of a driver: a directory, the program in it, what its results file says.

use std::ffi::OsString;
use std::process::Command;
use std::sync::mpsc::Sender;

use dal_core::LabelFailure;

use super::CommandOracle;
use super::call::{Event, Wanted};
use super::ending::{Heard, describe_end};
use crate::user::answers::{Again, Answer, Answers, Shape};
use crate::user::driver::{DriverSettings, Keep, Told, read};

impl CommandOracle {
    /// One evaluation, of the point at this row of the batch.
    pub(super) fn evaluate(
        &self,
        driver: &DriverSettings,
        line: &str,
        row: usize,
        events: &Sender<Event>,
        wanted: &Wanted<'_>,
    ) {
        let unavailable = |message: String| drop(events.send(Event::Unavailable(message)));
        let mut directory = match driver.prepare(&self.inputs, &self.outputs, line) {
            Ok(directory) => directory,
            Err(problem) => return unavailable(format!("the directory of an evaluation cannot be made: {problem}")),
        };
        let mut command = Command::new(self.program());
        command.args(arguments(&self.settings.program[1..], driver)).current_dir(directory.path());
        let mut running = match self.launch(command, None, None, 1, wanted) {
            Ok(running) => running,
            Err(message) => return unavailable(message),
        };
        // What it prints is no answer; the reader of answers only lends its form to those who listen.
        let shape = Shape {
            outputs: &self.outputs,
            header: true,
            n_rows: 1,
            inputs: self.inputs.of_files(),
            told: false,
            asked: vec![line.trim_end()],
        };
        let mut silent = Answers::new(shape);
        let limit = self.settings.time_limit;
        let heard = running.listen(&mut silent, &mut |_, _| {}, limit, wanted);
        let (status, words) = running.end(&mut silent, &mut |_, _| {}, &heard);
        let succeeded = matches!(&status, Ok(status) if status.success());
        let told = match heard {
            Heard::TimedOut => Told::Nothing,
            // A program that was ended may have left half of a file.
            Heard::Abandoned if !succeeded => Told::Nothing,
            _ => read(&directory.path().join(&driver.results_file), &self.outputs),
        };
        let answer = match told {
            Told::Answer(answer) if succeeded || is_refused(&answer) => answer,
            told => {
                let end = describe_end(&heard, &status, words, limit);
                let what = match (&told, succeeded) {
                    (Told::Nothing, true) => format!("without a results file `{}`", driver.results_file),
                    (Told::Nothing, false) => "before it wrote its results".into(),
                    (Told::Answer(_), _) => "so that its results do not count".into(),
                };
                let words = match end.words.is_empty() {
                    true => "; it printed nothing".to_owned(),
                    false => format!("; its last words: {}", end.words),
                };
                Err(LabelFailure::new(end.kind, format!("the driver {} {what}{words}", end.how)))
            }
        };
        if heard == Heard::Abandoned && answer.is_err() {
            // It is as if it had not been asked, and its directory goes.
            return;
        }
        let answered = answer.is_ok();
        let again = if is_refused(&answer) { Again::Pointless } else { Again::Useful };
        directory.is_over(driver.keep, answered);
        let answer = match answer {
            Err(failure) if driver.keep != Keep::Never => {
                let place = directory.path().file_name().unwrap_or_default().display();
                let words = if failure.message.is_empty() { String::new() } else { format!("{} ", failure.message) };
                Err(LabelFailure::new(failure.kind, format!("{words}(see {place})")))
            }
            answer => answer,
        };
        drop(directory);
        // The receiver outlives the calls unless it panics, and then the row is not wanted.
        let _ = events.send(Event::Row(row, answer, again));
        let _ = events.send(Event::Ended { answered });
    }
}

/// The driver's arguments: `{parameters}` and `{results}` stand for the files' names; where neither does, both come
/// last.
fn arguments(given: &[String], driver: &DriverSettings) -> Vec<OsString> {
    const PLACES: [&str; 2] = ["{parameters}", "{results}"];
    let names = [&driver.parameters_file, &driver.results_file];
    let fill =
        |text: &String| PLACES.iter().zip(names).fold(text.clone(), |text, (place, name)| text.replace(place, name));
    let mut arguments: Vec<OsString> = given.iter().map(|text| fill(text).into()).collect();
    if !given.iter().any(|text| PLACES.iter().any(|place| text.contains(place))) {
        arguments.extend(names.map(OsString::from));
    }
    arguments
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer, Err(failure) if failure.kind == dal_core::LabelFailureKind::Refused)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::path::Path;

    use dal_core::{LabelFailure, LabelFailureKind as Kind, Stop, every};
    use ndarray::Array2;

    use crate::Problem;
    use crate::user::load;

    const COLUMNS: &str = "name = \"p\"\n[[inputs]]\nname = \"x1\"\nlow = 0\nhigh = 10\n\
        [[inputs]]\nname = \"mat\"\nlevels = [\"steel\", \"wood\"]\n[[outputs]]\nname = \"f\"\n[[outputs]]\nname = \"g\"\n";

    /// A problem whose driver is a script, with more keys.
    fn problem(folder: &Path, script: &str, keys: &str) -> Problem {
        fs::write(folder.join("driver.sh"), format!("#!/bin/sh\n{script}\n")).unwrap();
        let text = format!(
            "{COLUMNS}[oracle.driver]\nprogram = [\"sh\", \"driver.sh\"]\nlink = [\"driver.sh\"]\ntime_limit = 60\nretries = 0\n{keys}"
        );
        fs::write(folder.join("p.toml"), text).unwrap();
        load(folder.join("p.toml")).unwrap()
    }

    /// Labels of the points x1 = 0, 1, … of steel.
    fn labels(problem: &Problem, n: usize) -> Vec<Result<Vec<f64>, LabelFailure>> {
        let x = Array2::from_shape_fn((n, 3), |(i, k)| [2.0 * i as f64 / 10.0 - 1.0, 1.0, -1.0][k]);
        let mut rows = vec![None; n];
        let mut keep = every(|row, answer| rows[row] = Some(answer.map(<[f64]>::to_vec)));
        problem.oracle().unwrap().label(x.view(), &Stop::new(), &mut keep).unwrap();
        drop(keep);
        rows.into_iter().map(Option::unwrap).collect()
    }

    fn directories(folder: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder.join("p.answers/evaluations")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn drivers_are_given_files_and_answer_by_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("deck.template"), "x = {x1}\nm = {mat}\n").unwrap();
        // It reads the parameters file and the deck, and writes names the other way round.
        let script = "x=$(awk '$2 == \"x1\" {print $1}' $1)\n\
            grep -q \"^m = steel$\" deck || exit 3\ngrep -q \"^x = $x$\" deck || exit 4\n\
            echo noise; echo \"7 g\" > $2.part; echo \"$x f\" >> $2.part; mv $2.part $2";
        for (keys, kept) in [("", 0), ("parallel = 3\nkeep = \"always\"\n", 4)] {
            let problem = problem(dir.path(), script, &format!("template = [\"deck.template\"]\n{keys}"));
            let found: Vec<Vec<f64>> = labels(&problem, 4).into_iter().map(Result::unwrap).collect();
            for (row, values) in found.iter().enumerate() {
                assert!((values[0] - row as f64).abs() < 1e-12 && values[1] == 7.0, "{values:?}");
            }
            assert_eq!(directories(dir.path()).len(), kept);
        }
        // Elsewhere, if it is said, and never in the place of another.
        let problem =
            problem(dir.path(), script, "template = [\"deck.template\"]\nkeep = \"always\"\ndirectories = \"runs\"\n");
        let elsewhere = problem.working_in(&dir.path().join("campaign"));
        labels(&elsewhere, 1)[0].as_ref().unwrap();
        assert!(dir.path().join("runs/eval.1/results.out").is_file() && !dir.path().join("campaign").exists());
    }

    #[test]
    fn failures_are_told_apart_and_their_directories_stay() {
        let dir = tempfile::tempdir().unwrap();
        let script = "case $(awk '$2 == \"x1\" {print int($1 + 0.5)}' $1) in\n\
            0) echo 1 2 > $2;;\n1) echo 'FAIL: no convergence' > $2; exit 1;;\n2) echo 1 2 > $2; echo broken >&2; exit 3;;\n\
            3) ;;\n4) echo 1 > $2;;\n5) echo nan 1 > $2;;\n6) echo 1 2 > $2; kill -9 $$;;\nesac";
        let found = labels(&problem(dir.path(), script, ""), 7);
        let kinds: Vec<Option<Kind>> = found.iter().map(|answer| answer.as_ref().err().map(|f| f.kind)).collect();
        let expected = [Kind::Refused, Kind::Crashed, Kind::Missing, Kind::Malformed, Kind::NonFinite, Kind::Crashed];
        assert_eq!(kinds, std::iter::once(None).chain(expected.map(Some)).collect::<Vec<_>>());
        let words = |row: usize| found[row].as_ref().unwrap_err().message.clone();
        assert!(words(1).starts_with("no convergence (see eval."), "{}", words(1));
        assert!(words(2).contains("exit status 3") && words(2).contains("broken"), "{}", words(2));
        assert!(words(3).contains("without a results file `results.out`"), "{}", words(3));
        assert_eq!(directories(dir.path()).len(), 6);
        // What says that it failed is asked once, whatever `retries` says.
        problem(dir.path(), "echo once >> ../../../calls; echo fail > $2", "");
        let text = fs::read_to_string(dir.path().join("p.toml")).unwrap().replace("retries = 0", "retries = 3");
        fs::write(dir.path().join("p.toml"), text).unwrap();
        labels(&load(dir.path().join("p.toml")).unwrap(), 1)[0].as_ref().unwrap_err();
        assert_eq!(fs::read_to_string(dir.path().join("calls")).unwrap(), "once\n");
        problem(dir.path(), "sleep 60", "keep = \"never\"\n");
        let text =
            fs::read_to_string(dir.path().join("p.toml")).unwrap().replace("time_limit = 60", "time_limit = 0.3");
        fs::write(dir.path().join("p.toml"), text).unwrap();
        let slow = labels(&load(dir.path().join("p.toml")).unwrap(), 1);
        assert_eq!(slow[0].as_ref().unwrap_err().kind, Kind::TimedOut);
        assert_eq!(directories(dir.path()).len(), 7);
    }

    #[test]
    fn what_an_evaluation_needs_is_checked_when_the_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("driver.sh", "exit 0"), ("deck", "x = {x2}"), ("plain", "x"), ("good.template", "{x1}")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let refuse = |keys: &str| {
            let text = format!("{COLUMNS}[oracle.driver]\ntime_limit = 1\n{keys}");
            fs::write(dir.path().join("p.toml"), text).unwrap();
            load(dir.path().join("p.toml")).unwrap_err().to_string()
        };
        for (keys, words) in [
            ("program = []", "oracle.driver.program: name the driver"),
            ("program = [\"./no.sh\"]", "there is no file"),
            ("program = [\"sh\", \"driver.sh\"]", "name it in `link`"),
            ("program = [\"x\"]\ntemplate = [\"deck\"]", "deck: line 1: {x2} is no input; there are: x1, mat"),
            ("program = [\"x\"]\ntemplate = [\"plain\"]", "put it into `copy`"),
            ("program = [\"x\"]\nlink = [\"none\"]", "there is no"),
            ("program = [\"x\"]\nlink = [\"plain\"]\ncopy = [\"plain\"]", "by link"),
            ("program = [\"x\"]\nlink = [\"..\"]", "no plain name"),
            ("program = [\"x\"]\nresults_file = \"../r\"", "`../r` is no plain name"),
            ("program = [\"x\"]\nparameters_file = \"results.out\"", "by parameters_file"),
            ("program = [\"x\"]\nformat = \"json\"", "standard"),
            ("program = [\"x\"]\ncopy = [\".\"]", "no plain name"),
        ] {
            let error = refuse(keys);
            assert!(error.contains(words), "{keys}: {error}");
        }
        // Other files filled in are other answers.
        let exchange = |text: &str| {
            fs::write(dir.path().join("good.template"), text).unwrap();
            let text = format!(
                "{COLUMNS}[oracle.driver]\ntime_limit = 1\nprogram = [\"x\"]\ntemplate = [\"good.template\"]\n"
            );
            fs::write(dir.path().join("p.toml"), text).unwrap();
            load(dir.path().join("p.toml")).unwrap().asking().unwrap().exchange.clone()
        };
        assert!(exchange("{x1}").starts_with("driver ") && exchange("{x1}") != exchange("{x1} "));
    }
}
