//! Files as users and their tools write them, one of each kind that failed or misled once: read to the right numbers,
//! or refused with file, line and remedy.

use dal_files::{Expect, FileError, Member, Note, Source, Table, read, read_together};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const LX: &str = "a,b\n6.5,2.75\n0.5,0.25\n8.25,9.5\n";
const LY: &str = "y\n-0.5\n0.75\n-1.25\n";
const PX: &str = "a,b\n8.5,0.5\n7.25,1.75\n8.75,5.5\n3.5,4.25\n";

/// Labelled inputs, their outputs and a pool, as `dal select` reads them.
fn select(
    lx: impl AsRef<[u8]>,
    ly: impl AsRef<[u8]>,
    px: impl AsRef<[u8]>,
) -> Result<(Vec<Table>, Vec<Note>), FileError> {
    let member = |file: &str, bytes: &[u8], columns_like, rows_like| Member {
        source: Source::from_bytes(file, bytes),
        expect: Expect::Free,
        columns_like,
        rows_like,
    };
    read_together(vec![
        member("lx.csv", lx.as_ref(), None, None),
        member("ly.csv", ly.as_ref(), None, Some(0)),
        member("px.csv", px.as_ref(), Some(0), None),
    ])
}

#[track_caller]
fn same_as_clean(lx: impl AsRef<[u8]>, ly: impl AsRef<[u8]>, px: impl AsRef<[u8]>) -> Vec<String> {
    let (clean, _) = select(LX, LY, PX).unwrap();
    let (tables, notes) = select(lx, ly, px).unwrap();
    for (table, clean) in tables.iter().zip(&clean) {
        assert_eq!(table.numbers().unwrap(), clean.numbers().unwrap());
    }
    notes.iter().map(Note::to_string).collect()
}

