//! Sizes whose products no memory holds, refused before anything of that size is asked for.

use dal_core::ModelSpec;
use dal_oracles::Problem;
use dal_store::{PoolSpec, ProtocolSpec};

use super::Resolver;
use crate::error::SweepError;
use crate::sweep::{ProblemFile, ProtocolFile};

/// Numbers that one thing may hold: 16 GiB of them in double precision.
const MOST: u128 = 1 << 31;

impl Resolver<'_> {
    /// Refuses a problem one of whose runs would hold more numbers in one place than [`MOST`].
    pub(super) fn sizes(
        &self,
        problem: &Problem,
        model: &ModelSpec,
        protocol: &ProtocolSpec,
        ratios: &[usize],
        entry: &ProblemFile,
        key: &str,
    ) -> Result<(), SweepError> {
        let wide = |n: usize| n as u128;
        let columns = wide(problem.space().n_columns()) + wide(problem.shape().n_outputs);
        let labelled = wide(protocol.initial) + wide(protocol.queries) * wide(protocol.steps);
        let pool = match protocol.pool {
            PoolSpec::Uniform { .. } => wide(ratios.iter().copied().max().unwrap_or(1)) * wide(protocol.queries),
            PoolSpec::Candidates { n } => wide(n),
        };
        type Of = fn(&ProtocolFile) -> Option<usize>;
        let steps: Of = |file| file.steps.as_ref().or(file.queries.as_ref()).map(|value| value.span().start);
        let ratio: Of =
            |file| file.pool_ratios.as_ref().map(|v| v.span().start).or(file.queries.as_ref().map(|v| v.span().start));
        let test: Of = |file| file.test_points.as_ref().map(|value| value.span().start);
        let mut due = vec![
            ("protocol.steps", steps, labelled, columns, "labelled points", "inputs and outputs"),
            ("protocol.pool_ratios", ratio, pool, columns, "points of the pool", "inputs and outputs"),
            ("protocol.test_points", test, wide(protocol.test_points), columns, "test points", "inputs and outputs"),
        ];
        if let ModelSpec::MlpEnsemble(mlp) = model {
            let units = mlp.hidden.iter().map(|&width| wide(width)).sum();
            due.push(("protocol.steps", steps, labelled, units, "labelled points", "hidden units"));
            let sizes = std::iter::once(problem.shape().n_inputs).chain(mlp.hidden.iter().copied());
            let next = mlp.hidden.iter().copied().chain([problem.shape().n_outputs]);
            let weights = sizes.zip(next).map(|(a, b)| wide(a).saturating_mul(wide(b))).fold(0, u128::saturating_add);
            due.push(("training.members", |_| None, wide(mlp.training.n_members), weights, "members", "weights"));
        }
        for (name, place, n, of_each, what, each) in due {
            if n.saturating_mul(of_each) > MOST {
                let places = [place(&entry.protocol), place(&self.sweep.file.protocol)];
                let at = places.into_iter().flatten().next().unwrap_or(0);
                let reason =
                    format!("{n} {what} with {of_each} {each} are more than {MOST} numbers, the most that are taken");
                return Err(self.sweep.invalid(
                    at,
                    format!("{key}.{name}"),
                    reason,
                    Some("make one of them smaller".into()),
                ));
            }
        }
        Ok(())
    }
}
