//! Mean ranks.

use dal_eval::RankTable;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Figure, SeriesStops, Stops};
use crate::canvas::{Canvas, Role};
use crate::findings::Part;
use crate::plot::{
    Drawn, Frame, behind_names, canvas_with, draw_mark, fitting, framed, page_position, stroke, text_style,
};
use crate::text::{number, ratio_name};

/// Mean ranks at one pool ratio: a point for each method in order, bars over groups that cannot be told apart.
pub(crate) fn ranks(part: &Part, ratio: usize, table: &RankTable, prefix: &str) -> Option<Figure> {
    let names: Vec<(&str, usize)> = std::iter::once(("random", part.random_style))
        .chain(part.methods.iter().map(|m| (m.id.as_str(), m.style)))
        .collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| table.mean_ranks[a].total_cmp(&table.mean_ranks[b]));
    let n = names.len();
    // Names stand in the left margin and, where they are longer, push the axis to the right.
    let (left, room) = behind_names(names.iter().map(|(name, _)| *name));
    let room_for_cliques = 0.03 * (table.cliques.len() as f64 + 1.0);
    let at_x = |rank: f64| left + (1.0 - left - room_for_cliques) * (rank - 1.0) / (n as f64 - 1.0).max(1.0);
    let row_of = |place: usize| 1.0 - (place as f64 + 0.5) / n as f64;
    let every = if n > 8 { 2 } else { 1 };
    let x_ticks: Vec<(f64, String)> = (1..=n).step_by(every).map(|r| (at_x(r as f64), r.to_string())).collect();
    let frame = Frame {
        x_ticks: &x_ticks,
        y_ticks: &[],
        x_title: "mean rank over (problem, seed), 1 is best",
        y_title: "",
        y_axis: false,
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        for (place, &m) in order.iter().enumerate() {
            let (name, style) = names[m];
            canvas.series(Some(style), &[]);
            let role = Role::Series(style);
            let (px, py) = (at_x(table.mean_ranks[m]), row_of(place));
            plane.draw(&PathElement::new([(left, py), (px, py)], stroke(role, 1.0)))?;
            draw_mark(&plane, (px, py), style)?;
            plane.draw(&Text::new(fitting(name, room), (left - 0.015, py), text_style(HPos::Right, VPos::Center)))?;
        }
        canvas.series(None, &[]);
        for (k, clique) in table.cliques.iter().enumerate() {
            let places: Vec<usize> = clique.iter().filter_map(|m| order.iter().position(|o| o == m)).collect();
            let (Some(first), Some(last)) = (places.iter().min(), places.iter().max()) else { continue };
            let px = 1.0 - room_for_cliques + 0.03 * (k as f64 + 1.0);
            plane.draw(&PathElement::new([(px, row_of(*first)), (px, row_of(*last))], stroke(Role::Ink, 3.0)))?;
        }
        Ok(())
    };
    let said: Vec<String> = order.iter().map(|&m| format!("{} {}", names[m].0, number(table.mean_ranks[m]))).collect();
    let g = part.pool_ratios[ratio];
    // One stop per method; the values stand in words, since the marks lie on rows and not along the axis.
    let stops =
        Stops {
            x: order.iter().map(|&m| page_position(at_x(table.mean_ranks[m]), 0.0).0).collect(),
            l: order.iter().enumerate().map(|(place, _)| format!("place {}", place + 1)).collect(),
            s: order
                .iter()
                .enumerate()
                .map(|(place, &m)| SeriesStops {
                    i: names[m].1,
                    n: names[m].0.to_owned(),
                    y: (0..n).map(|k| (k == place).then(|| page_position(0.0, row_of(place)).1)).collect(),
                    v: (0..n)
                        .map(|k| {
                            if k == place {
                                format!("mean rank {}", number(table.mean_ranks[m]))
                            } else {
                                String::new()
                            }
                        })
                        .collect(),
                })
                .collect(),
        };
    let drawing = canvas_with(None, draw).ok()?;
    Some(Figure {
        id: format!("{prefix}ranks-{g}"),
        title: format!("Mean ranks, {}", ratio_name(g)),
        alt: format!(
            "Mean ranks at {} over {} blocks, best first: {}. {}",
            ratio_name(g),
            table.n_blocks,
            said.join(", "),
            match (table.decidable, table.cliques.is_empty()) {
                (true, _) => "Bars on the right join methods that cannot be told apart.",
                (false, false) => "Too few blocks to tell any two apart.",
                (false, true) => "Not tested.",
            }
        ),
        for_paper: drawing.clone(),
        on_page: drawing,
        stops,
        problem: None,
        ratio: Some(g),
        metric: None,
    })
}
