//! Whole campaigns in folders: failures and late answers included, the models' true errors beside the estimates.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dal_campaign::tell::Row;
use dal_campaign::words::{Answer, Drawn, Failure};
use dal_campaign::{AskFor, CampaignFile, Folder, Model, ModelSource, Otherwise, Trainer};
use dal_core::{Dimension, Oracle, Scale, SeedPath, Stop};
use dal_oracles::Problem;
use ndarray::{Array2, Axis};

use crate::{Outcome, Rule, Sizes, keep, label, problem};

/// Rounds of a campaign, and points of each.
const ROUNDS: (usize, usize) = (10, 20);
/// Points that a true error is taken over.
const TRUTH: usize = 5_000;
/// Of 25 campaigns of a problem those that choose their network by the ladder.
const WITH_LADDER: usize = 2;
/// Of the unit box' first input the part that fails, in every other campaign.
const FAILS_ABOVE: f64 = 0.8;
/// Every so manieth answer comes a round late.
const LATE: usize = 8;

const HEADER: &str = "problem,campaign,ladder,fails,round,labels,drawn,answered,failed,open,true_rmse,rmse,lower,upper,pooled_truth,pooled_lower,\
                      pooled_upper,calibrated_share\n";

pub fn measure(id: &str, dir: &Path, sizes: &Sizes) -> Outcome<()> {
    let problem = problem(id)?;
    for campaign in 0..sizes.campaigns {
        let path = dir.join("campaigns").join(format!("{id}-{campaign}.csv"));
        if !path.exists() {
            keep(&path, format!("{HEADER}{}", one(&problem, campaign, sizes.rule)?).as_bytes())?;
            eprintln!("{id}: campaign {campaign} done");
        }
    }
    Ok(())
}

/// The problem as a file: its columns, a program that is never called, and a small network.
fn file(problem: &Problem) -> String {
    let mut text = format!("name = \"{}\"\n", problem.id());
    for (k, dimension) in problem.space().dimensions().iter().enumerate() {
        text += &format!("[[inputs]]\nname = \"in{k}\"\n");
        let scaled = |scale: &Scale| if *scale == Scale::Log { "scale = \"log\"\n" } else { "" };
        text += &match dimension {
            Dimension::Continuous { low, high, scale } => format!("low = {low:?}\nhigh = {high:?}\n{}", scaled(scale)),
            Dimension::Integer { low, high, scale } => {
                format!("integer = true\nlow = {low}\nhigh = {high}\n{}", scaled(scale))
            }
            Dimension::Categorical { .. } => format!("levels = {:?}\n", problem.inputs()[k].levels),
            Dimension::Fixed { value } => format!("low = {value:?}\nhigh = {value:?}\n"),
        };
    }
    for k in 0..problem.shape().n_outputs {
        text += &format!("[[outputs]]\nname = \"out{k}\"\n");
    }
    text + "[oracle.command]\nprogram = [\"true\"]\ntime_limit = 1\n[network]\nhidden = [32, 32]\nmembers = 5\n"
}

fn one(problem: &Problem, campaign: usize, rule: Rule) -> Outcome<String> {
    let dir = std::env::temp_dir().join(format!("coverage-{}-{campaign}-{}", problem.id(), std::process::id()));
    fs::create_dir_all(&dir)?;
    let outcome = in_folder(problem, campaign, rule, &dir);
    fs::remove_dir_all(&dir)?;
    outcome
}