/// The first error: of reading, or of a cell.
#[track_caller]
fn refusal(lx: impl AsRef<[u8]>, ly: impl AsRef<[u8]>, px: impl AsRef<[u8]>, words: &[&str]) {
    let error = match select(lx, ly, px) {
        Err(error) => error,
        Ok((tables, _)) => tables.iter().find_map(|table| table.numbers().err()).expect("it is refused"),
    };
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

fn headless(text: &str) -> String {
    text.split_once('\n').unwrap().1.to_owned()
}

fn under(header: &str, text: &str) -> String {
    format!("{header}\n{}", headless(text))
}

fn indexed(text: &str, name: &str) -> String {
    let mut lines = text.lines();
    let header = format!("{name},{}\n", lines.next().unwrap());
    header + &lines.enumerate().map(|(row, line)| format!("{row},{line}\n")).collect::<String>()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn clean_files_need_no_note() {
    assert!(same_as_clean(LX, LY, PX).is_empty());
}

#[test]
fn files_without_a_header_are_read_and_noted() {
    let notes = same_as_clean(headless(LX), headless(LY), headless(PX));
    assert!(notes.iter().all(|note| note.contains("has no header")), "{notes:?}");
    assert_eq!(notes.len(), 3);
}

#[test]
fn a_spoilt_first_cell_is_no_header() {
    for cell in ["NA", "", "-", "#REF!", "3.1 mm", "O.5", "nan", "None"] {
        let px = headless(PX).replacen("8.5", cell, 1);
        refusal(headless(LX), headless(LY), &px, &["px.csv, line 1, column 1", "header"]);
        let ly = headless(LY).replacen("-0.5", cell, 1);
        if !cell.is_empty() {
            refusal(headless(LX), &ly, headless(PX), &["ly.csv, line 1, column 1"]);
            refusal(LX, &ly, PX, &["ly.csv, line 1, column 1"]);
        }
        let lx = headless(LX).replacen("6.5", cell, 1);
        refusal(&lx, headless(LY), headless(PX), &["lx.csv, line 1, column 1"]);
        // Also where the pool begins with the same spoilt point.
        let px = format!("{}\n{}", lx.lines().next().unwrap(), headless(PX));
        refusal(&lx, headless(LY), &px, &["lx.csv, line 1, column 1"]);
        refusal(LX, LY, PX.replacen("8.5", cell, 1), &["px.csv, line 2, column a"]);
    }
}

#[test]
fn the_header_of_numbers_that_pandas_writes_is_known() {
    let notes = same_as_clean(under("0,1", LX), under("0", LY), under("0,1", PX));
    assert!(notes.len() == 3 && notes.iter().all(|note| note.contains("taken for a header")), "{notes:?}");
    same_as_clean(under("0,1", LX), LY, under("0,1", PX));
    same_as_clean(LX, under("0", LY), PX);
    same_as_clean(indexed(&under("0,1", LX), ""), indexed(&under("0", LY), ""), indexed(&under("0,1", PX), ""));
    // Wavelengths: the outputs tell that the line is a header; else it is refused.
    same_as_clean(under("400,410", LX), LY, under("400,410", PX));
    same_as_clean(under("400,410", LX), headless(LY), under("400,410", PX));
    refusal(under("400,410", LX), under("7", LY), under("400,410", PX), &["lx.csv, line 1", "two ways", "400, 410"]);
    refusal(headless(LX), headless(LY), under("0,1", PX), &["px.csv, line 1", "two ways"]);
    // A pool that holds the labelled points begins like them, and that is no header.
    let pool = format!("{}\n{}", headless(LX).trim_end(), headless(PX));
    let (tables, _) = select(headless(LX), headless(LY), pool).unwrap();
    assert_eq!(tables[2].n_rows(), 7);
}

/// Columns of pandas under any numbers: `df[[3, 1]]`, years, wavelengths in any order.
#[test]
fn a_line_of_numbers_with_which_files_both_begin_is_a_riddle() {
    for head in ["3,1", "500,400", "1,0", "2020,2019", "1000.5,1001.5"] {
        for y in ["4", "0", "-0.5"] {
            let words = ["lx.csv, line 1", "two ways", "begin with a line of names"];
            refusal(under(head, LX), under(y, LY), under(head, PX), &words);
        }
        // The rows of the labels tell: with a header, one line more or less.
        same_as_clean(under(head, LX), LY, under(head, PX));
        let rows = format!("{head}\n{}", headless(LX));
        let labels = format!("y\n4\n{}", headless(LY));
        let (tables, _) = select(&rows, &labels, format!("{head}\n{}", headless(PX))).unwrap();
        assert_eq!((tables[0].n_rows(), tables[2].n_rows()), (4, 5), "{head}");
    }
    let (lx, ly, px) = ("400\n1.5\n2.5\n", "400\n1\n2\n", "400\n7.5\n2\n9\n");
    refusal(lx, ly, px, &["lx.csv, line 1", "two ways"]);
    let column = |text: &str| text.lines().map(|line| format!("{line},1\n")).collect::<String>();
    refusal(column(lx), ly, column(px), &["lx.csv, line 1", "two ways"]);
    // No two columns have one name, so equal numbers are a row.
    let (tables, _) = select("5,1.5,5\n1,2,3\n", "1\n2\n", "5,1.5,5\n7,8,9\n").unwrap();
    assert_eq!((tables[0].n_rows(), tables[2].n_rows()), (2, 2));
}

/// A pool alone, or one whose first line another file does not have.
#[test]
fn a_first_line_that_is_unlike_all_others_is_a_riddle() {
    let lone = |text: &str| read(Source::from_bytes("px.csv", text), &Expect::Free).map(|(table, _)| table.n_rows());
    for head in ["400,410,420", "1,2,3", "1000.5,1001.5,1002.5", "420,400,455"] {
        let error = lone(&format!("{head}\n.1,.2,.3\n.4,.5,.6\n")).unwrap_err().to_string();
        assert!(error.starts_with("px.csv, line 1: can be read in two ways") && error.contains("names"), "{error}");
    }
    for text in [
        "1,2,3\n4,5,6\n7,8,9\n",
        "1,2,3\n1.5,2.5,3.5\n.5,1.25,4\n",
        ".1,.2,.3\n.5,.25,.125\n.75,.5,.25\n",
        "900,.2\n1.5,.1\n2.5,.3\n",
        "10\n2.5\n3.5\n",
    ] {
        assert_eq!(lone(text).unwrap(), text.lines().count(), "{text}");
    }
    refusal(headless(LX), headless(LY), under("400,410", PX), &["px.csv, line 1", "two ways"]);
    refusal(under("400,410", LX), under("7", LY), headless(PX), &["lx.csv, line 1", "two ways"]);
}

#[test]
fn a_first_row_that_is_spoilt_in_every_cell_is_no_header() {
    for row in ["3.1 mm,4.1 mm", "3.1mm,4.1mm", "-3 mm,+4 mm", ".1x,.2x"] {
        let words = ["line 1, column 1", "begin like numbers", "begin with letters"];
        let error = read(Source::from_bytes("px.csv", format!("{row}\n5,1\n4,2\n")), &Expect::Free).unwrap_err();
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        refusal(headless(LX), headless(LY), under(row, PX), &["px.csv, line 1, column 1"]);
    }
    // Where files both begin with them, they are names.
    same_as_clean(under("400nm,410nm", LX), LY, under("400nm,410nm", PX));
    let (table, _) = read(Source::from_bytes("px.csv", "x1,2nd\n5,1\n4,2\n"), &Expect::Free).unwrap();
    assert_eq!(table.n_rows(), 2);
}

#[test]
fn decimal_commas_with_exponents_or_beside_whole_numbers_are_no_columns() {
    let (lx, px) = ("-2,749e+00\n-4,154e-01\n", "3,685e+00\n1,25E1\n");
    refusal(lx, "6\n1\n", px, &["lx.csv, line 1", "two ways", "decimal commas"]);
    let (tables, _) = select(lx, "6,5;1\n1,25;2\n", px).unwrap();
    assert_eq!(tables[0].numbers().unwrap()[[1, 0]], -0.4154);
    refusal("3,123,87399\n4,5,6\n", "0\n1,61\n", "1,2,3\n", &["lx.csv, line 1", "two ways", "as ly.csv has them"]);
    // A blank behind the comma, a point or names say that it separates.
    for (lx, px) in [("3, 1, 8\n4, 5, 6\n", "1, 2, 3\n"), ("a,b,c\n3,1,8\n4,5,6\n", "a,b,c\n1,2,3\n")] {
        let (tables, _) = select(lx, "0\n1,61\n", px).unwrap();
        assert_eq!(tables[0].n_columns(), 3, "{lx}");
    }
}

#[test]
fn decimal_commas_of_columns_that_may_hold_words_count_where_no_other_tells() {
    let names = ["id", "y", "z"].map(str::to_owned).to_vec();
    let words = ["y", "z"].map(str::to_owned);
    let expect = Expect::Named { sets: &[names], words: &words, bare: None };
    let open = |text: &str| read(Source::from_bytes("t.csv", text), &expect).unwrap().0;
    for (text, due) in [
        ("id;y;z\n1;1,5;2,5\n", [1.5, 2.5]),
        ("id y z\n1 1,5 2\n2 steel 3\n", [1.5, 2.0]),
        ("id;y;z\n1;1,5;1,500\n", [1.5, 1.5]),
        ("id;y;z\n1;1.5;2\n", [1.5, 2.0]),
        ("id,y,z\n1,1.5,2.5\n", [1.5, 2.5]),
    ] {
        let table = open(text);
        assert_eq!([1, 2].map(|column| table.number(0, column).unwrap()), due, "{text}");
    }
    // Also far below rows that hold nothing yet, or whole numbers.
    let empty: String = (1..400).map(|id| format!("{id};;\n")).collect();
    let table = open(&format!("id;y;z\n{empty}400;1,5;2\n"));
    assert_eq!(table.number(399, 1).unwrap(), 1.5);
    let whole: String = (1..400).map(|id| format!("{id};7\n")).collect();
    let free =
        |last: &str| read(Source::from_bytes("t.csv", format!("a;b\n{whole}{last}\n")), &Expect::Free).unwrap().0;
    assert_eq!(free("1;1,5").number(399, 1).unwrap(), 1.5);
    assert_eq!(free("1;1.5").number(399, 1).unwrap(), 1.5);
    // A point speaks against it, and what may stand between thousands for nothing.
    for text in ["id;y;z\n1;1,5;2.5\n", "id;y;z\n1;1,500;2\n"] {
        assert!(open(text).number(0, 1).unwrap_err().to_string().contains("has a comma"), "{text}");
    }
}

#[test]
fn columns_that_nothing_asks_for_do_not_say_how_numbers_are_written() {
    let names = ["a", "b", "y"].map(str::to_owned).to_vec();
    let expect = Expect::Named { sets: &[names], words: &[], bare: None };
    let open = |text: &str| read(Source::from_bytes("t.csv", text), &expect);
    for note in ["x", "1,5"] {
        let error = open(&format!("b;note;a;y\n13;x;1;4,853\n3;{note};19;9,625\n")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("as 4.853, or as 4853"), "{note}: {error}");
    }
    let (table, _) = open("b;note;a;y\n13;x;1;4,5\n3;1,500;19;9,625\n").unwrap();
    assert_eq!(table.number(1, 3).unwrap(), 9.625);
}

#[test]
fn the_index_of_pandas_is_left_out() {
    for name in ["", "Unnamed: 0"] {
        let notes = same_as_clean(indexed(LX, name), indexed(LY, name), indexed(PX, name));
        assert!(notes.len() == 3 && notes[0].contains("running number"), "{notes:?}");
    }
    // Under a name, or under none at all, it is taken like the others, and said.
    for (lx, ly, px) in [
        (indexed(LX, "id"), indexed(LY, "id"), indexed(PX, "id")),
        (headless(&indexed(LX, "")), headless(&indexed(LY, "")), headless(&indexed(PX, ""))),
    ] {
        let (tables, notes) = select(lx, ly, px).unwrap();
        let said = notes.iter().filter(|note| note.to_string().contains("if it is an index")).count();
        assert_eq!((tables[0].n_columns(), said), (3, 3));
    }
    let shuffled = ",a,b\n5,6.5,2.75\n0,0.5,0.25\n3,8.25,9.5\n";
    refusal(shuffled, LY, PX, &["lx.csv, line 1", "column 1 has no name", "index=False"]);
    // An index of several columns (of pandas, a MultiIndex) would be an input of another name, or of none.
    for (first, second) in [("", ""), ("Unnamed: 0", "Unnamed: 1"), ("", "Unnamed: 1")] {
        let both = |text: &str| indexed(&indexed(text, second), first);
        refusal(both(LX), LY, both(PX), &["lx.csv, line 1", "column 2 has no name", "index=False"]);
        refusal(LX, both(LY), PX, &["ly.csv, line 1", "column 2 has no name"]);
    }
    let shuffled = ",,a,b\n5,0,6.5,2.75\n0,1,0.5,0.25\n3,2,8.25,9.5\n";
    refusal(shuffled, LY, PX, &["lx.csv, line 1", "column 1 has no name"]);
    refusal("a,Unnamed: 1,b\n1,2,3\n", LY, PX, &["lx.csv, line 1", "column 2 has no name"]);
    refusal(indexed(&indexed(LX, ""), "id"), LY, PX, &["lx.csv, line 1", "column 2 has no name"]);
    // Where columns are found by their names, others may stand beside them.
    let names = ["a", "b"].map(str::to_owned).to_vec();
    let expect = Expect::Named { sets: &[names], words: &[], bare: None };
    let (table, notes) = read(Source::from_bytes("t", indexed(&indexed(LX, ""), "")), &expect).unwrap();
    let place = table.find(&["a"]).unwrap()[0];
    assert_eq!((table.number(2, place).unwrap(), notes.len()), (8.25, 1));
}

#[test]
fn a_label_too_few_is_counted_and_shifts_nothing() {
    let counts = ["lx.csv has 3 rows", "ly.csv has 2 rows", "each point needs a row"];
    for name in ["y", "thrust", "y1", "T [K]", "p_2.5"] {
        refusal(LX, format!("{name}\n-0.5\n0.75\n"), PX, &counts);
    }
    // A number with a slip of the keyboard is a row where the files fit with it as one.
    for name in ["O.5", "l2", "-"] {
        refusal(LX, format!("{name}\n-0.5\n0.75\n"), PX, &["ly.csv, line 1, column 1"]);
    }
    // What pandas calls a column without a name.
    refusal(LX, "0\n-0.5\n0.75\n", PX, &["ly.csv, line 1", "0 as a header of numbers", "line of names"]);
    same_as_clean(LX, under("0", LY), PX);
    let (tables, _) = select(LX, "0.0\n-0.5\n0.75\n", PX).unwrap();
    assert_eq!(tables[1].number(0, 0).unwrap(), 0.0);
    for labels in ["0\n1\n0\n", "0\n-0.5\n2\n"] {
        assert_eq!(select(LX, labels, PX).unwrap().0[1].n_rows(), 3, "{labels}");
    }
    assert_eq!(select(headless(LX), "0\n-0.5\n0.75\n", headless(PX)).unwrap().0[1].n_rows(), 3);
}

#[test]
fn every_dialect_is_read() {
    for separator in [";", "\t", " ", "   ", " ; ", ", "] {
        for comma in [false, true] {
            let decimal = |text: &str| if comma { text.replace('.', ",") } else { text.to_owned() };
            let write = |text: &str| decimal(&text.replace(',', "\u{1}")).replace('\u{1}', separator);
            if separator == ", " && comma {
                continue;
            }
            for head in [|text: &str| text.to_owned(), |text: &str| headless(text)] {
                let (lx, ly, px) = (write(&head(LX)), write(&head(LY)), write(&head(PX)));
                let notes = same_as_clean(&lx, if head(LY) == LY { &ly } else { LY }, &px);
                assert!(separator == ", " || notes[0].contains("between cells"), "{separator:?} {notes:?}");
            }
        }
    }
    same_as_clean(format!("sep=;\n{}", LX.replace(',', ";")), LY, PX);
    same_as_clean(format!("# {LX}"), LY, format!("# {}", PX.replace(',', " ")));
}

#[test]
fn two_readings_are_refused_with_both() {
    refusal("x;z\n1,500;2,250\n", "y\n1\n", "x;z\n1,5;2,5\n", &["lx.csv, line 2", "`1,500` as 1.500", "as 1500"]);
    refusal("1,5\n2,7\n", "1\n2\n", "3,5\n", &["lx.csv, line 1", "two ways", "decimal commas"]);
    // The other files show how decimals are written.
    let comma = |text: &str| headless(text).replace(',', ";").replace('.', ",");
    same_as_clean(comma(LX), comma(LY), comma(PX));
    select("1,5\n2,7\n", "1.5\n2\n", "3,5\n").unwrap();
    let names = vec!["x".to_owned()];
    let expect = Expect::Named { sets: &[names], words: &[], bare: None };
    let error = read(Source::from_bytes("t", "x\n1,500\n2,750\n"), &expect).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("as 1500"), "{error}");
    // What no more than two files disagree on is told of the cell.
    refusal("a;b\n1,5;2.5\n2,5;3\n", "y\n1\n2\n", "a;b\n1;2\n", &["lx.csv, line 2, column b", "has a point"]);
}

#[test]
fn marks_quotes_and_empty_ends_are_passed_over() {
    let excel = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    same_as_clean(excel(LX), excel(LY), excel(PX));
    let quoted =
        |text: &str| text.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\""))).collect::<String>();
    same_as_clean(quoted(LX), quoted(LY), quoted(PX));
    same_as_clean(format!("{LX}  \n"), format!("{LY}\n  \n\n"), format!("{PX}\n\n"));
    let notes = same_as_clean(format!("{LX},\n,\n"), LY, PX);
    assert!(notes[0].contains("2 lines without content"), "{notes:?}");
    same_as_clean(LX.replace('\n', ",\n"), LY, PX);
    same_as_clean(LX.replace('\n', "\r\r\n"), LY, PX);
    same_as_clean(gzip(LX), gzip(LY), gzip(PX));
    let composed = |text: &str| text.replace('a', "\u{f6}");
    same_as_clean(composed(LX), LY, composed(PX).replace('\u{f6}', "o\u{308}"));
}

