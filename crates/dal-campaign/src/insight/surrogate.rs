//! What a trained model says of its problem: how outputs depend on inputs, which inputs matter, where it is unsure.

use dal_core::{Stop, Surrogate};
use dal_eval::sobol_indices;
use ndarray::{Array2, Array3, ArrayView1, Axis as Along, s};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Serialize;

use super::axes::{Axis, Shown, bin};
use crate::constraints::Constraint;
use crate::draw::disagreement;
use crate::error::CampaignError;
use crate::feasible::Feasibility;
use crate::model::{Model, Snapshot};

/// Rows that a model is asked at one time.
const CHUNK: usize = 512;
/// Outputs beyond which fewer points are asked: a point of a spectrum costs as much as hundreds of others.
const MANY_OUTPUTS: usize = 200;
/// Inputs whose pairs have a map of the spread.
const MAPPED: usize = 4;
/// The probability of an answer below which a point counts as one that rather fails.
const RATHER_FAILS: f64 = 0.5;

/// How much is asked of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Points of each of the two samples of the indices.
    pub(crate) indices: usize,
    /// Positions of a curve.
    pub(crate) positions: usize,
    /// Points that a curve is averaged over.
    pub(crate) averaged: usize,
    /// Points that the spread is taken at.
    pub(crate) spread: usize,
}

impl Effort {
    /// For so many outputs.
    pub(crate) fn of(n_outputs: usize) -> Self {
        if n_outputs > MANY_OUTPUTS {
            Self { indices: 256, positions: 9, averaged: 32, spread: 1024 }
        } else {
            Self { indices: 2048, positions: 21, averaged: 200, spread: 6144 }
        }
    }
}

/// An index with the smallest and the largest that a member of the ensemble gives by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranged {
    /// Of the ensemble's mean.
    pub value: f64,
    /// The smallest of the members.
    pub low: f64,
    /// The largest of the members.
    pub high: f64,
}

/// How much an input matters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// The share of the variance that it explains by itself.
    pub first: Ranged,
    /// The share that it has a part in.
    pub total: Ranged,
}

/// How an output depends on an input: the mean over the domain with that input held, in the output's unit (of an output
/// that is learned as its logarithm, the mean of the logarithm).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dependence {
    /// Positions along the input.
    pub x: Vec<f64>,
    /// The ensemble's mean.
    pub mean: Vec<f64>,
    /// The smallest of the members' own means.
    pub low: Vec<f64>,
    /// The largest.
    pub high: Vec<f64>,
}

/// The spread along one input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Ends of the bins.
    pub edges: Vec<f64>,
    /// The root of the mean variance in each; none where no point lies.
    pub spread: Vec<Option<f64>>,
}

/// The spread over two inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpreadMap {
    /// The inputs; the second is none where only one varies.
    pub inputs: (usize, Option<usize>),
    /// For each bin of the first and each of the second the root of the mean variance; none where no point lies that
    /// rather has an answer.
    pub spread: Vec<Vec<Option<f64>>>,
}

/// Where the members disagree, in standard deviations of the outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsure {
    /// The root of the mean variance over the domain.
    pub overall: f64,
    /// Share of the domain that was left out because points rather fail there.
    pub left_out: f64,
    /// Of each input that varies its profile; none of the others.
    pub profiles: Vec<Option<Profile>>,
    /// Maps over pairs of the inputs that matter most.
    pub maps: Vec<SpreadMap>,
}

/// What a model says of its problem.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInsight {
    /// What tells the model apart.
    pub name: String,
    /// Labels that it learned.
    pub n_labelled: usize,
    /// Members of the ensemble; 1 where there is none.
    pub members: usize,
    /// Of each shown output how much each input matters; none where the model or all answers are constant.
    pub importance: Vec<Option<Vec<Importance>>>,
    /// Of each shown output its dependence on each input.
    pub dependence: Vec<Vec<Dependence>>,
    /// The inputs that vary, those that matter most first.
    pub order: Vec<usize>,
    /// Where it is unsure; none of a model without members.
    pub unsure: Option<Unsure>,
    /// Whether inputs depend on each other in the domain, which the indices take as independent.
    pub dependent_inputs: bool,
}

