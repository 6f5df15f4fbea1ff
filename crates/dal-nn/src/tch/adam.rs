//! Adam and the plateau schedule for many members at once, without waiting for the device.
//!
//! On the processor a fused kernel takes the step. Elsewhere operators do, each of which reads and writes its operands
//! once in memory, so that what counts is how few there are (docs/gpu.md has the counts). With rows for members, rates
//! are a column. In place of the second moment `v` its root `S = √(v / (1 − β2))` is kept:
//!
//! - `S` becomes `hypot(√β2 S, g)`, and `m` becomes `m + (1 − β1) (g − m)`;
//! - `θ` becomes `θ + m / (A S + B)` with `A = −root_scale √(1 − β2) / step` and `B = −eps / step`.
//!
//! They are `v ← β2 v + (1 − β2) g²`, `m ← β1 m + (1 − β1) g` and `θ ← θ − step m / (root_scale √v + eps)` rewritten.
//! The root of a number that was squared and rounded is that number again, so that a state that is written back and
//! read goes on as if it had stayed.

use tch::{Kind, TchError, Tensor};

use super::blocks::Packing;
use super::device::{Done, Memory, download, host_slice};
use crate::real::Real;
use crate::training::{AdamScalars, MemberState, Plateau};
use dal_core::model::{PlateauSpec, TrainingSpec};
use dal_kernels::{Adam as AdamKernel, In, Kernels, Out};

type Result<T> = std::result::Result<T, TchError>;

/// The optimiser's side of a batch: moments, rates and the schedule's memory.
pub(super) struct Optimiser {
    training: TrainingSpec,
    packing: Packing,
    moments: Moments,
    /// Rate of the next epoch, f64 `(members,)`.
    rate: Tensor,
    /// Best loss, f64, and epochs since, i64.
    best: Tensor,
    stalled: Tensor,
    steps: u64,
}

/// First and second moments of all parameters.
enum Moments {
    /// As they are, in the memory of the processor.
    Fused { kernels: &'static Kernels, first: Tensor, second: Tensor },
    /// `m` and `S` of the module's head, `(members, row)`.
    ByTensors { first: Tensor, root: Tensor },
}

impl Optimiser {
    /// Starts from `states`, which have taken equally many steps. Elsewhere than on the processor members are rows.
    pub fn new(
        memory: Memory,
        packing: &Packing,
        training: &TrainingSpec,
        states: &[MemberState<f32>],
        by_tensors: bool,
    ) -> Result<Self> {
        let m = states.len() as i64;
        let (flat, rows) = ([packing.len() as i64], [m, -1]);
        let first = memory.upload(&packing.pack(|m| &states[m].first_moment), &flat)?;
        let mut second = packing.pack(|m| &states[m].second_moment);
        let moments = if by_tensors {
            let share = 1.0 - training.adam.beta2;
            second.iter_mut().for_each(|v| *v = (f64::from(*v) / share).sqrt() as f32);
            let root = memory.upload(&second, &flat)?.f_view(rows)?;
            Moments::ByTensors { first: first.f_view(rows)?, root }
        } else {
            Moments::Fused { kernels: dal_kernels::available()[0], first, second: memory.upload(&second, &flat)? }
        };
        let column = |of: &dyn Fn(&MemberState<f32>) -> f64| -> Result<Tensor> {
            memory.upload(&states.iter().map(of).collect::<Vec<_>>(), &[m])
        };
        let stalled: Vec<_> = states.iter().map(|state| state.plateau.stalled as i64).collect();
        Ok(Self {
            moments,
            rate: column(&|state| state.learning_rate)?,
            best: column(&|state| state.plateau.best)?,
            stalled: memory.upload(&stalled, &[m])?,
            steps: states.first().map_or(0, |state| state.steps),
            training: training.clone(),
            packing: packing.clone(),
        })
    }

    /// One Adam step of all members along `gradient`, then the schedule's view of `loss`, f64 `(members,)`.
    pub fn step(&mut self, params: &mut Tensor, gradient: &mut Tensor, loss: &Tensor) -> Result<()> {
        self.steps += 1;
        match self.moments {
            Moments::Fused { .. } => self.step_fused(params, gradient)?,
            Moments::ByTensors { .. } => self.step_by_tensors(params, gradient)?,
        }
        if let Some(spec) = self.training.plateau {
            self.see(&spec, loss)?;
        }
        Ok(())
    }

