//! What an answer depends on.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::canonical::canonical_json;
use crate::error::StoreError;
use crate::spec::{hash, short_hash};

/// Name of the file that shows a folder's key.
pub(super) const KEY: &str = "key.json";

/// What an answer depends on beside its point.
///
/// What is not in it (bounds, scales, units, titles, limits, the program's contents) may change without making
/// answers worthless. A user whose program's answers change gives it another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerKey {
    /// The program and its arguments, as the problem file has them; empty where no program answers.
    pub program: Vec<String>,
    /// How points and answers travel: `stdin`, `files`, …
    pub exchange: String,
    /// The inputs, in order.
    pub inputs: Vec<KeyInput>,
    /// Names of the outputs, in order.
    pub outputs: Vec<String>,
    /// The version that the user gave the program, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// An input, as far as answers depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// Its name.
    pub name: String,
    /// Its levels in order; none for a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
}

impl AnswerKey {
    /// The key as canonical JSON.
    pub fn to_json(&self) -> String {
        canonical_json(self).expect("keys are plain data with string keys")
    }

    /// SHA-256 of [`to_json`](Self::to_json), 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        hash(self.to_json().as_bytes())
    }

    /// The first 16 digits of [`digest`](Self::digest): the name of the key's folder.
    pub fn id(&self) -> String {
        short_hash(self.to_json().as_bytes())
    }
}

/// The keys that a folder of answers holds, with their ids, sorted by them; folders that show none are passed over.
///
/// # Errors
/// A folder that cannot be listed; an absent one holds none.
pub fn answer_keys(root: impl AsRef<Path>) -> Result<Vec<(String, AnswerKey)>, StoreError> {
    let root = root.as_ref();
    let failed = |source| StoreError::Io { path: root.to_owned(), action: "list", source };
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut keys = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path().join(KEY)).unwrap_or_default();
        if let Ok(key) = serde_json::from_str::<AnswerKey>(&text)
            && key.id() == name
        {
            keys.push((name, key));
        }
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keys)
}
