//! Drawings as PDF in paper size, with their font embedded.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::canvas::{Drawing, Horizontal, Shape};
use crate::font::Font;
use crate::style::light;

/// Points per pixel of a drawing: CSS pixels are 1/96 inch, points 1/72.
const SCALE: f32 = 0.75;

/// The drawing as a PDF file.
pub(crate) fn write(drawing: &Drawing, title: &str) -> Vec<u8> {
    let (catalog, pages, page, contents, info) = (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4), Ref::new(5));
    // The font takes the five numbers from here on.
    const FONT: i32 = 6;
    let mut next = FONT + 5;
    let mut font = Font::new();
    let mut opacities: Vec<(u32, Ref)> = Vec::new();
    let height = drawing.height as f32 * SCALE;
    let mut content = Content::new();
    let place = |(x, y): (f64, f64)| (x as f32 * SCALE, height - y as f32 * SCALE);
    for drawn in drawing.groups.iter().flat_map(|g| &g.drawn) {
        let (r, g, b) = light(drawn.role);
        let [r, g, b] = [r, g, b].map(|c| f32::from(c) / 255.0);
        content.save_state();
        if drawn.opacity < 1.0 {
            let percent = (drawn.opacity * 100.0).round() as u32;
            if !opacities.iter().any(|(p, _)| *p == percent) {
                opacities.push((percent, Ref::new(next)));
                next += 1;
            }
            content.set_parameters(Name(format!("G{percent}").as_bytes()));
        }
        content.set_fill_rgb(r, g, b).set_stroke_rgb(r, g, b);
        match &drawn.shape {
            Shape::Path { points, width } => {
                content.set_line_width(*width as f32 * SCALE);
                content.set_line_join(pdf_writer::types::LineJoinStyle::RoundJoin);
                content.set_dash_pattern(drawn.dash.iter().map(|d| *d as f32 * SCALE), 0.0);
                trace(&mut content, points.iter().map(|p| place(*p)));
                content.stroke();
            }
            Shape::Polygon { points } => {
                trace(&mut content, points.iter().map(|p| place(*p)));
                content.close_path().fill_nonzero();
            }
            Shape::Circle { centre, radius, fill } => {
                let corner = |k: i32| {
                    let angle = std::f64::consts::TAU * f64::from(k) / 24.0;
                    place((centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin()))
                };
                trace(&mut content, (0..24).map(corner));
                content.close_path();
                if *fill {
                    content.fill_nonzero()
                } else {
                    content.stroke()
                };
            }
            Shape::Text { at, size, text, horizontal, rotate } => {
                let Some(font) = &mut font else {
                    content.restore_state();
                    continue;
                };
                let back = match horizontal {
                    Horizontal::Start => 0.0,
                    Horizontal::Middle => 0.5,
                    Horizontal::End => 1.0,
                } * font.width(text, *size);
                // Clockwise on a page whose y runs upwards is a negative angle.
                let angle = -f64::from(*rotate).to_radians();
                let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
                let start = (at.0 - back * f64::from(cos), at.1 + back * f64::from(sin));
                let (x, y) = place(start);
                content
                    .begin_text()
                    .set_font(Name(b"F"), *size as f32 * SCALE)
                    .set_text_matrix([cos, sin, -sin, cos, x, y]);
                content.show(Str(&font.encode(text))).end_text();
            }
        }
        content.restore_state();
    }

    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    pdf.document_info(info).title(TextStr(title)).producer(TextStr("dal"));
    let mut leaf = pdf.page(page);
    leaf.parent(pages).media_box(Rect::new(0.0, 0.0, drawing.width as f32 * SCALE, height)).contents(contents);
    let mut resources = leaf.resources();
    resources.fonts().pair(Name(b"F"), Ref::new(FONT));
    let mut states = resources.ext_g_states();
    for (percent, id) in &opacities {
        states.pair(Name(format!("G{percent}").as_bytes()), *id);
    }
    states.finish();
    resources.finish();
    leaf.finish();
    if let Some(font) = &font {
        font.write(&mut pdf, FONT);
    }
    for (percent, id) in opacities {
        let alpha = percent as f32 / 100.0;
        pdf.ext_graphics(id).non_stroking_alpha(alpha).stroking_alpha(alpha);
    }
    pdf.stream(contents, &content.finish());
    pdf.finish()
}

fn trace(content: &mut Content, points: impl Iterator<Item = (f32, f32)>) {
    for (i, (x, y)) in points.enumerate() {
        if i == 0 {
            content.move_to(x, y);
        } else {
            content.line_to(x, y);
        }
    }
}
