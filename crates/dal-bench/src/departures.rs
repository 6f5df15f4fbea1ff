//! In what a sweep departs from the published protocol, networks and training, in words for a reader of its report.

use dal_nn::{BatchNormStatistics, NetworkSpec, TrainingSpec};
use dal_oracles::Problem;
use dal_store::ProtocolSpec;

/// The published protocol: initial labels, labels per step, steps, test points.
const PUBLISHED_PROTOCOL: (usize, usize, usize, usize) = (80, 40, 50, 4000);

/// Epochs of the published training.
const PUBLISHED_EPOCHS: usize = 500;

/// What differs, each as "this instead of that"; nothing for a problem of a user, which has no published form.
///
/// Published are the card's network and optimiser, 500 epochs, ten members (five for `adm`) and 80 labels with 50 steps of
/// 40, tested on 4 000 points.
pub(crate) fn from_published(
    problem: &Problem,
    network: &NetworkSpec,
    training: &TrainingSpec,
    protocol: &ProtocolSpec,
) -> Vec<String> {
    if problem.card().is_none() {
        return Vec::new();
    }
    let published = problem.learning();
    let mut all = Vec::new();
    if network.hidden() != published.hidden {
        all.push(format!("hidden layers {} instead of {}", layers(network.hidden()), layers(&published.hidden)));
    }
    match network.batch_norm().map(|norm| norm.statistics == BatchNormStatistics::Recomputed) {
        None if published.batch_norm => all.push("no batch normalisation".to_owned()),
        Some(_) if !published.batch_norm => all.push("batch normalisation".to_owned()),
        Some(recomputed) if recomputed != published.recomputed_statistics => {
            let name = |recomputed| if recomputed { "recomputed" } else { "running" };
            let (used, due) = (name(recomputed), name(published.recomputed_statistics));
            all.push(format!("{used} statistics of batch normalisation instead of {due} ones"));
        }
        _ => {}
    }
    let mut number = |what: &str, used: f64, due: f64| {
        if used != due {
            all.push(format!("{what} {used} instead of {due}"));
        }
    };
    let members = if problem.id() == "adm" { 5.0 } else { 10.0 };
    number("members", training.n_members as f64, members);
    number("epochs", training.epochs as f64, PUBLISHED_EPOCHS as f64);
    number("learning rate", training.learning_rate, published.learning_rate);
    number("weight decay", training.weight_decay, published.weight_decay);
    let (initial, queries, steps, test_points) = PUBLISHED_PROTOCOL;
    number("initial labels", protocol.initial as f64, initial as f64);
    number("labels per step", protocol.queries as f64, queries as f64);
    number("steps", protocol.steps as f64, steps as f64);
    number("test points", protocol.test_points as f64, test_points as f64);
    all
}

/// `4 × 50`, or the widths one by one where they differ.
fn layers(widths: &[usize]) -> String {
    let groups: Vec<String> = widths
        .chunk_by(|a, b| a == b)
        .map(|group| if group.len() == 1 { group[0].to_string() } else { format!("{} × {}", group.len(), group[0]) })
        .collect();
    if groups.is_empty() { "none".into() } else { groups.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_read_well() {
        assert_eq!(layers(&[50; 4]), "4 × 50");
        assert_eq!(layers(&[1500, 1500, 1000]), "2 × 1500 + 1000");
        assert_eq!(layers(&[]), "none");
    }
}
