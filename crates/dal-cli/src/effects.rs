//! What effects a planned sweep can decide, from the spread between seeds that stored results show.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use dal_bench::Plan;
use dal_eval::{CurveSpan, MOST_PLANNED_SEEDS, SweepPlan, VerdictRules, detectable_effects, seeds_for_robust};
use dal_report::{BASELINE, ReportData, SeedSpread, findings, is_export, load, read_export, stands_for_every_ratio};
use dal_store::Store;

/// The chance to find an effect.
const POWER: f64 = 0.8;

/// How far the seeds of stored runs differ: over the plan's problems, or over all where there are none of these.
fn stored_spread(plan: &Plan, stored: &ReportData) -> Result<Option<(SeedSpread, bool)>> {
    let variants: BTreeSet<String> = plan.problems().iter().map(|p| p.problem().variant_id()).collect();
    let found = findings(stored, VerdictRules::default(), CurveSpan::FromInitial)?;
    let of_plan = found.seed_spread(|variant| variants.contains(variant));
    Ok(of_plan.map(|spread| (spread, true)).or_else(|| Some((found.seed_spread(|_| true)?, false))))
}

/// The runs of a store, or of tables exported from one.
///
/// # Errors
/// A folder that is neither, or cannot be read.
pub fn stored(path: &Path) -> Result<ReportData> {
    if is_export(path) {
        return Ok(read_export(path)?);
    }
    Ok(load(&Store::open(path)?)?)
}

/// What can be decided at each look, in words, given stored runs, which are read where they are needed.
///
/// # Errors
/// Runs that cannot be read, or whose figures cannot be compared.
pub fn lines(plan: &Plan, stored: impl FnOnce() -> Result<Option<ReportData>>) -> Result<Vec<String>> {
    let runs = &plan.record().runs;
    let methods: BTreeSet<&str> = runs.iter().map(|r| r.strategy.as_str()).filter(|id| *id != BASELINE).collect();
    let others = || runs.iter().filter(|r| r.strategy != BASELINE);
    let problems: BTreeSet<&str> = others().map(|r| r.problem.as_str()).collect();
    let of_pool = others().filter(|r| !stands_for_every_ratio(&r.strategy));
    let pool_ratios: BTreeSet<usize> = of_pool.map(|r| r.pool_ratio.unwrap_or(0)).collect();
    let seeds: BTreeSet<u64> = runs.iter().map(|r| r.seed).collect();
    if plan.is_timing() || methods.is_empty() || runs.iter().all(|r| r.strategy != BASELINE) {
        return Ok(Vec::new());
    }
    let rules = VerdictRules::default();
    let looks: Vec<(usize, f64)> = match plan.record().looks.as_slice() {
        [] => vec![(seeds.len(), rules.level)],
        looks => looks.iter().map(|look| (look.seeds, look.level)).collect(),
    };
    let spread = stored()?.map(|stored| stored_spread(plan, &stored)).transpose()?.flatten();
    let Some((spread, of_plan)) = spread else {
        let mut lines = vec![
            "what effects these seeds decide depends on how far seeds differ, which no stored results tell yet: \
             --spread-from names a store of like runs, or tables of one"
                .to_owned(),
        ];
        // This much is arithmetic.
        for (n_seeds, level) in looks {
            let needed = seeds_for_robust(level / 2.0, methods.len()).filter(|needed| *needed > n_seeds);
            lines.extend(needed.map(|needed| {
                format!(
                    "  {n_seeds} seeds, level {} %: no method can be called robust, whatever the numbers; with {} methods \
                     that takes {needed} seeds",
                    100.0 * level,
                    methods.len()
                )
            }));
        }
        return Ok(lines);
    };
    let whose = if of_plan { "" } else { " of other problems" };
    // Problems differ in how far seeds do; other problems' are all one can go by for those of the plan.
    let spreads = if of_plan { spread.by_problem } else { vec![(String::new(), spread.sd)] };
    let on_each = |of: &dyn Fn(f64) -> String| match spreads.as_slice() {
        [(_, sd)] => of(*sd),
        several => {
            several.iter().map(|(problem, sd)| format!("{} on {problem}", of(*sd))).collect::<Vec<_>>().join(", ")
        }
    };
    let mut lines = vec![format!(
        "seeds differ by a standard deviation of {} of a cell's ln ratio to random sampling (from {} stored cells{whose}); \
         with a chance of {} % each,",
        on_each(&|sd| format!("{sd:.3}")),
        spread.n_cells,
        100.0 * POWER
    )];
    for (n_seeds, level) in looks {
        let begin = format!("  {n_seeds} seeds, level {} %:", 100.0 * level);
        if n_seeds > MOST_PLANNED_SEEDS {
            lines.push(format!(
                "{begin} more than the {MOST_PLANNED_SEEDS} seeds that are simulated decide smaller effects"
            ));
            continue;
        }
        let effects = detectable_effects(&SweepPlan {
            n_seeds,
            sd: 1.0,
            n_methods: methods.len(),
            n_problems: problems.len(),
            n_pool_ratios: pool_ratios.len().max(1),
            level,
            power: POWER,
            seed: rules.flip_seed,
        })?;
        let percent = |x: f64| on_each(&|sd| format!("{:.1} %", 100.0 * ((x * sd).exp() - 1.0).abs()));
        let robust = match effects.robust {
            Some(x) => format!("a method better by {} in every one of its cells is called robust", percent(-x)),
            None => "no method can be called robust, whatever the numbers".to_owned(),
        };
        let worse = match effects.worse {
            Some(x) => format!("a single cell worse by {} is found", percent(x)),
            None => "no cell can be found worse".to_owned(),
        };
        lines.push(format!("{begin} {robust}; {worse}"));
    }
    Ok(lines)
}
