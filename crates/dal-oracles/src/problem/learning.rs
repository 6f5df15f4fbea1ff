//! The network that a problem is learned with, and its presets' names.

use crate::card::{Card, ConvolutionHead};

/// Name of the preset with the published network, or the one in a user's problem file.
pub const PUBLISHED: &str = "published";
/// Name of the preset that a search found.
pub const TUNED: &str = "tuned";

/// A network that a problem is learned with, and its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Learning {
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// Whether a BatchNorm follows each hidden Linear.
    pub batch_norm: bool,
    /// Whether BatchNorm's statistics at inference are recomputed over the training set instead of running averages.
    pub recomputed_statistics: bool,
    /// What stands in the place of the last plain Linear, if anything does.
    pub head: Option<ConvolutionHead>,
    /// Initial learning rate of full-batch Adam.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// What a user's problem gets: the network that `foil` is published with.
impl Default for Learning {
    fn default() -> Self {
        Self {
            hidden: vec![200; 4],
            batch_norm: true,
            recomputed_statistics: false,
            head: None,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
        }
    }
}

impl From<&Card> for Learning {
    fn from(card: &Card) -> Self {
        Self {
            hidden: card.network.hidden.to_vec(),
            batch_norm: card.network.batch_norm,
            recomputed_statistics: false,
            head: card.network.head,
            learning_rate: card.training.learning_rate,
            weight_decay: card.training.weight_decay,
        }
    }
}
