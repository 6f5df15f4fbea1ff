//! What is searched: candidates, the space that they come from, and the order in which they are drawn from it.

use std::fmt;

use dal_core::SeedPath;
use dal_nn::{
    BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, Layout, NetworkSpec, SpecError,
    TrainingSpec,
};
use dal_oracles::{Learning, Problem};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::error::TuneError;

/// Whether a BatchNorm follows each hidden Linear, and what it normalises with at inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// There is none.
    None,
    /// Inference uses the running averages.
    Running,
    /// Inference uses the statistics of the training set, from one pass at the end.
    Recomputed,
}

impl BatchNorm {
    /// All three.
    pub const ALL: [Self; 3] = [Self::None, Self::Running, Self::Recomputed];

    /// As files and flags spell it.
    pub fn id(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Recomputed => "recomputed",
        }
    }

    fn spec(self) -> Option<BatchNormSpec> {
        let statistics = match self {
            Self::None => return None,
            Self::Running => BatchNormStatistics::Running,
            Self::Recomputed => BatchNormStatistics::Recomputed,
        };
        Some(BatchNormSpec { statistics, ..BatchNormSpec::default() })
    }
}

/// A network with its training, as far as they are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// BatchNorm of the hidden layers.
    pub batch_norm: BatchNorm,
    /// Initial learning rate of full-batch Adam.
    pub learning_rate: f64,
    /// Weight decay, which enters every parameter's gradient.
    pub weight_decay: f64,
}

impl From<&Learning> for Candidate {
    fn from(learning: &Learning) -> Self {
        let batch_norm = match (learning.batch_norm, learning.recomputed_statistics) {
            (false, _) => BatchNorm::None,
            (true, false) => BatchNorm::Running,
            (true, true) => BatchNorm::Recomputed,
        };
        Self {
            hidden: learning.hidden.clone(),
            batch_norm,
            learning_rate: learning.learning_rate,
            weight_decay: learning.weight_decay,
        }
    }
}

impl fmt::Display for Candidate {
    /// `9 × 20, running BatchNorm, learning rate 1e-3, weight decay 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let norm = match self.batch_norm {
            BatchNorm::None => "no BatchNorm",
            BatchNorm::Running => "running BatchNorm",
            BatchNorm::Recomputed => "recomputed BatchNorm",
        };
        write!(f, "{}, {norm}, learning rate {}, weight decay ", widths(&self.hidden), power(self.learning_rate))?;
        write!(f, "{}", power(self.weight_decay))
    }
}

/// `9 × 20`, or the widths one by one where they differ.
pub fn widths(hidden: &[usize]) -> String {
    match hidden {
        [] => "linear".into(),
        [first, ..] if hidden.iter().all(|width| width == first) => format!("{} × {first}", hidden.len()),
        _ => hidden.iter().map(usize::to_string).collect::<Vec<_>>().join("-"),
    }
}

/// `1e-4`, and zero as `0`.
pub(crate) fn power(v: f64) -> String {
    if v == 0.0 { "0".into() } else { format!("{v:e}") }
}

/// What candidates of one problem have in common: inputs, outputs, and what follows the last hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ends {
    pub(crate) n_inputs: usize,
    pub(crate) n_outputs: usize,
    head: Head,
}

impl Ends {
    pub(crate) fn of(problem: &Problem) -> Self {
        let head = problem.learning().head.map_or(Head::Linear, |head| {
            let layer = |card: &dal_oracles::card::ConvolutionCard| ConvLayerSpec {
                kind: if card.transposed { ConvKind::Transposed } else { ConvKind::Plain },
                n_in: card.channels_in,
                n_out: card.channels_out,
                kernel: card.kernel,
                stride: card.stride,
                padding: card.padding,
            };
            Head::Convolution(ConvHeadSpec { length: head.length, layers: head.layers.iter().map(layer).collect() })
        });
        Self { n_inputs: problem.space().n_columns(), n_outputs: problem.oracle().n_outputs(), head }
    }

    pub(crate) fn network(&self, candidate: &Candidate) -> Result<NetworkSpec, SpecError> {
        let batch_norm = candidate.batch_norm.spec();
        NetworkSpec::new(self.n_inputs, self.n_outputs, candidate.hidden.clone(), batch_norm, self.head.clone())
    }

    pub(crate) fn n_parameters(&self, candidate: &Candidate) -> Result<usize, SpecError> {
        Ok(Layout::new(&self.network(candidate)?, None).n_parameters())
    }

    /// Cost of one point, member and epoch: the parameters, and sixteen for each hidden unit, whose activation and
    /// BatchNorm are what narrow layers spend most of their time on. With a convolution head sixteen for each output.
    pub(crate) fn cost(&self, candidate: &Candidate) -> Result<f64, SpecError> {
        let mut units: usize = candidate.hidden.iter().sum();
        if matches!(self.head, Head::Convolution(_)) {
            units += self.n_outputs;
        }
        Ok((self.n_parameters(candidate)? + 16 * units) as f64)
    }
}

