//! One epoch of one member, on the benchmark's networks, per instruction set.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dal_nn::{
    BatchNormSpec, FastTrainer, Head, Layout, MemberState, MemberTrainer, NetworkSpec, PlainTrainer, TrainJob,
    TrainLog, TrainingSpec,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Epochs within one measured call, so that making the buffers weighs little.
const EPOCHS: usize = 20;

fn epochs(c: &mut Criterion) {
    for (name, inputs, depth, width) in [("sine", 1, 9, 20), ("hydro", 6, 6, 50), ("foil", 5, 4, 200)] {
        let mut group = c.benchmark_group(format!("{EPOCHS} epochs, {name}"));
        let network = NetworkSpec::new(inputs, 1, vec![width; depth], Some(BatchNormSpec::default()), Head::Linear)
            .expect("the benchmark's networks are valid");
        let layout = Layout::new(&network, None);
        let training = TrainingSpec { epochs: usize::MAX, ..TrainingSpec::default() };
        for n in [80, 480, 2080] {
            let mut stream = ChaCha8Rng::seed_from_u64(1);
            let x: Vec<f32> = (0..n * inputs).map(|_| stream.random_range(-1.0f32..1.0)).collect();
            let y: Vec<f32> = x.chunks_exact(inputs).map(|row| (3.0 * row.iter().sum::<f32>()).sin()).collect();
            let state = MemberState::new(&layout, layout.initial::<f32>(&mut stream), &training);
            let (network, layout, training) = (&network, &layout, &training);
            let job =
                TrainJob { network, layout, training, x: &x, y: &y, n, dropout: None, loss_head: None, stop: None };
            let mut measure = |path: &str, trainer: &dyn MemberTrainer<f32>| {
                group.bench_function(BenchmarkId::new(path, n), |b| {
                    b.iter(|| trainer.train(&job, &mut state.clone(), 0..EPOCHS, &mut TrainLog::default()));
                });
            };
            for path in FastTrainer::paths() {
                if let Some(trainer) = FastTrainer::with_path(path) {
                    measure(path, &trainer);
                }
            }
            measure("gemm", &PlainTrainer::gemm());
        }
        group.finish();
    }
}

criterion_group!(training, epochs);
criterion_main!(training);
