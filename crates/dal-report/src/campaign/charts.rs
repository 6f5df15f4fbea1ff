//! The pictures of a campaign's page: errors over labels, predicted against measured, points and spread over pairs of
//! inputs.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::data::{CampaignData, Foretold, Input, Map, Output, Place, Trend, TrendMark, Unsure};
use super::scale::{axis_of, bin_in_words, input_title, output_title, titled, value_in_words, with_unit};
use crate::canvas::{Canvas, Role};
use crate::figure::{Figure, SeriesStops, Stops};
use crate::plot::{
    Drawn, Frame, LINE, Plane, canvas_with, draw_mark, fill, framed_within, position_within, stroke, units,
};
use crate::scale::Scale;
use crate::style::dash;
use crate::text::typeset as number;

/// Points that a picture draws at most: the newest.
pub(crate) const MOST_POINTS: usize = 500;
/// The share of a map's width that its cells take; the rest is for the scale of shades.
const MAP_WIDTH: f64 = 0.86;

/// Styles of the series of errors over labels.
pub(crate) const TREND_STYLES: [usize; 4] = [1, 2, 3, 4];

/// Names of these series; some are over what is meant by the space.
pub(crate) fn trend_names(scope: &str) -> [String; 4] {
    [
        "in cross-validation, at points asked for".into(),
        "of each round's own points, before they were learned".into(),
        format!("over {scope}, by the draws of a round"),
        format!("over {scope}, by points never learned"),
    ]
}

/// The series of predicted against measured: points that were learned since, and those that no model learns.
pub(crate) const FORETOLD_SERIES: [(usize, &str); 4] = [
    (0, "earlier rounds"),
    (1, "the last round"),
    (2, "held out of learning, as predicted when drawn"),
    (4, "of an audit, never learned, as predicted now"),
];

/// The style of a point among these; `last` is the last round whose points are learned.
pub(crate) fn foretold_style(p: &Foretold, last: Option<usize>) -> usize {
    let place = match (p.audit, p.uniform) {
        (true, _) => 3,
        (false, true) => 2,
        (false, false) if Some(p.round) == last => 1,
        (false, false) => 0,
    };
    FORETOLD_SERIES[place].0
}

/// The last round whose points are learned.
pub(crate) fn last_learned<'a>(points: impl IntoIterator<Item = &'a Foretold>) -> Option<usize> {
    points.into_iter().filter(|p| !p.uniform).map(|p| p.round).max()
}

/// The points that a picture of predicted against measured draws: the newest.
pub(crate) fn newest(points: &[Foretold]) -> &[Foretold] {
    &points[points.len().saturating_sub(MOST_POINTS)..]
}

/// A figure that has one drawing for page and file.
pub(crate) fn figure(
    id: String,
    title: String,
    alt: String,
    stops: Stops,
    draw: impl FnOnce(&Canvas, &DrawingArea<Canvas, Shift>) -> Drawn<()>,
) -> Option<Figure> {
    let drawing = canvas_with(None, draw).ok()?;
    let for_paper = drawing.clone();
    Some(Figure { id, title, alt, on_page: drawing, for_paper, stops, problem: None, ratio: None, metric: None })
}

/// One stop for each mark of a picture: its place, what stands there, its series, its height.
pub(crate) struct Mark {
    pub(crate) at: (f64, f64),
    pub(crate) label: String,
    pub(crate) series: usize,
    pub(crate) value: String,
}

/// Stops of single marks, from left to right, in a frame with so much room at its left.
pub(crate) fn stops_of(left: f64, mut marks: Vec<Mark>, series: &[(usize, String)]) -> Stops {
    marks.sort_by(|a, b| a.at.0.total_cmp(&b.at.0));
    let of = |(style, name): &(usize, String)| SeriesStops {
        i: *style,
        n: name.clone(),
        y: marks.iter().map(|m| (m.series == *style).then(|| position_within(left, 0.0, m.at.1).1)).collect(),
        v: marks.iter().map(|m| if m.series == *style { m.value.clone() } else { String::new() }).collect(),
    };
    Stops {
        x: marks.iter().map(|m| position_within(left, m.at.0, 0.0).0).collect(),
        l: marks.iter().map(|m| m.label.clone()).collect(),
        s: series.iter().map(of).filter(|s| s.v.iter().any(|v| !v.is_empty())).collect(),
    }
}

