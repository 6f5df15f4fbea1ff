//! A drawing backend for `plotters` that records what is drawn, with a meaning attached: which series a stroke belongs
//! to and which role its colour plays. One drawing then becomes SVG for the page, SVG for a paper, and PDF.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use plotters::style::RGBColor;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
    text_anchor::{HPos, VPos},
};

/// Backend units per pixel of a figure: `plotters` counts in whole units, and curves need finer steps than pixels.
pub(crate) const UNITS: i32 = 10;

/// What a colour is for; the page and the file decide what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Axes and their labels.
    Ink,
    /// Grid lines.
    Grid,
    /// The background.
    Paper,
    /// The n-th style of series.
    Series(usize),
}

impl Role {
    /// A colour that stands for the role while `plotters` carries it: red tells the kind, green the number.
    pub(crate) fn code(self) -> RGBColor {
        match self {
            Self::Ink => RGBColor(1, 0, 0),
            Self::Grid => RGBColor(2, 0, 0),
            Self::Paper => RGBColor(3, 0, 0),
            Self::Series(style) => RGBColor(4, (style % 256) as u8, 0),
        }
    }

    fn decode(rgb: (u8, u8, u8)) -> Self {
        match rgb.0 {
            2 => Self::Grid,
            3 => Self::Paper,
            4 => Self::Series(usize::from(rgb.1)),
            _ => Self::Ink,
        }
    }
}

/// A point in pixels of the figure.
pub(crate) type Point = (f64, f64);

/// Something drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A stroked path.
    Path { points: Vec<Point>, width: f64 },
    /// A filled polygon.
    Polygon { points: Vec<Point> },
    /// A circle, filled or stroked.
    Circle { centre: Point, radius: f64, fill: bool },
    /// A line of text at its anchor, rotated by so many degrees clockwise.
    Text { at: Point, size: f64, text: String, horizontal: Horizontal, rotate: i32 },
}

/// Which part of a text stands at its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Horizontal {
    /// The beginning.
    Start,
    /// The middle.
    Middle,
    /// The end.
    End,
}

/// A shape with its colour.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) role: Role,
    pub(crate) opacity: f64,
    /// Dash pattern in pixels; empty for a solid line.
    pub(crate) dash: &'static [f64],
    pub(crate) shape: Shape,
}

/// Shapes that belong together: one series, or the frame around them all (`None`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) series: Option<usize>,
    pub(crate) drawn: Vec<Drawn>,
}

/// A finished drawing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawing {
    /// Width in pixels.
    pub(crate) width: f64,
    /// Height in pixels.
    pub(crate) height: f64,
    pub(crate) groups: Vec<Group>,
}

/// What the next strokes belong to; shared between the code that draws and the backend.
#[derive(Debug, Clone, Copy, Default)]
struct Pen {
    series: Option<usize>,
    dash: &'static [f64],
}

struct State {
    pen: Pen,
    drawing: Drawing,
}

/// A handle on the drawing that `plotters` draws into.
#[derive(Clone)]
pub(crate) struct Canvas(Rc<RefCell<State>>);

impl Canvas {
    /// An empty canvas of so many pixels.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let drawing = Drawing { width: f64::from(width), height: f64::from(height), groups: Vec::new() };
        Self(Rc::new(RefCell::new(State { pen: Pen::default(), drawing })))
    }

    /// What is drawn from here on belongs to this series, with this dash pattern.
    pub(crate) fn series(&self, series: Option<usize>, dash: &'static [f64]) {
        self.0.borrow_mut().pen = Pen { series, dash };
    }

    /// The drawing so far.
    pub(crate) fn drawing(&self) -> Drawing {
        self.0.borrow().drawing.clone()
    }

    fn add(&self, color: BackendColor, shape: Shape) {
        if color.alpha == 0.0 {
            return;
        }
        let mut state = self.0.borrow_mut();
        let pen = state.pen;
        let dash = if matches!(shape, Shape::Path { .. }) { pen.dash } else { &[] };
        let drawn = Drawn { role: Role::decode(color.rgb), opacity: color.alpha, dash, shape };
        let groups = &mut state.drawing.groups;
        match groups.last_mut() {
            Some(group) if group.series == pen.series => group.drawn.push(drawn),
            _ => groups.push(Group { series: pen.series, drawn: vec![drawn] }),
        }
    }
}

fn pixels(at: BackendCoord) -> Point {
    (f64::from(at.0) / f64::from(UNITS), f64::from(at.1) / f64::from(UNITS))
}

impl DrawingBackend for Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let state = self.0.borrow();
        ((state.drawing.width * f64::from(UNITS)) as u32, (state.drawing.height * f64::from(UNITS)) as u32)
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(&mut self, _: BackendCoord, _: BackendColor) -> Result<(), DrawingErrorKind<Infallible>> {
        // Nothing here draws pixels: every shape below is recorded as a whole.
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let ((x0, y0), (x1, y1)) = (upper_left, bottom_right);
        let corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
        if fill {
            self.fill_polygon(corners, style)
        } else {
            self.draw_path(corners.into_iter().chain([corners[0]]), style)
        }
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let width = f64::from(style.stroke_width()) / f64::from(UNITS);
        self.add(style.color(), Shape::Path { points: path.into_iter().map(pixels).collect(), width });
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let radius = f64::from(radius) / f64::from(UNITS);
        self.add(style.color(), Shape::Circle { centre: pixels(center), radius, fill });
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        self.add(style.color(), Shape::Polygon { points: vert.into_iter().map(pixels).collect() });
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        pos: BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let size = style.size() / f64::from(UNITS);
        let anchor = style.anchor();
        // From the anchor to the baseline, in the direction that is down for the text.
        let down = size
            * match anchor.v_pos {
                VPos::Top => 0.75,
                VPos::Center => 0.35,
                VPos::Bottom => -0.15,
            };
        let (x, y) = pixels(pos);
        let (at, rotate) = match style.transform() {
            FontTransform::None => ((x, y + down), 0),
            FontTransform::Rotate90 => ((x - down, y), 90),
            FontTransform::Rotate180 => ((x, y - down), 180),
            FontTransform::Rotate270 => ((x + down, y), 270),
        };
        let horizontal = match anchor.h_pos {
            HPos::Left => Horizontal::Start,
            HPos::Center => Horizontal::Middle,
            HPos::Right => Horizontal::End,
        };
        self.add(style.color(), Shape::Text { at, size, text: text.to_owned(), horizontal, rotate });
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((text_width(text, style.size()).ceil() as u32, style.size().ceil() as u32))
    }
}

/// Width of a text in Helvetica or a face like it, about: most letters are 0.55 of the size, narrow ones less.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let width = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.25,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '-' | '/' => 0.32,
        'm' | 'w' | 'M' | 'W' | '%' => 0.83,
        c if c.is_ascii_uppercase() => 0.69,
        _ => 0.556,
    };
    size * text.chars().map(width).sum::<f64>()
}
