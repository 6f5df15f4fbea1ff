//! The plotting kit that every figure is drawn with: sizes, strokes, marks, legends, scales, ticks and the frame of a
//! chart.

use std::convert::Infallible;

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::canvas::{Canvas, Drawing, Role, UNITS, text_width};
use crate::style::{dash, marker};
use crate::text::number;

pub(crate) type Drawn<T> = Result<T, DrawingAreaErrorKind<Infallible>>;

pub(crate) const PAGE: (u32, u32) = (480, 310);
/// How much wider than the face that widths are reckoned in those are that a reader may have.
const WIDER: f64 = 1.2;
/// A legend's least width in pixels, where its names begin, and the height of a line of it.
const LEGEND: (f64, f64, f64) = (190.0, 44.0, 20.0);
pub(crate) const TEXT: f64 = 13.0;
pub(crate) const LINE: f64 = 1.8;
/// Radius of a marker in pixels.
const MARK: f64 = 4.6;

pub(crate) fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round() as i32
}

pub(crate) fn stroke(role: Role, width: f64) -> ShapeStyle {
    ShapeStyle { color: role.code().to_rgba(), filled: false, stroke_width: units(width).max(1) as u32 }
}

pub(crate) fn fill(role: Role, opacity: f64) -> ShapeStyle {
    ShapeStyle { color: role.code().mix(opacity), filled: true, stroke_width: 0 }
}

pub(crate) fn text_style(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let font = ("sans-serif", TEXT * f64::from(UNITS)).into_font();
    font.color(&Role::Ink.code()).pos(Pos::new(horizontal, vertical))
}

/// A name in a legend.
pub(crate) struct LegendEntry {
    pub(crate) name: String,
    pub(crate) style: usize,
}

/// A figure with a legend is as large as the legend needs, at least as high as one on the page.
fn paper(entries: &[LegendEntry]) -> (u32, u32) {
    let (least, names, line) = LEGEND;
    let widest = entries.iter().map(|entry| text_width(&entry.name, TEXT)).fold(0.0, f64::max);
    let wanted = (names + WIDER * widest).max(least).ceil() as u32;
    (PAGE.0 + wanted, PAGE.1.max((28.0 + line * entries.len() as f64) as u32))
}

/// Draws on a fresh canvas, with or without room for a legend on the right.
pub(crate) fn canvas_with(
    legend: Option<&[LegendEntry]>,
    draw: impl FnOnce(&Canvas, &DrawingArea<Canvas, Shift>) -> Drawn<()>,
) -> Drawn<Drawing> {
    let (width, height) = legend.map_or(PAGE, paper);
    let canvas = Canvas::new(width, height);
    let root = canvas.clone().into_drawing_area();
    match legend {
        None => draw(&canvas, &root)?,
        Some(entries) => {
            let (plot, side) = root.split_horizontally(PAGE.0 as i32 * UNITS);
            draw(&canvas, &plot)?;
            for (row, entry) in entries.iter().enumerate() {
                canvas.series(Some(entry.style), dash(entry.style));
                let y = units(24.0 + LEGEND.2 * row as f64);
                let role = Role::Series(entry.style);
                side.draw(&PathElement::new([(units(8.0), y), (units(38.0), y)], stroke(role, LINE)))?;
                canvas.series(Some(entry.style), &[]);
                if entry.style != 0 {
                    let at = EmptyElement::at((units(23.0), y));
                    side.draw(&(at + Polygon::new(marker_corners(entry.style), fill(role, 1.0))))?;
                }
                canvas.series(None, &[]);
                side.draw(&Text::new(entry.name.clone(), (units(LEGEND.1), y), text_style(HPos::Left, VPos::Center)))?;
            }
        }
    }
    Ok(canvas.drawing())
}

/// A style's marker around the origin, in backend units; empty for Random.
pub(crate) fn marker_corners(style: usize) -> Vec<(i32, i32)> {
    marker(style).into_iter().flatten().map(|(x, y)| (units(MARK * x), units(MARK * y))).collect()
}

/// Draws the marker of a style at a point of the unit plane; a ring for Random.
pub(crate) fn draw_mark(plane: &Plane, at: (f64, f64), style: usize) -> Drawn<()> {
    let corners = marker_corners(style);
    if corners.is_empty() {
        return plane.draw(&(EmptyElement::at(at) + Circle::new((0, 0), units(3.5), stroke(Role::Series(style), 1.5))));
    }
    plane.draw(&(EmptyElement::at(at) + Polygon::new(corners, fill(Role::Series(style), 1.0))))
}