/// An error with its interval.
pub(crate) fn estimate_in_words(value: f64, interval: Option<(f64, f64)>, unit: &str) -> String {
    match interval {
        Some((low, high)) => {
            format!("{} ({} to {})", with_unit(&number(value), unit), number(low), with_unit(&number(high), unit))
        }
        None => with_unit(&number(value), unit),
    }
}

/// Errors over labels of an output, or of all together.
pub(crate) fn trend(of: &Trend, output: Option<&Output>, scope: &str, id: String) -> Option<Figure> {
    let names = trend_names(scope);
    let series = [&of.validated, &of.foretold, &of.drawn, &of.never_learned];
    let (name, unit) = output.map_or(("all outputs", "standard deviations"), |o| (o.name.as_str(), o.unit.as_str()));
    let marks = || series.iter().flat_map(|marks| marks.iter());
    let ends = marks().filter_map(|m| m.interval).flat_map(|(low, high)| [low, high]);
    let y = Scale::of_values(marks().map(|m| m.value).chain(ends), true)?;
    let mut labels: Vec<usize> = marks().map(|m| m.n_labelled).collect();
    labels.sort_unstable();
    labels.dedup();
    let x = Scale::of_values(labels.iter().map(|n| *n as f64), false)?;
    let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
    // A whole number of labels alone has a tick.
    let x_ticks: Vec<(f64, String)> = x_ticks.into_iter().filter(|(_, label)| !label.contains('.')).collect();
    let title = titled("error", unit);
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: "labels", y_title: &title, y_axis: true };
    let left = frame.room();
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed_within(area, &frame, left)?;
        for (style, marks) in TREND_STYLES.iter().zip(series) {
            let at = |m: &TrendMark| (x.at(m.n_labelled as f64), y.at(m.value));
            let role = Role::Series(*style);
            let drawn: Vec<&TrendMark> = marks.iter().filter(|m| m.value > 0.0).collect();
            canvas.series(Some(*style), dash(*style));
            if drawn.len() > 1 {
                plane.draw(&PathElement::new(drawn.iter().map(|m| at(m)).collect::<Vec<_>>(), stroke(role, LINE)))?;
            }
            canvas.series(Some(*style), &[]);
            for mark in drawn {
                let (px, py) = at(mark);
                if let Some((low, high)) = mark.interval.filter(|(low, _)| *low > 0.0) {
                    plane.draw(&PathElement::new([(px, y.at(low)), (px, y.at(high))], stroke(role, 1.6)))?;
                }
                draw_mark(&plane, (px, py), *style)?;
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let of_label = |marks: &[TrendMark], n: usize| marks.iter().rev().find(|m| m.n_labelled == n).copied();
    let stops = Stops {
        x: labels.iter().map(|n| position_within(left, x.at(*n as f64), 0.0).0).collect(),
        l: labels.iter().map(|n| format!("{n} labels")).collect(),
        s: TREND_STYLES
            .iter()
            .zip(&names)
            .zip(series)
            .filter(|(_, marks)| !marks.is_empty())
            .map(|((style, name), marks)| SeriesStops {
                i: *style,
                n: name.clone(),
                y: labels
                    .iter()
                    .map(|n| of_label(marks, *n).map(|m| position_within(left, 0.0, y.at(m.value)).1))
                    .collect(),
                v: labels
                    .iter()
                    .map(|n| {
                        of_label(marks, *n).map_or(String::new(), |m| estimate_in_words(m.value, m.interval, unit))
                    })
                    .collect(),
            })
            .collect(),
    };
    let said: Vec<String> = names
        .iter()
        .zip(series)
        .filter_map(|(series, marks)| {
            let (first, last) = (marks.first()?, marks.last()?);
            let now = estimate_in_words(last.value, last.interval, unit);
            Some(match marks.len() {
                1 => format!("{series}: {now} at {} labels", last.n_labelled),
                _ => format!(
                    "{series}: from {} at {} labels to {now} at {}",
                    number(first.value),
                    first.n_labelled,
                    last.n_labelled
                ),
            })
        })
        .collect();
    let alt = format!("Error of {name} over the number of labels, on a logarithmic axis. {}.", said.join("; "));
    figure(id, format!("Error over labels: {name}"), alt, stops, draw)
}

/// Predictions of models that had not learned the points, against what was measured, of one shown output.
pub(crate) fn foretold(points: &[Foretold], output: &Output, k: usize, id: String) -> Option<Figure> {
    let shown: Vec<&Foretold> =
        newest(points).iter().filter(|p| p.measured[k].is_finite() && p.predicted[k].is_finite()).collect();
    let last = last_learned(shown.iter().copied());
    let style_of = |p: &Foretold| foretold_style(p, last);
    let values = || shown.iter().flat_map(|p| [p.measured[k], p.predicted[k]]);
    let log = output.log && values().all(|v| v > 0.0);
    let scale = Scale::of_values(values(), log)?;
    let ticks = scale.ticks();
    let (x_title, y_title) = (format!("measured: {}", output_title(output)), "predicted".to_owned());
    let frame = Frame { x_ticks: &ticks, y_ticks: &ticks, x_title: &x_title, y_title: &y_title, y_axis: true };
    let left = frame.room();
    let at = |p: &Foretold| (scale.at(p.measured[k]), scale.at(p.predicted[k]));
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed_within(area, &frame, left)?;
        plane.draw(&PathElement::new([(0.0, 0.0), (1.0, 1.0)], stroke(Role::Ink, 1.0)))?;
        for (style, _) in FORETOLD_SERIES {
            canvas.series(Some(style), &[]);
            for p in shown.iter().filter(|p| style_of(p) == style) {
                let (px, py) = at(p);
                if let Some((low, high)) = p.sd[k].and_then(|sd| bar_ends(p.predicted[k], sd, log)) {
                    let bar = [(px, scale.at(low).clamp(0.0, 1.0)), (px, scale.at(high).clamp(0.0, 1.0))];
                    plane.draw(&PathElement::new(bar, stroke(Role::Series(style), 1.0)))?;
                }
                draw_mark(&plane, (px, py), style)?;
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let marks = shown.iter().map(|p| Mark {
        at: at(p),
        label: format!("point {}", p.id),
        series: style_of(p),
        value: format!(
            "measured {}, predicted {}{}",
            number(p.measured[k]),
            number(p.predicted[k]),
            p.sd[k].map_or(String::new(), |sd| format!(" ± {}", number(sd)))
        ),
    });
    let series: Vec<(usize, String)> = FORETOLD_SERIES.iter().map(|(style, name)| (*style, (*name).into())).collect();
    let stops = stops_of(left, marks.collect(), &series);
    let title = format!("Predicted against measured: {}", output.name);
    let alt = format!(
        "{} of {}: to the right what was measured, upwards what a model said that had not learned the point; the line is \
         where both agree. Bars are one standard deviation of the ensemble.",
        crate::text::count(shown.len(), "point"),
        output_title(output)
    );
    figure(id, title, alt, stops, draw)
}

/// Ends of a bar of one standard deviation about a prediction. On a logarithmic axis those of the log-normal law with
/// the prediction p as its median and this standard deviation: p exp(±s), s² = ln((1 + √(1 + 4 (sd / p)²)) / 2).
fn bar_ends(predicted: f64, sd: f64, log: bool) -> Option<(f64, f64)> {
    if !log {
        return Some((predicted - sd, predicted + sd));
    }
    let relative = sd / predicted;
    let half = ((1.0 + (1.0 + 4.0 * relative * relative).sqrt()) / 2.0).ln().sqrt();
    (predicted > 0.0 && half.is_finite()).then(|| (predicted * (-half).exp(), predicted * half.exp()))
}

/// Styles of states, in the order of the legend: those that occur.
pub(crate) fn state_styles(points: &[Place]) -> Vec<(usize, String)> {
    let mut failed: Vec<String> = points.iter().map(|p| p.state.clone()).filter(|s| s.starts_with("failed")).collect();
    failed.sort();
    failed.dedup();
    let known = |state: &str| points.iter().any(|p| p.state == state);
    let mut styles = Vec::new();
    if known("done") {
        styles.push((0, "done".to_owned()));
    }
    for (style, state) in [(1, "asked"), (3, "running"), (5, "lost")] {
        if known(state) {
            styles.push((style, state.to_owned()));
        }
    }
    // Of kinds of failure each has a colour and a mark that no other state has.
    styles.extend(failed.into_iter().enumerate().map(|(k, state)| ([2, 4, 6, 8, 10, 12][k % 6], state)));
    styles
}

/// A shift within a whole number's or a level's width, the same at every call, so that equal points do not hide each
/// other.
fn jitter(input: &Input, id: u64, turn: f64) -> f64 {
    match input.kind {
        Some(super::data::InputKind::Number { .. }) | None => 0.0,
        _ => ((id as f64 * turn).fract() - 0.5) * 0.6,
    }
}

/// The points over a pair of inputs, or over one.
pub(crate) fn places(data: &CampaignData, pair: (usize, Option<usize>), id: String) -> Option<Figure> {
    let styles = state_styles(&data.points);
    let points = &data.points[data.points.len().saturating_sub(MOST_POINTS)..];
    let across = &data.inputs[pair.0];
    let x = axis_of(across);
    // Over one input points stand in the order in which they were asked for.
    let one = Input { name: "number of the point".into(), unit: String::new(), kind: None };
    let up = pair.1.map_or(&one, |up| &data.inputs[up]);
    let y = match pair.1 {
        Some(_) => axis_of(up),
        None => Scale::of_values(points.iter().map(|p| p.id as f64), false)?,
    };
    let (x_title, y_title) = (input_title(across), input_title(up));
    let (x_ticks, y_ticks) = (x.ticks(), y.ticks_upwards());
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: &x_title, y_title: &y_title, y_axis: true };
    let left = frame.room();
    let at = |p: &Place| {
        let height = pair.1.map_or(p.id as f64, |up| p.at[up]);
        let px = x.at(p.at[pair.0] + jitter(across, p.id, 0.618_033_988_75));
        let py = y.at(height + if pair.1.is_some() { jitter(up, p.id, 0.754_877_666_25) } else { 0.0 });
        (px.clamp(-0.02, 1.02), py.clamp(-0.02, 1.02))
    };
    let style_of = |p: &Place| styles.iter().find(|(_, state)| *state == p.state).map_or(0, |(style, _)| *style);
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed_within(area, &frame, left)?;
        for (style, state) in &styles {
            canvas.series(Some(*style), &[]);
            for p in points.iter().filter(|p| p.state == *state) {
                match style {
                    0 => plane.draw(
                        &(EmptyElement::at(at(p)) + Circle::new((0, 0), units(2.6), fill(Role::Series(0), 0.55))),
                    )?,
                    _ => draw_mark(&plane, at(p), *style)?,
                }
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let marks = points.iter().map(|p| Mark {
        at: at(p),
        label: format!("point {}", p.id),
        series: style_of(p),
        value: match pair.1 {
            Some(b) => format!(
                "{} {}, {} {}",
                across.name,
                value_in_words(across, p.at[pair.0]),
                up.name,
                value_in_words(up, p.at[b])
            ),
            None => format!("{} {}", across.name, value_in_words(across, p.at[pair.0])),
        },
    });
    let stops = stops_of(left, marks.collect(), &styles);
    let counts: Vec<String> = styles
        .iter()
        .map(|(style, state)| format!("{} {state}", points.iter().filter(|p| style_of(p) == *style).count()))
        .collect();
    let title = match pair.1 {
        Some(_) => format!("Points over {} and {}", across.name, up.name),
        None => format!("Points over {}", across.name),
    };
    let alt = format!("{title}: {}. The table has each with its values.", counts.join(", "));
    figure(id, title, alt, stops, draw)
}

/// The spread over a pair of inputs, in shades of one colour.
pub(crate) fn map(data: &CampaignData, unsure: &Unsure, map: &Map, id: String) -> Option<Figure> {
    // All maps share their shades.
    let all = || unsure.maps.iter().flat_map(|m| m.values.iter().flatten().flatten()).copied();
    let (least, most) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let across = &data.inputs[map.across];
    let edges = &unsure.profiles.get(map.across)?.as_ref()?.edges;
    let nothing = vec![0.0, 1.0];
    let up_edges = match map.up {
        Some(up) => &unsure.profiles.get(up)?.as_ref()?.edges,
        None => &nothing,
    };
    let x = axis_of(across);
    let y = map.up.map_or_else(|| Scale::between(0.0, 1.0), |up| axis_of(&data.inputs[up]));
    let at_x = |v: f64| MAP_WIDTH * x.at(v).clamp(0.0, 1.0);
    let at_y = |v: f64| y.at(v).clamp(0.0, 1.0);
    let x_ticks: Vec<(f64, String)> = x.ticks().into_iter().map(|(at, label)| (MAP_WIDTH * at, label)).collect();
    let y_ticks = if map.up.is_some() { y.ticks_upwards() } else { Vec::new() };
    let x_title = input_title(across);
    let y_title = map.up.map_or(String::new(), |up| input_title(&data.inputs[up]));
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: &x_title, y_title: &y_title, y_axis: true };
    let left = frame.room();
    let role = Role::Series(1);
    let shade = |value: f64| 0.08 + 0.84 * if most > least { (value - least) / (most - least) } else { 0.5 };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed_within(area, &frame, left)?;
        canvas.series(Some(1), &[]);
        // Nothing of the grid and its axis shows under and beside the map.
        plane.draw(&Rectangle::new([(0.004, 0.004), (1.0, 1.0)], fill(Role::Paper, 1.0)))?;
        plane.draw(&PathElement::new([(MAP_WIDTH + 0.008, 0.0), (1.0, 0.0)], stroke(Role::Paper, 3.0)))?;
        for (a, column) in map.values.iter().enumerate() {
            for (b, value) in column.iter().enumerate() {
                let corners = [(at_x(edges[a]), at_y(up_edges[b])), (at_x(edges[a + 1]), at_y(up_edges[b + 1]))];
                if let Some(value) = value {
                    plane.draw(&Rectangle::new(corners, fill(role, shade(*value))))?;
                }
            }
        }
        for step in 0..5 {
            let (low, high) = (f64::from(step) / 5.0, f64::from(step + 1) / 5.0);
            let value = least + (most - least) * (low + high) / 2.0;
            plane.draw(&Rectangle::new([(0.895, low), (0.93, high)], fill(role, shade(value))))?;
            scale_label(&plane, (0.94, (low + high) / 2.0), &number(value))?;
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let mut marks = Vec::new();
    let mut worst: Option<(f64, usize)> = None;
    for (a, column) in map.values.iter().enumerate() {
        for (b, value) in column.iter().enumerate() {
            let Some(value) = value else { continue };
            let middle = |low: f64, high: f64| (low + high) / 2.0;
            let first = bin_in_words(across, edges[a], edges[a + 1]);
            let label = match map.up {
                Some(up) => {
                    let second = bin_in_words(&data.inputs[up], up_edges[b], up_edges[b + 1]);
                    format!("{} {first}, {} {second}", across.name, data.inputs[up].name)
                }
                None => format!("{} {first}", across.name),
            };
            if worst.is_none_or(|(known, _)| *value > known) {
                worst = Some((*value, marks.len()));
            }
            marks.push(Mark {
                at: (middle(at_x(edges[a]), at_x(edges[a + 1])), middle(at_y(up_edges[b]), at_y(up_edges[b + 1]))),
                label,
                series: 1,
                value: number(*value),
            });
        }
    }
    let most_words = worst.and_then(|(_, place)| marks.get(place));
    let most_words = most_words.map_or(String::new(), |m| format!(" It is largest at {}: {}.", m.label, m.value));
    let title = match map.up {
        Some(up) => format!("Spread over {} and {}", across.name, data.inputs[up].name),
        None => format!("Spread over {}", across.name),
    };
    let alt = format!(
        "How far the members of the ensemble lie apart, in standard deviations of the outputs, averaged over the other \
         inputs; darker is more.{most_words}"
    );
    figure(id, title, alt, stops_of(left, marks, &[(1, "spread".into())]), draw)
}

/// A number beside the shades of a map.
fn scale_label(plane: &Plane, at: (f64, f64), text: &str) -> Drawn<()> {
    use plotters::style::text_anchor::{HPos, VPos};
    let style = crate::plot::text_style(HPos::Left, VPos::Center);
    plane.draw(&Text::new(text.to_owned(), at, style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::data::InputKind;
    use crate::canvas::{Horizontal, Shape, text_width};

    #[test]
    fn names_of_levels_stand_beside_the_title_of_their_axis() {
        let levels = InputKind::Levels { names: vec!["austenitic steel".into(), "oak".into()] };
        let number = InputKind::Number { low: 0.0, high: 1.0, log: false };
        let input = |name: &str, kind| Input { name: name.into(), unit: String::new(), kind: Some(kind) };
        let data = CampaignData {
            inputs: vec![input("load", number), input("material", levels)],
            points: vec![Place { id: 1, at: vec![0.5, 1.0], state: "done".into() }],
            ..CampaignData::default()
        };
        let drawn = places(&data, (0, Some(1)), "points".into()).unwrap();
        let shapes = || drawn.on_page.groups.iter().flat_map(|group| &group.drawn).map(|drawn| &drawn.shape);
        // On a phone letters are larger, and a reader's face may be wider.
        const LARGER: f64 = 1.2;
        let title = shapes().find_map(|shape| match shape {
            Shape::Text { at, size, text, rotate: 270, .. } if text == "material" => Some(at.0 + size / 2.0 * LARGER),
            _ => None,
        });
        let names: Vec<f64> = shapes()
            .filter_map(|shape| match shape {
                Shape::Text { at, size, text, horizontal: Horizontal::End, .. } => {
                    Some(at.0 - LARGER * text_width(text, *size))
                }
                _ => None,
            })
            .collect();
        assert!(names.len() == 2 && names.iter().all(|left| *left > title.unwrap()), "{title:?} {names:?}");
        // What is read off lies where it is drawn.
        let circle = shapes().find_map(|shape| match shape {
            Shape::Circle { centre, .. } => Some(centre.0),
            _ => None,
        });
        assert!((circle.unwrap() - drawn.stops.x[0]).abs() < 0.2, "{circle:?} {:?}", drawn.stops.x);
    }

    #[test]
    fn bars_of_a_logarithmic_axis_stay_above_zero() {
        assert_eq!(bar_ends(2.0, 3.0, false), Some((-1.0, 5.0)));
        // A log-normal law of median 2 and s = 1.2 has this standard deviation.
        let square = 1.2_f64 * 1.2;
        let sd = 2.0 * (square.exp() * (square.exp() - 1.0)).sqrt();
        let (low, high) = bar_ends(2.0, sd, true).unwrap();
        assert!((low - 2.0 * (-1.2_f64).exp()).abs() < 1e-12, "{low}");
        assert!((high - 2.0 * 1.2_f64.exp()).abs() < 1e-12, "{high}");
        // A narrow one is as long as on a plain axis.
        let (low, high) = bar_ends(2.0, 1e-4, true).unwrap();
        assert!((high - low - 2e-4).abs() < 1e-8, "{low} {high}");
        assert_eq!(bar_ends(0.0, 1.0, true), None);
    }
}
