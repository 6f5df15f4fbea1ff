//! The figures: what is drawn, what is said about it in words, and where a reader can stop to read values.

use std::convert::Infallible;

use dal_eval::{Cell, CellVerdict, RankTable};
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Serialize;

use crate::canvas::{Canvas, Drawing, Role, UNITS, text_width};
use crate::findings::{Curves, ErrorKind, Method, Part};
use crate::style::{dash, marker};
use crate::summary::overall;
use crate::table::{Entry, Row, Table};
use crate::text::{number, ratio_name};

/// A figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// Names its file and its element in the page.
    pub(crate) id: String,
    /// What it shows, as a heading.
    pub(crate) title: String,
    /// What there is to see, for those who cannot see it and for the file's description.
    pub(crate) alt: String,
    /// As drawn in the page: without a legend, which the page has beside it.
    pub(crate) on_page: Drawing,
    /// As saved for a paper: with a legend.
    pub(crate) for_paper: Drawing,
    /// Where to stop and what is there.
    pub(crate) stops: Stops,
    /// Which problem it is of, if of one.
    pub(crate) problem: Option<String>,
    /// Which pool ratio it is of, if of one.
    pub(crate) ratio: Option<usize>,
    /// Id of the error it shows, where the page lets the reader choose one.
    pub(crate) metric: Option<&'static str>,
}

/// Places in a figure at which values are read, in pixels of the page's drawing.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Stops {
    /// Horizontal position of each stop.
    x: Vec<f64>,
    /// What stands there on the axis.
    l: Vec<String>,
    /// What each series has there.
    s: Vec<SeriesStops>,
}

impl Stops {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.x.len()
    }
}

/// Values of one series at the stops.
#[derive(Debug, Clone, Serialize)]
struct SeriesStops {
    /// Style of the series.
    i: usize,
    /// Name of the series.
    n: String,
    /// Height of its mark; none where it has none.
    y: Vec<Option<f64>>,
    /// The values in words.
    v: Vec<String>,
}

impl Figure {
    /// The values that can be read off, as a table: one row per stop, or per mark where each stop is a single mark.
    pub(crate) fn values(&self) -> Table {
        let said = |k: usize| self.stops.s.iter().filter(move |s| !s.v[k].is_empty());
        let single = (0..self.stops.len()).all(|k| said(k).count() == 1);
        let (columns, rows): (Vec<String>, Vec<Row>) = if single {
            let row = |k: usize| {
                let of = said(k).next();
                let words = [of.map(|s| s.n.clone()), Some(self.stops.l[k].clone()), of.map(|s| s.v[k].clone())];
                let cells = words.into_iter().map(|w| Entry::text(w.unwrap_or_default())).collect();
                Row { cells, method: of.map(|s| s.i), ..Row::default() }
            };
            (["method", "at", "value"].map(str::to_owned).to_vec(), (0..self.stops.len()).map(row).collect())
        } else {
            let columns = std::iter::once("method".to_owned()).chain(self.stops.l.iter().cloned()).collect();
            let row = |s: &SeriesStops| {
                let cells = std::iter::once(&s.n).chain(&s.v).map(Entry::text).collect();
                Row { cells, method: Some(s.i), ..Row::default() }
            };
            (columns, self.stops.s.iter().map(row).collect())
        };
        Table {
            id: format!("{}-values", self.id),
            caption: format!("{}: values", self.title),
            columns,
            n_labels: 1,
            rows,
        }
    }
}

/// One method's curves, for [`learning_curves`].
pub(crate) struct SeriesCurves<'a> {
    pub(crate) name: &'a str,
    pub(crate) style: usize,
    pub(crate) curves: &'a Curves,
}

pub(crate) type Drawn<T> = Result<T, DrawingAreaErrorKind<Infallible>>;

const PAGE: (u32, u32) = (480, 310);
const PAPER: (u32, u32) = (670, 310);
const LEGEND_WIDTH: i32 = 190;
const TEXT: f64 = 13.0;
const LINE: f64 = 1.8;
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
struct LegendEntry {
    name: String,
    style: usize,
}

