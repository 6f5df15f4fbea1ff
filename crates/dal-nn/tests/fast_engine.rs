//! The fast engine beside the plain loops, from outside: what a deviation of its kernels would change first.
//!
//! The suite with all shapes, phases and engines is `src/conformance.rs`.

use dal_nn::{
    BatchNormSpec, FastTrainer, Head, Layout, LossHeadShape, LossHeadTraining, MemberState, MemberTrainer, NetworkSpec,
    PlainTrainer, TrainJob, TrainLog, TrainingSpec,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_POINTS: usize = 37;

/// Largest distance of two vectors' numbers, over the norm of the second one.
fn gap(found: &[f32], expected: &[f32]) -> f64 {
    let norm = expected.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max) / norm
}

/// Compares every path of the processor with the plain loops: gradient, and statistics after an epoch.
fn compare(loss_head: Option<LossHeadTraining>, epoch: usize) {
    let network = NetworkSpec::new(3, 2, vec![12, 7], Some(BatchNormSpec::default()), Head::Linear).unwrap();
    let layout = Layout::new(&network, loss_head.map(|head| head.shape));
    let training = TrainingSpec::default();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut uniform = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    let (x, y) = (uniform(3 * N_POINTS), uniform(2 * N_POINTS));
    let params = layout.initial::<f32>(&mut rng);
    let state = MemberState::new(&layout, params, &training);
    let job = TrainJob {
        network: &network,
        layout: &layout,
        training: &training,
        x: &x,
        y: &y,
        n: N_POINTS,
        dropout: None,
        loss_head,
        stop: None,
    };
    let run = |trainer: &dyn MemberTrainer<f32>| {
        let (mut gradient, mut after) = (vec![0.0; layout.n_parameters()], state.clone());
        let loss = trainer.gradient(&job, &state, epoch, &mut gradient);
        trainer.train(&job, &mut after, epoch..epoch + 1, &mut TrainLog::default()).unwrap();
        (loss, gradient, after)
    };
    let (plain_loss, plain_gradient, plain_after) = run(&PlainTrainer::loops());
    for path in FastTrainer::paths() {
        let (loss, gradient, after) = run(&FastTrainer::with_path(path).unwrap());
        assert!((loss / plain_loss - 1.0).abs() < 1e-5, "{path}: loss {loss} beside {plain_loss}");
        for (what, found, expected) in [
            ("gradient", &gradient, &plain_gradient),
            ("running means", &after.running_mean, &plain_after.running_mean),
            ("running variances", &after.running_var, &plain_after.running_var),
        ] {
            let gap = gap(found, expected);
            assert!(gap < 1e-5, "{path}: {what} differ by {gap:e}");
        }
    }
}

#[test]
fn gradients_and_batch_statistics_are_those_of_the_plain_loops() {
    compare(None, 0);
}

#[test]
fn so_are_those_of_the_loss_head_before_and_after_it_is_cut_off() {
    let shape = LossHeadShape { n_layers: 2, width: 5 };
    let head = LossHeadTraining { shape, joint_epochs: 3, weight: 0.5, margin: 1.0, key: [5, 6] };
    for epoch in [0, 5] {
        compare(Some(head), epoch);
    }
}
