//! Reads a program's CSV answer as it arrives and says, row by row, what it is worth.

use dal_core::{LabelFailure, LabelFailureKind};

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    /// The names of the outputs, in the order of a label.
    pub(super) outputs: &'a [String],
    /// Whether a header names the columns; otherwise they are the outputs in order.
    pub(super) header: bool,
    /// How many points the program was given.
    pub(super) n_rows: usize,
}

/// The answer so far.
///
/// Without a `row` column answers belong to the points in order, so the first line that is no answer ends what can be told
/// apart. The answer that completes the count is held back until the end, because a line too many puts it in doubt.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    shape: Shape<'a>,
    columns: Option<Columns>,
    line: Vec<u8>,
    /// The longest line that is still read as one.
    longest: usize,
    answered: Vec<bool>,
    n_answered: usize,
    held: Option<(usize, Answer)>,
    lost: Option<String>,
    /// The first line that a `row` column allowed to skip.
    skipped: Option<String>,
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
    /// Its call miscounted, so that labels may belong to their neighbours: a label from another call would hide that.
    WouldHide,
}

#[derive(Debug)]
struct Columns {
    n: usize,
    /// Column of each output.
    outputs: Vec<usize>,
    row: Option<usize>,
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
        let columns = (!shape.header).then(|| Columns { n, outputs: (0..n).collect(), row: None });
        Self {
            shape,
            columns,
            line: Vec::new(),
            longest: (1 << 16) + 64 * n,
            answered: vec![false; shape.n_rows],
            n_answered: 0,
            held: None,
            lost: None,
            skipped: None,
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

    /// Takes note that the source was written anew over what was read, after which nothing in it can be matched with a row.
    pub(super) fn replaced(&mut self) {
        self.replaced = true;
        self.lost.get_or_insert_with(|| "its answers anew over those already read".to_owned());
    }

    /// Settles every row that has no answer yet, and says of each whether it may be asked for again.
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
        let keyed = self.columns.as_ref().is_some_and(|columns| columns.row.is_some());
        let short = end.orderly && self.lost.is_none() && (1..n).contains(&self.n_answered);
        let doubt = if self.replaced {
            "; answers must be written once, or under another name that is then changed, so the labels read before are in \
             doubt too"
        } else if keyed && self.beyond && n > 0 && !self.answered[0] {
            "; rows are counted from 0, and it seems to count from 1, so the other labels of this call are in doubt too"
        } else if !keyed && n > 1 && (short || self.surplus) {
            "; without a column `row` nobody can tell which point is meant by which line, so the other labels of this call \
             are in doubt too"
        } else {
            ""
        };
        let again = if doubt.is_empty() { Again::Useful } else { Again::WouldHide };
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
        if let Some((row, answer)) = self.held {
            match &self.lost {
                Some(lost) => {
                    let message = format!("the program printed {lost}{words}");
                    on_row(row, Err(LabelFailure::new(LabelFailureKind::Malformed, message)), again);
                }
                None => on_row(row, answer, Again::Useful),
            }
        }
        // A program works through its points in order, as far as its answers show. What ended it then met it at the first
        // point without an answer; those behind it were not tried.
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
                    LabelFailure::new(LabelFailureKind::NotTried, format!("{reason}{words}"))
                }
                _ => LabelFailure::new(kind, format!("{reason}{words}")),
            };
            on_row(row, Err(failure), again);
        }
    }

    fn lose(&mut self, what: &str) {
        self.lost = Some(what.to_owned());
    }

    fn take_line(&mut self, on_row: &mut dyn FnMut(usize, Answer)) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        let fields = fields(line);
        let Some(columns) = &self.columns else {
            if !line.trim().is_empty() {
                match self.read_header(&fields) {
                    Some(columns) => self.columns = Some(columns),
                    None => {
                        let header = self.shape.outputs.join(",");
                        self.lose(&format!("`{}` where the header `{header}` belongs", excerpt(line)));
                    }
                }
            }
            return;
        };
        let complete = self.n_answered == self.shape.n_rows;
        if complete && line.trim().is_empty() {
            return;
        }
        let row = match columns.row {
            Some(at) => {
                let row = fields.get(at).and_then(|field| field.trim().parse::<usize>().ok());
                self.beyond |= row == Some(self.shape.n_rows) && fields.len() == columns.n;
                match row.filter(|&row| row < self.shape.n_rows && !self.answered[row] && fields.len() == columns.n) {
                    Some(row) => row,
                    None if complete => {
                        let n = self.shape.n_rows;
                        return self.lose(&format!("`{}` beyond its answers to {n} points", excerpt(line)));
                    }
                    None => {
                        self.skipped.get_or_insert_with(|| excerpt(line));
                        return;
                    }
                }
            }
            None if complete => {
                let n = self.shape.n_rows;
                self.surplus = true;
                return self.lose(&format!("`{}` beyond its answers to {n} points", excerpt(line)));
            }
            None => self.n_answered,
        };
        let keyed = columns.row.is_some();
        let values = if fields.len() == columns.n { self.read_values(columns, &fields) } else { Err(None) };
        let answer = match values {
            Ok(values) => Ok(values),
            Err(Some(failure)) => Err(failure),
            Err(None) if keyed => {
                Err(LabelFailure::new(LabelFailureKind::Malformed, format!("the answer is `{}`", excerpt(line))))
            }
            Err(None) => {
                let n = columns.n;
                let expected =
                    format!("{n} number{} belong{}", if n == 1 { "" } else { "s" }, if n == 1 { "s" } else { "" });
                return self
                    .lose(&format!("`{}` where {expected}, so later answers cannot be told apart", excerpt(line)));
            }
        };
        self.answered[row] = true;
        self.n_answered += 1;
        if self.n_answered == self.shape.n_rows {
            self.held = Some((row, answer));
        } else {
            on_row(row, answer);
        }
    }

    fn read_header(&self, fields: &[String]) -> Option<Columns> {
        // A name that stands there twice says nothing.
        let find = |name: &str| {
            let mut places = (0..fields.len()).filter(|&at| fields[at].trim() == name);
            places.next().filter(|_| places.next().is_none())
        };
        let outputs = self.shape.outputs.iter().map(|name| find(name)).collect::<Option<Vec<_>>>()?;
        Some(Columns { n: fields.len(), outputs, row: find(ROW) })
    }

    /// The values; or the failure that the line itself states; or nothing, where it is no answer at all.
    fn read_values(&self, columns: &Columns, fields: &[String]) -> Result<Vec<f64>, Option<LabelFailure>> {
        let mut values = Vec::with_capacity(columns.outputs.len());
        let mut failure = None;
        for (name, &column) in self.shape.outputs.iter().zip(&columns.outputs) {
            let field = fields[column].trim();
            let lower = field.to_ascii_lowercase();
            let fault = match field.parse::<f64>() {
                Ok(value) if value.is_finite() => {
                    values.push(value);
                    continue;
                }
                Ok(value) => (LabelFailureKind::NonFinite, format!("output `{name}` is {value}")),
                Err(_) if field.is_empty() && columns.n > 1 => {
                    (LabelFailureKind::Malformed, format!("output `{name}` is empty"))
                }
                Err(_) if lower.starts_with("error") || lower.starts_with("fail") => {
                    (LabelFailureKind::Refused, format!("the program answered `{}`", excerpt(field)))
                }
                Err(_) => return Err(None),
            };
            failure.get_or_insert(fault);
        }
        match failure {
            None => Ok(values),
            Some((kind, message)) => Err(Some(LabelFailure::new(kind, message))),
        }
    }
}

