//! Tables, once: as HTML in the page and as CSV, LaTeX and Markdown files.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::export::guarded;

/// A table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Names its files and its element.
    pub(crate) id: String,
    /// What it holds.
    pub(crate) caption: String,
    /// Column headings; the first `n_labels` columns name the row.
    pub(crate) columns: Vec<String>,
    /// Columns at the left that name the row.
    pub(crate) n_labels: usize,
    pub(crate) rows: Vec<Row>,
}

/// A row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Entry>,
    /// For the filters.
    pub(crate) problem: Option<String>,
    /// For the filters: style of the method.
    pub(crate) method: Option<usize>,
    /// For the filters.
    pub(crate) ratio: Option<usize>,
}

/// One entry of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    /// As shown.
    pub(crate) text: String,
    /// In full precision, for sorting and CSV.
    pub(crate) value: Option<f64>,
    /// What kind of entry it is, for the style sheet.
    pub(crate) class: &'static str,
}

/// The class of words that are set as softly as a gap and yet say something: tables for machines keep them.
pub(crate) const SAID: &str = "none said";

impl Entry {
    /// Words.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number and how it is shown.
    pub(crate) fn number(value: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), value: Some(value), class: "" }
    }

    /// A number that may be missing.
    pub(crate) fn optional(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        match value {
            Some(value) => Self::number(value, show(value)),
            None => Self { text: "–".into(), value: None, class: "none" },
        }
    }

    pub(crate) fn with_class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }
}

impl Table {
    /// The table in the page; a long one is folded away under its caption.
    pub(crate) fn html_folded(&self) -> Markup {
        self.folded(self.html())
    }

    /// The same of [`html_stacked`](Self::html_stacked).
    pub(crate) fn html_stacked_folded(&self) -> Markup {
        self.folded(self.html_stacked())
    }

    fn folded(&self, shown: Markup) -> Markup {
        const LONG: usize = 30;
        if self.rows.len() <= LONG {
            return shown;
        }
        let (name, _) = self.caption.split_once(':').unwrap_or((&self.caption, ""));
        html! { details { summary { (name) " (" (self.rows.len()) " rows)" } (shown) } }
    }

    /// The table in the page, inside a region that scrolls by itself on narrow screens.
    pub(crate) fn html(&self) -> Markup {
        self.html_as(false)
    }

    /// The same for a table of few rows: on a phone each row is a list, with the columns' names beside their cells.
    pub(crate) fn html_stacked(&self) -> Markup {
        self.html_as(true)
    }

