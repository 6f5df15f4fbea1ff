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
    let MemberCounts { trained, collapsed, unsettled } = learning.members;
    if collapsed + unsettled > 0 {
        // The worst first; places are in order, and the sort keeps that.
        let mut places: Vec<_> = learning.places.iter().collect();
        places.sort_by_key(|place| std::cmp::Reverse((place.members.collapsed, place.members.unsettled)));
        let place = |p: &MemberPlace| {
            let MemberCounts { trained, collapsed, unsettled } = p.members;
            format!("{} at step {} ({collapsed} and {unsettled} of {trained})", p.directory, p.entry)
        };
        lines.push(format!(
            "of {trained} trained members {collapsed} collapsed (they predict hardly better than a constant) and {unsettled} are \
             unsettled (their loss ends in a spike); most at {}",
            shortened(places.into_iter().map(place).collect())
        ));
    }
    lines
}
