//! How sure the verdicts are, and what the seeds at hand can decide.

use dal_eval::{Standing, Verdict, seeds_for_robust, seeds_to_reach};

use super::{Statement, hesitation, methods_with, seed_range, state};
use crate::findings::{Deciding, Findings, Judged, Part};
use crate::text::{count, list, number};

/// Whether there are verdicts at all: not before the first planned look, nor where plans differ.
pub(super) fn has_verdicts(part: &Part) -> bool {
    let of = |judged: &Judged| !judged.plans_differ && judged.standing.is_none_or(|s| s.verdicts().is_some());
    part.judged.as_ref().is_none_or(of)
}

/// The level of verdicts.
fn level(part: &Part, findings: &Findings) -> f64 {
    part.judged.as_ref().map_or(findings.rules.level, |judged| judged.level)
}

/// The fewest seeds of any cell that verdicts rest on.
fn fewest(part: &Part) -> usize {
    part.judged.as_ref().map_or_else(|| seed_range(part).0, |judged| judged.fewest_seeds)
}

/// Paired seeds from which on "robust", and "worse somewhere", become possible at all.
fn needed(part: &Part, findings: &Findings) -> (usize, usize) {
    let half_level = level(part, findings) / 2.0;
    let (n_methods, n_problems) = part.judged.as_ref().map_or((1, 1), |j| (j.n_of_look.max(1), j.n_problems.max(1)));
    let or_never = |n: Option<usize>| n.unwrap_or(usize::MAX);
    (or_never(seeds_for_robust(half_level, n_methods)), or_never(seeds_to_reach(half_level, n_problems)))
}

/// Whether no method could be called robust, whatever the numbers.
pub(super) fn too_few(part: &Part, findings: &Findings) -> bool {
    fewest(part) < needed(part, findings).0
}

/// What verdicts rest on, in words; with too few seeds, what cannot be decided.
pub(super) fn certainty(part: &Part, findings: &Findings) -> String {
    let Some(judged) = &part.judged else {
        return "Nothing was judged: no method was run on a problem that takes part in rankings.".into();
    };
    let fewest = fewest(part);
    let (robust, worse) = needed(part, findings);
    let alone = seeds_to_reach(level(part, findings) / 2.0, 1).unwrap_or(usize::MAX);
    let of_methods = if judged.n_of_look > 1 { format!(" with {} methods", judged.n_of_look) } else { String::new() };
    let mut looks = judged.standing.map(|standing| standing_words(&standing)).unwrap_or_default();
    for (look, methods) in &judged.earlier {
        looks += &format!(
            " Those of {} are of the look at {} (level {} %), the last that they were given seeds for.",
            list(methods),
            count(look.seeds, "seed"),
            number(100.0 * look.level)
        );
    }
    if !judged.replanned.is_empty() {
        let plans: Vec<String> = judged.replanned.iter().map(usize::to_string).collect();
        looks += &format!(
            " These runs were planned with {} seeds: where seeds were added or left out for what a page said of them, its verdicts \
             have no level and are exploratory. Looks that a sweep file fixes beforehand keep it.",
            list(&plans)
        );
    }
    if judged.plans_differ {
        return "The sweeps behind these runs plan different looks, or some plan none, or the record of one is not there, so \
                that no verdict would have a level: there are estimates and intervals, no verdicts, and what is said of them is exploratory. Give each sweep a \
                store of its own, or make pages of each one's tables."
            .into();
    }
    if !has_verdicts(part) {
        return format!("Runs are paired by seed.{looks}");
    }
    if fewest < alone {
        return format!(
            "With {} nothing can be decided, whatever the numbers: \"robust\" needs at least {robust} paired seeds{of_methods}, \
             \"worse somewhere\" {alone}, and {worse} where it is so on every problem. What is said here is what it looks like so \
             far.{looks}",
            count(fewest, "seed")
        );
    }
    let open = methods_with(part, |v| matches!(v, Verdict::Undecided(_)));
    // Methods by the reason.
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for m in &open {
        let Some(Verdict::Undecided(why)) = m.robustness.as_ref().map(|r| &r.verdict) else { continue };
        let why = hesitation(why);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, methods)) => methods.push(m.id.clone()),
            None => reasons.push((why, vec![m.id.clone()])),
        }
    }
    let reasons: Vec<String> = reasons.iter().map(|(why, methods)| format!("{} ({why})", list(methods))).collect();
    let undecided = match reasons.is_empty() {
        true => String::new(),
        false => format!(" Neither shown to be safe nor shown to lose: {}.", reasons.join("; ")),
    };
    let half = number(50.0 * level(part, findings));
    let begin = if fewest < robust {
        format!(
            "With {} no method can be called robust, whatever the numbers: that takes {robust}{of_methods}. That one is worse \
             somewhere can be decided. ",
            count(fewest, "seed")
        )
    } else {
        String::new()
    };
    let simulated = if judged.monte_carlo_error > 0.0 {
        format!(" Adjusted p are simulated, to {}.", number(judged.monte_carlo_error))
    } else {
        String::new()
    };
    format!(
        "{begin}Runs are paired by seed. The chance of any false \"better\" over all cells of all methods ({} tested) is at most {half} \
         %, that of any false \"worse\" and of any false \"robust\" as much each.{simulated}{looks}{undecided}",
        count(judged.n_tested, "cell")
    )
}