fn in_folder(problem: &Problem, campaign: usize, rule: Rule, dir: &Path) -> Outcome<String> {
    // One with either strategy, one with failures.
    let (ladder, fails) = ((1..=WITH_LADDER).contains(&campaign), campaign % 2 == 1);
    fs::write(dir.join("problem.toml"), file(problem))?;
    let plain = CampaignFile::new("problem.toml", problem.inputs().len());
    let settings = CampaignFile {
        seed: campaign as u64,
        initial: 40,
        batch: ROUNDS.1,
        model: if ladder { ModelSource::Ladder } else { ModelSource::ProblemFile },
        ..match rule {
            Rule::PowerQbc => plain.choosing_by(["power-qbc", "power-qbc-diversity"][campaign / 2 % 2]),
            Rule::Default => plain,
        }
    };
    let mut folder = Folder::begin(dir, &settings, Arc::new(|| 0.0))?;
    let (trainer, stop) = (Trainer::Networks { threads: 1 }, Stop::new());
    let oracle = problem.oracle()?.clone();
    let x = problem
        .space()
        .sample(TRUTH, &SeedPath::root(0).purpose("coverage").purpose("campaigns").purpose(problem.id()));
    let answers: Vec<usize> = (0..TRUTH).filter(|&row| !(fails && x[[row, 0]] > FAILS_ABOVE)).collect();
    let x = x.select(Axis(0), &answers);
    let y = label(&*oracle, &x)?;
    let design = folder.ask(&AskFor { n: Some(settings.initial), ..AskFor::default() }, trainer, &stop)?;
    tell(&mut folder, &*oracle, &design.points, fails)?;
    let mut late: Vec<Drawn> = Vec::new();
    let mut models: Vec<Model> = Vec::new();
    for _ in 0..ROUNDS.0 {
        let asked = folder.ask(&AskFor { n: Some(ROUNDS.1), ..AskFor::default() }, trainer, &stop)?;
        // The ladder's choice is in the log by now: this is the model that drew the round.
        models.push(folder.model(trainer, &stop)?);
        let now = std::mem::take(&mut late);
        let (behind, soon): (Vec<_>, Vec<_>) =
            asked.points.into_iter().enumerate().partition(|(k, _)| k % LATE == LATE - 1);
        late = behind.into_iter().map(|(_, drawn)| drawn).collect();
        let soon: Vec<Drawn> = now.into_iter().chain(soon.into_iter().map(|(_, drawn)| drawn)).collect();
        tell(&mut folder, &*oracle, &soon, fails)?;
    }
    tell(&mut folder, &*oracle, &late, fails)?;
    let spread = folder.spread();
    let truth = |model: &Model| -> Outcome<f64> {
        let gap: Array2<f64> = model.surrogate.mean(x.view())? - &y;
        let terms = gap.columns().into_iter().zip(&spread).filter_map(|(gap, (_, sd))| {
            sd.map(|sd| gap.iter().map(|d| d * d).sum::<f64>() / (gap.len() as f64 * sd * sd))
        });
        let terms: Vec<f64> = terms.collect();
        Ok(terms.iter().sum::<f64>() / terms.len() as f64)
    };
    let squares = models.iter().map(truth).collect::<Outcome<Vec<f64>>>()?;
    // The last rounds' models together, as `dal status` shows them.
    let estimates = folder.estimates();
    // As `dal predict` has it: of the model that learned everything, whose factors come from draws of earlier ones.
    let calibrated = calibrated(&folder, &folder.model(trainer, &stop)?, &x, &y)?;
    let mut text = String::new();
    for (k, estimate) in estimates.rounds.iter().enumerate() {
        let model = estimate.round - 1;
        let pair = |ends: Option<(f64, f64)>| ends.map_or(",".into(), |(low, high)| format!("{low:.5e},{high:.5e}"));
        let pooled = estimates.pooled_of(&[]).and_then(|pooled| Some((pooled.relative?, pooled.models)));
        let last = if k + 1 == estimates.rounds.len() { pooled } else { None };
        let pooled = last.map_or((String::new(), ",".to_owned(), String::new()), |(found, n)| {
            let mean = squares[squares.len() - n..].iter().sum::<f64>() / n as f64;
            let share = calibrated.map_or(String::new(), |share| format!("{share:.4}"));
            (format!("{:.5e}", mean.sqrt()), pair(found.interval), share)
        });
        text += &format!(
            "{},{campaign},{ladder},{fails},{},{},{},{},{},{},{:.5e},{},{},{},{},{}\n",
            problem.id(),
            estimate.round,
            estimate.n_labelled,
            estimate.drawn,
            estimate.answered,
            estimate.failed,
            estimate.open,
            squares[model].sqrt(),
            // A round without an answer has no error.
            estimate.relative.map_or(String::new(), |found| format!("{:.5e}", found.rmse)),
            pair(estimate.relative.and_then(|found| found.interval)),
            pooled.0,
            pooled.1,
            pooled.2
        );
    }
    Ok(text)
}

/// How much of the answers at fresh points calibrated intervals of a model hold, mean over outputs.
fn calibrated(folder: &Folder, model: &Model, x: &Array2<f64>, y: &Array2<f64>) -> Outcome<Option<f64>> {
    let Some(calibration) = folder.calibration() else { return Ok(None) };
    let moments = model.surrogate.uncertainty().ok_or("a model without members")?.moments(x.view())?;
    let (mut inside, mut n) = (0, 0);
    for (j, factor) in calibration.factors.iter().enumerate() {
        let Some(factor) = factor else { continue };
        for row in 0..x.nrows() {
            let gap = (moments.mean[[row, j]] - y[[row, j]]).abs();
            inside += usize::from(gap <= factor * moments.variance[[row, j]].sqrt());
            n += 1;
        }
    }
    Ok((n > 0).then(|| inside as f64 / n as f64))
}

/// Answers points: those in the part that fails with a failure.
fn tell(folder: &mut Folder, oracle: &dyn Oracle, points: &[Drawn], fails: bool) -> Outcome<()> {
    if points.is_empty() {
        return Ok(());
    }
    let units: Vec<Vec<f64>> = points.iter().filter_map(|drawn| folder.subject().unit(&drawn.x)).collect();
    let x = Array2::from_shape_vec((units.len(), units[0].len()), units.concat())?;
    let y = label(oracle, &x)?;
    let rows: Vec<Row> = points
        .iter()
        .enumerate()
        .map(|(k, drawn)| {
            let answer = match fails && x[[k, 0]] > FAILS_ABOVE {
                true => Answer::Failed(Failure { kind: "refused".into(), words: "no convergence".into() }),
                false => Answer::Values(y.row(k).to_vec()),
            };
            Row { place: format!("point {}", drawn.id), id: Some(drawn.id), x: None, answer }
        })
        .collect();
    folder.tell_rows("coverage", &rows, Otherwise::Refuse)?;
    Ok(())
}
