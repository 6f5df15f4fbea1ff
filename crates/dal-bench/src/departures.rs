//! In what a sweep departs from the published protocol, networks and training, in words for a reader of its report.

use dal_core::ModelSpec;
use dal_core::model::{DecayReading, OnCollapse, norm, widths};
use dal_oracles::Problem;
use dal_store::ProtocolSpec;

/// The published protocol: initial labels, labels per step, steps, test points.
const PUBLISHED_PROTOCOL: (usize, usize, usize, usize) = (80, 40, 50, 4000);

/// What differs, each as "this instead of that"; nothing for a problem of a user, which has no published form.
///
/// Published are the card's model, and 80 labels with 50 steps of 40, tested on 4 000 points.
pub(crate) fn from_published(problem: &Problem, model: &ModelSpec, protocol: &ProtocolSpec) -> Vec<String> {
    if problem.card().is_none() {
        return Vec::new();
    }
    let published = problem.model();
    let mut all = Vec::new();
    match model.as_mlp() {
        None => all.push(format!("{model} instead of {published}")),
        Some(mlp) => {
            if mlp.hidden != published.hidden {
                let (used, due) = (widths(&mlp.hidden), widths(&published.hidden));
                all.push(format!("hidden layers {used} instead of {due}"));
            }
            let (used, due) = (norm(mlp.batch_norm.as_ref()), norm(published.batch_norm.as_ref()));
            if used != due {
                all.push(format!("{used} instead of {due}"));
            }
        }
    }
    let number = |what: &str, used: f64, due: f64| (used != due).then(|| format!("{what} {used} instead of {due}"));
    if let Some(mlp) = model.as_mlp() {
        let (used, due) = (&mlp.training, &published.training);
        all.extend(number("members", used.n_members as f64, due.n_members as f64));
        all.extend(number("epochs", used.epochs as f64, due.epochs as f64));
        all.extend(number("learning rate", used.learning_rate, due.learning_rate));
        all.extend(number("weight decay", used.weight_decay, due.weight_decay));
        // Where nothing decays a reading is of Adam's epsilon alone, unless a schedule is shared.
        let acts = used.weight_decay != 0.0 || used.decay_reading == DecayReading::CoupledLoss;
        if used.decay_reading != due.decay_reading {
            all.push(format!(
                "{} {} instead of {}",
                if acts { "weight decay" } else { "Adam's epsilon" },
                used.decay_reading.in_words(),
                due.decay_reading.in_words()
            ));
        }
        if used.on_collapse != due.on_collapse {
            all.push(match used.on_collapse {
                OnCollapse::Keep => "members that do not learn are kept".to_owned(),
                OnCollapse::Restart => "members that do not learn are trained anew".to_owned(),
            });
        }
    }
    let (initial, queries, steps, test_points) = PUBLISHED_PROTOCOL;
    all.extend(number("initial labels", protocol.initial as f64, initial as f64));
    all.extend(number("labels per step", protocol.queries as f64, queries as f64));
    all.extend(number("steps", protocol.steps as f64, steps as f64));
    all.extend(number("test points", protocol.test_points as f64, test_points as f64));
    if protocol.label_noise_percent > 0 {
        let noise = protocol.label_noise_percent;
        all.push(format!("labels with noise of {noise} % of each output's standard deviation instead of exact ones"));
    }
    all
}

/// That a sweep says otherwise of a preset's network or rate than the search that found it, which its name alone would
/// hide. Nothing of members and epochs, and nothing of `published`, from which every difference is a departure.
pub(crate) fn from_preset(problem: &Problem, model: &ModelSpec, preset: &str) -> Option<String> {
    let (used, due) = (model.as_mlp()?, problem.preset(preset).filter(|due| *due != problem.model())?);
    let same_network = used.hidden == due.hidden && used.batch_norm == due.batch_norm;
    let (rate, decay) = (used.training.learning_rate, used.training.weight_decay);
    let same = same_network && rate == due.training.learning_rate && decay == due.training.weight_decay;
    (!same).then(|| format!("the preset `{preset}` with changes of this sweep"))
}
