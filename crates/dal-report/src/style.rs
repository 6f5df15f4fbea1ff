//! Colours, dashes and markers. Every series has a second channel beside colour: a dash pattern and a marker.
//!
//! The six hues keep a contrast of at least 3 : 1 against their background (white, or the dark page's) and are told
//! apart by the common kinds of colour blindness in pairs that also differ in lightness; where there are more series
//! than hues, the dash and the marker differ. Random is always ink-coloured and solid.

use crate::canvas::Role;

/// Number of colours: Random's and six hues.
pub(crate) const N_COLOURS: usize = 7;

/// Red, green, blue.
type Rgb = (u8, u8, u8);

/// Colours on a light and on a dark background, Random's first.
const PALETTE: [(Rgb, Rgb); N_COLOURS] = [
    ((0x33, 0x33, 0x33), (0xdd, 0xdd, 0xdd)),
    ((0x00, 0x72, 0xb2), (0x56, 0xb4, 0xe9)),
    ((0xd5, 0x5e, 0x00), (0xff, 0x8a, 0x3d)),
    ((0x00, 0x85, 0x5f), (0x2f, 0xd1, 0xa0)),
    ((0xa0, 0x43, 0x9b), (0xe5, 0x9b, 0xe0)),
    ((0x8a, 0x61, 0x00), (0xe0, 0xb0, 0x40)),
    ((0x4a, 0x55, 0xc7), (0x9f, 0xb4, 0xff)),
];

/// Index of a style's colour; only Random has the first.
pub(crate) fn colour(style: usize) -> usize {
    if style == 0 { 0 } else { 1 + (style - 1) % (N_COLOURS - 1) }
}

/// Dash patterns in pixels.
const DASHES: [&[f64]; 4] = [&[], &[6.0, 3.0], &[2.0, 2.5], &[8.0, 3.0, 2.0, 3.0]];

/// The dash pattern of a style: Random is solid, and two styles of one hue never share a pattern.
pub(crate) fn dash(style: usize) -> &'static [f64] {
    if style == 0 { &[] } else { DASHES[(style - 1 + (style - 1) / (N_COLOURS - 1)) % DASHES.len()] }
}

/// Marker shapes as polygons in the unit circle; the style decides which. Random has none.
pub(crate) fn marker(style: usize) -> Option<Vec<(f64, f64)>> {
    let polygon = |n: usize, turn: f64, inner: f64| {
        let step = std::f64::consts::TAU / n as f64;
        (0..n)
            .map(|k| {
                let radius = if k % 2 == 1 { inner } else { 1.0 };
                let angle = turn + step * k as f64 - std::f64::consts::FRAC_PI_2;
                (radius * angle.cos(), radius * angle.sin())
            })
            .collect()
    };
    let half = std::f64::consts::PI;
    let shapes: [(usize, f64, f64); 12] = [
        (16, 0.0, 1.0),       // disc
        (4, half / 4.0, 1.0), // square
        (3, 0.0, 1.0),        // triangle up
        (4, 0.0, 1.0),        // diamond
        (3, half, 1.0),       // triangle down
        (10, 0.0, 0.45),      // star
        (8, 0.0, 0.35),       // four-pointed star
        (5, 0.0, 1.0),        // pentagon
        (8, half / 4.0, 0.35),
        (6, 0.0, 1.0), // hexagon
        (3, half / 2.0, 1.0),
        (3, -half / 2.0, 1.0),
    ];
    if style == 0 {
        return None;
    }
    // Each dozen begins one shape later, so that styles that share hue and dash differ.
    let (n, turn, inner) = shapes[(style - 1 + (style - 1) / shapes.len()) % shapes.len()];
    Some(polygon(n, turn, inner))
}

/// The colour of a role on white.
pub(crate) fn light(role: Role) -> Rgb {
    match role {
        Role::Ink => (0x22, 0x22, 0x22),
        Role::Grid => (0xd8, 0xd8, 0xd8),
        Role::Paper => (0xff, 0xff, 0xff),
        Role::Series(style) => PALETTE[colour(style)].0,
    }
}

/// `#rrggbb`.
pub(crate) fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Style sheet rules that give the classes of [`crate::svg::for_page`] their colours, light and dark.
pub(crate) fn page_rules(dark: bool) -> String {
    (0..N_COLOURS)
        .map(|i| {
            let (light, night) = PALETTE[i];
            format!("--c{i}:{};", hex(if dark { night } else { light }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance after WCAG 2.
    fn luminance((r, g, b): Rgb) -> f64 {
        let channel = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
    }

    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn series_stand_out_from_their_background() {
        for (light, dark) in PALETTE {
            assert!(contrast(light, (0xff, 0xff, 0xff)) >= 3.0, "{light:?}");
            assert!(contrast(dark, (0x16, 0x18, 0x1c)) >= 3.0, "{dark:?}");
        }
    }

    #[test]
    fn styles_of_one_hue_differ_in_dash_and_marker() {
        for a in 1..13 {
            for b in a + 1..13 {
                assert_ne!(marker(a), marker(b), "{a} {b}");
                if colour(a) == colour(b) {
                    assert_ne!(dash(a), dash(b), "{a} {b}");
                }
            }
        }
        // Of more than a dozen one of the two.
        for a in 1..60 {
            for b in (a + 1..60).filter(|b| colour(a) == colour(*b)) {
                assert!(marker(a) != marker(b) || dash(a) != dash(b), "{a} {b}");
            }
        }
    }
}
