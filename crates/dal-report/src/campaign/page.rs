//! The page of a campaign: one HTML file that needs nothing beside it.

use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::data::{CampaignData, JudgedBy, ModelData, Picks, RoundKind, Trend};
use super::words::{answers, failing_in_words};
use super::{charts, effects, tables};
use crate::error::ReportError;
use crate::figure::Figure;
use crate::files::Files;
use crate::page::{CSS, JS, figure_html, key};
use crate::style::{colour, marker, page_rules};
use crate::table::{Table, glued};
use crate::text::{count, list, typeset as number};

/// Scripts of a page that is served while the campaign goes on.
const LIVE_JS: &str = include_str!("live.js");

/// Pictures of curves along inputs, at most.
const MOST_CURVES: usize = 12;
/// Inputs that importance is drawn for, at most; the table has all.
const MOST_BARS: usize = 12;
/// Inputs whose pairs points are drawn over.
const PAIRED: usize = 3;

/// Renders the page of a campaign. A page that is served (`live`) renews itself.
pub fn campaign_page(data: &CampaignData, live: bool) -> String {
    let css = CSS.replace("LIGHT", &page_rules(false)).replace("DARK", &page_rules(true));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; {}base-uri 'none'; \
         form-action 'none'",
        if live { "connect-src 'self'; " } else { "" }
    );
    let title = format!("{}: campaign", data.problem);
    let sections = sections(data);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(css)) }
            }
            body.campaign {
                header {
                    h1 { "A model of " (data.problem) " from " (count(data.labels, "label")) }
                    p.soft {
                        @if !data.about.is_empty() { (data.about) ". " }
                        "Report on the campaign in " code { (data.folder) }
                        @if !data.made.is_empty() { ", made " span.made { (data.made) } }
                        ". "
                        button.theme type="button" hidden { "Light / dark" }
                    }
                    @if live {
                        p.live.soft {
                            label { input.renew type="checkbox" checked; " renew this page as the campaign goes on" } " "
                            span role="status" {}
                        }
                    }
                    nav aria-label="Contents" {
                        ul { @for (id, title, _) in &sections { li { a href={ "#section-" (id) } { (title) } } } }
                    }
                }
                main {
                    (opening(data))
                    @for (id, title, content) in &sections {
                        section aria-labelledby={ "section-" (id) } {
                            h2 id={ "section-" (id) } { (title) }
                            (content)
                        }
                    }
                }
                footer { p { "Written by dal " (data.version) "." } }
                script { (PreEscaped(JS)) }
                @if live { script { (PreEscaped(LIVE_JS)) } }
            }
        }
    };
    markup.into_string()
}

/// Writes the page of a campaign as `report.html` into a folder, which is made if it is not there, and says where.
///
/// # Errors
/// [`ReportError::Io`] with the file; then the page that was there is there still.
pub fn write_campaign_page(data: &CampaignData, out: &Path) -> Result<PathBuf, ReportError> {
    let mut files = Files::begin(out)?;
    files.add("report.html", campaign_page(data, false))?;
    files.place()?;
    Ok(out.join("report.html"))
}

/// The five questions.
fn opening(data: &CampaignData) -> Markup {
    html! {
        dl.answers {
            @for answer in answers(data) {
                dt { (answer.question) }
                dd {
                    (in_code(&answer.text))
                    @if !answer.items.is_empty() { ul { @for item in &answer.items { li { (in_code(item)) } } } }
                    @if let Some((id, words)) = answer.more {
                        " " a href={ "#" (id) } { (words) } "."
                    }
                }
            }
        }
    }
}

/// Text in which a command at the beginning, and what stands between backticks, is set as code.
fn in_code(text: &str) -> Markup {
    let command = text.starts_with("dal ").then(|| text.split_once(": ")).flatten();
    let (command, rest) = command.map_or((None, text), |(command, why)| (Some(command), why));
    let parts: Vec<&str> = rest.split('`').collect();
    // An odd backtick is none.
    let paired = parts.len() % 2 == 1;
    html! {
        @if let Some(command) = command { code { (command) } ": " }
        @if !paired { (glued(rest)) }
        @else {
            @for (place, part) in parts.iter().enumerate() {
                @if place % 2 == 1 { code { (part) } } @else { (glued(part)) }
            }
        }
    }
}

