//! When two names are the same: composed and decomposed letters, blanks at the ends, what a spreadsheet's guard adds.

use unicode_normalization::UnicodeNormalization;

use crate::write::unguarded;

/// The form in which names are compared: composed letters, no blanks at the ends, no byte-order mark.
pub fn canonical(name: &str) -> String {
    trimmed(name).nfc().collect()
}

fn trimmed(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// A looser form: letters that only look different, such as the two signs for micro, or a blank that does not break.
fn loose(name: &str) -> String {
    canonical(unguarded(name)).nfkc().collect()
}

/// The columns of `header` that are called `name`. Names that differ only in how a letter is written count where no
/// name is the same.
pub fn places(header: &[String], name: &str) -> Vec<usize> {
    let (exact, similar) = (canonical(name), loose(name));
    let equal = |same: &dyn Fn(&str) -> bool| (0..header.len()).filter(|&at| same(&header[at])).collect::<Vec<usize>>();
    // ASCII has one form. A table of thousands of columns is searched for as many names, which must not cost a new
    // string for each pair.
    let found = equal(&|other| match trimmed(other) {
        plain if plain.is_ascii() => plain == exact,
        _ => canonical(other) == exact,
    });
    if !found.is_empty() {
        return found;
    }
    equal(&|other| match trimmed(unguarded(other)) {
        plain if plain.is_ascii() => plain == similar,
        _ => loose(other) == similar,
    })
}

/// Whether a column of this name is the index that pandas writes.
pub fn is_index(name: &str) -> bool {
    let name = canonical(name);
    name.is_empty()
        || name == "Unnamed: 0"
        || name.strip_prefix("Unnamed: 0.").is_some_and(|n| n.parse::<u32>().is_ok())
}

/// Whether a column has no name: nothing, or what pandas writes in the place of one.
pub fn is_unnamed(name: &str) -> bool {
    let name = canonical(name);
    let numbers = |text: &str| text.split('.').all(|n| n.parse::<u32>().is_ok());
    name.is_empty() || name.strip_prefix("Unnamed: ").is_some_and(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_match_however_they_are_composed() {
        let header = ["Stro\u{308}mung", " \u{feff}T [\u{b0}C]", "d [\u{b5}m]", "'=sum"].map(str::to_owned);
        assert_eq!(places(&header, "Str\u{f6}mung"), [0]);
        assert_eq!(places(&header, "T [\u{b0}C]"), [1]);
        assert_eq!(places(&header, "d [\u{3bc}m]"), [2]);
        assert_eq!(places(&header, "=sum"), [3]);
        assert!(places(&header, "t").is_empty());
        assert_eq!(places(&["x2".to_owned(), "x\u{b2}".to_owned()], "x2"), [0], "the exact name comes first");
    }

    #[test]
    fn columns_without_a_name_are_known() {
        for (name, unnamed) in [("", true), (" ", true), ("Unnamed: 3", true), ("Unnamed: 0.1", true)] {
            assert_eq!(is_unnamed(name), unnamed, "{name}");
        }
        assert!(!is_unnamed("Unnamed: x") && !is_unnamed("a") && !is_unnamed("0"));
    }

    #[test]
    fn the_index_of_pandas_is_known() {
        for (name, index) in
            [("", true), (" ", true), ("Unnamed: 0", true), ("Unnamed: 0.1", true), ("Unnamed: 3", false), ("a", false)]
        {
            assert_eq!(is_index(name), index, "{name}");
        }
    }
}
