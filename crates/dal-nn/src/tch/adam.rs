//! Adam, the plateau schedule and the log of losses for many members at once, without waiting for the device.

use tch::{Kind, TchError, Tensor};

use super::blocks::Packing;
use super::device::{Done, Memory, download, host_slice};
use crate::fast::kernels::{self, Adam as AdamKernel, In, Kernels, Out};
use crate::real::Real;
use crate::training::{AdamScalars, MemberState, Plateau};
use dal_core::model::{PlateauSpec, TrainingSpec};

type Result<T> = std::result::Result<T, TchError>;

/// The optimiser's side of a batch: moments, rates and the schedule's memory.
pub(super) struct Optimiser {
    memory: Memory,
    training: TrainingSpec,
    packing: Packing,
    pub first: Tensor,
    pub second: Tensor,
    /// Rate of the next epoch, f64 `(members,)`.
    rate: Tensor,
    /// Best loss, f64, and epochs since, i64.
    best: Tensor,
    stalled: Tensor,
    steps: u64,
    /// Where tensors live on the processor: the fused step. Else, for every parameter, the member it belongs to.
    kernels: Option<&'static Kernels>,
    owner: Option<Tensor>,
}

impl Optimiser {
    /// Starts from `states`, which have taken equally many steps.
    pub fn new(
        memory: Memory,
        packing: &Packing,
        training: &TrainingSpec,
        states: &[MemberState<f32>],
    ) -> Result<Self> {
        let m = states.len() as i64;
        let flat = [packing.len() as i64];
        let column = |of: &dyn Fn(&MemberState<f32>) -> f64| -> Result<Tensor> {
            memory.upload(&states.iter().map(of).collect::<Vec<_>>(), &[m])
        };
        let stalled: Vec<_> = states.iter().map(|state| state.plateau.stalled as i64).collect();
        let mut optimiser = Self {
            first: memory.upload(&packing.pack(|m| &states[m].first_moment), &flat)?,
            second: memory.upload(&packing.pack(|m| &states[m].second_moment), &flat)?,
            rate: column(&|state| state.learning_rate)?,
            best: column(&|state| state.plateau.best)?,
            stalled: memory.upload(&stalled, &[m])?,
            steps: states.first().map_or(0, |state| state.steps),
            kernels: memory.is_host().then(|| kernels::available()[0]),
            owner: None,
            memory,
            training: training.clone(),
            packing: packing.clone(),
        };
        if optimiser.kernels.is_none() {
            optimiser.use_tensors()?;
        }
        Ok(optimiser)
    }

    /// Takes steps by tensor operations, wherever the tensors live.
    pub fn use_tensors(&mut self) -> Result<()> {
        let mut owner = vec![0i64; self.packing.len()];
        self.packing.each_stretch(|m, range| owner[range].fill(m as i64));
        self.owner = Some(self.memory.upload(&owner, &[self.packing.len() as i64])?);
        self.kernels = None;
        Ok(())
    }

    /// One Adam step of all members along `gradient`, then the schedule's view of `loss`, f64 `(members,)`.
    pub fn step(&mut self, params: &mut Tensor, gradient: &mut Tensor, loss: &Tensor) -> Result<()> {
        self.steps += 1;
        match (self.kernels, &self.owner) {
            (Some(kernels), _) => self.step_on_host(kernels, params, gradient)?,
            (None, Some(_)) => self.step_on_device(params, gradient)?,
            (None, None) => unreachable!("an optimiser without kernels knows who owns what"),
        }
        if let Some(spec) = self.training.plateau {
            self.see(&spec, loss)?;
        }
        Ok(())
    }

