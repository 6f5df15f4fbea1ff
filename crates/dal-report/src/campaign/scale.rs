//! Axes of a campaign's inputs, and their values in words.

use crate::campaign::data::{Input, InputKind, Output};
use crate::plot::LogScale;
use crate::scale::Scale;
use crate::text::{minus, typeset as number};

/// Whole numbers up to which each has a tick.
const FEW: i64 = 8;

/// The axis of an input.
pub(crate) fn axis_of(input: &Input) -> Scale {
    match &input.kind {
        Some(InputKind::Number { low, high, log: true }) => Scale::Log(LogScale::exactly(*low, *high)),
        Some(InputKind::Number { low, high, .. }) => Scale::between(*low, *high),
        Some(InputKind::Whole { low, high, log: true }) if high - low >= FEW => {
            Scale::Log(LogScale::exactly(*low as f64 - 0.5, *high as f64 + 0.5))
        }
        Some(InputKind::Whole { low, high, .. }) => {
            let (from, to) = (*low as f64 - 0.5, *high as f64 + 0.5);
            match high - low < FEW {
                true => {
                    let ticks = (*low..=*high).map(|v| (v as f64, minus(&v.to_string()))).collect();
                    Scale::Linear { low: from, high: to, ticks }
                }
                false => Scale::between(from, to),
            }
        }
        Some(InputKind::Levels { names }) => Scale::Levels(names.clone()),
        None => Scale::between(0.0, 1.0),
    }
}

/// "load in N".
pub(crate) fn titled(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} in {unit}") }
}

/// The title of an input's axis.
pub(crate) fn input_title(input: &Input) -> String {
    titled(&input.name, &input.unit)
}

/// The title of an output's axis.
pub(crate) fn output_title(output: &Output) -> String {
    titled(&output.name, &output.unit)
}

/// A position along an input as a reader knows it.
pub(crate) fn value_in_words(input: &Input, position: f64) -> String {
    match &input.kind {
        Some(InputKind::Levels { names }) => names.get(position.round() as usize).cloned().unwrap_or_default(),
        Some(InputKind::Whole { .. }) => minus(&format!("{position:.0}")),
        _ => with_unit(&number(position), &input.unit),
    }
}

/// "3.2 mm".
pub(crate) fn with_unit(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number}\u{a0}{unit}") }
}

/// A bin along an input as a reader knows it: "0.4 to 0.6 m", "steel", "3".
pub(crate) fn bin_in_words(input: &Input, low: f64, high: f64) -> String {
    match &input.kind {
        Some(InputKind::Levels { names }) => names.get((low + 0.5).round() as usize).cloned().unwrap_or_default(),
        Some(InputKind::Whole { .. }) => {
            let (first, last) = ((low + 0.5).floor().max(low.ceil()), (high - 0.5).ceil().min(high.floor()));
            let words = if last <= first { format!("{first:.0}") } else { format!("{first:.0} to {last:.0}") };
            minus(&words)
        }
        _ => with_unit(&format!("{} to {}", number(low), number(high)), &input.unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(kind: InputKind) -> Input {
        Input { name: "a".into(), unit: "m".into(), kind: Some(kind) }
    }

    #[test]
    fn positions_lie_on_the_unit_line() {
        let log = axis_of(&input(InputKind::Number { low: 1.0, high: 100.0, log: true }));
        assert!((log.at(10.0) - 0.5).abs() < 1e-12 && log.at(1.0) == 0.0);
        let levels = input(InputKind::Levels { names: vec!["steel".into(), "a very long name".into()] });
        let scale = axis_of(&levels);
        assert_eq!(scale.ticks(), [(0.25, "steel".into()), (0.75, "a very lo…".into())]);
        assert_eq!(scale.ticks_upwards()[1].1, "a very long…");
        // Many names are shorter, and not at every level.
        let many = input(InputKind::Levels { names: (0..30).map(|k| format!("level {k}")).collect() });
        let scale = axis_of(&many);
        assert_eq!((scale.ticks().len(), scale.ticks()[1].1.as_str()), (8, "… 4"));
        assert!(scale.ticks_upwards().len() <= 16);
        let few = axis_of(&input(InputKind::Whole { low: 1, high: 4, log: false }));
        assert_eq!((few.at(1.0), few.ticks().len()), (0.125, 4));
        assert!(Scale::of_values([], false).is_none() && Scale::of_values([-1.0], true).is_none());
        let one = Scale::of_values([3.0], false).unwrap();
        assert!((one.at(3.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn bins_have_words() {
        let number = input(InputKind::Number { low: 0.0, high: 1.0, log: false });
        assert_eq!(bin_in_words(&number, 0.25, 0.5), "0.25 to 0.5\u{a0}m");
        let whole = input(InputKind::Whole { low: 1, high: 4, log: false });
        assert_eq!(bin_in_words(&whole, 1.5, 2.5), "2");
        let many = input(InputKind::Whole { low: 1, high: 1000, log: true });
        assert_eq!(bin_in_words(&many, 0.5, 3.2), "1 to 3");
        assert_eq!(bin_in_words(&many, 3.2, 11.0), "4 to 11");
        let levels = input(InputKind::Levels { names: vec!["oak".into(), "steel".into()] });
        assert_eq!(bin_in_words(&levels, 0.5, 1.5), "steel");
    }
}