type Section = (&'static str, &'static str, Markup);

fn sections(data: &CampaignData) -> Vec<Section> {
    vec![
        ("errors", "Error now and over the labels", errors(data)),
        ("foretold", "Predicted against measured", foretold(data)),
        ("points", "Points: answered, pending, failed", points(data)),
        ("unsure", "Where the model is unsure", unsure(data)),
        ("dependence", "How outputs depend on inputs", dependence(data)),
        ("importance", "Which inputs matter", importance(data)),
        ("asked", "What was asked and why", asked(data)),
        ("network", "The model and how it was chosen", network(data)),
        ("stopping", "When to stop", stopping(data)),
        ("repeat", "How to repeat it", repeat(data)),
    ]
}

/// A figure with the values behind it.
fn shown(figure: &Figure) -> Markup {
    let mut values: Table = figure.values();
    values.columns[0] = "series".into();
    figure_html(figure, &values)
}

/// What a legend shows beside a name.
#[derive(Clone, Copy)]
enum Sign {
    /// A line with its dash and mark.
    Line,
    /// The mark alone; a ring where the style has none.
    Mark,
    /// The same; a dot where the style has none.
    Dot,
    /// A bar.
    Bar,
}

impl Sign {
    fn drawn(self, style: usize) -> Markup {
        let corners: Vec<String> = marker(style)
            .into_iter()
            .flatten()
            .map(|(x, y)| format!("{:.1},{:.1}", 7.0 + 5.0 * x, 7.0 + 5.0 * y))
            .collect();
        let svg = |content: Markup| {
            html! {
                svg class={ "sign c" (colour(style)) } viewBox="0 0 14 14" aria-hidden="true" focusable="false" { (content) }
            }
        };
        match self {
            Self::Line => key(style),
            Self::Bar => svg(html! { rect x="0" y="2" width="14" height="10" fill="currentColor" opacity="0.55" {} }),
            Self::Mark | Self::Dot if !corners.is_empty() => {
                svg(html! { polygon points=(corners.join(" ")) fill="currentColor" {} })
            }
            Self::Dot => svg(html! { circle cx="7" cy="7" r="3.5" fill="currentColor" opacity="0.55" {} }),
            Self::Mark => svg(html! {
                circle cx="7" cy="7" r="4.5" fill="none" stroke="currentColor" stroke-width="1.5" {}
            }),
        }
    }
}

/// Figures side by side, with what their colours and marks mean.
fn figures(figures: &[Figure], sign: Sign, legend: &[(usize, String)]) -> Markup {
    html! {
        @if !legend.is_empty() {
            ul.legend { @for (style, name) in legend { li { (sign.drawn(*style)) (name) } } }
        }
        div.figures { @for figure in figures { (shown(figure)) } }
    }
}

/// That not all outputs are shown.
fn of_many(data: &CampaignData) -> Markup {
    let names: Vec<String> = data.outputs.iter().map(|output| output.name.clone()).collect();
    html! {
        @if data.n_outputs > data.outputs.len() {
            p.soft { "Of " (data.n_outputs) " outputs this page draws " (list(&names)) "." }
        }
    }
}

