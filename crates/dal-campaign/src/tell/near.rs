//! Which point of a campaign is meant by values that a file has rounded.

use dal_core::{Dimension, Scale};

use super::Otherwise;
use crate::folder::Folder;
use crate::state::{Point, Status};
use crate::words::{Answer, Cell};

/// How far six digits may lie beside the number that they show, relative to its size.
const SIX_DIGITS: f64 = 5e-6;

/// How far a small number may lie beside what it was rounded from, as a share of its range.
const SHARE: f64 = 1e-6;

/// The most that a value may be moved, as a share of its range: where a range is narrow beside its place, as from 1000
/// to 1000.1, digits that agree say little.
const MOST: f64 = 1e-4;

/// What became of a point that was given by its values.
#[derive(Debug, PartialEq)]
pub(super) enum Near {
    /// No point is near, or one is exactly that.
    None,
    /// This one is meant.
    Meant(u64),
    /// These are near, but which of them is meant, if any, is not known.
    Beside(Vec<u64>),
}

/// Whether a value may be a known one, rounded: levels and whole numbers are never rounded to each other. `half` is
/// half a unit of the last digit that is shown.
pub(super) fn agrees(told: &Cell, known: &Cell, dimension: &Dimension, half: f64) -> bool {
    match (told, known, dimension) {
        (Cell::Number(told), Cell::Number(known), &Dimension::Continuous { low, high, scale }) => {
            // Single precision prints digits enough to look exact.
            *told == f64::from(*known as f32) || (told - known).abs() <= slack(*told, *known, (low, high, scale), half)
        }
        (told, known, _) => told == known,
    }
}

/// How far two values of an input may lie apart and still be the same: as far as the digits that are shown say. What is
/// shown in full is meant so, as in tables of differences.
pub(super) fn slack(a: f64, b: f64, (low, high, scale): (f64, f64, Scale), half: f64) -> f64 {
    let (size, range) = (a.abs().max(b.abs()), high - low);
    // Beside larger ones small numbers are often shown with as many decimals, which are few digits.
    let share = if scale == Scale::Log { 0.0 } else { SHARE * range };
    let shown = (half * (1.0 + 1e-9)).min((SIX_DIGITS * size).max(share));
    shown.min(MOST * range).max(1e-12 * range)
}

impl Folder {
    /// The point that these values mean, if they are those of none: one that waits for an answer, or has the same
    /// answer already, and alone lies as near as rounding carries. With `otherwise` an answered one may be meant, too.
    /// `halves` are, of each input, as in [`agrees`].
    pub(super) fn near(&self, x: &[Cell], halves: &[f64], answer: &Answer, otherwise: Otherwise) -> Near {
        let subject = self.subject();
        if subject.unit(x).is_none_or(|unit| self.state().at(&unit).is_some()) {
            return Near::None;
        }
        let dimensions = subject.space().dimensions();
        let is_near = |point: &&Point| {
            let both = x.iter().zip(&point.x).zip(dimensions).zip(halves);
            point.x.len() == x.len()
                && both.into_iter().all(|(((told, known), dimension), half)| agrees(told, known, dimension, *half))
        };
        let near: Vec<&Point> = self.state().points().filter(is_near).collect();
        let says_so = |point: &&&Point| match answer {
            Answer::Values(values) => point.answers.contains(values),
            Answer::Failed(_) => point.answers.is_empty() && point.failure.is_some(),
            Answer::Lost(_) => false,
        };
        // An answer to a point that is not wanted any more is taken, too.
        let waits = |point: &&&Point| point.is_pending() || point.status() == Status::Withdrawn;
        let any = |_: &&&Point| otherwise != Otherwise::Refuse;
        for meant in [&says_so as &dyn Fn(&&&Point) -> bool, &waits, &any] {
            let found: Vec<u64> = near.iter().filter(meant).map(|point| point.id).collect();
            match found[..] {
                [] => {}
                [id] => return Near::Meant(id),
                _ => break,
            }
        }
        match near.is_empty() {
            true => Near::None,
            false => Near::Beside(near.iter().map(|point| point.id).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_rounding_and_neighbours_are_not() {
        let line = |low, high| Dimension::Continuous { low, high, scale: Scale::Linear };
        let log = Dimension::Continuous { low: 1e-9, high: 1.0, scale: Scale::Log };
        let number = |told: f64, known: f64, dimension: &Dimension, half| {
            agrees(&Cell::Number(told), &Cell::Number(known), dimension, half)
        };
        assert!(number(0.706064, 0.706063985824585, &line(0.0, 1.0), 5e-7));
        assert!(number(0.123457, 0.1234565432, &line(0.0, 1.0), 5e-7));
        assert!(number(0.0, 3.2e-9, &line(0.0, 1.0), 5e-7), "as many decimals as its neighbours have");
        assert!(number(1234.57, 1234.5654321, &line(0.0, 2000.0), 5e-3));
        // Single precision, printed in full.
        let asked: f64 = 0.706_063_985_824_585;
        assert!(number(f64::from(asked as f32), asked, &line(0.0, 1.0), 0.0));
        assert!(!number(asked + 1e-7, asked, &line(0.0, 1.0), 5e-16), "a neighbour in all its digits");
        assert!(number(0.70606398582, asked, &line(0.0, 1.0), 5e-12));
        assert!(!number(0.7, 0.706063985824585, &line(0.0, 1.0), 5e-2), "too few digits");
        assert!(!number(0.70606, 0.706063985824585, &line(0.0, 1.0), 5e-6));
        assert!(!number(0.0, 3.2e-9, &log, 5e-7));
        assert!(!number(1000.05, 1000.0501, &line(1000.0, 1000.1), 5e-3));
        let whole = Dimension::Integer { low: 0, high: 1 << 40, scale: Scale::Linear };
        assert!(!number(1e9, 1e9 + 1.0, &whole, 0.5) && number(7.0, 7.0, &whole, 0.0));
        let level = |name: &str| Cell::Level(name.into());
        let levels = Dimension::Categorical { n_levels: 2 };
        assert!(agrees(&level("a"), &level("a"), &levels, 0.0) && !agrees(&level("a"), &level("b"), &levels, 0.0));
    }
}
