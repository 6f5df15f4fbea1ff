//! What a cell or a name looks like: numbers in another writing, and names that outputs have.

/// Units that may stand behind a number without a blank, or with one.
const UNITS: [&str; 63] = [
    "%", "°", "°C", "°F", "nm", "µm", "um", "mm", "cm", "m", "km", "in", "ft", "ns", "us", "µs", "ms", "s", "min", "h",
    "Hz", "kHz", "MHz", "GHz", "K", "rad", "deg", "mg", "g", "kg", "N", "kN", "MN", "Nm", "Pa", "kPa", "MPa", "GPa",
    "bar", "mbar", "atm", "psi", "mV", "V", "kV", "mA", "mW", "W", "kW", "MW", "kJ", "MJ", "ohm", "ml", "mL", "mol",
    "ppm", "dB", "m/s", "km/h", "rpm", "EUR", "USD",
];
/// Those that need a blank before them, as numbers of samples and grades end with such letters.
const APART: [&str; 8] = ["A", "C", "F", "J", "L", "l", "T", "t"];

/// Whether words are a number but for a unit behind it, a currency before it, marks between its thousands, or a power
/// of ten written out: `12 mm`, `3%`, `$5`, `1.000`, `1,234.56`, `1.2×10^5`.
pub(crate) fn is_like_a_number(word: &str) -> bool {
    let word = word.trim().trim_start_matches(['$', '€', '£']).trim_start().trim_start_matches(['+', '-']);
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'');
    let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
    let (number, rest) = word.split_at(end);
    let groups: Vec<&str> = number.split(['.', ',', '\'']).collect();
    let (first, behind) = groups.split_first().map_or(("", &[][..]), |(first, behind)| (*first, behind));
    // The last of several groups may be decimals.
    let thousands = &behind[..behind.len().saturating_sub(1)];
    let is_number = !first.is_empty()
        && behind.last().is_none_or(|last| !last.is_empty())
        && thousands.iter().all(|group| group.len() == 3)
        && (thousands.is_empty() || first.len() <= 3)
        && (behind.len() < 3 || behind.last().is_some_and(|last| last.len() == 3));
    let unit = rest.trim_start();
    let is_power = ["×10", "x10", "*10", "·10"].iter().any(|power| unit.replace(' ', "").starts_with(power));
    is_number && (unit.is_empty() || is_power || UNITS.contains(&unit) || (rest != unit && APART.contains(&unit)))
}

/// Whether a name is one that outputs often have.
pub(crate) fn is_outputs_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    ["y", "f", "output", "out", "response", "target", "label", "result"].contains(&stem) || is_dakotas_response(&lower)
}

/// Whether a name is one that Dakota gives outputs.
pub(crate) fn is_dakotas_response(name: &str) -> bool {
    ["response_fn", "obj_fn", "nln_ineq_con_", "nln_eq_con_", "least_sq_term_"].iter().any(|own| name.starts_with(own))
}