fn errors(data: &CampaignData) -> Markup {
    let mut trends: Vec<Figure> = Vec::new();
    for (k, of) in data.trend.iter().enumerate() {
        // The last one is that of all outputs together, which one output by itself does not need.
        if k == data.outputs.len() && data.n_outputs == 1 {
            continue;
        }
        trends.extend(charts::trend(of, data.outputs.get(k), &data.scope(), format!("trend-{k}")));
    }
    let used = |place: usize| {
        let series = |t: &Trend| [&t.validated, &t.foretold, &t.drawn, &t.never_learned][place].is_empty();
        !data.trend.iter().all(series)
    };
    let names = charts::TREND_STYLES.into_iter().zip(charts::trend_names(&data.scope())).enumerate();
    let legend: Vec<(usize, String)> = names.filter(|(place, _)| used(*place)).map(|(_, of)| of).collect();
    let has_intervals = data.errors.iter().any(|of| of.best.is_some_and(|(estimate, _)| estimate.interval.is_some()));
    html! {
        @if data.errors.iter().all(|of| of.best.is_none()) { p { "No error is known yet." } }
        @else { (tables::errors(data).html_stacked()) }
        (of_many(data))
        @match data.errors.iter().find_map(|of| of.best) {
            Some((_, JudgedBy::CrossValidation { .. })) => p {
                "Cross-validation trains on two thirds of the labels and predicts the rest, in turn."
                @if !matches!(data.picked(), None | Some(Picks::Evenly)) {
                    " The labels lie where rounds asked, not evenly over the space, so its error is no promise about a point of
                    your own."
                }
            },
            Some(_) if has_intervals => p { "The intervals allow for few and skewed errors (a bootstrap of the logarithm)." },
            _ => {}
        }
        @if trends.is_empty() {
            @match data.rounds.iter().filter(|round| matches!(round.kind, RoundKind::Rule(_))).count() {
                0 => p { "There is no round after the first design yet, so nothing changes over the labels." },
                n => p { "The " (count(n, "round")) " after the first design brought nothing yet that an error could be taken from." }
            }
        }
        @else { (figures(&trends, Sign::Line, &legend)) }
    }
}

/// How hard the points of rounds are, by how they were picked.
fn harder(picks: Option<Picks>) -> &'static str {
    match picks {
        None | Some(Picks::Evenly) => {
            "Points of a round are drawn uniformly, so they are as hard as the rest of the space."
        }
        Some(Picks::Space) => {
            "Points of a round are spread over the space whatever the model says, so they are about as hard as the rest of it."
        }
        Some(Picks::Drawn { by_spread: true }) => {
            "More points of a round lie where the model is less sure: as a rule they are harder than the rest of the space, \
             except those that are never learned."
        }
        Some(Picks::Best { by_spread: true }) => {
            "Points of a round are chosen where the model is least sure: as a rule they are harder than the rest of the space, \
             except those that are never learned."
        }
        Some(Picks::Drawn { .. } | Picks::Best { .. }) => {
            "Points of a round are chosen where the rule expects to learn most, so they do not stand for the whole space, \
             except those that are never learned."
        }
    }
}

fn foretold(data: &CampaignData) -> Markup {
    let drawn: Vec<Figure> = data
        .outputs
        .iter()
        .enumerate()
        .filter_map(|(k, output)| charts::foretold(&data.foretold, output, k, format!("foretold-{k}")))
        .collect();
    let newest = charts::newest(&data.foretold);
    let last = charts::last_learned(newest);
    let audited = newest.iter().any(|p| p.audit);
    let legend: Vec<(usize, String)> = charts::FORETOLD_SERIES
        .iter()
        .filter(|(style, _)| newest.iter().any(|p| charts::foretold_style(p, last) == *style))
        .map(|(style, name)| (*style, (*name).to_owned()))
        .collect();
    html! {
        @if drawn.is_empty() { p { "No point was predicted before it was measured yet." } }
        @else {
            p { "Each point as the model of that round predicted it before it was measured"
                @if audited {
                    "; points of audits, which no model learns, as the "
                    @if let Some(model) = &data.model { "model of " (model.n_labelled) " labels" } @else { "newest model" }
                    " predicts them"
                }
                ". So nothing here was fitted. "
                (harder(data.picked()))
                " Bars are one standard deviation of the ensemble"
                @if data.outputs.iter().any(|output| output.log) { ", on a logarithmic axis those of a log-normal law of that deviation" }
                "."
                @if data.foretold.len() > charts::MOST_POINTS { " Only the newest " (charts::MOST_POINTS) " of " (data.foretold.len()) " are drawn." }
            }
            (figures(&drawn, Sign::Mark, &legend))
        }
    }
}