/// The training of a candidate.
pub(crate) fn training(candidate: &Candidate, epochs: usize, members: usize) -> TrainingSpec {
    TrainingSpec {
        n_members: members,
        epochs,
        learning_rate: candidate.learning_rate,
        weight_decay: candidate.weight_decay,
        ..TrainingSpec::default()
    }
}

/// The values that each property of a candidate may take; every combination is a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSpace {
    /// Shapes: the width of each hidden layer.
    pub hidden: Vec<Vec<usize>>,
    /// BatchNorm.
    pub batch_norm: Vec<BatchNorm>,
    /// Learning rates.
    pub learning_rates: Vec<f64>,
    /// Weight decays.
    pub weight_decays: Vec<f64>,
}

/// How large a space is laid around a problem's reference network: the published one, or that of a user's problem file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// The reference network's shape: only BatchNorm, learning rate and weight decay are searched.
    Training,
    /// Few depths and widths.
    Small,
    /// Depths from 2 to 9, widths from a quarter to four times the reference's.
    Default,
}

/// Properties that a user fixes instead of those that [`SearchSpace::around`] would choose; `None` leaves the choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges {
    /// Numbers of hidden layers.
    pub depths: Option<Vec<usize>>,
    /// Widths of the hidden layers.
    pub widths: Option<Vec<usize>>,
    /// BatchNorm.
    pub batch_norm: Option<Vec<BatchNorm>>,
    /// Learning rates.
    pub learning_rates: Option<Vec<f64>>,
    /// Weight decays.
    pub weight_decays: Option<Vec<f64>>,
    /// The most parameters that a network may have; otherwise twice the reference network's, at least 20 000.
    pub max_parameters: Option<usize>,
}

impl SearchSpace {
    /// A space around the network that a problem is has as its reference, or within the given ranges.
    ///
    /// # Errors
    /// [`TuneError::BadSetting`] for a value that no network can have, and where `max_parameters` leaves no shape.
    pub fn around(problem: &Problem, extent: Extent, ranges: &Ranges) -> Result<Self, TuneError> {
        let learning = problem.learning();
        let (depth, width) = (learning.hidden.len(), learning.hidden.iter().copied().max().unwrap_or(1));
        let fixed = extent == Extent::Training && ranges.depths.is_none() && ranges.widths.is_none();
        let depths = ranges.depths.clone().unwrap_or_else(|| match extent {
            Extent::Training => vec![depth],
            Extent::Small => vec![2, 4, depth],
            Extent::Default => vec![2, 3, 4, 6, 9, depth],
        });
        let scaled = |factors: &[f64]| factors.iter().map(|f| ((width as f64 * f) as usize).max(4)).collect();
        let chosen = ranges.widths.clone().unwrap_or_else(|| match extent {
            Extent::Training => vec![width],
            Extent::Small => scaled(&[0.5, 1.0, 2.0]),
            Extent::Default => scaled(&[0.25, 0.5, 1.0, 2.0, 4.0]),
        });
        for (key, found) in [("depths", &depths), ("widths", &chosen)] {
            if found.is_empty() || found.contains(&0) {
                return Err(TuneError::bad(key, format!("{found:?}"), "whole numbers from 1 on"));
            }
        }
        let (depths, chosen) = (distinct(depths), distinct(chosen));
        let ends = Ends::of(problem);
        let reference = Candidate::from(learning);
        let published = ends.n_parameters(&reference)?;
        let most = ranges.max_parameters.unwrap_or_else(|| (2 * published).max(20_000));
        let mut hidden = Vec::new();
        if fixed {
            hidden.push(learning.hidden.clone());
        } else {
            for &depth in &depths {
                for &width in &chosen {
                    let shape = vec![width; depth];
                    let candidate = Candidate { hidden: shape.clone(), ..reference.clone() };
                    if ends.n_parameters(&candidate)? <= most {
                        hidden.push(shape);
                    }
                }
            }
        }
        if hidden.is_empty() {
            let allowed = "enough for one of the shapes; raise it, or allow narrower or shallower networks";
            return Err(TuneError::bad("max_parameters", most.to_string(), allowed));
        }
        let rates = ranges.learning_rates.clone().unwrap_or_else(|| vec![3e-4, 1e-3, 3e-3, 1e-2]);
        if rates.is_empty() || !rates.iter().all(|v| *v > 0.0 && v.is_finite()) {
            return Err(TuneError::bad("learning_rates", format!("{rates:?}"), "positive numbers"));
        }
        let decays = ranges.weight_decays.clone().unwrap_or_else(|| vec![0.0, 1e-5, 1e-4, 1e-3]);
        if decays.is_empty() || !decays.iter().all(|v| *v >= 0.0 && v.is_finite()) {
            return Err(TuneError::bad("weight_decays", format!("{decays:?}"), "numbers from 0 on"));
        }
        let norms = ranges.batch_norm.clone().unwrap_or_else(|| BatchNorm::ALL.to_vec());
        if norms.is_empty() {
            return Err(TuneError::bad("batch_norm", "nothing", "none, running, recomputed"));
        }
        Ok(Self {
            hidden,
            batch_norm: distinct(norms),
            learning_rates: distinct_numbers(rates),
            weight_decays: distinct_numbers(decays),
        })
    }

