//! Points of a problem from a table: in physical values or on the unit box, by their names, in any order and beside
//! others.

use dal_core::{Dimension, Space, Value};
use ndarray::Array2;

use crate::Source;
use crate::dialect::Dialect;
use crate::edge::{Placed, onto_range, value};
use crate::error::{At, FileError, Moves, Note};
use crate::names::places;
use crate::number::{Decimal, NumberFault, number, short};
use crate::table::{Bare, Expect, Table, cells, list, read, wanted};

/// A problem's inputs.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Their names, in order.
    pub names: &'a [String],
    /// The levels of each categorical input; empty for the others.
    pub levels: &'a [Vec<String>],
    /// Their ranges.
    pub space: &'a Space,
}

/// The units of a table of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// The inputs' own.
    Physical,
    /// Columns `x0`, `x1`, … of the unit box [-1, 1].
    UnitBox,
}

/// The points of a table.
#[derive(Debug)]
pub struct Points {
    /// The table that they stand in.
    pub table: Table,
    /// Their units.
    pub units: Units,
    /// The table's columns that name a point, in the order of the inputs or of the unit box.
    pub places: Vec<usize>,
    /// What stands in them: `x0`, `x1`, … or the inputs' names, each fixed input's only where the table has it.
    pub names: Vec<String>,
    /// On the unit box, shape (rows, columns); rows in `outside` hold 0.
    pub x: Array2<f64>,
    /// 0-based rows that are no points of the problem, in order, each with its place and the reason.
    pub outside: Vec<(usize, String)>,
}

/// Reads points. A table without a header is taken as columns of the unit box where their number is right, whatever the
/// inputs are called; any of the inputs that are fixed may be left out.
///
/// # Errors
/// A file that cannot be read, names that are missing or given in both units, a cell that is not even a number.
pub fn points(source: Source, inputs: &Inputs<'_>) -> Result<(Points, Vec<Note>), FileError> {
    let unit = inputs.of_unit_box();
    let bare = Some(Bare { names: &unit, within: (-1.0, 1.0) });
    let (sets, words) = (inputs.sets(), inputs.words());
    // A file of one line is short.
    let text = (source.bytes().len() < 1 << 16).then(|| source.clone());
    let names_one = || text.map_or(Ok(true), |text| names_any(text, &sets));
    let (table, mut notes) = match read(source, &Expect::Named { sets: &sets, words: &words, bare }) {
        Err(FileError::NoRows { file, what: "a header and no rows" }) if !names_one()? => {
            let why = "its only line is no header, because it holds no known name, and no row, because not all of its \
                       cells are numbers";
            return Err(FileError::NoHeader { file, at: At::Line(1), why: why.into(), remedy: wanted(&sets) });
        }
        read => read?,
    };
    if inputs.are_called_as_the_box() {
        // The names alone would be those of the inputs.
        for note in &mut notes {
            if let Note::NoHeader { names: Some(names), .. } = note {
                *names = format!("columns of the unit box, {names}");
            }
        }
    }
    let (points, said) = Points::of_table(table, inputs, &[], |_, _| 0.0)?;
    notes.extend(said);
    Ok((points, notes))
}

/// Reads points beside which columns of one of the sets `beside` stand: the points, and where those columns are. Both
/// are read in one way.
///
/// # Errors
/// What [`points`] refuses; columns that are missing.
pub fn points_beside(
    source: Source,
    inputs: &Inputs<'_>,
    beside: &[Vec<String>],
) -> Result<(Points, Vec<usize>, Vec<Note>), FileError> {
    let with = |set: &Vec<String>| beside.iter().map(|others| [set.as_slice(), others].concat()).collect::<Vec<_>>();
    let sets: Vec<Vec<String>> = inputs.sets().iter().flat_map(with).collect();
    let (table, mut notes) = read(source, &Expect::Named { sets: &sets, words: &inputs.words(), bare: None })?;
    let found = beside.iter().find_map(|others| table.find(others).ok());
    let others = match found {
        Some(others) => others,
        None => table.find(beside.first().map_or(&[][..], Vec::as_slice))?,
    };
    let (points, said) = Points::of_table(table, inputs, &others, |_, _| 0.0)?;
    notes.extend(said);
    Ok((points, others, notes))
}

