//! The rules, one file each.

pub mod dependencies;
pub mod directions;
pub mod headers;
pub mod links;
pub mod machine_words;
pub mod purity;
