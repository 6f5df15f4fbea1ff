//! Trains many members, of one job or of several with equal shapes, as one batch.

use std::ops::Range;

use tch::{Kind, TchError, Tensor};

use super::adam::Optimiser;
use super::blocks::Packing;
use super::device::{Done, Memory, download};
use super::pass::{Pass, Shape};
use crate::params::Layout;
use crate::training::{DropoutTraining, LossHeadTraining, MemberState, TrainError, TrainLog};
use dal_core::Stop;
use dal_core::model::{BatchNormStatistics, NetworkSpec, TrainingSpec};

type Result<T> = std::result::Result<T, TchError>;

/// What all members of a batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchSpec<'a> {
    pub network: &'a NetworkSpec,
    pub layout: &'a Layout,
    pub training: &'a TrainingSpec,
    pub n: usize,
    pub memory: Memory,
    pub bf16: bool,
    /// Takes optimiser steps by tensor operations even where a fused one exists.
    pub tensors_only: bool,
    /// Looked at before each epoch, if given.
    pub stop: Option<&'a Stop>,
}

/// What each member has of its own. Dropout and loss heads are those of all members or of none, and differ in keys alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchMember<'a> {
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub dropout: Option<DropoutTraining>,
    pub loss_head: Option<LossHeadTraining>,
}

/// A batch on its device.
struct Batch<'a> {
    packing: Packing,
    params: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    pass: Pass<'a>,
}

/// `(columns, points)` of every member from its rows.
fn columns(members: &[&[f32]], n: usize, n_columns: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(members.len() * n * n_columns);
    for rows in members {
        for column in 0..n_columns {
            values.extend(rows.iter().skip(column).step_by(n_columns));
        }
    }
    values
}

impl<'a> Batch<'a> {
    fn new(spec: BatchSpec<'a>, members: &[BatchMember<'_>], states: &[MemberState<f32>], end: usize) -> Result<Self> {
        let m = members.len();
        let packing = Packing::new(spec.layout, m);
        let (memory, n) = (spec.memory, spec.n);
        let data = |of: &dyn Fn(&BatchMember<'_>) -> Vec<f32>, n_columns: usize| -> Result<Tensor> {
            let rows: Vec<_> = members.iter().map(of).collect();
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            memory.upload(&columns(&rows, n, n_columns), &[m as i64, n_columns as i64, n as i64])
        };
        let x = data(&|member| member.x.to_vec(), spec.network.n_inputs())?;
        let y = data(&|member| member.y.to_vec(), spec.network.n_outputs())?;
        let dropout: Vec<_> = members.iter().filter_map(|member| member.dropout).collect();
        let loss_heads: Vec<_> = members.iter().filter_map(|member| member.loss_head).collect();
        let shape = Shape { network: spec.network, layout: spec.layout, n, n_members: m, memory, bf16: spec.bf16 };
        let pass = Pass::new(shape, x, y, Some(&dropout), Some(&loss_heads), end)?;
        let flat = |packed: Vec<f32>| memory.upload(&packed, &[packed.len() as i64]);
        Ok(Self {
            params: memory.upload(&packing.pack(|m| &states[m].params), &[packing.len() as i64])?,
            running_mean: flat(packing.pack_statistics(spec.layout, |m| &states[m].running_mean))?,
            running_var: flat(packing.pack_statistics(spec.layout, |m| &states[m].running_var))?,
            packing,
            pass,
        })
    }
}

