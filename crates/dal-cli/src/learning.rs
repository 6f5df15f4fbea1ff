//! What did not learn, in words: a model in progress, and what stands at the end of a sweep or in a store.

use dal_bench::{Learning, MemberPlace, member_counts};
use dal_eval::MemberCounts;
use dal_store::EntryRecord;

/// What to say of a model that has not learned, or some of whose members have not.
pub fn unlearned(record: &EntryRecord) -> String {
    let mut words = String::new();
    if record.learned == Some(false) {
        words += ", has not learned";
    }
    let members = member_counts(&record.members);
    for (n, what) in [(members.collapsed, "collapsed"), (members.unsettled, "unsettled")] {
        if n > 0 {
            words += &format!(", {n} of {} members {what}", members.trained);
        }
    }
    if members.restarts > 0 {
        words += &format!(", members trained anew: {}", members.restarts);
    }
    words
}

/// Runs and places that are listed of what did not learn.
const SHOWN_UNLEARNED: usize = 5;

/// Lines about what did not learn; none where everything did.
pub fn learning_lines(learning: &Learning) -> Vec<String> {
    let mut lines = Vec::new();
    let shortened = |mut all: Vec<String>| {
        let more = all.len().saturating_sub(SHOWN_UNLEARNED);
        all.truncate(SHOWN_UNLEARNED);
        all.extend((more > 0).then(|| format!("{more} more")));
        all.join(", ")
    };
    if !learning.not_learned.is_empty() {
        lines.push(format!(
            "{} of {} runs have not learned (their last test error is not below the variance of the test labels): {}",
            learning.not_learned.len(),
            learning.known,
            shortened(learning.not_learned.clone())
        ));
    }
    // The worst first; places are in order, and the sort keeps that.
    let worst = |bad: fn(&MemberCounts) -> (usize, usize), words: fn(&MemberCounts) -> String| {
        let mut places: Vec<&MemberPlace> = learning.places.iter().filter(|p| bad(&p.members) != (0, 0)).collect();
        places.sort_by_key(|p| std::cmp::Reverse(bad(&p.members)));
        let place = |p: &MemberPlace| format!("{} at step {} ({})", p.directory, p.entry, words(&p.members));
        shortened(places.into_iter().map(place).collect())
    };
    let MemberCounts { trained, collapsed, unsettled, restarts } = learning.members;
    if collapsed + unsettled > 0 {
        lines.push(format!(
            "of {trained} trained members {collapsed} collapsed (they predict hardly better than a constant) and {unsettled} are \
             unsettled (their loss ends in a spike); most at {}",
            worst(
                |m| (m.collapsed, m.unsettled),
                |m| format!("{} and {} of {}", m.collapsed, m.unsettled, m.trained)
            )
        ));
    }
    if restarts > 0 {
        lines.push(format!(
            "members that had collapsed were trained anew, {restarts} trainings for {trained} members; most at {}",
            worst(|m| (m.restarts, 0), |m| format!("{} for {}", m.restarts, m.trained))
        ));
    }
    lines
}