/// The pairs of inputs that points are drawn over: inputs in which failed points differ, then those that matter most.
fn pairs(data: &CampaignData) -> Vec<(usize, Option<usize>)> {
    let varying = (0..data.inputs.len()).filter(|i| data.inputs[*i].kind.is_some());
    let mut order: Vec<usize> = data.failing.iter().map(|failing| failing.input()).collect();
    order.extend(data.model.iter().flat_map(|model| model.order.iter().copied()));
    order.extend(varying);
    let mut first: Vec<usize> = Vec::new();
    for input in order {
        if !first.contains(&input) && first.len() < PAIRED {
            first.push(input);
        }
    }
    match first[..] {
        [only] => vec![(only, None)],
        _ => (0..first.len())
            .flat_map(|a| (a + 1..first.len()).map(move |b| (a, b)))
            .map(|(a, b)| (first[a], Some(first[b])))
            .collect(),
    }
}

fn points(data: &CampaignData) -> Markup {
    let drawn: Vec<Figure> = if data.points.is_empty() {
        Vec::new()
    } else {
        pairs(data)
            .into_iter()
            .enumerate()
            .filter_map(|(k, pair)| charts::places(data, pair, format!("points-{k}")))
            .collect()
    };
    let differ = failing_in_words(data);
    html! {
        @if data.points.is_empty() { p { "There are no points yet." } }
        @else {
            (tables::counts(data).html())
            @if !data.failures.is_empty() { (tables::failures(data).html()) }
            @if !differ.is_empty() { p { "Failed points are not spread like the others: " (glued(&differ.join("; "))) "." } }
            @if !data.pending.is_empty() { (tables::pending(data).html_folded()) }
            @if drawn.len() > 1 && data.inputs.len() > PAIRED {
                p.soft { "Drawn over " (PAIRED) " of " (data.inputs.len()) " inputs: "
                    @if !data.failing.is_empty() { "those in which failed points differ from answered ones, then " }
                    "those that matter most." }
            }
            @if data.points.len() > charts::MOST_POINTS {
                p.soft { "Only the newest " (charts::MOST_POINTS) " of " (data.points.len()) " points are drawn." }
            }
            (figures(&drawn, Sign::Dot, &charts::state_styles(&data.points)))
        }
    }
}