/// Runs the epochs of `epochs` for all members, as [`MemberTrainer::train`](crate::MemberTrainer::train) does for one.
///
/// The states must have taken equally many steps. Nothing is read back before the last epoch.
///
/// # Errors
/// The outer one is the device's; the inner ones are the members' own: the first epoch whose loss was not finite, or the
/// last epoch where a parameter or statistic is not.
pub(super) fn train(
    spec: BatchSpec<'_>,
    members: &[BatchMember<'_>],
    states: &mut [MemberState<f32>],
    epochs: Range<usize>,
) -> Result<Vec<(TrainLog, std::result::Result<(), TrainError>)>> {
    let m = members.len();
    let mut batch = Batch::new(spec, members, states, epochs.end)?;
    let mut optimiser = Optimiser::new(spec.memory, &batch.packing, spec.training, states)?;
    if spec.tensors_only {
        optimiser.use_tensors()?;
    }
    let views = batch.packing.views(spec.network, spec.layout, &batch.params)?;
    let mut gradient = batch.params.f_zeros_like()?;
    let mut gradient_views = batch.packing.views(spec.network, spec.layout, &gradient)?;
    let losses = Tensor::f_zeros([epochs.len() as i64, m as i64], (Kind::Double, spec.memory.0))?;
    let zero_biases = spec.layout.n_statistics() > 0;
    for (e, epoch) in epochs.clone().enumerate() {
        if spec.stop.is_some_and(Stop::is_now) {
            let stopped = || (TrainLog::default(), Err(TrainError::Stopped { epoch }));
            return Ok(members.iter().map(|_| stopped()).collect());
        }
        let loss = batch.pass.forward(&views, epoch)?;
        losses.f_select(0, e as i64)?.f_copy_(&loss)?;
        if let Some(bn) = spec.network.batch_norm() {
            let (mean, var) = (&mut batch.running_mean, &mut batch.running_var);
            batch.pass.move_statistics(&views, mean, var, bn.momentum)?;
        }
        if zero_biases {
            // A step by tensors leaves its own numbers where the gradient was.
            gradient_views.norm_biases.f_zero_().done()?;
        }
        batch.pass.backward(&views, &mut gradient_views, epoch)?;
        optimiser.step(&mut batch.params, &mut gradient, &loss)?;
    }
    let recomputed = |bn: &crate::BatchNormSpec| bn.statistics == BatchNormStatistics::Recomputed;
    if epochs.end == spec.training.epochs && spec.network.batch_norm().is_some_and(recomputed) {
        batch.pass.forward(&views, epochs.end).done()?;
        batch.pass.move_statistics(&views, &mut batch.running_mean, &mut batch.running_var, 1.0)?;
    }
    let params = download::<f32>(&batch.params)?;
    let (mean, var) = (download::<f32>(&batch.running_mean)?, download::<f32>(&batch.running_var)?);
    let losses = download::<f64>(&losses)?;
    optimiser.store(states)?;
    let mut results = Vec::with_capacity(m);
    for (member, state) in states.iter_mut().enumerate() {
        batch.packing.unpack(&params, member, &mut state.params);
        batch.packing.unpack_statistics(spec.layout, &mean, member, &mut state.running_mean);
        batch.packing.unpack_statistics(spec.layout, &var, member, &mut state.running_var);
        let mut log = TrainLog { losses: losses.iter().skip(member).step_by(m).copied().collect() };
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let result = if let Some(e) = log.losses.iter().position(|loss| !loss.is_finite()) {
            log.losses.truncate(e + 1);
            Err(TrainError::Diverged { member: 0, epoch: epochs.start + e, loss: log.losses[e] })
        } else if finite(&state.params) && finite(&state.running_mean) && finite(&state.running_var) {
            Ok(())
        } else {
            let loss = log.losses.last().copied().unwrap_or(f64::NAN);
            Err(TrainError::Diverged { member: 0, epoch: epochs.end.saturating_sub(1), loss })
        };
        results.push((log, result));
    }
    Ok(results)
}

/// The loss of every member at its state and the gradient of epoch `epoch`, as
/// [`MemberTrainer::gradient`](crate::MemberTrainer::gradient) does for one.
#[cfg(test)]
pub(super) fn gradient(
    spec: BatchSpec<'_>,
    members: &[BatchMember<'_>],
    states: &[MemberState<f32>],
    epoch: usize,
    gradients: &mut [&mut [f32]],
) -> Result<Vec<f64>> {
    let mut batch = Batch::new(spec, members, states, epoch + 1)?;
    let views = batch.packing.views(spec.network, spec.layout, &batch.params)?;
    let gradient = batch.params.f_zeros_like()?;
    let mut gradient_views = batch.packing.views(spec.network, spec.layout, &gradient)?;
    let losses = batch.pass.forward(&views, epoch)?;
    batch.pass.backward(&views, &mut gradient_views, epoch)?;
    let packed = download::<f32>(&gradient)?;
    for (m, to) in gradients.iter_mut().enumerate() {
        batch.packing.unpack(&packed, m, to);
    }
    download(&losses)
}
