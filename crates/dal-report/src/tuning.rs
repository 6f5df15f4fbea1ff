//! A search for a network, as a picture and as tables: what was tried, how it did, what was chosen.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::canvas::{Canvas, Role, UNITS};
use crate::plot::{Drawn, Frame, LogScale, Plane, draw_mark, fill, framed, stroke, text_style, units};
use crate::svg;
use crate::table::{Entry, Row, Table};
use crate::text::number;

/// A network that a search tried.
#[derive(Debug, Clone, Default)]
pub struct TriedNetwork {
    /// What it is, in words.
    pub name: String,
    /// Which networks share a marker and a colour: an index into [`TuningPicture::groups`].
    pub group: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// The last stage that it was trained in, 0-based.
    pub stage: usize,
    /// Geometric mean of its validation MSE there; `None` if it failed.
    pub mse: Option<f64>,
    /// Standard error of the mean logarithm of that; 0 if unknown.
    pub log_error: f64,
    /// Why it failed.
    pub failure: Option<String>,
    /// Whether it is the one that was chosen.
    pub chosen: bool,
    /// Whether it is the one that others are measured against.
    pub reference: bool,
}

/// Test errors of the reference and the chosen network at one number of labels.
#[derive(Debug, Clone, Default)]
pub struct TestedNetworks {
    /// Labels.
    pub labels: usize,
    /// Reference: geometric mean over seeds, and the range over them.
    pub reference: (Option<f64>, Option<(f64, f64)>),
    /// Chosen: likewise.
    pub chosen: (Option<f64>, Option<(f64, f64)>),
    /// Geometric mean of chosen / reference, and the standard error of its logarithm.
    pub ratio: Option<(f64, f64)>,
}

/// A search, as plain values that any source could fill.
#[derive(Debug, Clone, Default)]
pub struct TuningPicture {
    /// The problem.
    pub problem: String,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Names of the stages; the last one are the finals.
    pub stages: Vec<String>,
    /// Why the choice was made.
    pub explanation: String,
    /// What was tried, in the order of the table.
    pub tried: Vec<TriedNetwork>,
    /// The proof on the test set; empty if there is none.
    pub tested: Vec<TestedNetworks>,
}

/// A table in the formats that it is saved in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTable {
    /// Comma-separated, numbers in full precision.
    pub csv: String,
    /// For a document.
    pub markdown: String,
}

impl From<Table> for SavedTable {
    fn from(table: Table) -> Self {
        Self { csv: table.csv(), markdown: table.markdown() }
    }
}

impl TuningPicture {
    /// What was tried, a row per network.
    pub fn tried_table(&self) -> SavedTable {
        let columns = ["network", "parameters", "stage", "validation MSE", "standard error", ""];
        let row = |t: &TriedNetwork| {
            let mark = match (t.chosen, t.reference, &t.failure) {
                (true, true, _) => "chosen, reference".to_owned(),
                (true, false, _) => "chosen".to_owned(),
                (false, true, None) => "reference".to_owned(),
                (false, true, Some(why)) => format!("reference; failed: {why}"),
                (false, false, Some(why)) => format!("failed: {why}"),
                (false, false, None) => String::new(),
            };
            let error = t.mse.filter(|_| t.log_error > 0.0).map(|mse| mse * t.log_error);
            let cells = vec![
                Entry::text(&t.name),
                Entry::number(t.parameters as f64, t.parameters.to_string()),
                Entry::text(self.stages.get(t.stage).cloned().unwrap_or_default()),
                Entry::optional(t.mse, number),
                Entry::optional(error, number),
                Entry::text(mark),
            ];
            Row { cells, ..Row::default() }
        };
        Table {
            id: "tried".into(),
            caption: format!("{}: networks tried, those that came furthest first. {}", self.problem, self.explanation),
            columns: columns.map(str::to_owned).to_vec(),
            n_labels: 1,
            rows: self.tried.iter().map(row).collect(),
        }
        .into()
    }