#[test]
fn faults_are_located_as_an_editor_shows_them() {
    refusal(LX, "y\n-0.5\n\n0.75\n-1.25\n", PX, &["ly.csv, line 3", "is empty"]);
    refusal(LX, "y\n-0.5\n\"\"\n-1.25\n", PX, &["ly.csv, line 3, column y", "empty"]);
    refusal("a,b\r\n\r\n1,2\r\n3\r\n", LY, PX, &["lx.csv, line 4", "1 cells where the first line has 2"]);
    refusal("a;b\n1;2\n3;x\n", LY, "a;b\n1;2\n", &["lx.csv", "rows"]);
    refusal("a;b\n1;2\n3;x\n", "y\n1\n2\n", "a;b\n1;2\n", &["lx.csv, line 3, column b", "`x` is not a number"]);
    refusal("a,b\n1,2\n3,\"4\n5,6\n", LY, PX, &["lx.csv, line 3", "quotation mark"]);
    refusal(LX.replacen("6.5", &"9".repeat(400), 1), LY, PX, &["line 2, column a", "9…", "beyond the largest number"]);
    refusal(LX, headless(LY), "b,a\n1,2\n", &["lx.csv has a, b", "px.csv has b, a"]);
    refusal(LX, "y\n1\n", PX, &["lx.csv has 3 rows", "ly.csv has 1 rows"]);
    refusal("a,a\n1,2\n3,4\n5,6\n", LY, "a,a\n1,2\n", &["two columns are called `a`"]);
    refusal("", LY, PX, &["lx.csv", "holds nothing"]);
    refusal("a,b\n", LY, PX, &["lx.csv", "no rows"]);
    refusal(
        "a,T [\u{b0}C]\n"
            .replace('\u{b0}', "\u{1}")
            .bytes()
            .map(|b| if b == 1 { 0xb0 } else { b })
            .collect::<Vec<u8>>(),
        LY,
        PX,
        &["lx.csv, line 1", "Latin-1"],
    );
}