/// Draws on a fresh canvas, with or without room for a legend on the right.
fn canvas_with(
    legend: Option<&[LegendEntry]>,
    draw: impl FnOnce(&Canvas, &DrawingArea<Canvas, Shift>) -> Drawn<()>,
) -> Drawn<Drawing> {
    let (width, height) = if legend.is_some() { PAPER } else { PAGE };
    let canvas = Canvas::new(width, height);
    let root = canvas.clone().into_drawing_area();
    match legend {
        None => draw(&canvas, &root)?,
        Some(entries) => {
            let (plot, side) = root.split_horizontally((width as i32 - LEGEND_WIDTH) * UNITS);
            draw(&canvas, &plot)?;
            for (row, entry) in entries.iter().enumerate() {
                canvas.series(Some(entry.style), dash(entry.style));
                let y = units(24.0 + 20.0 * row as f64);
                let role = Role::Series(entry.style);
                side.draw(&PathElement::new([(units(8.0), y), (units(38.0), y)], stroke(role, LINE)))?;
                canvas.series(Some(entry.style), &[]);
                if entry.style != 0 {
                    let at = EmptyElement::at((units(23.0), y));
                    side.draw(&(at + Polygon::new(marker_corners(entry.style), fill(role, 1.0))))?;
                }
                canvas.series(None, &[]);
                side.draw(&Text::new(entry.name.clone(), (units(44.0), y), text_style(HPos::Left, VPos::Center)))?;
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

/// Round values for the ticks of a logarithmic axis: powers of ten, or with 2 and 5 between, or tenths of ratios near one.
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

/// Draws the frame of a chart: grid and labels at given ticks, axis titles. `x` ticks are (position, label) in [0, 1].
pub(crate) struct Frame<'a> {
    pub(crate) x_ticks: &'a [(f64, String)],
    pub(crate) y_ticks: &'a [(f64, String)],
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    /// Whether the left axis is drawn.
    pub(crate) y_axis: bool,
}

/// Margins around the plot in pixels: left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (62.0, 12.0, 14.0, 46.0);

pub(crate) type Plane =
    DrawingArea<Canvas, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

/// Lays out a chart whose axes both run from 0 to 1 and returns its plane, with y upwards.
pub(crate) fn framed(area: &DrawingArea<Canvas, Shift>, frame: &Frame<'_>) -> Drawn<Plane> {
    let (left, top, right, bottom) = MARGINS;
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
        area.draw(&Text::new(label.clone(), (at_x(*x), below + units(6.0)), text_style(HPos::Center, VPos::Top)))?;
    }
    for (y, label) in frame.y_ticks {
        area.draw(&Text::new(label.clone(), (x0 - units(7.0), at_y(*y)), text_style(HPos::Right, VPos::Center)))?;
    }
    let bottom_of_area = height as i32 - units(6.0);
    area.draw(&Text::new(
        frame.x_title.to_owned(),
        ((x0 + width as i32 - units(right)) / 2, bottom_of_area),
        text_style(HPos::Center, VPos::Bottom),
    ))?;
    area.draw(&Text::new(
        frame.y_title.to_owned(),
        (units(4.0), y0 + plot_height as i32 / 2),
        text_style(HPos::Center, VPos::Top).transform(FontTransform::Rotate270),
    ))?;
    Ok(plane)
}

/// Pixel position of a point of the unit plane on the page.
fn page_position(x: f64, y: f64) -> (f64, f64) {
    let (left, top, right, bottom) = MARGINS;
    let (width, height) = (f64::from(PAGE.0) - left - right, f64::from(PAGE.1) - top - bottom);
    let round = |v: f64| (v * 10.0).round() / 10.0;
    (round(left + x * width), round(top + (1.0 - y) * height))
}

/// Maps values to [0, 1] logarithmically.
#[derive(Clone, Copy)]
pub(crate) struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        log_range(values).map(|(low, high)| Self { low, high })
    }

    pub(crate) fn at(self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }

    pub(crate) fn ticks(self) -> Vec<(f64, String)> {
        log_ticks(self.low, self.high).into_iter().map(|v| (self.at(v), number(v))).collect()
    }
}