    /// Number of combinations.
    pub fn len(&self) -> usize {
        self.hidden.len() * self.batch_norm.len() * self.learning_rates.len() * self.weight_decays.len()
    }

    /// Whether there is nothing to search.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All combinations, in an order in which every value of every property comes equally often: each property has a deck
    /// of its values, shuffled afresh when it runs out, and a candidate takes one card of each. `first` leads and is not
    /// repeated; what the decks have not dealt after a while follows in the order of the properties.
    pub(crate) fn drawn(&self, first: &Candidate, seeds: &SeedPath) -> Vec<Candidate> {
        let at = |[h, b, r, d]: [usize; 4]| Candidate {
            hidden: self.hidden[h].clone(),
            batch_norm: self.batch_norm[b],
            learning_rate: self.learning_rates[r],
            weight_decay: self.weight_decays[d],
        };
        let mut drawn = vec![first.clone()];
        let sizes = [self.hidden.len(), self.batch_norm.len(), self.learning_rates.len(), self.weight_decays.len()];
        let mut decks = sizes.map(|_| Vec::<usize>::new());
        let mut rngs = [0, 1, 2, 3].map(|property| seeds.purpose("space").index(property).rng());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..4 * self.len() {
            let mut card = [0; 4];
            for property in 0..4 {
                if decks[property].is_empty() {
                    decks[property] = (0..sizes[property]).collect();
                    decks[property].shuffle(&mut rngs[property]);
                }
                card[property] = decks[property].pop().unwrap_or(0);
            }
            if seen.insert(card) && at(card) != *first {
                drawn.push(at(card));
            }
        }
        for index in 0..self.len() {
            let mut rest = index;
            let card = sizes.map(|size| {
                let digit = rest % size;
                rest /= size;
                digit
            });
            if seen.insert(card) && at(card) != *first {
                drawn.push(at(card));
            }
        }
        drawn
    }
}

fn distinct<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

fn distinct_numbers(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sine() -> Problem {
        dal_oracles::find("sine", &BTreeMap::new()).unwrap()
    }

    #[test]
    fn every_combination_is_drawn_once_and_the_default_leads() {
        let problem = sine();
        let space = SearchSpace::around(&problem, Extent::Small, &Ranges::default()).unwrap();
        let first = Candidate::from(problem.learning());
        let drawn = space.drawn(&first, &SeedPath::root(1));
        assert_eq!((drawn.len(), &drawn[0]), (space.len(), &first));
        for (i, a) in drawn.iter().enumerate() {
            assert!(!drawn[i + 1..].contains(a), "{a} twice");
        }
        // Early draws hold the values of a property about equally often.
        let none = drawn[1..25].iter().filter(|c| c.batch_norm == BatchNorm::None).count();
        assert!((6..=10).contains(&none), "{none} of 24");
        assert_ne!(drawn[1..], space.drawn(&first, &SeedPath::root(2))[1..]);
    }

    #[test]
    fn training_alone_keeps_the_shape_and_ranges_are_checked() {
        let problem = sine();
        let space = SearchSpace::around(&problem, Extent::Training, &Ranges::default()).unwrap();
        assert_eq!(space.hidden, [vec![20; 9]]);
        let refused = |ranges: Ranges| SearchSpace::around(&problem, Extent::Default, &ranges).unwrap_err().to_string();
        assert!(refused(Ranges { depths: Some(vec![0]), ..Ranges::default() }).contains("depths"));
        assert!(refused(Ranges { learning_rates: Some(vec![-1.0]), ..Ranges::default() }).contains("learning_rates"));
        assert!(refused(Ranges { max_parameters: Some(3), ..Ranges::default() }).contains("max_parameters"));
        let most = Ranges { max_parameters: Some(2_000), ..Ranges::default() };
        let ends = Ends::of(&problem);
        for hidden in SearchSpace::around(&problem, Extent::Default, &most).unwrap().hidden {
            let candidate = Candidate { hidden, ..Candidate::from(problem.learning()) };
            assert!(ends.n_parameters(&candidate).unwrap() <= 2_000);
        }
    }

    #[test]
    fn candidates_say_what_they_are() {
        let text = Candidate::from(sine().learning()).to_string();
        assert_eq!(text, "9 × 20, running BatchNorm, learning rate 1e-3, weight decay 0");
        assert_eq!(widths(&[3, 4]), "3-4");
    }
}
