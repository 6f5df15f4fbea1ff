//! Commands on a campaign's page: what to run next, and what repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use dal_campaign::words::{AUDIT, What, Word, undone};
use dal_campaign::{Folder, Part, Status};
use dal_report::campaign::{CampaignData, NextStep, Picks};
use dal_store::ProcessName;

/// Points of the audit that is proposed: a quarter of the labels, within these bounds.
const AUDITED: (usize, usize) = (10, 40);
/// Rounds that are proposed at one time.
const ROUNDS: usize = 3;

/// A path as a word of a shell.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

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
    let audit = step(
        format!("dal audit {dir} -n {n}"),
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
    // Points asked for so far, and whether a run is under way.
    let (mut asked, mut running) = (0_usize, false);
    let flush = |commands: &mut Vec<String>, running: &mut bool, asked: usize| {
        if std::mem::take(running) {
            commands.push(format!("dal run {dir} --budget {asked}"));
        }
    };
    let is_audit = |id: &u64| folder.state().point(*id).is_some_and(|point| point.part == Part::Audit);
    let said = valid(folder);
    for (place, word) in said.iter().enumerate() {
        match &word.what {
            What::Round(round) if round.rule == AUDIT => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal audit {dir} -n {}", round.held_out.len()));
            }
            What::Round(round) => {
                // What `ask` draws it hands out in the next breath: no run before it asked for that.
                let next = said.get(place + 1).map(|word| &word.what);
                let handed_out = |leased: &[u64]| round.all().any(|drawn| leased.contains(&drawn.id));
                if matches!(next, Some(What::Leased(leased)) if handed_out(&leased.ids)) {
                    flush(&mut commands, &mut running, asked);
                }
                asked += round.all().count();
            }
            What::Leased(leased) if !leased.ids.iter().all(is_audit) => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal ask {dir} -n {}{}", leased.ids.len(), fixed(folder, &leased.ids)));
            }
            What::Told(told) if told.source == "oracle" => {
                // An audit asks its own points.
                running |= told.rows.iter().any(|row| !is_audit(&row.id));
            }
            What::Told(told) => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal tell {dir} {}", self::word(&told.source)));
            }
            What::Withdrawn(withdrawn) => {
                flush(&mut commands, &mut running, asked);
                let ids: Vec<String> = withdrawn.ids.iter().map(u64::to_string).collect();
                commands.push(format!("dal withdraw {dir} {}", ids.join(" ")));
                // A budget does not count them any more.
                asked = asked.saturating_sub(withdrawn.ids.iter().filter(|id| !is_audit(id)).count());
            }
            What::Chosen(choice) if choice.searched => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal tune {dir}"));
            }
            _ => {}
        }
    }
    flush(&mut commands, &mut running, asked);
    if folder.state().points().any(|point| point.status() == Status::Done) {
        commands.push(format!("dal report {dir}"));
    }
    commands
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
