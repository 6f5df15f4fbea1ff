//! What the page of a campaign shows, as plain data.

use serde::Serialize;

/// Failed points, one after the other, from which on a campaign counts as stuck: of several rounds, and of one.
const FEWEST_FAILED: (usize, usize) = (3, 8);

/// The values of an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum InputKind {
    /// A number between bounds.
    Number {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Whether its axis is logarithmic.
        log: bool,
    },
    /// A whole number between bounds.
    Whole {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether its axis is logarithmic.
        log: bool,
    },
    /// One of several levels, whose position is its 0-based number.
    Levels {
        /// Their names.
        names: Vec<String>,
    },
}

/// An input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// Its values; none of one that never varies.
    pub kind: Option<InputKind>,
}

/// An output that is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// Whether its axis is logarithmic.
    pub log: bool,
    /// Whether all answers so far are equal: then nothing can be said of what it depends on.
    pub constant: bool,
}

/// How a rule picks points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Picks {
    /// Uniformly.
    Evenly,
    /// By where points lie, whatever the model says.
    Space,
    /// With known probabilities, larger ones where a score is larger.
    Drawn {
        /// Whether that is the disagreement of the model's members, or holds it as a factor.
        by_spread: bool,
    },
    /// The best by a score.
    Best {
        /// Whether that is the disagreement of the model's members, or holds it as a factor.
        by_spread: bool,
    },
}

impl Picks {
    /// Where the next points will lie, as in "more labels, drawn uniformly over the space".
    pub fn aim(self) -> &'static str {
        match self {
            Self::Evenly => "drawn uniformly over the space",
            Self::Space => "spread over the space, whatever the model says",
            Self::Drawn { by_spread: true } => "more of them where the model is less sure",
            Self::Drawn { by_spread: false } => "more of them where the rule expects to learn more",
            Self::Best { by_spread: true } => "where the model is least sure",
            Self::Best { by_spread: false } => "where the rule expects to learn most",
        }
    }

    /// Where such points lie, as in "points that were asked for, which lie where the model was least sure".
    pub(crate) fn lie(self) -> &'static str {
        match self {
            Self::Evenly => "which were drawn uniformly over the space",
            Self::Space => "which are spread over the space, whatever the model said",
            Self::Drawn { by_spread: true } => "more of which lie where the model was less sure",
            Self::Drawn { by_spread: false } => "more of which lie where the rule expected to learn more",
            Self::Best { by_spread: true } => "which lie where the model was least sure",
            Self::Best { by_spread: false } => "which lie where the rule expected to learn most",
        }
    }
}

/// What a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum RoundKind {
    /// The design at the beginning.
    Design,
    /// An audit: its points are never learned.
    Audit,
    /// A rule's.
    Rule(Picks),
}

/// What an error was measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum JudgedBy {
    /// Uniform points that the present model did not learn: the error over the whole space.
    NeverLearned {
        /// Those with an answer.
        answered: usize,
        /// All of them.
        drawn: usize,
    },
    /// The draws of a round, each with a known probability: the error over the whole space of the model that drew it.
    Draws {
        /// Those with an answer.
        answered: usize,
        /// All of them.
        drawn: usize,
        /// Labels of that model.
        n_labelled: usize,
    },
    /// Cross-validation on the points that were asked for: not the error over the whole space.
    CrossValidation {
        /// Labels.
        n: usize,
    },
}

/// An error with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The root of the mean squared error.
    pub rmse: f64,
    /// Ends of its interval.
    pub interval: Option<(f64, f64)>,
}

/// The error of one output, now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorNow {
    /// The output; none for the mean over all of them, in standard deviations.
    pub output: Option<String>,
    /// Its unit.
    pub unit: String,
    /// The best estimate that there is.
    pub best: Option<(Estimate, JudgedBy)>,
    /// The same in standard deviations of the output, of its logarithm where it is learned as such: 1 is no better than
    /// always saying the mean.
    pub deviations: Option<Estimate>,
    /// For an output that is learned as its logarithm: the same as a root mean square relative error, a share.
    pub off_by: Option<Estimate>,
    /// The error in cross-validation.
    pub validated: Option<f64>,
    /// The share of the variance that is explained there, of the logarithm for an output that is learned as such.
    pub explained: Option<f64>,
    /// For an output that is learned as its logarithm: the root mean square relative error there, as a share.
    pub relative: Option<f64>,
    /// Whether it is learned as its logarithm.
    pub log: bool,
    /// Whether all answers so far are equal.
    pub constant: bool,
}

