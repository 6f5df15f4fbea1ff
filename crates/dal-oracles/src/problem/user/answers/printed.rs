//! What a program printed elsewhere, read from a file as if the program had been called here.

use dal_files::Inputs;

use super::reading::below;
use super::{Answer, Answers, Shape};

/// What a program was given and what it printed of it.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// The inputs, which may stand beside the outputs.
    pub inputs: Inputs<'a>,
    /// Names of the outputs, in order.
    pub outputs: &'a [String],
    /// Whether the answer begins with a header; without one it may have one all the same.
    pub header: bool,
    /// The points, a line of CSV in physical units each.
    pub points: &'a [String],
    /// What it printed.
    pub text: &'a str,
}

/// The answer to each point, read as that of a call is: by the column `row` or in order, in every dialect, and
/// compared with inputs that stand beside the outputs. `None` where nothing is said of a point: its line is empty, or
/// there is none where a column `row` says whose lines are. Cells that begin with `lost` are failures, too, and a
/// refusal has the words of its cell alone: it is up to the caller whose fault they state.
///
/// # Errors
/// Lines that cannot be matched with points, so that any of them may belong to a neighbour.
pub fn printed(printed: &Printed<'_>) -> Result<Vec<Option<Answer>>, String> {
    let Printed { inputs, outputs, header, points, text } = *printed;
    let asked = points.iter().map(String::as_str).collect();
    let mut shape = Shape { outputs, header, n_rows: points.len(), inputs, asked, told: true };
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    shape.header |= !below(first.trim_start_matches('\u{feff}'), &shape).is_empty();
    let mut answers = Answers::new(shape);
    let mut rows: Vec<Option<Answer>> = vec![None; points.len()];
    let mut take = |row: usize, answer: Answer| rows[row] = Some(answer);
    answers.feed(text.as_bytes(), &mut take);
    if answers.lost.is_none() && !answers.line.is_empty() {
        answers.take_line(&mut take);
    }
    for (row, answer) in std::mem::take(&mut answers.held) {
        take(row, answer);
    }
    let n = points.len();
    let keyed = answers.is_keyed();
    if let Some(lost) = &answers.lost {
        return Err(format!("it holds {lost}"));
    }
    if answers.readings.is_none() {
        return Err(format!("it holds nothing, and no header `{}`", outputs.join(",")));
    }
    if keyed && answers.beyond && n > 0 && !answers.answered[0] {
        return Err("its column `row` counts from 1; rows are counted from 0, the first point's is 0".into());
    }
    if let Some(line) = answers.foreign.as_ref().filter(|_| keyed) {
        return Err(format!("it holds `{line}`, which names none of the {n} points (rows are counted from 0)"));
    }
    if !keyed && answers.n_answered < n {
        return Err(format!(
            "it holds {} answers to {n} points; each point needs a line, unless a column `row` says which point, counted \
             from 0, a line answers",
            answers.n_answered
        ));
    }
    let empty = answers.empty;
    Ok(rows.into_iter().zip(empty).map(|(answer, empty)| answer.filter(|answer| answer.is_ok() || !empty)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{Dimension, LabelFailureKind as Kind, Scale, Space};

    fn read(header: bool, text: &str) -> Result<Vec<Option<Answer>>, String> {
        let names = ["speed", "material"].map(str::to_owned);
        let levels = [vec![], ["steel", "wood"].map(str::to_owned).to_vec()];
        let speed = Dimension::Continuous { low: 0.0, high: 10.0, scale: Scale::Linear };
        let space = Space::new(vec![speed, Dimension::Categorical { n_levels: 2 }]).unwrap();
        let inputs = Inputs { names: &names, levels: &levels, space: &space };
        let outputs = ["y", "z"].map(str::to_owned);
        let points = ["1.5,steel", "2.123456789,wood", "3,steel"].map(str::to_owned);
        printed(&Printed { inputs, outputs: &outputs, header, points: &points, text })
    }

    fn labels(text: &str) -> Vec<Option<Vec<f64>>> {
        let rows = read(true, text).unwrap();
        rows.into_iter().map(|row| row.map(|answer| answer.unwrap())).collect()
    }

    #[test]
    fn what_was_printed_elsewhere_is_read_as_a_call_is() {
        let due = [Some(vec![1.5, 2.5]), Some(vec![3.5, 4.5]), Some(vec![5.5, 6.5])];
        for text in [
            "y,z\n1.5,2.5\n3.5,4.5\n5.5,6.5\n",
            "\u{feff}z;y\r\n2,5;1,5\r\n4,5;3,5\r\n6,5;5,5",
            "y z\n 1.5  2.5\n 3.5  4.5\n 5.5  6.5\n",
            "row,y,z\n2,5.5,6.5\n0,1.5,2.5\nstray\n1,3.5,4.5\n",
            "speed,material,y,z\n1.5,steel,1.5,2.5\n2.123457,wood,3.5,4.5\n3,steel,5.5,6.5\n",
        ] {
            assert_eq!(labels(text), due, "{text}");
        }
        let bare = read(false, "1.5,2.5\n3.5,4.5\n5.5,6.5\n").unwrap();
        assert_eq!(bare, read(false, "y,z\n1.5,2.5\n3.5,4.5\n5.5,6.5\n").unwrap());
        assert_eq!(bare[2], Some(Ok(vec![5.5, 6.5])));
    }

    #[test]
    fn failures_and_points_that_nothing_is_said_of_are_told_apart() {
        let rows = read(true, "y,z\nerror: no mesh, at all\nnan,1\nlost: power cut,\n").unwrap();
        let found: Vec<(Kind, String)> =
            rows.into_iter().map(|row| row.unwrap().unwrap_err()).map(|f| (f.kind, f.message)).collect();
        assert_eq!(found[0], (Kind::Refused, "error: no mesh, at all".into()));
        assert_eq!((found[1].0, &found[2]), (Kind::NonFinite, &(Kind::Refused, "lost: power cut".into())));
        assert_eq!(labels("y,z\n,\n\n1,2\n"), [None, None, Some(vec![1.0, 2.0])]);
        assert_eq!(labels("row,y,z\n2,1,2\n"), [None, None, Some(vec![1.0, 2.0])]);
        // A line that comes again says nothing new.
        assert_eq!(labels("row,y,z\n2,1,2\n2,1,2\n"), [None, None, Some(vec![1.0, 2.0])]);
        let half = read(true, "y,z\n1,\n1,2\n1,2\n").unwrap();
        assert_eq!(half[0].clone().unwrap().unwrap_err().kind, Kind::Malformed);
        let other = read(true, "speed,y,z\n1.5,1,2\n3,1,2\n3,1,2\n").unwrap();
        assert!(other[1].clone().unwrap().unwrap_err().message.contains("names another point"));
    }

    #[test]
    fn lines_that_may_be_anyones_are_refused() {
        for (text, words) in [
            ("y,z\n1,2\n3,4\n", "2 answers to 3 points"),
            ("y,z\n1,2\n3,4\n5,6\n7,8\n", "beyond its answers to 3 points"),
            ("y,z\n1,2\nloading\n3,4\n5,6\n", "`loading` where 2 numbers belong"),
            ("1,2\n3,4\n5,6\n", "where the header `y,z` belongs"),
            ("row,y,z\n1,1,2\n2,3,4\n3,5,6\n", "counts from 1"),
            ("row,y,z\n1,1,2\n1,3,4\n", "before"),
            ("row,y,z\n10,1,2\n11,3,4\n2,5,6\n", "`10,1,2`, which names none of the 3 points"),
            ("", "holds nothing"),
        ] {
            let error = read(true, text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
