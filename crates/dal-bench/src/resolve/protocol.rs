//! The protocol that a sweep gives a problem, its listed points and its pools.

use std::collections::BTreeSet;

use dal_core::TrialSeeds;
use dal_oracles::Problem;
use dal_store::{PoolSpec, ProtocolSpec};
use ndarray::Axis;
use rand::seq::SliceRandom;
use toml::Spanned;

use super::{Chosen, Resolver, number};
use crate::error::SweepError;
use crate::plan::RANDOM;
use crate::problem::{PlannedProblem, Split};
use crate::sweep::ProtocolFile;

/// Generous limit of a count, so that sizes can be multiplied without a thought.
const MOST: usize = 10_000_000;
/// Noise as large as what is learned.
const MOST_NOISE: usize = 100;

/// Where a number stands that a problem may say for itself: offset and key; the shared key where neither says it.
fn place(own: &Option<Spanned<usize>>, shared: &Option<Spanned<usize>>, key: &str, name: &str) -> (usize, String) {
    match own {
        Some(own) => (own.span().start, format!("{key}.protocol.{name}")),
        None => (shared.as_ref().map_or(0, |shared| shared.span().start), format!("protocol.{name}")),
    }
}

impl Resolver<'_> {
    pub(super) fn protocol(&self, own: &ProtocolFile, key: &str) -> Result<(ProtocolSpec, Vec<usize>), SweepError> {
        let shared = &self.sweep.file.protocol;
        let within =
            |own: &Option<Spanned<usize>>, shared: &Option<Spanned<usize>>, name: &str, default, least, most| {
                let value = number(own, shared, default);
                if (least..=most).contains(&value) {
                    return Ok(value);
                }
                let (at, key) = place(own, shared, key, name);
                Err(self.sweep.invalid(at, key, format!("{value} is outside {least} to {most}"), None))
            };
        let protocol = ProtocolSpec {
            initial: within(&own.initial, &shared.initial, "initial", 80, 1, MOST)?,
            queries: within(&own.queries, &shared.queries, "queries", 40, 1, MOST)?,
            steps: within(&own.steps, &shared.steps, "steps", 50, 0, MOST)?,
            test_points: within(&own.test_points, &shared.test_points, "test_points", 4000, 1, MOST)?,
            label_noise_percent: within(
                &own.label_noise_percent,
                &shared.label_noise_percent,
                "label_noise_percent",
                0,
                0,
                MOST_NOISE,
            )?,
            pool: PoolSpec::Uniform { ratio: 1 },
        };
        let ratios = match own.pool_ratios.as_ref().or(shared.pool_ratios.as_ref()) {
            None => vec![2, 4, 8, 16, 32, 64],
            Some(given) => {
                let ratios = given.get_ref().clone();
                let distinct: BTreeSet<usize> = ratios.iter().copied().collect();
                if ratios.is_empty()
                    || distinct.len() != ratios.len()
                    || !ratios.iter().all(|r| (1..=100_000).contains(r))
                {
                    let hint = Some("give distinct whole numbers from 1 to 100000, as in [2, 8]".to_owned());
                    let reason = format!("{ratios:?} makes no sense");
                    return Err(self.sweep.invalid(given.span().start, "protocol.pool_ratios", reason, hint));
                }
                ratios
            }
        };
        Ok((protocol, ratios))
    }

    /// Whether labels can be given noise: the answers of a user's program are what they are.
    pub(super) fn noise(&self, problem: &Problem, own: &ProtocolFile, key: &str) -> Result<(), SweepError> {
        let shared = &self.sweep.file.protocol.label_noise_percent;
        if problem.card().is_some() || number(&own.label_noise_percent, shared, 0) == 0 {
            return Ok(());
        }
        let reason = "noise is added to the answers of built-in problems only".to_owned();
        let hint = Some(format!("give `{}` a `protocol = {{ label_noise_percent = 0 }}`", problem.variant_id()));
        let (at, key) = place(&own.label_noise_percent, shared, key, "label_noise_percent");
        Err(self.sweep.invalid(at, key, reason, hint))
    }

    /// Of a problem with listed candidates: test rows drawn from its own stream, the others to be queried.
    pub(super) fn split(
        &self,
        problem: &Problem,
        protocol: &mut ProtocolSpec,
        key: &str,
        at: usize,
    ) -> Result<Option<Split>, SweepError> {
        let Some(table) = problem.candidates() else { return Ok(None) };
        let needed = protocol.test_points.saturating_add(protocol.initial).saturating_add(protocol.queries);
        if table.nrows() < needed {
            let reason = format!(
                "its table has {} rows; {} test points, {} initial points and a first step of {} need {needed}",
                table.nrows(),
                protocol.test_points,
                protocol.initial,
                protocol.queries
            );
            let hint = Some("set smaller numbers in its protocol".to_owned());
            return Err(self.sweep.invalid(at, format!("{key}.protocol"), reason, hint));
        }
        let mut rows: Vec<usize> = (0..table.nrows()).collect();
        rows.shuffle(&mut TrialSeeds::new(&problem.variant_id(), 0).test().rng());
        let (test, rest) = rows.split_at_mut(protocol.test_points);
        test.sort_unstable();
        rest.sort_unstable();
        protocol.pool = PoolSpec::Candidates { n: rest.len() };
        Ok(Some(Split { candidates: table.select(Axis(0), rest), test_x: table.select(Axis(0), test) }))
    }
}

/// The pools that a strategy is run with: one for a rule that the pool's size does not matter to, such as `random`.
pub(super) fn pools(problem: &PlannedProblem, chosen: &Chosen, ratios: &[usize]) -> Vec<PoolSpec> {
    match problem.protocol.pool {
        PoolSpec::Candidates { n } => vec![PoolSpec::Candidates { n }],
        PoolSpec::Uniform { .. } if chosen.id == RANDOM || !chosen.found.strategy.uses_pool() => {
            vec![PoolSpec::Uniform { ratio: 1 }]
        }
        PoolSpec::Uniform { .. } => ratios.iter().map(|&ratio| PoolSpec::Uniform { ratio }).collect(),
    }
}
