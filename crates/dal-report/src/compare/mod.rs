//! One store beside another: the same problems, methods and seeds on another engine, version or machine, and what
//! changed beyond noise.

mod orders;

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    CurveSpan, EvalError, Hesitation, Interval, Verdict, area_under_curve, max_t, seeds_to_reach, t_interval,
};

use self::orders::compare_orders;
pub use self::orders::{ComparedOrder, FEWEST_METHODS};
use crate::data::{BASELINE, Protocol, ReportData};
use crate::findings::{Curves, Findings, Part, Problem, Time};
use crate::summary::{overall, wrapped};
use crate::table::{Entry, Row, SAID, Table};
use crate::text::{count, list, p_value, ratio, ratio_name};

/// How a cell differs between two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Every seed's curve is the same, number for number.
    Identical,
    /// Larger errors in the other store, jointly significant over all cells.
    Worse,
    /// Smaller errors in the other store, likewise.
    Better,
    /// A difference that noise explains.
    WithinNoise,
    /// So few common seeds that no difference could have been significant.
    Undecidable,
    /// A run is missing or failed in one of the stores, or its seeds are not those of the problem's other cells.
    NoVerdict,
}

/// One (problem, γ, method) in two stores.
#[derive(Debug, Clone)]
pub struct ComparedCell {
    /// The problem.
    pub problem: String,
    /// The method; Random is one too.
    pub method: String,
    /// The pool ratio; Random has the first.
    pub pool_ratio: usize,
    /// Seeds that both stores have.
    pub n_seeds: usize,
    /// Area under the error curve in the other store divided by this one's: 95 % t interval, or the bare mean below two
    /// seeds.
    pub ratio: Option<Interval>,
    /// Adjusted by max-T over all cells, of the likelier direction.
    pub p_adjusted: Option<f64>,
    /// What to make of it.
    pub change: Change,
    /// Training time in the other store divided by this one's.
    pub training: Option<f64>,
    /// Time to choose a batch, likewise.
    pub sampling: Option<f64>,
    style: usize,
}

/// What two stores conclude about one method, each from its own runs.
#[derive(Debug, Clone)]
pub struct ComparedMethod {
    /// The method.
    pub id: String,
    /// Verdict and overall nAUC in this store; `None` where it has no such method.
    pub here: Option<(Verdict, Option<f64>)>,
    /// The same in the other.
    pub there: Option<(Verdict, Option<f64>)>,
    style: usize,
}

/// Two parts that share problems under the same protocol, cell by cell.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The other store.
    pub other: String,
    /// By method, Random left out: verdict and overall nAUC here and there.
    pub methods: Vec<ComparedMethod>,
    /// How the settings differ, in words.
    pub differences: Vec<String>,
    /// The common cells.
    pub cells: Vec<ComparedCell>,
    /// By problem with at least [`FEWEST_METHODS`] methods in both: whether their order is the same.
    pub orders: Vec<ComparedOrder>,
    /// Cells that only one of the stores has.
    pub n_unmatched: usize,
}

/// Compares every part of `base` with every part of `other` that has a problem under the same protocol. Where no two
/// parts have one, a single comparison without cells says so.
///
/// Runs are paired by seed: equal seeds share initial set, candidates and test points whatever the engine. A cell's
/// difference is the mean of ln (area in the other store / area in this one) over the common seeds; max-T with signs
/// flipped jointly over all cells of a problem keeps the chance of any false "changed", in each direction, at half the
/// level.
///
/// # Errors
/// [`EvalError`] for values that no finished run can have.
pub fn compare(base: &Findings, other: &Findings, name: &str) -> Result<Vec<Comparison>, EvalError> {
    let mut all = Vec::new();
    for a in &base.parts {
        for b in &other.parts {
            if a.setting.timing == b.setting.timing && a.problems.iter().any(|p| same_protocol(p, b)) {
                all.push(compare_parts(a, b, base, name)?);
            }
        }
    }
    if all.is_empty() {
        let pairs = base.parts.iter().flat_map(|a| other.parts.iter().map(move |b| other_versions(a, b)));
        let versions: BTreeSet<String> = pairs.flatten().collect();
        let differences = if versions.is_empty() {
            vec!["no problem is there under the same protocol in both".to_owned()]
        } else {
            vec![other_versions_words(&versions)]
        };
        all.push(Comparison {
            other: name.to_owned(),
            methods: Vec::new(),
            differences,
            cells: Vec::new(),
            orders: Vec::new(),
            n_unmatched: 0,
        });
    }
    Ok(all)
}

