//! From a table of data to a problem file: names, ranges, levels and outputs as they seem to be, all open to
//! correction.

use std::collections::HashMap;
use std::fmt::Write as _;

use dal_files::names::{canonical, is_index};
use dal_files::number::{Cell as Found, Decimal, cell as look, short};
use dal_files::{At, Expect, FileError, Moves, Note, Separator, Source, Table, cells, read};
use dal_oracles::ProblemFileError;

use crate::dakota::as_csv;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::infer_names::{is_dakotas_response, is_like_a_number, is_outputs_name};
use crate::origin::{FAILURE, Origin, failure};
use crate::state::Status;
use crate::subject::taken;
use crate::tell::{Heard, Otherwise, Row, failed};
use crate::words::{Answer, Cell};

/// Decades from which on a logarithm is thought of.
const DECADES: f64 = 2.0;
/// Levels that an input may have.
const MOST_LEVELS: usize = 50;
/// Whole numbers beyond are taken for any numbers.
const WHOLE: f64 = 1e15;
/// Why an identifier of the table's own is left out.
const IDENTIFIER: &str = "it numbers the rows";
/// Likewise words that do not repeat.
const NO_LEVELS: &str = "are no levels";

/// What is known of a table's columns beside the table; names that are not in it are errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// The outputs; none: to be guessed.
    pub outputs: Option<Vec<String>>,
    /// Columns that are no part of the problem.
    pub ignore: Vec<String>,
    /// Inputs on a log scale, outputs that are learned as logarithms.
    pub log: Vec<String>,
    /// Those that are not, though it would be suggested.
    pub linear: Vec<String>,
}

/// What a column seems to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Numbers.
    Number {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether all are written as whole numbers.
        whole: bool,
    },
    /// Words.
    Levels(Vec<String>),
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An input.
    Input,
    /// An output.
    Output,
    /// Nothing, and why.
    Left(String),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is taken on a log scale.
    pub log: bool,
    /// Decades that it spans, where all its numbers are positive.
    pub decades: Option<f64>,
}

/// A table as a problem.
#[derive(Debug)]
pub struct Guess {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// Why these outputs; nothing where they were named.
    pub outputs_because: Option<&'static str>,
    /// What was assumed of the file.
    pub notes: Vec<Note>,
    table: Table,
    places: Vec<usize>,
    /// The column that says why rows have no answer, of a table of `dal label`.
    failures: Option<usize>,
}

/// Rows of a table that are not taken, by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Those in which an input has no value, with its name.
    pub no_input: Vec<String>,
    /// Those in which no output has a value, and nothing says why.
    pub no_answer: Vec<String>,
}

/// What is counted of a column.
#[derive(Default)]
struct Count {
    numbers: Vec<f64>,
    whole: bool,
    /// Cells that say in words that their point failed.
    failed: usize,
    /// NaN and infinities: of an output a failure, of an input no value.
    not_finite: usize,
    /// Rows that say that their point failed, and rows that say nothing.
    failed_rows: Vec<usize>,
    empty_rows: Vec<usize>,
    words: Vec<String>,
    texts: usize,
    /// The first cell of words, with its place.
    first_word: Option<String>,
    /// Cells of words that look like numbers: with a unit, or written in another way than the table's numbers.
    alike: usize,
}

impl Count {
    /// Whether most of what a column with words holds is numbers.
    fn is_mostly_numbers(&self) -> bool {
        let numbers = self.numbers.len() + self.alike;
        self.first_word.is_some() && numbers > self.texts + self.failed - self.alike
    }

    /// Whether every row has a number of its own.
    fn all_differ(&self) -> bool {
        let mut sorted = self.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        self.empty_rows.is_empty()
            && self.not_finite == 0
            && !sorted.is_empty()
            && sorted.windows(2).all(|pair| pair[0] < pair[1])
    }
}

