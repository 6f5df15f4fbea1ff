//! Writes a report: the page, and every figure and table as files beside it.

use std::path::{Path, PathBuf};

use dal_eval::{CurveSpan, EvalError, VerdictRules};

use crate::compare::{Comparison, compare, stores_table};
use crate::data::{BASELINE, ReportData};
use crate::error::ReportError;
use crate::figure::{self, Figure, Quantity, SeriesCurves};
use crate::files::Files;
use crate::findings::{Curves, EntryMeasure, ErrorKind, Findings, Part, findings};
use crate::page::{PageInfo, PartContent, page, prefix};
use crate::table::{Entry, Row, Table};
use crate::text::{number, ratio_name};
use crate::{pdf, svg, tables};

/// How a report is written.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// Version of the program, for the footer.
    pub version: String,
    /// When the report is made, in words; left out if empty. Libraries do not look at the clock.
    pub made: String,
    /// Rules of the verdicts.
    pub rules: VerdictRules,
    /// Which entries count towards nAUC; the initial model counts by default.
    pub span: CurveSpan,
    /// Weight of the newest entry in an exponential moving average of the drawn curves, as the paper draws them (0.5);
    /// `None` draws what was measured. Numbers and tests are never smoothed.
    pub smoothing: Option<f64>,
    /// Other stores to hold beside this one.
    pub compare: Vec<ReportData>,
    /// What is to be said beside the findings in a few words: other tables, as those of a larger experiment.
    pub evidence: Vec<ReportData>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct WrittenReport {
    /// The page.
    pub page: PathBuf,
    /// How many figures, each as SVG and PDF.
    pub n_figures: usize,
    /// How many tables, each as CSV, LaTeX and Markdown.
    pub n_tables: usize,
    /// The findings behind it, for a summary in the terminal.
    pub findings: Findings,
    /// How the other stores differ from this one.
    pub comparisons: Vec<Comparison>,
    /// What of these stores could not be read, each with the reason; those of others under their source.
    pub unreadable: Vec<(String, String)>,
}