/// A model with what is shown of it.
struct Asked<'a> {
    surrogate: &'a dyn Surrogate,
    shown: &'a [Shown],
    stop: &'a Stop,
}

impl Asked<'_> {
    /// What each member says of each shown output in the scale that it is learned in, shape (members, n, shown).
    fn members(&self, x: &Array2<f64>) -> Result<Array3<f64>, CampaignError> {
        let committee = self.surrogate.committee();
        let n_members = committee.map_or(1, |committee| committee.n_members().max(1));
        let mut all = Array3::zeros((n_members, x.nrows(), self.shown.len()));
        for first in (0..x.nrows()).step_by(CHUNK) {
            if self.stop.is_draining() {
                return Err(CampaignError::Stopped);
            }
            let chunk = x.slice(s![first..(first + CHUNK).min(x.nrows()), ..]);
            let mut take = |member: usize, row: usize, outputs: ArrayView1<'_, f64>| {
                for (k, shown) in self.shown.iter().enumerate() {
                    all[[member, row, k]] = shown.learned(outputs);
                }
            };
            match committee {
                Some(committee) => committee.members(chunk, CHUNK, &mut |inner, members| {
                    for (member, rows) in members.outer_iter().enumerate() {
                        for (row, outputs) in rows.outer_iter().enumerate() {
                            take(member, first + inner + row, outputs);
                        }
                    }
                })?,
                None => {
                    let mean = self.surrogate.mean(chunk)?;
                    mean.outer_iter().enumerate().for_each(|(row, outputs)| take(0, first + row, outputs));
                }
            }
        }
        Ok(all)
    }
}

impl Snapshot {
    /// What a model says of its problem. Nothing is trained; the random numbers are those of the campaign's seed alone.
    /// Of each shown output it is told whether it varies.
    ///
    /// # Errors
    /// A stop, a model that cannot predict.
    pub(crate) fn model_insight(
        &self,
        model: &Model,
        axes: &[Axis],
        (shown, varies): (&[Shown], &[bool]),
        stop: &Stop,
    ) -> Result<ModelInsight, CampaignError> {
        let effort = Effort::of(self.subject.outputs().len());
        let asked = Asked { surrogate: &*model.surrogate, shown, stop };
        let seeds = self.seeds().purpose("insight");
        let mut rng = seeds.rng();
        let dependent_inputs = self.is_tabled() || !self.constraints.is_empty();
        let domain = self.domain(effort.spread)?;
        // Rows for two samples; of a list, or a space of few points, some of them several times.
        let wanted = 2 * effort.indices;
        let rows: Vec<usize> = match domain.nrows() {
            0 => Vec::new(),
            n if n >= wanted && self.listed().is_none() => (0..wanted).collect(),
            n => (0..wanted).map(|_| rng.random_range(0..n)).collect(),
        };
        let varying: Vec<usize> = (0..axes.len()).filter(|&i| axes[i].varies()).collect();
        let importance = match rows.len() {
            0 => vec![None; shown.len()],
            _ => {
                // Every input is shuffled by itself where inputs depend on each other.
                let mut mixed = domain.select(Along(0), &rows);
                if dependent_inputs {
                    for axis in axes.iter().filter(|axis| axis.varies()) {
                        let mut order: Vec<usize> = (0..wanted).collect();
                        order.shuffle(&mut rng);
                        let columns = mixed.slice(s![.., axis.columns.clone()]).select(Along(0), &order);
                        mixed.slice_mut(s![.., axis.columns.clone()]).assign(&columns);
                    }
                }
                let found = importance(&asked, &mixed, axes, &varying, effort.indices)?;
                found.into_iter().zip(varies).map(|(of, varies)| of.filter(|_| *varies)).collect()
            }
        };
        let mut order = varying.clone();
        let weight =
            |i: usize| -> f64 { importance.iter().flatten().map(|of: &Vec<Importance>| of[i].total.value).sum() };
        order.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
        let averaged = domain.slice(s![..effort.averaged.min(domain.nrows()), ..]).to_owned();
        let mut dependence = vec![Vec::new(); shown.len()];
        for axis in axes {
            let curves = match averaged.nrows() {
                0 => vec![Dependence::default(); shown.len()],
                _ => self.dependence(&asked, axis, &averaged, effort.positions)?,
            };
            dependence.iter_mut().zip(curves).for_each(|(of, curve)| of.push(curve));
        }
        let place = effort.spread.min(domain.nrows());
        let unsure = self.unsure(&asked, &domain.slice(s![..place, ..]).to_owned(), axes, &order)?;
        Ok(ModelInsight {
            name: model.name.clone(),
            n_labelled: model.n_labelled,
            members: model.surrogate.committee().map_or(1, |committee| committee.n_members()),
            importance,
            dependence,
            order,
            unsure,
            dependent_inputs,
        })
    }