/// Whether a part has this problem with the same labels, steps and test points; and, of a user's, in the same version.
fn same_protocol(problem: &Problem, part: &Part) -> bool {
    let of = |p: &Problem| Protocol { preset: String::new(), ..p.protocol.clone() };
    part.problems
        .iter()
        .any(|other| other.id == problem.id && of(other) == of(problem) && !is_other_version(problem, other))
}

/// Whether two users' problems of one name differ in their files, or in the data that these name.
fn is_other_version(a: &Problem, b: &Problem) -> bool {
    let (a, b) = (&a.model.problem_digest, &b.model.problem_digest);
    !a.is_empty() && !b.is_empty() && a != b
}

/// The problems that both have by name, in different versions.
fn other_versions(a: &Part, b: &Part) -> BTreeSet<String> {
    let differs = |p: &&Problem| b.problems.iter().any(|q| q.id == p.id && is_other_version(p, q));
    a.problems.iter().filter(differs).map(|p| p.id.clone()).collect()
}

fn other_versions_words(problems: &BTreeSet<String>) -> String {
    format!(
        "{} not the same problem in both (its file, or data or a program that it names, differ), so not compared",
        list(&problems.iter().map(|id| format!("{id} is")).collect::<Vec<_>>())
    )
}

/// A cell of a part: curves and times.
struct Side<'a> {
    curves: &'a Curves,
    time: Option<Time>,
    steps: usize,
}

type Key = (String, usize, String);
type Sides<'a> = BTreeMap<Key, (usize, Side<'a>)>;

/// The cells of those problems of a part that the other has under the same protocol, Random's under the first pool
/// ratio.
fn sides<'a>(part: &'a Part, other: &Part) -> Sides<'a> {
    let mut all = BTreeMap::new();
    for (p, problem) in part.problems.iter().enumerate().filter(|(_, p)| same_protocol(p, other)) {
        let steps = problem.protocol.steps;
        let side = Side { curves: &problem.random, time: problem.random_time, steps };
        all.insert((problem.id.clone(), 0, BASELINE.to_owned()), (part.random_style, side));
        for m in &part.methods {
            for (cell, pool_ratio) in m.cells[p].iter().zip(&part.pool_ratios) {
                if let Some(cell) = cell {
                    let side = Side { curves: &cell.curves, time: cell.time, steps };
                    all.insert((problem.id.clone(), *pool_ratio, m.id.clone()), (m.style, side));
                }
            }
        }
    }
    all
}

/// The area under a curve, where a ratio of it can be taken.
fn area(curve: &[f64], steps: usize, span: CurveSpan) -> Option<f64> {
    area_under_curve(curve, span, steps).ok().filter(|area| *area > 0.0)
}

/// Log ratios of areas by seed, over the seeds that both sides planned; `None` where one of them is not finished.
fn log_ratios(a: &Curves, b: &Curves, steps: usize, span: CurveSpan) -> Option<Vec<(u64, f64)>> {
    let planned_by =
        |c: &Curves, seed: u64| c.per_seed.iter().any(|(s, _)| *s == seed) || c.missing.iter().any(|(s, _)| *s == seed);
    let mut ratios = Vec::new();
    for (seed, curve) in &b.per_seed {
        if !planned_by(a, *seed) {
            continue;
        }
        let (_, own) = a.per_seed.iter().find(|(s, _)| s == seed)?;
        ratios.push((*seed, (area(curve, steps, span)? / area(own, steps, span)?).ln()));
    }
    let missing_in_other = b.missing.iter().any(|(seed, _)| planned_by(a, *seed));
    let missing_here = a.missing.iter().any(|(seed, _)| planned_by(b, *seed));
    (!ratios.is_empty() && !missing_in_other && !missing_here).then_some(ratios)
}