/// Whether the first line of a text, whatever separates its cells, holds one of these names.
fn names_any(source: Source, sets: &[Vec<String>]) -> Result<bool, FileError> {
    let text = source.text()?;
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(Dialect::ALL.iter().any(|dialect| {
        let header = cells(first, dialect.separator);
        sets.iter().flatten().any(|name| !places(&header, name).is_empty())
    }))
}

impl Inputs<'_> {
    /// The columns of the unit box.
    fn of_unit_box(&self) -> Vec<String> {
        (0..self.space.n_columns()).map(|i| format!("x{i}")).collect()
    }

    /// Whether inputs have the names of all columns of the unit box.
    fn are_called_as_the_box(&self) -> bool {
        let unit = self.of_unit_box();
        !unit.is_empty() && unit.iter().all(|name| self.names.contains(name))
    }

    /// The inputs that are varied.
    fn varied(&self) -> Vec<String> {
        let is_fixed = |index: &usize| matches!(self.space.dimensions()[*index], Dimension::Fixed { .. });
        (0..self.names.len()).filter(|index| !is_fixed(index)).map(|index| self.names[index].clone()).collect()
    }

    /// The sets of columns one of which a table of points has.
    pub(crate) fn sets(&self) -> Vec<Vec<String>> {
        let (unit, varied) = (self.of_unit_box(), self.varied());
        let mut sets = vec![unit, self.names.to_vec()];
        if varied.len() < self.names.len() {
            sets.push(varied);
        }
        sets
    }

    /// The inputs whose cells may be words.
    pub(crate) fn words(&self) -> Vec<String> {
        let has_levels = |(_, levels): &(&String, &Vec<String>)| !levels.is_empty();
        self.names.iter().zip(self.levels).filter(has_levels).map(|(name, _)| name.clone()).collect()
    }
}