/// An error of one series at one number of labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrendMark {
    /// Labels of the model.
    pub n_labelled: usize,
    /// The error.
    pub value: f64,
    /// Ends of its interval.
    pub interval: Option<(f64, f64)>,
}

/// Errors of one output over the labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trend {
    /// In cross-validation.
    pub validated: Vec<TrendMark>,
    /// Of each round's own points, predicted before they were learned.
    pub foretold: Vec<TrendMark>,
    /// Over the whole space by the rounds' draws.
    pub drawn: Vec<TrendMark>,
    /// Over the whole space by points that were never learned; of the present model alone.
    pub never_learned: Vec<TrendMark>,
}

/// A point that was predicted by a model that had not learned it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foretold {
    /// Its number.
    pub id: u64,
    /// Its round.
    pub round: usize,
    /// Whether it stands for the whole space: no model learns it.
    pub uniform: bool,
    /// Whether it is of an audit: the present model predicts it; the others were predicted when they were drawn.
    pub audit: bool,
    /// Of each shown output the prediction.
    pub predicted: Vec<f64>,
    /// Of each shown output the members' standard deviation.
    pub sd: Vec<Option<f64>>,
    /// Of each shown output the answer.
    pub measured: Vec<f64>,
}

/// A point in the pictures over pairs of inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Its number.
    pub id: u64,
    /// Its position along each input.
    pub at: Vec<f64>,
    /// Its state, and of a failed point the kind of failure: `done`, `failed: refused`.
    pub state: String,
}

/// Failed points of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureKind {
    /// The kind.
    pub kind: String,
    /// How many.
    pub n: usize,
    /// What they said, numbers taken out: the last one's words of each, and how many said the like; the most frequent
    /// first.
    pub reasons: Vec<(String, usize)>,
}

/// How failed points differ from answered ones in an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Failing {
    /// The share of pairs in which the failed point has the larger value.
    Larger {
        /// The input's place.
        input: usize,
        /// The share.
        share: f64,
    },
    /// The share of failed points of each level, with how many points there are.
    Levels {
        /// The input's place.
        input: usize,
        /// Of each level.
        shares: Vec<(String, f64, usize)>,
    },
}

impl Failing {
    /// The input.
    pub fn input(&self) -> usize {
        match self {
            Self::Larger { input, .. } | Self::Levels { input, .. } => *input,
        }
    }
}

/// A point without an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pending {
    /// Its number.
    pub id: u64,
    /// Its state.
    pub state: String,
    /// How long it has been in it, in words.
    pub since: String,
    /// To whom it was handed out, and how long it is left to them.
    pub lease: String,
    /// Its last failure for the machine's sake.
    pub loss: String,
}

/// A number with the smallest and largest that a member of the ensemble gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ranged {
    /// Of the ensemble.
    pub value: f64,
    /// The smallest of the members.
    pub low: f64,
    /// The largest of the members.
    pub high: f64,
}

/// A curve of an output along an input, with the ensemble's band.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Positions.
    pub x: Vec<f64>,
    /// Of the ensemble.
    pub mean: Vec<f64>,
    /// The smallest of the members.
    pub low: Vec<f64>,
    /// The largest of the members.
    pub high: Vec<f64>,
}

/// Values in bins along an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Ends of the bins.
    pub edges: Vec<f64>,
    /// The value of each bin.
    pub values: Vec<Option<f64>>,
}

/// Values in bins over two inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// The first input.
    pub across: usize,
    /// The second; none where only one varies.
    pub up: Option<usize>,
    /// For each bin of the first and each of the second.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Where the members disagree, in standard deviations of the outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsure {
    /// The mean over the space, without what was left out.
    pub overall: f64,
    /// Share of the space that was left out because points rather fail there.
    pub left_out: f64,
    /// Along each input; none of one that does not vary.
    pub profiles: Vec<Option<Profile>>,
    /// Over pairs of the inputs that matter most.
    pub maps: Vec<Map>,
}