fn compare_parts(a: &Part, b: &Part, base: &Findings, name: &str) -> Result<Comparison, EvalError> {
    let (ours, theirs) = (sides(a, b), sides(b, a));
    let (level, flip_seed) = (base.rules.level, base.rules.flip_seed);
    let mut cells = Vec::new();
    let mut n_unmatched = 0;
    let mut differences: Vec<Option<Vec<(u64, f64)>>> = Vec::new();
    for (key, (style, own)) in &ours {
        let Some((_, other)) = theirs.get(key) else { continue };
        let is_begun = |curves: &Curves| curves.per_seed.iter().any(|(_, curve)| !curve.is_empty());
        if !is_begun(own.curves) || !is_begun(other.curves) {
            // Planned in both, begun in one at most.
            n_unmatched += 1;
            continue;
        }
        let ratios = log_ratios(own.curves, other.curves, own.steps, base.span);
        let shared = own.curves.per_seed.iter().filter(|(s, _)| other.curves.per_seed.iter().any(|(t, _)| s == t));
        let identical = ratios.is_some()
            && shared.clone().all(|(s, curve)| other.curves.per_seed.iter().any(|(t, c)| s == t && c == curve));
        let logs: Option<Vec<f64>> = ratios.as_ref().map(|r| r.iter().map(|(_, v)| *v).collect());
        let interval = match &logs {
            Some(logs) if logs.len() >= 2 => Some(t_interval(logs, 1.0 - level)?.exp()),
            Some(logs) => Some(Interval { mean: logs[0].exp(), lower: f64::NAN, upper: f64::NAN }),
            None => None,
        };
        let time_ratio = |of: fn(&Time) -> f64| {
            let (x, y) = (of(other.time.as_ref()?), of(own.time.as_ref()?));
            (y > 0.0).then_some(x / y)
        };
        cells.push(ComparedCell {
            problem: key.0.clone(),
            method: key.2.clone(),
            pool_ratio: key.1,
            n_seeds: logs.as_ref().map_or(0, Vec::len),
            ratio: interval,
            p_adjusted: None,
            change: if identical { Change::Identical } else { Change::NoVerdict },
            training: time_ratio(|t| t.training_per_entry),
            sampling: time_ratio(|t| t.sampling_per_step),
            style: *style,
        });
        differences.push(ratios);
    }
    judge(&mut cells, &differences, level, flip_seed)?;
    n_unmatched += ours.keys().filter(|k| !theirs.contains_key(*k)).count()
        + theirs.keys().filter(|k| !ours.contains_key(*k)).count();
    let methods = compare_methods(a, b);
    let orders = compare_orders(a, &ours, &theirs, base)?;
    let differences = setting_differences(a, b);
    Ok(Comparison { other: name.to_owned(), methods, differences, cells, orders, n_unmatched })
}

fn compare_methods(a: &Part, b: &Part) -> Vec<ComparedMethod> {
    let of = |part: &Part, id: &str| {
        let method = part.methods.iter().find(|m| m.id == id)?;
        Some((method.robustness.as_ref()?.verdict, overall(method)))
    };
    let only_there = b.methods.iter().filter(|m| a.methods.iter().all(|own| own.id != m.id));
    a.methods
        .iter()
        .chain(only_there)
        .map(|m| ComparedMethod { id: m.id.clone(), here: of(a, &m.id), there: of(b, &m.id), style: m.style })
        .collect()
}

/// max-T over the cells that have values for the seeds most cells of their problem have.
fn judge(
    cells: &mut [ComparedCell],
    differences: &[Option<Vec<(u64, f64)>>],
    level: f64,
    flip_seed: u64,
) -> Result<(), EvalError> {
    let seeds_of = |d: &[(u64, f64)]| d.iter().map(|(seed, _)| *seed).collect::<Vec<u64>>();
    let mut by_problem: BTreeMap<&str, BTreeMap<Vec<u64>, Vec<usize>>> = BTreeMap::new();
    for (i, d) in differences.iter().enumerate() {
        if let Some(d) = d {
            by_problem.entry(&cells[i].problem).or_default().entry(seeds_of(d)).or_default().push(i);
        }
    }
    let groups: Vec<Vec<usize>> = by_problem
        .into_values()
        .filter_map(|lists| lists.into_iter().max_by_key(|(_, cells)| cells.len()))
        .filter(|(seeds, _)| seeds.len() >= 2)
        .map(|(_, cells)| cells)
        .collect();
    let mut tested = vec![None; cells.len()];
    if !groups.is_empty() {
        let values = |i: &usize| differences[*i].iter().flatten().map(|(_, v)| *v).collect::<Vec<f64>>();
        let blocks: Vec<Vec<Vec<f64>>> = groups.iter().map(|g| g.iter().map(values).collect()).collect();
        for (group, found) in groups.iter().zip(max_t(&blocks, flip_seed)?) {
            for (i, p) in group.iter().zip(found) {
                tested[*i] = Some(p);
            }
        }
    }
    let needed = seeds_to_reach(level / 2.0, groups.len().max(1)).unwrap_or(usize::MAX);
    for ((cell, d), tested) in cells.iter_mut().zip(differences).zip(tested) {
        if let Some(p) = tested {
            cell.p_adjusted = Some(p.p_less.min(p.p_greater));
        }
        if cell.change == Change::Identical || d.is_none() {
            continue;
        }
        cell.change = match tested {
            Some(p) if p.p_greater <= level / 2.0 => Change::Worse,
            Some(p) if p.p_less <= level / 2.0 => Change::Better,
            _ if cell.n_seeds < needed => Change::Undecidable,
            Some(_) => Change::WithinNoise,
            None => Change::NoVerdict,
        };
    }
    Ok(())
}

