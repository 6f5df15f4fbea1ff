//! Several tables of one command, which say of each other whether a first line is a header.

use std::collections::HashSet;

use super::raw::{Head, Raw, begin_like_numbers, counts_up, may_be_spoilt};
use super::standing::{all_whole, distinct, stands_out};
use super::{Expect, Table, shortened};
use crate::error::{FileError, Note};
use crate::names::canonical;
use crate::number::{Cell, Decimal, cell};
use crate::source::Source;

/// A file among those of a command.
#[derive(Debug)]
pub struct Member<'a> {
    /// The file.
    pub source: Source,
    /// What is known of it.
    pub expect: Expect<'a>,
    /// An earlier file whose columns it has.
    pub columns_like: Option<usize>,
    /// An earlier file that it has a row for each row of.
    pub rows_like: Option<usize>,
}

/// Reads files that belong together. A first line of numbers is a header where files of the same columns both begin
/// with it, or where only so the rows of files match.
///
/// # Errors
/// Beside what [`read`](crate::read) refuses: first lines that may be either, other columns or another number of rows
/// than the file that they belong to.
pub fn read_together(members: Vec<Member<'_>>) -> Result<(Vec<Table>, Vec<Note>), FileError> {
    let mut files = Vec::with_capacity(members.len());
    for Member { source, expect, columns_like, rows_like } in members {
        files.push(One { raw: Raw::read(source, &expect)?, expect, columns_like, rows_like });
    }
    let files = decide_decimals(files)?;
    let heads = resolve(&files)?;
    let (mut tables, mut notes) = (Vec::new(), Vec::new());
    for (file, head) in files.into_iter().zip(heads) {
        let (table, said) = file.raw.table(head, &file.expect)?;
        notes.extend(said);
        tables.push(table);
    }
    Ok((tables, notes))
}

struct One<'a> {
    raw: Raw,
    expect: Expect<'a>,
    columns_like: Option<usize>,
    rows_like: Option<usize>,
}

/// Pairs of whole numbers may be numbers with decimal commas: another file tells, which shows how decimals are written.
/// Of more whole numbers in a line without a header no file tells which pairs are one number.
fn decide_decimals<'a>(files: Vec<One<'a>>) -> Result<Vec<One<'a>>, FileError> {
    let points = files.iter().any(|file| file.raw.shows_points());
    let with_commas = files.iter().find(|file| file.raw.dialect().decimal == Decimal::Comma);
    let commas = with_commas.is_some();
    if let Some(with_commas) = with_commas
        && let Some(file) = files.iter().find(|file| matches!(file.expect, Expect::Free) && file.raw.only_whole_cells())
    {
        return Err(file.raw.doubtful_beside(with_commas.raw.file()));
    }
    let decide = |file: One<'a>| match file.raw.doubt() {
        Some(other) if points == commas => Err(file.raw.doubtful(other)),
        Some(_) if commas => {
            let raw = file.raw.doubted(&file.expect)?;
            Ok(One { raw, ..file })
        }
        _ => Ok(file),
    };
    files.into_iter().map(decide).collect()
}

