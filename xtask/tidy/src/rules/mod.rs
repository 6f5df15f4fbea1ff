//! The rules, one file each.

pub mod changelog;
pub mod circles;
pub mod dependencies;
pub mod directions;
pub mod file_length;
pub mod headers;
pub mod licences;
pub mod line_width;
pub mod links;
pub mod machine_words;
mod modules;
pub mod plain_words;
pub mod purity;
pub mod tests_apart;
