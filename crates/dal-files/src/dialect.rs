//! Which sign separates cells, and which stands before decimals.

use std::fmt;

use crate::number::Decimal;

/// What separates cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Separator {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// Blanks and tabs, any number of them.
    Blanks,
}

/// How numbers are laid out in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// What separates cells.
    pub separator: Separator,
    /// What stands before decimals.
    pub decimal: Decimal,
}

impl Dialect {
    /// Every reading that is tried; of those that say the same the first is taken.
    pub const ALL: [Self; 7] = [
        Self { separator: Separator::Comma, decimal: Decimal::Point },
        Self { separator: Separator::Semicolon, decimal: Decimal::Point },
        Self { separator: Separator::Semicolon, decimal: Decimal::Comma },
        Self { separator: Separator::Tab, decimal: Decimal::Point },
        Self { separator: Separator::Tab, decimal: Decimal::Comma },
        Self { separator: Separator::Blanks, decimal: Decimal::Point },
        Self { separator: Separator::Blanks, decimal: Decimal::Comma },
    ];

    /// What a message adds where a file is not read in the usual way.
    pub(crate) fn remark(&self) -> String {
        if *self == Self::default() { String::new() } else { format!(" (read with {self})") }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.separator {
            Separator::Comma => "`,` between cells",
            Separator::Semicolon => "`;` between cells",
            Separator::Tab => "tabs between cells",
            Separator::Blanks => "blanks between cells",
        })?;
        if self.decimal == Decimal::Comma { f.write_str(" and decimal commas") } else { Ok(()) }
    }
}
