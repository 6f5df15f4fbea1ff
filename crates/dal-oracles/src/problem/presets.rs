//! The names of the models that a problem comes with.

/// Name of the preset with the published model, or the one in a user's problem file.
pub const PUBLISHED: &str = "published";
/// Name of the preset that a search found.
pub const TUNED: &str = "tuned";