#[test]
fn a_table_is_found_by_its_names_in_every_dialect() {
    let names = vec!["speed".to_owned(), "material".into(), "force".into()];
    let words = ["material".to_owned()];
    let open = |text: &str| {
        let expect = Expect::Named { sets: std::slice::from_ref(&names), words: &words, bare: None };
        read(Source::from_bytes("t.csv", text), &expect)
    };
    for text in [
        "speed,material,force\n1.5,steel,3.25\n2.5,a b,4\n",
        "speed;material;force\n1,5;steel;3,25\n2,5;a b;4\n",
        "force\tspeed\tmaterial\tnote\n3.25\t1.5\tsteel\tx, y\n4\t2.5\ta b\t-\n",
        ",speed,material,force\n0,1.5,steel,3.25\n1,2.5,a b,4\n",
        "speed material force\n1,5 steel 3,25\n2.5E0 \"a b\" 4\n".replace("2.5E0", "25D-01").as_str(),
    ] {
        let (table, _) = open(text).unwrap();
        let places = table.find(&names).unwrap();
        let row = |row| {
            (
                table.number(row, places[0]).unwrap(),
                table.cell(row, places[1]).into_owned(),
                table.number(row, places[2]).unwrap(),
            )
        };
        assert_eq!((row(0), row(1)), ((1.5, "steel".into(), 3.25), (2.5, "a b".into(), 4.0)), "{text}");
    }
    for (text, words) in [
        ("1.5,steel,3\n2.5,wood,4\n", vec!["no column `speed`, `material`", "line 1"]),
        ("1,2,3\n4,5,6\n", vec!["line 1", "where names belong"]),
        ("speeed;material;force\n1;steel;2\n", vec!["no column `speed`", "`;` between cells"]),
        ("speed,material,force,force\n1,a,2,3\n", vec!["two columns are called `force`"]),
    ] {
        let error = open(text).unwrap_err().to_string();
        assert!(error.starts_with("t.csv") && words.iter().all(|word| error.contains(word)), "{error}");
    }
}
