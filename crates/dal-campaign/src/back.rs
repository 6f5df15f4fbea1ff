//! Taking back: points that are not wanted any more, and the last word.

use std::collections::HashSet;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::words::{What, Withdrawn, undone};

impl Folder {
    /// These points are not wanted any more: they are not handed out again, and rounds to come need not keep away from
    /// them. How many there are: a number that is named twice is one point.
    ///
    /// # Errors
    /// A number that no point has, a point that has an answer or failed; nothing is withdrawn then.
    pub fn withdraw(&mut self, ids: &[u64]) -> Result<usize, CampaignError> {
        let mut seen = HashSet::new();
        let ids: Vec<u64> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        for &id in &ids {
            let Some(point) = self.state().point(id) else {
                return Err(CampaignError::request(format!("there is no point {id}; nothing was withdrawn")));
            };
            if !point.is_pending() {
                let state = point.status().id();
                return Err(CampaignError::request(format!(
                    "point {id} is {state} already; nothing was withdrawn (`dal undo` takes back what was said last)"
                )));
            }
        }
        if ids.is_empty() {
            return Err(CampaignError::request("name the points to withdraw by their ids"));
        }
        let n = ids.len();
        self.say(What::Withdrawn(Withdrawn { ids }))?;
        Ok(n)
    }

    /// Takes the last word back that was said and not taken back yet, and says in words which it was. The log keeps
    /// both.
    ///
    /// # Errors
    /// Nothing that could be taken back.
    pub fn undo(&mut self) -> Result<String, CampaignError> {
        let undone = undone(self.words());
        let last = self.words().iter().rev().find(|word| word.what.can_be_undone() && !undone.contains(&word.n));
        let Some((word, what)) = last.map(|word| (word.n, word.what.in_words())) else {
            return Err(CampaignError::request("nothing was said that could be taken back"));
        };
        self.say(What::Undone { word })?;
        Ok(what)
    }
}