/// Writes `report.html`, `figures/*.svg`, `figures/*.pdf` and `tables/*.{csv,tex,md}` into a directory, which is made
/// if it does not exist; files of an earlier report are replaced. Where something cannot be written (a full disk),
/// nothing is: the directory is as it was.
///
/// # Errors
/// [`ReportError::Io`] with the file, [`ReportError::Eval`] for rules outside their range.
pub fn write_report(data: &ReportData, out: &Path, options: &ReportOptions) -> Result<WrittenReport, ReportError> {
    if let Some(value) = options.smoothing.filter(|w| !(*w > 0.0 && *w <= 1.0)) {
        let must = "above 0 and at most 1";
        return Err(EvalError::OutOfRange { what: "weight of the moving average", index: 0, value, must }.into());
    }
    let mut findings = findings(data, options.rules, options.span)?;
    for evidence in &options.evidence {
        findings.evidence.push(crate::findings::findings(evidence, options.rules, options.span)?);
    }
    let several = findings.parts.len() > 1;
    let parts: Vec<PartContent> =
        findings.parts.iter().enumerate().map(|(i, part)| content(part, options, &prefix(i, several))).collect();
    let provenance = tables::provenance(data);
    let mut comparisons = Vec::new();
    let mut others = Vec::new();
    for other in &options.compare {
        let found = crate::findings::findings(other, options.rules, options.span)?;
        comparisons.extend(compare(&findings, &found, &other.source)?);
        others.push((other, found));
    }
    let mut compared: Vec<(String, Vec<Table>)> = Vec::new();
    if !others.is_empty() {
        let stores: Vec<(&ReportData, &Findings)> =
            std::iter::once((data, &findings)).chain(others.iter().map(|(data, found)| (*data, found))).collect();
        compared.push((String::new(), vec![stores_table(&stores)]));
    }
    compared.extend(comparisons.iter().enumerate().map(|(i, comparison)| {
        let id = format!("compare-{}", i + 1);
        let tables = if comparison.cells.is_empty() {
            Vec::new()
        } else {
            let orders = comparison.orders_table(format!("{id}-order"));
            let methods = comparison.methods_table(format!("{id}-methods"));
            [methods].into_iter().chain(orders).chain([comparison.table(id)]).collect()
        };
        (comparison.sentence(), tables)
    }));
    let mut files = Files::begin(out)?;
    let (mut n_figures, mut n_tables) = (0, 0);
    for content in &parts {
        let figures = content.curves.iter().map(|(f, _)| f).chain(&content.against_ratio).chain(&content.by_entry);
        for figure in figures.chain(&content.combined).chain(&content.rank_figures).chain(&content.glance) {
            let text = svg::for_file(&figure.for_paper, &figure.title, &figure.alt);
            files.add(&format!("figures/{}.svg", figure.id), text)?;
            files.add(&format!("figures/{}.pdf", figure.id), pdf::write(&figure.for_paper, &figure.title))?;
            n_figures += 1;
        }
        let optional = content.ranks.iter().chain(&content.transfer).chain(&content.incomplete).chain(&content.beside);
        let optional = optional.chain(content.learned.iter()).chain(&content.failed_labels).chain(&content.columns);
        let always = [
            &content.robustness,
            &content.overview,
            &content.n_auc,
            &content.n_div,
            &content.labels,
            &content.wins,
            &content.times,
            &content.training,
            &content.problems,
            &content.errors,
            &content.cells,
            &content.area,
        ];
        for table in always.into_iter().chain(optional).chain(content.curves.iter().map(|(_, t)| t)) {
            save_table(&mut files, table)?;
            n_tables += 1;
        }
    }
    for table in compared.iter().flat_map(|(_, tables)| tables).chain([&provenance]) {
        save_table(&mut files, table)?;
        n_tables += 1;
    }
    let unreadable = unreadable(data, options);
    let info = PageInfo {
        version: &options.version,
        made: &options.made,
        compared: &compared,
        smoothing: options.smoothing,
        unreadable: &unreadable,
    };
    // Last, so that it never speaks of files that are not there yet.
    files.add("report.html", page(data, &findings, &parts, &provenance, &info))?;
    files.place()?;
    Ok(WrittenReport { page: out.join("report.html"), n_figures, n_tables, findings, comparisons, unreadable })
}

/// What of a store, and of those that stand beside it, the page lacks.
fn unreadable(data: &ReportData, options: &ReportOptions) -> Vec<(String, String)> {
    let others = options.compare.iter().chain(&options.evidence);
    let of_others = others.flat_map(|other| {
        other.unreadable.iter().map(move |(name, why)| (format!("{}: {name}", other.source), why.clone()))
    });
    data.unreadable.iter().cloned().chain(of_others).collect()
}

fn save_table(files: &mut Files, table: &Table) -> Result<(), ReportError> {
    for (extension, text) in [("csv", table.csv()), ("tex", table.latex()), ("md", table.markdown())] {
        files.add(&format!("tables/{}.{extension}", table.id), text)?;
    }
    Ok(())
}

