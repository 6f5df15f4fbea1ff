//! A text split into rows, with their lines as an editor counts them.

use std::borrow::Cow;

use csv::StringRecord;

use crate::dialect::Separator;
use crate::error::FileError;

/// A row of a text.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// 1-based, as editors count.
    pub(super) at: u64,
    /// Cells without blanks at their ends.
    pub(super) cells: StringRecord,
    /// Whether empty lines stand before it and behind another row.
    pub(super) behind_gap: Option<u64>,
    /// Whether it holds no cell, not even an empty one in quotes.
    pub(super) blank: bool,
}

impl Line {
    /// Whether every cell is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().all(str::is_empty)
    }
}

/// Splits a text into its rows.
///
/// # Errors
/// A quotation mark that is never closed, or that another one lines below closes in the middle of a cell.
pub(super) fn split(file: &str, text: &str, separator: Separator) -> Result<Vec<Line>, FileError> {
    // Behind an open quote this line is no line of its own.
    const END: &str = "\u{1}end\u{1}";
    let mut lines = lines(&format!("{text}\n{END}\n"), separator, None);
    let last = lines.pop();
    if text.contains('"')
        && let Some(line) = swallowed(text, separator)
    {
        return Err(FileError::OpenQuote { file: file.to_owned(), line });
    }
    match last {
        Some(line) if line.cells.len() == 1 && &line.cells[0] == END => Ok(lines),
        last => Err(FileError::OpenQuote { file: file.to_owned(), line: last.map_or(1, |line| line.at) }),
    }
}

/// The line of a quoted cell that goes on over lines and behind whose closing mark more text follows: two stray marks,
/// as of inches, which take the rows between them for a cell.
fn swallowed(text: &str, separator: Separator) -> Option<u64> {
    let is_separator = |c: char| match separator {
        Separator::Comma => c == ',',
        Separator::Semicolon => c == ';',
        Separator::Tab => c == '\t',
        Separator::Blanks => c == ' ' || c == '\t',
    };
    let is_blank = |c: char| c == ' ' || c == '\t' && !matches!(separator, Separator::Tab);
    let mut chars = text.chars().peekable();
    let (mut line, mut begins) = (1_u64, true);
    while let Some(c) = chars.next() {
        let ends = |c: char, next: Option<&char>| c == '\n' || c == '\r' && next != Some(&'\n');
        if c != '"' || !begins {
            line += u64::from(ends(c, chars.peek()));
            begins = is_separator(c) || c == '\n' || c == '\r' || begins && is_blank(c);
            continue;
        }
        let from = line;
        let mut is_closed = false;
        while let Some(c) = chars.next() {
            line += u64::from(ends(c, chars.peek()));
            if c == '"' && chars.next_if_eq(&'"').is_none() {
                is_closed = true;
                break;
            }
        }
        while chars.next_if(|&c| is_blank(c) && !is_separator(c)).is_some() {}
        let follows = chars.peek().is_some_and(|&c| !is_separator(c) && c != '\n' && c != '\r');
        if is_closed && follows && line > from {
            return Some(from);
        }
        begins = false;
    }
    None
}

/// The cells of one line, without blanks at their ends; none of an empty one. A quotation mark that is never closed
/// makes one cell of what follows.
pub fn cells(line: &str, separator: Separator) -> Vec<String> {
    let line = line.trim_matches(['\n', '\r']);
    let is_empty = match separator {
        Separator::Tab => line.trim_matches(' ').is_empty(),
        _ => line.trim().is_empty(),
    };
    if is_empty {
        return Vec::new();
    }
    // A program's answers are read line by line, and few hold a quotation mark.
    if !line.contains(['"', '\n', '\r']) {
        return match separator {
            Separator::Comma => line.split(',').map(|cell| cell.trim().to_owned()).collect(),
            Separator::Semicolon => line.split(';').map(|cell| cell.trim().to_owned()).collect(),
            Separator::Tab => line.split('\t').map(|cell| cell.trim().to_owned()).collect(),
            Separator::Blanks => line.split_ascii_whitespace().map(str::to_owned).collect(),
        };
    }
    let first = lines(line, separator, Some(1)).pop();
    first.map_or_else(Vec::new, |line| line.cells.iter().map(str::to_owned).collect())
}

/// The first rows of a text, for a guess at how it is written.
pub(super) fn sample(text: &str, separator: Separator, n: usize) -> Vec<Line> {
    let end = text.match_indices('\n').nth(2 * n).map_or(text.len(), |(at, _)| at + 1);
    lines(&text[..end], separator, Some(n))
}

