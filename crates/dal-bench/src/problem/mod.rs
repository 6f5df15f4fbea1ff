//! A problem as a sweep uses it: with its model, engine, protocol and test set.

mod noise;
mod test_set;

use std::sync::{Arc, OnceLock};

use dal_core::{Engine, ModelSpec, Oracle, Pool, Protocol, Start};
use dal_oracles::Problem;
use dal_store::{PoolSpec, ProtocolSpec};
use ndarray::Array2;

pub(crate) use self::noise::noisy;
pub use self::test_set::TestSet;

/// A problem as a sweep uses it.
#[derive(Debug)]
pub struct PlannedProblem {
    pub(crate) problem: Problem,
    pub(crate) truth: Arc<dyn Oracle>,
    pub(crate) oracle: Arc<dyn Oracle>,
    pub(crate) model: ModelSpec,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) preset: String,
    pub(crate) protocol: ProtocolSpec,
    pub(crate) split: Option<Split>,
    pub(crate) test: OnceLock<TestSet>,
}

/// The listed points of a problem that has such a list, each of shape (n, n_columns).
#[derive(Debug)]
pub(crate) struct Split {
    /// Those that may be queried.
    pub(crate) candidates: Array2<f64>,
    /// Those that models are judged on.
    pub(crate) test_x: Array2<f64>,
}

impl PlannedProblem {
    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The model it is learned with.
    pub fn model(&self) -> &ModelSpec {
        &self.model
    }

    /// Who trains that.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// What labels the points that are learned; answers that are kept stand in front of it elsewhere.
    pub fn oracle(&self) -> &dyn Oracle {
        &*self.oracle
    }

    /// What labels the points that models are judged on: [`oracle`](Self::oracle) without the noise that a protocol
    /// adds.
    pub fn truth(&self) -> &dyn Oracle {
        &*self.truth
    }

    /// How many of its trials the engine likes in one call, at most.
    pub(crate) fn trials_together(&self) -> usize {
        self.engine.trials_together(&self.model, self.problem.shape())
    }

    /// Whether labels cost next to nothing, as those of the built-in problems do whose answers are not as long as a
    /// spectrum of `adm` (a millisecond each).
    pub fn cheap_labels(&self) -> bool {
        self.problem.card().is_some() && self.problem.outputs().len() <= 256
    }

    /// Whether each answer may cost a simulation, so that none is asked for twice: the problem is a user's, and no
    /// table.
    pub fn costly_labels(&self) -> bool {
        self.problem.card().is_none() && self.problem.candidates().is_none()
    }

    /// Whether its table is used up before the last step, in a sentence.
    pub(crate) fn used_up(&self) -> Option<String> {
        let ProtocolSpec { initial, queries, steps, .. } = self.protocol;
        let rows = self.split.as_ref()?.candidates.nrows();
        let last = rows.saturating_sub(initial).div_ceil(queries.max(1));
        (last < steps).then(|| {
            format!(
                "{}: its table has {rows} rows beside the test set, which {initial} initial points and steps of {queries} use \
                 up by step {last} of {steps}; pages have no values of runs that end before their last step: take \
                 `steps = {last}`, or smaller ones",
                self.problem.variant_id()
            )
        })
    }

    /// The protocol of a campaign.
    pub fn protocol(&self, spec: &ProtocolSpec) -> Protocol {
        let pool = match (spec.pool, &self.split) {
            (_, Some(split)) => Pool::Candidates(split.candidates.clone()),
            (PoolSpec::Uniform { ratio }, None) => Pool::Uniform { n_candidates: ratio * spec.queries },
            (PoolSpec::Candidates { n }, None) => Pool::Uniform { n_candidates: n },
        };
        let start = Start::Sample { n: spec.initial };
        Protocol { start, n_queries: spec.queries, n_steps: Some(spec.steps), pool }
    }
}
