//! What is measured at every entry beside the error, against labels.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Figure, SeriesStops, Stops, file_name, is_planned};
use crate::canvas::{Canvas, Role};
use crate::findings::{EntryMeasure, Part};
use crate::plot::{Drawn, Frame, LINE, LabelAxis, LegendEntry, canvas_with, draw_mark, framed, page_position, stroke};
use crate::scale::Scale;
use crate::style::dash;
use crate::text::{number, ratio_name};

/// A method's values, entry by entry.
struct Series<'a> {
    name: &'a str,
    style: usize,
    values: &'a [Option<f64>],
}

/// Random and the methods that have such a measure on a problem at a pool ratio.
fn series(part: &Part, problem: usize, ratio: usize, measure: EntryMeasure) -> Vec<Series<'_>> {
    let random = ("random", part.random_style, &part.problems[problem].random_learning);
    let methods = part.methods.iter().filter_map(|method| {
        let cell = method.cells[problem][ratio].as_ref()?;
        Some((method.id.as_str(), method.style, &cell.learning))
    });
    std::iter::once(random)
        .chain(methods)
        .filter_map(|(name, style, learning)| {
            let (_, values) = learning.by_entry.iter().find(|(own, _)| *own == measure)?;
            Some(Series { name, style, values })
        })
        .collect()
}

/// A measure against labels: the median over the runs that have come so far, entry by entry. `None` where nothing was
/// recorded or planned.
pub(crate) fn by_entry(
    part: &Part,
    problem: usize,
    ratio: usize,
    measure: EntryMeasure,
    prefix: &str,
) -> Option<Figure> {
    if !is_planned(part, problem, ratio) {
        return None;
    }
    let of = &part.problems[problem];
    let shown = series(part, problem, ratio, measure);
    let all = shown.iter().flat_map(|s| s.values.iter().flatten().copied());
    let line = measure.line().filter(|_| !shown.is_empty());
    let y = Scale::of_values(all.chain(line), measure.is_logarithmic())?;
    let (first, last) = (*of.n_labelled.first()? as f64, *of.n_labelled.last()? as f64);
    let axis = LabelAxis { first, last };
    let at_x = |t: usize| axis.at(of.n_labelled[t] as f64);
    let at_y = |v: f64| y.at(v).clamp(0.0, 1.0);
    let x_ticks = axis.ticks();
    let y_ticks = y.ticks();
    let frame =
        Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: "labels", y_title: measure.name(), y_axis: true };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        if let Some(line) = line {
            plane.draw(&PathElement::new([(0.0, at_y(line)), (1.0, at_y(line))], stroke(Role::Ink, 1.0)))?;
        }
        for s in &shown {
            let role = Role::Series(s.style);
            canvas.series(Some(s.style), dash(s.style));
            // A gap is an entry without a value.
            for there in pieces(s.values) {
                let path: Vec<(f64, f64)> = there.iter().map(|(t, v)| (at_x(*t), at_y(*v))).collect();
                plane.draw(&PathElement::new(path, stroke(role, LINE)))?;
            }
            canvas.series(Some(s.style), &[]);
            // One marker, shifted by style so that they seldom hide each other.
            let at = s.values.iter().enumerate().filter_map(|(t, v)| Some((t, (*v)?)));
            let at: Vec<(usize, f64)> = at.collect();
            if let Some((t, v)) = at.get(s.style % at.len().max(1)).filter(|_| s.style != 0) {
                draw_mark(&plane, (at_x(*t), at_y(*v)), s.style)?;
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let legend: Vec<LegendEntry> =
        shown.iter().map(|s| LegendEntry { name: s.name.to_owned(), style: s.style }).collect();
    let n = of.n_labelled.len();
    let value = |s: &Series<'_>, t: usize| s.values.get(t).copied().flatten();
    let stops = Stops {
        x: (0..n).map(|t| page_position(at_x(t), 0.0).0).collect(),
        l: of.n_labelled.iter().map(|n| format!("{n} labels")).collect(),
        s: shown
            .iter()
            .map(|s| SeriesStops {
                i: s.style,
                n: s.name.to_owned(),
                y: (0..n).map(|t| value(s, t).map(|v| page_position(0.0, at_y(v)).1)).collect(),
                v: (0..n).map(|t| value(s, t).map_or("no value".into(), number)).collect(),
            })
            .collect(),
    };
    let mut ends: Vec<(&str, f64)> = shown.iter().filter_map(|s| Some((s.name, value(s, n - 1)?))).collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ends: Vec<String> = ends.iter().map(|(name, v)| format!("{name} {}", number(*v))).collect();
    let (name, ratio_words) = (measure.name(), ratio_name(part.pool_ratios[ratio]));
    Some(Figure {
        id: format!("{prefix}{}-{}-{}", measure.id(), file_name(&of.id), part.pool_ratios[ratio]),
        title: format!("{}, {ratio_words}: {name}", of.id),
        alt: format!(
            "On {} at {ratio_words}: {name}, medians over runs, from {first} to {last} labels. At the end, lowest first: {}.",
            of.id,
            if ends.is_empty() { "no value".to_owned() } else { ends.join(", ") }
        ),
        on_page: canvas_with(None, draw).ok()?,
        for_paper: canvas_with(Some(&legend), draw).ok()?,
        stops,
        problem: Some(of.id.clone()),
        ratio: Some(part.pool_ratios[ratio]),
        metric: Some(measure.id()),
    })
}

/// Entries with values, as runs of neighbours.
fn pieces(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut pieces = vec![Vec::new()];
    for (t, value) in values.iter().enumerate() {
        match value {
            Some(v) => pieces.last_mut().expect("never empty").push((t, *v)),
            None => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_part_a_line() {
        let found = pieces(&[None, Some(1.0), Some(2.0), None, None, Some(3.0)]);
        assert_eq!(found, [vec![(1, 1.0), (2, 2.0)], vec![(5, 3.0)]]);
        assert!(pieces(&[None]).is_empty());
    }
}