fn lines(text: &str, separator: Separator, limit: Option<usize>) -> Vec<Line> {
    // Spreadsheets tell each other the separator in a line of its own.
    let named = text.split(['\n', '\r']).next().filter(|first| first.len() == 5 && first.starts_with("sep="));
    let (skipped, text) = match named {
        Some(first) => (1, text[first.len()..].trim_start_matches('\r').trim_start_matches('\n')),
        None => (0, text),
    };
    let delimiter = match separator {
        Separator::Comma => b',',
        Separator::Semicolon => b';',
        Separator::Tab | Separator::Blanks => b'\t',
    };
    let text = match separator {
        Separator::Blanks => Cow::Owned(blanks_to_tabs(text)),
        _ => without_blanks_before_quotes(text, delimiter.into()),
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let bytes = text.as_bytes();
    let (mut seen, mut line) = (0, 1 + skipped);
    let mut found: Vec<Line> = Vec::new();
    let mut gap = None;
    let mut cells = StringRecord::new();
    while limit.is_none_or(|limit| found.len() < limit) && reader.read_record(&mut cells).is_ok_and(|more| more) {
        let from = cells.position().map_or(0, |position| position.byte() as usize).min(bytes.len());
        let start = from + bytes[from..].iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
        // The reader counts no lone carriage returns, and stands before the empty lines that it passes over.
        let ends = |from: usize, to: usize| -> Vec<usize> {
            (from..to)
                .filter(|&at| bytes[at] == b'\n' || (bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n')))
                .collect()
        };
        let to_record = ends(seen, from);
        let passed = ends(from, start);
        line += to_record.len() as u64;
        // Of a carriage return and a line feed the reader takes the first and leaves the second.
        let halved = from > 0 && bytes[from - 1] == b'\r' && bytes.get(from) == Some(&b'\n');
        if passed.len() > usize::from(halved) && !found.is_empty() {
            gap.get_or_insert(line + u64::from(halved));
        }
        line += passed.len() as u64;
        seen = start;
        let blank = cells.len() == 1 && cells[0].is_empty() && !bytes[start..].trim_ascii_start().starts_with(b"\"");
        if blank && found.is_empty() {
            continue;
        }
        if blank {
            gap.get_or_insert(line);
        }
        found.push(Line { at: line, cells: cells.clone(), behind_gap: gap, blank });
        if !blank {
            gap = None;
        }
    }
    found
}

/// The text without the blanks between a separator, or the begin of a line, and a quotation mark: `"a", "b"`.
fn without_blanks_before_quotes(text: &str, delimiter: char) -> Cow<'_, str> {
    if !text.contains(" \"") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut begins, mut blanks) = (false, true, 0);
    for c in text.chars() {
        if c == ' ' && begins && !quoted {
            blanks += 1;
            continue;
        }
        if !(c == '"' && begins) {
            out.extend(std::iter::repeat_n(' ', blanks));
        }
        if c == '"' && (quoted || begins) {
            quoted = !quoted;
        }
        begins = !quoted && (c == delimiter || c == '\n' || c == '\r');
        blanks = 0;
        out.push(c);
    }
    out.extend(std::iter::repeat_n(' ', blanks));
    Cow::Owned(out)
}

/// Runs of blanks and tabs outside quotes as single tabs, none at the ends of a line.
fn blanks_to_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut pending, mut begun) = (false, false, false);
    for c in text.chars() {
        match c {
            ' ' | '\t' if !quoted => pending = true,
            '\n' | '\r' if !quoted => {
                out.push(c);
                (pending, begun) = (false, false);
            }
            _ => {
                if pending && begun {
                    out.push('\t');
                }
                // A quotation mark counts where a cell begins or one that began with it ends.
                if c == '"' && (quoted || pending || !begun) {
                    quoted = !quoted;
                }
                out.push(c);
                (pending, begun) = (false, true);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use proptest::prelude::*;

    fn ats(text: &str, separator: Separator) -> Vec<(u64, Vec<String>)> {
        let lines = split("t", text, separator).unwrap();
        lines.iter().filter(|l| !l.blank).map(|l| (l.at, l.cells.iter().map(str::to_owned).collect())).collect()
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["", "a,b", "1,2", "", "\"x", "y\",3", "  ", "4,5", ""].join(end);
            let found: Vec<u64> = ats(&text, Separator::Comma).iter().map(|(at, _)| *at).collect();
            assert_eq!(found, [2, 3, 5, 8], "{end:?}");
            let lines = split("t", &text, Separator::Comma).unwrap();
            let gaps: Vec<Option<u64>> = lines.iter().map(|l| l.behind_gap).collect();
            assert_eq!(gaps, [None, None, Some(4), Some(7), Some(7)], "{end:?}");
        }
        assert_eq!(ats("sep=;\n1;2\n", Separator::Semicolon), [(2, vec!["1".to_owned(), "2".into()])]);
    }

    #[test]
    fn blanks_separate_in_any_number() {
        let found = ats("  a \t b\n1   \"x  y\"\n2\t3  \n", Separator::Blanks);
        let cells: Vec<&[String]> = found.iter().map(|(_, cells)| cells.as_slice()).collect();
        assert_eq!(cells, [["a", "b"], ["1", "x  y"], ["2", "3"]]);
    }

    #[test]
    fn blanks_may_stand_before_quotes() {
        let found = ats("\"b\", \"a, x\",  y\n 1,  \"2\" , \"a \"\"b\"\" c\"\n5 \"x\", 4,\" \"\n", Separator::Comma);
        let cells: Vec<&[String]> = found.iter().map(|(_, cells)| cells.as_slice()).collect();
        assert_eq!(cells, [["b", "a, x", "y"], ["1", "2", "a \"b\" c"], ["5 \"x\"", "4", ""]]);
        assert_eq!(super::cells(" \"b\"; \"a; x\"", Separator::Semicolon), ["b", "a; x"]);
    }

    #[test]
    fn an_open_quote_is_found() {
        let error = split("t.csv", "a,b\n1,2\n3,\"4\n5,6\n", Separator::Comma).unwrap_err().to_string();
        assert!(error.contains("t.csv, line 3"), "{error}");
        assert!(split("t", "a\n1 \"x\n", Separator::Blanks).is_err());
    }

    /// A mark of inches in each of two rows: the rows between them are no cell.
    #[test]
    fn marks_that_swallow_rows_are_found() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,note,y", "1,ok,10", "2, \"tube 3/4,20", "3,ok,30", "4,\"tube 1/2,40", ""].join(end);
            let error = split("t.csv", &text, Separator::Comma).unwrap_err().to_string();
            assert!(error.contains("t.csv, line 3"), "{error}");
        }
        assert!(split("t", "1;\"x;2\n2;\"y;3\n", Separator::Semicolon).is_err());
        assert!(split("t", "1 \"x 2\n2 \"y 3\n", Separator::Blanks).is_err());
        // Cells over lines that end where they should, doubled marks, and text behind a mark in one line are as before.
        for text in ["1,\"x\ny\" ,2\n", "1,\"x\ny\"\"\n\",2\n", "1,\"x\" y,2\n", "1,x \"y\nz\",2\n", "\"x\ny\""] {
            assert!(split("t", text, Separator::Comma).is_ok(), "{text:?}");
        }
    }

    /// Lines of a plain text, counted naively.
    fn naive(text: &str) -> Vec<u64> {
        let ended = text.replace("\r\n", "\n").replace('\r', "\n");
        (1..).zip(ended.split('\n')).filter(|(_, line)| !line.trim().is_empty()).map(|(at, _)| at).collect()
    }

    proptest! {
        #[test]
        fn cells_are_those_of_the_reader_of_files(line in "[ab1,; \t.]{0,12}") {
            for dialect in Dialect::ALL {
                let read = lines(&line, dialect.separator, Some(1)).pop();
                let naive = read.map_or_else(Vec::new, |line| line.cells.iter().map(str::to_owned).collect::<Vec<_>>());
                prop_assert_eq!(cells(&line, dialect.separator), naive, "{:?}", dialect.separator);
            }
        }

        #[test]
        fn line_numbers_are_the_naive_ones(
            pieces in prop::collection::vec("[ab1,; ]{0,3}", 0..12), ends in prop::collection::vec(0..3_usize, 12),
        ) {
            let ends = ends.iter().map(|&end| ["\n", "\r\n", "\r"][end]);
            let text: String = pieces.iter().zip(ends).map(|(piece, end)| piece.clone() + end).collect();
            let lines = split("t", &text, Separator::Comma).unwrap();
            let found: Vec<u64> = lines.iter().filter(|l| !l.blank).map(|l| l.at).collect();
            prop_assert_eq!(found, naive(&text));
        }

        #[test]
        fn any_text_is_split_or_refused(text in "\\PC{0,30}|[\"a1,;\t\r\n ]{0,30}") {
            for dialect in Dialect::ALL {
                let _ = split("t", &text, dialect.separator);
                let _ = sample(&text, dialect.separator, 3);
            }
        }
    }
}