impl Guess {
    /// Of a table with a header: CSV of every dialect, or Dakota's annotated form.
    ///
    /// # Errors
    /// A table that cannot be read, hints that name no column, no column that could be an input or an output.
    pub fn of(source: Source, hints: &Hints) -> Result<Self, CampaignError> {
        let source = as_csv(source);
        let file = source.file().to_owned();
        let text = source.text()?;
        let fault = |problem: String| CampaignError::request(format!("{file}: {problem}"));
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let split = |separator| cells(first, separator);
        let header = [Separator::Comma, Separator::Semicolon, Separator::Tab]
            .map(split)
            .into_iter()
            .rev()
            .max_by_key(Vec::len)
            .filter(|names| names.len() > 1)
            .unwrap_or_else(|| split(Separator::Blanks));
        let numbers = |name: &String| !matches!(look(name, Decimal::Point), Found::Text | Found::NoValue);
        if header.is_empty() || header.iter().any(numbers) {
            return Err(fault("it needs a first line with the names of its columns".into()));
        }
        let names: Vec<String> = header.into_iter().filter(|name| !is_index(name)).collect();
        for name in hints.outputs.iter().flatten().chain(&hints.ignore).chain(&hints.log).chain(&hints.linear) {
            if !names.contains(name) {
                return Err(fault(format!("there is no column `{name}`; it has {}", names.join(", "))));
            }
        }
        if let Some(both) = hints.log.iter().find(|name| hints.linear.contains(name)) {
            return Err(fault(format!("--log and --linear both name `{both}`; take it out of one of them")));
        }
        // Words are admitted everywhere at first; a column whose cells are numbers with decimal commas says how to read
        // it.
        let open = |words: &[String]| {
            let sets = [names.clone()];
            read(Source::from_bytes(file.clone(), text.clone()), &Expect::Named { sets: &sets, words, bare: None })
        };
        let (mut table, mut notes) = open(&names)?;
        if let Some(column) = unnamed(&table, &notes) {
            let line = text.lines().position(|line| !line.trim().is_empty()).map_or(1, |line| line as u64 + 1);
            return Err(FileError::Unnamed { file, at: At::Line(line), column }.into());
        }
        let commas = |table: &Table, column: usize| {
            (0..table.n_rows()).all(|row| look(&table.cell(row, column), Decimal::Comma) != Found::Text)
                && (0..table.n_rows()).any(|row| look(&table.cell(row, column), Decimal::Point) == Found::Text)
        };
        let places = table.find(&names)?;
        let with_commas: Vec<&String> =
            names.iter().zip(&places).filter(|(_, place)| commas(&table, **place)).map(|(name, _)| name).collect();
        if !with_commas.is_empty() && table.dialect().decimal == Decimal::Point {
            let words: Vec<String> = names.iter().filter(|name| !with_commas.contains(name)).cloned().collect();
            match open(&words) {
                Ok(again) => (table, notes) = again,
                // `1,500` would be taken for a word.
                Err(error @ FileError::Ambiguous { .. }) => return Err(error.into()),
                Err(_) => {}
            }
        }
        let places = table.find(&names)?;
        let mut guess = Self { columns: Vec::new(), outputs_because: None, notes, table, places, failures: None };
        let counts: Vec<Count> = guess.places.iter().map(|&place| guess.count(place)).collect();
        let origin = guess.origin(&names, hints);
        if guess.failures.is_some() && (0..guess.table.n_rows()).all(|row| guess.failure(row).is_some()) {
            return Err(fault("no row of it has a label, so that nothing can be learned from it".into()));
        }
        let outputs = match &hints.outputs {
            Some(outputs) => outputs.clone(),
            None => guess.outputs(&names, &counts, origin, hints),
        };
        for (name, count) in names.iter().zip(counts) {
            let word = count.first_word.clone().filter(|_| count.is_mostly_numbers());
            let column = column(name, count, &outputs, origin, hints, guess.table.n_rows()).map_err(fault)?;
            if let (Role::Input, Kind::Levels(levels)) = (&column.role, &column.kind) {
                let mixed = word.map(|word| Note::MostlyNumbers { file: file.clone(), column: name.clone(), word });
                guess.notes.extend(mixed);
                let none = levels.iter().filter(|level| is_none(level));
                guess.notes.extend(none.map(|word| Note::NoneIsLevel {
                    file: file.clone(),
                    column: name.clone(),
                    word: word.clone(),
                }));
            }
            guess.columns.push(column);
        }
        for (role, what) in [(Role::Input, "an input"), (Role::Output, "an output")] {
            if !guess.columns.iter().any(|column| column.role == role) {
                return Err(fault(format!("no column is left that could be {what}; it has {}", names.join(", "))));
            }
        }
        let of = |role: Role| -> Vec<String> {
            guess.columns.iter().filter(|column| column.role == role).map(|column| column.name.clone()).collect()
        };
        // An input that is left out without a word makes replicates of different points, so that its name decides
        // nothing.
        if let Some((name, why)) = taken(&of(Role::Input), &of(Role::Output)) {
            return Err(fault(format!(
                "the column `{name}` {why}; rename it in the table, or, where it is no part of the problem, leave it out \
                 with --ignore {name}"
            )));
        }
        // The file is not there yet, so that what is wrong with it has to be told of the table.
        let made = dal_oracles::user::load_text("problem.toml", &guess.text(&guess.name()));
        made.map_err(|error| match error {
            ProblemFileError::Key { key, problem, .. } => fault(format!("it makes no problem: {key}: {problem}")),
            error => fault(format!("it makes no problem: {error}")),
        })?;
        Ok(guess)
    }

    /// Who wrote the table, if it was a program that adds columns of its own.
    fn origin(&mut self, names: &[String], hints: &Hints) -> Option<Origin> {
        let origin = Origin::of(names)?;
        if !origin.says_failures() {
            return Some(origin);
        }
        let place = self.place_of(names, FAILURE)?;
        let says = |row: usize| {
            let text = self.table.cell(row, place);
            text.trim().is_empty() || failure(&text).is_some()
        };
        // Another table may have such columns, too.
        if !(0..self.table.n_rows()).all(says) {
            return None;
        }
        let is_ignored = hints.ignore.iter().any(|name| canonical(name) == FAILURE);
        self.failures = (!is_ignored).then_some(place);
        Some(origin)
    }

