//! The results file of an evaluation, as Dakota reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use dal_core::{LabelFailure, LabelFailureKind};
use dal_files::number::{Cell, Decimal, cell, excerpt_of};

/// The most bytes that are read of a results file.
const MOST: u64 = 1 << 24;

/// What a results file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// There is none.
    Nothing,
    /// An answer, or why there is none.
    Answer(Result<Vec<f64>, LabelFailure>),
}

/// Reads a results file: a number for each output, in order, each with a name behind it or not; gradients and Hessians
/// in brackets may follow and are not looked at. `fail` at its beginning, in any letters, says that the point has no
/// answer. Where all the names are those of the outputs, they say which number is whose.
pub(crate) fn read(path: &Path, outputs: &[String]) -> Told {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)) {
        Ok(_) => Told::Answer(parse(&String::from_utf8_lossy(&bytes), outputs)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Told::Nothing,
        Err(error) => Told::Answer(Err(malformed(format!("the results file cannot be read: {error}")))),
    }
}

fn malformed(message: impl Into<String>) -> LabelFailure {
    LabelFailure::new(LabelFailureKind::Malformed, message.into())
}

fn parse(text: &str, outputs: &[String]) -> Result<Vec<f64>, LabelFailure> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("fail")) {
        let line = text.lines().next().unwrap_or_default();
        let words = line[4..].trim_start_matches(|c: char| c.is_alphabetic()).trim_start_matches([':', ' ']).trim();
        return Err(LabelFailure::new(LabelFailureKind::Refused, excerpt_of(words, 200)));
    }
    let mut found: Vec<(f64, Option<&str>)> = Vec::new();
    for token in text.split('[').next().unwrap_or_default().split_whitespace() {
        let value = match cell(token, Decimal::Point) {
            Cell::Number(value) | Cell::NotFinite(value) => value,
            _ => {
                match found.last_mut() {
                    Some((_, name @ None)) => *name = Some(token),
                    _ => {
                        return Err(malformed(format!(
                            "the results file says `{}` where a number belongs",
                            excerpt_of(token, 60)
                        )));
                    }
                }
                continue;
            }
        };
        found.push((value, None));
    }
    if found.len() != outputs.len() {
        let (n, m) = (found.len(), outputs.len());
        return Err(malformed(format!(
            "the results file has {n} number{} where there are {m} outputs",
            if n == 1 { "" } else { "s" }
        )));
    }
    let place = |name: &Option<&str>| outputs.iter().position(|output| Some(output.as_str()) == *name);
    let places: Vec<Option<usize>> = found.iter().map(|(_, name)| place(name)).collect();
    let mut values = vec![f64::NAN; outputs.len()];
    if places.iter().all(Option::is_some) {
        let mut seen = vec![false; outputs.len()];
        for (place, (value, _)) in places.iter().flatten().zip(&found) {
            if std::mem::replace(&mut seen[*place], true) {
                return Err(malformed(format!("the results file has `{}` twice", outputs[*place])));
            }
            values[*place] = *value;
        }
    } else if places.iter().enumerate().any(|(at, place)| place.is_some_and(|place| place != at)) {
        return Err(malformed("the results file names some outputs in another order and others not at all"));
    } else {
        values = found.iter().map(|(value, _)| *value).collect();
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(bad) => {
            let message = format!("{} is {}", outputs[bad], values[bad]);
            Err(LabelFailure::new(LabelFailureKind::NonFinite, message))
        }
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<Vec<f64>, LabelFailure> {
        parse(text, &["f".to_owned(), "g".to_owned()])
    }

    #[test]
    fn numbers_come_in_order_or_by_name() {
        for text in [
            "1 2\n",
            "  1.0e+00 f\n 2.0e+00 g\n",
            "2 g\n1 f\n",
            "1 obj_fn\n2 nln_con\n",
            "1\n2 g\n",
            "1.0D0 2",
            "1 f 2 g\n[ 0.5 0.5 ]\n[[ 1 0 0 1 ]]\n",
        ] {
            assert_eq!(of(text), Ok(vec![1.0, 2.0]), "{text}");
        }
    }

    #[test]
    fn failures_have_kinds() {
        use LabelFailureKind::{Malformed, NonFinite, Refused};
        for (text, kind, words) in [
            ("fail", Refused, ""),
            ("\n FAIL: no convergence\n1 2", Refused, "no convergence"),
            ("failed in step 3", Refused, "in step 3"),
            ("Failure", Refused, ""),
            ("nan f\n2 g", NonFinite, "f is NaN"),
            ("1 inf", NonFinite, "g is inf"),
            ("", Malformed, "0 numbers where there are 2 outputs"),
            ("1 f", Malformed, "1 number where there are 2 outputs"),
            ("1 2 3", Malformed, "3 numbers"),
            ("1 f f 2", Malformed, "`f` where a number belongs"),
            ("1 f 2 f", Malformed, "`f` twice"),
            ("1 g 2 h", Malformed, "another order"),
            ("error 1 2", Malformed, "`error`"),
        ] {
            let failure = of(text).unwrap_err();
            assert!(failure.kind == kind && failure.message.contains(words), "{text}: {failure}");
        }
        assert_eq!(read(Path::new("no/such/file"), &[]), Told::Nothing);
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer_or_a_failure(text in "([0-9.eE+-]{0,4}|fail|[fg]|\\[|\\]|[ \n]|\\PC){0,12}") {
            if let Ok(values) = of(&text) {
                prop_assert!(values.len() == 2 && values.iter().all(|v| v.is_finite()));
            }
        }
    }
}
