//! nAUC or nDiv against the pool ratio.

use dal_eval::Cell;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Figure, SeriesStops, Stops, file_name, is_planned};
use crate::canvas::{Canvas, Role};
use crate::findings::Part;
use crate::plot::{Drawn, Frame, LINE, LegendEntry, LogScale, canvas_with, draw_mark, framed, page_position, stroke};
use crate::style::dash;
use crate::text::{number, ratio_name};

/// Which number of a cell [`against_ratio`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// nAUC_MSE, with its 95 % interval.
    NAuc,
    /// nDiv.
    NDiv,
}

/// A cell's number for a figure: value and interval; none where only rules stand that no pool matters to.
pub(super) fn quantity(part: &Part, m: usize, p: usize, g: usize, what: Quantity) -> Option<(f64, Option<(f64, f64)>)> {
    let cell = part.methods[m].cells[p][g].as_ref().filter(|_| is_planned(part, p, g))?;
    match what {
        Quantity::NAuc => Some((cell.n_auc.value?, cell.n_auc.interval_95.map(|i| (i.lower, i.upper)))),
        Quantity::NDiv => Some((cell.n_div.as_ref().and_then(Cell::value)?, None)),
    }
}

/// nAUC or nDiv of every method against the pool ratio, on one problem.
pub(crate) fn against_ratio(part: &Part, problem: usize, what: Quantity, prefix: &str) -> Option<Figure> {
    let n_ratios = part.pool_ratios.len();
    let n_methods = part.methods.len();
    let (name, y_title, kind) = match what {
        Quantity::NAuc => ("nAUC", "nAUC (below 1: better than Random)", "nauc"),
        Quantity::NDiv => ("nDiv", "nDiv (Random = 1)", "ndiv"),
    };
    let value = |m: usize, g: usize| quantity(part, m, problem, g, what);
    let mut all: Vec<f64> = vec![1.0];
    for m in 0..n_methods {
        for (v, interval) in (0..n_ratios).filter_map(|g| value(m, g)) {
            all.push(v);
            // Very wide intervals (two seeds) would flatten everything else; they are cut at the frame and read from
            // the table.
            all.extend(interval.iter().flat_map(|(l, u)| [l.max(v / 2.0), u.min(v * 2.0)]));
        }
    }
    if all.len() == 1 {
        return None;
    }
    let y = LogScale::of(all)?;
    let at_x = |g: usize| (g as f64 + 0.5) / n_ratios as f64;
    let shift =
        |m: usize| (m as f64 - (n_methods as f64 - 1.0) / 2.0) * 0.6 / (n_methods.max(2) as f64 * n_ratios as f64);
    let x_ticks: Vec<(f64, String)> = part
        .pool_ratios
        .iter()
        .enumerate()
        .map(|(g, r)| (at_x(g), if *r == 0 { "list".into() } else { r.to_string() }))
        .collect();
    let y_ticks = y.ticks();
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: "pool ratio γ", y_title, y_axis: true };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        canvas.series(Some(part.random_style), &[]);
        plane.draw(&PathElement::new(
            [(0.0, y.at(1.0)), (1.0, y.at(1.0))],
            stroke(Role::Series(part.random_style), LINE),
        ))?;
        for (m, method) in part.methods.iter().enumerate() {
            let role = Role::Series(method.style);
            let points: Vec<_> = (0..n_ratios).filter_map(|g| value(m, g).map(|(v, i)| (g, v, i))).collect();
            canvas.series(Some(method.style), dash(method.style));
            let line: Vec<(f64, f64)> = points.iter().map(|(g, v, _)| (at_x(*g) + shift(m), y.at(*v))).collect();
            // Only neighbouring pool ratios are joined: a gap is a cell without a value.
            for (pair, ends) in points.windows(2).zip(line.windows(2)) {
                if pair[1].0 == pair[0].0 + 1 {
                    plane.draw(&PathElement::new(ends.to_vec(), stroke(role, LINE)))?;
                }
            }
            canvas.series(Some(method.style), &[]);
            for ((_, _, interval), (px, py)) in points.iter().zip(&line) {
                if let Some((low, high)) = interval {
                    let (low, high) = (y.at(*low).clamp(0.0, 1.0), y.at(*high).clamp(0.0, 1.0));
                    plane.draw(&PathElement::new([(*px, low), (*px, high)], stroke(role, 1.0)))?;
                }
                draw_mark(&plane, (*px, *py), method.style)?;
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let legend: Vec<LegendEntry> = std::iter::once(LegendEntry { name: "random".into(), style: part.random_style })
        .chain(part.methods.iter().map(|m| LegendEntry { name: m.id.clone(), style: m.style }))
        .collect();
    let stops = Stops {
        x: (0..n_ratios).map(|g| page_position(at_x(g), 0.0).0).collect(),
        l: part.pool_ratios.iter().map(|r| ratio_name(*r)).collect(),
        s: part
            .methods
            .iter()
            .enumerate()
            .map(|(m, method)| SeriesStops {
                i: method.style,
                n: method.id.clone(),
                y: (0..n_ratios).map(|g| value(m, g).map(|(v, _)| page_position(0.0, y.at(v)).1)).collect(),
                v: (0..n_ratios)
                    .map(|g| match value(m, g) {
                        Some((v, Some((l, u)))) => format!("{} ({} to {})", number(v), number(l), number(u)),
                        Some((v, None)) => number(v),
                        None if method.cells[problem][g].is_none() || !is_planned(part, problem, g) => {
                            "not planned".into()
                        }
                        None => "no value".into(),
                    })
                    .collect(),
            })
            .collect(),
    };
    let problem_id = &part.problems[problem].id;
    let best = (0..n_methods)
        .flat_map(|m| (0..n_ratios).filter_map(move |g| value(m, g).map(|(v, _)| (v, m, g))))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let best = best.map(|(v, m, g)| {
        format!(" Lowest: {} at {} with {}.", part.methods[m].id, ratio_name(part.pool_ratios[g]), number(v))
    });
    Some(Figure {
        id: format!("{prefix}{kind}-{}", file_name(problem_id)),
        title: format!("{name} against γ, {problem_id}"),
        alt: format!(
            "{name} of each method against the pool ratio on {problem_id}; Random is the line at 1.{}",
            best.unwrap_or_default()
        ),
        on_page: canvas_with(None, draw).ok()?,
        for_paper: canvas_with(Some(&legend), draw).ok()?,
        stops,
        problem: Some(problem_id.clone()),
        ratio: None,
        metric: None,
    })
}