    fn count(&self, column: usize) -> Count {
        let decimal = self.table.dialect().decimal;
        let mut count = Count { whole: true, ..Count::default() };
        for row in 0..self.table.n_rows() {
            let text = self.table.cell(row, column);
            let n_failed = count.failed + count.not_finite;
            let found = look(&text, decimal);
            match found {
                Found::Number(value) => {
                    count.whole &= value.abs() < WHOLE
                        && text.trim().trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit());
                    count.numbers.push(value);
                }
                Found::NotFinite(_) => count.not_finite += 1,
                // A line of blanks, as spreadsheets leave them, says nothing of any column.
                Found::NoValue if self.places.iter().all(|&place| self.table.cell(row, place).trim().is_empty()) => {}
                Found::NoValue => count.empty_rows.push(row),
                Found::Text => {
                    let place = || format!("{}: `{}`", self.table.at(row), text.trim());
                    count.first_word.get_or_insert_with(place);
                    count.alike += usize::from(is_like_a_number(&text));
                    count.failed += usize::from(failed(&text).is_some());
                    count.texts += usize::from(failed(&text).is_none());
                }
            }
            if count.failed + count.not_finite > n_failed {
                count.failed_rows.push(row);
            }
            let word = text.trim();
            if may_be_level(word, found)
                && !count.words.iter().any(|known| known == word)
                && count.words.len() <= MOST_LEVELS
            {
                count.words.push(word.to_owned());
            }
        }
        count
    }

    /// The outputs, where they are not named: columns with failures, or with names as outputs have them, or the last
    /// one.
    fn outputs(&mut self, names: &[String], counts: &[Count], origin: Option<Origin>, hints: &Hints) -> Vec<String> {
        let may_be = |(name, count): &(&String, &Count)| {
            !hints.ignore.contains(name)
                && !origin.is_some_and(|origin| origin.owns(name))
                && count.texts == 0
                && !count.numbers.is_empty()
        };
        let of = |is: &dyn Fn(&str, &Count) -> bool| -> Vec<String> {
            let all = names.iter().zip(counts).filter(may_be);
            all.filter(|(name, count)| is(name, count)).map(|(name, _)| name.clone()).collect()
        };
        let named = of(&|name, _| is_outputs_name(name));
        // Beside a failure the cells of the other outputs are often empty, and only there.
        let mut failed_rows: Vec<usize> =
            names.iter().zip(counts).filter(may_be).flat_map(|(_, count)| count.failed_rows.iter().copied()).collect();
        let said: Vec<usize> = (0..self.table.n_rows()).filter(|&row| self.failure(row).is_some()).collect();
        failed_rows.extend(&said);
        // A campaign's own table has points that wait for an answer, or were withdrawn.
        let without = self.without_answer(names, origin);
        failed_rows.extend(&without);
        let beside = |count: &Count| {
            !count.empty_rows.is_empty() && count.empty_rows.iter().all(|row| failed_rows.contains(row))
        };
        let failing = of(&|_, count| !count.failed_rows.is_empty() || beside(count));
        let (outputs, because) = match (named.is_empty(), failing.is_empty()) {
            // Such a table leaves all outputs of a failed row empty, and no input.
            (_, false) if !said.is_empty() => (failing, "because they are empty where a point failed"),
            (_, false) if !without.is_empty() => (failing, "because they are empty where a point has no answer"),
            // Programs write outputs behind inputs, whatever these are called; Dakota's own names tell them from inputs
            // that are called `y`.
            (false, _) if origin.is_some() => {
                let is_named = |name: &String| named.contains(name);
                let first = names.iter().position(|name| is_named(name) && is_dakotas_response(name));
                let first = first.or_else(|| names.iter().position(is_named)).unwrap_or(0);
                (of(&|name, _| names[first..].iter().any(|behind| behind == name)), "by their names and places")
            }
            (false, _) => {
                let last = names.iter().rposition(|name| named.contains(name)).unwrap_or(0);
                let columns = of(&|name, _| names[last + 1..].iter().any(|behind| behind == name));
                if let (Some(output), false) = (named.last(), columns.is_empty()) {
                    let (file, output) = (self.table.file().to_owned(), output.clone());
                    self.notes.push(Note::BehindOutput { file, output, columns });
                }
                (named, "by their names")
            }
            (true, false) => (failing, "because cells of theirs say that a point failed"),
            (true, true) => (of(&|_, _| true).pop().into_iter().collect(), "because it is the last column"),
        };
        self.outputs_because = Some(because);
        outputs
    }

    /// Rows of `dal export` whose state says that there is no answer.
    fn without_answer(&self, names: &[String], origin: Option<Origin>) -> Vec<usize> {
        let is_exports = origin.is_some_and(|origin| origin.owns("state"));
        let Some(state) = self.place_of(names, "state").filter(|_| is_exports) else { return Vec::new() };
        let is_done = |row: &usize| self.table.cell(*row, state).trim() == Status::Done.id();
        (0..self.table.n_rows()).filter(|row| !is_done(row)).collect()
    }

    /// Where the table has a column of a writer's own.
    fn place_of(&self, names: &[String], column: &str) -> Option<usize> {
        names.iter().position(|name| canonical(name) == column).map(|at| self.places[at])
    }

    /// What the table's own column of failures says of a row.
    fn failure(&self, row: usize) -> Option<Answer> {
        failure(&self.table.cell(row, self.failures?))
    }

    /// The text of a problem file, every guess with the reason for it.
    pub fn text(&self, name: &str) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "# Inferred from {} ({} rows). Ranges, scales, units and the transforms of outputs may be corrected at any time;\n\
             # points that lie outside narrower ranges are put aside. The names and which of them are outputs stay.\n\
             # Every key: docs/problems.md.\n\nname = {}\n",
            self.table.file().replace(['\n', '\r'], " "),
            self.table.n_rows(),
            quoted(name)
        );
        for column in &self.columns {
            if let Role::Left(why) = &column.role {
                let _ = write!(text, "\n# Left out: {} ({why}).\n", quoted(&column.name));
            }
        }
        for column in self.columns.iter().filter(|column| column.role == Role::Input) {
            let _ = write!(text, "\n[[inputs]]\nname = {}\n# unit = \"1\"\n", quoted(&column.name));
            match &column.kind {
                Kind::Levels(levels) => {
                    let levels: Vec<String> = levels.iter().map(|level| quoted(level)).collect();
                    let _ = writeln!(
                        text,
                        "levels = [{}]  # as they stand in the data; others may be added",
                        levels.join(", ")
                    );
                }
                Kind::Number { low, high, whole } => {
                    let fixed = if low == high {
                        "always the same in the data; widen it if it can vary"
                    } else {
                        "the smallest and the largest value in the data"
                    };
                    let _ = write!(text, "low = {}  # {fixed}\nhigh = {}\n", short(*low), short(*high));
                    if *whole {
                        text += "integer = true  # all are whole; take this out if values in between make sense\n";
                    }
                    if let Some(decades) = column.decades.filter(|decades| *decades >= DECADES || column.log) {
                        let (mark, remark) = if column.log {
                            ("", "take this out for an even scale")
                        } else {
                            ("# ", "for an even spread over the decades")
                        };
                        let _ =
                            writeln!(text, "{mark}scale = \"log\"  # the values span {decades:.1} decades; {remark}");
                    }
                }
            }
        }
        let because = self
            .outputs_because
            .map_or("as they were named".to_owned(), |why| format!("guessed {why}; --outputs names others"));
        let _ = write!(text, "\n# Outputs, {because}.\n");
        for column in self.columns.iter().filter(|column| column.role == Role::Output) {
            let _ = write!(text, "[[outputs]]\nname = {}\n# unit = \"1\"\n", quoted(&column.name));
            if let Some(decades) = column.decades.filter(|decades| *decades >= DECADES || column.log) {
                let (mark, remark) = if column.log {
                    ("", "values of zero and below are failures then")
                } else {
                    ("# ", "if relative errors matter")
                };
                let _ = writeln!(text, "{mark}transform = \"log\"  # the values span {decades:.1} decades; {remark}");
            }
            text.push('\n');
        }
        text + "# Who answers further points? Without an oracle people or other programs do, by `dal ask` and `dal tell`.\n\
                # [oracle.command]\n# program = [\"python3\", \"simulate.py\"]\n# time_limit = 600.0\n"
    }

    /// A name for the problem: that of the file.
    pub fn name(&self) -> String {
        let file = std::path::Path::new(self.table.file()).file_stem().unwrap_or_default().to_string_lossy();
        let name: String = file.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        let name = name.trim_matches('-').to_owned();
        if name.is_empty() { "data".into() } else { name }
    }
}

