//! What is searched: candidates, the space that they come from, and the order in which they are drawn from it.

use std::fmt;

use dal_core::model::{BatchNormSpec, BatchNormStatistics, DecayReading, OnCollapse, SpecError};
use dal_core::{MlpEnsemble, ModelSpec, SeedPath, Shape};
use dal_nn::Layout;
use dal_oracles::Problem;
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

    /// Of a model.
    pub fn of(model: &MlpEnsemble) -> Self {
        match model.batch_norm.map(|norm| norm.statistics) {
            None => Self::None,
            Some(BatchNormStatistics::Running) => Self::Running,
            Some(BatchNormStatistics::Recomputed) => Self::Recomputed,
        }
    }

    /// As a model has it.
    pub fn spec(self) -> Option<BatchNormSpec> {
        match self {
            Self::None => None,
            Self::Running => Some(BatchNormSpec::RUNNING),
            Self::Recomputed => Some(BatchNormSpec::RECOMPUTED),
        }
    }
}

/// A model of the search: the problem's reference model with other values of the four properties that are searched.
/// Files hold those four alone, since the rest is the problem's or the rung's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "Searched")]
pub struct Candidate(pub MlpEnsemble);

/// The properties of a candidate that are searched.
#[derive(Serialize)]
struct Searched {
    hidden: Vec<usize>,
    batch_norm: BatchNorm,
    learning_rate: f64,
    weight_decay: f64,
    /// Of the reference network, where its decay is read in another way.
    #[serde(skip_serializing_if = "DecayReading::is_per_member")]
    decay_reading: DecayReading,
}

impl From<Candidate> for Searched {
    fn from(Candidate(model): Candidate) -> Self {
        let batch_norm = BatchNorm::of(&model);
        let (learning_rate, weight_decay) = (model.training.learning_rate, model.training.weight_decay);
        let decay_reading = model.training.decay_reading;
        Self { hidden: model.hidden.into_owned(), batch_norm, learning_rate, weight_decay, decay_reading }
    }
}

impl fmt::Display for Candidate {
    /// `9 × 20, running BatchNorm, learning rate 1e-3, weight decay 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Candidate {
    /// Its parameters, those of one member.
    pub(crate) fn n_parameters(&self, shape: Shape) -> Result<usize, SpecError> {
        Ok(Layout::new(&self.0.network(shape)?, None).n_parameters())
    }

    /// Cost of one point, member and epoch: the parameters, and sixteen for each hidden unit, whose activation and
    /// BatchNorm are what narrow layers spend most of their time on. With a convolution head sixteen for each output.
    pub(crate) fn cost(&self, shape: Shape) -> Result<f64, SpecError> {
        let mut units: usize = self.0.hidden.iter().sum();
        if self.0.network(shape)?.conv_head().is_some() {
            units += shape.n_outputs;
        }
        Ok((self.n_parameters(shape)? + 16 * units) as f64)
    }

    /// As a rung trains it.
    pub(crate) fn trained(&self, epochs: usize, members: usize) -> ModelSpec {
        let mut model = self.0.clone().with_members(members);
        model.training.epochs = epochs;
        // A search judges what a network does by itself.
        model.training.on_collapse = OnCollapse::Keep;
        model.into()
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
        let reference = problem.model();
        let (depth, width) = (reference.hidden.len(), reference.hidden.iter().copied().max().unwrap_or(1));
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
        let shape = problem.shape();
        let published = Candidate(reference.clone()).n_parameters(shape)?;
        let most = ranges.max_parameters.unwrap_or_else(|| (2 * published).max(20_000));
        let mut hidden = Vec::new();
        if fixed {
            hidden.push(reference.hidden.to_vec());
        } else {
            for &depth in &depths {
                for &width in &chosen {
                    let layers = vec![width; depth];
                    let candidate = Candidate(MlpEnsemble { hidden: layers.clone().into(), ..reference.clone() });
                    if candidate.n_parameters(shape)? <= most {
                        hidden.push(layers);
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

    /// All combinations, in an order in which every value of every property comes equally often: each property has a
    /// deck of its values, shuffled afresh when it runs out, and a candidate takes one card of each. `first` leads and
    /// is not repeated; what the decks have not dealt after a while follows in the order of the properties.
    pub(crate) fn drawn(&self, first: &Candidate, seeds: &SeedPath) -> Vec<Candidate> {
        let at = |[h, b, r, d]: [usize; 4]| {
            let mut model = first.0.clone();
            model.hidden = self.hidden[h].clone().into();
            model.batch_norm = self.batch_norm[b].spec();
            model.training.learning_rate = self.learning_rates[r];
            model.training.weight_decay = self.weight_decays[d];
            // What is searched is the decay that acts, not a printed one.
            model.training.decay_reading = DecayReading::PerMember;
            Candidate(model)
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

    fn sine() -> Problem {
        dal_oracles::find("sine", &dal_core::Settings::default()).unwrap()
    }

    #[test]
    fn every_combination_is_drawn_once_and_the_default_leads() {
        let problem = sine();
        let space = SearchSpace::around(&problem, Extent::Small, &Ranges::default()).unwrap();
        let first = Candidate(problem.model().clone());
        let drawn = space.drawn(&first, &SeedPath::root(1));
        assert_eq!((drawn.len(), &drawn[0]), (space.len(), &first));
        for (i, a) in drawn.iter().enumerate() {
            assert!(!drawn[i + 1..].contains(a), "{a} twice");
        }
        // Early draws hold the values of a property about equally often.
        let none = drawn[1..25].iter().filter(|c| BatchNorm::of(&c.0) == BatchNorm::None).count();
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
        for hidden in SearchSpace::around(&problem, Extent::Default, &most).unwrap().hidden {
            let candidate = Candidate(MlpEnsemble { hidden: hidden.into(), ..problem.model().clone() });
            assert!(candidate.n_parameters(problem.shape()).unwrap() <= 2_000);
        }
    }

    /// What stands in `choice.json` and in the first line of a journal.
    #[test]
    fn files_hold_what_is_searched_of_a_candidate() {
        let text = serde_json::to_string(&Candidate(sine().model().clone())).unwrap();
        let due = r#"{"hidden":[20,20,20,20,20,20,20,20,20],"batch_norm":"running","learning_rate":0.001,"weight_decay":0.0}"#;
        assert_eq!(text, due);
    }
}
