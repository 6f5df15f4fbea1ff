//! Many members at once, in parts that fit the device, on one or more threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::batch::{self, BatchMember, BatchSpec};
use super::device::{Memory, TchDevice, TchOptions, TchSetupError, is_out_of_memory};
use super::pass::bytes_per_member;
use crate::training::{MemberState, TrainError, TrainJob, TrainLog};
use dal_core::Clock;

/// Bytes that members trained together may need on the CPU by default. Measured on cores with 2 MiB of second-level
/// cache: less pays for more calls (12 trials of six layers of 50 at 80 points: 1.33 ms per epoch and trial at 4 MB,
/// 1.24 at 8, 1.17 at 16), more for memory (1.19 at 20).
const CPU_MEMORY: usize = 16 << 20;
/// The same on CUDA: much more than it takes to fill a device, much less than one has.
const CUDA_MEMORY: usize = 8 << 30;

/// Why a member was not trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TchTrainError {
    /// The training itself.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Jobs that cannot be one batch.
    #[error("job {job} differs from job 0 in {what}: only members of equal shapes train together")]
    Shapes {
        /// Index of the job.
        job: usize,
        /// What differs.
        what: &'static str,
    },
    /// Jobs and states differ in number.
    #[error("{jobs} jobs, but {states} states")]
    Lengths {
        /// Jobs.
        jobs: usize,
        /// States.
        states: usize,
    },
    /// Not even one member fits.
    #[error("the device has too little memory for one member: {message}")]
    OutOfMemory {
        /// What libtorch said.
        message: String,
    },
    /// The device failed.
    #[error("the device failed: {message}")]
    Device {
        /// What libtorch said.
        message: String,
    },
}

impl From<tch::TchError> for TchTrainError {
    fn from(error: tch::TchError) -> Self {
        // libtorch appends a backtrace of its own code.
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().to_owned();
        if is_out_of_memory(&error) { Self::OutOfMemory { message } } else { Self::Device { message } }
    }
}

/// Trains members of equal shapes together: of one ensemble, or of many.
///
/// One batched matrix product per layer serves all of them. Beside whom a member trains may change its rounding,
/// nothing else.
#[derive(Debug, Clone)]
pub struct TchTrainer {
    options: TchOptions,
    /// Trains as on other devices even on the processor.
    by_tensors: bool,
}

/// What is left of a member's training: its log or failure, and its share of the time.
pub(super) type Left = (Result<TrainLog, TchTrainError>, Option<f64>);

impl TchTrainer {
    /// A trainer on the device of `options`.
    ///
    /// # Errors
    /// [`TchSetupError`] where the device is not there or lacks an option.
    pub fn new(options: TchOptions) -> Result<Self, TchSetupError> {
        options.open()?;
        let by_tensors = options.device != TchDevice::Cpu;
        Ok(Self { options, by_tensors })
    }

    /// How it runs.
    pub fn options(&self) -> &TchOptions {
        &self.options
    }

    /// Bytes that one member of a job needs while it trains, estimated: by it members are dealt out to batches.
    pub fn bytes_per_member(&self, job: &TrainJob<'_, f32>) -> usize {
        bytes_per_member(job.network, job.layout, job.n)
    }

    /// Trains as on other devices even on the processor.
    #[cfg(test)]
    pub(super) fn by_tensors(mut self) -> Self {
        self.by_tensors = true;
        self
    }

