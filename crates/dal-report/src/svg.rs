//! Drawings as SVG: inside the page, coloured by its style sheet, or as a file that stands alone.

use std::fmt::Write as _;

use crate::canvas::{Drawing, Drawn, Group, Horizontal, Role, Shape};
use crate::style::{hex, light};

/// Text that is safe inside XML content and attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A number with at most one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// An SVG element for the page: no size of its own, classes instead of colours, hidden from assistive technology
/// because the figure around it carries the text alternative and the table.
pub(crate) fn for_page(drawing: &Drawing) -> String {
    let mut out = format!(
        "<svg viewBox=\"0 0 {} {}\" aria-hidden=\"true\" focusable=\"false\">",
        short(drawing.width),
        short(drawing.height)
    );
    for group in &drawing.groups {
        write_group(&mut out, group, &|role| format!("class=\"{}\"", class(role)));
    }
    out.push_str("</svg>");
    out
}

/// An SVG file for a paper or a slide: light colours, a title and a description.
pub(crate) fn for_file(drawing: &Drawing, title: &str, description: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         font-family=\"Helvetica, Arial, sans-serif\">\n<title>{}</title>\n<desc>{}</desc>\n\
         <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n",
        escape(title),
        escape(description),
        w = short(drawing.width),
        h = short(drawing.height),
    );
    for group in &drawing.groups {
        write_group(&mut out, group, &|role| format!("color=\"{}\"", hex(light(role))));
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn class(role: Role) -> String {
    match role {
        Role::Ink => "ink".into(),
        Role::Grid => "grid".into(),
        Role::Paper => "paper".into(),
        Role::Series(style) => format!("c{}", crate::style::colour(style)),
    }
}

/// Writes a group; colours are set once per run of shapes of one role, and shapes refer to `currentColor`.
fn write_group(out: &mut String, group: &Group, colour: &dyn Fn(Role) -> String) {
    match group.series {
        Some(series) => {
            let _ = write!(out, "<g data-s=\"{series}\">");
        }
        None => out.push_str("<g>"),
    }
    let mut rest = group.drawn.as_slice();
    while let Some(first) = rest.first() {
        let n = rest.iter().take_while(|d| d.role == first.role).count();
        let _ = write!(out, "<g {}>", colour(first.role));
        for drawn in &rest[..n] {
            write_shape(out, drawn);
        }
        out.push_str("</g>");
        rest = &rest[n..];
    }
    out.push_str("</g>");
}

fn path_data(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{} {}", if i == 0 { "M" } else { "L" }, short(*x), short(*y));
    }
    data
}

fn write_shape(out: &mut String, drawn: &Drawn) {
    let opacity = if drawn.opacity < 1.0 { format!(" opacity=\"{:.2}\"", drawn.opacity) } else { String::new() };
    let _ = match &drawn.shape {
        Shape::Path { points, width } => {
            let dash = if drawn.dash.is_empty() {
                String::new()
            } else {
                let lengths: Vec<String> = drawn.dash.iter().map(|d| short(*d)).collect();
                format!(" stroke-dasharray=\"{}\"", lengths.join(" "))
            };
            write!(
                out,
                "<path d=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}{opacity}/>",
                path_data(points),
                short(*width)
            )
        }
        Shape::Polygon { points } => {
            // Only bands are seen through; the page can hide them.
            let band = if drawn.opacity < 1.0 { " class=\"band\"" } else { "" };
            write!(out, "<path d=\"{}Z\" fill=\"currentColor\"{band}{opacity}/>", path_data(points))
        }
        Shape::Circle { centre, radius, fill } => {
            let paint = if *fill { "fill=\"currentColor\"" } else { "fill=\"none\" stroke=\"currentColor\"" };
            let (x, y) = *centre;
            write!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {paint}{opacity}/>", short(x), short(y), short(*radius))
        }
        Shape::Text { at, size, text, horizontal, rotate } => {
            let (x, y) = (short(at.0), short(at.1));
            let turn = if *rotate == 0 { String::new() } else { format!(" transform=\"rotate({rotate} {x} {y})\"") };
            let anchor = match horizontal {
                Horizontal::Start => "",
                Horizontal::Middle => " text-anchor=\"middle\"",
                Horizontal::End => " text-anchor=\"end\"",
            };
            write!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"currentColor\"{anchor}{turn}{opacity}>{}</text>",
                short(*size),
                escape(text)
            )
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let drawing = Drawing {
            width: 10.0,
            height: 10.0,
            groups: vec![Group {
                series: Some(3),
                drawn: vec![Drawn {
                    role: Role::Series(3),
                    opacity: 1.0,
                    dash: &[],
                    shape: Shape::Text {
                        at: (1.0, 2.25),
                        size: 9.0,
                        text: "<script>\"&'\u{1}".into(),
                        horizontal: Horizontal::End,
                        rotate: 270,
                    },
                }],
            }],
        };
        let page = for_page(&drawing);
        assert!(page.contains("<g data-s=\"3\"><g class=\"c3\">"), "{page}");
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39; </text>"), "{page}");
        let file = for_file(&drawing, "a < b", "d");
        assert!(file.starts_with("<svg xmlns=") && file.contains("<title>a &lt; b</title>"));
        assert!(!file.contains("<script>"));
    }
}