/// What the model says of the problem.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelData {
    /// Labels that it learned.
    pub n_labelled: usize,
    /// Whether all labels are among them.
    pub is_current: bool,
    /// Members of the ensemble.
    pub members: usize,
    /// Of each shown output and input the first-order and the total index; none where it is constant.
    pub importance: Vec<Option<Vec<(Ranged, Ranged)>>>,
    /// Of each shown output its curve along each input.
    pub dependence: Vec<Vec<Curve>>,
    /// The inputs that vary, those that matter most first.
    pub order: Vec<usize>,
    /// Where it is unsure.
    pub unsure: Option<Unsure>,
    /// Whether inputs depend on each other in the space that is meant.
    pub dependent_inputs: bool,
    /// Of each shown output what the spread is multiplied by for a 90 % interval.
    pub factors: Vec<Option<f64>>,
}

/// A network that was compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// In words.
    pub network: String,
    /// Numbers that it learns.
    pub n_parameters: usize,
    /// Its mean squared error in cross-validation, in variances of the outputs.
    pub loss: Option<f64>,
    /// The standard error of that.
    pub standard_error: Option<f64>,
    /// Whether it is the one in use.
    pub chosen: bool,
}

/// The network and how it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// In words.
    pub network: String,
    /// How it was chosen, in a sentence.
    pub how: String,
    /// Whether a model of it is trained.
    pub trained: bool,
    /// Those that were compared.
    pub rungs: Vec<Rung>,
}

/// A round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundRow {
    /// Its number.
    pub round: usize,
    /// Its rule.
    pub rule: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: RoundKind,
    /// Labels that were known.
    pub n_labelled: usize,
    /// Points.
    pub points: usize,
    /// Of these with an answer, failed, and without an answer yet.
    pub by_state: (usize, usize, usize),
    /// Points that its rule compared to choose these; as many as it has points where nothing was compared.
    pub candidates: usize,
    /// Points that were left out before, because they lie near failed ones.
    pub left_out: usize,
    /// Remarks: what was held fixed, what was left out.
    pub remarks: String,
}

/// A point that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AskedRow {
    /// Its number.
    pub id: u64,
    /// Its round.
    pub round: usize,
    /// Its values.
    pub x: Vec<String>,
    /// Its state.
    pub state: String,
    /// Why it was chosen, in words.
    pub why: String,
    /// The members' disagreement there.
    pub disagreement: Option<f64>,
    /// The distance to the nearest known point.
    pub distance: Option<f64>,
}

/// A rule that ends a run, or a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoppingRule {
    /// The rule.
    pub rule: String,
    /// Whether it says stop.
    pub fired: bool,
    /// How far it is.
    pub words: String,
}

/// What can be done next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextStep {
    /// The command; empty where there is something else to do.
    pub command: String,
    /// What it is for.
    pub why: String,
}

