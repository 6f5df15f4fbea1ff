//! A store as tables, and a report's data from such tables.

#[cfg(feature = "parquet")]
mod parquet;
mod points;
mod read;
mod rows;
mod schema;
mod sink;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dal_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::points::{PhysicalPoints, PhysicalProblem, PhysicalValue, PhysicalValues};
pub use self::read::{is_export, read_export};
use self::rows::{CircumstancesRow, DamagedRow, EntryRow, FailureRow, MemberRow, OutputRow, RunRow, SweepRow};
pub use self::schema::{ColumnCard, ColumnKind, EXPORTED, TableCard};
pub use self::sink::ExportFormat;
use self::sink::Sink;
pub(crate) use self::sink::guarded;
use crate::data::{Circumstances, ReportData, RunSummary};
use crate::error::ReportError;
use crate::files::Files;
use crate::load::load;

/// The file that describes the others.
pub(super) const SCHEMA: &str = "schema.json";
const FORMAT: u64 = 1;
pub(super) const NO_PARQUET: &str =
    "this build writes no Parquet; build `dal` with the feature `parquet`, or export CSV";

/// How a store is exported.
#[derive(Default)]
pub struct ExportOptions<'a> {
    /// How tables are written.
    pub format: ExportFormat,
    /// Significant digits of real numbers; `None` for all of them.
    pub digits: Option<usize>,
    /// Names of the tables to write; all of them if empty. What `dal report` reads needs `sweeps`, `circumstances`,
    /// `runs` and `entries`.
    pub tables: BTreeSet<String>,
    /// What points of a problem are in physical values; without, they are given on the unit box.
    pub physical: Option<&'a PhysicalPoints<'a>>,
    /// Tables written before, of runs that this store need not have: they are written together. There are no `queries`
    /// and no `labels` then.
    pub with: Vec<ReportData>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Export {
    /// Every file with its rows.
    pub tables: Vec<ExportedTable>,
    /// What of the store could not be read and was left out, and why.
    pub unreadable: Vec<(String, String)>,
    /// Problems whose points are given on the unit box.
    pub on_box: Vec<String>,
}

/// A table as it is described in `schema.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedTable {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The problem that its rows are of, where there is a file per problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What a row is.
    pub about: String,
    /// Rows, without the header.
    pub rows: usize,
    /// Its columns.
    pub columns: Vec<ColumnCard>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Schema {
    about: String,
    pub(super) format: u64,
    /// Where the store was.
    pub(super) source: String,
    digits: Option<usize>,
    pub(super) tables: Vec<ExportedTable>,
}

/// Writes a store as tables into a directory: all files or none.
///
/// # Errors
/// A store that cannot be listed, a disk that refuses, a format that this build does not write; a run that other tables
/// have with other results.
pub fn write_export(store: &Store, out: &Path, options: &ExportOptions<'_>) -> Result<Export, ReportError> {
    if cfg!(not(feature = "parquet")) && options.format == ExportFormat::Parquet {
        return Err(ReportError::Format { reason: NO_PARQUET.into() });
    }
    let mut data = load(store)?;
    for other in &options.with {
        data.unite(other.clone())?;
    }
    let mut writing = Writing::begin_in(out, options)?;
    writing.data(&data)?;
    let on_box = if options.with.is_empty() { points::write(&mut writing, store, &data)? } else { Vec::new() };
    let tables = writing.tables.clone();
    writing.place(&data.source)?;
    Ok(Export { tables, unreadable: data.unreadable, on_box })
}

/// Rows made of every entry of every run.
fn of_entries<'a, R: 'a>(
    data: &'a ReportData,
    rows: impl Fn(usize, usize, &crate::data::Entry) -> Vec<R> + Copy + 'a,
) -> impl Iterator<Item = R> + 'a {
    data.runs
        .iter()
        .enumerate()
        .flat_map(move |(i, run)| run.entries.iter().enumerate().flat_map(move |(t, entry)| rows(i, t, entry)))
}