    /// The proof, a row per number of labels; `None` if there is none.
    pub fn tested_table(&self) -> Option<SavedTable> {
        if self.tested.is_empty() {
            return None;
        }
        let columns = [
            "labels",
            "reference",
            "lowest",
            "highest",
            "tuned",
            "lowest",
            "highest",
            "ratio",
            "standard error of its logarithm",
        ];
        let row = |t: &TestedNetworks| {
            let range = |r: Option<(f64, f64)>| r.unzip();
            let ((r_low, r_high), (c_low, c_high)) = (range(t.reference.1), range(t.chosen.1));
            let (ratio, error) = t.ratio.unzip();
            let values = [t.reference.0, r_low, r_high, t.chosen.0, c_low, c_high, ratio, error];
            let mut cells = vec![Entry::number(t.labels as f64, t.labels.to_string())];
            cells.extend(values.map(|v| Entry::optional(v, number)));
            Row { cells, ..Row::default() }
        };
        let table = Table {
            id: "tested".into(),
            caption: format!(
                "{}: test MSE of the reference network and the tuned one, geometric mean and range over seeds",
                self.problem
            ),
            columns: columns.map(str::to_owned).to_vec(),
            n_labels: 1,
            rows: self.tested.iter().map(row).collect(),
        };
        Some(table.into())
    }

    /// What was tried as an SVG file: validation MSE against parameters, both logarithmic. Finalists are solid with one
    /// standard error as a bar, networks of earlier stages pale; a ring marks the chosen one, a square the reference.
    /// Networks that failed are not drawn. `None` where nothing could be trained.
    pub fn svg(&self) -> Option<String> {
        let shown: Vec<(&TriedNetwork, f64)> =
            self.tried.iter().filter_map(|t| Some((t, t.mse.filter(|v| *v > 0.0 && v.is_finite())?))).collect();
        // A network that learned nothing tells little: what lies far above the others stands at the upper edge.
        let mut sorted: Vec<f64> = shown.iter().map(|(_, mse)| *mse).collect();
        sorted.sort_by(f64::total_cmp);
        let cap = sorted.get((sorted.len() * 19 / 20).min(sorted.len().saturating_sub(1))).copied()?;
        let y = LogScale::of(sorted.iter().map(|v| v.min(cap)))?;
        let x = LogScale::of(shown.iter().map(|(t, _)| t.parameters as f64))?;
        let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
        let frame = Frame {
            x_ticks: &x_ticks,
            y_ticks: &y_ticks,
            x_title: "parameters",
            y_title: "validation MSE",
            y_axis: true,
        };
        let last = self.stages.len().saturating_sub(1);
        let canvas = Canvas::new(670, 310);
        let (area, side) = canvas.clone().into_drawing_area().split_horizontally((670 - 190) * UNITS);
        let draw = || -> Drawn<()> {
            self.draw_legend(&canvas, &side)?;
            let plane = framed(&area, &frame)?;
            // Earlier stages first, so that finalists lie on top.
            let mut order: Vec<usize> = (0..shown.len()).collect();
            order.sort_by_key(|&i| shown[i].0.stage);
            for i in order {
                let (t, mse) = shown[i];
                let at = (x.at(t.parameters as f64), y.at(mse.min(cap)));
                let ends = [-t.log_error, t.log_error].map(|e| y.at((mse * e.exp()).min(cap)).clamp(0.0, 1.0));
                draw_network(&canvas, &plane, t, at, ends, last)?;
            }
            Ok(())
        };
        draw().ok()?;
        let drawing = canvas.drawing();
        let title = format!("{}: networks tried", self.problem);
        Some(svg::for_file(&drawing, &title, &self.explanation))
    }
}

