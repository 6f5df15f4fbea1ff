//! Trains many members, of one job or of several with equal shapes, as one batch.

use std::ops::Range;

use tch::{Kind, TchError, Tensor};

use super::adam::Optimiser;
use super::blocks::{Order, Packing, Views};
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
    /// Operators, optimiser and order as on other devices even on the processor.
    pub by_tensors: bool,
    /// Looked at before each epoch, if given.
    pub stop: Option<&'a Stop>,
}

/// What each member has of its own. Dropout and loss heads are those of all members or of none, and differ in keys
/// alone.
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
    views: Views,
    gradient: Tensor,
    gradient_views: Views,
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
        let packing = Packing::new(spec.layout, m, if spec.by_tensors { Order::ByMember } else { Order::ByTensor });
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
        let BatchSpec { network, layout, bf16, by_tensors, .. } = spec;
        let shape = Shape { network, layout, n, n_members: m, memory, bf16, by_tensors };
        let pass = Pass::new(shape, x, y, Some(&dropout), Some(&loss_heads), end)?;
        let flat = |packed: Vec<f32>| memory.upload(&packed, &[packed.len() as i64]);
        let params = memory.upload(&packing.pack(|m| &states[m].params), &[packing.len() as i64])?;
        let gradient = params.f_zeros_like()?;
        Ok(Self {
            views: packing.views(network, layout, &params)?,
            gradient_views: packing.views(network, layout, &gradient)?,
            params,
            gradient,
            running_mean: flat(packing.pack_statistics(spec.layout, |m| &states[m].running_mean))?,
            running_var: flat(packing.pack_statistics(spec.layout, |m| &states[m].running_var))?,
            packing,
            pass,
        })
    }

    /// The loss of every member in epoch `epoch`.
    fn forward(&mut self, epoch: usize) -> Result<Tensor> {
        self.views.fetch_norms()?;
        self.pass.forward(&self.views, epoch)
    }

    fn backward(&mut self, epoch: usize) -> Result<()> {
        self.pass.backward(&self.views, &mut self.gradient_views, epoch)?;
        self.gradient_views.put_norms()
    }

    fn move_statistics(&mut self, momentum: f64) -> Result<()> {
        self.pass.move_statistics(&self.views, &mut self.running_mean, &mut self.running_var, momentum)
    }
}

/// Runs the epochs of `epochs` for all members, as [`MemberTrainer::train`](crate::MemberTrainer::train) does for one.
///
/// The states must have taken equally many steps. Nothing is read back before the last epoch.
///
/// # Errors
/// The outer one is the device's; the inner ones are the members' own: the first epoch whose loss was not finite, or
/// the last epoch where a parameter or statistic is not.
pub(super) fn train(
    spec: BatchSpec<'_>,
    members: &[BatchMember<'_>],
    states: &mut [MemberState<f32>],
    epochs: Range<usize>,
) -> Result<Vec<(TrainLog, std::result::Result<(), TrainError>)>> {
    let m = members.len();
    let mut batch = Batch::new(spec, members, states, epochs.end)?;
    let mut optimiser = Optimiser::new(spec.memory, &batch.packing, spec.training, states, spec.by_tensors)?;
    let losses = Tensor::f_zeros([epochs.len() as i64, m as i64], (Kind::Double, spec.memory.0))?;
    for (e, epoch) in epochs.clone().enumerate() {
        if spec.stop.is_some_and(Stop::is_now) {
            let stopped = || (TrainLog::default(), Err(TrainError::Stopped { epoch }));
            return Ok(members.iter().map(|_| stopped()).collect());
        }
        let loss = batch.forward(epoch)?;
        losses.f_select(0, e as i64)?.f_copy_(&loss)?;
        if let Some(bn) = spec.network.batch_norm() {
            batch.move_statistics(bn.momentum)?;
        }
        batch.backward(epoch)?;
        optimiser.step(&mut batch.params, &mut batch.gradient, &loss)?;
    }
    let recomputed = |bn: &crate::BatchNormSpec| bn.statistics == BatchNormStatistics::Recomputed;
    if epochs.end == spec.training.epochs && spec.network.batch_norm().is_some_and(recomputed) {
        batch.forward(epochs.end).done()?;
        batch.move_statistics(1.0)?;
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
    let losses = batch.forward(epoch)?;
    batch.backward(epoch)?;
    let packed = download::<f32>(&batch.gradient)?;
    for (m, to) in gradients.iter_mut().enumerate() {
        batch.packing.unpack(&packed, m, to);
    }
    download(&losses)
}
