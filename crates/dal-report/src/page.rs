//! The page: one HTML file that needs nothing beside it.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use dal_eval::{CurveSpan, Direction, METRICS};

use crate::data::{ReportData, RunStatus, Sweep};
use crate::figure::Figure;
use crate::findings::{EntryMeasure, ErrorKind, Findings, Part};
use crate::style::{colour, dash, marker, page_rules};
use crate::summary::{own_title, part_title, seed_range, statements};
use crate::svg;
use crate::table::{Table, glued};
use crate::text::{count, list, ratio_name};

/// Everything that one part of the page shows.
pub(crate) struct PartContent {
    pub(crate) robustness: Table,
    pub(crate) overview: Table,
    pub(crate) n_auc: Table,
    pub(crate) n_div: Table,
    pub(crate) labels: Table,
    pub(crate) ranks: Option<Table>,
    pub(crate) wins: Table,
    pub(crate) transfer: Option<Table>,
    pub(crate) times: Table,
    pub(crate) training: Table,
    pub(crate) problems: Table,
    /// Inputs and outputs of users' problems.
    pub(crate) columns: Option<Table>,
    pub(crate) errors: Table,
    pub(crate) cells: Table,
    /// How much of the area a method could change.
    pub(crate) area: Table,
    /// Other readings of the same curves.
    pub(crate) beside: Option<Table>,
    /// What was learned: members, networks of strategies, uncertainty, errors by output.
    pub(crate) learned: Vec<Table>,
    /// What is measured at every entry beside the error.
    pub(crate) by_entry: Vec<Figure>,
    pub(crate) failed_labels: Option<Table>,
    pub(crate) incomplete: Option<Table>,
    /// Every method against Random.
    pub(crate) glance: Option<Figure>,
    /// Learning curves, each with the table behind it.
    pub(crate) curves: Vec<(Figure, Table)>,
    /// nAUC and nDiv against γ, by problem.
    pub(crate) against_ratio: Vec<Figure>,
    /// nAUC and nDiv together, by γ.
    pub(crate) combined: Vec<Figure>,
    /// Mean ranks, by γ.
    pub(crate) rank_figures: Vec<Figure>,
}

/// What the caller knows about this report.
pub(crate) struct PageInfo<'a> {
    /// Version of the program.
    pub(crate) version: &'a str,
    /// When it was made, in words; empty if not told.
    pub(crate) made: &'a str,
    /// Comparisons with other stores: a sentence and its tables.
    pub(crate) compared: &'a [(String, Vec<Table>)],
    /// Weight of the moving average of the drawn curves, if there is one.
    pub(crate) smoothing: Option<f64>,
    /// What the page lacks because it could not be read, with the reasons.
    pub(crate) unreadable: &'a [(String, String)],
}

pub(crate) const CSS: &str = include_str!("page.css");
pub(crate) const JS: &str = include_str!("page.js");

