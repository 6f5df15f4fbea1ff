//! Checksummed lines of text, which append-only files are made of, and a walk over them that steps over what is spoilt.
//!
//! A line is the first 16 hexadecimal digits of SHA-256(salt ‖ text), a blank, the length of the text in bytes, a
//! blank, the text, and a line feed. Since the length is stated, a spoilt line feed costs no line, and since lines
//! begin anywhere, a spoilt line costs no other. The salt binds lines to what their file is about.

use sha2::{Digest, Sha256};

/// Hexadecimal digits of the checksum.
const SUM: usize = 16;

/// A line of this text.
pub(crate) fn line(salt: &str, text: &str) -> String {
    format!("{} {} {text}\n", checksum(salt, text.as_bytes()), text.len())
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Where the last whole line ends; what stands behind it may be the beginning of a line that is still being
    /// written.
    pub(crate) end: usize,
    /// Bytes before that which belong to no line.
    pub(crate) spoilt: usize,
}

/// Hands out the offset and text of every whole line.
pub(crate) fn walk<'a>(salt: &str, bytes: &'a [u8], on_line: &mut dyn FnMut(usize, &'a str)) -> Walked {
    let mut walked = Walked { end: 0, spoilt: 0 };
    let mut at = 0;
    while at < bytes.len() {
        match first(salt, &bytes[at..]) {
            Some((text, length)) => {
                walked.spoilt += at - walked.end;
                on_line(at, text);
                at += length;
                walked.end = at;
            }
            // The line feed of the line before may arrive after the line itself.
            None if at == walked.end && bytes[at] == b'\n' => {
                at += 1;
                walked.end = at;
            }
            None => at += 1,
        }
    }
    walked
}

/// The text of the line that the bytes begin with, and how many bytes it takes without its line feed.
pub(crate) fn first<'a>(salt: &str, bytes: &'a [u8]) -> Option<(&'a str, usize)> {
    let (sum, rest) = bytes.split_at_checked(SUM)?;
    let rest = rest.strip_prefix(b" ")?;
    // Quick to refuse, because a walk over a spoilt line tries every byte.
    if !sum.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)) {
        return None;
    }
    let digits = rest.iter().take(10).position(|&b| b == b' ')?;
    let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let text = rest.get(digits + 1..)?.get(..length)?;
    if checksum(salt, text).as_bytes() != sum {
        return None;
    }
    Some((std::str::from_utf8(text).ok()?, SUM + 1 + digits + 1 + length))
}

fn checksum(salt: &str, text: &[u8]) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(text).finalize();
    digest[..SUM / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(bytes: &[u8]) -> (Vec<&str>, Walked) {
        let mut texts = Vec::new();
        let walked = walk("salt", bytes, &mut |_, text| texts.push(text));
        (texts, walked)
    }

    #[test]
    fn lines_are_read_back_and_bound_to_their_salt() {
        let bytes = [line("salt", "one"), line("other", "two"), line("salt", ""), line("salt", "drei\nµ")].concat();
        let (found, walked) = texts(bytes.as_bytes());
        assert_eq!(found, ["one", "", "drei\nµ"]);
        assert_eq!(walked, Walked { end: bytes.len(), spoilt: line("other", "two").len() });
    }

    #[test]
    fn a_line_feed_that_comes_late_is_no_damage() {
        let bytes = line("salt", "one");
        let (found, walked) = texts(&bytes.as_bytes()[..bytes.len() - 1]);
        assert_eq!((found, walked.end), (vec!["one"], bytes.len() - 1));
        let later = format!("\n{}", line("salt", "two"));
        assert_eq!(texts(later.as_bytes()), (vec!["two"], Walked { end: later.len(), spoilt: 0 }));
    }

    proptest! {
        #[test]
        fn one_spoilt_byte_costs_one_line_at_most(
            lines in prop::collection::vec("[ -~\n]{0,40}", 1..6),
            at in any::<prop::sample::Index>(),
            flip in 1u8..=255,
        ) {
            let whole = lines.iter().map(|text| line("salt", text)).collect::<String>();
            let mut bytes = whole.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let (found, _) = texts(&bytes);
            let all_but = |lost: usize| {
                let kept = lines.iter().enumerate().filter(move |(i, _)| *i != lost);
                kept.map(|(_, text)| text.as_str())
            };
            // The place behind the last one: nothing is lost.
            prop_assert!((0..=lines.len()).any(|lost| all_but(lost).eq(found.iter().copied())));
        }

        #[test]
        fn cut_anywhere_the_lines_before_stand(
            lines in prop::collection::vec("[ -~]{0,40}", 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = lines.iter().map(|text| line("salt", text)).collect::<String>();
            let cut = cut.index(whole.len());
            let (found, walked) = texts(&whole.as_bytes()[..cut]);
            prop_assert_eq!(&lines[..found.len()], &found[..]);
            prop_assert_eq!(walked.spoilt, 0);
            prop_assert!(walked.end <= cut);
            let expected = (0..=lines.len())
                .rev()
                .find(|&n| n == 0 || lines[..n].iter().map(|text| line("salt", text).len()).sum::<usize>() - 1 <= cut);
            prop_assert_eq!(Some(found.len()), expected);
        }

        #[test]
        fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (found, walked) = texts(&bytes);
            prop_assert!(walked.end <= bytes.len() && found.is_empty());
        }
    }
}