    /// Runs the epochs of `epochs` for every job, from its state, as
    /// [`MemberTrainer::train`](crate::MemberTrainer::train) does for one. One answer per job, in order; a job that
    /// failed leaves the others alone.
    ///
    /// Jobs are equal in network, layout, training, number of points, and in dropout and loss head up to their keys;
    /// states have taken equally many steps. They train in parts that fit the device; where it runs out of memory
    /// nevertheless the parts are halved.
    pub fn train_together(
        &self,
        jobs: &[TrainJob<'_, f32>],
        states: &mut [MemberState<f32>],
        epochs: Range<usize>,
    ) -> Vec<Result<TrainLog, TchTrainError>> {
        self.run(jobs, states, epochs, None).into_iter().map(|(result, _)| result).collect()
    }

    /// The same, with each member's share of the seconds by `clock`.
    pub(super) fn run(
        &self,
        jobs: &[TrainJob<'_, f32>],
        states: &mut [MemberState<f32>],
        epochs: Range<usize>,
        clock: Option<&Clock>,
    ) -> Vec<Left> {
        if let Err(error) = check(jobs, states) {
            return jobs.iter().map(|_| (Err(error.clone()), None)).collect();
        }
        let Some(first) = jobs.first() else { return Vec::new() };
        let at_once = self.at_once(first, jobs.len());
        let limit = AtomicUsize::new(at_once);
        let mut results: Vec<Left> = jobs.iter().map(|_| (Ok(TrainLog::default()), None)).collect();
        let parts: Vec<_> =
            jobs.chunks(at_once).zip(states.chunks_mut(at_once)).zip(results.chunks_mut(at_once)).collect();
        let n_threads = self.n_threads().min(parts.len());
        let queue = Mutex::new(parts.into_iter());
        let worker = || {
            // One thread of libtorch's for each of ours: its setting is kept per thread and read by new ones.
            tch::set_num_threads(1);
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(((jobs, states), results)) = next else { break };
                let trained = in_parts(jobs.len(), &limit, |range| {
                    let start = clock.map(|clock| clock());
                    let outcome = self.train_part(&jobs[range.clone()], &mut states[range.clone()], epochs.clone())?;
                    let seconds = clock.zip(start).map(|(clock, start)| (clock() - start) / range.len() as f64);
                    Ok(outcome.into_iter().map(|result| (result, seconds)).collect())
                });
                for (to, result) in results.iter_mut().zip(trained) {
                    *to = match result {
                        Ok((Ok(log), seconds)) => (Ok(log), seconds),
                        Ok((Err(error), seconds)) => (Err(error.into()), seconds),
                        Err(error) => (Err(error), None),
                    };
                }
            }
        };
        if self.options.device == TchDevice::Cpu && n_threads > 1 {
            std::thread::scope(|scope| {
                // This thread works too, so that a machine that is short of threads trains with those it has.
                for _ in 1..n_threads {
                    if std::thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                        break;
                    }
                }
                worker();
            });
        } else if self.options.device == TchDevice::Cpu {
            worker();
        } else {
            // The device's own threads do the work; the processor's are left as they are.
            worker();
        }
        results
    }

    fn n_threads(&self) -> usize {
        match self.options.device {
            TchDevice::Cpu => self.options.threads.max(1),
            TchDevice::Cuda(_) => 1,
        }
    }

    /// How many members of a job's shapes train together, of `total`: as many as the memory allows, as evenly as
    /// possible, and every thread has some.
    fn at_once(&self, job: &TrainJob<'_, f32>, total: usize) -> usize {
        let default = match self.options.device {
            TchDevice::Cpu => CPU_MEMORY,
            TchDevice::Cuda(_) => CUDA_MEMORY,
        };
        let memory = self.options.memory.unwrap_or(default);
        let fitting = (memory / bytes_per_member(job.network, job.layout, job.n).max(1)).max(1);
        let n_parts = total.div_ceil(fitting).next_multiple_of(self.n_threads()).min(total.max(1));
        total.div_ceil(n_parts).max(1)
    }

    pub(super) fn spec<'a>(&self, job: &TrainJob<'a, f32>) -> BatchSpec<'a> {
        BatchSpec {
            network: job.network,
            layout: job.layout,
            training: job.training,
            n: job.n,
            memory: Memory(self.options.device.device()),
            bf16: self.options.bf16,
            by_tensors: self.by_tensors,
            stop: job.stop,
        }
    }

    fn train_part(
        &self,
        jobs: &[TrainJob<'_, f32>],
        states: &mut [MemberState<f32>],
        epochs: Range<usize>,
    ) -> Result<Vec<Result<TrainLog, TrainError>>, TchTrainError> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let members: Vec<_> = jobs.iter().map(member).collect();
        let trained = batch::train(self.spec(first), &members, states, epochs)?;
        Ok(trained.into_iter().map(|(log, result)| result.map(|()| log)).collect())
    }
}