    fn html_as(&self, stacked: bool) -> Markup {
        html! {
            // Not a caption element: that would be no wider than its table, which may be narrow.
            p.caption id={ (self.id) "-caption" } {
                @match self.caption.split_once(": ") {
                    Some((name, rest)) => { strong { (name) } ": " (glued(rest)) }
                    None => (glued(&self.caption)),
                }
            }
            div.scroll tabindex="0" role="region" aria-labelledby={ (self.id) "-caption" } {
                table.sortable.stacked[stacked] id=(self.id) aria-labelledby={ (self.id) "-caption" } {
                    thead {
                        tr {
                            @for (i, column) in self.columns.iter().enumerate() {
                                th scope="col" class=[self.is_words(i).then_some("word")] { (column) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr data-problem=[row.problem.as_deref()] data-s=[row.method] data-ratio=[row.ratio] {
                                @for (i, cell) in row.cells.iter().enumerate() {
                                    @if i < self.n_labels {
                                        th scope="row" data-v=[cell.value.map(brief)] data-l=[stacked.then(|| &self.columns[i])]
                                            class=[some(cell.class)] { (cell.text) }
                                    } @else {
                                        td data-v=[cell.value.map(brief)] data-l=[stacked.then(|| &self.columns[i])]
                                            class=[self.class_of(i, cell)] { (cell.text) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether a column holds words: such columns are set flush left.
    fn is_words(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.cells.get(column)).filter(|cell| cell.class != "none");
        column < self.n_labels || cells.clone().next().is_some() && cells.all(|cell| cell.value.is_none())
    }

    fn class_of(&self, column: usize, cell: &Entry) -> Option<String> {
        const LONG: usize = 60;
        let word = if self.is_words(column) { "word" } else { "" };
        let long = if cell.text.chars().count() > LONG { "long" } else { "" };
        let all: Vec<&str> = [cell.class, word, long].into_iter().filter(|class| !class.is_empty()).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// CSV after RFC 4180, numbers in full precision.
    pub(crate) fn csv(&self) -> String {
        let quote = |text: &str| {
            // A number stays one; other text that a spreadsheet would calculate does not.
            let text = if text.parse::<f64>().is_ok() { text.to_owned() } else { guarded(text) };
            if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        };
        let mut out = self.columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(",");
        out.push('\n');
        for row in &self.rows {
            let cells = row.cells.iter().map(|cell| match cell.value {
                // The text says more than the number where it is not a number itself.
                Some(value) if cell.text.parse::<f64>().is_ok() || cell.text.starts_with('<') => format!("{value}"),
                // A gap, whose reason the page gives; a value, or a word of its own, is none.
                None if cell.class == "none" => String::new(),
                _ => quote(&cell.text),
            });
            let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join(","));
        }
        out
    }

    /// Markdown.
    pub(crate) fn markdown(&self) -> String {
        let safe = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut out = format!("{}\n\n", safe(&self.caption));
        out += &line(self.columns.iter().map(|c| safe(c)).collect());
        out +=
            &line((0..self.columns.len()).map(|i| if i < self.n_labels { "---" } else { "---:" }.to_owned()).collect());
        for row in &self.rows {
            out += &line(row.cells.iter().map(|c| safe(&c.text)).collect());
        }
        out
    }

    /// LaTeX for the package `booktabs`.
    pub(crate) fn latex(&self) -> String {
        let columns: String = (0..self.columns.len()).map(|i| if i < self.n_labels { 'l' } else { 'r' }).collect();
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let mut out = format!(
            "% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n\\caption{{{}}}\n\\label{{tab:{}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n",
            latex(&self.caption),
            self.id
        );
        out += &line(self.columns.iter().map(|c| latex(c)).collect());
        out += "\\midrule\n";
        for row in &self.rows {
            out += &line(row.cells.iter().map(|c| latex(&c.text)).collect());
        }
        out += "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
        out
    }
}

/// A number for sorting: six digits are enough to order what is shown with three.
fn brief(value: f64) -> String {
    let (exact, rounded) = (value.to_string(), format!("{value:.5e}"));
    if exact.len() <= rounded.len() { exact } else { rounded }
}

/// Text for the page in which γ = 2 and 5 % are not torn apart at the end of a line.
pub(crate) fn glued(text: &str) -> String {
    text.replace("γ = ", "γ\u{a0}=\u{a0}").replace(" %", "\u{a0}%")
}

fn some(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

/// Text that LaTeX sets as it stands.
fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            'µ' => out.push_str("$\\mu$"),
            'γ' => out.push_str("$\\gamma$"),
            '±' => out.push_str("$\\pm$"),
            '≤' => out.push_str("$\\le$"),
            '≥' => out.push_str("$\\ge$"),
            '²' => out.push_str("$^2$"),
            '–' => out.push_str("--"),
            '↑' => out.push_str("$\\uparrow$"),
            '↓' => out.push_str("$\\downarrow$"),
            '·' => out.push_str("$\\cdot$"),
            '×' => out.push_str("$\\times$"),
            '✓' => out.push_str("$+$"),
            '✗' => out.push_str("$-$"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            id: "t".into(),
            caption: "a_b & <c>".into(),
            columns: vec!["method".into(), "γ = 2".into()],
            n_labels: 1,
            rows: vec![
                Row { cells: vec![Entry::text("q|b\"c,"), Entry::number(0.123_456_789, "0.123")], ..Row::default() },
                Row { cells: vec![Entry::text("x"), Entry::optional(None, |v| v.to_string())], ..Row::default() },
            ],
        }
    }

    #[test]
    fn every_format_quotes_what_it_must() {
        assert_eq!(table().csv(), "method,γ = 2\n\"q|b\"\"c,\",0.123456789\nx,\n");
        let mut said = table();
        said.rows[0].cells[1] = Entry::number(0.5, "0.50 –").with_class("none");
        said.rows[1].cells[1] = Entry::text("no verdict").with_class(SAID);
        assert_eq!(said.csv(), "method,γ = 2\n\"q|b\"\"c,\",0.50 –\nx,no verdict\n");
        assert_eq!(
            table().markdown(),
            "a_b & <c>\n\n| method | γ = 2 |\n| --- | ---: |\n| q\\|b\"c, | 0.123 |\n| x | – |\n"
        );
        let latex = table().latex();
        assert!(latex.contains("\\caption{a\\_b \\& $<$c$>$}") && latex.contains("$\\gamma$ = 2 \\\\"), "{latex}");
        let html = table().html().into_string();
        assert!(!html.contains("data-l") && table().html_stacked().into_string().contains("data-l=\"γ = 2\""));
        assert!(html.contains("a_b &amp; &lt;c&gt;") && html.contains("data-v=\"1.23457e-1\""), "{html}");
    }
}