/// What the page of a campaign shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CampaignData {
    /// The folder, as it was named.
    pub folder: String,
    /// The problem's name.
    pub problem: String,
    /// What it is about, where the problem file says so.
    pub about: String,
    /// Version of the program.
    pub version: String,
    /// When the page was made; empty if not told.
    pub made: String,
    /// What errors speak of, in words: "the part of the space where the constraints hold"; empty for all of the space.
    pub domain: String,
    /// Candidates that a rule compares in each round; 0 where it is not known.
    pub candidates: usize,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// Shown outputs.
    pub outputs: Vec<Output>,
    /// Outputs in all.
    pub n_outputs: usize,
    /// Points by state.
    pub counts: Vec<(String, usize)>,
    /// Answers that a model learns.
    pub labels: usize,
    /// Points with an answer that were never asked for.
    pub adopted: usize,
    /// Points whose answers cannot be used.
    pub unusable: usize,
    /// Who answers, in words: "a program".
    pub answered_by: String,
    /// Of each output, then of all together.
    pub errors: Vec<ErrorNow>,
    /// The mean error over the whole space of the last models, in standard deviations, and how many they are; none of
    /// a single one.
    pub pooled: Option<(Estimate, usize)>,
    /// Outputs whose answers so far are all equal.
    pub n_constant: usize,
    /// Level of the intervals.
    pub level: f64,
    /// The share of the space that has answers, with its interval, where points fail.
    pub answered_share: Option<(f64, Option<(f64, f64)>)>,
    /// The noise of a measurement of each output, where points were repeated.
    pub noise: Vec<(String, f64)>,
    /// Of each shown output, then of all together.
    pub trend: Vec<Trend>,
    /// Points that were predicted by models that had not learned them.
    pub foretold: Vec<Foretold>,
    /// Every point.
    pub points: Vec<Place>,
    /// Failed points by kind.
    pub failures: Vec<FailureKind>,
    /// How failed points differ from others.
    pub failing: Vec<Failing>,
    /// Points without an answer.
    pub pending: Vec<Pending>,
    /// What the model says; none before there is one.
    pub model: Option<ModelData>,
    /// Why there is none.
    pub no_model: String,
    /// The network.
    pub network: Option<Network>,
    /// Rounds.
    pub rounds: Vec<RoundRow>,
    /// Points of the rounds, the newest last.
    pub asked: Vec<AskedRow>,
    /// Rules and limits.
    pub stopping: Vec<StoppingRule>,
    /// Whether something measures the error over the whole space.
    pub is_judged: bool,
    /// Whether a process adds to the campaign now.
    pub at_work: bool,
    /// What can be done next, the most useful first.
    pub next: Vec<NextStep>,
    /// Commands that repeat the campaign.
    pub repeat: Vec<String>,
    /// Why these need not ask for the same points: "a run labelled several points at a time".
    pub unrepeatable: Vec<String>,
    /// The files that these need: name and text.
    pub files: Vec<(String, String)>,
}

impl CampaignData {
    /// The last rounds that brought no answer, one after the other: rounds and failed points; none where the last one
    /// brought one, or where they are too few to speak of.
    pub fn stuck(&self) -> Option<(usize, usize)> {
        let of_rules = self.rounds.iter().rev().filter(|round| matches!(round.kind, RoundKind::Rule(_)));
        // Nothing is known yet of a round whose points are all open.
        let known = of_rules.skip_while(|round| round.by_state.0 + round.by_state.1 == 0);
        let failed: Vec<usize> =
            known.take_while(|round| round.by_state.0 == 0).map(|round| round.by_state.1).collect();
        let n = failed.iter().sum();
        let fewest = if failed.len() > 1 { FEWEST_FAILED.0 } else { FEWEST_FAILED.1 };
        (n >= fewest).then_some((failed.len(), n))
    }

    /// Whether an error over the whole space is known.
    pub fn is_measured(&self) -> bool {
        let by_others =
            |of: &ErrorNow| matches!(of.best, Some((_, by)) if !matches!(by, JudgedBy::CrossValidation { .. }));
        self.errors.iter().any(by_others)
    }

    /// The space that is meant, in words.
    pub(crate) fn space(&self) -> &str {
        if self.domain.is_empty() { "the whole space" } else { &self.domain }
    }

    /// What an error by points that stand for the space speaks of, in words: without the part in which points fail.
    pub fn scope(&self) -> String {
        match (self.failures.is_empty(), self.domain.is_empty()) {
            (true, _) => self.space().to_owned(),
            (false, true) => "the part of the space that has answers".to_owned(),
            (false, false) => format!("{}, as far as there are answers", self.domain),
        }
    }

    /// How the rounds' points were picked; of several rules the one that says least.
    pub(crate) fn picked(&self) -> Option<Picks> {
        let mut picks = self.rounds.iter().filter_map(|round| match round.kind {
            RoundKind::Rule(picks) => Some(picks),
            _ => None,
        });
        let first = picks.next()?;
        Some(if picks.all(|other| other == first) { first } else { Picks::Best { by_spread: false } })
    }
}
