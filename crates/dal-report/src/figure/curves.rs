//! Learning curves: an error against labels.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Figure, SeriesStops, Stops, file_name, is_planned};
use crate::canvas::{Canvas, Role};
use crate::findings::{Curves, ErrorKind, Part};
use crate::plot::{
    Drawn, Frame, LINE, LabelAxis, LegendEntry, LogScale, canvas_with, draw_mark, fill, framed, page_position, stroke,
};
use crate::style::dash;
use crate::text::{number, ratio_name};

/// One method's curves, for [`learning_curves`].
pub(crate) struct SeriesCurves<'a> {
    pub(crate) name: &'a str,
    pub(crate) style: usize,
    pub(crate) curves: &'a Curves,
}

/// An error against labels: geometric mean over seeds, for MSE with its band and with single seeds as thin lines where
/// some are missing. `None` where nothing was recorded or planned.
pub(crate) fn learning_curves(
    part: &Part,
    problem: usize,
    ratio: usize,
    kind: ErrorKind,
    series: &[SeriesCurves<'_>],
    prefix: &str,
) -> Option<Figure> {
    if !is_planned(part, problem, ratio) {
        return None;
    }
    let of = &part.problems[problem];
    let mse = kind == ErrorKind::Mse;
    let has_curve = |s: &&SeriesCurves<'_>| !s.curves.per_seed.is_empty() && (mse || s.curves.band(kind).is_some());
    let shown: Vec<&SeriesCurves<'_>> = series.iter().filter(has_curve).collect();
    let all = shown.iter().flat_map(|s| match s.curves.band(kind) {
        Some(band) => {
            let spread = band.spread.iter().filter(|_| mse).flat_map(|(low, high)| low.iter().chain(high));
            band.mean.iter().chain(spread).copied().collect::<Vec<_>>()
        }
        None => s.curves.per_seed.iter().flat_map(|(_, curve)| curve.iter().copied()).collect(),
    });
    let y = LogScale::of(all)?;
    let (first, last) = (*of.n_labelled.first()? as f64, *of.n_labelled.last()? as f64);
    // Labels that exist: where some failed, a method's entries stand at fewer than the others'.
    let behind = |s: &SeriesCurves<'_>, t: usize| s.curves.mean_labels(t).unwrap_or(of.n_labelled[t] as f64);
    let ends = |t: usize| shown.iter().map(move |s| behind(s, t));
    let first = ends(0).fold(first, f64::min);
    let last = ends(of.n_labelled.len() - 1).fold(last, f64::max);
    let axis = LabelAxis { first, last };
    let at_x = |n: f64| axis.at(n);
    let x_ticks = axis.ticks();
    let y_ticks = y.ticks();
    let name = of.error_name(kind);
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: "labels", y_title: &name, y_axis: true };
    // Many bands on top of each other hide the lines.
    let opacity = if shown.len() > 6 { 0.07 } else { 0.13 };
    let points = |s: &SeriesCurves<'_>, curve: &[f64]| -> Vec<(f64, f64)> {
        let there = curve.iter().enumerate().filter(|(_, v)| **v > 0.0);
        there.map(|(t, v)| (at_x(behind(s, t)), y.at(*v))).collect()
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        for s in &shown {
            let role = Role::Series(s.style);
            canvas.series(Some(s.style), dash(s.style));
            let Some(band) = s.curves.band(kind) else {
                for (_, curve) in &s.curves.per_seed {
                    plane.draw(&PathElement::new(points(s, curve), stroke(role, 0.7)))?;
                }
                continue;
            };
            if let Some((low, high)) = band.spread.as_ref().filter(|_| mse) {
                let outline: Vec<_> = points(s, low).into_iter().chain(points(s, high).into_iter().rev()).collect();
                plane.draw(&Polygon::new(outline, fill(role, opacity)))?;
            }
            let line = points(s, &band.mean);
            plane.draw(&PathElement::new(line.clone(), stroke(role, LINE)))?;
            canvas.series(Some(s.style), &[]);
            // Markers every tenth entry, shifted by style so that they seldom hide each other; one for the errors
            // beside MSE, whose figures are there by the hundred.
            let some = if mse { usize::MAX } else { 1 };
            let spaced = line.iter().skip(s.style % 10).step_by(10).take(some);
            for (px, py) in spaced.chain(line.last().filter(|_| line.len() < 8)) {
                if s.style != 0 {
                    draw_mark(&plane, (*px, *py), s.style)?;
                }
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let legend: Vec<LegendEntry> = shown.iter().map(|s| LegendEntry { name: with_gaps(s), style: s.style }).collect();
    let stops = Stops {
        x: of.n_labelled.iter().map(|n| page_position(at_x(*n as f64), 0.0).0).collect(),
        l: of.n_labelled.iter().map(|n| format!("{n} labels")).collect(),
        s: shown
            .iter()
            .map(|s| match s.curves.band(kind) {
                Some(band) => SeriesStops {
                    i: s.style,
                    n: s.name.to_owned(),
                    y: band.mean.iter().map(|v| (*v > 0.0).then(|| page_position(0.0, y.at(*v)).1)).collect(),
                    v: (0..band.mean.len())
                        .map(|t| {
                            let n = behind(s, t);
                            let own = if n.round() == of.n_labelled[t] as f64 {
                                String::new()
                            } else {
                                format!(" at {} labels", number(n))
                            };
                            match band.spread.as_ref().filter(|_| mse) {
                                Some((low, high)) => {
                                    format!("{} ({} to {}){own}", number(band.mean[t]), number(low[t]), number(high[t]))
                                }
                                None => number(band.mean[t]) + &own,
                            }
                        })
                        .collect(),
                },
                None => SeriesStops {
                    i: s.style,
                    n: s.name.to_owned(),
                    y: vec![None; of.n_labelled.len()],
                    v: vec![
                        format!("incomplete: {} seeds without a finished run", s.curves.missing.len());
                        of.n_labelled.len()
                    ],
                },
            })
            .collect(),
    };
    let alt = {
        let mut ends: Vec<(&str, f64)> =
            shown.iter().filter_map(|s| Some((s.name, *s.curves.band(kind)?.mean.last()?))).collect();
        ends.sort_by(|a, b| a.1.total_cmp(&b.1));
        let ends: Vec<String> = ends.iter().map(|(name, v)| format!("{name} {}", number(*v))).collect();
        let start = shown.iter().find_map(|s| s.curves.band(kind)?.mean.first().copied());
        format!(
            "Learning curves on {} at {}: {}, logarithmic, from {} to {} labels.{} At the end, lowest first: {}.",
            of.id,
            ratio_name(part.pool_ratios[ratio]),
            of.error_name(kind),
            number(first),
            number(last),
            start.map(|v| format!(" It starts at {}.", number(v))).unwrap_or_default(),
            if ends.is_empty() { "no method has every seed".to_owned() } else { ends.join(", ") }
        )
    };
    Some(Figure {
        id: {
            let what = if mse { "curves" } else { kind.id() };
            format!("{prefix}{what}-{}-{}", file_name(&of.id), part.pool_ratios[ratio])
        },
        title: {
            let what = if mse { String::new() } else { format!(": {}", kind.name()) };
            format!("{}, {}{what}", of.id, ratio_name(part.pool_ratios[ratio]))
        },
        alt,
        on_page: canvas_with(None, draw).ok()?,
        for_paper: canvas_with(Some(&legend), draw).ok()?,
        stops,
        problem: Some(of.id.clone()),
        ratio: Some(part.pool_ratios[ratio]),
        metric: Some(kind.id()),
    })
}

fn with_gaps(s: &SeriesCurves<'_>) -> String {
    let n = s.curves.missing.len();
    if n == 0 { s.name.to_owned() } else { format!("{} ({n} missing)", s.name) }
}
