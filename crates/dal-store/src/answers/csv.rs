//! Answers as a CSV file: an export, never read back as the truth.

use std::io::Write;

use super::Answers;

impl Answers {
    /// Writes a header of the inputs' and outputs' names, then one line per point with what counts of it, in the
    /// order in which answers came. Points without a success are left out, or with `failures` have `error: KIND:
    /// WORDS` in place of the first output and nothing in place of the others. `text` says how a name or a cell that
    /// may be words is written, so that none begins a formula, say.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write_csv(&self, out: &mut dyn Write, failures: bool, text: &dyn Fn(&str) -> String) -> std::io::Result<()> {
        let inputs = self.key().inputs.iter().map(|input| input.name.as_str());
        let header: Vec<String> = inputs.chain(self.key().outputs.iter().map(String::as_str)).map(text).collect();
        writeln!(out, "{}", record(header.iter().map(String::as_str))?)?;
        for (point, answer) in self.rows() {
            let cells: Vec<String> = match answer {
                Ok(values) => values.iter().map(|v| format!("{v:?}")).collect(),
                Err(_) if !failures => continue,
                Err(failure) => {
                    let mut cells = vec![String::new(); self.key().outputs.len()];
                    if let Some(first) = cells.first_mut() {
                        *first = text(&format!("error: {failure}"));
                    }
                    cells
                }
            };
            let cells = record(cells.iter().map(String::as_str))?;
            writeln!(out, "{},{cells}", rewritten(&point, text)?)?;
        }
        Ok(())
    }
}

/// A point, which is a line of CSV itself, with its cells written so; as it is where they are.
fn rewritten(point: &str, text: &dyn Fn(&str) -> String) -> std::io::Result<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(point.as_bytes());
    let Some(Ok(cells)) = reader.records().next() else { return Ok(point.to_owned()) };
    let written: Vec<String> = cells.iter().map(text).collect();
    if written.iter().zip(&cells).all(|(to, from)| to == from) {
        return Ok(point.to_owned());
    }
    record(written.iter().map(String::as_str))
}

/// One line without its line feed, quoted where it must be.
fn record<'a>(cells: impl Iterator<Item = &'a str>) -> std::io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
