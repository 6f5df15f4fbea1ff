//! What did not learn: problems, runs, members, and the networks that methods train for themselves.

use dal_eval::MemberCounts;

use super::{Statement, state};
use crate::findings::{AuxiliaryFinding, Learning, Part};
use crate::text::{count, list, number, ratio_name};

/// Problems that Random itself does not learn, or whose runs were judged on different test labels.
pub(super) fn left_out(part: &Part) -> Option<Statement> {
    let left: Vec<String> = part
        .problems
        .iter()
        .filter(|p| !p.is_ranked())
        .map(|p| {
            if p.tests_differ {
                return format!("{} (network {}): its runs were judged on different test labels", p.id, p.preset());
            }
            let share = p.learnability.map(|l| number(l.share)).unwrap_or_default();
            format!("{} (network {}): its last error is {share} of the variance", p.id, p.preset())
        })
        .collect();
    let why = match part.problems.iter().any(|p| p.tests_differ) {
        false => "Random sampling itself does not learn these, so that comparing methods on them would compare noise",
        true => "Random sampling itself does not learn these, or errors there are of different test labels",
    };
    let what = "they are in no verdict, average or rank, as a whole and whatever the methods did there:";
    (!left.is_empty()).then(|| Statement { items: left, ..state("Left out of rankings", format!("{why}; {what}")) })
}

/// What the models of a method learned, in every one of its cells: names of places with it, Random first. Runs that
/// several cells share are there once.
fn by_method(part: &Part) -> Vec<(&str, Vec<(String, &Learning)>)> {
    let random = part.problems.iter().map(|p| (p.id.clone(), &p.random_learning)).collect();
    let of_method = part.methods.iter().map(|m| {
        let cells = m.cells.iter().enumerate().flat_map(|(p, row)| {
            let learning: Vec<(usize, &Learning)> =
                row.iter().enumerate().filter_map(|(g, cell)| Some((g, &cell.as_ref()?.learning))).collect();
            let problem = &part.problems[p].id;
            let same = |g: usize, l: &Learning| {
                learning.iter().filter(|(other, of)| *other != g && of.names == l.names).map(|(other, _)| *other).min()
            };
            let places = learning.iter().filter_map(|&(g, l)| match same(g, l) {
                Some(other) if other < g => None,
                Some(_) => Some((problem.clone(), l)),
                None => Some((format!("{problem} at {}", ratio_name(part.pool_ratios[g])), l)),
            });
            places.collect::<Vec<_>>()
        });
        (m.id.as_str(), cells.collect())
    });
    std::iter::once(("random", random)).chain(of_method).collect()
}

fn times(n: usize) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// Runs and members that did not learn, by method; nothing is left out for it.
pub(super) fn not_learned(part: &Part) -> Option<Statement> {
    let methods = by_method(part);
    let all = || methods.iter().flat_map(|(_, cells)| cells).map(|(_, l)| *l);
    let trained: usize = all().map(|l| l.members.trained).sum();
    let known: usize = all().map(|l| l.known).sum();
    if trained + known == 0 {
        return None;
    }
    let mut items = Vec::new();
    let mut has_restarts = false;
    for (id, cells) in &methods {
        let runs: usize = cells.iter().map(|(_, l)| l.not_learned.len()).sum();
        let members = cells.iter().map(|(_, l)| l.members).fold(MemberCounts::default(), MemberCounts::plus);
        if runs == 0 && members.are_fine() {
            continue;
        }
        let bad = |l: &Learning| {
            let MemberCounts { collapsed, unsettled, restarts, .. } = l.members;
            (l.not_learned.len(), collapsed, unsettled, restarts)
        };
        let most = cells.iter().max_by_key(|(_, l)| bad(l));
        let mut words = Vec::new();
        if runs > 0 {
            let of = cells.iter().map(|(_, l)| l.known).sum::<usize>();
            words.push(format!("{runs} of {} did not learn", count(of, "run")));
        }
        if members.collapsed > 0 {
            words.push(format!("{} of {} collapsed", members.collapsed, count(members.trained, "member")));
        }
        if members.unsettled > 0 {
            words.push(format!("{} unsettled", members.unsettled));
        }
        if members.restarts > 0 {
            words.push(format!("members were trained anew {}", times(members.restarts)));
        }
        has_restarts |= members.restarts > 0;
        let entries = most.map(|(place, l)| {
            let worst = l
                .places
                .iter()
                .max_by_key(|p| {
                    let MemberCounts { collapsed, unsettled, restarts, .. } = p.members;
                    (collapsed, unsettled, restarts, std::cmp::Reverse((p.seed, p.entry)))
                })
                .map(|p| format!(", entry {} of seed {} above all", p.entry, p.seed));
            format!("; most on {place}{}", worst.unwrap_or_default())
        });
        items.push(format!("{id}: {}{}", list(&words), entries.unwrap_or_default()));
    }
    let of = match (known, trained) {
        (known, 0) => count(known, "run"),
        (0, trained) => count(trained, "member"),
        (known, trained) => format!("{} and {}", count(known, "run"), count(trained, "member")),
    };
    let text = if items.is_empty() {
        format!("Of {of} all learned.")
    } else {
        let at_once = if has_restarts { ", or not at once" } else { "" };
        format!("Of {of} these did not learn{at_once}; none is left out of an average or a verdict for it:")
    };
    Some(Statement { items, ..state("What did not learn", text) })
}

/// Methods whose own network does not know the problem.
pub(super) fn auxiliary(part: &Part) -> Option<Statement> {
    let methods = by_method(part);
    let mut items = Vec::new();
    let mut there = 0;
    for (id, cells) in &methods {
        for (place, found) in cells.iter().filter_map(|(place, l)| Some((place, l.auxiliary?))) {
            there += 1;
            let mut words = Vec::new();
            if found.is_doubtful() {
                let variance = found.over_variance.map(|v| format!("{} of the variance, ", number(v)));
                words.push(format!(
                    "its network's test error is {}{} times the models'",
                    variance.unwrap_or_default(),
                    number(found.over_model)
                ));
            }
            if let Some(rho) = found.score_correlation.filter(|_| found.points_backwards()) {
                words.push(format!("its scores point backwards (rank correlation with the error {})", number(rho)));
            }
            if !words.is_empty() {
                items.push(format!("{id} on {place}: {}", words.join(", and ")));
            }
        }
    }
    if there == 0 {
        return None;
    }
    const SHOWN: usize = 8;
    let n = items.len();
    if n > SHOWN {
        items.truncate(SHOWN - 1);
        items.push(format!("{} more cells", n - (SHOWN - 1)));
    }
    let text = if n == 0 {
        format!(
            "No network that a method trains for itself alone has a median test error above {} of the variance, or above {} times the \
             models', or scores that point backwards.",
            number(AuxiliaryFinding::MOST_OVER_VARIANCE),
            number(AuxiliaryFinding::MOST_OVER_MODEL)
        )
    } else {
        format!(
            "Caution: in {n} of {} a method chooses by a network of its own that hardly knows the problem (median test error above {} \
             of the variance, or above {} times the models'), or whose scores point backwards. What it scores there says little about \
             the method:",
            count(there, "cell"),
            number(AuxiliaryFinding::MOST_OVER_VARIANCE),
            number(AuxiliaryFinding::MOST_OVER_MODEL)
        )
    };
    Some(Statement { items, ..state("Networks of the methods", text) })
}
