//! Files that are filled in: `{name}` stands for the value of an input.

/// A file whose text is filled in for each evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What it is called in the directory; no path.
    pub(crate) name: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Input(usize),
}

impl Template {
    /// Reads a template. `{name}` is the value of that input, blanks inside the braces do not count; `\{` is a brace.
    /// Other braces stay as they are, as long as they hold no single word: that would be a name that no input has.
    ///
    /// # Errors
    /// A word in braces that is no input's name, with its line.
    pub(crate) fn parse(name: &str, text: &str, inputs: &[String]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, behind) = (&rest[..at], &rest[at + 1..]);
            if let Some(before) = before.strip_suffix('\\') {
                plain.push_str(before);
                plain.push('{');
                rest = behind;
                continue;
            }
            plain.push_str(before);
            let end = behind.find(['{', '}', '\n']).filter(|&end| behind[end..].starts_with('}'));
            let word = end.map(|end| behind[..end].trim());
            if let Some(place) = word.and_then(|word| inputs.iter().position(|input| input == word)) {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Input(place));
                rest = &behind[end.unwrap_or(0) + 1..];
                continue;
            }
            if let Some(word) = word.filter(|word| is_name(word)) {
                let line = 1 + text[..text.len() - behind.len()].matches('\n').count();
                return Err(format!(
                    "line {line}: {{{word}}} is no input; there are: {}; write \\{{ for a brace of the file's own",
                    inputs.join(", ")
                ));
            }
            plain.push('{');
            rest = behind;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self { name: name.to_owned(), pieces })
    }

    /// The text with the inputs' values in place of their names.
    pub(super) fn filled(&self, values: &[String]) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Input(place) => values.get(*place).map_or("", String::as_str),
        });
        pieces.collect()
    }

    /// Whether any input is filled in.
    pub(crate) fn has_inputs(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Input(_)))
    }
}

/// Whether a word may be meant as a name: one word that begins with a letter.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_other_braces_stay() {
        let inputs = ["a".to_owned(), "drag coefficient".to_owned()];
        let fill =
            |text: &str| Template::parse("t", text, &inputs).map(|t| t.filled(&["1.5".to_owned(), "{a}".to_owned()]));
        for (text, expected) in [
            ("x = {a};", "x = 1.5;"),
            ("{a}{ a }{drag coefficient}", "1.51.5{a}"),
            ("void f() { return {a}; }", "void f() { return 1.5; }"),
            ("{\"k\": {a}}", "{\"k\": 1.5}"),
            ("\\{a} {} { } {1} {a", "{a} {} { } {1} {a"),
            ("{b + 1}\n{\nb}", "{b + 1}\n{\nb}"),
            ("", ""),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(expected), "{text}");
        }
        let error = fill("first\nsecond {b}").unwrap_err();
        assert!(error.contains("line 2: {b} is no input; there are: a, drag coefficient"), "{error}");
    }
}
