//! Draws the points of a round: the design at the beginning, then what a strategy chooses from fresh candidates.

use std::sync::Arc;

use dal_acq::designs::{latin_hypercube, sobol};
use dal_core::{Ask, Campaign, Pool, Protocol, SeedPath, Start, Stop, Surrogate};
use ndarray::{Array2, ArrayView2, Axis};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::design::Filter;
use crate::error::CampaignError;
use crate::feasible::Feasibility;
use crate::ladder::Choice;
use crate::model::{Model, Snapshot, Trainer};
use crate::state::{Part, Point, Status};
use crate::subject::distance;
use crate::words::{AUDIT, Candidates, Cell, Drawn, INITIAL, Predicted, Round, Thinned};

/// Labels without which no network can be trained.
const FEWEST: usize = 3;
/// Points that are drawn at one time, at least.
const SMALLEST_BLOCK: usize = 256;

/// Probability of an answer below which a candidate is doubtful.
const DOUBTFUL: f64 = 0.5;
/// The share of a round, on average, for which doubtful candidates stay.
const RISKED: f64 = 0.1;

/// The stream of a round's candidates, and that of its points which are never learned.
const STREAMS: (usize, usize) = (0, 1);

/// Candidates of a round.
struct Drawing {
    /// Shape (n, n_columns).
    x: Array2<f64>,
    told: Candidates,
}

impl Snapshot {
    /// A round of at most `n` points; none where there is nothing left to ask for. A new choice of network comes with
    /// it.
    pub(crate) fn draw(
        &self,
        n: usize,
        fixed: &[(String, Cell)],
        trainer: Trainer<'_>,
        stop: &Stop,
    ) -> Result<Option<(Round, Option<Choice>)>, CampaignError> {
        let round = self.state.rounds().last().map_or(0, |last| last.round + 1);
        let known: Vec<&[f64]> = self.state.points().filter_map(|point| point.unit.as_deref()).collect();
        let n_labelled = self.labelled()?.map_or(0, |(labelled, _)| labelled.len());
        // Failed points of the design are not made up for, unless there is nothing to learn from.
        let counts = |point: &&Point| point.part == Part::Learned && point.status() != Status::Withdrawn;
        let n_begun = self.state.points().filter(counts).count();
        let designed = n_begun < self.file.initial || n_labelled < FEWEST;
        let in_flight: Vec<u64> = self.in_flight().map(|point| point.id).collect();
        let mut drawn = if designed {
            let candidates = self.designed(round, n, fixed, &known)?;
            let mut rows: Vec<usize> = (0..candidates.x.nrows()).collect();
            if self.listed().is_some() {
                // The rows of a table may be sorted.
                rows.shuffle(&mut self.round_seeds(round).initial().rng());
            }
            rows.truncate(n);
            let points = self.points(&candidates, &rows, &known, None)?;
            (self.round(round, INITIAL, n_labelled, candidates.told, fixed, points), None)
        } else {
            let held_out = match self.n_held_out(n, fixed) {
                0 => None,
                some => Some(self.uniform(round, some, &known)?),
            };
            let n = n - held_out.as_ref().map_or(0, |apart| apart.x.nrows());
            // The rule is shown no point that is held out.
            let apart: Vec<Vec<f64>> =
                held_out.iter().flat_map(|apart| apart.x.outer_iter().map(|row| row.to_vec())).collect();
            let taken: Vec<&[f64]> = known.iter().copied().chain(apart.iter().map(Vec::as_slice)).collect();
            let candidates = match n {
                0 => None,
                _ => Some(self.candidates(round, n, self.file.candidates.max(n), fixed, &taken)?),
            };
            let candidates = candidates.filter(|candidates| candidates.x.nrows() > 0);
            if candidates.is_none() && apart.is_empty() {
                return Ok(None);
            }
            let (model, choice) = self.model(trainer, stop)?;
            let mut drawn = match candidates {
                Some(candidates) => self.chosen(round, n, n_labelled, candidates, fixed, &taken, &model, stop)?,
                None => self.round(round, &self.file.strategy, n_labelled, Candidates::default(), fixed, Vec::new()),
            };
            if let Some(apart) = held_out {
                let rows: Vec<usize> = (0..apart.x.nrows()).collect();
                drawn.held_out = self.points(&apart, &rows, &known, Some(&model))?;
                let behind = drawn.points.len() as u64;
                drawn.held_out.iter_mut().for_each(|point| point.id += behind);
            }
            (drawn.errors, drawn.model) = (model.errors, Some(model.name));
            (drawn, choice)
        };
        drawn.0.in_flight = in_flight;
        let is_empty = drawn.0.points.is_empty() && drawn.0.held_out.is_empty();
        Ok((!is_empty).then_some(drawn))
    }

