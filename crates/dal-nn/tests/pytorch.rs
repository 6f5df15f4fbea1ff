//! The reference engine against PyTorch in double precision, epoch by epoch (`golden/make.py` made the values).

use dal_nn::{Layout, MemberState, MemberTrainer, NetworkSpec, PlainTrainer, TrainJob, TrainLog, TrainingSpec};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    network: NetworkSpec,
    training: TrainingSpec,
    n: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    before: State,
    after: State,
    losses: Vec<f64>,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct State {
    params: Vec<f64>,
    running_mean: Vec<f64>,
    running_var: Vec<f64>,
}

/// Largest difference, relative to the largest value.
fn gap(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().map(|v| v.abs()).fold(1e-300, f64::max);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max)
}

#[test]
fn trainings_follow_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/pytorch.json")).unwrap();
    assert_eq!(golden.cases.len(), 4);
    let mut falls = 0;
    for case in &golden.cases {
        let layout = Layout::new(&case.network, None);
        let mut state = MemberState::new(&layout, case.before.params.clone(), &case.training);
        assert_eq!(state.running_mean, case.before.running_mean);
        assert_eq!(state.running_var, case.before.running_var);
        let job = TrainJob {
            network: &case.network,
            layout: &layout,
            training: &case.training,
            x: &case.x,
            y: &case.y,
            n: case.n,
            dropout: None,
            loss_head: None,
            stop: None,
        };
        let mut log = TrainLog::default();
        for (epoch, &rate) in case.rates.iter().enumerate() {
            assert!((state.learning_rate - rate).abs() < 1e-15, "{}: rate of epoch {epoch}", case.name);
            falls += usize::from(epoch > 0 && rate < case.rates[epoch - 1]);
            PlainTrainer::loops().train(&job, &mut state, epoch..epoch + 1, &mut log).unwrap();
        }
        // Biases that feed BatchNorm drift by rounding alone (their gradient is zero and Adam scales it up), and
        // running means follow them: hence a bound above rounding.
        let name = &case.name;
        assert!(gap(&log.losses, &case.losses) < 1e-6, "{name}: losses {}", gap(&log.losses, &case.losses));
        let gaps = [
            gap(&state.params, &case.after.params),
            gap(&state.running_mean, &case.after.running_mean),
            gap(&state.running_var, &case.after.running_var),
        ];
        assert!(gaps.iter().all(|&g| g < 1e-6), "{name}: parameters, means, variances {gaps:?}");
    }
    assert!(falls >= 2, "the rate fell {falls} times");
}