/// The column that says which point, 0-based in its call, a row answers.
pub(super) const ROW: &str = "row";

/// The fields of one line of CSV. A quote that is never closed makes one field of what follows.
fn fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => record.iter().map(str::to_owned).collect(),
        _ => vec![line.to_owned()],
    }
}

/// A line short enough for a message, with nothing that could disturb a terminal.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 160;
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = text.chars().take(LONGEST).map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(outputs: &[&str], n_rows: usize, pieces: &[&str], end: &End) -> Vec<Answer> {
        let outputs: Vec<String> = outputs.iter().map(|name| name.to_string()).collect();
        let mut rows: Vec<Option<Answer>> = vec![None; n_rows];
        let mut answers = Answers::new(Shape { outputs: &outputs, header: true, n_rows });
        let mut take = |row: usize, answer: Answer| assert!(rows[row].replace(answer).is_none(), "row {row} twice");
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
        let blank = read(&["a"], 3, &["a\n1\n\n3\n"], &orderly());
        assert_eq!(kinds(&blank), [None, Some(Malformed), Some(Malformed)]);
    }

    #[test]
    fn too_few_and_too_many_rows() {
        use LabelFailureKind::{Malformed, Missing};
        assert_eq!(kinds(&read(&["a"], 3, &["a\n1\n2\n"], &orderly())), [None, None, Some(Missing)]);
        assert_eq!(kinds(&read(&["a"], 2, &["a\n1\n2\n3\n"], &orderly())), [None, Some(Malformed)]);
        assert_eq!(kinds(&read(&["a"], 2, &["row,a\n0,1\n1,2\n1,2\n"], &orderly())), [None, Some(Malformed)]);
        assert_eq!(kinds(&read(&["a"], 2, &["a\n1\n2\n\n \n"], &orderly())), [None, None]);
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
            let mut answers = Answers::new(Shape { outputs: &outputs, header: true, n_rows });
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

        /// Whatever comes, in whatever pieces, every row is settled exactly once (`read` asserts it) and labels are finite.
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
