//! nAUC against nDiv.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::against_ratio::{Quantity, quantity};
use super::{Figure, SeriesStops, Stops};
use crate::canvas::{Canvas, Role};
use crate::findings::Part;
use crate::plot::{Drawn, Frame, LegendEntry, LogScale, canvas_with, draw_mark, framed, page_position, stroke};
use crate::text::{number, ratio_name};

/// nAUC against nDiv at one pool ratio: every problem and method is a mark.
pub(crate) fn combined(part: &Part, ratio: usize, prefix: &str) -> Option<Figure> {
    struct Mark {
        x: f64,
        y: f64,
        method: usize,
        problem: usize,
    }
    let mut marks: Vec<Mark> = Vec::new();
    for method in 0..part.methods.len() {
        for problem in 0..part.problems.len() {
            let x = quantity(part, method, problem, ratio, Quantity::NDiv);
            let y = quantity(part, method, problem, ratio, Quantity::NAuc);
            if let (Some((x, _)), Some((y, _))) = (x, y) {
                marks.push(Mark { x, y, method, problem });
            }
        }
    }
    let x = LogScale::of(marks.iter().map(|m| m.x).chain([1.0]))?;
    let y = LogScale::of(marks.iter().map(|m| m.y).chain([1.0]))?;
    if marks.is_empty() {
        return None;
    }
    marks.sort_by(|a, b| a.x.total_cmp(&b.x));
    let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
    let frame = Frame {
        x_ticks: &x_ticks,
        y_ticks: &y_ticks,
        x_title: "nDiv (right: batches more spread out than Random's)",
        y_title: "nAUC (below 1: better)",
        y_axis: true,
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        canvas.series(Some(part.random_style), &[]);
        let random = Role::Series(part.random_style);
        plane.draw(&PathElement::new([(0.0, y.at(1.0)), (1.0, y.at(1.0))], stroke(random, 1.0)))?;
        plane.draw(&PathElement::new([(x.at(1.0), 0.0), (x.at(1.0), 1.0)], stroke(random, 1.0)))?;
        for mark in &marks {
            let method = &part.methods[mark.method];
            canvas.series(Some(method.style), &[]);
            draw_mark(&plane, (x.at(mark.x), y.at(mark.y)), method.style)?;
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let legend: Vec<LegendEntry> =
        part.methods.iter().map(|m| LegendEntry { name: m.id.clone(), style: m.style }).collect();
    let stops = Stops {
        x: marks.iter().map(|m| page_position(x.at(m.x), 0.0).0).collect(),
        l: marks.iter().map(|m| part.problems[m.problem].id.clone()).collect(),
        s: part
            .methods
            .iter()
            .enumerate()
            .map(|(i, method)| SeriesStops {
                i: method.style,
                n: method.id.clone(),
                y: marks.iter().map(|m| (m.method == i).then(|| page_position(0.0, y.at(m.y)).1)).collect(),
                v: marks
                    .iter()
                    .map(|m| {
                        if m.method == i {
                            format!("nAUC {}, nDiv {}", number(m.y), number(m.x))
                        } else {
                            String::new()
                        }
                    })
                    .collect(),
            })
            .collect(),
    };
    let g = part.pool_ratios[ratio];
    Some(Figure {
        id: format!("{prefix}combined-{g}"),
        title: format!("nAUC and nDiv together, {}", ratio_name(g)),
        alt: format!(
            "Each mark is one method on one problem at {}: nDiv to the right, nAUC upwards, Random at (1, 1).",
            ratio_name(g)
        ),
        on_page: canvas_with(None, draw).ok()?,
        for_paper: canvas_with(Some(&legend), draw).ok()?,
        stops,
        problem: None,
        ratio: Some(g),
        metric: None,
    })
}
