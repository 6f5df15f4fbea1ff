//! In what a sweep departs from the published protocol, networks and training, in words for a reader of its report.

use dal_core::ModelSpec;
use dal_core::model::{norm, widths};
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
    let mut number = |what: &str, used: f64, due: f64| {
        if used != due {
            all.push(format!("{what} {used} instead of {due}"));
        }
    };
    if let Some(mlp) = model.as_mlp() {
        let (used, due) = (&mlp.training, &published.training);
        number("members", used.n_members as f64, due.n_members as f64);
        number("epochs", used.epochs as f64, due.epochs as f64);
        number("learning rate", used.learning_rate, due.learning_rate);
        number("weight decay", used.weight_decay, due.weight_decay);
    }
    let (initial, queries, steps, test_points) = PUBLISHED_PROTOCOL;
    number("initial labels", protocol.initial as f64, initial as f64);
    number("labels per step", protocol.queries as f64, queries as f64);
    number("steps", protocol.steps as f64, steps as f64);
    number("test points", protocol.test_points as f64, test_points as f64);
    all
}