/// The whole page.
pub(crate) fn page(
    data: &ReportData,
    findings: &Findings,
    parts: &[PartContent],
    provenance: &Table,
    info: &PageInfo<'_>,
) -> String {
    let css = CSS.replace("LIGHT", &page_rules(false)).replace("DARK", &page_rules(true));
    let several = parts.len() > 1;
    let titles = titles(findings);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // No network, no frames, nothing but what is in this file.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
                link rel="icon" href="data:,";
                title { (titles.1) }
                style { (PreEscaped(css)) }
            }
            body {
                header {
                    h1 { (titles.0) }
                    p.soft {
                        "Report on " (runs_words(data)) " in " code { (data.source) } "."
                        @if !info.made.is_empty() { " Made " (info.made) "." }
                        " " button.theme type="button" hidden { "Light / dark" }
                    }
                    nav aria-label="Contents" {
                        @for (i, (part, content)) in findings.parts.iter().zip(parts).enumerate() {
                            @let prefix = prefix(i, several);
                            @if several {
                                p { a href={ "#" (prefix) "part" } { "Part " (i + 1) } ": " (part_title(part, &findings.parts)) }
                            }
                            ul {
                                @for (id, title) in sections(part, content) {
                                    li { a href={ "#" (prefix) "section-" (id) } { (title) } }
                                }
                                @if !several { (general_links(info)) }
                            }
                        }
                        @if several { ul { (general_links(info)) } }
                    }
                }
                main {
                    @if parts.is_empty() {
                        p { "The store holds no runs yet. " code { "dal bench run SWEEP.toml --store DIR" } " makes some." }
                    }
                    @if several {
                        p { "The store holds runs that must not be mixed, such as those of two protocols, engines or platforms: each of the "
                            (parts.len()) " parts below stands for itself." }
                    }
                    @for (i, (part, content)) in findings.parts.iter().zip(parts).enumerate() {
                        (part_section(part, content, findings, info, i, several))
                    }
                    @if !info.compared.is_empty() {
                        section {
                            h2 id="section-compared" { "Beside other stores" }
                            p { "Runs are paired by seed. A cell changed only if max-T over all common cells says so at 2.5 % in its direction;
                                differences of time are not tested." }
                            @for (sentence, tables) in info.compared {
                                @if !sentence.is_empty() { p { (glued(sentence)) } }
                                @for table in tables { (table.html_folded()) }
                            }
                        }
                    }
                    (metrics_section(findings))
                    (provenance_section(data, findings, provenance, info.unreadable))
                }
                footer {
                    p { "Written by dal " (info.version) ". Figures and tables lie beside this page as SVG, PDF, CSV, LaTeX and Markdown." }
                }
                script { (PreEscaped(JS)) }
            }
        }
    };
    markup.into_string()
}

/// The page's heading and its title: of users' own problems they speak of these.
fn titles(findings: &Findings) -> (String, String) {
    let problems = || findings.parts.iter().flat_map(|part| &part.problems);
    let own: Vec<String> = problems().filter_map(own_title).collect::<BTreeSet<_>>().into_iter().collect();
    if own.is_empty() || problems().any(|problem| problem.own.is_none()) {
        (
            "Which query method to use for active learning of regression surrogates".into(),
            "Active learning benchmark: findings".into(),
        )
    } else {
        (format!("Learning {}", list(&own)), format!("{}: active learning", list(&own)))
    }
}

/// Every section that a part may have.
const SECTIONS: [(&str, &str); 9] = [
    ("verdict", "Findings"),
    ("curves", "Learning curves"),
    ("cells", "By problem and γ"),
    ("ranks", "Methods against each other"),
    ("learned", "What was learned"),
    ("times", "Times"),
    ("problems", "Problems and networks"),
    ("failed-labels", "Failed labels"),
    ("missing", "Failures"),
];

/// The sections of a part that hold something; nothing is concluded from timings.
fn sections(part: &Part, content: &PartContent) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let timing = part.setting.timing;
    let (learned, failed) = (!content.learned.is_empty(), content.failed_labels.is_some());
    SECTIONS.iter().filter(move |(id, _)| match *id {
        "cells" | "ranks" => !timing,
        "learned" => learned,
        "failed-labels" => failed,
        _ => true,
    })
}

fn general_links(info: &PageInfo<'_>) -> Markup {
    html! {
        @if !info.compared.is_empty() { li { a href="#section-compared" { "Beside other stores" } } }
        li { a href="#section-metrics" { "What the numbers mean" } }
        li { a href="#section-provenance" { "Provenance and how to repeat it" } }
    }
}