fn setting_differences(a: &Part, b: &Part) -> Vec<String> {
    let versions = other_versions(a, b);
    let retrained: Vec<String> = a
        .problems
        .iter()
        .filter(|p| b.problems.iter().any(|q| q.id == p.id && q.model.identity != p.model.identity))
        .map(|p| p.id.clone())
        .collect();
    let presets = |p: &Part| -> Vec<String> {
        let all: BTreeSet<&str> = p.problems.iter().map(|p| p.preset()).collect();
        all.into_iter().map(str::to_owned).collect()
    };
    let (presets_here, presets_there) = (list(&presets(a)), list(&presets(b)));
    let (a, b) = (&a.setting, &b.setting);
    let mut all = Vec::new();
    for (what, x, y) in [
        ("engine", &a.engine, &b.engine),
        ("platform", &a.platform, &b.platform),
        ("networks", &presets_here, &presets_there),
    ] {
        if x != y {
            all.push(format!("{what} {x} here, {y} there"));
        }
    }
    if a.results_revision != b.results_revision {
        all.push(format!("results revision {} here, {} there", a.results_revision, b.results_revision));
    }
    if !versions.is_empty() {
        all.push(other_versions_words(&versions));
    }
    if !retrained.is_empty() {
        all.push(format!("another network or training on {}", list(&retrained)));
    }
    all
}

impl Comparison {
    /// The comparison in one sentence or two.
    pub fn sentence(&self) -> String {
        let of = |change: Change| self.cells.iter().filter(|c| c.change == change).count();
        let name = |c: &ComparedCell| match c.pool_ratio {
            0 => format!("{} on {}", c.method, c.problem),
            g => format!("{} on {} at {}", c.method, c.problem, ratio_name(g)),
        };
        let changed: Vec<String> = self
            .cells
            .iter()
            .filter(|c| matches!(c.change, Change::Worse | Change::Better))
            .map(|c| format!("{} (errors × {})", name(c), c.ratio.map(|r| ratio(r.mean)).unwrap_or_default()))
            .collect();
        let shown = if changed.len() > 5 {
            format!("{} and {} more", changed[..4].join(", "), changed.len() - 4)
        } else {
            list(&changed)
        };
        let settings = if self.differences.is_empty() {
            "same engine, platform, revision, networks and training".to_owned()
        } else {
            self.differences.join("; ")
        };
        if self.cells.is_empty() {
            return format!("{}: nothing to compare, since {settings}.", self.other);
        }
        format!(
            "{} ({settings}): of {} in both, {} changed beyond noise{}; {} identical, {} within noise, {} with too few seeds to say, \
             {} without a verdict. {} in only one of the two.{}",
            self.other,
            count(self.cells.len(), "cell"),
            changed.len(),
            if changed.is_empty() { String::new() } else { format!(" ({shown})") },
            of(Change::Identical),
            of(Change::WithinNoise),
            of(Change::Undecidable),
            of(Change::NoVerdict),
            count(self.n_unmatched, "cell"),
            self.orders_sentence(),
        )
    }

    /// The same for a terminal, wrapped to a width.
    pub fn terminal_summary(&self, width: usize) -> String {
        wrapped(&format!("Beside {}", self.sentence()), width.max(40))
    }

    /// Verdicts and averages side by side.
    pub(crate) fn methods_table(&self, id: String) -> Table {
        let verdict = |side: &Option<(Verdict, Option<f64>)>| match side {
            None => Entry::text("not run").with_class(SAID),
            Some((Verdict::Robust, _)) => Entry::text("robust").with_class("better"),
            Some((Verdict::NotRobust, _)) => Entry::text("not robust").with_class("worse"),
            Some((Verdict::Undecided(Hesitation::NoLook | Hesitation::PlansDiffer), _)) => {
                Entry::text("no verdict").with_class(SAID)
            }
            Some((Verdict::Undecided(_), _)) => Entry::text("undecided").with_class("open"),
        };
        let value = |side: &Option<(Verdict, Option<f64>)>| Entry::optional(side.and_then(|(_, v)| v), ratio);
        let rows = self.methods.iter().map(|m| Row {
            cells: vec![Entry::text(&m.id), value(&m.here), value(&m.there), verdict(&m.here), verdict(&m.there)],
            method: Some(m.style),
            ..Row::default()
        });
        let columns = ["method", "nAUC here", "nAUC there", "verdict here", "verdict there"];
        Table {
            id,
            caption: format!("Method by method beside {}: each store's own average nAUC and verdict.", self.other),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            n_labels: 1,
            rows: rows.collect(),
        }
    }