/// The 1-based number of a column without a name that holds anything, and was not left out as a running number.
fn unnamed(table: &Table, notes: &[Note]) -> Option<usize> {
    let is_open = |column: usize| (0..table.n_rows()).any(|row| !table.cell(row, column).trim().is_empty());
    let header = table.header().unwrap_or_default();
    let at = (0..header.len()).find(|&column| is_index(&header[column]) && is_open(column))?;
    let from = usize::from(notes.iter().any(|note| matches!(note, Note::IndexLeftOut { .. })));
    Some(from + at + 1)
}

/// Whether a cell of a column of words says a level. Of the words for "no value" `none` does, which says of a coating
/// that there is none; the others say that the value is missing.
fn may_be_level(word: &str, found: Found) -> bool {
    match found {
        Found::Number(_) | Found::Text => true,
        Found::NoValue => is_none(word),
        Found::NotFinite(_) => false,
    }
}

fn is_none(word: &str) -> bool {
    word.eq_ignore_ascii_case("none")
}

fn column(
    name: &str,
    count: Count,
    outputs: &[String],
    origin: Option<Origin>,
    hints: &Hints,
    n_rows: usize,
) -> Result<Column, String> {
    let is = |names: &[String]| names.iter().any(|known| known == name);
    let is_output = is(outputs);
    let is_words = count.texts > 0 || (count.failed > 0 && !is_output);
    let (low, high) = count.numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    // An identifier tells rows apart; what repeats, or has fractions, is measured or chosen.
    let is_identifier = || canonical(name) == "id" && count.whole && count.all_differ();
    let role = if is(&hints.ignore) {
        Role::Left("as it was told".into())
    } else if is_output && count.texts == 0 && count.numbers.is_empty() {
        return Err(format!("the output `{name}` holds no number in any row, so that nothing can be learned from it"));
    } else if is_output && count.texts > 0 {
        return Err(format!("the output `{name}` holds words where numbers belong"));
    } else if is_output {
        Role::Output
    } else if let Some(origin) = origin.filter(|origin| origin.owns(name)) {
        Role::Left(format!("a column that {} adds", origin.name))
    } else if !is_words && is_identifier() {
        Role::Left(IDENTIFIER.into())
    } else if is_words && (count.words.len() > MOST_LEVELS || 2 * count.words.len() > n_rows.max(4)) {
        if let Some(word) = count.first_word.as_ref().filter(|_| count.is_mostly_numbers()) {
            let outputs = if count.texts == 0 { ", name it among --outputs" } else { "" };
            return Err(format!(
                "the column `{name}` seems to hold numbers, but {} of its cells are none (the first: {word}); write them \
                 like the others, without units, leave them empty where a value is missing{outputs}, or --ignore {name}",
                count.texts + count.failed
            ));
        }
        Role::Left(format!("{} different words in {n_rows} rows {NO_LEVELS}", count.words.len()))
    } else if is_words && count.words.len() < 2 {
        Role::Left("always the same word".into())
    } else if !is_words && count.numbers.is_empty() {
        Role::Left(if count.not_finite > 0 { "without a finite number" } else { "empty" }.into())
    } else {
        Role::Input
    };
    if let Role::Left(why) = &role {
        let flags = [("--log", is(&hints.log)), ("--linear", is(&hints.linear)), ("--outputs", is_output)];
        if let Some((flag, _)) = flags.into_iter().find(|(_, names_it)| *names_it) {
            return Err(format!("{flag} names `{name}`, which is left out ({why})"));
        }
    }
    let decades = (low > 0.0 && high > low && high.is_finite()).then(|| (high / low).log10());
    let mut sorted = count.numbers.clone();
    sorted.sort_by(f64::total_cmp);
    // On which scale the middle value is the middle: values that are drawn evenly over decades are known by that.
    let skewed = sorted.get(sorted.len() / 2).is_some_and(|middle| {
        ((middle / low).ln() / (high / low).ln() - 0.5).abs() < ((middle - low) / (high - low) - 0.5).abs()
    });
    let suggested = decades.is_some_and(|decades| decades >= DECADES) && skewed;
    if is(&hints.log) && (decades.is_none() || is_words) {
        return Err(format!("`{name}` cannot have a log scale: its values are not all positive and different"));
    }
    let log = !is_words && (is(&hints.log) || (suggested && !is(&hints.linear)));
    let kind =
        if is_words { Kind::Levels(count.words) } else { Kind::Number { low, high, whole: count.whole && !is_output } };
    Ok(Column { name: name.to_owned(), role, kind, log, decades: decades.filter(|_| !is_words) })
}

