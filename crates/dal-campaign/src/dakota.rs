//! Dakota's annotated tabular files: `%eval_id interface x1 … y1`, cells apart by blanks.

use dal_files::Source;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::words::Cell;

/// The first name of an annotated table.
const EVAL_ID: &str = "eval_id";

/// A source that is an annotated table as CSV, line by line; any other source as it is. Numbers of evaluations are
/// Dakota's own and not a campaign's, so that points are known by their values.
pub fn as_csv(source: Source) -> Source {
    let Some(text) = std::str::from_utf8(source.bytes()).ok().filter(|text| text.starts_with('%')) else {
        return source;
    };
    let quoted = |cell: &str| {
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
    };
    let mut csv = String::with_capacity(text.len());
    for line in text.lines() {
        let cells: Vec<String> = line.trim_start_matches('%').split_whitespace().map(quoted).collect();
        csv += &cells.join(",");
        csv.push('\n');
    }
    Source::from_bytes(source.file().to_owned(), csv.into_bytes())
}

/// An annotated table of these points, which Dakota's studies import as `annotated`: of each its number, its values,
/// and its answers where there are some.
///
/// # Errors
/// A name or a level that holds a blank, for which these tables have no place.
pub fn table<'a>(
    folder: &Folder,
    points: impl IntoIterator<Item = (u64, &'a [Cell], Option<&'a [f64]>)>,
    with_outputs: bool,
) -> Result<String, CampaignError> {
    let subject = folder.subject();
    let whole = |text: &str| match text.contains(char::is_whitespace) || text.is_empty() {
        true => Err(CampaignError::request(format!("`{text}` holds a blank, for which Dakota's tables have no place"))),
        false => Ok(text.to_owned()),
    };
    let outputs = if with_outputs { subject.outputs() } else { &[] };
    let mut text = format!("%{EVAL_ID} interface");
    for name in subject.names().iter().chain(outputs) {
        text += &format!(" {}", whole(name)?);
    }
    text.push('\n');
    for (id, x, values) in points {
        text += &format!("{id} NO_ID");
        for cell in x {
            text += &format!(" {}", whole(&cell.to_string())?);
        }
        for value in values.into_iter().flatten() {
            text += &format!(" {value:?}");
        }
        text.push('\n');
    }
    Ok(text)
}

impl Folder {
    /// The points with answers as an annotated table; of a replicated point one line per answer.
    ///
    /// # Errors
    /// As [`table`].
    pub fn export_dakota(&self) -> Result<String, CampaignError> {
        let points = self
            .state()
            .points()
            .flat_map(|point| point.answers.iter().map(|values| (point.id, &point.x[..], Some(&values[..]))));
        table(self, points, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_tables_become_csv_and_others_stay() {
        let csv = |text: &str| String::from_utf8(as_csv(Source::from_bytes("t", text)).bytes().to_vec()).unwrap();
        assert_eq!(
            csv("%eval_id interface   x1    mat  y\n1 NO_ID 1.5e+00 steel 2\n  2  NO_ID  3  a,b  4\n"),
            "eval_id,interface,x1,mat,y\n1,NO_ID,1.5e+00,steel,2\n2,NO_ID,3,\"a,b\",4\n"
        );
        assert_eq!(csv("x1,y\n1,2\n"), "x1,y\n1,2\n");
        assert_eq!(csv(""), "");
    }
}