/// An export being written.
struct Writing<'a> {
    files: Files,
    options: &'a ExportOptions<'a>,
    tables: Vec<ExportedTable>,
}

impl<'a> Writing<'a> {
    fn begin_in(out: &Path, options: &'a ExportOptions<'a>) -> Result<Self, ReportError> {
        let mut files = Files::begin(out)?;
        // A table of an earlier export whose rows are those of other runs would be taken for one of these.
        files.replace(read::listed(out));
        Ok(Self { files, options, tables: Vec::new() })
    }

    fn wants(&self, name: &str) -> bool {
        self.options.tables.is_empty() || self.options.tables.contains(name)
    }

    /// Writes the tables that are the same for every store.
    fn data(&mut self, data: &ReportData) -> Result<(), ReportError> {
        self.fixed("sweeps", data.sweeps.iter().map(SweepRow::from))?;
        self.fixed("circumstances", data.provenance.iter().map(CircumstancesRow::from))?;
        let rows: BTreeMap<&Circumstances, usize> = data.provenance.iter().map(|(how, _)| how).zip(0..).collect();
        let row = |run: &RunSummary| run.circumstances.as_deref().and_then(|how| rows.get(how).copied());
        self.fixed(
            "runs",
            data.runs
                .iter()
                .enumerate()
                .map(|(i, run)| RunRow::of(i, run, row(run), data.planned_twice.contains(&run.name))),
        )?;
        self.fixed("entries", of_entries(data, |i, t, entry| vec![EntryRow::of(i, t, entry)]))?;
        self.fixed("members", of_entries(data, MemberRow::all))?;
        self.fixed("outputs", of_entries(data, OutputRow::all))?;
        self.fixed("failures", of_entries(data, FailureRow::all))?;
        let damaged = data.unreadable.iter().map(|(name, why)| DamagedRow { name: name.clone(), why: why.clone() });
        self.fixed("damaged", damaged)
    }

    /// Describes the tables and moves everything to its place.
    fn place(mut self, source: &str) -> Result<(), ReportError> {
        let schema = Schema {
            about: "tables of a store of runs, written by `dal bench export`".into(),
            format: FORMAT,
            source: source.to_owned(),
            digits: self.options.digits,
            tables: self.tables,
        };
        let text = serde_json::to_string_pretty(&schema).map_err(|error| self.files.failed(SCHEMA, error.into()))?;
        self.files.add(SCHEMA, text + "\n")?;
        self.files.place()
    }

    /// Begins a table; `more` are columns beside the fixed ones.
    fn begin(&mut self, name: &str, stem: &str, more: Vec<ColumnCard>) -> Result<(String, Sink), ReportError> {
        let columns = schema::table(name).map(TableCard::columns).unwrap_or_default().into_iter().chain(more).collect();
        let file = format!("{stem}.{}", self.options.format.extension());
        let to = self.files.create(&file)?;
        let sink = Sink::new(to, self.options.format, columns, self.options.digits);
        let sink = sink.map_err(|error| self.files.failed(&file, error))?;
        Ok((file, sink))
    }

    fn end(&mut self, name: &str, file: String, problem: Option<String>, sink: Sink) -> Result<(), ReportError> {
        let columns = sink.columns().to_vec();
        let rows = sink.finish().map_err(|error| self.files.failed(&file, error))?;
        let about = schema::table(name).map(|card| card.about.to_owned()).unwrap_or_default();
        self.tables.push(ExportedTable { name: name.into(), file, problem, about, rows, columns });
        Ok(())
    }

    /// Writes a table whose columns are always the same.
    fn fixed<R: Serialize>(&mut self, name: &str, rows: impl Iterator<Item = R>) -> Result<(), ReportError> {
        if !self.wants(name) {
            return Ok(());
        }
        let (file, mut sink) = self.begin(name, name, Vec::new())?;
        for row in rows {
            let values = values(&row, sink.columns());
            sink.row(values).map_err(|error| self.files.failed(&file, error))?;
        }
        self.end(name, file, None, sink)
    }
}

