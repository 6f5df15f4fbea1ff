//! Pictures of what the model says: an output along an input, and which inputs matter.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::charts::{Mark, figure, stops_of};
use super::data::{Curve, Input, InputKind, Output, Ranged};
use super::scale::{axis_of, input_title, output_title, value_in_words, with_unit};
use crate::canvas::{Canvas, Role, text_width};
use crate::figure::Figure;
use crate::plot::{
    Drawn, Frame, LINE, MARGINS, PAGE, TEXT, draw_mark, fill, fitting, framed, framed_within, stroke, text_style,
};
use crate::scale::Scale;
use crate::text::typeset as number;

/// How an output depends on an input. Curves of one output share an axis, so that slopes can be compared.
pub(crate) fn dependence(curve: &Curve, axis: &[&Curve], input: &Input, output: &Output, id: String) -> Option<Figure> {
    let values = || axis.iter().flat_map(|c| c.low.iter().chain(&c.high).copied());
    let log = output.log && values().all(|v| v > 0.0);
    let y = Scale::of_values(values(), log)?;
    let x = axis_of(input);
    let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
    let (x_title, y_title) = (input_title(input), output_title(output));
    let frame = Frame { x_ticks: &x_ticks, y_ticks: &y_ticks, x_title: &x_title, y_title: &y_title, y_axis: true };
    let left = frame.room();
    let is_number = matches!(input.kind, Some(InputKind::Number { .. }));
    let at = |k: usize, values: &[f64]| (x.at(curve.x[k]), y.at(values[k]));
    let n = curve.x.len();
    let role = Role::Series(1);
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed_within(area, &frame, left)?;
        canvas.series(Some(1), &[]);
        if is_number {
            let band: Vec<_> =
                (0..n).map(|k| at(k, &curve.high)).chain((0..n).rev().map(|k| at(k, &curve.low))).collect();
            plane.draw(&Polygon::new(band, fill(role, 0.25)))?;
            let line: Vec<_> = (0..n).map(|k| at(k, &curve.mean)).collect();
            plane.draw(&PathElement::new(line, stroke(role, LINE)))?;
        } else {
            for k in 0..n {
                let bar = [at(k, &curve.low), at(k, &curve.high)];
                plane.draw(&PathElement::new(bar, stroke(role, 1.6)))?;
                draw_mark(&plane, at(k, &curve.mean), 1)?;
            }
        }
        canvas.series(None, &[]);
        Ok(())
    };
    let marks = (0..n).map(|k| Mark {
        at: at(k, &curve.mean),
        label: format!("{} {}", input.name, value_in_words(input, curve.x[k])),
        series: 1,
        value: format!(
            "{} (members {} to {})",
            with_unit(&number(curve.mean[k]), &output.unit),
            number(curve.low[k]),
            number(curve.high[k])
        ),
    });
    let stops = stops_of(left, marks.collect(), &[(1, output.name.clone())]);
    let (first, last) = (*curve.mean.first()?, *curve.mean.last()?);
    let alt = format!(
        "Mean of {} over the space with {} held: {} at {}, {} at {}; the band is where the members' own means lie.",
        output_title(output),
        input.name,
        number(first),
        value_in_words(input, curve.x[0]),
        number(last),
        value_in_words(input, curve.x[n - 1])
    );
    figure(id, format!("{} along {}", output.name, input.name), alt, stops, draw)
}

/// Which inputs matter to an output: of each the share of the variance that it has a part in, and that it explains by
/// itself.
pub(crate) fn importance(
    shares: &[(Ranged, Ranged)],
    order: &[usize],
    inputs: &[Input],
    output: &Output,
    id: String,
) -> Option<Figure> {
    let n = order.len();
    let names: f64 = order.iter().map(|i| text_width(&inputs[*i].name, TEXT)).fold(0.0, f64::max);
    let plot_width = f64::from(PAGE.0) - MARGINS.0 - MARGINS.2;
    let left = ((1.1 * names + 8.0 - MARGINS.0) / plot_width).clamp(0.02, 0.5);
    let at_x = |v: f64| left + (1.0 - left) * v.clamp(0.0, 1.0);
    let x_ticks: Vec<(f64, String)> =
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].iter().map(|v| (at_x(*v), format!("{:.0} %", 100.0 * v))).collect();
    let frame = Frame {
        x_ticks: &x_ticks,
        y_ticks: &[],
        x_title: "share of the output's variance",
        y_title: "",
        y_axis: false,
    };
    let draw = |canvas: &Canvas, area: &DrawingArea<Canvas, Shift>| -> Drawn<()> {
        let plane = framed(area, &frame)?;
        // Names stand to the left of 0 %, not on an axis.
        plane.draw(&PathElement::new([(0.0, 0.0), (left - 0.003, 0.0)], stroke(Role::Paper, 3.0)))?;
        for (place, &i) in order.iter().enumerate() {
            let (first, total) = shares[i];
            let middle = 1.0 - (place as f64 + 0.5) / n as f64;
            let half = 0.5 / n as f64;
            for (of, style, from, to) in [(total, 1, 0.1, 0.8), (first, 2, -0.8, -0.1)] {
                let role = Role::Series(style);
                let (low, high) = (middle + from * half, middle + to * half);
                canvas.series(Some(style), &[]);
                let bar = [(at_x(0.0), low), (at_x(of.value), high)];
                plane.draw(&Rectangle::new(bar, fill(role, 0.55)))?;
                let y = (low + high) / 2.0;
                plane.draw(&PathElement::new([(at_x(of.low), y), (at_x(of.high), y)], stroke(role, 1.8)))?;
            }
            canvas.series(None, &[]);
            let name = fitting(&inputs[i].name, MARGINS.0 + (left - 0.015) * plot_width);
            plane.draw(&Text::new(name, (left - 0.015, middle), text_style(HPos::Right, VPos::Center)))?;
        }
        Ok(())
    };
    let percent = |of: &Ranged| {
        let share = |v: f64| 100.0 * v.clamp(0.0, 1.0);
        format!("{:.0} % (members {:.0} to {:.0})", share(of.value), share(of.low), share(of.high))
    };
    let mut marks = Vec::new();
    for (place, &i) in order.iter().enumerate() {
        let middle = 1.0 - (place as f64 + 0.5) / n as f64;
        for (of, style, shift) in [(&shares[i].1, 1, 0.225), (&shares[i].0, 2, -0.225)] {
            marks.push(Mark {
                at: (at_x(of.value), middle + shift / n as f64),
                label: inputs[i].name.clone(),
                series: style,
                value: percent(of),
            });
        }
    }
    let stops = stops_of(MARGINS.0, marks, &[(1, "with others".into()), (2, "by itself".into())]);
    let said: Vec<String> =
        order.iter().take(3).map(|i| format!("{} {}", inputs[*i].name, percent(&shares[*i].1))).collect();
    let alt = format!(
        "Share of the variance of {} that each input has a part in (total index, above) and explains by itself (first \
         order, below); whiskers go from the smallest to the largest of the members. First: {}.",
        output.name,
        said.join("; ")
    );
    figure(id, format!("Which inputs matter to {}", output.name), alt, stops, draw)
}