pub(super) fn member<'a>(job: &TrainJob<'a, f32>) -> BatchMember<'a> {
    BatchMember { x: job.x, y: job.y, dropout: job.dropout, loss_head: job.loss_head }
}

/// Whether jobs can be one batch.
fn check(jobs: &[TrainJob<'_, f32>], states: &[MemberState<f32>]) -> Result<(), TchTrainError> {
    if jobs.len() != states.len() {
        return Err(TchTrainError::Lengths { jobs: jobs.len(), states: states.len() });
    }
    let Some((first, state)) = jobs.first().zip(states.first()) else { return Ok(()) };
    for (index, (job, other)) in jobs.iter().zip(states).enumerate() {
        let differs = |what| Err(TchTrainError::Shapes { job: index, what });
        if job.network != first.network || job.layout != first.layout {
            return differs("its network");
        }
        if job.training != first.training {
            return differs("its training");
        }
        if job.n != first.n {
            return differs("its number of points");
        }
        if job.dropout.map(|dropout| dropout.rate) != first.dropout.map(|dropout| dropout.rate) {
            return differs("its dropout");
        }
        let head = |job: &TrainJob<'_, f32>| job.loss_head.map(|head| crate::LossHeadTraining { key: [0; 2], ..head });
        if head(job) != head(first) {
            return differs("its loss head");
        }
        if other.steps != state.steps {
            return differs("the steps taken");
        }
    }
    Ok(())
}

/// Calls `train` for consecutive ranges of `0..n`, of at most `limit` entries; where one runs out of memory the limit
/// is halved and the rest goes on with it. One answer per entry.
pub(super) fn in_parts<R>(
    n: usize,
    limit: &AtomicUsize,
    mut train: impl FnMut(Range<usize>) -> Result<Vec<R>, TchTrainError>,
) -> Vec<Result<R, TchTrainError>> {
    let mut results = Vec::with_capacity(n);
    while results.len() < n {
        let start = results.len();
        let size = limit.load(Ordering::Relaxed).clamp(1, n - start);
        match train(start..start + size) {
            Ok(part) => results.extend(part.into_iter().map(Ok)),
            Err(TchTrainError::OutOfMemory { .. }) if size > 1 => {
                limit.fetch_min(size / 2, Ordering::Relaxed);
            }
            Err(error) => results.extend((0..size).map(|_| Err(error.clone()))),
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_halves_the_parts_and_goes_on() {
        // A device that holds three entries; entry 5 is lost for another reason.
        let limit = AtomicUsize::new(8);
        let mut sizes = Vec::new();
        let results = in_parts(11, &limit, |range| {
            sizes.push(range.len());
            if range.len() > 3 {
                return Err(TchTrainError::OutOfMemory { message: "CUDA out of memory".into() });
            }
            if range.contains(&5) {
                return Err(TchTrainError::Device { message: "lost".into() });
            }
            Ok(range.collect())
        });
        assert_eq!(sizes, [8, 4, 2, 2, 2, 2, 2, 1]);
        for (i, result) in results.iter().enumerate() {
            match result {
                Ok(entry) => assert_eq!(*entry, i),
                Err(error) => {
                    assert!((4..6).contains(&i) && *error == TchTrainError::Device { message: "lost".into() })
                }
            }
        }
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 2);
        // Not even one fits: an error for each, and an end.
        let none = in_parts(3, &AtomicUsize::new(2), |_| -> Result<Vec<()>, _> {
            Err(TchTrainError::OutOfMemory { message: "full".into() })
        });
        assert_eq!(none, vec![Err(TchTrainError::OutOfMemory { message: "full".into() }); 3]);
    }
}
