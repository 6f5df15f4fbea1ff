//! Commands on a campaign's page: what to run next, and what repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use dal_campaign::words::{AUDIT, Beside, INITIAL, Round, Told, What, Word, undone};
use dal_campaign::{Folder, Part, Status};
use dal_report::campaign::{CampaignData, NextStep, Picks};
use dal_store::ProcessName;

use crate::output::word;

/// Points of the audit that is proposed: a quarter of the labels, within these bounds.
const AUDITED: (usize, usize) = (10, 40);
/// Rounds that are proposed at one time.
const ROUNDS: usize = 3;

/// A path without detours: `beam/../beam.toml` is `beam.toml`.
fn direct(path: &Path) -> PathBuf {
    let mut direct = PathBuf::new();
    for part in path.components() {
        let last = direct.components().next_back();
        match part {
            Component::ParentDir if matches!(last, Some(Component::Normal(_))) => {
                direct.pop();
            }
            other => direct.push(other),
        }
    }
    direct
}

/// What can be done next, the most useful first; nothing while a process is at work, whose budget is not known here.
/// `picks` is how the campaign's rule picks points.
pub(super) fn next(folder: &Folder, at: &Path, data: &CampaignData, picks: Picks) -> Vec<NextStep> {
    if data.at_work {
        return Vec::new();
    }
    let dir = word(&at.display().to_string());
    let settings = folder.settings();
    let asks_itself = folder.subject().problem().oracle().is_ok();
    let asked = folder.state().n_asked();
    let step = |command: String, why: &str| NextStep { command, why: why.to_owned() };
    let mut steps = Vec::new();
    if asked == 0 && data.labels == 0 {
        let budget = settings.budget.unwrap_or(settings.initial + ROUNDS * settings.batch);
        steps.push(match asks_itself {
            true => step(format!("dal run {dir} --budget {budget}"), "labels a first design and goes on from there"),
            false => step(
                format!("dal ask {dir} -n {} --format csv > points.csv", settings.initial),
                "the points of the first design, to be labelled",
            ),
        });
        return steps;
    }
    let of_audit = folder.state().pending().filter(|point| point.part == Part::Audit).count();
    if of_audit > 0 {
        steps.push(step(
            format!("dal audit {dir}"),
            "points that judge the model have no answer yet; this asks for them, or prints them",
        ));
    }
    let now = folder.now();
    let waiting = || folder.state().pending().filter(|point| point.part != Part::Audit);
    // Points whose lease has run out may still be answered, and are handed out again.
    let handed_out = waiting().filter(|point| point.lease.is_some()).count();
    let open = waiting().filter(|point| point.is_open(now) || point.status() == Status::Running).count();
    if open > 0 && asks_itself {
        steps.push(step(
            format!("dal run {dir} --budget {}", asked.max(settings.budget.unwrap_or(0))),
            "points that were asked for have no answer yet; the run goes on with them",
        ));
    }
    if handed_out > 0 {
        steps.push(step(
            format!("dal tell {dir} results.csv"),
            "points that were handed out have no answer yet; this brings the answers in",
        ));
    }
    if open > 0 && !asks_itself {
        steps.push(step(
            format!("dal ask {dir} -n {open} --format csv > points.csv"),
            "points that were drawn wait to be handed out",
        ));
    }
    if data.labels == 0 {
        if steps.is_empty() {
            steps.push(unanswered(asked, asks_itself));
        }
        return steps;
    }
    let predict =
        step(format!("dal predict {dir} --input x.csv"), "predictions at points of your own, with their spread");
    if data.stuck().is_some() {
        steps.insert(
            0,
            step(
                String::new(),
                "Look at the failures first: mend the program, or keep away from where it fails, by narrower ranges in the \
                 problem file or a constraint in campaign.toml; more points may fail the same way",
            ),
        );
        steps.push(predict);
        return steps;
    }
    let fired = data.stopping.iter().any(|rule| rule.fired && rule.rule != "budget");
    let more = match asks_itself {
        true => step(
            format!("dal run {dir} --budget {}", asked + ROUNDS * settings.batch),
            &format!("more labels, {}", picks.aim()),
        ),
        false => step(
            format!("dal ask {dir} -n {} --format csv > points.csv", settings.batch),
            &format!("the next points to label, {}", picks.aim()),
        ),
    };
    let listed = settings.candidate_list.is_some() || folder.subject().problem().candidates().is_some();
    // Points that are drawn or held out measure it by themselves.
    let unmeasured = !data.is_judged && !data.is_measured() && of_audit == 0 && !listed;
    // An interval needs ten answers, and some of the points will fail as some have done so far.
    let failed = folder.state().points().filter(|point| point.status() == Status::Failed).count();
    let wanted = (data.labels / 4).clamp(AUDITED.0, AUDITED.1);
    let n = wanted + (2 * wanted * failed).div_ceil((data.labels + failed).max(1));
    let cost = match asks_itself {
        true => "evaluations, which the budget of `dal run` does not count",
        false => "measurements",
    };
    // Those of earlier audits count, which may all have failed.
    let is_there = |point: &&dal_campaign::Point| point.part == Part::Audit && point.status() != Status::Withdrawn;
    let audits = folder.state().points().filter(is_there).count();
    let audit = step(
        format!("dal audit {dir} -n {}", audits + n),
        &format!(
            "uniform points that are never learned: they measure the error over {}, which nothing does so far, and cost {n} {cost}",
            data.scope()
        ),
    );
    // Few labels are better spent on learning.
    let early = unmeasured && data.labels < 4 * AUDITED.0;
    if unmeasured && !early {
        steps.push(audit.clone());
    }
    if fired {
        steps.push(predict);
        steps.push(step(format!("dal export {dir} --to safetensors --out model.safetensors"), "the model as a file"));
        steps.push(more);
    } else {
        steps.push(more);
        steps.push(predict);
    }
    if early {
        steps.push(audit);
    }
    steps
}

