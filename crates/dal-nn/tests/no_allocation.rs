//! Epochs of the fast engine allocate nothing: sixty take exactly as many allocations as one, whatever is trained.

use dal_nn::{
    BatchNormSpec, ConvHeadSpec, DropoutTraining, FastTrainer, Head, Layout, LossHeadShape, LossHeadTraining,
    MemberState, MemberTrainer, NetworkSpec, TrainJob, TrainLog, TrainingSpec,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Allocations of a training of so many epochs from the first weights.
fn allocations(trainer: FastTrainer, job: &TrainJob<'_, f32>, params: &[f32], epochs: usize) -> u64 {
    let mut state = MemberState::new(job.layout, params.to_vec(), job.training);
    let mut log = TrainLog::default();
    let info = allocation_counter::measure(|| trainer.train(job, &mut state, 0..epochs, &mut log).unwrap());
    assert_eq!(log.losses.len(), epochs);
    info.count_total
}

#[test]
fn epochs_allocate_nothing() {
    let bn = Some(BatchNormSpec::default());
    let shape = LossHeadShape { n_layers: 2, width: 5 };
    let conv = ConvHeadSpec { length: 6, ..ConvHeadSpec::adm() };
    // Narrow and wide layers take different kernels.
    let networks = [
        (NetworkSpec::new(3, 2, vec![20; 4], bn, Head::Linear), false, false),
        (NetworkSpec::new(3, 1, vec![130, 300], bn, Head::Linear), false, false),
        (NetworkSpec::new(3, 2, vec![21; 3], None, Head::Linear), true, false),
        (NetworkSpec::new(3, 2, vec![20; 3], bn, Head::Linear), false, true),
        (NetworkSpec::new(3, 12, vec![9, 9], bn, Head::Convolution(conv)), false, false),
    ];
    let training = TrainingSpec { epochs: 1000, ..TrainingSpec::default() };
    for (network, with_dropout, with_loss_head) in networks {
        let network = network.unwrap();
        let layout = Layout::new(&network, with_loss_head.then_some(shape));
        let mut stream = ChaCha8Rng::seed_from_u64(3);
        let params = layout.initial::<f32>(&mut stream);
        let n = 85;
        let mut draw = |size: usize| -> Vec<f32> { (0..size).map(|_| stream.random_range(-1.0..1.0)).collect() };
        let (x, y) = (draw(n * network.n_inputs()), draw(n * network.n_outputs()));
        let job = TrainJob {
            network: &network,
            layout: &layout,
            training: &training,
            x: &x,
            y: &y,
            n,
            dropout: with_dropout.then_some(DropoutTraining { rate: 0.2, key: [1, 2] }),
            stop: None,
            loss_head: with_loss_head.then_some(LossHeadTraining {
                shape,
                joint_epochs: 30,
                weight: 1.0,
                margin: 1.0,
                key: [3, 4],
            }),
        };
        for path in FastTrainer::paths() {
            let trainer = FastTrainer::with_path(path).unwrap();
            // The first training of a thread may set up what later ones share.
            allocations(trainer, &job, &params, 2);
            let (one, sixty) = (allocations(trainer, &job, &params, 1), allocations(trainer, &job, &params, 60));
            assert!(one > 0, "the counter counts");
            assert_eq!(one, sixty, "{path}: {network:?}");
        }
    }
}
