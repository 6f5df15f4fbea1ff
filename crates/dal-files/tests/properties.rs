//! What is written is read back in every dialect; no bytes end the program; a changed cell is seen or refused at its
//! place.

use dal_files::write::{Out, record};
use dal_files::{Expect, FileError, Member, Source, Table, read, read_together};
use proptest::prelude::*;

/// Cells under a header in a dialect.
fn written(header: &[String], rows: &[Vec<f64>], separator: &str, comma: bool, end: &str) -> String {
    let mut lines = vec![header.join(separator)];
    for row in rows {
        let cells: Vec<String> = row.iter().map(|v| format!("{v:?}")).collect();
        let cells = cells.iter().map(|cell| if comma { cell.replace('.', ",") } else { cell.clone() });
        lines.push(cells.collect::<Vec<_>>().join(separator));
    }
    lines.join(end) + end
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("in{i}")).collect()
}

fn read_named(text: &[u8], names: &[String]) -> Result<Vec<Vec<f64>>, FileError> {
    let sets = [names.to_vec()];
    let (table, _) = read(Source::from_bytes("t.csv", text), &Expect::Named { sets: &sets, words: &[], bare: None })?;
    values(&table, &table.find(names)?)
}

fn values(table: &Table, places: &[usize]) -> Result<Vec<Vec<f64>>, FileError> {
    (0..table.n_rows()).map(|row| places.iter().map(|&column| table.number(row, column)).collect()).collect()
}

fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let number = prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()),
        -100.0..100.0_f64,
        (-9..9_i32).prop_map(f64::from)
    ];
    (1..4_usize).prop_flat_map(move |n| prop::collection::vec(prop::collection::vec(number.clone(), n), 1..8))
}

const SEPARATORS: [(&str, bool); 8] =
    [(",", false), (";", false), (";", true), ("\t", false), ("\t", true), (" ", false), (" ", true), ("  ", false)];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_dialect_reads_back(rows in rows(), dialect in 0..8_usize, end in 0..3_usize, mark in any::<bool>()) {
        let (separator, comma) = SEPARATORS[dialect];
        let names = names(rows[0].len());
        let mark = if mark { "\u{feff}" } else { "" };
        let text = mark.to_owned() + &written(&names, &rows, separator, comma, ["\n", "\r\n", "\r"][end]);
        prop_assert_eq!(read_named(text.as_bytes(), &names).unwrap(), rows.clone());
        // Under names that are not known as well, beside a file that shows how decimals are written.
        let (table, _) = read(Source::from_bytes("t", text), &Expect::Free).unwrap();
        prop_assert_eq!(values(&table, &(0..names.len()).collect::<Vec<_>>()).unwrap(), rows);
    }

    #[test]
    fn what_the_library_writes_it_reads(rows in rows()) {
        let names: Vec<String> = names(rows[0].len()).into_iter().map(|name| format!("={name}, \"x\"")).collect();
        let mut text = record(names.iter().map(|name| Out::Text(name)));
        for row in &rows {
            text += &record(row.iter().map(|&v| Out::Number(v)));
        }
        prop_assert_eq!(read_named(text.as_bytes(), &names).unwrap(), rows);
    }

    /// A cell that becomes another thing is an error at its place, whichever cell and dialect; no row shifts.
    #[test]
    fn a_spoilt_cell_is_found_at_its_place(
        rows in rows(), dialect in 0..8_usize, at in any::<prop::sample::Index>(),
        word in "NA|nan|x|1e999|0x1|--|#REF!|1_0|error",
    ) {
        let (separator, comma) = SEPARATORS[dialect];
        let n = rows[0].len();
        let names = names(n);
        let place = at.index(rows.len() * n);
        let (row, column) = (place / n, place % n);
        let text = written(&names, &rows, separator, comma, "\n");
        let cells = |line: &str| line.split(separator).map(str::to_owned).collect();
        let mut lines: Vec<Vec<String>> = text.lines().map(cells).collect();
        lines[row + 1][column] = word.clone();
        let text: String = lines.iter().map(|cells| cells.join(separator) + "\n").collect();
        match read_named(text.as_bytes(), &names) {
            Err(FileError::Cell { at, column: name, cell, .. }) => {
                // Of a reading that fits nothing else, the first fault may be another number of the same file.
                let here = at == dal_files::At::Line(row as u64 + 2) && name == names[column];
                prop_assert!(here && cell == word || comma, "{at} {name} {cell}: {text}");
            }
            Err(other) => prop_assert!(other.to_string().contains("t.csv"), "{other}"),
            Ok(read) => prop_assert!(false, "{text:?} was read as {read:?}"),
        }
    }

    /// One byte of a file changed: the same shape with at most the cells of that byte changed, or an error that names
    /// the file.
    #[test]
    fn a_changed_byte_shifts_nothing(
        rows in rows(), at in any::<prop::sample::Index>(), byte in "[0-9a-z.,;\" \t\n-]",
    ) {
        let names = names(rows[0].len());
        let mut text = written(&names, &rows, ",", false, "\n").into_bytes();
        let at = at.index(text.len());
        let header = at < names.join(",").len();
        let old = std::mem::replace(&mut text[at], byte.as_bytes()[0]);
        match read_named(&text, &names) {
            Err(error) => prop_assert!(error.to_string().contains("t.csv")),
            Ok(_) if header || old == b'\n' => {}
            Ok(read) => {
                let breaks = byte == "\n";
                prop_assert!(breaks || read.len() == rows.len());
                let differing = read.iter().flatten().zip(rows.iter().flatten()).filter(|(a, b)| a != b).count();
                prop_assert!(breaks || differing <= 1, "{} cells differ", differing);
            }
        }
    }

    #[test]
    fn no_bytes_end_the_program(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        text in "[\"a0-9.,;\t\r\n #-]{0,60}|\\PC{0,40}",
    ) {
        for bytes in [bytes, text.into_bytes()] {
            let source = || Source::from_bytes("t", bytes.clone());
            if let Ok((table, _)) = read(source(), &Expect::Free) {
                prop_assert!(table.n_rows() > 0);
                let _ = table.numbers();
            }
            let _ = read_named(&bytes, &names(2));
            let _ = dal_files::members(source(), 2, Some(1));
            let expect = Expect::Free;
            let member = |columns_like, rows_like| Member { source: source(), expect, columns_like, rows_like };
            let members = vec![member(None, None), member(None, Some(0)), member(Some(0), None)];
            if let Ok((tables, _)) = read_together(members) {
                prop_assert_eq!(tables[0].n_rows(), tables[1].n_rows());
                prop_assert_eq!(tables[0].n_columns(), tables[2].n_columns());
            }
        }
    }
}