/// The columns of a table that name its points, with their names and units.
fn columns(table: &Table, inputs: &Inputs<'_>) -> Result<(Units, Vec<usize>, Vec<String>), FileError> {
    let unit = inputs.of_unit_box();
    if table.is_bare() {
        return table.find(&unit).map(|places| (Units::UnitBox, places, unit));
    }
    let physical = physical(table, inputs);
    if inputs.are_called_as_the_box() {
        return physical.map(|(places, names)| (Units::Physical, places, names));
    }
    match (table.find(&unit), physical) {
        (Ok(places), Err(_)) => Ok((Units::UnitBox, places, unit)),
        (Ok(_), Ok(_)) => {
            let wanted = format!("{} on the unit box and {} in physical values", list(&unit), list(inputs.names));
            Err(FileError::NoHeader {
                file: table.file().to_owned(),
                at: table.at(0),
                why: format!("its columns name each point twice, as {wanted}"),
                remedy: "leave one out".into(),
            })
        }
        (Err(_), Ok((places, names))) => Ok((Units::Physical, places, names)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The columns that hold physical values, with their names. Those of fixed inputs may be missing one by one; one that
/// is there is looked at.
fn physical(table: &Table, inputs: &Inputs<'_>) -> Result<(Vec<usize>, Vec<String>), FileError> {
    let varied = inputs.varied();
    if varied.is_empty() || table.find(&varied).is_err() {
        return table.find(inputs.names).map(|places| (places, inputs.names.to_vec()));
    }
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for name in inputs.names {
        match table.find(&[name]) {
            Ok(places) => {
                found.extend(places);
                names.push(name.clone());
            }
            Err(error @ FileError::TwoColumns { .. }) => return Err(error),
            Err(_) => {}
        }
    }
    Ok((found, names))
}

/// A point and how far each of its values was moved that was; or why the row is none.
type Row = Result<(Vec<f64>, Vec<f64>), String>;

impl Points {
    /// The points of a table that is read; `others` are columns that mean something beside them. `rounding` says by how
    /// much the value in a row and column may lie beside what it stands for: a value that far beyond a bound is on it.
    ///
    /// # Errors
    /// What [`points`] refuses.
    pub(crate) fn of_table(
        table: Table,
        inputs: &Inputs<'_>,
        others: &[usize],
        rounding: impl Fn(usize, usize) -> f64,
    ) -> Result<(Self, Vec<Note>), FileError> {
        let (units, places, names) = columns(&table, inputs)?;
        let mut notes: Vec<Note> = table.ignored(&[&places, others].concat()).into_iter().collect();
        let x = Array2::zeros((table.n_rows(), inputs.space.n_columns()));
        let mut points = Self { x, table, units, places, names, outside: Vec::new() };
        let mut moved = Moves::default();
        for row in 0..points.table.n_rows() {
            match points.point(row, inputs, &rounding)? {
                Ok((point, moves)) => {
                    points.x.row_mut(row).iter_mut().zip(point).for_each(|(to, v)| *to = v);
                    moves.into_iter().for_each(|by| moved.onto_bound(by));
                }
                Err(reason) => points.outside.push((row, reason)),
            }
        }
        moved.say(points.table.file(), &mut notes);
        Ok((points, notes))
    }

    fn point(
        &self,
        row: usize,
        inputs: &Inputs<'_>,
        rounding: &impl Fn(usize, usize) -> f64,
    ) -> Result<Row, FileError> {
        let mut moves = Vec::new();
        let mut outside = None;
        let mut refuse = |column: usize, cell: &str, reason: String| {
            let place = format!("{}, column {}", self.table.at(row), self.table.column_name(column));
            outside.get_or_insert(format!("{place}: `{}` {reason}", crate::number::excerpt(cell)));
        };
        let decimal = self.table.dialect().decimal;
        let mut unit = Vec::with_capacity(self.places.len());
        let mut values = Vec::with_capacity(inputs.names.len());
        let mut inputs_left = 0..inputs.names.len();
        for (at, &column) in self.places.iter().enumerate() {
            let cell = self.table.cell(row, column);
            match self.units {
                Units::UnitBox => {
                    let placed = match number(&cell, decimal) {
                        Ok(v) => {
                            let near = |bound: f64| (v - bound).abs() <= rounding(row, column);
                            let v = [-1.0, 1.0].into_iter().find(|&bound| v.abs() > 1.0 && near(bound)).unwrap_or(v);
                            onto_range(v, -1.0, 1.0, dal_core::Scale::Linear)
                        }
                        Err(NumberFault::NotFinite) => None,
                        Err(fault) => return Err(self.table.cell_error(row, column, fault.to_string())),
                    };
                    match placed {
                        Some(placed) => {
                            unit.push(placed.value);
                            moves.extend(placed.moved);
                        }
                        None => refuse(column, &cell, "lies outside [-1, 1]".into()),
                    }
                }
                Units::Physical => {
                    let index = loop {
                        match inputs_left.next() {
                            Some(index) if inputs.names[index] == self.names[at] => break index,
                            Some(index) => values.extend(fixed(&inputs.space.dimensions()[index])),
                            None => break at,
                        }
                    };
                    let dimension = &inputs.space.dimensions()[index];
                    let slack = rounding(row, column);
                    let placed = value(dimension, &inputs.levels[index], &cell, decimal).or_else(|fault| {
                        let bound = if fault.is_of_row() { bound_near(dimension, &cell, decimal, slack) } else { None };
                        bound.map(|bound| Placed { value: Value::Number(bound), moved: None }).ok_or(fault)
                    });
                    match placed {
                        Ok(placed) => {
                            values.push(placed.value);
                            moves.extend(placed.moved);
                        }
                        Err(fault) if fault.is_of_row() => refuse(column, &cell, fault.to_string()),
                        Err(fault) => return Err(self.table.cell_error(row, column, fault.to_string())),
                    }
                }
            }
        }
        values.extend(inputs_left.filter_map(|index| fixed(&inputs.space.dimensions()[index])));
        if let Some(reason) = outside {
            return Ok(Err(reason));
        }
        if self.units == Units::UnitBox
            && let Some((first, other)) = tied(inputs.space, &unit)
        {
            let [first, other] = [first, other].map(|at| self.table.column_name(self.places[at]));
            let place = self.table.at(row);
            let why =
                "are the highest of their input's alike, so that it has two levels: put +1 at one and -1 elsewhere";
            return Ok(Err(format!("{place}: columns {first} and {other} {why}")));
        }
        if self.units == Units::Physical {
            unit = match inputs.space.to_unit(&values) {
                Ok(point) => point,
                Err(error) => return Ok(Err(format!("{}: {error}", self.table.at(row)))),
            };
        }
        Ok(Ok((unit, moves)))
    }
}

/// The bound that a value lies beside by no more than this.
fn bound_near(dimension: &Dimension, cell: &str, decimal: Decimal, slack: f64) -> Option<f64> {
    let bounds = match *dimension {
        Dimension::Continuous { low, high, .. } => [low, high],
        Dimension::Fixed { value } => [value, value],
        Dimension::Integer { .. } | Dimension::Categorical { .. } => return None,
    };
    let v = number(cell, decimal).ok()?;
    bounds.into_iter().find(|bound| (v - bound).abs() <= slack)
}

/// Two columns of the unit box that say of one input that it has different levels, because they are equally high.
fn tied(space: &Space, unit: &[f64]) -> Option<(usize, usize)> {
    let mut begin = 0;
    for dimension in space.dimensions() {
        let columns = begin..begin + dimension.n_columns();
        begin = columns.end;
        if let Dimension::Categorical { .. } = dimension {
            let highest = unit[columns.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut at = columns.filter(|&column| unit[column] == highest);
            if let (Some(first), Some(other)) = (at.next(), at.next()) {
                return Some((first, other));
            }
        }
    }
    None
}

/// The value of an input that is never varied.
fn fixed(dimension: &Dimension) -> Option<Value> {
    match *dimension {
        Dimension::Fixed { value } => Some(Value::Number(value)),
        _ => None,
    }
}

/// A physical value as text that [`value`] reads back.
pub fn shown(dimension: &Dimension, levels: &[String], value: &Value) -> String {
    match (dimension, value) {
        (Dimension::Categorical { .. }, Value::Level(level)) => levels.get(*level).cloned().unwrap_or_default(),
        (_, Value::Number(v)) => short(*v),
        (_, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{Out, record};
    use dal_core::{Scale, SeedPath};

    fn problem() -> (Vec<String>, Vec<Vec<String>>, Space) {
        let names = ["speed", "blades", "material"].map(str::to_owned).to_vec();
        let levels = vec![vec![], vec![], ["steel", "-2", "a; \"b\", c"].map(str::to_owned).to_vec()];
        let space = Space::new(vec![
            Dimension::Continuous { low: 0.5, high: 80.0, scale: Scale::Log },
            Dimension::Integer { low: 2, high: 6, scale: Scale::Linear },
            Dimension::Categorical { n_levels: 3 },
        ]);
        (names, levels, space.unwrap())
    }

    fn open(text: &str) -> Result<(Points, Vec<Note>), FileError> {
        let (names, levels, space) = problem();
        points(Source::from_bytes("p.csv", text), &Inputs { names: &names, levels: &levels, space: &space })
    }

    #[test]
    fn points_survive_the_way_through_csv() {
        let (names, levels, space) = problem();
        let x = space.sample(100, &SeedPath::root(2));
        let mut text = record(names.iter().map(|name| Out::Text(name)));
        let mut due = Vec::new();
        for point in x.outer_iter() {
            let values = space.to_physical(point).unwrap();
            let cells: Vec<String> = (0..3).map(|i| shown(&space.dimensions()[i], &levels[i], &values[i])).collect();
            text += &record(cells.iter().map(|cell| Out::Text(cell)));
            due.extend(space.to_unit(&values).unwrap());
        }
        let (points, notes) = open(&text).unwrap();
        assert_eq!((points.units, points.outside.len(), notes), (Units::Physical, 0, vec![]));
        assert_eq!(points.x, Array2::from_shape_vec((100, 5), due).unwrap());
    }

    #[test]
    fn rows_outside_fail_alone_and_rounding_is_moved() {
        let (points, notes) =
            open("material,blades,speed,note\nsteel,3.0,80.00000000000001,x\nbrass,3,1,\nsteel,7,1,\nsteel,2,nan,\n")
                .unwrap();
        let rows: Vec<usize> = points.outside.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [1, 2, 3]);
        assert_eq!(points.x[[0, 0]], 1.0);
        assert!(
            points.outside[0].1.contains("line 3, column material: `brass` is none of the levels"),
            "{:?}",
            points.outside
        );
        let said: Vec<String> = notes.iter().map(Note::to_string).collect();
        assert!(said[0].contains("ignored columns: note") && said[1].contains("1 value beyond a bound"), "{said:?}");
    }

    #[test]
    fn inputs_that_are_fixed_may_be_left_out() {
        let names = ["load", "a", "b"].map(str::to_owned);
        let number = Dimension::Continuous { low: 0.0, high: 4.0, scale: Scale::Linear };
        let fixed = Dimension::Fixed { value: 7.0 };
        let space = Space::new(vec![fixed.clone(), number, fixed]).unwrap();
        let inputs = Inputs { names: &names, levels: &[vec![], vec![], vec![]], space: &space };
        for (text, n_outside) in [
            ("a\n4\n", 0),
            ("b,a,load\n7,4,7.0\n", 0),
            ("b,a,load\n7,4,6\n", 1),
            ("x0\n1\n", 0),
            // One that is there is looked at, whether the other is there or not.
            ("a,b\n4,7\n", 0),
            ("a,b\n4,6\n", 1),
            ("load,a\n7,4\n", 0),
            ("load,a\n8,4\n", 1),
        ] {
            let (points, _) = points(Source::from_bytes("p.csv", text), &inputs).unwrap();
            assert_eq!((points.outside.len(), points.x[[0, 0]]), (n_outside, 1.0 - n_outside as f64), "{text}");
        }
        let error = points(Source::from_bytes("p.csv", "a,b,b\n4,7,7\n"), &inputs).unwrap_err().to_string();
        assert!(error.contains("two columns are called `b`"), "{error}");
    }

    #[test]
    fn names_of_the_box_are_those_of_inputs_that_have_them_and_a_file_without_names_is_on_the_box() {
        let names = ["x0", "x1", "x2"].map(str::to_owned);
        let number = Dimension::Continuous { low: 0.0, high: 4.0, scale: Scale::Linear };
        let fixed = Dimension::Fixed { value: 7.0 };
        let all = Space::new(vec![number.clone(); 3]).unwrap();
        let two = Space::new(vec![number.clone(), number.clone(), fixed.clone()]).unwrap();
        let one = Space::new(vec![fixed.clone(), number, fixed]).unwrap();
        let levels = [const { Vec::new() }; 3];
        let open = |space: &Space, source: Source| {
            points(source, &Inputs { names: &names, levels: &levels, space }).map(|(points, notes)| {
                let said: Vec<String> = notes.iter().map(Note::to_string).collect();
                (points.units, points.x.row(0).to_vec(), points.outside.len(), said.join("; "))
            })
        };
        for (space, text, units, x) in [
            (&all, "x0,x1,x2\n1,1,0\n", Units::Physical, &[-0.5, -0.5, -1.0][..]),
            (&all, "0.5,1,0\n", Units::UnitBox, &[0.5, 1.0, 0.0]),
            (&two, "x0,x1,x2\n1,1,7\n", Units::Physical, &[-0.5, -0.5]),
            (&two, "x0,x1\n1,0\n", Units::Physical, &[-0.5, -1.0]),
            (&two, "0.5,1\n", Units::UnitBox, &[0.5, 1.0]),
            (&one, "x1\n1\n", Units::Physical, &[-0.5]),
        ] {
            let (found, point, n_outside, said) = open(space, Source::from_bytes("p.csv", text)).unwrap();
            assert_eq!((found, &point[..], n_outside), (units, x, 0), "{text}");
            assert_eq!(said.contains("taken as columns of the unit box, x0,x1"), units == Units::UnitBox, "{said}");
        }
        let error = open(&one, Source::from_bytes("p.csv", "x0\n7\n")).unwrap_err().to_string();
        assert!(error.contains("no column `x1`"), "{error}");
        let mut npy = Vec::new();
        ndarray_npy::WriteNpyExt::write_npy(&Array2::from_elem((2, 3), 0.5), &mut npy).unwrap();
        let (found, point, ..) = open(&all, Source::from_bytes("p.npy", npy)).unwrap();
        assert_eq!((found, &point[..]), (Units::UnitBox, &[0.5; 3][..]));
    }

    #[test]
    fn points_and_what_stands_beside_them_are_read_in_one_way() {
        let (names, levels, space) = problem();
        let inputs = Inputs { names: &names, levels: &levels, space: &space };
        let thrust = [vec!["thrust".to_owned()], vec!["y0".to_owned()]];
        let open = |text: &str| points_beside(Source::from_bytes("p.csv", text), &inputs, &thrust);
        let (points, beside, notes) = open("speed;note;blades;material;thrust\n1,5;x, y;2;steel;3,5\n").unwrap();
        assert_eq!((points.table.number(0, beside[0]).unwrap(), points.outside.len()), (3.5, 0));
        assert!(notes.iter().any(|note| note.to_string().ends_with("ignored columns: note")), "{notes:?}");
        assert_eq!(open("y0,x0,x1,x2,x3,x4\n7,0,0,1,-1,-1\n").unwrap().1, [0]);
        // The labels alone could be read, the whole cannot.
        let mixed = "speed;blades;material;thrust\n1,5;2;steel;3.500\n2,5;3;steel;4.250\n";
        let error = open(mixed).unwrap_err().to_string();
        assert!(error.contains("line 2, column speed: `1,5` has a comma"), "{error}");
        assert!(open("speed,blades,material\n1,2,steel\n").unwrap_err().to_string().contains("no column `thrust`"));
    }

    #[test]
    fn the_unit_box_is_known_by_name_or_by_its_width() {
        let (points, _) = open("x4,x3,x2,x1,x0\n1,-1,-1,0.5,0.25\n").unwrap();
        assert_eq!((points.units, points.x.row(0).to_vec()), (Units::UnitBox, vec![0.25, 0.5, -1.0, -1.0, 1.0]));
        let (points, notes) = open("0.25,0.5,-1,-1,1\n0.25,0.5,-1,-1,1.5\n").unwrap();
        assert_eq!((points.table.n_rows(), points.outside.len()), (2, 1));
        assert!(notes[0].to_string().contains("taken as x0,x1,x2,x3,x4"), "{notes:?}");
        // Levels that are equally high are no choice between them, whether they are at +1 or all at 0.
        let (points, _) = open("x0,x1,x2,x3,x4\n0.25,0.5,0.1,0.3,-1\n0.25,0.5,1,1,-1\n0,0,0,0,0\n").unwrap();
        let rows: Vec<usize> = points.outside.iter().map(|(row, _)| *row).collect();
        assert!(rows == [1, 2] && points.outside[0].1.contains("line 3: columns x2 and x3"), "{:?}", points.outside);
        for (text, words) in [
            ("0,1,2,3,4\n0.5,0.5,-1,-1,1\n", vec!["line 1", "two ways", "speed,blades,material"]),
            ("400,410,420,430,440\n0.5,0.5,-1,-1,1\n", vec!["line 1", "400 is outside [-1, 1]"]),
            ("NA,0.5,-1,-1,1\n0.25,0.5,-1,-1,1\n", vec!["line 1, column 1", "`NA`"]),
            ("0.1,0.2\n0.3,0.4\n", vec!["no header and 2 columns"]),
            ("1.5,2,a\n", vec!["line 1", "no known name", "speed,blades,material"]),
            ("speed,blades,material\n", vec!["holds a header and no rows"]),
            ("speed,blade,material\n1,2,steel\n", vec!["no column `blades`", "speed, blade, material"]),
            (
                "speed,blades,material\n1,2,steel\nfast,2,steel\n",
                vec!["line 3, column speed", "`fast` is not a number"],
            ),
            ("speed,speed,blades,material\n1,1,2,steel\n", vec!["two columns are called `speed`"]),
            ("x0,x1,x2,x3,x4,speed,blades,material\n0,0,0,0,0,1,2,steel\n", vec!["twice", "leave one out"]),
        ] {
            let error = open(text).unwrap_err().to_string();
            assert!(error.starts_with("p.csv") && words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