/// What to do where no point has an answer and none waits for one.
fn unanswered(asked: usize, asks_itself: bool) -> NextStep {
    let why = match asks_itself {
        true => format!(
            "Mend the program first: none of {asked} points has an answer, so there is no model. Failed points are not asked \
             for again; when the program answers, begin anew with `dal new`"
        ),
        false => format!(
            "None of {asked} points has an answer, so there is no model: look at why they failed. A table that was told by \
             mistake is taken back by `dal undo`; where they do fail, begin anew with narrower ranges"
        ),
    };
    NextStep { command: String::new(), why }
}

/// The commands that made the campaign what it is, words that were taken back left out.
pub(super) fn repeat(folder: &Folder, at: &Path) -> Vec<String> {
    let dir = word(&at.display().to_string());
    let settings = folder.settings();
    let mut begin = format!(
        "dal new {dir} --problem {} --initial {} --batch {} --seed {} --strategy {}",
        word(&direct(folder.subject().path()).display().to_string()),
        settings.initial,
        settings.batch,
        settings.seed,
        word(&settings.strategy)
    );
    if let Some(share) = settings.held_out {
        begin += &format!(" --held-out {share:?}");
    }
    if let Some(target) = &settings.target {
        begin += &format!(" --target {}", word(&target.to_string()));
    }
    let mut commands = vec![begin];
    // Points asked for so far, and those of audits; runs that stand in no command yet, and rounds of which it is not
    // known yet who drew them: that shows when their points are begun.
    let (mut asked, mut audited) = (0_usize, 0_usize);
    let (mut runs, mut drawn): (Vec<Run<'_>>, Vec<&Round>) = (Vec::new(), Vec::new());
    let flush = |commands: &mut Vec<String>, runs: &mut Vec<Run<'_>>| {
        commands.extend(joined(std::mem::take(runs)).iter().map(|run| run.command(&dir, settings.batch)));
    };
    let is_audit = |id: &u64| folder.state().point(*id).is_some_and(|point| point.part == Part::Audit);
    let is_asked = |id: &u64| folder.state().point(*id).is_some_and(|point| point.part != Part::Audit);
    let said = valid(folder);
    for (place, word) in said.iter().enumerate() {
        match &word.what {
            What::Round(round) if round.rule == AUDIT => {
                flush(&mut commands, &mut runs);
                audited += round.held_out.len();
                commands.push(format!("dal audit {dir} -n {audited}"));
            }
            What::Round(round) => {
                // What `ask` draws it hands out in the next breath: no run before it asked for that.
                let next = said.get(place + 1).map(|word| &word.what);
                match next {
                    Some(What::Leased(leased)) if is_of(round, &leased.ids) => flush(&mut commands, &mut runs),
                    _ => drawn.push(round),
                }
                asked += round.all().count();
            }
            What::Started(started) if started.ids.iter().any(is_asked) => {
                // One process is one run.
                if runs.last().is_none_or(|run| *run.by != started.by) {
                    runs.push(Run { by: &started.by, designs: false, rounds: Vec::new(), asked });
                }
                if let Some(run) = runs.last_mut() {
                    run.designs |= drawn.iter().any(|round| round.rule == INITIAL);
                    let chosen = drawn.iter().filter(|round| round.rule != INITIAL);
                    run.rounds.extend(chosen.map(|round| round.all().count()));
                    run.asked = asked;
                }
                drawn.clear();
            }
            What::Leased(leased) if !leased.ids.iter().all(is_audit) => {
                flush(&mut commands, &mut runs);
                drawn.retain(|round| !is_of(round, &leased.ids));
                commands.push(format!("dal ask {dir} -n {}{}", leased.ids.len(), fixed(folder, &leased.ids)));
            }
            What::Told(told) if told.source != "oracle" => {
                flush(&mut commands, &mut runs);
                commands.push(format!("dal tell {dir} {}{}", crate::output::word(&told.source), beside(told)));
            }
            What::Withdrawn(withdrawn) => {
                flush(&mut commands, &mut runs);
                let ids: Vec<String> = withdrawn.ids.iter().map(u64::to_string).collect();
                commands.push(format!("dal withdraw {dir} {}", ids.join(" ")));
                // Neither a budget nor an audit counts them any more.
                let of_audits = withdrawn.ids.iter().filter(|id| is_audit(id)).count();
                audited = audited.saturating_sub(of_audits);
                asked = asked.saturating_sub(withdrawn.ids.len() - of_audits);
            }
            What::Chosen(choice) if choice.searched => {
                flush(&mut commands, &mut runs);
                commands.push(format!("dal tune {dir}"));
            }
            _ => {}
        }
    }
    flush(&mut commands, &mut runs);
    if folder.state().points().any(|point| point.status() == Status::Done) {
        commands.push(format!("dal report {dir}"));
    }
    commands
}