/// Which model a section speaks of, or that there is none.
fn with_model(data: &CampaignData, content: impl FnOnce(&ModelData) -> Markup) -> Markup {
    html! {
        @match &data.model {
            None => p { (data.no_model) },
            Some(model) => {
                @if !model.is_current {
                    p.soft { "Of the model of " (model.n_labelled) " labels that drew the last round; that of all " (data.labels) " labels is not
                        trained yet." }
                }
                (content(model))
            }
        }
    }
}

fn unsure(data: &CampaignData) -> Markup {
    with_model(data, |model| {
        let Some(unsure) = &model.unsure else {
            return html! { p { "The model has no members that could disagree." } };
        };
        let maps: Vec<Figure> = unsure
            .maps
            .iter()
            .enumerate()
            .filter_map(|(k, map)| charts::map(data, unsure, map, format!("unsure-{k}")))
            .collect();
        let holes = unsure.maps.iter().any(|map| map.values.iter().flatten().any(Option::is_none));
        let is_mapped = |i: usize| unsure.maps.iter().any(|map| map.across == i || map.up == Some(i));
        let not_mapped: Vec<String> = match maps.is_empty() {
            true => Vec::new(),
            false => model.order.iter().filter(|i| !is_mapped(**i)).map(|i| data.inputs[*i].name.clone()).collect(),
        };
        let factors: Vec<String> = data
            .outputs
            .iter()
            .zip(&model.factors)
            .filter_map(|(output, factor)| factor.map(|f| format!("{} {}", output.name, number(f))))
            .collect();
        html! {
            p { "The spread is how far the " (model.members) " members of the ensemble lie apart, in standard deviations of the outputs,
                averaged over the inputs that are not drawn. It is the model's own doubt, and no error: where all members are wrong
                alike it is small."
                @if !factors.is_empty() { " Times " (list(&factors)) " it is a 90 % interval for a new answer." }
                @if unsure.left_out > 0.0 {
                    " Points that rather fail are left out of it (" (glued(&format!("{:.0} %", 100.0 * unsure.left_out))) " of the space)"
                    @if holes { "; a cell of a map is empty where none is left." } @else { "; every cell of the maps has others." }
                } @else if holes { " A cell of a map is empty where the space has no point." }
            }
            @if !not_mapped.is_empty() {
                p.soft { "Maps are drawn over the " (model.order.len() - not_mapped.len()) " inputs that matter most, of "
                    (model.order.len()) "; not drawn: " (list(&not_mapped)) "." }
            }
            (tables::unsure(data, unsure).html_stacked())
            (figures(&maps, Sign::Bar, &[]))
        }
    })
}

/// What a model is asked over, whether there are answers or not.
fn all_of_it(data: &CampaignData) -> String {
    match (data.failures.is_empty(), data.domain.is_empty()) {
        (true, _) => data.space().to_owned(),
        (false, true) => "all of the space (points that would fail, too)".to_owned(),
        (false, false) => format!("{} (points that would fail, too)", data.domain),
    }
}

fn dependence(data: &CampaignData) -> Markup {
    with_model(data, |model| {
        let each = (MOST_CURVES / data.outputs.len().max(1)).clamp(1, 6);
        let drawn: Vec<usize> = model.order.iter().copied().take(each).collect();
        let mut curves = Vec::new();
        for (k, (output, of)) in data.outputs.iter().zip(&model.dependence).enumerate() {
            if output.constant {
                continue;
            }
            let axis: Vec<_> = drawn.iter().filter_map(|i| of.get(*i)).collect();
            for &i in &drawn {
                if let Some(curve) = of.get(i).filter(|curve| !curve.x.is_empty()) {
                    curves.extend(effects::dependence(curve, &axis, &data.inputs[i], output, format!("curve-{k}-{i}")));
                }
            }
        }
        let logs: Vec<String> = data.outputs.iter().filter(|o| o.log).map(|o| o.name.clone()).collect();
        let constant: Vec<String> = data.outputs.iter().filter(|o| o.constant).map(|o| o.name.clone()).collect();
        let others: Vec<String> = model.order.iter().skip(each).map(|i| data.inputs[*i].name.clone()).collect();
        html! {
            @if !constant.is_empty() { p { "Constant so far, so not drawn: " (list(&constant)) "." } }
            p { "Each curve is the model's mean over " (all_of_it(data)) " with one input held (partial dependence); the
                band is where the members' own curves lie. All curves of an output share one axis, so that steep means important."
                @if !logs.is_empty() { " Of " (list(&logs)) " it is the mean of the logarithm." }
                " A mean hides what inputs do together: the next section says how much that is."
            }
            @if drawn.len() < model.order.len() {
                p.soft { "Only the " (drawn.len()) " inputs that matter most are drawn, of " (model.order.len()) "; not drawn: "
                    (list(&others)) "." }
            }
            div.small { (figures(&curves, Sign::Line, &[])) }
        }
    })
}

fn importance(data: &CampaignData) -> Markup {
    with_model(data, |model| {
        let bars: Vec<usize> = model.order.iter().copied().take(MOST_BARS).collect();
        let drawn: Vec<Figure> = data
            .outputs
            .iter()
            .zip(&model.importance)
            .enumerate()
            .filter(|(_, (output, _))| !output.constant)
            .filter_map(|(k, (output, of))| {
                effects::importance(of.as_ref()?, &bars, &data.inputs, output, format!("importance-{k}"))
            })
            .collect();
        let legend = [(1, "has a part in (total)".to_owned()), (2, "explains by itself (first order)".to_owned())];
        let constant: Vec<String> = data
            .outputs
            .iter()
            .zip(&model.importance)
            .filter(|(output, of)| of.is_none() && !output.constant)
            .map(|(output, _)| output.name.clone())
            .collect();
        let equal: Vec<String> = data.outputs.iter().filter(|o| o.constant).map(|o| o.name.clone()).collect();
        let others: Vec<String> = model.order.iter().skip(MOST_BARS).map(|i| data.inputs[*i].name.clone()).collect();
        html! {
            p { "Sobol's indices of the model over " (all_of_it(data)) ": if an input alone were known exactly, the variance of the output would fall by
                the lower bar; the upper bar adds what the input does together with others. They are the model's, so they are as good as it
                is: whiskers go from the smallest to the largest that a member of the ensemble gives by itself."
                @if model.dependent_inputs {
                    " Constraints, a list or a sample tie the inputs together here; the indices take each input as it is spread there, but
                    independent of the others."
                }
            }
            @if !constant.is_empty() { p { "The model says the same everywhere of " (list(&constant)) ", so that no input matters to it." } }
            @if !equal.is_empty() { p { "Constant so far, so that no input matters to it: " (list(&equal)) "." } }
            @if !others.is_empty() && !drawn.is_empty() {
                p.soft { "Drawn are the " (bars.len()) " inputs that matter most, of " (model.order.len()) "; in the table alone: "
                    (list(&others)) "." }
            }
            @if !drawn.is_empty() { (figures(&drawn, Sign::Bar, &legend)) }
            (tables::importance(data, model).html_folded())
        }
    })
}

/// What the number of points is that a round was chosen among.
fn compared(data: &CampaignData) -> Option<String> {
    let chosen =
        data.rounds.iter().any(|round| matches!(round.kind, RoundKind::Rule(_)) && round.candidates > round.points);
    let thinned = data.rounds.iter().any(|round| round.left_out > 0);
    let usual = match data.candidates {
        0 => "points".to_owned(),
        n => format!("{n} points (`candidates` in campaign.toml)"),
    };
    let left_out = match thinned {
        true => {
            " Where points have failed, some of these are left out at random beforehand, more the likelier they are to fail, too."
        }
        false => "",
    };
    chosen.then(|| {
        format!(
            "“Chosen among” is how many possible points the rule compared before it picked those of the round: it cannot look at \
             all that there could be, so that each round begins with {usual}, fresh and random, or with the rows of a table \
             that are left.{left_out}"
        )
    })
}

fn asked(data: &CampaignData) -> Markup {
    html! {
        @if data.rounds.is_empty() {
            p { "Nothing was asked for yet"
                @if data.adopted > 0 { "; " (count(data.adopted, "point")) " came without being asked for" }
                "."
            }
        }
        @else {
            p { "A round is drawn at one time: by a space-filling design at the beginning, then by a rule"
                @if !matches!(data.picked(), None | Some(Picks::Evenly | Picks::Space)) { " that looks at the model" }
                ". Disagreement is how far the members of the ensemble lay apart at the point, in the model's units; distance is that to the nearest known
                point, in a space whose every input goes from −1 to 1."
                @if data.adopted > 0 { " " (count(data.adopted, "point")) " came without being asked for." }
            }
            (tables::rounds(data).html_stacked_folded())
            @if let Some(words) = compared(data) { p.soft { (in_code(&words)) } }
            (tables::asked(data).html_folded())
        }
    }
}

fn network(data: &CampaignData) -> Markup {
    html! {
        @match &data.network {
            None => p { "No network was chosen yet: that needs labels." },
            Some(network) => {
                p {
                    @if network.trained { "In use: " } @else { "No model is trained now; the next one will be " }
                    (network.network.replace("e-", "e−")) ". " (in_code(&network.how))
                }
                @if !network.rungs.is_empty() { (tables::ladder(network).html_stacked()) }
            }
        }
    }
}

fn stopping(data: &CampaignData) -> Markup {
    html! {
        @if data.stopping.is_empty() {
            p { "No rule is set. In campaign.toml, " code { "budget" } " bounds the points that are asked for, " code { "target" } " ends a run
                when the error is shown to be below it, " code { "no_gain" } " when rounds bring nothing more." }
        } @else { (tables::stopping(data).html_stacked()) }
    }
}

fn repeat(data: &CampaignData) -> Markup {
    html! {
        p { "With the problem file below, and campaign.toml put into the campaign's folder after the first command,"
            @if data.unrepeatable.is_empty() { " these commands ask for the same points and train the same models:" }
            @else {
                " these commands repeat the campaign, though not point for point, because " (list(&data.unrepeatable)) ": which
                points are asked for next depends on when answers come. Tables that are told then need answers to the points that are
                asked for then:"
            }
        }
        pre tabindex="0" { code { @for command in &data.repeat { (command) "\n" } } }
        @for (name, text) in &data.files {
            details { summary { (name) } pre tabindex="0" { code { (text) } } }
        }
    }
}