    fn step_on_host(&mut self, kernels: &Kernels, params: &mut Tensor, gradient: &mut Tensor) -> Result<()> {
        let rates = download::<f64>(&self.rate)?;
        let Self { first, second, training, packing, steps, .. } = self;
        let (Some(params), Some(first), Some(second), Some(gradient)) =
            (host_slice(params), host_slice(first), host_slice(second), host_slice(gradient))
        else {
            return Err(TchError::Kind("the optimiser's tensors are not on the processor".into()));
        };
        let scalars: Vec<_> = rates.iter().map(|&rate| AdamScalars::<f32>::new(training, rate, *steps)).collect();
        packing.each_stretch(|m, range| {
            let s = &scalars[m];
            kernels.adam(&AdamKernel {
                n: range.len(),
                params: Out::from(&mut params[range.clone()]),
                first: Out::from(&mut first[range.clone()]),
                second: Out::from(&mut second[range.clone()]),
                gradient: In::from(&gradient[range]),
                beta1: s.beta1,
                one_minus_beta1: s.one_minus_beta1,
                beta2: s.beta2,
                one_minus_beta2: s.one_minus_beta2,
                step_size: s.step_size,
                root_scale: s.root_scale,
                eps: s.eps,
                weight_decay: s.weight_decay,
                least: f32::FLUSH,
            });
        });
        Ok(())
    }

    fn step_on_device(&mut self, params: &mut Tensor, gradient: &mut Tensor) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        // All members have taken equally many steps: only the rate differs.
        let s = AdamScalars::<f64>::new(&self.training, 1.0, self.steps);
        if self.training.weight_decay != 0.0 {
            gradient.f_add_(&params.f_mul_scalar(s.weight_decay)?).done()?;
        }
        self.first.f_mul_scalar_(s.beta1)?.f_add_(&gradient.f_mul_scalar(s.one_minus_beta1)?).done()?;
        flush(&mut self.first)?;
        self.second.f_mul_scalar_(s.beta2)?.f_add_(&gradient.f_square_()?.f_mul_scalar_(s.one_minus_beta2)?).done()?;
        self.second.f_threshold_(f64::from(f32::FLUSH), 0.0).done()?;
        let step = self.rate.f_mul_scalar(s.step_size)?.f_to_kind(Kind::Float)?.f_index_select(0, owner)?;
        let under = self.second.f_sqrt()?.f_mul_scalar_(s.root_scale)?.f_add_scalar_(s.eps)?;
        params.f_sub_(&self.first.f_mul(&step)?.f_div_(&under)?).done()?;
        flush(params)
    }

    /// [`Plateau::next_rate`] for every member.
    fn see(&mut self, spec: &PlateauSpec, loss: &Tensor) -> Result<()> {
        let better = loss.f_lt_tensor(&self.best.f_mul_scalar(1.0 - spec.threshold)?)?;
        self.best = loss.f_where_self(&better, &self.best)?;
        let mut stalled = self.stalled.f_add_scalar(1i64)?;
        stalled.f_masked_fill_(&better, 0i64).done()?;
        let fire = stalled.f_gt(spec.patience as i64)?;
        stalled.f_masked_fill_(&fire, 0i64).done()?;
        self.stalled = stalled;
        let lower = self.rate.f_mul_scalar(spec.factor)?;
        let fire = fire.f_logical_and(&self.rate.f_sub(&lower)?.f_gt(1e-8)?)?;
        self.rate = lower.f_where_self(&fire, &self.rate)?;
        Ok(())
    }

    /// Writes moments, rates and the schedule's memory back.
    pub fn store(&self, states: &mut [MemberState<f32>]) -> Result<()> {
        let (first, second) = (download::<f32>(&self.first)?, download::<f32>(&self.second)?);
        let (rate, best) = (download::<f64>(&self.rate)?, download::<f64>(&self.best)?);
        let stalled = download::<i64>(&self.stalled)?;
        for (m, state) in states.iter_mut().enumerate() {
            self.packing.unpack(&first, m, &mut state.first_moment);
            self.packing.unpack(&second, m, &mut state.second_moment);
            state.steps = self.steps;
            state.learning_rate = rate[m];
            state.plateau = Plateau { best: best[m], stalled: stalled[m] as usize };
        }
        Ok(())
    }
}

/// Magnitudes below [`Real::FLUSH`] become zero.
fn flush(tensor: &mut Tensor) -> Result<()> {
    let kept = tensor.f_abs()?.f_ge(f64::from(f32::FLUSH))?;
    tensor.f_mul_(&kept).done()?;
    Ok(())
}