    /// The cells as a table, those that changed first.
    pub(crate) fn table(&self, id: String) -> Table {
        let word = |change: Change| match change {
            Change::Worse => (0, "changed: larger errors", "worse"),
            Change::Better => (1, "changed: smaller errors", "better"),
            Change::Undecidable => (2, "too few seeds", "open"),
            Change::WithinNoise => (3, "within noise", ""),
            Change::NoVerdict => (4, "no verdict", SAID),
            Change::Identical => (5, "identical", "equal"),
        };
        let mut cells: Vec<&ComparedCell> = self.cells.iter().collect();
        cells.sort_by_key(|c| word(c.change).0);
        let rows = cells
            .into_iter()
            .map(|c| {
                let (_, change, class) = word(c.change);
                let bound = |v: Option<f64>| Entry::optional(v.filter(|v| v.is_finite()), ratio);
                Row {
                    cells: vec![
                        Entry::text(&c.problem),
                        if c.pool_ratio == 0 {
                            Entry::text("any")
                        } else {
                            Entry::number(c.pool_ratio as f64, c.pool_ratio.to_string())
                        },
                        Entry::text(&c.method),
                        Entry::number(c.n_seeds as f64, c.n_seeds.to_string()),
                        bound(c.ratio.map(|r| r.mean)),
                        bound(c.ratio.map(|r| r.lower)),
                        bound(c.ratio.map(|r| r.upper)),
                        Entry::optional(c.p_adjusted, p_value),
                        Entry::text(change).with_class(class),
                        Entry::optional(c.training, ratio),
                        Entry::optional(c.sampling, ratio),
                    ],
                    problem: Some(c.problem.clone()),
                    method: Some(c.style),
                    ratio: None,
                }
            })
            .collect();
        let columns = [
            "problem",
            "γ",
            "method",
            "common seeds",
            "area, other / this",
            "95 % from",
            "to",
            "p (max-T)",
            "change",
            "training time, other / this",
            "choosing time, other / this",
        ];
        Table {
            id,
            caption: format!("Cell by cell against {}: area under the error curve there divided by here.", self.other),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            n_labels: 3,
            rows,
        }
    }
}

/// The stores that are held side by side: engines, versions and machines, this one first.
pub(crate) fn stores_table(stores: &[(&ReportData, &Findings)]) -> Table {
    let distinct = |values: Vec<String>| {
        let set: BTreeSet<String> = values.into_iter().filter(|v| !v.is_empty()).collect();
        Entry::text(set.into_iter().collect::<Vec<_>>().join("; "))
    };
    let rows = stores.iter().enumerate().map(|(i, (data, findings))| {
        let of_settings = |value: fn(&Part) -> String| distinct(findings.parts.iter().map(value).collect());
        let made = |value: fn(&crate::data::Circumstances) -> String| {
            distinct(data.provenance.iter().map(|(c, _)| value(c)).collect())
        };
        let here = if i == 0 { " (this report)" } else { "" };
        Row {
            cells: vec![
                Entry::text(format!("{}{here}", data.source)),
                Entry::number(data.runs.len() as f64, data.runs.len().to_string()),
                of_settings(|p| p.setting.engine.clone()),
                of_settings(|p| p.setting.platform.clone()),
                of_settings(|p| p.setting.results_revision.to_string()),
                of_settings(|p| {
                    list(
                        &p.problems
                            .iter()
                            .map(|p| p.preset().to_owned())
                            .collect::<BTreeSet<_>>()
                            .into_iter()
                            .collect::<Vec<_>>(),
                    )
                }),
                made(|c| c.dal_version.clone()),
                made(|c| c.compiler.clone()),
                made(|c| format!("{} ({} logical processors)", c.cpu, c.n_cpus)),
                made(|c| c.os.clone()),
            ],
            ..Row::default()
        }
    });
    let columns =
        ["store", "runs", "engine", "platform", "revision", "networks", "dal", "compiler", "machine", "system"];
    Table {
        id: "compare-stores".into(),
        caption: "The stores: what made their runs.".into(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        n_labels: 1,
        rows: rows.collect(),
    }
}