    /// A round of at most `n` uniform points of the domain that are never learned; none where there are no others.
    pub(crate) fn audit(&self, n: usize) -> Result<Option<Round>, CampaignError> {
        let round = self.state.rounds().last().map_or(0, |last| last.round + 1);
        let known: Vec<&[f64]> = self.state.points().filter_map(|point| point.unit.as_deref()).collect();
        let n_labelled = self.labelled()?.map_or(0, |(labelled, _)| labelled.len());
        let drawing = self.uniform(round, n, &known)?;
        let rows: Vec<usize> = (0..drawing.x.nrows()).collect();
        let points = self.points(&drawing, &rows, &known, None)?;
        let round = self.round(round, AUDIT, n_labelled, drawing.told, &[], Vec::new());
        Ok((!points.is_empty()).then_some(Round { held_out: points, ..round }))
    }

    /// Points without an answer that a model is to learn: those that a rule keeps away from.
    fn in_flight(&self) -> impl Iterator<Item = &Point> {
        self.state.pending().filter(|point| point.part == Part::Learned)
    }

    /// How many of the next `n` points are held out, so that their share of the points after the design is what the
    /// settings say from now on; none in a slice. A share that was set later does not make up for the rounds before.
    fn n_held_out(&self, n: usize, fixed: &[(String, Cell)]) -> usize {
        let Some(share) = self.file.held_out.filter(|_| fixed.is_empty()) else { return 0 };
        let rounds = self.state.rounds().iter();
        let rounds = rounds.filter(|round| round.is_chosen() && round.fixed.is_empty());
        due(share, rounds.map(|round| round.all().count()).sum(), n)
    }

    /// At most `n` uniform points of the domain; of a list uniform ones of its rows that are left.
    fn uniform(&self, round: usize, n: usize, known: &[&[f64]]) -> Result<Drawing, CampaignError> {
        let mut drawing = self.candidates_of(STREAMS.1, round, n, n, &[], known)?;
        if drawing.x.nrows() > n {
            let mut rows: Vec<usize> = (0..drawing.x.nrows()).collect();
            rows.shuffle(&mut self.round_seeds(round).candidates(STREAMS.1).rng());
            drawing.x = drawing.x.select(Axis(0), &rows[..n]);
        }
        Ok(drawing)
    }

    /// So many uniform points of the domain, of a stream of their own, known points among them; of a list or a sample
    /// rows that no model learned, a list's all: of those that were left, points that judge were drawn.
    pub(crate) fn domain(&self, n: usize) -> Result<Array2<f64>, CampaignError> {
        let round = self.state.rounds().last().map_or(0, |last| last.round + 1);
        let learned = self.state.points().filter(|point| point.part == Part::Learned && self.is_tabled());
        let learned: Vec<&[f64]> = learned.filter_map(|point| point.unit.as_deref()).collect();
        Ok(self.candidates_of(STREAMS.1 + 1, round, n, n, &[], &learned)?.x)
    }