/// A row's values in the order of the columns.
fn values(row: &impl Serialize, columns: &[ColumnCard]) -> Vec<Value> {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    columns.iter().map(|column| value.get_mut(&column.name).map(Value::take).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RunStatus;

    #[test]
    fn tables_have_the_columns_of_their_rows() {
        let keys = |row: Value| row.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let rows = [
            ("sweeps", serde_json::to_value(SweepRow::default()).unwrap()),
            ("circumstances", serde_json::to_value(CircumstancesRow::default()).unwrap()),
            ("runs", serde_json::to_value(RunRow::default()).unwrap()),
            ("entries", serde_json::to_value(EntryRow::default()).unwrap()),
            ("members", serde_json::to_value(MemberRow::default()).unwrap()),
            ("outputs", serde_json::to_value(OutputRow::default()).unwrap()),
            ("failures", serde_json::to_value(FailureRow::default()).unwrap()),
            ("damaged", serde_json::to_value(DamagedRow::default()).unwrap()),
        ];
        for (name, row) in rows {
            let columns: BTreeSet<String> =
                schema::table(name).unwrap().columns().into_iter().map(|c| c.name).collect();
            assert_eq!(columns, keys(row), "{name}");
        }
    }

    /// Data in which everything that can be said is said, with the texts that files stumble over.
    fn full() -> ReportData {
        use std::sync::Arc;

        use crate::data::*;
        use dal_store::*;
        let odd = ["=1+1", "-x", "'quoted", "a \"b\", c\nd", "", "+", "µ"];
        let output = |rmse| OutputErrorRecord { rmse, r2: Some(-0.5), mae: 1.0 / 3.0, p95_abs: 2e-300, max_abs: 4.0 };
        let pooled = PooledErrors { mse: 0.1, mae: 0.2, p95_abs: 0.3, max_abs: 0.4, n_left_out: 1 };
        let member = |share| MemberRecord { final_over_variance: share, final_over_best: None, restarts: 2 };
        let uncertainty = UncertaintyRecord {
            nll: None,
            crps: 0.1,
            coverage_90: 0.9,
            rank_correlation: Some(-0.25),
            n_degenerate: 3,
        };
        let full = Entry {
            n_labelled: 80,
            mse: 0.1 + 0.2,
            mae: 0.1,
            p95_abs: 1e-17,
            max_abs: 1e17,
            diversity: Some(0.5),
            correlation: Some(-0.125),
            failed_labels: vec![FailedLabel {
                row: 3,
                kind: "crashed".into(),
                message: odd[3].into(),
                at: vec![odd[0].into(), "2.5".into()],
            }],
            learned: Some(false),
            output_errors: Some(OutputErrorsRecord {
                outputs: vec![output(0.1), OutputErrorRecord { r2: None, ..output(0.7) }],
                quantiles: vec![output(0.2)],
                pooled: Some(pooled),
            }),
            members: vec![member(Some(0.7)), member(None)],
            auxiliary_mse: Some(0.2),
            auxiliary: Some(AuxiliaryRecord { over_variance: None, members: vec![member(Some(0.1))] }),
            uncertainty: Some(uncertainty),
            notes: odd.map(String::from).to_vec(),
            seconds: Some(Seconds { training: 1.5, auxiliary_training: 0.0, sampling: 0.1, total: 1.7 }),
        };
        let how = Circumstances { command: vec!["dal".into(), "@x".into()], ..Default::default() };
        let runs = odd.iter().enumerate().map(|(i, text)| RunSummary {
            setting: Setting { engine: "cpu".into(), platform: (*text).into(), results_revision: 4, timing: i == 1 },
            protocol: Protocol {
                preset: "tuned".into(),
                initial: 80,
                queries: 40,
                steps: 2,
                test_points: 4000,
                label_noise_percent: 5,
            },
            problem: format!("{text}p"),
            strategy: "bald?rate=0.1".into(),
            pool_ratio: (i % 2 == 0).then_some(2),
            seed: i as u64,
            model: Model {
                problem_digest: if i == 2 { "d1".into() } else { String::new() },
                network: (*text).into(),
                training: "x".into(),
                identity: "{\"a\": [1, 2]}".into(),
            },
            own: i == 2,
            test_labels: (i > 2).then(|| TestLabels { n: 40, variance: 0.3, sd: vec![0.1; i % 2] }),
            status: match i {
                0 => RunStatus::Failed { reason: (*text).into() },
                1 => RunStatus::Partial,
                2 => RunStatus::Absent,
                3 => RunStatus::Damaged { reason: (*text).into() },
                _ => RunStatus::Done,
            },
            waiting: (i == 1).then(|| (*text).into()),
            entries: if i == 2 {
                Vec::new()
            } else {
                vec![full.clone(), Entry { n_labelled: 120, ..Entry::default() }]
            },
            name: format!("run-{i}"),
            sweep: "a".into(),
            circumstances: (i > 3).then(|| Arc::new(how.clone())),
        });
        let column = ColumnRecord { name: "=x".into(), unit: "m".into(), transform: String::new() };
        let own =
            OwnProblem { title: "t".into(), inputs: vec![column.clone()], outputs: vec![column], n_points: Some(7) };
        let made = Made { runs: 3, peak_memory_mib: 64 };
        ReportData {
            source: "runs/x".into(),
            runs: runs.collect(),
            sweeps: vec![Sweep {
                name: "a".into(),
                text: "name = \"a\"\r\n\n# end".into(),
                departures: [("sine".to_owned(), vec!["fewer epochs".to_owned()])].into(),
                looks: vec![PlannedLook { seeds: 10, level: 0.025 }],
                own_problems: [("p".to_owned(), own)].into(),
                ..Sweep::default()
            }],
            provenance: vec![(how, made)],
            unreadable: vec![("a run".into(), "it is gone".into())],
            planned_twice: ["run-3".to_owned()].into(),
        }
    }

    #[test]
    fn everything_that_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = full();
        for (i, format) in [ExportFormat::Csv, ExportFormat::CsvGz].into_iter().enumerate() {
            let options = ExportOptions { format, ..ExportOptions::default() };
            let out = dir.path().join(i.to_string());
            let mut writing = Writing::begin_in(&out, &options).unwrap();
            writing.data(&data).unwrap();
            writing.place(&data.source).unwrap();
            assert!(is_export(&out));
            let read = read_export(&out).unwrap();
            for (read, written) in read.runs.iter().zip(&data.runs) {
                assert_eq!(read, written);
            }
            assert_eq!(read, data);
        }
        for name in ["runs", "entries", "failures", "sweeps"] {
            let text = std::fs::read(dir.path().join(format!("0/{name}.csv"))).unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
            for cell in reader.records().flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()) {
                let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
                assert!(!is_formula, "{name}: {cell}");
            }
        }
    }

    /// Until there was a status of their own, damaged runs were written as failed ones.
    #[test]
    fn damaged_runs_of_an_older_export_are_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let options = ExportOptions::default();
        let mut writing = Writing::begin_in(dir.path(), &options).unwrap();
        let mut data = full();
        data.runs[3].status = RunStatus::Failed { reason: "cannot be read: records.jsonl: it is missing".into() };
        data.runs[4].status = RunStatus::Failed { reason: "diverged at entry 3: the loss is NaN".into() };
        writing.data(&data).unwrap();
        writing.place("").unwrap();
        let read = read_export(dir.path()).unwrap();
        assert_eq!(read.runs[3].status, RunStatus::Damaged { reason: "records.jsonl: it is missing".into() });
        assert_eq!(read.runs[4].status, data.runs[4].status);
    }

    #[test]
    fn counts_stand_in_for_members_that_were_not_exported() {
        use crate::findings::count;
        let dir = tempfile::tempdir().unwrap();
        let data = full();
        let tables = ["sweeps", "circumstances", "runs", "entries"].map(String::from).into();
        let options = ExportOptions { tables, digits: Some(5), ..ExportOptions::default() };
        let mut writing = Writing::begin_in(dir.path(), &options).unwrap();
        writing.data(&data).unwrap();
        writing.place("").unwrap();
        let read = read_export(dir.path()).unwrap();
        let entries = |data: &ReportData| data.runs.iter().flat_map(|run| run.entries.clone()).collect::<Vec<_>>();
        for (read, written) in entries(&read).iter().zip(&entries(&data)) {
            assert_eq!(count(&read.members), count(&written.members));
            let of = |entry: &crate::data::Entry| entry.auxiliary.as_ref().map(|a| count(&a.members));
            assert_eq!(of(read), of(written));
        }
        assert_eq!(entries(&read)[0].mse, 0.3, "five digits");
    }

    /// What an earlier export had is of other runs; what else is there stays.
    #[test]
    fn tables_of_an_earlier_export_go() {
        let dir = tempfile::tempdir().unwrap();
        let write = |format, tables: &[&str]| {
            let tables = tables.iter().map(|name| (*name).to_owned()).collect();
            let options = ExportOptions { format, tables, ..ExportOptions::default() };
            let mut writing = Writing::begin_in(dir.path(), &options).unwrap();
            writing.data(&full()).unwrap();
            writing.place("").unwrap();
            let names = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<_>>()
        };
        write(ExportFormat::Csv, &["sweeps", "members"]);
        std::fs::write(dir.path().join("mine.csv"), "").unwrap();
        let found = write(ExportFormat::CsvGz, &["sweeps", "runs"]);
        assert_eq!(found, ["mine.csv", "runs.csv.gz", SCHEMA, "sweeps.csv.gz"].map(String::from).into());
        // A file of another writer's own lists no tables, and paths are never followed.
        let schema = |file: &str| {
            format!(
                "{{\"about\": \"\", \"format\": 1, \"source\": \"\", \"tables\": [{{\"name\": \"x\", \"file\": \"{file}\", \"about\": \"\", \"rows\": 0, \"columns\": []}}]}}"
            )
        };
        for (text, due) in
            [(schema("mine.csv"), vec!["mine.csv"]), (schema("../mine.csv"), vec![]), ("{}".into(), vec![])]
        {
            std::fs::write(dir.path().join(SCHEMA), text).unwrap();
            assert_eq!(read::listed(dir.path()), due);
        }
    }

    /// A column that is lost would be read as empty, and rankings would rest on another one.
    #[test]
    fn a_column_that_was_lost_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tables = ["sweeps", "circumstances", "runs", "entries"].map(String::from).into();
        let options = ExportOptions { tables, ..ExportOptions::default() };
        let mut writing = Writing::begin_in(dir.path(), &options).unwrap();
        writing.data(&full()).unwrap();
        writing.place("").unwrap();
        assert!(read_export(dir.path()).is_ok());
        let path = dir.path().join("entries.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("pooled_mse", "pooled_msf", 1)).unwrap();
        let error = read_export(dir.path()).unwrap_err().to_string();
        assert!(error.contains("entries.csv") && error.contains("no column `pooled_mse`"), "{error}");
    }

    #[test]
    fn the_page_on_exports_has_every_column() {
        let page = include_str!("../../export.md");
        for table in EXPORTED {
            let (_, section) = page.split_once(&format!("## `{}`: {}", table.name, table.about)).expect(table.name);
            let section = section.split("\n## ").next().unwrap_or_default();
            for column in table.columns() {
                let kind = serde_json::to_value(column.kind).unwrap();
                let line =
                    format!("| `{}` | {} | {} | {} |", column.name, kind.as_str().unwrap(), column.unit, column.about);
                assert!(section.contains(&line), "{}: {line}", table.name);
            }
        }
    }
}
