//! Reads a program's answer as it arrives and says, row by row, what it is worth.

mod printed;
mod reading;

use std::collections::HashMap;

use dal_core::{LabelFailure, LabelFailureKind};
use dal_files::number::{excerpt_of, short};

use self::reading::{Line, Reading, bare, below};

pub use self::printed::{Printed, printed};

/// How an answer is written.
#[derive(Clone, Debug)]
pub(super) struct Shape<'a> {
    /// The names of the outputs, in the order of a label.
    pub(super) outputs: &'a [String],
    /// Whether a header names the columns; otherwise they are the outputs in order.
    pub(super) header: bool,
    /// How many points the program was given.
    pub(super) n_rows: usize,
    /// The inputs, which may stand beside the outputs.
    pub(super) inputs: dal_files::Inputs<'a>,
    /// The points as the program was given them, a line of CSV each.
    pub(super) asked: Vec<&'a str>,
    /// Whether people tell it: then a cell may also begin with `lost`, and a failure has the words of the cell alone.
    pub(super) told: bool,
}

/// The answer so far.
///
/// Without a `row` column answers belong to the points in order, so the first line that is no answer ends what can be
/// told apart. The answer that completes the count is held back until the end, because a line too many puts it in
/// doubt; so is every answer behind an empty line, which is a row without an answer or the program's way to space its
/// lines, and behind one that states a failure in other cells than it should have, which may be no row either.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    shape: Shape<'a>,
    /// The ways in which the lines so far can be read; none before the header.
    readings: Option<Vec<Reading>>,
    line: Vec<u8>,
    /// The longest line that is still read as one.
    longest: usize,
    answered: Vec<bool>,
    n_answered: usize,
    /// The points whose line holds nothing: not even why there is no answer.
    empty: Vec<bool>,
    /// The labels so far, where a column says whose they are.
    told: HashMap<usize, Vec<f64>>,
    /// Whether a point was answered twice, and otherwise the second time.
    contradicted: bool,
    held: Vec<(usize, Answer)>,
    /// Empty lines that are rows if another line with content follows.
    blanks: usize,
    /// Whether an empty line, or one that states as a whole that there is no answer, was taken for a row.
    spaced: bool,
    /// Whether a number showed that decimals stand behind commas.
    comma: bool,
    lost: Option<String>,
    /// The first line that a `row` column allowed to skip.
    skipped: Option<String>,
    /// The first line whose row was not asked for.
    foreign: Option<String>,
    /// Whether a line came that is beyond the count, with no `row` column to say whose it is.
    surplus: bool,
    /// Whether a `row` column held the number behind the last one.
    beyond: bool,
    /// Whether what was read is not what is there now.
    replaced: bool,
}

/// Whether a settled row may be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// A call of its own may answer it.
    Useful,
    /// The program said in so many words that the point has no answer.
    Pointless,
    /// Its call miscounted, so that labels may belong to their neighbours: a label from another call would hide that.
    WouldHide,
}

/// A row's label, or why it has none.
pub(super) type Answer = Result<Vec<f64>, LabelFailure>;

/// How the program ended, for the rows it did not answer.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// What the end means for an unanswered row.
    pub(super) kind: LabelFailureKind,
    /// Whether a last line without a line break can be trusted.
    pub(super) orderly: bool,
    /// How it ended, as a phrase: `ended with exit status 1`.
    pub(super) how: String,
    /// The program's own last words, or nothing.
    pub(super) words: String,
}

impl<'a> Answers<'a> {
    pub(super) fn new(shape: Shape<'a>) -> Self {
        let n = shape.outputs.len();
        Self {
            readings: (!shape.header).then(|| bare(&shape)),
            line: Vec::new(),
            longest: (1 << 16) + 64 * n,
            answered: vec![false; shape.n_rows],
            empty: vec![false; shape.n_rows],
            n_answered: 0,
            told: HashMap::new(),
            contradicted: false,
            held: Vec::new(),
            blanks: 0,
            spaced: false,
            comma: false,
            shape,
            lost: None,
            skipped: None,
            foreign: None,
            surplus: false,
            beyond: false,
            replaced: false,
        }
    }

