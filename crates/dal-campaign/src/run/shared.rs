//! What the loop of a run and those who label share: the folder, and what the last calls say of the program.

use std::collections::BTreeSet;
use std::sync::Arc;

use dal_core::{LabelFailure, LabelFailureKind, Oracle};
use dal_store::ProcessName;

use super::RunEvent;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::state::{Part, Status};
use crate::tell::LARGEST;
use crate::words::{Answer, Answered, Beside, Failure, Started, Told, What, is_untried, may_be_the_machines};

/// Calls in a row that failed for the program's or the machine's sake, after which a program that does not watch itself
/// counts as out of order: at least so many, and more than there are parallel calls.
fn too_many_losses(parallel: usize) -> usize {
    10.max(2 * parallel + 1)
}

/// Failures for the machine's or the program's sake after which a program that was seen to work is asked again.
const CHECKED_AGAIN: usize = 5;

/// What the loop and those who label share.
pub(super) struct Shared<'a> {
    pub(super) folder: &'a mut Folder,
    pub(super) on_event: &'a mut (dyn FnMut(&RunEvent) + Send),
    budget: usize,
    oracle: &'a Arc<dyn Oracle>,
    /// Failures for the machine's sake since the last answer.
    pub(super) losses: usize,
    /// Where that many have come, the oracle is asked whether it works before a point is given up.
    next_check: usize,
    /// The program turned out to be down: what fails of the calls that were under way then says nothing either.
    is_down: bool,
    /// As many are too many.
    too_many: usize,
    /// Since the last answer: the places of the words that said that points have none, and these points.
    without: Vec<(u64, u64)>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        folder: &'a mut Folder,
        on_event: &'a mut (dyn FnMut(&RunEvent) + Send),
        budget: usize,
        parallel: usize,
        oracle: &'a Arc<dyn Oracle>,
    ) -> Self {
        Self {
            folder,
            on_event,
            budget,
            oracle,
            losses: 0,
            next_check: 0,
            is_down: false,
            too_many: too_many_losses(parallel),
            without: Vec::new(),
        }
    }

    pub(super) fn is_over(&self, id: u64) -> bool {
        self.folder.state().point(id).is_none_or(|point| matches!(point.status(), Status::Done | Status::Failed))
    }

    pub(super) fn part(&self, id: u64) -> Option<Part> {
        self.folder.state().point(id).map(|point| point.part)
    }

    /// Keeps what the oracle said of a point. A failure that may be the machine's is the point's own at the last
    /// attempt. The place of the word that says it.
    pub(super) fn keep(&mut self, id: u64, answer: Result<&[f64], LabelFailure>) -> Result<u64, CampaignError> {
        let attempts = self.folder.settings().attempts;
        let losses = self.folder.state().point(id).map_or(0, |point| point.losses);
        let mut failed = None;
        if let Err(failure) = &answer
            && self.is_down
            && may_be_the_machines(failure.kind)
        {
            return Err(CampaignError::Down { n: 1, last: failure.to_string() });
        }
        // As for an answer that a transform cannot take: no model could learn it.
        let answer = answer.and_then(|values| match values.iter().find(|v| v.abs() > LARGEST) {
            Some(v) => Err(LabelFailure::new(
                LabelFailureKind::OutOfDomain,
                format!("an output is {v:?}, whose square has no place among 64-bit floats"),
            )),
            None => Ok(values),
        });
        let answer = match answer {
            Ok(values) => {
                self.losses = 0;
                Answer::Values(values.to_vec())
            }
            Err(failure) => {
                let untried = failure.kind == LabelFailureKind::NotTried;
                let again = untried || (may_be_the_machines(failure.kind) && losses + 1 < attempts);
                let told = Failure::from(&failure);
                failed = Some((told.clone(), again));
                self.losses = match may_be_the_machines(failure.kind) {
                    true => self.losses + usize::from(!untried),
                    false => 0,
                };
                if again { Answer::Lost(told) } else { Answer::Failed(told) }
            }
        };
        let row = Answered { id, x: None, answer, beside: Beside::First };
        self.folder.say(What::Told(Told { source: "oracle".into(), rows: vec![row] }))?;
        let word = self.folder.words().last().map_or(0, |word| word.n);
        // What the program said of a point itself shows that it works.
        match self.losses {
            0 if !failed.as_ref().is_some_and(|(failure, _)| is_untried(&failure.kind)) => {
                self.without.clear();
                self.next_check = 0;
            }
            _ => self.without.push((word, id)),
        }
        let state = self.folder.state();
        // An audit is a count of its own.
        let audit = self.part(id) == Some(Part::Audit);
        let over = state
            .points()
            .filter(|point| (point.part == Part::Audit) == audit)
            .filter(|point| point.drawn.is_some() && matches!(point.status(), Status::Done | Status::Failed))
            .count();
        let event = RunEvent::Answered { id, failure: failed.clone(), over, budget: self.budget };
        (self.on_event)(&event);
        match failed {
            // One that watches itself was asked for a point that it can do: some crash at many points.
            Some((last, _)) if self.losses >= self.too_many && !self.oracle.watches_itself() => {
                Err(CampaignError::Down { n: self.losses, last: last.to_string() })
            }
            _ => Ok(word),
        }
    }

    /// Whether a failure would be the last that its point is asked for, with nothing but such since as many calls: then
    /// a program that is down would take points along.
    pub(super) fn gives_up(&self, id: u64, failure: &LabelFailure) -> bool {
        let attempts = self.folder.settings().attempts;
        let losses = self.folder.state().point(id).map_or(0, |point| point.losses);
        let is_counted = may_be_the_machines(failure.kind) && failure.kind != LabelFailureKind::NotTried;
        is_counted && losses + 1 >= attempts && self.losses + 1 >= attempts.max(self.next_check)
    }

    /// It answered a point that it had answered before: what failed until now stands, and is not asked about again so
    /// soon.
    pub(super) fn works(&mut self) {
        self.next_check = self.losses + 1 + CHECKED_AGAIN;
        self.without.clear();
    }

    /// Takes these words back.
    pub(super) fn take_back(&mut self, words: impl IntoIterator<Item = u64>) -> Result<(), CampaignError> {
        words.into_iter().try_for_each(|word| self.folder.say(What::Undone { word }))
    }

    /// The program was down: what it did not answer since its last answer was never asked.
    pub(super) fn forget(&mut self) -> Result<(), CampaignError> {
        let without = std::mem::take(&mut self.without);
        (self.losses, self.is_down) = (0, true);
        self.take_back(without.iter().map(|&(word, _)| word))?;
        // Each was started once more than it was over.
        let is_started = |id: &u64| self.folder.state().point(*id).is_some_and(|point| point.started.is_some());
        let ids: BTreeSet<u64> = without.iter().map(|&(_, id)| id).filter(is_started).collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.folder.say(What::Released { ids: ids.into_iter().collect() })
    }

    pub(super) fn start(&mut self, ids: Vec<u64>) -> Result<(), CampaignError> {
        self.folder.say(What::Started(Started { ids, by: ProcessName::this() }))
    }
}