/// A range on a logarithmic axis that holds these values with a margin; `None` without positive values.
fn log_range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for v in values.into_iter().filter(|v| *v > 0.0 && v.is_finite()) {
        low = low.min(v);
        high = high.max(v);
    }
    if high == 0.0 {
        return None;
    }
    let margin = (high / low).powf(0.05).max(1.02);
    Some((low / margin, high * margin))
}

/// Round values for the ticks of a logarithmic axis: powers of ten, or with 2 and 5 between, or tenths of ratios near
/// one.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let mut ticks = Vec::new();
    let steps: &[f64] = if decades > 2.5 {
        &[1.0]
    } else if decades > 0.8 {
        &[1.0, 2.0, 5.0]
    } else if decades > 0.35 {
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
    } else {
        &[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 9.0, 9.5]
    };
    for decade in (low.log10().floor() as i32)..=(high.log10().ceil() as i32) {
        ticks.extend(steps.iter().map(|s| s * 10_f64.powi(decade)).filter(|v| (low..=high).contains(v)));
    }
    ticks
}

/// A horizontal axis of labels, from the first entry's to the last's.
#[derive(Clone, Copy)]
pub(crate) struct LabelAxis {
    pub(crate) first: f64,
    pub(crate) last: f64,
}

impl LabelAxis {
    /// Where so many labels lie; in the middle where there is one entry alone.
    pub(crate) fn at(self, n: f64) -> f64 {
        if self.last > self.first { (n - self.first) / (self.last - self.first) } else { 0.5 }
    }

    pub(crate) fn ticks(self) -> Vec<(f64, String)> {
        linear_ticks(self.first, self.last).into_iter().map(|n| (self.at(n), format!("{n}"))).collect()
    }
}

/// Draws the frame of a chart: grid and labels at given ticks, axis titles. `x` ticks are (position, label) in [0, 1].
pub(crate) struct Frame<'a> {
    pub(crate) x_ticks: &'a [(f64, String)],
    pub(crate) y_ticks: &'a [(f64, String)],
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    /// Whether the left axis is drawn.
    pub(crate) y_axis: bool,
}

/// A text cut to so many pixels; an ellipsis tells that it goes on. Faces that a reader may have are wider than the one
/// that widths are reckoned in.
pub(crate) fn fitting(text: &str, room: f64) -> String {
    const WIDER: f64 = 1.15;
    let size = TEXT * WIDER;
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if text_width(&kept, size) + size > room {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// Where a plot begins, as a share of its width, so that these names stand at its left, and the pixels that one has.
pub(crate) fn behind_names<'a>(names: impl Iterator<Item = &'a str>) -> (f64, f64) {
    let widest = names.map(|name| text_width(name, TEXT)).fold(0.0, f64::max);
    let plot_width = f64::from(PAGE.0) - MARGINS.0 - MARGINS.2;
    let left = ((WIDER * widest + 8.0 - MARGINS.0) / plot_width).clamp(0.0, 0.55);
    (left, MARGINS.0 + (left - 0.015) * plot_width)
}

/// Margins around the plot in pixels: left, top, right, bottom.
pub(crate) const MARGINS: (f64, f64, f64, f64) = (62.0, 12.0, 14.0, 46.0);

pub(crate) type Plane =
    DrawingArea<Canvas, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

impl Frame<'_> {
    /// Room at the left of the plot in which the labels of the upright axis do not run into its title, on a phone's
    /// screen, either, where letters are larger.
    pub(crate) fn room(&self) -> f64 {
        const LARGER: f64 = 1.25;
        const TITLE: f64 = 26.0;
        let widest = self.y_ticks.iter().map(|(_, label)| text_width(label, TEXT * LARGER)).fold(0.0, f64::max);
        let title = if self.y_title.is_empty() { 0.0 } else { TITLE };
        MARGINS.0.max((widest + title + LABEL_GAP).round())
    }
}

/// Between the labels of the upright axis and the plot, in pixels.
const LABEL_GAP: f64 = 7.0;
/// Between the plot and the labels below it: under the lowest label of the upright axis, where letters are larger, too.
const BELOW: f64 = 9.0;