    /// The curves of all shown outputs along one input. Points that the constraints refuse at a position do not count
    /// there; where they refuse all, all count.
    fn dependence(
        &self,
        asked: &Asked<'_>,
        axis: &Axis,
        over: &Array2<f64>,
        positions: usize,
    ) -> Result<Vec<Dependence>, CampaignError> {
        let mut curves = vec![Dependence::default(); asked.shown.len()];
        if !axis.varies() {
            return Ok(curves);
        }
        for position in axis.grid(positions) {
            let mut x = over.clone();
            for (column, value) in axis.unit_columns(&self.subject, position)? {
                x.column_mut(column).fill(value);
            }
            let mut admitted = Vec::new();
            for (row, point) in x.outer_iter().enumerate() {
                let cells = self.subject.cells(point)?;
                if self.constraints.iter().all(|constraint: &Constraint| constraint.holds(&cells)) {
                    admitted.push(row);
                }
            }
            if !admitted.is_empty() && admitted.len() < x.nrows() {
                x = x.select(Along(0), &admitted);
            }
            let members = asked.members(&x)?;
            for (k, (curve, shown)) in curves.iter_mut().zip(asked.shown).enumerate() {
                let of: Vec<f64> = members.outer_iter().map(|rows| rows.column(k).mean().unwrap_or(0.0)).collect();
                let fold = |f: fn(f64, f64) -> f64| of.iter().copied().reduce(f).unwrap_or(0.0);
                curve.x.push(position);
                curve.mean.push(shown.back(of.iter().sum::<f64>() / of.len() as f64));
                curve.low.push(shown.back(fold(f64::min)));
                curve.high.push(shown.back(fold(f64::max)));
            }
        }
        Ok(curves)
    }

    /// Where members disagree, over points that rather have an answer.
    fn unsure(
        &self,
        asked: &Asked<'_>,
        domain: &Array2<f64>,
        axes: &[Axis],
        order: &[usize],
    ) -> Result<Option<Unsure>, CampaignError> {
        let feasible = Feasibility::of(&self.state, self.subject.scaling());
        let answers = |row: &Vec<f64>| feasible.as_ref().is_none_or(|model| model.keeps(row) >= RATHER_FAILS);
        let rows: Vec<Vec<f64>> = domain.outer_iter().map(|row| row.to_vec()).collect();
        let kept: Vec<usize> = (0..rows.len()).filter(|&i| answers(&rows[i])).collect();
        let x = domain.select(Along(0), &kept);
        let mut variance = Vec::with_capacity(kept.len());
        for first in (0..x.nrows()).step_by(CHUNK) {
            if asked.stop.is_draining() {
                return Err(CampaignError::Stopped);
            }
            let chunk = x.slice(s![first..(first + CHUNK).min(x.nrows()), ..]).to_owned();
            let Some(found) = disagreement(asked.surrogate, &chunk)? else { return Ok(None) };
            variance.extend(found.into_iter().map(|sd| sd * sd));
        }
        if variance.is_empty() {
            return Ok(None);
        }
        // Of each point its position along each input.
        let mut positions = Vec::with_capacity(kept.len());
        for point in x.outer_iter() {
            let cells = self.subject.cells(point)?;
            positions.push(axes.iter().zip(&cells).map(|(axis, cell)| axis.position(cell).unwrap_or(0.0)).collect());
        }
        let positions: Vec<Vec<f64>> = positions;
        let profiles = axes.iter().enumerate().map(|(i, axis)| {
            axis.varies().then(|| {
                let edges = axis.edges();
                let bins = positions.iter().map(|position| bin(&edges, position[i]));
                let spread = binned(bins, &variance, edges.len() - 1);
                Profile { edges, spread }
            })
        });
        let profiles: Vec<Option<Profile>> = profiles.collect();
        let mapped = &order[..order.len().min(MAPPED)];
        let pairs: Vec<(usize, Option<usize>)> = match mapped {
            [only] => vec![(*only, None)],
            _ => (0..mapped.len())
                .flat_map(|a| (a + 1..mapped.len()).map(move |b| (a, b)))
                .map(|(a, b)| (mapped[a], Some(mapped[b])))
                .collect(),
        };
        let maps = pairs.into_iter().map(|(a, b)| {
            let edges = axes[a].edges();
            let others = b.map_or_else(|| vec![0.0, 1.0], |b| axes[b].edges());
            let n = others.len() - 1;
            let bins = positions
                .iter()
                .map(|position| bin(&edges, position[a]) * n + b.map_or(0, |b| bin(&others, position[b])));
            let flat = binned(bins, &variance, (edges.len() - 1) * n);
            SpreadMap { inputs: (a, b), spread: flat.chunks(n).map(<[_]>::to_vec).collect() }
        });
        let maps = maps.collect();
        let overall = (variance.iter().sum::<f64>() / variance.len() as f64).sqrt();
        let left_out = 1.0 - kept.len() as f64 / rows.len().max(1) as f64;
        Ok(Some(Unsure { overall, left_out, profiles, maps }))
    }
}