    fn step_fused(&mut self, params: &mut Tensor, gradient: &mut Tensor) -> Result<()> {
        let rates = download::<f64>(&self.rate)?;
        let Self { moments, training, packing, steps, .. } = self;
        let Moments::Fused { kernels, first, second } = moments else { return Ok(()) };
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

    /// The module's head says how.
    fn step_by_tensors(&mut self, params: &mut Tensor, gradient: &mut Tensor) -> Result<()> {
        let Moments::ByTensors { first, root } = &mut self.moments else { return Ok(()) };
        // All members have taken equally many steps: only the rate differs.
        let s = AdamScalars::<f64>::new(&self.training, 1.0, self.steps);
        let (mut params, mut gradient) = (params.f_view_as(first)?, gradient.f_view_as(first)?);
        if s.weight_decay != 0.0 {
            let decay = Tensor::f_full([1, 1], s.weight_decay, (Kind::Float, params.device()))?;
            gradient.f_addcmul_(&params, &decay).done()?;
        }
        root.f_mul_scalar_(s.beta2.sqrt())?.f_hypot_(&gradient).done()?;
        first.f_lerp_(&gradient, s.one_minus_beta1).done()?;
        let per_rate = self.rate.f_reciprocal()?.f_mul_scalar_(-1.0 / s.step_size)?.f_view((-1, 1))?;
        let column = |scale: f64| per_rate.f_mul_scalar(scale)?.f_to_kind(Kind::Float);
        let slope = column(s.root_scale * s.one_minus_beta2.sqrt())?;
        column(s.eps)?.f_addcmul_out(&gradient, &slope, root).done()?;
        params.f_addcdiv_(first, &gradient).done()
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
        let (first, second) = match &self.moments {
            Moments::Fused { first, second, .. } => (download::<f32>(first)?, download::<f32>(second)?),
            Moments::ByTensors { first, root } => {
                let (first, mut second) = (download::<f32>(first)?, download::<f32>(root)?);
                let share = 1.0 - self.training.adam.beta2;
                second.iter_mut().for_each(|s| *s = (f64::from(*s) * f64::from(*s) * share) as f32);
                (first, second)
            }
        };
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

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::super::blocks::Order;
    use super::*;
    use crate::params::Layout;
    use dal_core::SeedPath;
    use dal_core::model::{AdamSpec, Head, NetworkSpec};

    /// Both ways beside the formula in f64, also where a moment does not last at all. The state is written back and
    /// read again half-way.
    #[test]
    fn both_ways_take_the_steps_of_the_formula() {
        let network = NetworkSpec::new(2, 1, vec![3], None, Head::Linear).unwrap();
        let layout = Layout::new(&network, None);
        let memory = Memory(tch::Device::Cpu);
        for (beta1, beta2, weight_decay) in [(0.9, 0.999, 0.0), (0.9, 0.5, 1e-2), (0.0, 0.9, 1e-1), (0.0, 0.0, 1e-2)] {
            let adam = AdamSpec { beta1, beta2, ..AdamSpec::DEFAULT };
            let training = TrainingSpec { adam, weight_decay, plateau: None, ..TrainingSpec::default() };
            let mut rng = SeedPath::root(3).rng();
            let n = layout.n_parameters();
            let mut vector = || (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
            let gradients: Vec<[Vec<f32>; 2]> = (0..60).map(|_| [vector(), vector()]).collect();
            let start: Vec<_> = [1e-3, 1e-2]
                .iter()
                .map(|&rate| {
                    let mut state = MemberState::new(&layout, vector(), &training);
                    state.learning_rate = rate;
                    state
                })
                .collect();

            let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let mut exact: Vec<_> =
                start.iter().map(|state| [wide(&state.params), vec![0.0; n], vec![0.0; n]]).collect();
            for (step, gradients) in gradients.iter().enumerate() {
                for ((state, gradient), start) in exact.iter_mut().zip(gradients).zip(&start) {
                    let s = AdamScalars::<f64>::new(&training, start.learning_rate, step as u64 + 1);
                    let [params, first, second] = state;
                    for (i, &g) in gradient.iter().enumerate() {
                        let g = f64::from(g) + s.weight_decay * params[i];
                        first[i] = s.beta1 * first[i] + s.one_minus_beta1 * g;
                        second[i] = s.beta2 * second[i] + s.one_minus_beta2 * g * g;
                        params[i] -= s.step_size * first[i] / (second[i].sqrt() * s.root_scale + s.eps);
                    }
                }
            }

            for by_tensors in [false, true] {
                let order = if by_tensors { Order::ByMember } else { Order::ByTensor };
                let packing = Packing::new(&layout, 2, order);
                let mut states = start.clone();
                for half in gradients.chunks(30) {
                    let mut optimiser = Optimiser::new(memory, &packing, &training, &states, by_tensors).unwrap();
                    let flat = [packing.len() as i64];
                    let mut params = memory.upload(&packing.pack(|m| &states[m].params), &flat).unwrap();
                    for pair in half {
                        let packed = packing.pack(|m| &pair[m]);
                        let mut gradient = memory.upload(&packed, &flat).unwrap();
                        let loss = Tensor::from_slice(&[1.0f64, 1.0]);
                        optimiser.step(&mut params, &mut gradient, &loss).unwrap();
                    }
                    optimiser.store(&mut states).unwrap();
                    let params = download::<f32>(&params).unwrap();
                    for (m, state) in states.iter_mut().enumerate() {
                        packing.unpack(&params, m, &mut state.params);
                    }
                }
                for (state, [params, first, second]) in states.iter().zip(&exact) {
                    assert_eq!(state.steps, 60);
                    for (what, found, exact) in [
                        ("parameters", &state.params, params),
                        ("first moments", &state.first_moment, first),
                        ("second moments", &state.second_moment, second),
                    ] {
                        for (&found, &exact) in found.iter().zip(exact) {
                            let gap = (f64::from(found) - exact).abs();
                            assert!(
                                gap <= 1e-5 * (1e-2 + exact.abs()),
                                "{what}: {found} beside {exact}, {beta1}, {beta2}"
                            );
                        }
                    }
                }
            }
        }
    }
}