impl Folder {
    /// Takes the rows of the table that the problem was inferred from; what is equal but for the answer is a replicate.
    /// What a table of `dal label` says of rows without a label is taken as their failure. Rows in which an input has
    /// no value are left out, and named with their places, as are those without an answer.
    ///
    /// # Errors
    /// Bad rows, every one named; nothing is taken then.
    pub fn tell_guess(&mut self, guess: &Guess) -> Result<(Heard, Left), CampaignError> {
        let of = |role: Role| -> Vec<usize> {
            let columns = guess.columns.iter().zip(&guess.places).filter(|(column, _)| column.role == role);
            columns.map(|(_, place)| *place).collect()
        };
        let (inputs, outputs) = (of(Role::Input), of(Role::Output));
        let table = &guess.table;
        // The places of inputs with levels.
        let worded: Vec<usize> = guess
            .columns
            .iter()
            .zip(&guess.places)
            .filter_map(|(column, place)| matches!(column.kind, Kind::Levels(_)).then_some(*place))
            .collect();
        let why_none = |row: usize, column: usize| {
            let text = table.cell(row, column);
            match look(&text, table.dialect().decimal) {
                found if worded.contains(&column) => (!may_be_level(text.trim(), found)).then_some("has no value"),
                Found::NotFinite(_) => Some("is no finite number"),
                Found::NoValue => Some("has no value"),
                Found::Number(_) | Found::Text => None,
            }
        };
        let (mut rows, mut told) = (Vec::<Row>::new(), Vec::new());
        let (mut bad, mut left) = (Vec::new(), Left::default());
        let mut moves = Moves::default();
        for row in 0..table.n_rows() {
            let none = inputs.iter().find_map(|&column| Some((column, why_none(row, column)?)));
            if let Some((column, why)) = none {
                left.no_input.push(format!("{} ({} {why})", table.at(row), table.column_name(column)));
                continue;
            }
            let is_empty = outputs.iter().all(|&column| table.cell(row, column).trim().is_empty());
            let failure = guess.failure(row).filter(|_| is_empty);
            if is_empty && failure.is_none() {
                left.no_answer.push(table.at(row).to_string());
                continue;
            }
            let outputs = if failure.is_some() { &[] } else { &outputs[..] };
            match (self.row(table, row, None, Some(&inputs), outputs, &mut moves), failure) {
                (Ok(found), None) => rows.push(found),
                (Ok(found), Some(answer)) => rows.push(Row { answer, ..found }),
                (Err(problem), _) => {
                    bad.push(format!("  {}: {problem}", table.at(row)));
                    continue;
                }
            }
            told.push(row);
        }
        if !bad.is_empty() {
            return Err(CampaignError::Rows { file: table.file().into(), rows: bad });
        }
        let mut heard = self.tell_rows(table.file(), &rows, Otherwise::Replicate)?;
        heard.remarks.extend(self.other_numbers(guess, &rows, &told));
        heard.remarks.extend(told_apart_by_what_is_left_out(guess, &rows, &told));
        let mut notes = Vec::new();
        moves.say(table.file(), &mut notes);
        Ok((Heard { empty: left.no_answer.len(), notes, ..heard }, left))
    }

    /// What is to be said where an identifier of the table's own is not what the points are called here: a later table
    /// that names them by it would mean others. `told` are the table's rows of these answers.
    fn other_numbers(&self, guess: &Guess, rows: &[Row], told: &[usize]) -> Option<String> {
        let is_identifier = |column: &Column| column.role == Role::Left(IDENTIFIER.into());
        let place = guess.columns.iter().position(is_identifier).map(|at| guess.places[at])?;
        let cell = |row: usize| guess.table.cell(row, place).trim().to_owned();
        let own = |row: &Row| Some(self.state().at(&self.subject().unit(row.x.as_ref()?)?)?.id);
        let is_so = |answer: &Row, row: usize| {
            let point = self.state().point(cell(row).parse().ok()?)?;
            Some(point.unit.as_ref()? == &self.subject().unit(answer.x.as_ref()?)?)
        };
        let (row, id) = rows.iter().zip(told).find_map(|(answer, &row)| {
            let differs = is_so(answer, row) != Some(true);
            Some((row, own(answer).filter(|_| differs)?)).filter(|(row, id)| cell(*row).parse() != Ok(*id))
        })?;
        Some(format!(
            "the campaign numbers its points itself: what the table's `{}` calls {} is point {id} here (`dal export` has \
             them all); tell later tables with the ids of `dal ask`, or by the values of the inputs, without that column",
            guess.table.column_name(place),
            cell(row)
        ))
    }
}

