//! The findings in words: what was compared, which methods are safe, where they lose, how sure that is, how long it took.
//! The page opens with these sentences and the terminal ends with them.

use dal_eval::{CellFinding, CellVerdict, Hesitation, Verdict, seeds_to_reach};

use crate::findings::{Findings, Method, Part};
use crate::text::{count, list, number, ratio, ratio_name, seconds};

/// One finding in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The question, in a few words.
    pub topic: &'static str,
    /// The answer.
    pub text: String,
}

fn state(topic: &'static str, text: impl Into<String>) -> Statement {
    Statement { topic, text: text.into() }
}

/// The overall nAUC of a method, where every cell has a value.
pub(crate) fn overall(method: &Method) -> Option<f64> {
    let effect = method.robustness.as_ref()?.overall?;
    effect.over_problems.or(effect.problems_fixed).map(|i| i.mean.exp()).or_else(|| {
        // One problem with one seed: no interval, but still a value.
        let values: Vec<f64> = method.robustness.as_ref()?.cells.iter().filter_map(|c| c.value).collect();
        dal_eval::geometric_mean(&values).ok()
    })
}

/// Fewest and most seeds of any problem.
pub(crate) fn seed_range(part: &Part) -> (usize, usize) {
    let counts = part.problems.iter().map(|p| p.seeds.len());
    (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
}

fn cell_name(cell: &CellFinding) -> String {
    format!("{} at {}", cell.problem, ratio_name(cell.pool_ratio))
}

/// Why a verdict is open, in words.
pub(crate) fn hesitation(why: &Hesitation) -> String {
    match why {
        Hesitation::TooFewSeeds { got, needed_for_robust, needed_for_not_robust } => format!(
            "{} cannot decide: \"robust\" needs at least {needed_for_robust}, \"not robust\" at least {needed_for_not_robust}",
            count(*got, "seed")
        ),
        Hesitation::MissingCells { n } => format!("{} without a value", count(*n, "cell")),
        Hesitation::Evidence { n_not_rejected } => {
            format!("the one-sided test does not reject in {}", count(*n_not_rejected, "cell"))
        }
    }
}

/// The statements of one part.
pub fn statements(part: &Part, findings: &Findings) -> Vec<Statement> {
    let mut said = Vec::new();
    let names = |methods: &[&Method]| list(&methods.iter().map(|m| m.id.clone()).collect::<Vec<_>>());
    let (fewest, most) = seed_range(part);
    let seeds = if fewest == most { count(most, "seed") } else { format!("{fewest} to {most} seeds") };
    let problems: Vec<String> = part.problems.iter().map(|p| p.id.clone()).collect();
    let ratios: Vec<String> = part.pool_ratios.iter().map(|r| r.to_string()).collect();
    let setting = &part.setting;
    said.push(state(
        "What was compared",
        format!(
            "{} ({}) against random sampling, on {} ({}), at pool ratio γ = {}, with {seeds} per problem. Every run starts from {} \
             labels and adds {} in each of {}.",
            count(part.methods.len(), "query method"),
            list(&part.methods.iter().map(|m| m.id.clone()).collect::<Vec<_>>()),
            count(problems.len(), "problem"),
            list(&problems),
            list(&ratios),
            setting.initial,
            setting.queries,
            count(setting.steps, "step"),
        ),
    ));
    let by = |wanted: fn(&Verdict) -> bool| -> Vec<&Method> {
        part.methods.iter().filter(|m| m.robustness.as_ref().is_some_and(|r| wanted(&r.verdict))).collect()
    };
    let robust = by(|v| *v == Verdict::Robust);
    let not_robust = by(|v| *v == Verdict::NotRobust);
    let open = by(|v| matches!(v, Verdict::Undecided(_)));
    said.push(state(
        "Which methods are safe",
        if robust.is_empty() {
            "No method was shown to beat random sampling on every problem and pool ratio.".to_owned()
        } else {
            format!("Shown to beat random sampling on every problem and pool ratio of this sweep: {}.", names(&robust))
        },
    ));
    if !not_robust.is_empty() {
        let places: Vec<String> = not_robust
            .iter()
            .map(|m| {
                let worse: Vec<String> = m
                    .robustness
                    .iter()
                    .flat_map(|r| &r.cells)
                    .filter(|c| c.verdict == CellVerdict::Worse)
                    .map(cell_name)
                    .collect();
                format!("{} ({})", m.id, shortened(&worse))
            })
            .collect();
        said.push(state(
            "Which are not",
            format!("Shown to be worse than random sampling somewhere: {}.", list(&places)),
        ));
    }
    let reachable = seeds_to_reach(findings.rules.level / 2.0, 1).unwrap_or(usize::MAX);
    if !open.is_empty() {
        let why = if fewest < reachable {
            let needed = seeds_to_reach(findings.rules.level / 2.0, part.problems.len()).unwrap_or(usize::MAX);
            format!(
                "With {} nothing can be decided, whatever the numbers: \"robust\" needs at least {reachable} paired seeds, \
                 \"worse somewhere\" at least {needed}. What follows is what it looks like so far.",
                count(fewest, "seed")
            )
        } else {
            let reasons: Vec<String> = open
                .iter()
                .filter_map(|m| match &m.robustness.as_ref()?.verdict {
                    Verdict::Undecided(why) => Some(format!("{} ({})", m.id, hesitation(why))),
                    _ => None,
                })
                .collect();
            format!("Neither safe nor shown to lose: {}.", list(&reasons))
        };
        said.push(state("How sure", why));
    }
    let mut ranked: Vec<(&Method, f64)> = part.methods.iter().filter_map(|m| Some((m, overall(m)?))).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    if !ranked.is_empty() {
        let shown: Vec<String> = ranked.iter().map(|(m, v)| format!("{} {}", m.id, ratio(*v))).collect();
        let left_out: Vec<&Method> = part.methods.iter().filter(|m| overall(m).is_none()).collect();
        let left_out = if left_out.is_empty() {
            String::new()
        } else {
            format!(
                " Without an average, since a run of theirs or of random sampling is missing: {}.",
                names(&left_out)
            )
        };
        said.push(state(
            "What looks best",
            format!(
                "Area under the error curve relative to random sampling (nAUC; below 1 is better), averaged over all problems \
                 and pool ratios: {}.{left_out}",
                list(&shown)
            ),
        ));
    }
    let losing: Vec<String> = part
        .methods
        .iter()
        .filter_map(|m| {
            let cells = &m.robustness.as_ref()?.cells;
            let mut above: Vec<&CellFinding> =
                cells.iter().filter(|c| c.value.is_some_and(|v| v > 1.0 + findings.rules.margin)).collect();
            above.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
            let first = above.first()?;
            Some(format!(
                "{} in {} of {} cells, most on {} ({})",
                m.id,
                above.len(),
                cells.len(),
                cell_name(first),
                first.value.map(ratio).unwrap_or_default()
            ))
        })
        .collect();
    if !losing.is_empty() {
        said.push(state(
            "Where each loses",
            format!(
                "More than {} % above random sampling, tested or not: {}.",
                number(100.0 * findings.rules.margin),
                list(&losing)
            ),
        ));
    }
    said.extend(times(part));
    let c = &part.counts;
    if c.done < c.total() {
        said.push(state(
            "What is missing",
            format!(
                "Of {}, {} finished, {} failed, {} are unfinished and {} never started. A cell with such a run has no value \
                 and no verdict.",
                count(c.total(), "run"),
                c.done,
                c.failed,
                c.partial,
                c.absent
            ),
        ));
    }
    if setting.preset != "tuned" {
        said.push(state(
            "Caution",
            "Rankings are provisional: networks and optimisers are the published ones and have not been tuned per problem, as \
             the paper did before comparing methods.",
        ));
    }
    said
}

/// The first few places and how many more there are.
fn shortened(places: &[String]) -> String {
    const SHOWN: usize = 3;
    if places.len() <= SHOWN + 1 {
        return list(places);
    }
    format!("{} and {} more cells", places[..SHOWN].join(", "), places.len() - SHOWN)
}

fn times(part: &Part) -> Option<Statement> {
    let mut slowest: Option<(&str, &str, f64)> = None;
    let mut training = Vec::new();
    for method in &part.methods {
        for (p, row) in method.cells.iter().enumerate() {
            for time in row.iter().flatten().filter_map(|cell| cell.time) {
                training.push((part.problems[p].id.as_str(), time.training_per_entry, time.run));
                if slowest.is_none_or(|(_, _, s)| time.sampling_per_step > s) {
                    slowest = Some((&method.id, &part.problems[p].id, time.sampling_per_step));
                }
            }
        }
    }
    let longest = training.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
    let (method, problem, sampling) = slowest?;
    Some(state(
        "How long it takes",
        format!(
            "The longest runs are those on {}: {} each, {} to train one model. The slowest choice of a batch takes {} ({method} on \
             {problem}). Times were taken while other runs were under way.",
            longest.0,
            seconds(longest.2),
            seconds(longest.1),
            seconds(sampling)
        ),
    ))
}

/// The same findings for a terminal, wrapped to a width.
pub fn terminal_summary(findings: &Findings, width: usize) -> String {
    let mut out = String::new();
    for (i, part) in findings.parts.iter().enumerate() {
        if findings.parts.len() > 1 {
            let s = &part.setting;
            let place = format!("Setting {} of {}", i + 1, findings.parts.len());
            out += &format!("{place}: engine {}, {}, {} networks\n", s.engine, s.platform, s.preset);
        }
        for said in statements(part, findings) {
            out += &wrapped(&format!("{}: {}", said.topic, said.text), width.max(40));
        }
    }
    out
}

fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            out += &line;
            out.push('\n');
            line = "  ".to_owned();
        } else if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    out += &line;
    out.push('\n');
    out
}
