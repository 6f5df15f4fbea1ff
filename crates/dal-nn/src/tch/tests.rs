//! The engine's parts in the conformance suite, and what only a batch can get wrong.

use std::ops::Range;

use super::batch;
use super::device::TchOptions;
use super::trainer::{TchTrainError, TchTrainer, member};
use crate::training::{MemberState, MemberTrainer, TrainError, TrainJob, TrainLog};

/// One member as a batch of its own.
struct Alone(TchTrainer);

/// One member in the middle of a batch of three, the others with data, weights and keys of their own.
struct Beside(TchTrainer);

/// The engine's entries in the conformance suite.
pub(crate) fn conformance_engines() -> Vec<(String, Box<dyn MemberTrainer<f32>>)> {
    let trainer = TchTrainer::new(TchOptions::default()).unwrap();
    vec![
        ("tch".into(), Box::new(Alone(trainer.clone()))),
        ("tch by tensors".into(), Box::new(Alone(trainer.clone().by_tensors()))),
        ("tch beside others".into(), Box::new(Beside(trainer))),
    ]
}

fn own(result: Result<TrainLog, TchTrainError>, log: &mut TrainLog) -> Result<(), TrainError> {
    match result {
        Ok(own) => log.losses.extend(own.losses),
        Err(TchTrainError::Train(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    }
    Ok(())
}

impl MemberTrainer<f32> for Alone {
    fn train(
        &self,
        job: &TrainJob<'_, f32>,
        state: &mut MemberState<f32>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let mut states = [state.clone()];
        let mut results = self.0.train_together(&[*job], &mut states, epochs);
        [*state] = states;
        own(results.remove(0), log)
    }

    fn gradient(&self, job: &TrainJob<'_, f32>, state: &MemberState<f32>, epoch: usize, gradient: &mut [f32]) -> f64 {
        let states = [state.clone()];
        batch::gradient(self.0.spec(job), &[member(job)], &states, epoch, &mut [gradient]).unwrap()[0]
    }
}

impl Beside {
    /// Calls `on` with a batch whose second member is the given one.
    fn with<R>(
        job: &TrainJob<'_, f32>,
        state: &MemberState<f32>,
        on: impl FnOnce(&[TrainJob<'_, f32>], &mut [MemberState<f32>]) -> R,
    ) -> R {
        let (x, y): (Vec<f32>, Vec<f32>) =
            (job.x.iter().map(|v| 0.5 * v).collect(), job.y.iter().map(|v| 1.0 - v).collect());
        let mut other = TrainJob { x: &x, y: &y, ..*job };
        if let Some(dropout) = &mut other.dropout {
            dropout.key = [99, 98];
        }
        if let Some(head) = &mut other.loss_head {
            head.key = [97, 96];
        }
        let mut moved = state.clone();
        moved.params.iter_mut().for_each(|v| *v *= 1.25);
        moved.learning_rate *= 3.0;
        on(&[other, *job, other], &mut [moved.clone(), state.clone(), moved])
    }
}

impl MemberTrainer<f32> for Beside {
    fn train(
        &self,
        job: &TrainJob<'_, f32>,
        state: &mut MemberState<f32>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let (result, after) = Self::with(job, state, |jobs, states| {
            let result = self.0.train_together(jobs, states, epochs).remove(1);
            (result, states[1].clone())
        });
        *state = after;
        own(result, log)
    }

    fn gradient(&self, job: &TrainJob<'_, f32>, state: &MemberState<f32>, epoch: usize, gradient: &mut [f32]) -> f64 {
        Self::with(job, state, |jobs, states| {
            let members: Vec<_> = jobs.iter().map(member).collect();
            let (mut first, mut last) = (vec![0.0; gradient.len()], vec![0.0; gradient.len()]);
            let into = &mut [&mut first[..], gradient, &mut last[..]];
            batch::gradient(self.0.spec(job), &members, states, epoch, into).unwrap()[1]
        })
    }
}
