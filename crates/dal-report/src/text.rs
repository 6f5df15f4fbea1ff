//! Numbers and names as a reader sees them.

use dal_eval::{CurveMetric, metric};

use crate::data::FIXED_LIST;

/// A number with three significant digits: 0.0123, 12.3, 1.23e-7.
pub(crate) fn number(value: f64) -> String {
    digits(value, 3)
}

/// The same with a minus sign in place of a hyphen, for a reader; programs do not take it.
pub(crate) fn typeset(value: f64) -> String {
    minus(&number(value))
}

/// A number in digits with a minus sign in place of each hyphen.
pub(crate) fn minus(digits: &str) -> String {
    digits.replace('-', "−")
}

/// A number with so many significant digits.
pub(crate) fn digits(value: f64, n: usize) -> String {
    let decimals = n.max(1) - 1;
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        let text = format!("{value:.decimals$e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
            None => text,
        };
    }
    trimmed(&format!("{value:.*}", (decimals as i32 - magnitude).max(0) as usize)).to_owned()
}

/// Without zeros at the end of the decimals.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A ratio with exactly three decimals, so that columns align.
pub(crate) fn ratio(value: f64) -> String {
    if value >= 1000.0 { number(value) } else { format!("{value:.3}") }
}

/// A p-value.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// Seconds in the unit that reads best.
pub(crate) fn seconds(value: f64) -> String {
    if value < 1e-3 {
        format!("{} µs", number(value * 1e6))
    } else if value < 1.0 {
        format!("{} ms", number(value * 1e3))
    } else if value < 120.0 {
        format!("{} s", number(value))
    } else if value < 7200.0 {
        format!("{} min", number(value / 60.0))
    } else {
        format!("{} h", number(value / 3600.0))
    }
}

/// A pool ratio in words.
pub(crate) fn ratio_name(pool_ratio: usize) -> String {
    if pool_ratio == FIXED_LIST { "fixed list".into() } else { format!("γ = {pool_ratio}") }
}

/// The name of a reading of the learning curves.
pub(crate) fn metric_name(of: CurveMetric) -> &'static str {
    metric(of.id()).map_or(of.id(), |card| card.title)
}

/// "1 run", "2 runs".
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// "a, b and c".
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.012_34, "0.0123"),
            (123.456, "123"),
            (2080.0, "2080"),
            (1.234e-7, "1.23e-7"),
            (2e7, "2e7"),
            (-0.5, "-0.5"),
            (0.099_96, "0.1"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(
            (typeset(-0.01), typeset(1e-7), digits(10_000.25, 7)),
            ("−0.01".into(), "1e−7".into(), "10000.25".into())
        );
        assert_eq!(ratio(0.85), "0.850");
        assert_eq!((seconds(0.0123), seconds(9.69e-6)), ("12.3 ms".into(), "9.69 µs".into()));
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