/// What is to be said where rows of one point, which count as repeated measurements, differ in a column that was left
/// out unasked: there may be more points than that.
fn told_apart_by_what_is_left_out(guess: &Guess, rows: &[Row], told: &[usize]) -> Option<String> {
    let unasked = guess.columns.iter().zip(&guess.places).filter(|(column, _)| match &column.role {
        Role::Left(why) => why.ends_with(NO_LEVELS),
        _ => false,
    });
    let unasked: Vec<(&Column, usize)> = unasked.map(|(column, place)| (column, *place)).collect();
    let cell = |row: usize, place: usize| guess.table.cell(row, place).trim().to_owned();
    let mut points: HashMap<Vec<String>, usize> = HashMap::new();
    rows.iter().zip(told).find_map(|(answer, &row)| {
        let x = answer.x.iter().flatten().map(Cell::to_string).collect();
        let first = *points.entry(x).or_insert(row);
        let (column, _) = unasked.iter().find(|(_, place)| cell(first, *place) != cell(row, *place))?;
        let (first, row) = (guess.table.at(first), guess.table.at(row));
        Some(format!(
            "{first} and {row} have equal inputs but for `{}`, which is left out, and count as measurements of one point: \
             their difference is taken for noise",
            column.name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str, hints: &Hints) -> Result<Guess, String> {
        Guess::of(Source::from_bytes("some data.csv", text), hints).map_err(|error| error.to_string())
    }

    /// Of each column its name with what it is: `i`nput or `o`utput, `w`hole, `l`og, `t`ext.
    fn seen(guess: &Guess) -> Vec<String> {
        let shown = |column: &Column| {
            let role = match column.role {
                Role::Input => "i",
                Role::Output => "o",
                Role::Left(_) => "-",
            };
            let kind = match column.kind {
                Kind::Levels(_) => "t",
                Kind::Number { whole: true, .. } => "w",
                Kind::Number { .. } => "",
            };
            format!("{} {role}{kind}{}", column.name, if column.log { "l" } else { "" })
        };
        guess.columns.iter().map(shown).collect()
    }

    const DATA: &str = "id,speed,blades,material,note,drag,lift\n\
        1,0.1,2,steel,first,1.5,3\n2,1.0,3,wood,second,2.5,4\n3,10,4,steel,third,error: stalled,\n\
        4,100,2,wood,fourth,4.5,nan\n5,1000,2,wood,fifth,5.5,6\n";

    #[test]
    fn columns_are_known_by_what_they_hold() {
        let found = guess(DATA, &Hints::default()).unwrap();
        let expected = ["id -w", "speed il", "blades iw", "material it", "note -t", "drag o", "lift o"];
        assert_eq!(seen(&found), expected);
        assert_eq!(found.name(), "some-data");
        let text = found.text("p");
        for words in [
            "scale = \"log\"  # the values span 4.0 decades",
            "levels = [\"steel\", \"wood\"]",
            "low = 2",
            "integer = true",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        let words = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let hints = Hints {
            outputs: Some(words(&["lift"])),
            ignore: words(&["drag"]),
            linear: words(&["speed"]),
            log: words(&["blades"]),
        };
        let found = guess(DATA, &hints).unwrap();
        assert_eq!(seen(&found), ["id -w", "speed i", "blades iwl", "material it", "note -t", "drag -t", "lift o"]);
        assert!(found.text("p").contains("# scale = \"log\"  # the values span 4.0 decades"));
    }

    #[test]
    fn outputs_are_guessed_by_name_by_failures_or_by_place() {
        for (header, rows, outputs) in [
            ("y1,a,y2", "1,2,3\n4,5,6\n", vec!["y1", "y2"]),
            ("a,b,c", "1,2,3\n4,5,6\n", vec!["c"]),
            ("a,b,c", "1,2,3\n4,failed,6\n1,1,1\n", vec!["b"]),
            ("a,b,c", "1,2,3\n4,failed,\n1,1,1\n", vec!["b", "c"]),
            ("a;b;c", "1,5;2;3,5\n4,5;5;6,5\n", vec!["c"]),
            ("%eval_id interface x1 y z", "1 NO_ID 1 2 3\n2 NO_ID 2 3 4\n", vec!["y", "z"]),
            (
                "%eval_id interface x y response_fn_1 g",
                "1 NO_ID 1 2 3 4\n2 NO_ID 2 3 4 5\n",
                vec!["response_fn_1", "g"],
            ),
            ("row,a,y,force,failure", "0,1,2,3,\n1,2,3,4,\n", vec!["y", "force"]),
            (
                "%eval_id interface x1 x2 obj_fn nln_ineq_con_1",
                "1 NO_ID 1 2 3 4\n2 NO_ID 2 3 4 5\n",
                vec!["obj_fn", "nln_ineq_con_1"],
            ),
        ] {
            let found = guess(&format!("{header}\n{rows}"), &Hints::default()).unwrap();
            let names: Vec<&str> =
                found.columns.iter().filter(|c| c.role == Role::Output).map(|c| c.name.as_str()).collect();
            assert_eq!(names, outputs, "{header}");
        }
        let behind = guess("x,y,z,force\n1,2,3,4\n2,3,4,5\n", &Hints::default()).unwrap();
        let said: Vec<String> = behind.notes.iter().map(Note::to_string).collect();
        assert!(said.len() == 1 && said[0].contains("`z`, `force` stand behind the output `y`"), "{said:?}");
        let commas = guess("a;b\n1,5;2\n4,5;6\n", &Hints::default()).unwrap();
        assert_eq!(commas.columns[0].kind, Kind::Number { low: 1.5, high: 4.5, whole: false });
    }

    #[test]
    fn a_column_without_a_name_is_left_out_only_where_it_says_nothing() {
        for (table, column) in [
            (",a,y\n0.5,1,3\n1.5,2,4\n2.5,1,6\n", 1),
            ("a,,y\n1,0.5,3\n2,1.5,4\n", 2),
            ("Unnamed: 0,a,y\n0,1,3\n2,2,4\n", 1),
            (",Unnamed: 0.1,a,y\n0,7,1,3\n1,8,2,4\n", 2),
        ] {
            let error = guess(table, &Hints::default()).unwrap_err();
            assert!(error.contains(&format!("line 1: column {column} has no name")), "{table}: {error}");
        }
        for table in [",a,y\n0,1,3\n1,2,4\n2,1,6\n", "a,y,\n1,3,\n2,4,\n1,6,\n", "a,,y,,\n1,,3,,\n2,,4,,\n1,,6,,\n"] {
            assert_eq!(seen(&guess(table, &Hints::default()).unwrap()), ["a iw", "y o"], "{table}");
        }
    }

    #[test]
    fn a_number_stays_one_beside_nan_and_a_decimal_comma_in_doubt_is_an_error() {
        let found = guess("a,b,y\n1,0.5,3\nnan,1.5,4\n2,inf,6\n3,2.5,8\n", &Hints::default()).unwrap();
        assert_eq!(seen(&found), ["a iw", "b i", "y o"]);
        assert_eq!(found.columns[1].kind, Kind::Number { low: 0.5, high: 2.5, whole: false });
        let error = guess("a;y\n1,500;3\n2,250;4\n", &Hints::default()).unwrap_err();
        assert!(error.contains("line 2: can be read in two ways: `1,500` as 1.500, or as 1500"), "{error}");
    }

    #[test]
    fn words_for_no_value_are_no_levels_but_none_is() {
        let table = "coating,a,y\nzinc,1,3\nnone,2,4\nNA,3,5\n?,4,6\nnan,5,7\nzinc,6,8\nnone,7,9\n";
        let found = guess(table, &Hints::default()).unwrap();
        assert_eq!(found.columns[0].kind, Kind::Levels(vec!["zinc".into(), "none".into()]));
        let said: Vec<String> = found.notes.iter().map(Note::to_string).collect();
        assert!(said.len() == 1 && said[0].contains("`none` is taken for a level of `coating`"), "{said:?}");
        // Among numbers it is no value.
        let numbers = guess("a,b,y\n1,2,3\nnone,4,5\n2,1,6\n", &Hints::default()).unwrap();
        assert_eq!((seen(&numbers)[0].as_str(), numbers.notes.len()), ("a iw", 0));
    }

    #[test]
    fn numbers_in_another_writing_or_with_units_are_not_left_out() {
        for (column, cells) in [
            ("n", ["1.000", "2.000", "3.000", "4.500", "5.500", "9.500"]),
            ("b", ["12 mm", "13 mm", "14 mm", "15 mm", "16 mm", "17 mm"]),
            ("b", ["12%", "13%", "14%", "15%", "16%", "17%"]),
            ("b", ["1'000'000", "1'500'000", "2'000'000", "1mm", "2mm", "3mm"]),
            ("b", ["1,234.56", "$5", "5V", "3 A", "1.2×10^5", "1.000.000"]),
        ] {
            let rows = cells.iter().enumerate().map(|(i, cell)| format!("{i},5;{cell};{i},25\n"));
            let table = format!("a;{column};y\n{}", rows.collect::<String>());
            let error = guess(&table, &Hints::default()).unwrap_err();
            assert!(error.contains(&format!("`{column}` seems to hold numbers, but")), "{error}");
        }
        // Days, versions and samples are none.
        for cells in [
            ["2024-01-02", "2024-02-02"],
            ["1.2.3", "1.2.4"],
            ["1a", "1b"],
            ["12:30", "12:45"],
            ["A1", "A2"],
            ["0.vtk", "1.vtk"],
            ["3 Jan", "2024 Jan"],
            ["10am", "1st"],
            ["12 Main Street", "12AB"],
            ["192.168.1.2", "10.0.0.1"],
            ["304L", "316L"],
        ] {
            let rows = (0..6).map(|i| format!("{i},{}{},{i}.5\n", cells[i % 2], "0".repeat(i / 2)));
            let found = guess(&format!("a,b,y\n{}", rows.collect::<String>()), &Hints::default());
            assert_eq!(seen(&found.unwrap())[1], "b -t", "{cells:?}");
        }
    }

    #[test]
    fn words_among_numbers_that_repeat_are_levels_and_said() {
        let table = "steel,a,y\n304,1,3\n316,2,4\n316,3,5\n316L,4,6\n304,5,7\n304,6,8\n304,7,9\n";
        let found = guess(table, &Hints::default()).unwrap();
        assert_eq!(found.columns[0].kind, Kind::Levels(vec!["304".into(), "316".into(), "316L".into()]));
        let said: Vec<String> = found.notes.iter().map(Note::to_string).collect();
        assert!(said.len() == 1 && said[0].contains("(the first: line 5: `316L`)"), "{said:?}");
        // Where they are most of it, the numbers are names like the others.
        let names = guess("steel,a,y\nA36,1,3\nA36,2,4\n304,3,5\nA36,4,6\nA36,5,7\n", &Hints::default()).unwrap();
        assert_eq!((seen(&names)[0].as_str(), names.notes.len()), ("steel it", 0));
    }

    #[test]
    fn a_name_alone_leaves_no_column_out() {
        // What differs in that column alone would become one point that was measured several times.
        for name in ["score", "distance", "part", "round", "state", "owner", "why", "probability", "interface", "row"] {
            let table = format!("{name},angle,y\n0.5,1,3\n1.5,2,4.5\n2.5,1,6\n3.5,3,8\n1.1,2,2\n");
            let error = guess(&table, &Hints::default()).unwrap_err();
            assert!(error.contains(&format!("`{name}`")) && error.contains(&format!("--ignore {name}")), "{error}");
            let ignore = vec![name.to_owned()];
            let found = guess(&table, &Hints { ignore: ignore.clone(), ..Hints::default() }).unwrap();
            assert_eq!(seen(&found), [&format!("{name} -"), "angle iw", "y o"]);
            for (flag, hints) in [
                ("--linear", Hints { linear: ignore.clone(), ignore: ignore.clone(), ..Hints::default() }),
                ("--log", Hints { log: ignore.clone(), ignore: ignore.clone(), ..Hints::default() }),
                ("--outputs", Hints { outputs: Some(ignore.clone()), ignore: ignore.clone(), ..Hints::default() }),
            ] {
                let error = guess(&table, &hints).unwrap_err();
                assert!(error.contains(&format!("{flag} names `{name}`, which is left out")), "{error}");
            }
        }
        // An identifier is known by what it holds, too: an inner diameter repeats, or has fractions.
        assert_eq!(seen(&guess("id,a,y\n3,1,2\n1,2,3\n2,2,4\n", &Hints::default()).unwrap())[0], "id -w");
        for ids in [["1", "1", "2"], ["0.5", "1", "2"]] {
            let table = format!("id,a,y\n{},1,2\n{},2,3\n{},2,4\n", ids[0], ids[1], ids[2]);
            assert!(guess(&table, &Hints::default()).unwrap_err().contains("--ignore id"));
        }
        let error = guess("a,y,y_sd\n1,2,3\n2,3,4\n", &Hints::default()).unwrap_err();
        assert!(error.contains("`y_sd` is what `dal predict` calls a column beside the output `y`"), "{error}");
    }

    #[test]
    fn tables_of_programs_are_known_by_their_columns_together() {
        for (text, columns) in [
            (
                "id,distance_,y,state,round,probability,part\n1,2,3,done,0,,\n2,3,4,done,1,0.5,held-out\n2,3,4,done,1,0.5,\n",
                &["id -w", "distance_ iw", "y o", "state -t", "round -w", "probability -", "part -t"][..],
            ),
            // Outputs are those that are empty where a campaign's point has no answer, whatever they are called.
            (
                "id,a,y,lift,state,round,probability,part\n1,2,3,1,done,0,,\n2,3,error: crashed,,failed,0,0.5,held-out\n\
                 3,4,,,asked,1,,\n4,5,,,withdrawn,1,,\n5,6,4,2,done,1,,\n",
                &["id -w", "a iw", "y o", "lift o", "state -t", "round -w", "probability -", "part -t"],
            ),
            (
                "id,a,score,disagreement,distance,probability,y\n1,2,,,1,,3\n5,4,0.5,1,0.5,0.25,4\n",
                &["id -w", "a iw", "score -", "disagreement -w", "distance -", "probability -", "y o"],
            ),
            // The outputs are those that are empty where a point failed, also beside one that is called as they are.
            (
                "row,a,b,y,lift,failure\n0,1,2,3,4,\n1,2,2,,,refused: too big\n2,3,1,5,6,\n",
                &["row -w", "a iw", "b iw", "y o", "lift o", "failure -t"],
            ),
        ] {
            assert_eq!(seen(&guess(text, &Hints::default()).unwrap()), columns);
        }
        // A row of a plate and a kind of fracture are no table of `dal label`.
        let error = guess("row,a,failure,y\n1,1,seal,2\n1,2,weld,3\n2,3,seal,3\n", &Hints::default()).unwrap_err();
        assert!(error.contains("--ignore row"), "{error}");
        let error = guess("row,a,y,failure\n0,1,,crashed: 1\n", &Hints::default()).unwrap_err();
        assert!(error.contains("no row of it has a label"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (text, hints, words) in [
            ("1,2\n3,4\n", Hints::default(), "names of its columns"),
            ("a,b\n1,2\n", Hints { outputs: Some(vec!["c".into()]), ..Hints::default() }, "no column `c`; it has a, b"),
            ("a,b\n1,x\n2,y\n", Hints { outputs: Some(vec!["b".into()]), ..Hints::default() }, "holds words"),
            ("a\n1\n2\n", Hints::default(), "could be an input"),
            ("a,b\n-1,2\n1,3\n", Hints { log: vec!["a".into()], ..Hints::default() }, "not all positive"),
            (
                "a,b\n1,2\n100,3\n",
                Hints { log: vec!["a".into()], linear: vec!["a".into()], ..Hints::default() },
                "both name `a`",
            ),
            ("a,b\n1,\n2,\n", Hints { outputs: Some(vec!["b".into()]), ..Hints::default() }, "holds no number"),
            // One slip among numbers makes no column of words, which would be left out.
            (
                "a,b,y\n1,0.5,3\n2,1.5,4\n3,2.5O,5\n4,3.5,6\n5,4.5,7\n",
                Hints::default(),
                "`b` seems to hold numbers, but 1 of its cells are none (the first: line 4: `2.5O`)",
            ),
            ("a,b,y\n1,0.5,3\n2,1.5,4\n3,2.5,5\n4,3.5,6\n5,4.5,off\n", Hints::default(), "--ignore y"),
            (
                "a,lift,y\n1,0.5,3\n2,1.5,4\n3,failed,5\n4,3.5,6\n5,4.5,7\n",
                Hints::default(),
                "name it among --outputs, or --ignore lift",
            ),
            // What the problem file could not be is told of the table, because the file is not there.
            ("x3,a,y\n1,2,3\n2,3,4\n", Hints::default(), "`x3` means a column of the unit box"),
        ] {
            let error = guess(text, &hints).unwrap_err();
            assert!(error.contains("some data.csv") && error.contains(words), "{error}");
        }
    }
}
