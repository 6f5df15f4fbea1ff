//! Where a campaign stands: points by state, the model and its errors, what is pending and for how long.

use crate::folder::Folder;
use crate::state::{Part, Status};
use crate::words::{Errors, Round};

/// Where a campaign stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// How many points are in each state, in the order of [`Status::ALL`].
    pub counts: Vec<(Status, usize)>,
    /// Points with an answer that were never asked for.
    pub adopted: usize,
    /// Answers that a model can learn, replicates included.
    pub labels: usize,
    /// Points with an answer that are held out of learning, and those of audits.
    pub held_out: (usize, usize),
    /// Points with an answer that it cannot learn: outside the problem file's present bounds, or a value that the
    /// output's transform cannot take.
    pub unusable: Vec<u64>,
    /// Failed points by kind of failure.
    pub failures: Vec<(String, usize)>,
    /// Points without an answer.
    pub pending: Vec<Waiting>,
    /// The last round.
    pub last: Option<Round>,
    /// The errors of the last rounds' models, in order, with the labels that they were taken over.
    pub errors: Vec<Errors>,
    /// The network in use, in words, and the labels that it was chosen at.
    pub network: Option<(String, usize)>,
}

/// A point without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its number.
    pub id: u64,
    /// Its state.
    pub status: Status,
    /// Seconds since it was drawn, handed out, started or lost.
    pub seconds: f64,
    /// To whom it was handed out.
    pub owner: Option<String>,
    /// Seconds until it is asked for again; negative where it can be handed out now.
    pub left: Option<f64>,
    /// Its last failure for the machine's sake, and how many there were.
    pub loss: Option<(String, usize)>,
}

impl Folder {
    /// Points of the present domain with an answer that are held out of learning, and those of audits.
    pub fn held_out_here(&self) -> (usize, usize) {
        let here = self.rounds_here();
        let count = |part| {
            let answered = self.state().points().filter(|point| point.part == part && !point.answers.is_empty());
            answered.filter(|point| point.drawn.is_some_and(|(round, _)| here.contains(&round))).count()
        };
        (count(Part::HeldOut), count(Part::Audit))
    }

    /// Where the campaign stands. Nothing is trained for it.
    pub fn standing(&self) -> Standing {
        let state = self.state();
        let count = |status| state.points().filter(|point| point.status() == status).count();
        let of = |part| state.points().filter(|point| point.part == part && !point.answers.is_empty()).count();
        let scaling = self.subject().scaling();
        let usable = |values: &Vec<f64>| scaling.check(values).is_ok();
        let mut failures: Vec<(String, usize)> = Vec::new();
        for point in state.points().filter(|point| point.status() == Status::Failed) {
            let kind = point.failure.as_ref().map_or("", |failure| &failure.kind);
            match failures.iter_mut().find(|(known, _)| known == kind) {
                Some((_, n)) => *n += 1,
                None => failures.push((kind.to_owned(), 1)),
            }
        }
        let now = self.now();
        let pending = state.pending().map(|point| Waiting {
            id: point.id,
            status: point.status(),
            seconds: (now - point.since).max(0.0),
            owner: point.lease.as_ref().and_then(|lease| lease.owner.clone()),
            left: point.lease.as_ref().and_then(|lease| lease.until).map(|until| until - now),
            loss: point.loss.as_ref().map(|loss| (loss.to_string(), point.losses)),
        });
        Standing {
            counts: Status::ALL.into_iter().map(|status| (status, count(status))).collect(),
            adopted: state.points().filter(|point| point.drawn.is_none()).count(),
            labels: state
                .points()
                .filter(|point| point.unit.is_some() && point.part == Part::Learned)
                .map(|point| point.answers.iter().filter(|values| usable(values)).count())
                .sum(),
            held_out: (of(Part::HeldOut), of(Part::Audit)),
            unusable: state
                .points()
                .filter(|point| !point.answers.is_empty())
                .filter(|point| point.unit.is_none() || !point.answers.iter().any(usable))
                .map(|point| point.id)
                .collect(),
            failures,
            pending: pending.collect(),
            last: state.rounds().last().cloned(),
            errors: state.rounds().iter().filter_map(|round| round.errors.clone()).collect(),
            network: state.choice().map(|choice| (choice.model().to_string(), choice.n_labelled)),
        }
    }
}