/// Round steps for a linear axis of about six ticks.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low).max(1e-300) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// An error against labels: geometric mean over seeds, for MSE with its band and with single seeds as thin lines where some are
/// missing. `None` where nothing was recorded.
pub(crate) fn learning_curves(
    part: &Part,
    problem: usize,
    ratio: usize,
    kind: ErrorKind,
    series: &[SeriesCurves<'_>],
    prefix: &str,
) -> Option<Figure> {
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
    let at_x = move |n: f64| if last > first { (n - first) / (last - first) } else { 0.5 };
    let x_ticks: Vec<(f64, String)> =
        linear_ticks(first, last).into_iter().map(|n| (at_x(n), format!("{n}"))).collect();
    let y_ticks = y.ticks();
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: "labels", y_title: kind.name(), y_axis: true };
    // Many bands on top of each other hide the lines.
    let opacity = if shown.len() > 6 { 0.07 } else { 0.13 };
    let at = |t: usize, value: f64| (at_x(of.n_labelled[t] as f64), y.at(value));
    let points = |curve: &[f64]| -> Vec<(f64, f64)> {
        curve.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(t, v)| at(t, *v)).collect()
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        for s in &shown {
            let role = Role::Series(s.style);
            canvas.series(Some(s.style), dash(s.style));
            let Some(band) = s.curves.band(kind) else {
                for (_, curve) in &s.curves.per_seed {
                    plane.draw(&PathElement::new(points(curve), stroke(role, 0.7)))?;
                }
                continue;
            };
            if let Some((low, high)) = band.spread.as_ref().filter(|_| mse) {
                let outline: Vec<_> = points(low).into_iter().chain(points(high).into_iter().rev()).collect();
                plane.draw(&Polygon::new(outline, fill(role, opacity)))?;
            }
            let line = points(&band.mean);
            plane.draw(&PathElement::new(line.clone(), stroke(role, LINE)))?;
            canvas.series(Some(s.style), &[]);
            // Markers every tenth entry, shifted by style so that they seldom hide each other; one for the errors beside MSE,
            // whose figures are there by the hundred.
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
                        .map(|t| match band.spread.as_ref().filter(|_| mse) {
                            Some((low, high)) => {
                                format!("{} ({} to {})", number(band.mean[t]), number(low[t]), number(high[t]))
                            }
                            None => number(band.mean[t]),
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
            kind.name(),
            first,
            last,
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

/// Letters, digits and dashes only, for file names and element ids.
pub(crate) fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}

/// Which number of a cell [`against_ratio`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// nAUC_MSE, with its 95 % interval.
    NAuc,
    /// nDiv.
    NDiv,
}

/// A cell's number for a figure: value and interval.
fn quantity(part: &Part, m: usize, p: usize, g: usize, what: Quantity) -> Option<(f64, Option<(f64, f64)>)> {
    let cell = part.methods[m].cells[p][g].as_ref()?;
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
            // Very wide intervals (two seeds) would flatten everything else; they are cut at the frame and read from the table.
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

/// Every cell of every method at a glance: small dots for the cells, a mark with its interval for the average, best first.
pub(crate) fn glance(part: &Part, prefix: &str) -> Option<Figure> {
    struct Line<'a> {
        method: &'a Method,
        average: Option<f64>,
        interval: Option<(f64, f64)>,
        cells: Vec<f64>,
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
    let width_of_names = lines.iter().map(|l| text_width(&l.method.id, TEXT)).fold(0.0, f64::max);
    let plot_width = f64::from(PAGE.0) - MARGINS.0 - MARGINS.2;
    let left = ((1.1 * width_of_names + 8.0 - MARGINS.0) / plot_width).clamp(0.0, 0.5);
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
            let name = Text::new(line.method.id.clone(), (left - 0.015, py), text_style(HPos::Right, VPos::Center));
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
            (None, _) => "no average: cells without a value".to_owned(),
        };
        format!("{average}, cells from {} to {}", number(low), number(high))
    };
    let stop_x = |line: &Line<'_>| line.average.unwrap_or(line.cells[0]);
    let stops = Stops {
        x: lines.iter().map(|l| page_position(at_x(stop_x(l)), 0.0).0).collect(),
        l: (1..=n).map(|place| format!("place {place}")).collect(),
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
        alt: format!(
            "nAUC of every method, lowest average first; random sampling is the line at 1. {}.",
            said.join("; ")
        ),
        for_paper: drawing.clone(),
        on_page: drawing,
        stops,
        problem: None,
        ratio: None,
        metric: None,
    })
}

/// Mean ranks at one pool ratio: a point for each method in order, bars over groups that cannot be told apart.
pub(crate) fn ranks(part: &Part, ratio: usize, table: &RankTable, prefix: &str) -> Option<Figure> {
    let names: Vec<(&str, usize)> = std::iter::once(("random", part.random_style))
        .chain(part.methods.iter().map(|m| (m.id.as_str(), m.style)))
        .collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| table.mean_ranks[a].total_cmp(&table.mean_ranks[b]));
    let n = names.len();
    // Names stand in the left margin and, where they are longer, push the axis to the right.
    let width_of_names = names.iter().map(|(name, _)| text_width(name, TEXT)).fold(0.0, f64::max);
    let plot_width = f64::from(PAGE.0) - MARGINS.0 - MARGINS.2;
    let left = ((1.1 * width_of_names + 8.0 - MARGINS.0) / plot_width).clamp(0.0, 0.5);
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
            plane.draw(&Text::new(name.to_owned(), (left - 0.015, py), text_style(HPos::Right, VPos::Center)))?;
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
            if table.decidable {
                "Bars on the right join methods that cannot be told apart."
            } else {
                "Too few blocks to tell any two apart."
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

/// A word for a cell's verdict.
pub(crate) fn verdict_word(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Better => "better",
        CellVerdict::Worse => "worse",
        CellVerdict::Equal => "equal",
        CellVerdict::Undecided => "undecided",
        CellVerdict::Undecidable => "too few seeds",
        CellVerdict::NoVerdict => "no verdict",
    }
}