/// The root of the mean variance of each bin; none of one without points.
fn binned(bins: impl Iterator<Item = usize>, variance: &[f64], n: usize) -> Vec<Option<f64>> {
    let (mut sums, mut counts) = (vec![0.0; n], vec![0_usize; n]);
    for (bin, v) in bins.zip(variance) {
        sums[bin] += v;
        counts[bin] += 1;
    }
    sums.iter().zip(&counts).map(|(sum, count)| (*count > 0).then(|| (sum / *count as f64).sqrt())).collect()
}

/// Indices of every shown output from two samples of n points each, one behind the other.
fn importance(
    asked: &Asked<'_>,
    samples: &Array2<f64>,
    axes: &[Axis],
    varying: &[usize],
    n: usize,
) -> Result<Vec<Option<Vec<Importance>>>, CampaignError> {
    let at_a = asked.members(&samples.slice(s![..n, ..]).to_owned())?;
    let at_b = asked.members(&samples.slice(s![n.., ..]).to_owned())?;
    let mut mixed = Vec::new();
    for &i in varying {
        let mut x = samples.slice(s![..n, ..]).to_owned();
        let columns = s![.., axes[i].columns.clone()];
        x.slice_mut(columns).assign(&samples.slice(s![n.., axes[i].columns.clone()]));
        mixed.push(asked.members(&x)?);
    }
    let n_members = at_a.len_of(Along(0));
    let found = (0..asked.shown.len()).map(|k| {
        // Of one member, or of the mean over all.
        let values = |of: &Array3<f64>, member: Option<usize>| -> Vec<f64> {
            match member {
                Some(member) => of.slice(s![member, .., k]).to_vec(),
                None => of.slice(s![.., .., k]).mean_axis(Along(0)).map_or_else(Vec::new, |mean| mean.to_vec()),
            }
        };
        let indices = |member| {
            let of: Vec<Vec<f64>> = mixed.iter().map(|x| values(x, member)).collect();
            sobol_indices(&values(&at_a, member), &values(&at_b, member), &of).ok()
        };
        let whole = indices(None)?;
        let each: Vec<_> = (0..n_members).filter_map(|member| indices(Some(member))).collect();
        let nothing = Ranged { value: 0.0, low: 0.0, high: 0.0 };
        let mut all = vec![Importance { first: nothing, total: nothing }; axes.len()];
        for (place, &i) in varying.iter().enumerate() {
            let ranged = |value: f64, of: &dyn Fn(&dal_eval::SobolIndices) -> f64| {
                let members = each.iter().map(of);
                let low = members.clone().fold(value, f64::min);
                Ranged { value, low, high: members.fold(value, f64::max) }
            };
            all[i] = Importance {
                first: ranged(whole.first[place], &|one| one.first[place]),
                total: ranged(whole.total[place], &|one| one.total[place]),
            };
        }
        Some(all)
    });
    Ok(found.collect())
}
