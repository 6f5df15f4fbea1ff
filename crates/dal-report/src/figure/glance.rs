//! Every method against random sampling, at a glance.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Figure, SeriesStops, Stops};
use crate::canvas::{Canvas, Role};
use crate::findings::{Method, Part};
use crate::plot::{
    Drawn, Frame, LINE, LogScale, behind_names, canvas_with, draw_mark, fill, fitting, framed, page_position, stroke,
    text_style, units,
};
use crate::summary::overall;
use crate::text::{count, number};

/// Every cell of every method at a glance: small dots for the cells, a mark with its interval for the average, best
/// first. Methods without an average stand below in their fixed order, which is no ranking.
pub(crate) fn glance(part: &Part, prefix: &str) -> Option<Figure> {
    struct Line<'a> {
        method: &'a Method,
        average: Option<f64>,
        interval: Option<(f64, f64)>,
        cells: Vec<f64>,
        /// Cells that were planned, with a value or without.
        n_planned: usize,
    }
    let mut lines: Vec<Line<'_>> = part
        .methods
        .iter()
        .filter_map(|method| {
            let found = method.robustness.as_ref()?;
            let effect = found.overall.and_then(|o| o.over_problems.or(o.problems_fixed)).map(|i| i.exp());
            Some(Line {
                method,
                average: overall(method),
                interval: effect.map(|i| (i.lower, i.upper)),
                cells: found.cells.iter().filter_map(|c| c.value).collect(),
                n_planned: found.cells.len(),
            })
        })
        .filter(|line| !line.cells.is_empty())
        .collect();
    lines.sort_by(|a, b| a.average.unwrap_or(f64::INFINITY).total_cmp(&b.average.unwrap_or(f64::INFINITY)));
    let n = lines.len();
    let x = LogScale::of(lines.iter().flat_map(|l| l.cells.iter().copied().chain(l.average)).chain([1.0]))?;
    if n == 0 {
        return None;
    }
    let (left, room) = behind_names(lines.iter().map(|l| l.method.id.as_str()));
    let at_x = |value: f64| (left + (1.0 - left) * x.at(value)).clamp(left, 1.0);
    let row_of = |place: usize| 1.0 - (place as f64 + 0.5) / n as f64;
    let x_ticks: Vec<(f64, String)> =
        x.ticks().into_iter().map(|(at, label)| (left + (1.0 - left) * at, label)).collect();
    let frame = Frame {
        x_ticks: &x_ticks,
        y_ticks: &[],
        x_title: "nAUC: left of 1, less error than random sampling",
        y_title: "",
        y_axis: false,
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        canvas.series(Some(part.random_style), &[]);
        let random = Role::Series(part.random_style);
        plane.draw(&PathElement::new([(at_x(1.0), 0.0), (at_x(1.0), 1.0)], stroke(random, LINE)))?;
        for (place, line) in lines.iter().enumerate() {
            let style = line.method.style;
            let role = Role::Series(style);
            let py = row_of(place);
            canvas.series(Some(style), &[]);
            for (k, value) in line.cells.iter().enumerate() {
                // Cells of one problem lie together, from the top of the row to its bottom.
                let shift = (0.5 - (k as f64 + 0.5) / line.cells.len() as f64) * 0.6 / n as f64;
                let dot = Circle::new((0, 0), units(2.0), fill(role, 0.5));
                plane.draw(&(EmptyElement::at((at_x(*value), py + shift)) + dot))?;
            }
            if let Some((low, high)) = line.interval {
                plane.draw(&PathElement::new([(at_x(low), py), (at_x(high), py)], stroke(role, 2.4)))?;
            }
            if let Some(average) = line.average {
                draw_mark(&plane, (at_x(average), py), style)?;
            }
            let name = fitting(&line.method.id, room);
            let name = Text::new(name, (left - 0.015, py), text_style(HPos::Right, VPos::Center));
            plane.draw(&name)?;
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let words = |line: &Line<'_>| {
        let low = line.cells.iter().copied().fold(f64::INFINITY, f64::min);
        let high = line.cells.iter().copied().fold(0.0, f64::max);
        let average = match (line.average, line.interval) {
            (Some(v), Some((l, u))) => format!("average {} ({} to {})", number(v), number(l), number(u)),
            (Some(v), None) => format!("average {}", number(v)),
            (None, _) => {
                format!("no average: a value in only {} of {}", line.cells.len(), count(line.n_planned, "cell"))
            }
        };
        format!("{average}, cells from {} to {}", number(low), number(high))
    };
    let n_averages = lines.iter().filter(|line| line.average.is_some()).count();
    let order = match n_averages {
        0 => "in no order, as no method has a value in every cell and so an average",
        all if all == n => "lowest average first",
        _ => "lowest average first, then in no order those that lack a value in some cell and so have none",
    };
    let stop_x = |line: &Line<'_>| line.average.unwrap_or(line.cells[0]);
    let stops = Stops {
        x: lines.iter().map(|l| page_position(at_x(stop_x(l)), 0.0).0).collect(),
        // Averages come first, so that places are counted among them.
        l: (1..=n).map(|row| if row <= n_averages { format!("place {row}") } else { "no place".into() }).collect(),
        s: lines
            .iter()
            .enumerate()
            .map(|(place, line)| SeriesStops {
                i: line.method.style,
                n: line.method.id.clone(),
                y: (0..n).map(|k| (k == place).then(|| page_position(0.0, row_of(place)).1)).collect(),
                v: (0..n).map(|k| if k == place { words(line) } else { String::new() }).collect(),
            })
            .collect(),
    };
    let said: Vec<String> = lines.iter().map(|l| format!("{}: {}", l.method.id, words(l))).collect();
    let drawing = canvas_with(None, draw).ok()?;
    Some(Figure {
        id: format!("{prefix}glance"),
        title: "Every method against random sampling".into(),
        alt: format!("nAUC of every method, {order}; random sampling is the line at 1. {}.", said.join("; ")),
        for_paper: drawing.clone(),
        on_page: drawing,
        stops,
        problem: None,
        ratio: None,
        metric: None,
    })
}
