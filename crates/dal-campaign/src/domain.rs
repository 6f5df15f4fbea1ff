//! What tells apart the domains that points were drawn from: an error over one says nothing of another.

use ndarray::ArrayView2;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::constraints::Constraint;
use crate::subject::Subject;

/// A hash of the inputs' bounds, scales and levels, of the constraints, and of the rows of a list and of a sample,
/// whatever their order.
pub(crate) fn of(
    subject: &Subject,
    constraints: &[Constraint],
    listed: Option<ArrayView2<'_, f64>>,
    sampled: Option<ArrayView2<'_, f64>>,
) -> String {
    let inputs = Value::Array(subject.described_inputs()).to_string();
    let texts: Vec<&str> = constraints.iter().map(Constraint::text).collect();
    let texts = Value::from(texts).to_string();
    let (listed, sampled) = (listed.map_or_else(Vec::new, sorted), sampled.map_or_else(Vec::new, sorted));
    digest(&[inputs.as_bytes(), texts.as_bytes(), &listed, &sampled])
}

fn sorted(table: ArrayView2<'_, f64>) -> Vec<u8> {
    let mut rows: Vec<Vec<u8>> =
        table.outer_iter().map(|row| row.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    rows.sort_unstable();
    rows.concat()
}

/// The first 16 hexadecimal digits of a hash in which every part counts with its length.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
