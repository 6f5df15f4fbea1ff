//! What a campaign labels when, and where its queries come from: the values that fix a loop before it begins.

use ndarray::Array2;

use crate::Labelled;

/// Where queries are chosen from.
#[derive(Clone, Debug, PartialEq)]
pub enum Pool {
    /// Drawn afresh at every step, uniformly from the space: the paper's pool.
    Uniform {
        /// Points drawn per step (the pool ratio times the queries per step).
        n_candidates: usize,
    },
    /// A fixed list of points of the unit box, shape (n, n_columns), each labelled at most once.
    Candidates(Array2<f64>),
}

/// What the first model is trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// So many points, drawn uniformly from the space or from the candidates, that are labelled first.
    Sample {
        /// How many, at least one.
        n: usize,
    },
    /// Points whose answers are known, all admitted by the space. Candidates that are the same points count as asked
    /// for.
    Given(Labelled),
}

/// How many points are labelled when.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// What the first model is trained on.
    pub start: Start,
    /// Queries per step, where [`Campaign::absorb`](crate::Campaign::absorb) is not told another number
    /// ([`Ask::n_queries`](crate::Ask::n_queries)).
    pub n_queries: usize,
    /// Steps; a model is fitted before each and after the last. `None`: the campaign has no end of its own.
    pub n_steps: Option<usize>,
    /// Where queries are chosen from.
    pub pool: Pool,
}