impl TuningPicture {
    fn draw_legend(&self, canvas: &Canvas, side: &DrawingArea<Canvas, Shift>) -> Drawn<()> {
        let row = |k: usize| units(24.0 + 20.0 * k as f64);
        let say = |k: usize, text: &str| {
            side.draw(&Text::new(text.to_owned(), (units(28.0), row(k)), text_style(HPos::Left, VPos::Center)))
        };
        for (g, name) in self.groups.iter().enumerate() {
            canvas.series(Some(g + 1), &[]);
            let corners = crate::plot::marker_corners(g + 1);
            let at = EmptyElement::at((units(14.0), row(g)));
            side.draw(&(at + Polygon::new(corners, fill(Role::Series(g + 1), 1.0))))?;
            canvas.series(None, &[]);
            say(g, name)?;
        }
        let first = self.groups.len();
        for (k, text) in
            ["ring: chosen", "square: reference", "pale dot: left before", "  the finals"].iter().enumerate()
        {
            say(first + k, text)?;
        }
        Ok(())
    }
}

/// Draws a network at a point of the unit plane, with its standard error if it is a finalist.
fn draw_network(
    canvas: &Canvas,
    plane: &Plane,
    t: &TriedNetwork,
    at: (f64, f64),
    ends: [f64; 2],
    last: usize,
) -> Drawn<()> {
    let style = t.group + 1;
    canvas.series(Some(style), &[]);
    if t.stage == last {
        plane.draw(&PathElement::new(ends.map(|end| (at.0, end)).to_vec(), stroke(Role::Series(style), 1.2)))?;
        draw_mark(plane, at, style)?;
    } else {
        let pale = fill(Role::Series(style), 0.25 + 0.15 * t.stage as f64);
        let dot = Circle::new((0, 0), units(2.2 + 0.6 * t.stage as f64), pale);
        plane.draw(&(EmptyElement::at(at) + dot))?;
    }
    canvas.series(None, &[]);
    if t.chosen {
        plane.draw(&(EmptyElement::at(at) + Circle::new((0, 0), units(8.5), stroke(Role::Ink, 1.6))))?;
    }
    if t.reference {
        let r = units(7.0);
        let square = PathElement::new([(-r, -r), (r, -r), (r, r), (-r, r), (-r, -r)], stroke(Role::Ink, 1.2));
        plane.draw(&(EmptyElement::at(at) + square))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> TuningPicture {
        let network = |parameters, stage, mse, chosen, reference| TriedNetwork {
            name: format!("{parameters} parameters"),
            group: stage % 2,
            parameters,
            stage,
            mse,
            log_error: if stage == 1 { 0.1 } else { 0.0 },
            failure: mse.is_none().then(|| "it <diverged>".into()),
            chosen,
            reference,
        };
        TuningPicture {
            problem: "sine".into(),
            groups: vec!["no BatchNorm".into(), "running BatchNorm".into()],
            stages: vec!["rung 1".into(), "finals".into()],
            explanation: "The smallest & best.".into(),
            tried: vec![
                network(100, 1, Some(0.01), true, false),
                network(400, 1, Some(0.02), false, true),
                network(50, 0, Some(0.3), false, false),
                network(900, 0, None, false, false),
            ],
            tested: vec![TestedNetworks {
                labels: 80,
                reference: (Some(0.5), Some((0.4, 0.6))),
                chosen: (Some(0.25), Some((0.2, 0.3))),
                ratio: Some((0.5, 0.01)),
            }],
        }
    }

    #[test]
    fn failures_are_listed_but_not_drawn() {
        let svg = picture().svg().unwrap();
        assert!(svg.contains("The smallest &amp; best.") && svg.contains("validation MSE"), "{svg}");
        // One pale dot and the ring around the choice.
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        let table = picture().tried_table();
        assert_eq!(table.csv.lines().count(), 5);
        assert!(table.csv.contains("900 parameters,900,rung 1,,,failed: it <diverged>"), "{}", table.csv);
        assert!(table.csv.contains("100 parameters,100,finals,0.01,0.001,chosen"), "{}", table.csv);
        assert!(picture().tested_table().unwrap().markdown.contains("| 80 | 0.5 | 0.4 | 0.6 | 0.25 |"));
        assert_eq!(TuningPicture::default().svg(), None);
        assert_eq!(TuningPicture::default().tested_table(), None);
    }
}