/// Fills the tables and draws the figures of a part.
fn content(part: &Part, options: &ReportOptions, prefix: &str) -> PartContent {
    let n_ratios = part.pool_ratios.len();
    let (mut curves, mut by_entry) = (Vec::new(), Vec::new());
    for p in 0..part.problems.len() {
        for g in 0..n_ratios {
            for kind in ErrorKind::ALL {
                curves.extend(curves_of(part, p, g, kind, options.smoothing, prefix));
            }
            by_entry.extend(EntryMeasure::ALL.into_iter().filter_map(|m| figure::by_entry(part, p, g, m, prefix)));
        }
    }
    let mut against_ratio = Vec::new();
    for p in 0..part.problems.len() {
        for what in [Quantity::NAuc, Quantity::NDiv] {
            against_ratio.extend(figure::against_ratio(part, p, what, prefix));
        }
    }
    PartContent {
        robustness: tables::robustness(part, options.rules.level, prefix),
        overview: tables::overview(part, options.rules.margin, prefix),
        n_auc: tables::n_auc(part, prefix),
        n_div: tables::n_div(part, prefix),
        labels: tables::labels(part, prefix),
        ranks: tables::ranks(part, prefix),
        wins: tables::wins(part, prefix),
        transfer: tables::transfer(part, prefix),
        times: tables::times(part, prefix),
        training: tables::training(part, prefix),
        problems: tables::problems(part, prefix),
        columns: tables::columns(part, prefix),
        errors: tables::final_errors(part, prefix),
        cells: tables::cells(part, options.rules.level, prefix),
        area: tables::area(part, prefix),
        beside: tables::beside(part, options.span, prefix),
        learned: tables::learned(part, prefix),
        by_entry,
        failed_labels: tables::failed_labels(part, prefix),
        incomplete: tables::incomplete(part, prefix),
        glance: figure::glance(part, prefix),
        curves,
        against_ratio,
        combined: (0..n_ratios).filter_map(|g| figure::combined(part, g, prefix)).collect(),
        rank_figures: (0..n_ratios).filter_map(|g| figure::ranks(part, g, part.ranks[g].as_ref()?, prefix)).collect(),
    }
}

/// Learning curves of one problem and pool ratio, and the table behind them.
fn curves_of(
    part: &Part,
    problem: usize,
    ratio: usize,
    kind: ErrorKind,
    smoothing: Option<f64>,
    prefix: &str,
) -> Option<(Figure, Table)> {
    let of = &part.problems[problem];
    let drawn = |curves: &Curves| match smoothing {
        Some(weight) => curves.smoothed(weight),
        None => curves.clone(),
    };
    let mut shown = vec![(BASELINE, part.random_style, drawn(&of.random))];
    shown.extend(part.methods.iter().filter_map(|m| {
        let cell = m.cells[problem][ratio].as_ref()?;
        Some((m.id.as_str(), m.style, drawn(&cell.curves)))
    }));
    let series: Vec<SeriesCurves<'_>> =
        shown.iter().map(|(name, style, curves)| SeriesCurves { name, style: *style, curves }).collect();
    let figure = figure::learning_curves(part, problem, ratio, kind, &series, prefix)?;
    let table = curve_table(&figure, part, problem, ratio, kind, &series);
    Some((figure, table))
}

/// Every fifth entry of the curves of MSE, every tenth of the others, and the last.
fn curve_table(
    figure: &Figure,
    part: &Part,
    problem: usize,
    ratio: usize,
    kind: ErrorKind,
    series: &[SeriesCurves<'_>],
) -> Table {
    let of = &part.problems[problem];
    let n = of.n_labelled.len();
    let mut columns = vec!["labels".to_owned()];
    columns.extend(series.iter().map(|s| s.name.to_owned()));
    let (every, word) = if kind == ErrorKind::Mse { (5, "fifth") } else { (10, "tenth") };
    let rows = (0..n)
        .filter(|t| t % every == 0 || *t + 1 == n)
        .map(|t| {
            let mut cells = vec![Entry::number(of.n_labelled[t] as f64, of.n_labelled[t].to_string())];
            cells.extend(series.iter().map(|s| match s.curves.band(kind) {
                Some(band) => {
                    // Where labels failed, a method has its own number of them.
                    let own = s.curves.mean_labels(t).filter(|n| n.round() != of.n_labelled[t] as f64);
                    let own = own.map(|n| format!(" at {}", number(n))).unwrap_or_default();
                    Entry::number(band.mean[t], number(band.mean[t]) + &own)
                }
                None => Entry::text("incomplete").with_class("none"),
            }));
            Row { cells, ..Row::default() }
        })
        .collect();
    Table {
        id: figure.id.clone(),
        caption: format!(
            "Learning curves: {} on {} at {}, geometric mean over seeds, every {word} entry.",
            of.error_name(kind),
            of.id,
            ratio_name(part.pool_ratios[ratio])
        ),
        columns,
        n_labels: 1,
        rows,
    }
}