/// Where more about a statement stands: the section, and what the link says.
fn further(topic: &str, prefix: &str) -> Option<(String, &'static str)> {
    Some(match topic {
        "How sure" => ("section-metrics".into(), "How verdicts are reached"),
        "On what evidence" => ("section-provenance".into(), "The command that repeats it"),
        "Where each loses" => (format!("{prefix}overview-caption"), "Every cell at a glance"),
        "How long it takes" => (format!("{prefix}section-times"), "All times"),
        "What is missing" => (format!("{prefix}section-missing"), "Which runs"),
        "What did not learn" => (format!("{prefix}section-learned"), "All counts"),
        "Networks of the methods" => (format!("{prefix}auxiliary-caption"), "Every cell"),
        "Other readings" => (format!("{prefix}beside-caption"), "All of them"),
        "What a method could change" => (format!("{prefix}area-caption"), "Problem by problem"),
        "Failed labels" => (format!("{prefix}section-failed-labels"), "Where, and the last words"),
        "Not as published" => (format!("{prefix}section-problems"), "Problem by problem"),
        _ => return None,
    })
}

/// What ids of a part start with.
pub(crate) fn prefix(part: usize, several: bool) -> String {
    if several { format!("s{}-", part + 1) } else { String::new() }
}

fn heading(prefix: &str, id: &str) -> Markup {
    let title = SECTIONS.iter().find(|(key, _)| *key == id).map(|(_, title)| *title).unwrap_or(id);
    html! { h2 id={ (prefix) "section-" (id) } { (title) } }
}