    fn round(
        &self,
        round: usize,
        rule: &str,
        n_labelled: usize,
        candidates: Candidates,
        fixed: &[(String, Cell)],
        points: Vec<Drawn>,
    ) -> Round {
        let candidates = Candidates { domain: self.domain.clone(), ..candidates };
        Round {
            round,
            rule: rule.into(),
            settings: dal_core::Settings::default(),
            n_labelled,
            model: None,
            errors: None,
            candidates,
            fixed: fixed.to_vec(),
            in_flight: Vec::new(),
            points,
            held_out: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What the strategy chooses.
    fn chosen(
        &self,
        round: usize,
        n: usize,
        n_labelled: usize,
        candidates: Drawing,
        fixed: &[(String, Cell)],
        known: &[&[f64]],
        model: &Model,
        stop: &Stop,
    ) -> Result<Round, CampaignError> {
        let found = dal_acq::find(&self.file.strategy, &self.file.strategy_settings)?;
        if let Some(next) = self.passive(found.card.id, round, n, fixed, known)? {
            // Such a rule looks at no answer, but what the model says there is kept all the same.
            let (drawing, rows) = match self.is_tabled() {
                true => {
                    let rows = nearest_left(next.x.view(), candidates.x.view());
                    (Drawing { told: Candidates { drawn: next.told.drawn, ..candidates.told }, x: candidates.x }, rows)
                }
                false => {
                    let rows = (0..next.x.nrows()).collect();
                    (next, rows)
                }
            };
            let points = self.points(&drawing, &rows, known, Some(model))?;
            let mut drawn = self.round(round, found.card.id, n_labelled, drawing.told, fixed, points);
            drawn.notes.extend(model.remark());
            return Ok(drawn);
        }
        let Some((labelled, _)) = self.labelled()? else {
            return Err(CampaignError::request("there are no labels to choose by"));
        };
        let protocol = Protocol {
            start: Start::Given(labelled),
            n_queries: 1,
            n_steps: None,
            pool: Pool::Candidates(candidates.x.clone()),
        };
        let space = self.subject.space().clone();
        let mut campaign = Campaign::new(space, Arc::from(found.strategy), protocol, self.round_seeds(round))?;
        let flying = self.in_flight().filter_map(|point| point.unit.as_deref()).collect::<Vec<_>>();
        let flying = self.subject.array(flying.into_iter());
        // A rule that draws judges the whole domain: near failed points it is less likely to draw, not unable to.
        let feasible = if found.card.draws() { Feasibility::of(&self.state, self.subject.scaling()) } else { None };
        let odds = feasible
            .as_ref()
            .map(|model| -> Vec<f64> { candidates.x.outer_iter().map(|point| model.keeps(&point.to_vec())).collect() });
        let ask = Ask {
            n_queries: Some(n),
            in_flight: Some(flying.view()),
            clock: None,
            odds: odds.as_deref(),
            stop: Some(stop),
        };
        let Some(decision) = campaign.absorb_for(&*model.surrogate, &ask)? else {
            return Ok(self.round(round, found.card.id, n_labelled, candidates.told, fixed, Vec::new()));
        };
        let rows = decision.candidate_rows.clone().unwrap_or_default();
        let mut points = self.points(&candidates, &rows, known, Some(model))?;
        for (k, point) in points.iter_mut().enumerate() {
            let of =
                |numbers: &Option<ndarray::Array1<f64>>| numbers.as_ref().and_then(|numbers| numbers.get(k).copied());
            // NaN of a pick that the rule left to another.
            point.score = of(&decision.proposal.picked_scores).filter(|score| score.is_finite());
            // The passive baseline draws one after the other, each of those left alike.
            let even = (found.card.id == "random").then(|| 1.0 / (candidates.x.nrows() - k) as f64);
            point.probability = of(&decision.proposal.probabilities).or(even);
        }
        let mut drawn = self.round(round, found.card.id, n_labelled, candidates.told, fixed, points);
        drawn.candidates.weighted =
            feasible.filter(|_| decision.proposal.probabilities.is_some()).map(|model| model.auc);
        drawn.settings = found.settings;
        drawn.notes = decision.notes;
        drawn.notes.extend(model.remark());
        Ok(drawn)
    }

    /// Whether rounds choose from the rows of a table.
    pub(crate) fn is_tabled(&self) -> bool {
        self.listed().is_some() || self.sampled().is_some()
    }

    /// Candidates for a round of `wanted` points that are admitted, not known, and hold what is fixed; of a list its
    /// rows, of a sample as many of its rows.
    fn candidates(
        &self,
        round: usize,
        wanted: usize,
        n: usize,
        fixed: &[(String, Cell)],
        known: &[&[f64]],
    ) -> Result<Drawing, CampaignError> {
        self.candidates_of(STREAMS.0, round, wanted, n, fixed, known)
    }

    /// The same from a stream of the round; only those of the first are left out near failed points.
    fn candidates_of(
        &self,
        number: usize,
        round: usize,
        wanted: usize,
        n: usize,
        fixed: &[(String, Cell)],
        known: &[&[f64]],
    ) -> Result<Drawing, CampaignError> {
        let fixed = self.fixed_columns(fixed)?;
        let mut filter = self.filter(known);
        let mut rows: Vec<f64> = Vec::new();
        if let Some(table) = self.listed() {
            let mut free = Vec::new();
            for (row, point) in table.outer_iter().enumerate() {
                let holds = fixed.iter().all(|&(column, value)| point[column] == value);
                if holds && filter.take_unit(point)?.is_some() {
                    free.push(row);
                }
            }
            let told = Candidates { n: free.len(), drawn: table.nrows(), ..Candidates::default() };
            return Ok(Drawing { x: table.select(Axis(0), &free), told });
        }
        let stream = self.round_seeds(round).candidates(number);
        let n_columns = self.subject.space().n_columns();
        if let Some(sample) = self.sampled() {
            let mut order: Vec<usize> = (0..sample.nrows()).collect();
            order.shuffle(&mut stream.purpose("rows").rng());
            for row in order {
                if rows.len() == n * n_columns {
                    break;
                }
                let mut point = sample.row(row).to_owned();
                fixed.iter().for_each(|&(column, value)| point[column] = value);
                rows.extend(filter.take_unit(point.view())?.into_iter().flat_map(|(_, unit)| unit));
            }
            let x = self.subject.array(rows.chunks_exact(n_columns));
            let stream = format!("campaign/{round}, seed {}, candidates {number}, rows of the sample", self.file.seed);
            return Ok(Drawing { told: drawn_of(&x, stream, &filter), x });
        }
        // Rules that draw judge the model by their draws over the whole domain: for them no candidate is left out, but
        // the score near failed points is lowered.
        let whole = number != STREAMS.0 || dal_acq::card(&self.file.strategy)?.draws();
        let feasible = if whole { None } else { Feasibility::of(&self.state, self.subject.scaling()) };
        let (mut dice, mut left_out) = (stream.purpose("feasibility").rng(), 0);
        // The places of candidates that rather fail.
        let mut doubtful: Vec<usize> = Vec::new();
        let size = n.max(SMALLEST_BLOCK);
        // Of a space with few points there may be fewer than wanted: a draw that brings nothing new ends the search.
        for block in 0.. {
            let mut x = self.subject.space().sample(size, &stream.index(block));
            for &(column, value) in &fixed {
                x.column_mut(column).fill(value);
            }
            let before = (rows.len(), filter.admitted);
            for point in x.outer_iter() {
                if rows.len() == n * n_columns {
                    break;
                }
                let Some((_, unit)) = filter.take_unit(point)? else { continue };
                // Near points that failed a candidate stays with the probability of an answer there.
                match feasible.as_ref().map(|model| model.keeps(&unit)) {
                    Some(keeps) if dice.random::<f64>() >= keeps => left_out += 1,
                    keeps => {
                        if keeps.is_some_and(|keeps| keeps < DOUBTFUL) {
                            doubtful.push(rows.len() / n_columns);
                        }
                        rows.extend(unit);
                    }
                }
            }
            if rows.len() == n * n_columns || (rows.len() == before.0 && filter.admitted > before.1) {
                break;
            }
            filter.check()?;
        }
        // Where points fail nothing is labelled, so that a rule that goes where it knows least would go nowhere else:
        // only so many doubtful candidates stay as a tenth of the round, unless too few others are left to choose from.
        let others = rows.len() / n_columns - doubtful.len();
        let quota = (RISKED * wanted as f64).max((10 * wanted) as f64 - others as f64);
        if doubtful.len() as f64 > quota {
            let stays = quota / doubtful.len() as f64;
            doubtful.retain(|_| dice.random::<f64>() >= stays);
            left_out += doubtful.len();
            let mut leaving = doubtful.iter().peekable();
            let kept = rows.chunks_exact(n_columns).enumerate();
            let kept = kept.filter(|(place, _)| leaving.next_if(|leaves| **leaves == *place).is_none());
            rows = kept.flat_map(|(_, row)| row.iter().copied()).collect();
        }
        let x = self.subject.array(rows.chunks_exact(n_columns));
        let stream = format!("campaign/{round}, seed {}, candidates {number}, blocks of {size}", self.file.seed);
        let thinned = feasible.map(|model| Thinned { n: left_out, auc: model.auc });
        Ok(Drawing { told: Candidates { thinned, ..drawn_of(&x, stream, &filter) }, x })
    }

    /// What leaves out points that are known or do not meet the constraints.
    fn filter(&self, known: &[&[f64]]) -> Filter<'_> {
        let mut filter = Filter::new(&self.subject, &self.constraints);
        known.iter().for_each(|unit| filter.know(unit));
        filter
    }

    /// The next points of the design at the beginning: one scrambled Sobol sequence a campaign, which goes on where the
    /// last round of the design ended. With held inputs, a table or more inputs than the sequence has, uniform points.
    fn designed(
        &self,
        round: usize,
        n: usize,
        fixed: &[(String, Cell)],
        known: &[&[f64]],
    ) -> Result<Drawing, CampaignError> {
        let space = self.subject.space();
        let stream = self.seeds().purpose("design");
        let inputs = space.dimensions().len();
        let plain = !fixed.is_empty() || self.is_tabled();
        if plain || sobol(1, inputs, 0, &stream).is_err() {
            return self.candidates(round, n, n, fixed, known);
        }
        self.sobol(INITIAL, "design", &stream, n, &[], known)
    }

    /// The next points of a Sobol sequence, which goes on behind what earlier rounds of this rule drew of it.
    fn sobol(
        &self,
        rule: &str,
        name: &str,
        stream: &SeedPath,
        n: usize,
        fixed: &[(usize, f64)],
        known: &[&[f64]],
    ) -> Result<Drawing, CampaignError> {
        let inputs = self.subject.space().dimensions().len();
        let begun = self.state.rounds().iter().filter(|round| round.rule == rule);
        let first: usize = begun.map(|round| round.candidates.drawn).sum();
        let told = format!("campaign, seed {}, {name}, Sobol points from {first} on", self.file.seed);
        self.quantiles(n, fixed, known, told, &mut |block| {
            sobol(SMALLEST_BLOCK, inputs, first + block * SMALLEST_BLOCK, stream)
                .map_err(|error| CampaignError::request(error.to_string()))
        })
    }

    /// The first `n` points of these blocks of quantiles that are admitted and not known; inputs that are held are put
    /// in place. Of a space with few points there may be fewer.
    fn quantiles(
        &self,
        n: usize,
        fixed: &[(usize, f64)],
        known: &[&[f64]],
        stream: String,
        block: &mut dyn FnMut(usize) -> Result<Array2<f64>, CampaignError>,
    ) -> Result<Drawing, CampaignError> {
        let mut filter = self.filter(known);
        let mut rows: Vec<f64> = Vec::new();
        let n_columns = self.subject.space().n_columns();
        for number in 0.. {
            let mut x = self.subject.space().at_quantiles(block(number)?.view());
            for &(column, value) in fixed {
                x.column_mut(column).fill(value);
            }
            let before = (rows.len(), filter.admitted);
            for point in x.outer_iter() {
                if rows.len() == n * n_columns {
                    break;
                }
                if let Some((_, unit)) = filter.take_unit(point)? {
                    rows.extend(unit);
                }
            }
            if rows.len() == n * n_columns || (rows.len() == before.0 && filter.admitted > before.1) {
                break;
            }
            filter.check()?;
        }
        let x = self.subject.array(rows.chunks_exact(n_columns));
        Ok(Drawing { told: drawn_of(&x, stream, &filter), x })
    }

    /// The next points of a rule that fills the space and looks at no answer, going on from round to round; none for
    /// other rules. Of a table they are where its rows are to be near.
    fn passive(
        &self,
        rule: &str,
        round: usize,
        n: usize,
        fixed: &[(String, Cell)],
        known: &[&[f64]],
    ) -> Result<Option<Drawing>, CampaignError> {
        let fixed = self.fixed_columns(fixed)?;
        let inputs = self.subject.space().dimensions().len();
        // What a table's rows are to be near need not be new, nor one of them.
        let listed = self.is_tabled();
        let new = if listed { &[][..] } else { known };
        match rule {
            "sobol" => self.sobol(rule, rule, &self.seeds().purpose(rule), n, &fixed, new).map(Some),
            "lhs" => {
                let x = self.subject.array(known.iter().copied());
                let existing = self.subject.space().quantiles(x.view())?;
                let stream = self.round_seeds(round).strategy(0);
                let told = format!("campaign/{round}, seed {}, strata that known points leave", self.file.seed);
                let mut draw = |block| {
                    let size = if block == 0 { n } else { n.max(SMALLEST_BLOCK) };
                    Ok(latin_hypercube(size, existing.view(), &stream.index(block as u64)))
                };
                debug_assert_eq!(existing.ncols(), inputs);
                self.quantiles(n, &fixed, new, told, &mut draw).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Columns of the unit box that are held, with their values.
    fn fixed_columns(&self, fixed: &[(String, Cell)]) -> Result<Vec<(usize, f64)>, CampaignError> {
        let subject = &self.subject;
        let mut columns = Vec::new();
        for (name, cell) in fixed {
            let Some(index) = subject.names().iter().position(|known| known == name) else {
                let known = subject.names().join(", ");
                return Err(CampaignError::request(format!("there is no input `{name}`; there are: {known}")));
            };
            let Some(held) = subject.columns_at(index, cell.clone())? else {
                return Err(CampaignError::request(format!(
                    "{name} = {cell} lies outside the input's range or levels"
                )));
            };
            columns.extend(held);
        }
        Ok(columns)
    }

    /// Chosen candidates as points with numbers of their own, and why they were chosen.
    fn points(
        &self,
        candidates: &Drawing,
        rows: &[usize],
        known: &[&[f64]],
        model: Option<&Model>,
    ) -> Result<Vec<Drawn>, CampaignError> {
        let x = candidates.x.select(Axis(0), rows);
        let predicted = model.map(|model| predictions(&*model.surrogate, &x)).transpose()?;
        let disagreement = model.map(|model| disagreement(&*model.surrogate, &x)).transpose()?.flatten();
        let mut points: Vec<Drawn> = Vec::with_capacity(rows.len());
        for (k, (&row, point)) in rows.iter().zip(x.outer_iter()).enumerate() {
            let near = |other: &[f64]| distance(point.iter(), other);
            let earlier = x.outer_iter().take(k).map(|other| distance(point.iter(), other.iter()));
            let nearest = known.iter().map(|other| near(other)).chain(earlier).min_by(f64::total_cmp);
            points.push(Drawn {
                id: self.state.next_id() + k as u64,
                x: self.subject.cells(point)?,
                candidate: row,
                score: None,
                disagreement: disagreement.as_ref().map(|d| d[k]),
                distance: nearest,
                probability: None,
                predicted: predicted.as_ref().map(|p| p[k].clone()),
            });
        }
        Ok(points)
    }
}

/// How many of `n` points behind `before` others are held out: ⌊s (before + n)⌋ − ⌊s before⌋ for a share s.
fn due(share: f64, before: usize, n: usize) -> usize {
    // A share as people write it, times whole numbers: 0.1 · 30 is 3.
    let of = |k: usize| (share * k as f64 + 1e-9).floor() as usize;
    of(before + n) - of(before)
}

/// What is told of candidates from a stream.
fn drawn_of(x: &Array2<f64>, stream: String, filter: &Filter<'_>) -> Candidates {
    Candidates { n: x.nrows(), stream, drawn: filter.drawn, ..Candidates::default() }
}

/// For each point in turn the nearest candidate that no earlier one took; the lowest of equally near ones.
fn nearest_left(points: ArrayView2<'_, f64>, candidates: ArrayView2<'_, f64>) -> Vec<usize> {
    let mut picked: Vec<usize> = Vec::new();
    for point in points.outer_iter() {
        let left = candidates.outer_iter().enumerate().filter(|(row, _)| !picked.contains(row));
        let distances = left.map(|(row, candidate)| (row, distance(point.iter(), candidate.iter())));
        picked.extend(distances.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row));
    }
    picked
}

/// Mean and members' standard deviation at each point, in the outputs' own units; the latter is empty without members.
pub(crate) fn predictions(surrogate: &dyn Surrogate, x: &Array2<f64>) -> Result<Vec<Predicted>, CampaignError> {
    let mean = surrogate.mean(x.view())?;
    let variance = surrogate.uncertainty().map(|uncertainty| uncertainty.moments(x.view())).transpose()?;
    let rows = mean.outer_iter().enumerate().map(|(row, mean)| Predicted {
        mean: mean.to_vec(),
        sd: variance.as_ref().map_or_else(Vec::new, |m| m.variance.row(row).iter().map(|v| v.sqrt()).collect()),
    });
    Ok(rows.collect())
}

/// The root of the variance in model units, averaged over outputs, at each point.
pub(crate) fn disagreement(surrogate: &dyn Surrogate, x: &Array2<f64>) -> Result<Option<Vec<f64>>, CampaignError> {
    let surrogate = surrogate.model_units().map_or(surrogate, |units| units.surrogate);
    let Some(uncertainty) = surrogate.uncertainty() else { return Ok(None) };
    let variance = uncertainty.moments(x.view())?.variance;
    Ok(Some(variance.outer_iter().map(|row| (row.sum() / row.len() as f64).sqrt()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_set_later_makes_up_for_nothing() {
        // Twenty-four points came before; of five that are asked one by one, one is held out.
        assert_eq!((24..29).map(|before| due(0.25, before, 1)).sum::<usize>(), 1);
        assert_eq!((due(0.25, 0, 8), due(0.1, 20, 10), due(0.9, 3, 10)), (2, 1, 9));
        // However the points are cut into rounds, the share is kept.
        for size in 1..9 {
            let held: usize = (0..36).map(|round| due(0.3, round * size, size)).sum();
            assert_eq!(held, due(0.3, 0, 36 * size));
        }
    }
}