fn resolve(files: &[One<'_>]) -> Result<Vec<Head>, FileError> {
    let mut options = Vec::with_capacity(files.len());
    for file in files {
        let mut heads = file.raw.heads(&file.expect)?;
        heads.retain(|&head| file.raw.n_rows(head) > 0);
        if heads.is_empty() {
            return Err(FileError::NoRows { file: file.raw.file().to_owned(), what: "a header and no rows" });
        }
        options.push(heads);
    }
    let mut fitting: Vec<Vec<Head>> = vec![Vec::new()];
    for heads in &options {
        let longer = |begun: &Vec<Head>| -> Vec<Vec<Head>> {
            heads.iter().map(|&head| begun.iter().copied().chain([head]).collect()).collect()
        };
        fitting = fitting.iter().flat_map(longer).collect();
    }
    fitting.retain(|heads| misfit(files, heads).is_none());
    let by_numbers = |heads: &&Vec<Head>| heads.iter().filter(|&&head| head == Head::Numbers).count();
    let (Some(fewest), Some(most)) = (fitting.iter().min_by_key(by_numbers), fitting.iter().max_by_key(by_numbers))
    else {
        return Err(why_none(files, &options));
    };
    let is_number = |at: usize| most[at] == Head::Numbers && fewest[at] != Head::Numbers;
    let differ: Vec<usize> = (0..files.len()).filter(|&at| is_number(at)).collect();
    let first = |at: usize| files[at].raw.first();
    let chosen = if differ.is_empty() {
        fewest
    } else if differ.iter().all(|&at| counts_up(&first(at))) && differ.iter().any(|&at| first(at).len() > 1) {
        most
    } else if let Some(&at) = differ.iter().find(|&&at| has_partner(files, at) && !is_shared_row(files, at)) {
        return Err(files[at].raw.ambiguous_head());
    } else {
        fewest
    };
    for (at, head) in chosen.iter().enumerate() {
        let cells = first(at);
        let open = *head == Head::Row && options[at].len() > 1;
        if open && counts_up(&cells) && (cells.len() > 1 || files.len() == 1) {
            return Err(files[at].raw.ambiguous_head());
        }
        // What pandas writes over a column without a name: as a row it would shift all that follow by one. A single
        // number below says too little.
        let below_it = || files[at].raw.below();
        let is_lone_zero =
            open && cells == ["0"] && below_it().len() > 1 && !below_it().iter().any(|row| all_whole(row));
        if is_lone_zero && files[at].rows_like.is_some_and(|other| chosen[other] != Head::Row) {
            return Err(files[at].raw.ambiguous_head());
        }
        if open && !is_counted(files, &options, at) && stands_out(&files[at].raw.values(&cells), || below(files, at)) {
            return Err(files[at].raw.ambiguous_head());
        }
    }
    Ok(chosen.clone())
}

fn has_partner(files: &[One<'_>], at: usize) -> bool {
    files[at].columns_like.is_some() || files.iter().any(|file| file.columns_like == Some(at))
}

/// The files whose columns this one shares.
fn partners<'a, 'b>(files: &'b [One<'a>], at: usize) -> impl Iterator<Item = &'b One<'a>> {
    let is_partner =
        move |&other: &usize| files[at].columns_like == Some(other) || files[other].columns_like == Some(at);
    (0..files.len()).filter(is_partner).map(|other| &files[other])
}

/// Whether the first line with which this file and its partner begin is a point that both hold, for certain: not all of
/// its values differ, as names do; or they are neither whole nor rising, and the files share other rows, too.
fn is_shared_row(files: &[One<'_>], at: usize) -> bool {
    let cells = files[at].raw.first();
    let values: Vec<f64> = files[at].raw.values(&cells);
    let rising = values.len() > 1 && values.windows(2).all(|pair| pair[0] < pair[1]);
    let bits = |row: &Vec<f64>| -> Vec<u64> { row.iter().map(|v| v.to_bits()).collect() };
    let shares = || {
        let own = files[at].raw.below();
        partners(files, at).any(|other| {
            let others: HashSet<Vec<u64>> = other.raw.below().iter().map(bits).collect();
            own.iter().any(|row| others.contains(&bits(row)))
        })
    };
    !distinct(&values) || (!all_whole(&values) && !rising && shares())
}

/// Whether the rows of a file whose first line is no riddle say how many this one has, or one that begins like it.
fn is_counted(files: &[One<'_>], options: &[Vec<Head>], at: usize) -> bool {
    let first = |at: usize| files[at].raw.first();
    let by_rows =
        |at: usize| (0..files.len()).any(|other| files[other].rows_like == Some(at) && options[other].len() == 1);
    let alike = files[at].columns_like.filter(|&other| first(other) == first(at));
    files[at].rows_like.is_some() || by_rows(at) || alike.is_some_and(by_rows)
}

/// The numbers below the first line of a file, and those of its partners.
fn below(files: &[One<'_>], at: usize) -> Vec<Vec<f64>> {
    let mut rows = files[at].raw.below();
    rows.extend(partners(files, at).flat_map(|other| other.raw.below()));
    rows
}

/// Why files do not fit each other under these readings of their first lines.
enum Misfit {
    Columns(usize, usize),
    Names(usize, usize),
    Rows(usize, usize),
    /// This file's first line is not backed by the other's.
    First(usize),
}

fn misfit(files: &[One<'_>], heads: &[Head]) -> Option<Misfit> {
    let mut backed = vec![None; files.len()];
    for (at, file) in files.iter().enumerate() {
        if let Some(other) = file.columns_like {
            let (raw, like) = (&file.raw, &files[other].raw);
            let named = matches!((file.expect, files[other].expect), (Expect::Named { .. }, Expect::Named { .. }));
            if !named {
                if raw.n_columns(heads[at]) != like.n_columns(heads[other]) {
                    return Some(Misfit::Columns(other, at));
                }
                let equal = || {
                    let both = raw.first().into_iter().zip(like.first());
                    both.into_iter().all(|(a, b)| canonical(&a) == canonical(&b))
                };
                match (heads[other], heads[at]) {
                    (Head::Row, Head::Row) => {}
                    (Head::Row, head) | (head, Head::Row) => {
                        let headed = if heads[at] == Head::Row { other } else { at };
                        // One cell of text may be a spoilt number; several are hardly all spoilt.
                        if head == Head::Numbers || raw.n_columns(heads[at]) == 1 {
                            return Some(Misfit::First(headed));
                        }
                    }
                    _ if !equal() => return Some(Misfit::Names(other, at)),
                    _ => {
                        backed[at] = Some(true);
                        backed[other] = Some(true);
                    }
                }
            }
        }
        if let Some(other) = file.rows_like
            && file.raw.n_rows(heads[at]) != files[other].raw.n_rows(heads[other])
        {
            return Some(Misfit::Rows(other, at));
        }
    }
    for (at, file) in files.iter().enumerate() {
        let unsure = heads[at] == Head::Numbers && backed[at].is_none() && matches!(file.expect, Expect::Free);
        let cells = file.raw.first();
        // Without a file of the same columns, words and numbers together are a spoilt row.
        if unsure && (has_partner(files, at) || !all_numbers(&cells, file.raw.dialect().decimal)) {
            return Some(Misfit::First(at));
        }
        let decimal = file.raw.dialect().decimal;
        // A cell without a value belongs to a row, however many files begin with it.
        let no_value = |text: &String| matches!(cell(text, decimal), Cell::NoValue | Cell::NotFinite(_));
        if heads[at] == Head::Numbers && cells.iter().any(no_value) {
            return Some(Misfit::First(at));
        }
        // Words among the numbers of one file do not make any number of another file a header.
        if let Some(other) = file.rows_like.filter(|_| unsure && !counts_up(&cells))
            && heads[other] == Head::Numbers
            && !all_numbers(&files[other].raw.first(), files[other].raw.dialect().decimal)
        {
            return Some(Misfit::First(other));
        }
    }
    None
}

fn all_numbers(cells: &[String], decimal: Decimal) -> bool {
    cells.iter().all(|text| matches!(cell(text, decimal), Cell::Number(_)))
}

/// The error that helps most where no readings of the first lines fit each other.
fn why_none(files: &[One<'_>], options: &[Vec<Head>]) -> FileError {
    if let Some(at) = options.iter().position(|heads| heads[..] == [Head::Numbers]) {
        let cells = files[at].raw.first();
        let why = match cells.len() {
            1 => "it begins like a number",
            _ if begin_like_numbers(&cells) => {
                "its cells begin like numbers; if they are names, let them begin with letters"
            }
            _ => "not all of its cells are names",
        };
        return files[at].raw.spoilt(&cells, why);
    }
    let plain: Vec<Head> = options.iter().map(|heads| heads[0]).collect();
    // A lone name may be a spoilt number: then the files fit with it as a row.
    for at in 0..files.len() {
        let mut as_row = plain.clone();
        as_row[at] = Head::Row;
        let is_text = matches!(files[at].expect, Expect::Free) && plain[at] == Head::Names && files[at].raw.is_text();
        let is_spoilt = files[at].raw.first().first().is_some_and(|name| may_be_spoilt(name));
        if is_text && is_spoilt && files[at].raw.n_columns(Head::Row) == 1 && misfit(files, &as_row).is_none() {
            return files[at].raw.spoilt(&files[at].raw.first(), "with it as one the files do not match");
        }
    }
    let has = |at: usize| {
        let (raw, head) = (&files[at].raw, plain[at]);
        if head == Head::Row {
            format!("{} columns without a header", raw.n_columns(head))
        } else {
            shortened(&raw.first())
        }
    };
    let rows = |at: usize| format!("{} rows", files[at].raw.n_rows(plain[at]));
    let disagree = |one: usize, other: usize, has: &dyn Fn(usize) -> String, due: &'static str| FileError::Disagree {
        first: files[one].raw.file().to_owned(),
        first_has: has(one),
        second: files[other].raw.file().to_owned(),
        second_has: has(other),
        due,
    };
    const COLUMNS: &str = "both must hold the same columns in the same order";
    match misfit(files, &plain) {
        Some(Misfit::Columns(one, other) | Misfit::Names(one, other)) => disagree(one, other, &has, COLUMNS),
        Some(Misfit::Rows(one, other)) => disagree(one, other, &rows, "each point needs a row in both"),
        Some(Misfit::First(at)) => files[at].raw.spoilt(&files[at].raw.first(), "the other files have none"),
        None => files[0].raw.ambiguous_head(),
    }
}