/// Where a sweep stands between its planned looks.
fn standing_words(standing: &Standing) -> String {
    let percent = |level: f64| number(100.0 * level);
    match *standing {
        Standing::Before { next } => format!(
            " Verdicts are planned at {} (level {} %); until then there are estimates and intervals of the seeds \
             that are over, no verdicts.",
            count(next.seeds, "seed"),
            percent(next.level)
        ),
        Standing::At { look } => {
            format!(" This is the planned look at {}, level {} %.", count(look.seeds, "seed"), percent(look.level))
        }
        Standing::Between { passed, next } => format!(
            " Verdicts are those of the planned look at {} (level {} %), on its seeds alone; estimates and intervals are of all \
             seeds that are over. The next look is at {}.",
            count(passed.seeds, "seed"),
            percent(passed.level),
            count(next.seeds, "seed")
        ),
        Standing::Beyond { last, extra } => format!(
            " Verdicts are those of the last planned look, at {} (level {} %); {} beyond it were added by choice, and what rests on \
             them is exploratory.",
            count(last.seeds, "seed"),
            percent(last.level),
            count(extra, "seed")
        ),
    }
}

/// What effects the seeds at hand can decide.
pub(super) fn deciding(part: &Part) -> Option<Statement> {
    let Deciding { seeds, spreads, effects } = part.judged.as_ref()?.deciding.as_ref()?;
    let percent = |factor: f64| number((1000.0 * (factor - 1.0).abs()).round() / 10.0);
    let on_each = |of: &dyn Fn(f64) -> String| match spreads.as_slice() {
        [(_, sd)] => of(*sd),
        several => list(&several.iter().map(|(problem, sd)| format!("{} on {problem}", of(*sd))).collect::<Vec<_>>()),
    };
    let chance = number(100.0 * Deciding::POWER);
    let robust = effects.robust.map(|x| {
        let by = on_each(&|sd| format!("{} %", percent((-x * sd).exp())));
        format!("a method better by {by} in every cell is called robust")
    });
    let worse = effects.worse.map(|x| {
        let by = on_each(&|sd| format!("{} %", percent((x * sd).exp())));
        format!("a single cell worse by {by} is found")
    });
    let found: Vec<String> = [&robust, &worse].into_iter().flatten().cloned().collect();
    // With seeds for neither, what cannot be decided is said above.
    let (first, rest) = found.split_first()?;
    let rest = rest.first().map(|rest| format!("; {rest}")).unwrap_or_default();
    let each = if rest.is_empty() { "" } else { " each" };
    let never = if robust.is_none() { " No effect, however large, makes a method robust yet." } else { "" };
    Some(state(
        "What can be decided",
        format!(
            "With {} and the spread seen between seeds (standard deviation of a cell's ln ratio: {}), with a chance of {chance} \
             %{each}: {first}{rest}. Smaller effects are mostly left undecided.{never}",
            count(*seeds, "seed"),
            on_each(&|sd| number((1000.0 * sd).round() / 1000.0))
        ),
    ))
}