/// What one process of `dal run` did.
struct Run<'a> {
    by: &'a ProcessName,
    /// Whether it drew points of the design.
    designs: bool,
    /// The points of each round that its rule chose.
    rounds: Vec<usize>,
    /// Points asked for when it last began any: a budget of so many draws the same rounds.
    asked: usize,
}

impl Run<'_> {
    /// Whether one run in the place of both draws the same rounds, as where one was interrupted and went on.
    fn goes_on_in(&self, later: &Self) -> bool {
        let mut rounds = self.rounds.iter().chain(&later.rounds).rev();
        let last = rounds.next().copied().unwrap_or(0);
        // The budget may cut the last one short.
        let are_even = rounds.clone().all(|n| Some(n) == rounds.clone().next() && *n >= last);
        !later.designs && are_even
    }

    fn command(&self, dir: &str, batch: usize) -> String {
        let size = self.rounds.first().copied();
        // A single smaller round is what the budget left.
        let own = size.filter(|size| *size > batch || (*size < batch && self.rounds.len() > 1));
        let own = own.map_or(String::new(), |size| format!(" --batch {size}"));
        format!("dal run {dir} --budget {}{own}", self.asked)
    }
}

/// Runs in a row, as few as draw the same rounds.
fn joined(runs: Vec<Run<'_>>) -> Vec<Run<'_>> {
    let mut joined: Vec<Run<'_>> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(before) if before.goes_on_in(&run) => {
                before.rounds.extend(run.rounds);
                before.asked = run.asked;
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Whether any of these points is of a round.
fn is_of(round: &Round, ids: &[u64]) -> bool {
    round.all().any(|drawn| ids.contains(&drawn.id))
}

/// What a table was told with: whether answers took the place of others, or stood beside them.
fn beside(told: &Told) -> &'static str {
    let any = |beside| told.rows.iter().any(|row| row.beside == beside);
    match (any(Beside::Correct), any(Beside::Replicate)) {
        (true, _) => " --correct",
        (false, true) => " --replicate",
        (false, false) => "",
    }
}

/// What was said and not taken back.
fn valid(folder: &Folder) -> Vec<&Word> {
    let undone = undone(folder.words());
    let counts = |word: &&Word| !undone.contains(&word.n) && !matches!(word.what, What::Undone { .. });
    folder.words().iter().filter(counts).collect()
}

/// Why the same commands need not ask for the same points: answers came in an order that nothing fixes.
pub(super) fn unrepeatable(folder: &Folder) -> Vec<String> {
    let (mut several, mut cut_short, mut again) = (false, false, false);
    let mut under_way: BTreeMap<u64, &ProcessName> = BTreeMap::new();
    let mut handed_out: BTreeSet<u64> = BTreeSet::new();
    let undone = undone(folder.words());
    // Of answers that were taken back it counts, too, that they had come.
    for word in folder.words() {
        match &word.what {
            What::Started(started) => {
                // One process writes at a time: what another one left without an answer it did not end.
                let before = under_way.len();
                under_way.retain(|_, by| **by == started.by);
                cut_short |= under_way.len() < before;
                several |= !under_way.is_empty();
                under_way.extend(started.ids.iter().map(|id| (*id, &started.by)));
            }
            What::Told(told) => under_way.retain(|id, _| told.rows.iter().all(|row| row.id != *id)),
            What::Leased(leased) if !undone.contains(&word.n) => {
                again |= leased.ids.iter().filter(|id| !handed_out.insert(**id)).count() > 0;
            }
            What::Released { ids } => under_way.retain(|id, _| !ids.contains(id)),
            _ => {}
        }
    }
    let reasons = [
        (several, "a run labelled several points at a time"),
        (cut_short, "a run was killed while it labelled"),
        (again, "points were handed out twice"),
    ];
    reasons.into_iter().filter(|(is, _)| *is).map(|(_, why)| why.to_owned()).collect()
}

/// What was held in the round of these points.
fn fixed(folder: &Folder, ids: &[u64]) -> String {
    let round = folder.state().rounds().iter().find(|round| round.all().any(|drawn| ids.first() == Some(&drawn.id)));
    let held = round.into_iter().flat_map(|round| &round.fixed);
    held.map(|(name, value)| format!(" --fix {}", word(&format!("{name}={value}")))).collect()
}

/// The files that these commands need: what can be read of them now.
pub(super) fn files(folder: &Folder) -> Vec<(String, String)> {
    let paths = [folder.root().join("campaign.toml"), folder.subject().path().to_owned()];
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    paths.iter().filter_map(|path| Some((name(path), std::fs::read_to_string(path).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_where_one_draws_the_same_rounds() {
        let by = ProcessName::this();
        let run = |designs, rounds: &[usize], asked| Run { by: &by, designs, rounds: rounds.to_vec(), asked };
        let commands = |runs| joined(runs).iter().map(|run| run.command("c", 4)).collect::<Vec<_>>();
        // Interrupted and gone on with, also within a round.
        let one = vec![run(true, &[], 8), run(false, &[4, 4], 16), run(false, &[], 16), run(false, &[2], 18)];
        assert_eq!(commands(one), ["dal run c --budget 18"]);
        let two = vec![run(true, &[2], 10), run(false, &[4], 14)];
        assert_eq!(commands(two), ["dal run c --budget 10", "dal run c --budget 14"]);
        let small = vec![run(true, &[3, 3], 14), run(false, &[6], 20)];
        assert_eq!(commands(small), ["dal run c --budget 14 --batch 3", "dal run c --budget 20 --batch 6"]);
        let design = vec![run(true, &[], 5), run(true, &[], 8)];
        assert_eq!(commands(design), ["dal run c --budget 5", "dal run c --budget 8"]);
    }

    #[test]
    fn paths_go_straight() {
        assert_eq!(direct(Path::new("a/b/../../beam.toml")), Path::new("beam.toml"));
        assert_eq!(direct(Path::new("../a/./x.toml")), Path::new("../a/x.toml"));
    }

    #[test]
    fn words_of_a_shell_are_quoted_where_they_must() {
        assert_eq!(word("runs/beam.1"), "runs/beam.1");
        assert_eq!(word("my beam"), "'my beam'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }
}
