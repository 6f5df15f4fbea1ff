//! Answers as a CSV file: an export, never read back as the truth.

use std::io::Write;

use super::Answers;

impl Answers {
    /// Writes a header of the inputs' and outputs' names, then one line per point with what counts of it, in the
    /// order in which answers came. Points without a success are left out, or with `failures` have `error: KIND:
    /// WORDS` in place of the first output and nothing in place of the others.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write_csv(&self, out: &mut dyn Write, failures: bool) -> std::io::Result<()> {
        let inputs = self.key().inputs.iter().map(|input| input.name.as_str());
        writeln!(out, "{}", record(inputs.chain(self.key().outputs.iter().map(String::as_str)))?)?;
        for (point, answer) in self.rows() {
            let cells: Vec<String> = match answer {
                Ok(values) => values.iter().map(|v| format!("{v:?}")).collect(),
                Err(_) if !failures => continue,
                Err(failure) => {
                    let mut cells = vec![String::new(); self.key().outputs.len()];
                    if let Some(first) = cells.first_mut() {
                        *first = format!("error: {failure}");
                    }
                    cells
                }
            };
            // The point is a line of CSV itself.
            writeln!(out, "{point},{}", record(cells.iter().map(String::as_str))?)?;
        }
        Ok(())
    }
}

/// One line without its line feed, quoted where it must be.
fn record<'a>(cells: impl Iterator<Item = &'a str>) -> std::io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