    /// Takes the next bytes, hands out every row that they complete, and says whether reading on makes sense.
    pub(super) fn feed(&mut self, bytes: &[u8], on_row: &mut dyn FnMut(usize, Answer)) -> bool {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            if self.lost.is_some() {
                return false;
            }
            self.line.extend_from_slice(piece);
            if self.line.len() > self.longest {
                self.lose("a line without end");
            } else if piece.ends_with(b"\n") {
                self.take_line(on_row);
            }
        }
        self.lost.is_none()
    }

    /// Takes note that the source was written anew over what was read, after which nothing in it can be matched with a
    /// row.
    pub(super) fn replaced(&mut self) {
        self.replaced = true;
        self.lost.get_or_insert_with(|| "its answers anew over those already read".to_owned());
    }

    /// Settles every row that has no answer yet, and says of each whether it may be asked for again. Where lines cannot
    /// be matched with points, rows that were handed out before are handed out once more, as in doubt.
    pub(super) fn finish(mut self, end: &End, on_row: &mut dyn FnMut(usize, Answer, Again)) {
        let mut begun = String::new();
        if self.lost.is_none() && !self.line.is_empty() {
            if end.orderly {
                self.take_line(&mut |row, answer| on_row(row, answer, Again::Useful));
            } else {
                begun = format!(", having begun the line `{}`", excerpt(&String::from_utf8_lossy(&self.line)));
            }
        }
        let words = if end.words.is_empty() {
            "; it wrote nothing to stderr".to_owned()
        } else {
            format!("; its last words: {}", end.words)
        };
        let n = self.shape.n_rows;
        let keyed = self.is_keyed();
        let short = end.orderly && self.lost.is_none() && (1..n).contains(&self.n_answered);
        let doubt = if self.replaced {
            "; answers must be written once, or under another name that is then changed, so the labels read before are in \
             doubt too"
        } else if keyed && self.beyond && n > 0 && !self.answered[0] {
            "; rows are counted from 0, and it seems to count from 1, so the other labels of this call are in doubt too"
        } else if self.contradicted {
            "; which of the two holds is not known, so the labels of this call are in doubt too"
        } else if !keyed && n > 1 && (short || self.surplus) {
            "; without a column `row` it is unknown which point is meant by which line, so the other labels of this call \
             are in doubt too"
        } else {
            ""
        };
        let again = if doubt.is_empty() { Again::Useful } else { Again::WouldHide };
        // Of a call of one point no neighbour is in doubt.
        let of_kind = |kind| if doubt.is_empty() || n == 1 { kind } else { LabelFailureKind::InDoubt };
        let words = format!("{doubt}{words}");
        let (kind, reason) = match (&self.lost, &self.skipped) {
            (Some(lost), _) => (LabelFailureKind::Malformed, format!("the program printed {lost}")),
            (None, Some(line)) => {
                (end.kind, format!("the program {} without an answer to this row (it also printed `{line}`)", end.how))
            }
            (None, None) => {
                let done = self.n_answered;
                (end.kind, format!("the program {}{begun} after {done} of {n} answers", end.how))
            }
        };
        let held = std::mem::take(&mut self.held);
        if !doubt.is_empty() && n > 1 {
            let is_held = |row: usize| held.iter().any(|(held, _)| *held == row);
            for row in (0..n).filter(|&row| self.answered[row] && !is_held(row)) {
                let message = format!("what was taken for its answer may be another point's: {reason}{words}");
                on_row(row, Err(LabelFailure::new(LabelFailureKind::InDoubt, message)), again);
            }
        }
        for (row, answer) in held {
            match &self.lost {
                None if !doubt.is_empty() && n > 1 => {
                    let message = format!("{reason}{words}");
                    on_row(row, Err(LabelFailure::new(LabelFailureKind::InDoubt, message)), again);
                }
                Some(lost) => {
                    let message = format!("the program printed {lost}{words}");
                    on_row(row, Err(LabelFailure::new(of_kind(LabelFailureKind::Malformed), message)), again);
                }
                None => on_row(row, answer, Again::Useful),
            }
        }
        // A program works through its points in order, as far as its answers show. What ended it then met it at the
        // first point without an answer; those behind it were not tried.
        let first = self.answered.iter().position(|answered| !answered);
        let ended_at = first.filter(|&first| {
            self.lost.is_none()
                && matches!(kind, LabelFailureKind::Crashed | LabelFailureKind::TimedOut)
                && self.answered[first..].iter().all(|answered| !answered)
        });
        for row in (0..n).filter(|&row| !self.answered[row]) {
            let failure = match ended_at {
                Some(first) if row > first => {
                    let reason = format!("not tried: the program {} at an earlier point of its call", end.how);
                    LabelFailure::new(of_kind(LabelFailureKind::NotTried), format!("{reason}{words}"))
                }
                _ => LabelFailure::new(of_kind(kind), format!("{reason}{words}")),
            };
            on_row(row, Err(failure), again);
        }
    }

    fn lose(&mut self, what: &str) {
        self.lost = Some(what.to_owned());
    }

    /// Whether a column says which point a line answers.
    fn is_keyed(&self) -> bool {
        self.readings.as_ref().is_some_and(|readings| readings.iter().any(|reading| reading.row.is_some()))
    }

    fn take_line(&mut self, on_row: &mut dyn FnMut(usize, Answer)) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        let is_blank = line.trim().is_empty();
        let Some(readings) = &self.readings else {
            if is_blank {
                return;
            }
            let readings = below(line.trim_start_matches('\u{feff}'), &self.shape);
            if readings.is_empty() {
                let header = self.shape.outputs.join(",");
                self.lose(&format!("`{}` where the header `{header}` belongs", excerpt(line)));
            } else {
                self.readings = Some(readings);
            }
            return;
        };
        let keyed = self.is_keyed();
        if is_blank {
            self.blanks += usize::from(!keyed);
            return;
        }
        let lines: Vec<Line> =
            readings.iter().map(|way| way.read(line, self.n_answered + self.blanks, &self.shape)).collect();
        for _ in 0..std::mem::take(&mut self.blanks) {
            if self.n_answered == self.shape.n_rows {
                break;
            }
            self.spaced = true;
            self.empty[self.n_answered] = true;
            let failure = LabelFailure::new(LabelFailureKind::Malformed, "the program printed an empty line for it");
            self.settle(self.n_answered, Err(failure), on_row);
        }
        if keyed { self.take_keyed(line, &lines, on_row) } else { self.take_next(line, &lines, on_row) }
    }

    /// Takes a line that says whose it is.
    fn take_keyed(&mut self, line: &str, lines: &[Line], on_row: &mut dyn FnMut(usize, Answer)) {
        let n = self.shape.n_rows;
        self.beyond |= lines.iter().any(|read| read.whole && read.row == Some(n));
        let is_open = |read: &Line| read.whole && read.row.is_some_and(|row| row < n && !self.answered[row]);
        let open: Vec<bool> = lines.iter().map(is_open).collect();
        if !open.contains(&true) {
            if let Some((row, known)) = lines.iter().find_map(|read| self.contradiction(read)) {
                self.contradicted = true;
                let known = known.iter().map(|v| short(*v)).collect::<Vec<_>>().join(",");
                self.lose(&format!(
                    "`{}` where it had answered {} for row {row} before",
                    excerpt(line),
                    excerpt(&known)
                ));
            } else if self.n_answered == n {
                self.lose(&format!("`{}` beyond its answers to {n} points", excerpt(line)));
            } else {
                self.skipped.get_or_insert_with(|| excerpt(line));
            }
            // A message names no row, and an answer that came before is known.
            let rows = || lines.iter().filter(|read| read.whole).filter_map(|read| read.row);
            if rows().next().is_some() && rows().all(|row| row >= n) {
                self.foreign.get_or_insert_with(|| excerpt(line));
            }
            return;
        }
        let meant: Vec<bool> = lines.iter().zip(&open).map(|(read, open)| *open && read.answer.is_some()).collect();
        match self.meaning(line, lines, &meant) {
            Ok(Some(at)) => {
                let (row, answer) = (lines[at].row, lines[at].answer.clone());
                if let (Some(row), Some(answer)) = (row, answer) {
                    self.told.extend(answer.as_ref().ok().map(|label| (row, label.clone())));
                    self.empty[row] = lines[at].empty;
                    self.settle(row, answer, on_row);
                }
            }
            Ok(None) => {
                let message = format!("the answer is `{}`", excerpt(line));
                if let Some(row) = lines.iter().zip(&open).find(|(_, open)| **open).and_then(|(read, _)| read.row) {
                    self.settle(row, Err(LabelFailure::new(LabelFailureKind::Malformed, message)), on_row);
                }
            }
            Err(message) => self.lose(&message),
        }
    }

    /// The row that a line answers with another label than an earlier line, and that label.
    fn contradiction(&self, read: &Line) -> Option<(usize, Vec<f64>)> {
        let (row, Some(Ok(label))) = (read.row.filter(|_| read.whole)?, &read.answer) else { return None };
        self.told.get(&row).filter(|known| *known != label).map(|known| (row, known.clone()))
    }

    /// Takes a line that answers the next point.
    fn take_next(&mut self, line: &str, lines: &[Line], on_row: &mut dyn FnMut(usize, Answer)) {
        let n = self.shape.n_rows;
        if self.n_answered == n {
            self.surplus = true;
            return self.lose(&format!("`{}` beyond its answers to {n} points", excerpt(line)));
        }
        let meant: Vec<bool> = lines.iter().map(|read| read.answer.is_some()).collect();
        match self.meaning(line, lines, &meant) {
            Ok(Some(at)) => {
                if let Some(answer) = lines[at].answer.clone() {
                    self.spaced |= lines[at].stated;
                    self.empty[self.n_answered] = lines[at].empty;
                    self.settle(self.n_answered, answer, on_row);
                }
            }
            Ok(None) => {
                let n = self.shape.outputs.len();
                let n = self.readings.as_ref().and_then(|ways| ways.first()).map_or(n, Reading::n_cells);
                let expected =
                    format!("{n} number{} belong{}", if n == 1 { "" } else { "s" }, if n == 1 { "s" } else { "" });
                self.lose(&format!("`{}` where {expected}, so later answers cannot be told apart", excerpt(line)));
            }
            Err(message) => self.lose(&message),
        }
    }

    /// Which reading of a line is meant, of those that make an answer of it; the others are given up. All may come to
    /// the same.
    ///
    /// # Errors
    /// Two that differ.
    fn meaning(&mut self, line: &str, lines: &[Line], meant: &[bool]) -> Result<Option<usize>, String> {
        let Some(first) = meant.iter().position(|&meant| meant) else { return Ok(None) };
        let readings = self.readings.take().unwrap_or_default();
        let others = || (first + 1..lines.len()).filter(|&at| meant[at]);
        if let Some(other) = others().find(|&at| !lines[at].says_the_same(&lines[first])) {
            let ways = format!("with {}, or with {}", readings[first].dialect, readings[other].dialect);
            self.readings = Some(readings);
            return Err(format!(
                "`{}`, which can be read in two ways: {ways}; separate cells with commas and write decimals behind a point",
                excerpt(line)
            ));
        }
        let kept = readings.into_iter().zip(meant).filter(|(_, meant)| **meant).map(|(reading, _)| reading);
        self.readings = Some(kept.collect());
        self.comma |= lines[first].shows_comma;
        match &lines[first].thousands {
            Some(text) if !self.comma => Err(format!(
                "`{}`, which can be {} or {}; write decimals behind a point and nothing between thousands",
                excerpt(text),
                text.replace(',', "."),
                text.replace(',', "")
            )),
            _ => Ok(Some(first)),
        }
    }

    /// Hands out a row's answer, or holds it back where lines to come may put it in doubt.
    fn settle(&mut self, row: usize, answer: Answer, on_row: &mut dyn FnMut(usize, Answer)) {
        self.answered[row] = true;
        self.n_answered += 1;
        if self.spaced || self.n_answered == self.shape.n_rows {
            self.held.push((row, answer));
        } else {
            on_row(row, answer);
        }
    }
}