fn part_section(
    part: &Part,
    content: &PartContent,
    findings: &Findings,
    info: &PageInfo<'_>,
    index: usize,
    several: bool,
) -> Markup {
    let prefix = prefix(index, several);
    let timing = part.setting.timing;
    html! {
        section.part id={ (prefix) "part" } aria-label=[several.then(|| format!("Part {}", index + 1))] {
            @if several {
                h2.part { "Part " (index + 1) ": " (part_title(part, &findings.parts)) }
            }
            (heading(&prefix, "verdict"))
            div.opening {
                dl.answers {
                    @for said in statements(part, findings) {
                        dt { (said.topic) }
                        dd {
                            (glued(&said.text))
                            @if !said.items.is_empty() { ul { @for item in &said.items { li { (glued(item)) } } } }
                            @if let Some((target, words)) = further(said.topic, &prefix) { " " a href={ "#" (target) } { (words) } "." }
                        }
                    }
                }
                @if let Some(figure) = content.glance.as_ref().filter(|_| !timing) {
                    div.glance {
                        (figure_html(figure, &figure.values()))
                        p.soft { "Small dots are the cells (one problem at one γ); the mark is their average, the bar its 95 % interval." }
                    }
                }
            }
            @if !part.methods.is_empty() && !timing { (content.robustness.html()) (content.overview.html()) }
            (controls(part, content, &prefix))
            (heading(&prefix, "curves"))
            p { "Error against labels: geometric mean over seeds. For MSE the band is one standard deviation of its logarithm, drawn for
                every method while no more than five are chosen, else for random sampling alone. Where a seed is missing or failed
                there is no mean: the single runs are drawn as thin lines. Other errors can be chosen above."
                @if part.problems.iter().any(|p| p.pooled) {
                    " Errors of your own problems are pooled: every output is divided by its standard deviation over the test labels
                    first, so that 1 is what the best constant scores; in their own units they stand under What was learned."
                }
                @if let Some(weight) = info.smoothing {
                    " Curves and their tables are smoothed by an exponential moving average with weight " (weight)
                    "; every other number is of the curves as measured."
                }
            }
            (keys(part))
            div.figures {
                @for (figure, table) in &content.curves { (figure_html(figure, table)) }
            }
            @if content.curves.is_empty() { p { "Nothing was recorded yet." } }
            (content.errors.html_folded())
            @if !timing { (heading(&prefix, "cells")) }
            @if !part.methods.is_empty() && !timing {
                (content.n_auc.html_folded())
                (content.n_div.html_folded())
                p.soft { "Figures of both tables: nAUC with 95 % intervals of each cell by itself, nDiv, and the two together." }
                div.figures {
                    @for figure in content.against_ratio.iter().chain(&content.combined) { (figure_html(figure, &figure.values())) }
                }
                (content.labels.html_folded())
                @if let Some(table) = &content.beside { (table.html_folded()) }
                (content.area.html())
                @if let Some(table) = &content.transfer { (table.html()) }
                (content.cells.html_folded())
            }
            @if !timing {
                (heading(&prefix, "ranks"))
                @match &content.ranks {
                    Some(table) => (table.html()),
                    None => p { "No (problem, seed) block has a value for every method, so nothing can be ranked." },
                }
                div.figures { @for figure in &content.rank_figures { (figure_html(figure, &figure.values())) } }
                @if !part.methods.is_empty() { (content.wins.html()) }
            }
            @if !content.learned.is_empty() {
                (heading(&prefix, "learned"))
                @for table in &content.learned { (table.html_folded()) }
                @if !content.by_entry.is_empty() {
                    p { "From entry to entry, medians over the runs that have come so far; which of these measures is shown can be chosen
                        above. The level line stands at 0.9 of the coverage and at 0 of the correlations." }
                    div.figures { @for figure in &content.by_entry { (figure_html(figure, &figure.values_at(10))) } }
                }
            }
            (heading(&prefix, "times"))
            (content.training.html())
            (content.times.html_folded())
            (heading(&prefix, "problems"))
            (content.problems.html())
            @if let Some(table) = &content.columns { (table.html()) }
            @if let Some(table) = &content.failed_labels {
                (heading(&prefix, "failed-labels"))
                (table.html_folded())
            }
            (heading(&prefix, "missing"))
            @match &content.incomplete {
                Some(table) => (table.html_folded()),
                None => p { "None: every one of the " (count(part.counts.total(), "run")) " is finished." },
            }
            @let notes = notes(part);
            @if !notes.is_empty() {
                h3 { "Remarks of the methods" }
                ul { @for note in notes { li { (note) } } }
            }
        }
    }
}

/// Distinct remarks of each method with the problems they were made on.
fn notes(part: &Part) -> Vec<String> {
    let mut by_note: std::collections::BTreeMap<(String, String), Vec<&str>> = std::collections::BTreeMap::new();
    for m in &part.methods {
        for (p, row) in m.cells.iter().enumerate() {
            for note in row.iter().flatten().flat_map(|c| &c.notes) {
                let problems = by_note.entry((m.id.clone(), note.clone())).or_default();
                if problems.last() != Some(&part.problems[p].id.as_str()) {
                    problems.push(&part.problems[p].id);
                }
            }
        }
    }
    by_note
        .into_iter()
        .map(|((method, note), problems)| format!("{method} on {}: {note}", problems.join(", ")))
        .collect()
}

/// A line with the dash and marker of a style.
pub(crate) fn key(style: usize) -> Markup {
    let pattern: Vec<String> = dash(style).iter().map(|d| d.to_string()).collect();
    let corners: Vec<String> = marker(style)
        .into_iter()
        .flatten()
        .map(|(x, y)| format!("{:.1},{:.1}", 18.0 + 4.2 * x, 7.0 + 4.2 * y))
        .collect();
    html! {
        svg class={ "key c" (colour(style)) } viewBox="0 0 36 14" aria-hidden="true" focusable="false" {
            path d="M0 7H36" stroke="currentColor" stroke-width="2" stroke-dasharray=(pattern.join(" ")) {}
            @if !corners.is_empty() { polygon points=(corners.join(" ")) fill="currentColor" {} }
        }
    }
}

/// Names with their lines, for print and for pages without scripts, where the controls are not shown.
fn keys(part: &Part) -> Markup {
    html! {
        ul.keys {
            @for (name, style) in series(part) { li { (key(style)) (name) } }
        }
    }
}

/// Random and the methods with their styles.
fn series(part: &Part) -> Vec<(&str, usize)> {
    std::iter::once(("random", part.random_style))
        .chain(part.methods.iter().map(|m| (m.id.as_str(), m.style)))
        .collect()
}

fn controls(part: &Part, content: &PartContent, prefix: &str) -> Markup {
    let is_there = |m: &EntryMeasure| content.by_entry.iter().any(|figure| figure.metric == Some(m.id()));
    let measures: Vec<EntryMeasure> = EntryMeasure::ALL.into_iter().filter(is_there).collect();
    html! {
        div.controls role="group" aria-label="Filter figures and tables" {
            label { "Problem "
                select name="problem" id={ (prefix) "filter-problem" } {
                    option value="" { "all" }
                    @for problem in &part.problems { option value=(problem.id) { (problem.id) } }
                }
            }
            label { "Pool ratio "
                select name="ratio" id={ (prefix) "filter-ratio" } {
                    // The first ratio is chosen to begin with: all at once would be a wall of figures.
                    @for (i, ratio) in part.pool_ratios.iter().enumerate() {
                        option value=(ratio) selected[i == 0] { (ratio_name(*ratio)) }
                    }
                    option value="" { "all" }
                }
            }
            label { "Error "
                select name="metric" id={ (prefix) "filter-metric" } {
                    @for kind in ErrorKind::ALL { option value=(kind.id()) { (kind.name()) } }
                }
            }
            @if !measures.is_empty() {
                label { "Beside it "
                    select name="measure" id={ (prefix) "filter-measure" } {
                        @for measure in &measures { option value=(measure.id()) { (measure.name()) } }
                    }
                }
            }
            fieldset {
                legend { "Methods" }
                @for (name, style) in series(part) {
                    label { input type="checkbox" value=(style) checked; (key(style)) (name) }
                }
                button.all type="button" { "all / none" }
            }
            span.soft role="status" {}
        }
    }
}

pub(crate) fn figure_html(figure: &Figure, table: &Table) -> Markup {
    let stops = serde_json::to_string(&figure.stops).unwrap_or_default().replace('<', "\\u003c");
    let n_stops = figure.stops.len();
    html! {
        figure id={ "figure-" (figure.id) } data-problem=[figure.problem.as_deref()] data-ratio=[figure.ratio] data-metric=[figure.metric] data-stops=(n_stops) {
            figcaption { (glued(&figure.title)) }
            (PreEscaped(svg::for_page(&figure.on_page)))
            details { summary { "In words and as a table" }
                p.alt { (figure.alt) }
                (table.html())
            }
            script type="application/json" { (PreEscaped(stops)) }
        }
    }
}

fn metrics_section(findings: &Findings) -> Markup {
    html! {
        section {
            h2 id="section-metrics" { "What the numbers mean" }
            dl {
                @for card in METRICS {
                    dt { strong { (card.title) } " (" (card.unit) "; "
                        (match card.direction {
                            Direction::LowerIsBetter => "lower is better",
                            Direction::HigherIsBetter => "higher is better",
                            Direction::Descriptive => "descriptive",
                        }) ")" }
                    dd { (card.formula) ". Example: " (card.example) "." }
                }
            }
            @if findings.span == CurveSpan::FromFirstStep {
                p { strong { "In this report nAUC is over entries 1..T: the initial model does not count." } }
            }
            h3 { "How verdicts are reached" }
            p { "Runs of different methods are paired by seed: the same initial labels, candidates, test points and initial weights.
                Single cells are better or worse by one step-down max-T over all cells of all methods, one-sided at half the level each way
                (2.5 % of 5 %; of a planned look's level where there are looks), signs flipped jointly over the methods and pool ratios of
                a problem and seed; so the chance of any false \"worse\" in one part of the page is at most that, and that of any false \"better\" (parts, of
                another network or protocol, are families of their own). A
                method is called robust if, in every cell, Wilcoxon's one-sided signed-rank test of ln nAUC rejects \"not better than
                random sampling\" (intersection–union: its p is the largest of its cells'), after Holm over the methods, at half the level;
                it is called not robust if some cell of it is worse; otherwise it is undecided. All this holds as far as ln ratios vary
                symmetrically about their middle. A cell is equal only if the interval of nAUC at 1 − 2 · level (90 % of 5 %) lies within
                ± 2 %: two one-sided tests of that cell by itself. The method that is named first was picked as the best of several, so its
                interval there is at 1 − 5 % / (methods compared); those of tables and figures are at 95 %." }
            p { "Nothing is left out for its result. A failed, unfinished or missing run leaves its cell without a value and without a
                verdict: means over the surviving seeds would favour methods whose bad runs fail. Runs that did not learn, and runs with
                members that collapsed, are in every average and are counted. A problem that random sampling itself does not learn (median
                of its last error above half the variance of the test labels) is left out of rankings as a whole, whatever the methods
                did there. Where a sweep planned its looks, verdicts rest on the seeds of the last look passed, at that look's level; before
                the first look there are estimates and intervals alone, of the seeds that are over, and what seeds beyond the last look
                say is exploratory. A method that was given no seeds for a later look keeps the verdicts of the one before. Verdicts of
                a sweep without looks that was planned with several numbers of seeds are exploratory, too, if a page was the reason. Where the
                sweeps behind the runs plan different looks there are no verdicts." }
        }
    }
}

fn provenance_section(
    data: &ReportData,
    findings: &Findings,
    provenance: &Table,
    unreadable: &[(String, String)],
) -> Markup {
    // A sweep that was recorded on two platforms is shown once.
    let mut sweeps: Vec<&Sweep> = Vec::new();
    for sweep in &data.sweeps {
        if !sweeps.iter().any(|own| own.name == sweep.name && own.text == sweep.text) {
            sweeps.push(sweep);
        }
    }
    let commands: BTreeSet<String> =
        data.provenance.iter().map(|(c, _)| c.command.join(" ")).filter(|c| !c.is_empty()).collect();
    html! {
        section {
            h2 id="section-provenance" { "Provenance and how to repeat it" }
            @if !provenance.rows.is_empty() { (provenance.html()) }
            ul {
                @for (i, part) in findings.parts.iter().enumerate() {
                    @let s = &part.setting;
                    @let (fewest, most) = seed_range(part);
                    li {
                        @if findings.parts.len() > 1 { "Part " (i + 1) ": engine " } @else { "Engine " }
                        code { (s.engine) } ", platform " code { (s.platform) } ", results revision " (s.results_revision) "; "
                        @if fewest == most { (most) } @else { (fewest) "–" (most) } " seeds."
                    }
                }
            }
            h3 { "To repeat it" }
            p { "Save the sweep file below under its name, then run:" }
            pre tabindex="0" { code {
                @for sweep in &sweeps { "dal bench run " (sweep.name) ".toml --store DIR\n" }
                "dal report DIR --out DIR/report"
            } }
            @if !commands.is_empty() {
                p { "The command lines as they were given:" }
                pre tabindex="0" { code { @for command in &commands { (command) "\n" } } }
            }
            @for sweep in &sweeps {
                details {
                    summary { "Sweep file " (sweep.name) ".toml" @if !sweep.title.is_empty() { ": " (sweep.title) } }
                    pre tabindex="0" { code { (sweep.text) } }
                }
            }
            @if !unreadable.is_empty() {
                h3 { "Could not be read" }
                ul { @for (name, why) in unreadable { li { code { (name) } ": " (why) } } }
            }
        }
    }
}

/// How many runs there are, and how many of them are finished where some are not.
fn runs_words(data: &ReportData) -> String {
    let (all, done) = (data.runs.len(), data.runs.iter().filter(|run| run.status == RunStatus::Done).count());
    if done == all { count(all, "run") } else { format!("{} planned, {done} of them finished", count(all, "run")) }
}