/// Lays out a chart whose axes both run from 0 to 1 and returns its plane, with y upwards.
pub(crate) fn framed(area: &DrawingArea<Canvas, Shift>, frame: &Frame<'_>) -> Drawn<Plane> {
    framed_within(area, frame, MARGINS.0)
}

/// The same with so much room at its left.
pub(crate) fn framed_within(area: &DrawingArea<Canvas, Shift>, frame: &Frame<'_>, left: f64) -> Drawn<Plane> {
    let (_, top, right, bottom) = MARGINS;
    let (width, height) = area.dim_in_pixel();
    let mut chart = ChartBuilder::on(area)
        .margin_left(units(left))
        .margin_top(units(top))
        .margin_right(units(right))
        .margin_bottom(units(bottom))
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    let grid = stroke(Role::Grid, 1.0);
    chart.draw_series(frame.x_ticks.iter().map(|(x, _)| PathElement::new([(*x, 0.0), (*x, 1.0)], grid)))?;
    chart.draw_series(frame.y_ticks.iter().map(|(y, _)| PathElement::new([(0.0, *y), (1.0, *y)], grid)))?;
    let corner = [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)];
    let axes = if frame.y_axis { &corner[..] } else { &corner[1..] };
    chart.draw_series([PathElement::new(axes.to_vec(), stroke(Role::Ink, 1.2))])?;
    let plane = chart.plotting_area().clone();
    let (plot_width, plot_height) = plane.dim_in_pixel();
    let (x0, y0) = (units(left), units(top));
    let at_x = |x: f64| x0 + (x * f64::from(plot_width)) as i32;
    let at_y = |y: f64| y0 + ((1.0 - y) * f64::from(plot_height)) as i32;
    let below = y0 + plot_height as i32;
    for (x, label) in frame.x_ticks {
        area.draw(&Text::new(label.clone(), (at_x(*x), below + units(BELOW)), text_style(HPos::Center, VPos::Top)))?;
    }
    for (y, label) in frame.y_ticks {
        area.draw(&Text::new(label.clone(), (x0 - units(LABEL_GAP), at_y(*y)), text_style(HPos::Right, VPos::Center)))?;
    }
    let bottom_of_area = height as i32 - units(3.0);
    let (x_room, y_room) = (f64::from(plot_width) / f64::from(UNITS), f64::from(plot_height) / f64::from(UNITS));
    area.draw(&Text::new(
        fitting(frame.x_title, x_room),
        ((x0 + width as i32 - units(right)) / 2, bottom_of_area),
        text_style(HPos::Center, VPos::Bottom),
    ))?;
    area.draw(&Text::new(
        fitting(frame.y_title, y_room),
        (units(4.0), y0 + plot_height as i32 / 2),
        text_style(HPos::Center, VPos::Top).transform(FontTransform::Rotate270),
    ))?;
    Ok(plane)
}

/// Pixel position of a point of the unit plane on the page.
pub(crate) fn page_position(x: f64, y: f64) -> (f64, f64) {
    position_within(MARGINS.0, x, y)
}

/// The same in a frame with so much room at its left.
pub(crate) fn position_within(left: f64, x: f64, y: f64) -> (f64, f64) {
    let (_, top, right, bottom) = MARGINS;
    let (width, height) = (f64::from(PAGE.0) - left - right, f64::from(PAGE.1) - top - bottom);
    let round = |v: f64| (v * 10.0).round() / 10.0;
    (round(left + x * width), round(top + (1.0 - y) * height))
}

/// Maps values to [0, 1] logarithmically.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        log_range(values).map(|(low, high)| Self { low, high })
    }

    /// Between two positive numbers, without a margin.
    pub(crate) fn exactly(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    pub(crate) fn at(self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }

    pub(crate) fn ticks(self) -> Vec<(f64, String)> {
        log_ticks(self.low, self.high).into_iter().map(|v| (self.at(v), number(v))).collect()
    }
}

/// Round steps for a linear axis of about six ticks.
pub(crate) fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low).max(1e-300) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_titles_are_cut() {
        assert_eq!(fitting("load in N", 200.0), "load in N");
        let cut = fitting(&"a long name ".repeat(20), 200.0);
        assert!(cut.ends_with('…') && text_width(&cut, TEXT) < 205.0 && cut.len() > 20, "{cut}");
    }
}
