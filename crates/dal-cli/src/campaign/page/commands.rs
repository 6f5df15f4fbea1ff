//! Commands on a campaign's page: what to run next, and what repeats it.

use std::path::{Component, Path, PathBuf};

use dal_campaign::words::{AUDIT, What, undone};
use dal_campaign::{Folder, Part, Status};
use dal_report::campaign::{CampaignData, NextStep};

/// Points of the audit that is proposed.
const AUDITED: usize = 40;
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

/// What can be done next, the most useful first.
pub(super) fn next(folder: &Folder, at: &Path, data: &CampaignData) -> Vec<NextStep> {
    let dir = word(&at.display().to_string());
    let settings = folder.settings();
    let asks_itself = folder.subject().problem().oracle().is_ok();
    let asked = folder.state().n_asked();
    let step = |command: String, why: &str| NextStep { command, why: why.to_owned() };
    let mut steps = Vec::new();
    let handed_out = data.pending.iter().filter(|p| p.state == "asked").count();
    let open = data.pending.len();
    let of_audit = folder.state().pending().filter(|point| point.part == Part::Audit).count();
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
    if of_audit > 0 {
        steps.push(step(
            format!("dal audit {dir}"),
            "points that judge the model have no answer yet; this asks for them, or prints them",
        ));
    }
    if open > of_audit {
        steps.push(match asks_itself {
            true => step(
                format!("dal run {dir} --budget {}", asked.max(settings.budget.unwrap_or(0))),
                "points that were asked for have no answer yet; the run goes on with them",
            ),
            false => step(
                format!("dal tell {dir} results.csv"),
                "points that were handed out have no answer yet; this brings the answers in",
            ),
        });
        if asks_itself && handed_out > 0 {
            steps.push(step(
                format!("dal tell {dir} results.csv"),
                "the same for points that were handed out to be labelled elsewhere",
            ));
        }
    }
    let fired = data.stopping.iter().any(|rule| rule.fired && rule.rule != "budget");
    let more = match asks_itself {
        true => step(
            format!("dal run {dir} --budget {}", asked + ROUNDS * settings.batch),
            "more labels, where the model is least sure",
        ),
        false => step(
            format!("dal ask {dir} -n {} --format csv > points.csv", settings.batch),
            "the next points to label, where the model is least sure",
        ),
    };
    let predict =
        step(format!("dal predict {dir} --input x.csv"), "predictions at points of your own, with their spread");
    let measured = data
        .errors
        .iter()
        .any(|of| of.best.is_some_and(|(_, by)| !matches!(by, dal_report::campaign::JudgedBy::CrossValidation { .. })));
    let listed = settings.candidate_list.is_some() || folder.subject().problem().candidates().is_some();
    if !measured && data.labels > 0 && of_audit == 0 && !listed {
        steps.push(step(
            format!("dal audit {dir} -n {AUDITED}"),
            "uniform points that are never learned: they measure the error over the whole space, which nothing does so far",
        ));
    }
    if fired {
        steps.push(predict);
        steps.push(step(format!("dal export {dir} --to safetensors --out model.safetensors"), "the model as a file"));
        steps.push(more);
    } else {
        steps.push(more);
        if data.labels > 0 {
            steps.push(predict);
        }
    }
    steps
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
    let undone = undone(folder.words());
    // Points asked for so far, and whether a run is under way.
    let (mut asked, mut running) = (0, false);
    let flush = |commands: &mut Vec<String>, running: &mut bool, asked: usize| {
        if std::mem::take(running) {
            commands.push(format!("dal run {dir} --budget {asked}"));
        }
    };
    for word in folder.words().iter().filter(|word| !undone.contains(&word.n)) {
        match &word.what {
            What::Round(round) if round.rule == AUDIT => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal audit {dir} -n {}", round.held_out.len()));
            }
            What::Round(round) => asked += round.all().count(),
            What::Leased(leased) => {
                let audit = |id: &u64| folder.state().point(*id).is_some_and(|point| point.part == Part::Audit);
                if !leased.ids.iter().all(audit) {
                    flush(&mut commands, &mut running, asked);
                    commands.push(format!("dal ask {dir} -n {}{}", leased.ids.len(), fixed(folder, &leased.ids)));
                }
            }
            What::Told(told) if told.source == "oracle" => {
                // An audit asks its own points.
                let audit = |id: u64| folder.state().point(id).is_some_and(|point| point.part == Part::Audit);
                running |= told.rows.iter().any(|row| !audit(row.id));
            }
            What::Told(told) => {
                flush(&mut commands, &mut running, asked);
                commands.push(format!("dal tell {dir} {}", self::word(&told.source)));
            }
            What::Withdrawn(withdrawn) => {
                flush(&mut commands, &mut running, asked);
                let ids: Vec<String> = withdrawn.ids.iter().map(u64::to_string).collect();
                commands.push(format!("dal withdraw {dir} {}", ids.join(" ")));
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