/// The column that says which point, 0-based in its call, a row answers.
pub(super) const ROW: &str = "row";

/// A line short enough for a message, with nothing that could disturb a terminal.
pub(super) fn excerpt(text: &str) -> String {
    excerpt_of(text, 160)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::inputs::Inputs;
    use dal_core::{Dimension, Scale};
    use proptest::prelude::*;

    fn inputs() -> Inputs {
        let number = Dimension::Continuous { low: 0.0, high: 100.0, scale: Scale::Linear };
        let levels = ["steel", "2"].map(str::to_owned).to_vec();
        let word = ("material".into(), levels, Dimension::Categorical { n_levels: 2 });
        Inputs::new(vec![("speed".into(), vec![], number), word]).unwrap()
    }

    fn read(outputs: &[&str], n_rows: usize, pieces: &[&str], end: &End) -> Vec<Answer> {
        let outputs: Vec<String> = outputs.iter().map(|name| name.to_string()).collect();
        let inputs = inputs();
        let asked: Vec<String> = (0..n_rows).map(|row| format!("{row}.123456789,steel\n")).collect();
        let asked = asked.iter().map(String::as_str).collect();
        let mut rows: Vec<Option<Answer>> = vec![None; n_rows];
        let inputs = inputs.of_files();
        let mut answers = Answers::new(Shape { outputs: &outputs, header: true, n_rows, inputs, asked, told: false });
        let mut take = |row: usize, answer: Answer| {
            let is_in_doubt = matches!(&answer, Err(failure) if failure.kind == LabelFailureKind::InDoubt);
            assert!(rows[row].replace(answer).is_none() || is_in_doubt, "row {row} twice");
        };
        for piece in pieces {
            answers.feed(piece.as_bytes(), &mut take);
        }
        answers.finish(end, &mut |row, answer, _| take(row, answer));
        rows.into_iter().map(|row| row.expect("every row is settled")).collect()
    }

    fn crashed() -> End {
        End {
            kind: LabelFailureKind::Crashed,
            orderly: false,
            how: "was killed by signal 9".into(),
            words: "`out of memory`".into(),
        }
    }

    fn orderly() -> End {
        End { kind: LabelFailureKind::Missing, orderly: true, how: "ended".into(), words: String::new() }
    }

    fn kinds(answers: &[Answer]) -> Vec<Option<LabelFailureKind>> {
        answers.iter().map(|answer| answer.as_ref().err().map(|failure| failure.kind)).collect()
    }

    #[test]
    fn columns_come_in_any_order_beside_others() {
        let rows = read(&["a", "b"], 2, &["b,log,a\n1,\"x, y\",2\n3,", "z,4"], &orderly());
        assert_eq!(rows, [Ok(vec![2.0, 1.0]), Ok(vec![4.0, 3.0])]);
    }

    #[test]
    fn a_row_column_frees_the_order_and_lets_noise_pass() {
        let rows = read(&["a"], 3, &["row,a\n2,20\nloading\n0,zero\n7,1\n"], &crashed());
        use LabelFailureKind::{Crashed, Malformed};
        assert_eq!(kinds(&rows), [Some(Malformed), Some(Crashed), None]);
        let words = rows[1].as_ref().unwrap_err().message.clone();
        assert!(words.contains("loading") && words.contains("out of memory") && words.contains("signal 9"), "{words}");
    }

    #[test]
    fn failures_are_per_row() {
        let rows = read(&["a", "b"], 5, &["a,b\n1,2\nnan,2\n1,inf\nerror: no mesh,\n,4\n"], &orderly());
        use LabelFailureKind::{Malformed, NonFinite, Refused};
        assert_eq!(kinds(&rows), [None, Some(NonFinite), Some(NonFinite), Some(Refused), Some(Malformed)]);
        assert!(rows[3].as_ref().unwrap_err().message.contains("no mesh"));
    }

    #[test]
    fn in_order_garbage_fails_what_follows_and_nothing_before() {
        let rows = read(&["a"], 4, &["a\n1\n2\nConverged after 3\n4\n5\n"], &orderly());
        use LabelFailureKind::Malformed;
        assert_eq!(kinds(&rows), [None, None, Some(Malformed), Some(Malformed)]);
        assert!(rows[3].as_ref().unwrap_err().message.contains("Converged after 3"));
        assert_eq!(excerpt("a \"b\"\x1b[31m"), "a \"b\"\u{fffd}[31m");
    }

    #[test]
    fn an_empty_line_is_a_row_without_an_answer_where_others_follow() {
        use LabelFailureKind::{InDoubt, Malformed};
        let rows = read(&["a"], 4, &["\na\n1\n\n3\n", " \n\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(InDoubt); 4]);
        let rows = read(&["a"], 3, &["\na\n1\n\n3\n", " \n\n"], &orderly());
        assert_eq!((&rows[0], &rows[2]), (&Ok(vec![1.0]), &Ok(vec![3.0])));
        assert!(rows[1].as_ref().unwrap_err().message.contains("an empty line"));
        assert_eq!(kinds(&read(&["a"], 3, &["a\n1\n\n3\n"], &crashed())), [None, Some(Malformed), None]);
        // A program that spaces its lines has more than it was asked for: no label of a neighbour is taken.
        let rows = read(&["a"], 4, &["a\n1\n\n2\n\n3\n\n4\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(InDoubt); 4]);
        assert!(rows[2].as_ref().unwrap_err().message.contains("in doubt"));
        // With a column for the row an empty line says nothing.
        assert_eq!(kinds(&read(&["a"], 2, &["row,a\n\n1,5\n\n0,4\n"], &orderly())), [None, None]);
    }

    #[test]
    fn words_for_no_value_fail_their_row_alone() {
        use LabelFailureKind::NonFinite;
        for word in ["None", "NA", "N/A", "null", "-nan(ind)", "-1.#IND", "1.#QNAN", "********", "<NA>", "#N/A", "nan"]
        {
            let rows = read(&["a"], 3, &["a\n1\n", word, "\n3\n"], &orderly());
            assert_eq!(kinds(&rows), [None, Some(NonFinite), None], "{word}");
            let rows = read(&["a", "b"], 3, &["a,b\n1,2\n1,", word, "\n3,4\n"], &orderly());
            assert_eq!(kinds(&rows), [None, Some(NonFinite), None], "{word}");
        }
    }

    #[test]
    fn a_line_that_states_as_a_whole_that_there_is_no_answer_fails_its_row_alone() {
        use LabelFailureKind::{NonFinite, Refused};
        for (line, kind) in [
            ("None", NonFinite),
            ("nan", NonFinite),
            ("NA", NonFinite),
            ("********", NonFinite),
            ("None None", NonFinite),
            ("1e999", NonFinite),
            ("None,None,None", NonFinite),
            ("FAILED", Refused),
            ("error: no convergence", Refused),
            ("error: a, b", Refused),
            ("error: no convergence, residual 3", Refused),
            ("Error: 1, 2, 3, 4, 5", Refused),
        ] {
            for outputs in [&["y", "z"][..], &["y"]] {
                let (one, two) = if outputs.len() == 1 { ("0.2", "0.6") } else { ("0.2,1", "0.6,2") };
                let text = format!("{}\n{one}\n{line}\n{two}\n", outputs.join(","));
                let rows = read(outputs, 3, &[&text], &orderly());
                assert_eq!(kinds(&rows), [None, Some(kind), None], "{text}");
                let (words, first) = (rows[1].as_ref().unwrap_err().message.to_lowercase(), line.to_lowercase());
                assert!(words.contains(first.split([' ', ',']).next().unwrap()), "{words}");
                // Inputs beside the outputs.
                let echo = |row: usize, y: &str| format!("{row}.123456789,steel,{y}\n");
                let text = format!("speed,material,{}\n{}{line}\n{}", outputs.join(","), echo(0, one), echo(2, two));
                assert_eq!(kinds(&read(outputs, 3, &[&text], &orderly())), [None, Some(kind), None], "{text}");
            }
        }
        // Behind the number of its row.
        let rows =
            read(&["y", "z"], 3, &["row,y,z\n2,5,6\n1,None\n0,error: no convergence, residual, 3\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(Refused), Some(NonFinite), None]);
        // What is drawn between lines is no answer, and a line too many puts those behind it in doubt.
        let rows = read(&["y", "z"], 2, &["y,z\n-----\n1,2\n3,4\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::Malformed); 2]);
        let rows = read(&["y", "z"], 3, &["y,z\nFailed to find a cache\n1,2\n3,4\n5,6\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::InDoubt); 3]);
    }

    #[test]
    fn numbers_beyond_the_largest_fail_their_row_alone() {
        for text in ["1e999", "1.8e308", "-1.5D+999", "0.18+309"] {
            for outputs in [&["y"][..], &["y", "z"]] {
                let cells = |y: &str| [y, "4"][..outputs.len()].join(",");
                let text = format!("{}\n{}\n{}\n{}\n", outputs.join(","), cells("1"), cells(text), cells("3"));
                let rows = read(outputs, 3, &[&text], &orderly());
                assert_eq!(kinds(&rows), [None, Some(LabelFailureKind::NonFinite), None], "{text}");
                let words = &rows[1].as_ref().unwrap_err().message;
                assert!(words.contains("beyond the largest number"), "{words}");
            }
        }
    }

    #[test]
    fn a_header_may_have_blanks_before_its_quotes() {
        assert_eq!(read(&["a", "b"], 1, &["\"b\", \"a\", log\n1, 2, \"x, y\"\n"], &orderly()), [Ok(vec![2.0, 1.0])]);
    }

    #[test]
    fn fortrans_exponents_and_other_dialects_are_read() {
        assert_eq!(read(&["a"], 3, &["a\n 2.0D-01\n1.5d+03\n0.25-101\n"], &orderly())[0], Ok(vec![0.2]));
        for text in [
            "a;b\n0,5;-2,25\n1500;3\n",
            "b\ta\r\n-2.25\t0.5\r\n3\t1500\r\n",
            "  a   b\n  5.0D-01  -2.25\n 1.5E+03   3\n",
            "\u{feff}\"a\";\"b\"\n\"0,5\";\"-2,25\"\n1500;3\n",
        ] {
            assert_eq!(
                read(&["a", "b"], 2, &[text], &orderly()),
                [Ok(vec![0.5, -2.25]), Ok(vec![1500.0, 3.0])],
                "{text}"
            );
        }
        assert_eq!(read(&["a"], 3, &["a\n7\n1,5\n2,250\n"], &orderly()), [7.0, 1.5, 2.25].map(|v| Ok(vec![v])));
        let rows = read(&["a"], 2, &["a\n1,500\n2,250\n"], &orderly());
        let words = &rows[0].as_ref().unwrap_err().message;
        assert!(words.contains("1.500 or 1500"), "{words}");
    }

    #[test]
    fn inputs_beside_the_outputs_are_compared_and_never_used_to_reorder() {
        use LabelFailureKind::Malformed;
        let rows =
            read(&["a"], 3, &["material,speed,a\nsteel,0.12345679,5\nsteel,2.123457,6\n2,2.123457,7\n"], &orderly());
        assert_eq!(kinds(&rows), [None, Some(Malformed), Some(Malformed)]);
        let words = |row: usize| rows[row].as_ref().unwrap_err().message.clone();
        assert!(words(1).contains("`speed` is `2.123457` where 1.123456789 was asked"), "{}", words(1));
        assert!(words(2).contains("`material` is `2` where steel was asked"), "{}", words(2));
        // A level's number, a failed row's empty cells, and rows in their own order.
        let rows =
            read(&["a"], 3, &["row,a,speed,material\n2,7,2.1234567,0\n0,nan,,\n1,6,1.1234568,steel\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::NonFinite), None, None]);
    }

    #[test]
    fn too_few_and_too_many_rows() {
        use LabelFailureKind::{InDoubt, Malformed, Missing};
        assert_eq!(kinds(&read(&["a"], 3, &["a\n1\n2\n"], &orderly())), [Some(InDoubt); 3]);
        assert_eq!(kinds(&read(&["a"], 1, &["a\n"], &orderly())), [Some(Missing)]);
        assert_eq!(kinds(&read(&["a"], 2, &["a\n1\n2\n3\n"], &orderly())), [Some(InDoubt); 2]);
        assert_eq!(kinds(&read(&["a"], 2, &["row,a\n0,1\n1,2\n1,2\n"], &orderly())), [None, Some(Malformed)]);
        assert_eq!(kinds(&read(&["a"], 2, &["a\n1\n2\n\n \n"], &orderly())), [None, None]);
    }

    #[test]
    fn a_point_that_is_answered_twice_and_otherwise_is_named() {
        let rows = read(&["a", "b"], 3, &["row,a,b\n0,1,2\n1,3,4\n0,1,2.5\n2,5,6\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::InDoubt); 3]);
        let words = &rows[2].as_ref().unwrap_err().message;
        assert!(words.contains("printed `0,1,2.5` where it had answered 1,2 for row 0 before; which of"), "{words}");
        let rows = read(&["a"], 2, &["row,a\n0,1\n1,2\n1,3\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::InDoubt); 2]);
        // The same said twice is no contradiction, nor is an answer behind a failure.
        for text in ["row,a\n0,1\n0,1.0\n1,2\n", "row,a\n0,1\n0,nan\n1,2\n"] {
            assert_eq!(kinds(&read(&["a"], 2, &[text], &orderly())), [None, None], "{text}");
        }
        let rows = read(&["a"], 2, &["row,a\n0,nan\n0,1\n1,2\n"], &orderly());
        assert_eq!(kinds(&rows), [Some(LabelFailureKind::NonFinite), None]);
    }

    #[test]
    fn miscounted_calls_are_named_and_not_asked_again() {
        let outputs = vec!["a".to_owned()];
        for (text, n_rows, last) in [
            ("a\n1\n2\n", 3, Again::WouldHide),
            ("a\n1\n2\n3\n", 2, Again::WouldHide),
            ("row,a\n1,1\n2,2\n3,3\n", 3, Again::WouldHide),
            ("row,a\n0,1\n1,2\n", 3, Again::Useful),
            ("a\n", 3, Again::Useful),
            ("a\n1\n2\n", 1, Again::Useful),
        ] {
            let inputs = inputs();
            let inputs = inputs.of_files();
            let shape = Shape { outputs: &outputs, header: true, n_rows, inputs, asked: Vec::new(), told: false };
            let mut answers = Answers::new(shape);
            answers.feed(text.as_bytes(), &mut |_, _| {});
            let mut settled = Vec::new();
            answers.finish(&orderly(), &mut |_, answer, again| settled.push((answer, again)));
            let (answer, again) = settled.pop().unwrap();
            let message = answer.unwrap_err().message;
            assert_eq!((again, message.contains("in doubt")), (last, last == Again::WouldHide), "{text:?}: {message}");
        }
        assert!(read(&["a"], 1, &["a,a\n1,2\n"], &orderly())[0].is_err(), "a name twice");
    }

    #[test]
    fn a_line_cut_by_a_crash_is_not_an_answer() {
        let rows = read(&["a"], 2, &["a\n1.5\n2.7"], &crashed());
        assert_eq!(kinds(&rows), [None, Some(LabelFailureKind::Crashed)]);
        assert!(rows[1].as_ref().unwrap_err().message.contains("2.7"));
        assert_eq!(read(&["a"], 2, &["a\n1.5\n2.7"], &orderly())[1], Ok(vec![2.7]));
    }

    #[test]
    fn a_wrong_header_is_quoted() {
        let rows = read(&["drag"], 1, &["lift\n1\n"], &orderly());
        let failure = rows[0].as_ref().unwrap_err();
        assert_eq!(failure.kind, LabelFailureKind::Malformed);
        assert!(failure.message.contains("`lift`") && failure.message.contains("`drag`"), "{failure}");
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let long = "x".repeat(1 << 17);
        let rows = read(&["a"], 1, &["a\n", &long, &long], &crashed());
        assert!(rows[0].as_ref().unwrap_err().message.contains("without end"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever comes, in whatever pieces, every row is settled exactly once (`read` asserts it) and labels are
        /// finite.
        #[test]
        fn any_output_settles_every_row(
            pieces in prop::collection::vec("(a,b\n|row,a,b\n|[0-9,.\n\"-]{0,12}|nan|,|\n|\\PC{0,8})", 0..20),
            n_rows in 0..6_usize, ordered in any::<bool>(),
        ) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let end = if ordered { orderly() } else { crashed() };
            for answer in read(&["a", "b"], n_rows, &pieces, &end).into_iter().flatten() {
                prop_assert!(answer.len() == 2 && answer.iter().all(|v| v.is_finite()));
            }
        }

        #[test]
        fn pieces_do_not_matter(values in prop::collection::vec(any::<f64>(), 1..20), cut in 1..7_usize) {
            let text = values.iter().fold("a\n".to_owned(), |text, v| format!("{text}{v:?}\n"));
            let pieces: Vec<&str> =
                (0..text.len()).step_by(cut).map(|i| &text[i..(i + cut).min(text.len())]).collect();
            for (answer, value) in read(&["a"], values.len(), &pieces, &orderly()).into_iter().zip(values) {
                prop_assert_eq!(answer.ok(), value.is_finite().then(|| vec![value]));
            }
        }
    }
}
