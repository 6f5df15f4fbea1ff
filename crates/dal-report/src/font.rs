//! The font that PDF figures carry: a subset of Roboto (Apache-2.0, see `fonts/README.md`), so that a journal's checks
//! find every glyph embedded and no reader has to put another face in its place.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Name, Pdf, Rect, Ref, Str};
use ttf_parser::{Face, GlyphId};

/// Latin-1, Greek and a few signs, without hints and layout tables.
const DATA: &[u8] = include_bytes!("../fonts/Roboto-Regular-subset.ttf");

const NAME: Name<'static> = Name(b"DALRPT+Roboto-Regular");

const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The font, with the glyphs that a file has used so far.
pub(crate) struct Font {
    face: Face<'static>,
    used: BTreeMap<u16, char>,
}

impl Font {
    /// The font; `None` if the bytes above are no font, which a test rules out.
    pub(crate) fn new() -> Option<Self> {
        Some(Self { face: Face::parse(DATA, 0).ok()?, used: BTreeMap::new() })
    }

    fn glyph(&self, c: char) -> (GlyphId, char) {
        match self.face.glyph_index(c) {
            Some(glyph) => (glyph, c),
            None => (self.face.glyph_index('?').unwrap_or(GlyphId(0)), '?'),
        }
    }

    /// Thousandths of the size.
    fn advance(&self, glyph: GlyphId) -> f32 {
        let units = f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0));
        1000.0 * units / f32::from(self.face.units_per_em())
    }

    /// Width of a text set in this size.
    pub(crate) fn width(&self, text: &str, size: f64) -> f64 {
        text.chars().map(|c| f64::from(self.advance(self.glyph(c).0))).sum::<f64>() * size / 1000.0
    }

    /// The text as two bytes a glyph; a letter that the font lacks becomes a question mark.
    pub(crate) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * text.len());
        for (glyph, c) in text.chars().map(|c| self.glyph(c)).collect::<Vec<_>>() {
            self.used.insert(glyph.0, c);
            bytes.extend(glyph.0.to_be_bytes());
        }
        bytes
    }

    /// Writes the font's objects: five, numbered from `first` on; the first one is what pages refer to.
    pub(crate) fn write(&self, pdf: &mut Pdf, first: i32) {
        let [font, descendant, descriptor, data, to_unicode] = [0, 1, 2, 3, 4].map(|k| Ref::new(first + k));
        pdf.type0_font(font)
            .base_font(NAME)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(descendant)
            .to_unicode(to_unicode);
        let mut cid = pdf.cid_font(descendant);
        cid.subtype(CidFontType::Type2).base_font(NAME).system_info(SYSTEM).font_descriptor(descriptor);
        cid.cid_to_gid_map_predefined(Name(b"Identity")).default_width(0.0);
        let mut widths = cid.widths();
        for glyph in self.used.keys() {
            widths.consecutive(*glyph, [self.advance(GlyphId(*glyph))]);
        }
        drop(widths);
        drop(cid);
        let scale = |units: i16| 1000.0 * f32::from(units) / f32::from(self.face.units_per_em());
        let bounds = self.face.global_bounding_box();
        pdf.font_descriptor(descriptor)
            .name(NAME)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(scale(bounds.x_min), scale(bounds.y_min), scale(bounds.x_max), scale(bounds.y_max)))
            .italic_angle(0.0)
            .ascent(scale(self.face.ascender()))
            .descent(scale(self.face.descender()))
            .cap_height(scale(self.face.capital_height().unwrap_or(0)))
            // Roboto Regular's vertical stems.
            .stem_v(88.0)
            .font_file2(data);
        pdf.stream(data, DATA).pair(Name(b"Length1"), DATA.len() as i32);
        let mut cmap = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
        for (glyph, c) in &self.used {
            cmap.pair(*glyph, *c);
        }
        pdf.cmap(to_unicode, &cmap.finish());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_figures_say() {
        let mut font = Font::new().expect("a font");
        for c in "abcxyzABCXYZ0123456789 γ=×–²±≤≥%(),.:-/'".chars() {
            assert_eq!(font.glyph(c).1, c);
        }
        assert_eq!(font.glyph('漢').1, '?');
        // Roboto's digits are 1151 of 2048 units wide.
        assert!((font.width("00", 10.0) - 2.0 * 10.0 * 1151.0 / 2048.0).abs() < 1e-4);
        assert_eq!(font.encode("γ0").len(), 4);
        assert_eq!(font.used.values().collect::<String>().chars().filter(|c| "γ0".contains(*c)).count(), 2);
    }
}
