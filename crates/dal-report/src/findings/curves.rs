//! Learning curves over seeds: means, bands and errors at the end.

use dal_eval::Missing;

use super::runs::{BySeed, finished};
use super::{Band, Curves, ErrorKind, FinalErrors};
use crate::data::RunSummary;

pub(super) fn curves(seeds: &[u64], by_seed: &BySeed<'_>, n_entries: usize) -> Curves {
    let mut all = Curves::default();
    let mut done: Vec<&RunSummary> = Vec::new();
    for &seed in seeds {
        if let Some(run) = by_seed.get(&seed) {
            all.per_seed.push((seed, run.entries.iter().map(|e| e.mse).collect()));
            all.labels.push(run.entries.iter().map(|e| e.n_labelled).collect());
        }
        match finished(by_seed.get(&seed).copied(), n_entries) {
            Ok(run) => done.push(run),
            Err(why) => all.missing.push((seed, why)),
        }
    }
    if all.missing.is_empty() && !done.is_empty() {
        let band_of = |kind: ErrorKind| {
            let logs: Vec<Vec<f64>> =
                done.iter().map(|run| run.entries.iter().map(|e| kind.of(e).ln()).collect()).collect();
            logs.iter().flatten().all(|v| v.is_finite()).then(|| band(&logs))
        };
        all.mean = band_of(ErrorKind::Mse);
        all.others = ErrorKind::ALL[1..].iter().filter_map(|kind| Some((*kind, band_of(*kind)?))).collect();
    }
    all
}

impl Curves {
    /// Those of these seeds; one that has no curve here is missing.
    pub(super) fn of_seeds(&self, seeds: &[u64]) -> Self {
        let mut own = Self::default();
        for &seed in seeds {
            let place = self.per_seed.iter().position(|(of, _)| *of == seed);
            if let Some(at) = place {
                own.per_seed.push(self.per_seed[at].clone());
                own.labels.push(self.labels[at].clone());
            }
            match self.missing.iter().find(|(of, _)| *of == seed) {
                Some((_, why)) => own.missing.push((seed, why.clone())),
                None if place.is_none() => own.missing.push((seed, Missing::Absent)),
                None => {}
            }
        }
        own
    }

    /// Labels behind an entry, mean over the seeds that came so far; `None` where none did.
    pub fn mean_labels(&self, entry: usize) -> Option<f64> {
        let there: Vec<f64> = self.labels.iter().filter_map(|labels| labels.get(entry)).map(|n| *n as f64).collect();
        (!there.is_empty()).then(|| there.iter().sum::<f64>() / there.len() as f64)
    }

    /// The mean curve of an error.
    pub fn band(&self, kind: ErrorKind) -> Option<&Band> {
        match kind {
            ErrorKind::Mse => self.mean.as_ref(),
            _ => self.others.iter().find(|(own, _)| *own == kind).map(|(_, band)| band),
        }
    }
}

/// The last values of the mean curves; errors that are zero in some run have no geometric mean and are averaged as 0.
pub(super) fn final_errors(curves: &Curves, by_seed: &BySeed<'_>) -> Option<FinalErrors> {
    if !curves.missing.is_empty() || curves.per_seed.is_empty() {
        return None;
    }
    let mean = |kind: ErrorKind| {
        let values: Option<Vec<f64>> = by_seed.values().map(|run| run.entries.last().map(|e| kind.of(e))).collect();
        let values = values.filter(|v| !v.is_empty())?;
        Some((values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
    };
    Some(FinalErrors {
        mse: mean(ErrorKind::Mse)?,
        mae: mean(ErrorKind::Mae)?,
        p95_abs: mean(ErrorKind::P95Abs)?,
        max_abs: mean(ErrorKind::MaxAbs)?,
    })
}

/// Geometric mean and spread of complete curves, given as logarithms.
fn band(logs: &[Vec<f64>]) -> Band {
    let n = logs.len() as f64;
    let n_entries = logs.first().map_or(0, Vec::len);
    let means: Vec<f64> = (0..n_entries).map(|t| logs.iter().map(|c| c[t]).sum::<f64>() / n).collect();
    let spread = (logs.len() > 1).then(|| {
        let sd = |t: usize| (logs.iter().map(|c| (c[t] - means[t]).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let bound = |sign: f64| (0..n_entries).map(|t| (means[t] + sign * sd(t)).exp()).collect();
        (bound(-1.0), bound(1.0))
    });
    Band { mean: means.iter().map(|m| m.exp()).collect(), spread }
}

impl Curves {
    /// These curves after an exponential moving average, s_0 = c_0, s_t = w c_t + (1 − w) s_{t−1}: for drawing only.
    pub fn smoothed(&self, weight: f64) -> Self {
        let smooth = |curve: &[f64]| {
            let mut last = None;
            curve
                .iter()
                .map(|&c| {
                    let value = last.map_or(c, |s| weight * c + (1.0 - weight) * s);
                    last = Some(value);
                    value
                })
                .collect::<Vec<f64>>()
        };
        let per_seed: Vec<(u64, Vec<f64>)> = self.per_seed.iter().map(|(seed, c)| (*seed, smooth(c))).collect();
        let mean = self.mean.as_ref().map(|_| {
            let logs: Vec<Vec<f64>> = per_seed.iter().map(|(_, c)| c.iter().map(|v| v.ln()).collect()).collect();
            band(&logs)
        });
        // Of the other errors only means are kept; they are drawn as measured.
        Self { per_seed, labels: self.labels.clone(), missing: self.missing.clone(), mean, others: self.others.clone() }
    }
}
