//! Asking: points to be labelled elsewhere, handed out from open ones first, then drawn.

use dal_core::Stop;
use dal_store::ProcessName;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::model::Trainer;
use crate::state::{Part, Point, State};
use crate::words::{Cell, Drawn, Leased, Round, What};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskFor {
    /// How many points; none: the batch of `campaign.toml`.
    pub n: Option<usize>,
    /// To whom they go.
    pub owner: Option<String>,
    /// Seconds after which those without an answer are asked for again; none: what `campaign.toml` says.
    pub lease: Option<f64>,
    /// Inputs that are held fixed.
    pub fixed: Vec<(String, Cell)>,
}

/// Points that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The points, in the order in which they were drawn: numbers, values, and why.
    pub points: Vec<Drawn>,
    /// How many of them had been drawn earlier: a lease ran out, or the machine failed them.
    pub n_again: usize,
    /// The numbers of those that no model will learn.
    pub held_out: Vec<u64>,
    /// The strategy's remarks.
    pub notes: Vec<String>,
}

/// The most points of a round: each is kept away from all others.
const MOST_POINTS: usize = 10_000;

impl Folder {
    /// Hands out points and says so in the log: open ones first, then new ones, which are drawn in one round.
    ///
    /// # Errors
    /// A model that cannot be trained, a strategy that cannot choose, a number of zero.
    pub fn ask(&mut self, wanted: &AskFor, trainer: Trainer<'_>, stop: &Stop) -> Result<Asked, CampaignError> {
        self.ask_for(wanted, trainer, stop, true)
    }

    /// The points that [`ask`](Self::ask) would hand out now, and nothing else.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn would_ask(&mut self, wanted: &AskFor, trainer: Trainer<'_>, stop: &Stop) -> Result<Asked, CampaignError> {
        self.ask_for(wanted, trainer, stop, false)
    }

    fn ask_for(
        &mut self,
        wanted: &AskFor,
        trainer: Trainer<'_>,
        stop: &Stop,
        keep: bool,
    ) -> Result<Asked, CampaignError> {
        let n = wanted.n.unwrap_or(self.settings().batch);
        if n == 0 {
            return Err(CampaignError::request("ask for at least one point"));
        }
        if n > MOST_POINTS {
            return Err(CampaignError::request(format!(
                "{n} points in one round are too many: ask for at most {MOST_POINTS}, and for others once these are told"
            )));
        }
        let mut asked = Asked::default();
        // Points of another subspace than the wanted one are not what was asked for.
        if wanted.fixed.is_empty() {
            asked.points = self.open_points().into_iter().take(n).collect();
            asked.n_again = asked.points.len();
            let apart = |id: &u64| self.state().point(*id).is_some_and(|point| point.part != Part::Learned);
            asked.held_out = asked.points.iter().map(|point| point.id).filter(apart).collect();
        }
        let missing = n - asked.points.len();
        if missing > 0
            && let Some((round, choice)) = self.snapshot().draw(missing, &wanted.fixed, trainer, stop)?
        {
            asked.points.extend(round.all().cloned());
            asked.held_out.extend(round.held_out.iter().map(|point| point.id));
            asked.notes.extend(round.notes.iter().cloned());
            if keep {
                self.keep_choice(choice)?;
                self.say(What::Round(Box::new(round)))?;
            }
        }
        if keep && !asked.points.is_empty() {
            let seconds = wanted.lease.or(self.settings().lease_hours.map(|hours| 3600.0 * hours));
            let leased = Leased {
                ids: asked.points.iter().map(|point| point.id).collect(),
                owner: wanted.owner.clone(),
                until: seconds.map(|seconds| self.now() + seconds),
            };
            self.say(What::Leased(leased))?;
        }
        Ok(asked)
    }

    /// Points that wait to be handed out, in the order in which they were drawn.
    pub(crate) fn open_points(&self) -> Vec<Drawn> {
        match self.is_writer() {
            true => open_points(self.state(), self.now()),
            // Who only looks cannot tell whether a process elsewhere still labels them.
            false => drawn(self.state(), &|point| point.is_open(self.now())),
        }
    }
}

/// Points that wait to be handed out or started, in the order in which they were drawn, for a process that has the log
/// to write. However often one was lost before: where fewer `attempts` are allowed since, its next loss is the last.
pub(crate) fn open_points(state: &State, now: f64) -> Vec<Drawn> {
    let this = ProcessName::this();
    drawn(state, &|point| point.waits_for(&this, now))
}

fn drawn(state: &State, of: &dyn Fn(&Point) -> bool) -> Vec<Drawn> {
    let drawn = state.rounds().iter().flat_map(Round::all);
    drawn.filter(|drawn| state.point(drawn.id).is_some_and(of)).cloned().collect()
}
