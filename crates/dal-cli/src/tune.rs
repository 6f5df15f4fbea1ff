//! `dal tune`: searches for the network and the training that suit a problem, and says why.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use dal_core::model::{DecayReading, MLP_ENSEMBLE, widths};
use dal_core::{Clock, EngineChoice, every};
use dal_oracles::Problem;
use dal_report::{TestedNetworks, TriedNetwork, TuningPicture};
use dal_store::Answers;
use dal_tune::{
    BatchNorm, CampaignResult, Candidate, ChosenSets, Event, Extent, ModelEnd, Outcome, Outlook, Progress, Ranges,
    RunOptions, Search, SearchSpace, Settings, Tuning, Verdict,
};
use ndarray::{ArrayView1, Axis};
use serde_json::{Value, json};

use crate::Done;
use crate::answers::AnswerArgs;
use crate::bench::{CallTime, call_time, interrupts};
use crate::display::{Display, duration, left, seconds};
use crate::output::{Format, Rows, outln, say};
use crate::problem::find_problem;

/// A problem in, a network out.
#[derive(clap::Args)]
#[command(
    after_help = "Networks of many shapes and trainings are compared on labels of their own: many of them with few
epochs and one member, the better third with more, the last ones by the full measure on several
seeds. Of those within one standard error of the best, the smallest wins, if its members learn on
training sets that gsx, gsxy and qbc choose with it (--campaign-seeds). The validation labels say
whether it is better than the problem's reference network (the published one, or that of your
problem file). Only then are the two held side by side on the test set, which decides nothing.

A table's rows are divided: a fifth, at most --test-points, is kept for the test; the rest is
split, or where it is short, cross-validated in five folds. The output says which.

The directory keeps every training the moment it is done (journal.jsonl); the same command goes on
where it was stopped. The answer is the same bytes whatever --jobs is. At the end it also holds
choice.json, tried.csv and .md, tried.svg, trials.csv, campaigns.csv and, where the test set was
asked, tested.csv and .md. The test set may be asked later: --proof-seeds 0 first, another number
then.

--budget counts work, not time: 1 is one training of the reference network by the finals' measure
(epochs × members × labels × size). The time that this should take here is said beside it.

With a campaign's folder, so many networks (--networks) are compared on the labels that it has, in
three folds as its own ladder is; the last six on two further divisions. The campaign uses the
choice, and its log holds it. --jobs are the threads then; the other flags are of problems.

Examples:
  dal tune sine --plan                            how much, how long; nothing is run
  dal tune my/problem.toml --plan --call-time 90s    a program of yours that takes 90 s a point
  dal tune sine --jobs 2
  dal tune hydro --points 80,480,2000            networks good at all three numbers of labels
  dal tune my/problem.toml --out runs/tune-mine  a problem of your own, a table of 500 rows say
  dal tune robo --space training --points 500 --epochs 200 --members 2 --seeds 2 --budget 12
  dal tune beam --networks 24                     for the next rounds of the campaign beam
  dal tune foil --depths 2,4 --widths 50,100 --batch-norm none,recomputed --learning-rates 1e-3,3e-3"
)]
pub struct Args {
    /// A problem's id, the path of a problem.toml, or a campaign's folder.
    pub(crate) problem: String,
    /// Of a campaign: networks that are compared beside those of its ladder [default: 24].
    #[arg(long, value_name = "N")]
    pub(crate) networks: Option<usize>,
    /// A setting of the problem.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Labels to train on; with several numbers, networks are judged at each of them.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2000")]
    points: Vec<usize>,
    /// Labels to judge on.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    validation: usize,
    /// Work to spend, in trainings of the reference network by the finals' measure; the proof on the test set comes on
    /// top.
    #[arg(long, value_name = "WORK", default_value_t = 40.0)]
    budget: f64,
    /// Threads that train at the same time [default: as the engine likes, one per core].
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Where the search is kept [default: runs/tune-PROBLEM].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    answers: AnswerArgs,
    /// How much is searched around the reference network: `training` is BatchNorm, learning rate and weight decay
    /// alone.
    #[arg(long, value_enum, default_value_t)]
    space: Space,
    /// Numbers of hidden layers.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    depths: Option<Vec<usize>>,
    /// Widths of the hidden layers.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    widths: Option<Vec<usize>>,
    /// BatchNorm: without, with running statistics, with statistics recomputed over the training set.
    #[arg(long, value_enum, value_name = "KIND,…", value_delimiter = ',')]
    batch_norm: Option<Vec<Norm>>,
    /// Learning rates.
    #[arg(long, value_name = "X,…", value_delimiter = ',')]
    learning_rates: Option<Vec<f64>>,
    /// Weight decays.
    #[arg(long, value_name = "X,…", value_delimiter = ',')]
    weight_decays: Option<Vec<f64>>,
    /// The most parameters of a network [default: twice the reference network's, at least 20000].
    #[arg(long, value_name = "N")]
    max_parameters: Option<usize>,
    /// Epochs of the finals [default: the problem's, 500 in the catalogue].
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Ensemble members of the finals [default: the problem's; in the catalogue 10, adm 5].
    #[arg(long, value_name = "N")]
    members: Option<usize>,
    /// Seeds of the finals.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: usize,
    /// Campaigns of gsx, gsxy and qbc each, that choose training sets with the network that would win; 0 leaves them
    /// out. It is admitted if at most one member in 500 collapses there, and at most one in 50 ends unsettled.
    #[arg(long, value_name = "N", default_value_t = 2)]
    campaign_seeds: usize,
    /// Labels of these campaigns: at first, per step, and the number of steps.
    #[arg(long, value_name = "N,N,N", value_delimiter = ',', default_value = "80,40,10")]
    campaign_labels: Vec<usize>,
    /// Points of the test set; of a table, the most rows that are kept for it.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    test_points: usize,
    /// Numbers of labels at which the choice is proved on the test set.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "80,480,2080")]
    proof_points: Vec<usize>,
    /// Seeds of that proof; 0 leaves the test set alone
    /// [default: 5; 0 where labels are answers of your own program or model].
    #[arg(long, value_name = "N")]
    proof_seeds: Option<usize>,
    /// The engine: cpu, or tch in a build with that feature, which trains seeds and numbers of labels of a network
    /// together.
    #[arg(long, value_name = "ENGINE", default_value = "cpu")]
    engine: String,
    /// Where the engine tch trains: cpu, cuda:N.
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Matrix products of the engine tch's training: f32, tf32 (CUDA), bf16.
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Vector instructions of the engine cpu, instead of the fastest here: avx512, avx2, neon, portable.
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// Print the networks of the first rung and the estimate, and stop.
    #[arg(long)]
    plan: bool,
    /// How long your own program takes for a point, as in 90s or 2h; `measure` asks for one of the points that networks
    /// learn from, and keeps the answer.
    #[arg(long, value_name = "TIME", requires = "plan", value_parser = call_time)]
    call_time: Option<CallTime>,
    /// How the outcome is printed: a summary with the finalists, everything but the single trainings, or every network
    /// tried.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl Args {
    /// Whether what is to be searched for is the folder of a campaign.
    pub(crate) fn is_of_a_campaign(&self) -> bool {
        Path::new(&self.problem).join("campaign.toml").is_file()
    }

    /// The first flag that is of problems alone and was given.
    pub(crate) fn of_problems(&self) -> Option<&'static str> {
        let given = [
            ("--set", !self.settings.is_empty()),
            ("--points", self.points != [2000]),
            ("--validation", self.validation != 2000),
            ("--budget", self.budget != 40.0),
            ("--out", self.out.is_some()),
            ("--answers", self.answers.folder.is_some()),
            ("--end-leftovers", self.answers.end_leftovers),
            ("--space", !matches!(self.space, Space::Default)),
            ("--depths", self.depths.is_some()),
            ("--widths", self.widths.is_some()),
            ("--batch-norm", self.batch_norm.is_some()),
            ("--learning-rates", self.learning_rates.is_some()),
            ("--weight-decays", self.weight_decays.is_some()),
            ("--max-parameters", self.max_parameters.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--members", self.members.is_some()),
            ("--seeds", self.seeds != 3),
            ("--campaign-seeds", self.campaign_seeds != 2),
            ("--campaign-labels", self.campaign_labels != [80, 40, 10]),
            ("--test-points", self.test_points != 4000),
            ("--proof-points", self.proof_points != [80, 480, 2080]),
            ("--proof-seeds", self.proof_seeds.is_some()),
            ("--engine", self.engine != "cpu"),
            ("--device", self.device.is_some()),
            ("--precision", self.precision.is_some()),
            ("--platform", self.platform.is_some()),
            ("--plan", self.plan),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Space {
    Training,
    Small,
    #[default]
    Default,
}

#[derive(Clone, Copy, ValueEnum)]
enum Norm {
    None,
    Running,
    Recomputed,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.jobs == Some(0) {
        bail!("--jobs 0: at least one network has to train at a time");
    }
    if args.networks.is_some() {
        bail!("--networks is of a campaign's folder, which {} is not; a problem's search has --budget", args.problem);
    }
    let clock = dal_bench::clock();
    let (problem, kept) = args.answers.open(find_problem(&args.problem, &args.settings)?)?;
    let (search, jobs) = search(args, problem.clone(), &clock)?;
    let outlook = search.outlook();
    let variant = problem.variant_id();
    let seconds_per_work = search.seconds_per_work(&match args.engine.as_str() {
        "cpu" => dal_bench::processor_clock(),
        _ => clock,
    })?;
    let call_seconds = match args.call_time {
        Some(CallTime::Given(seconds)) => Some(seconds),
        Some(CallTime::Measure) => time_a_call(&search, &problem, kept.as_deref())?,
        None => None,
    };
    let line = headline(&variant, &outlook, jobs, seconds_per_work, call_seconds);
    if args.plan {
        // A machine that reads the rows wants nothing else.
        match args.format {
            Format::Table => outln!("{line}"),
            _ => say!("{line}"),
        }
        return print_candidates(&search, args.format).map(|()| Done::Fully);
    }

    let safe = variant.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_");
    let directory = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(format!("tune-{safe}")));
    say!("{line}");
    let stop = interrupts("the trainings in progress")?;
    if !args.answers.settle([&problem], &stop)? {
        return Ok(Done::Interrupted);
    }
    let display = Display::start();
    let outcome = search.run(&directory, RunOptions { jobs }, &display, &stop);
    display.finish();
    let Outcome::Chosen(tuning) = outcome? else {
        say!("stopped; the same command goes on from {}", directory.display());
        return Ok(Done::Interrupted);
    };
    tuning.save(&directory)?;
    let picture = picture(&tuning);
    let tried = picture.tried_table();
    let mut files = vec![("tried.csv", tried.csv), ("tried.md", tried.markdown)];
    files.extend(picture.svg().map(|svg| ("tried.svg", svg)));
    if let Some(tested) = picture.tested_table() {
        files.extend([("tested.csv", tested.csv), ("tested.md", tested.markdown)]);
    }
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    match args.format {
        Format::Json => outln!("{}", tuning.to_json()),
        Format::Csv => rows(&tuning, false).print(Format::Csv)?,
        Format::Table => {
            rows(&tuning, true).print(Format::Table)?;
            summary(&tuning, search.is_built_in(), &directory.display().to_string())?;
        }
    }
    Ok(Done::Fully)
}

/// The search, and how many threads it runs on.
fn search(args: &Args, problem: Problem, clock: &Clock) -> Result<(Search, usize)> {
    let choice = EngineChoice {
        id: &args.engine,
        device: args.device.as_deref(),
        precision: args.precision.as_deref(),
        platform: args.platform.as_deref(),
    };
    let engine =
        crate::engines::open(&choice, MLP_ENSEMBLE, clock).map_err(|error| anyhow!("--{}: {error}", error.key))?;
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or_else(|| engine.default_jobs(n_cpus));
    let extent = match args.space {
        Space::Training => Extent::Training,
        Space::Small => Extent::Small,
        Space::Default => Extent::Default,
    };
    let norm = |norm: &Norm| match norm {
        Norm::None => BatchNorm::None,
        Norm::Running => BatchNorm::Running,
        Norm::Recomputed => BatchNorm::Recomputed,
    };
    let ranges = Ranges {
        depths: args.depths.clone(),
        widths: args.widths.clone(),
        batch_norm: args.batch_norm.as_ref().map(|norms| norms.iter().map(norm).collect()),
        learning_rates: args.learning_rates.clone(),
        weight_decays: args.weight_decays.clone(),
        max_parameters: args.max_parameters,
    };
    let defaults = Settings::for_problem(&problem);
    let &[initial, queries, steps] = args.campaign_labels.as_slice() else {
        bail!("--campaign-labels takes three numbers: labels at first, labels per step, steps; as in 80,40,10");
    };
    let chosen = ChosenSets { seeds: args.campaign_seeds, initial, queries, steps, ..ChosenSets::BENCHMARK };
    let settings = Settings {
        points: args.points.clone(),
        validation: args.validation,
        epochs: args.epochs.unwrap_or(defaults.epochs),
        members: args.members.unwrap_or(defaults.members),
        seeds: args.seeds,
        budget: args.budget,
        chosen,
        test_points: args.test_points,
        proof_points: args.proof_points.clone(),
        proof_seeds: args.proof_seeds.unwrap_or(defaults.proof_seeds),
    };
    let space = SearchSpace::around(&problem, extent, &ranges)?;
    Ok((Search::new(problem, settings, space, engine)?, jobs))
}

fn print_candidates(search: &Search, format: Format) -> Result<()> {
    let rows = search.candidates().iter().enumerate().map(|(i, candidate)| {
        let mut row = vec![json!(i)];
        row.extend(described(candidate));
        row
    });
    Rows { columns: vec!["candidate", "hidden", "batch_norm", "learning_rate", "weight_decay"], rows: rows.collect() }
        .print(format)
}

fn described(candidate: &Candidate) -> [Value; 4] {
    let model = &candidate.0;
    [
        json!(widths(&model.hidden)),
        json!(BatchNorm::of(model).id()),
        json!(model.training.learning_rate),
        json!(model.training.weight_decay),
    ]
}

/// Seconds in which the problem's program answers the first training point of which nothing is kept; none where there
/// is no such point.
fn time_a_call(search: &Search, problem: &Problem, kept: Option<&Answers>) -> Result<Option<f64>> {
    let (Some(points), Some(asking), Some(kept)) = (search.training_points(), problem.asking(), kept) else {
        return Ok(None);
    };
    let is_open = |x: &ArrayView1<'_, f64>| asking.line(*x).is_ok_and(|line| kept.get(&line).is_none());
    let Some(x) = points.outer_iter().find(is_open) else { return Ok(None) };
    let mut failure = None;
    let start = Instant::now();
    let mut keep = every(|_, answer| failure = answer.err());
    problem.oracle()?.label(x.insert_axis(Axis(0)), &interrupts("the call in progress")?, &mut keep)?;
    drop(keep);
    match failure {
        None => Ok(Some(start.elapsed().as_secs_f64())),
        Some(failure) => bail!("the first training point that nothing is known of: {failure}"),
    }
}

/// What a search would do and how long it would take, in one line; `call_seconds` is what a call of the problem's
/// program takes, where that is known.
fn headline(variant: &str, outlook: &Outlook, jobs: usize, seconds_per_work: f64, call_seconds: Option<f64>) -> String {
    let time = |work: f64| duration(Duration::try_from_secs_f64(work * seconds_per_work).unwrap_or(Duration::MAX));
    let each = seconds(outlook.search * seconds_per_work / outlook.trainings.max(1) as f64);
    let at_a_time = |work: f64| time(work / jobs as f64);
    let mut line = format!(
        "{variant}: {} of {} networks, about {} trainings, {each} of processor time each on average",
        outlook.networks, outlook.space, outlook.trainings
    );
    if outlook.labels > 0 {
        let each = call_seconds.map_or("unknown time".into(), seconds);
        line +=
            &format!("; up to {} simulator calls (kept answers are not asked for again), {each} each", outlook.labels);
        let calls = call_seconds.map(|each| each * outlook.labels as f64);
        line += &calls.map_or("; the calls (--plan --call-time TIME or measure)".into(), |all| {
            let all = Duration::try_from_secs_f64(all).unwrap_or(Duration::MAX);
            format!("; about {} for the calls, one after another", duration(all))
        });
    }
    line += &format!("; about {} for the search", at_a_time(outlook.search));
    for (trainings, work, what) in [
        (outlook.admission_trainings, outlook.admission, "of each network's admission on chosen training sets"),
        (outlook.proof_trainings, outlook.proof, "of the proof"),
    ] {
        if trainings > 0 {
            line += &format!(", {} for the {trainings} trainings {what}", at_a_time(work));
        }
    }
    line += &format!(" with {jobs} at a time");
    line += &format!("; {}", outlook.division.sentence());
    line
}

/// The networks that came to the finals, or all of them.
fn rows(tuning: &Tuning, finalists_only: bool) -> Rows {
    let last = tuning.rungs.len() - 1;
    let tried = tuning.tried.iter().filter(|t| !finalists_only || t.rung == last);
    let row = |t: &dal_tune::Tried| {
        let mut row = vec![json!(t.candidate)];
        row.extend(described(&t.network));
        let score = t.score.as_ref();
        let shown = |value: f64| match finalists_only {
            true => json!(format!("{value:.3e}")),
            false => json!(value),
        };
        row.extend([
            json!(t.parameters),
            json!(t.rung + 1),
            json!(score.map(|score| shown(score.mse()))),
            json!(score.map(|score| shown(score.mse() * score.standard_error))),
            json!(match (t.candidate == tuning.chosen_candidate, t.candidate == 0, &t.failure) {
                (true, true, _) => "chosen, reference".to_owned(),
                (true, false, _) => "chosen".to_owned(),
                (false, true, None) => "reference".to_owned(),
                (false, _, Some(why)) => format!("failed: {why}"),
                (false, false, None) => String::new(),
            }),
        ]);
        row
    };
    Rows {
        columns: vec![
            "candidate",
            "hidden",
            "batch_norm",
            "learning_rate",
            "weight_decay",
            "parameters",
            "rung",
            "validation_mse",
            "standard_error",
            "note",
        ],
        rows: tried.map(row).collect(),
    }
}

fn summary(tuning: &Tuning, built_in: bool, directory: &str) -> Result<()> {
    outln!("\n{}", tuning.explanation);
    outln!("Labels: {}.", tuning.division.sentence());
    if let Some(sentence) = tuning.left_out.sentence() {
        outln!("{sentence}.");
    }
    outln!("\nOn the validation labels, geometric mean (lowest to highest):");
    side_by_side(&tuning.validated)?;
    outln!(
        "{}",
        match tuning.validated.verdict {
            Verdict::Unchanged => "The choice is the reference network itself.",
            Verdict::Better =>
                "The tuned network is better: lower somewhere and higher nowhere, by more than a standard error.",
            Verdict::Mixed => "The tuned network is better at some numbers of labels and worse at others.",
            Verdict::NotBetter => "The tuned network is not better.",
        }
    );
    if let Some(proof) = &tuning.proof {
        let seeds = tuning.settings.proof_seeds;
        outln!("\nOn the test set, which decides nothing, {seeds} seeds, geometric mean (lowest to highest):");
        side_by_side(proof)?;
    }
    let chosen = &tuning.chosen.0;
    let hidden = format!("{:?}", chosen.hidden);
    let norm = chosen.batch_norm.is_some();
    let statistics = match BatchNorm::of(chosen) {
        BatchNorm::Recomputed => "recomputed",
        _ => "running",
    };
    // A decay was found as it is read: said with it, it acts so wherever it is written.
    let reading = match chosen.training.decay_reading {
        DecayReading::PerMember => "\"per-member\"".to_owned(),
        DecayReading::CoupledLoss => "\"coupled-loss\"".to_owned(),
        DecayReading::AveragedLoss { members } => format!("{{ averaged-loss = {{ members = {members} }} }}"),
    };
    if built_in {
        outln!("\nFor a sweep file, at this problem:");
        outln!("  network = {{ hidden = {hidden}, batch_norm = {norm}, batch_norm_statistics = \"{statistics}\" }}");
        outln!(
            "  training = {{ learning_rate = {:?}, weight_decay = {:?}, decay_reading = {reading} }}",
            chosen.training.learning_rate,
            chosen.training.weight_decay
        );
    } else {
        outln!("\nFor the problem file:");
        outln!("  [network]\n  hidden = {hidden}\n  batch_norm = {norm}\n  batch_norm_statistics = \"{statistics}\"");
        outln!(
            "  learning_rate = {:?}\n  weight_decay = {:?}\n  decay_reading = {reading}",
            chosen.training.learning_rate,
            chosen.training.weight_decay
        );
    }
    let campaigns = if tuning.admissions.is_empty() { "" } else { ", campaigns.csv" };
    outln!("\n{directory}: tried.svg, tried.md, tried.csv, choice.json, trials.csv{campaigns}");
    Ok(())
}

fn side_by_side(proof: &dal_tune::Proof) -> Result<()> {
    for row in &proof.rows {
        let error = |e: &dal_tune::TestError| match (e.mse, e.range()) {
            (Some(mse), Some((low, high))) => format!("{mse:.3e} ({low:.2e} to {high:.2e})"),
            _ => "failed".to_owned(),
        };
        let ratio = row.ratio.map_or(String::new(), |ratio| format!(", ratio {ratio:.3}"));
        outln!("  {:5} labels: reference {}, tuned {}{ratio}", row.labels, error(&row.published), error(&row.tuned));
    }
    Ok(())
}

/// The search as the report draws it.
fn picture(tuning: &Tuning) -> TuningPicture {
    let group = |norm: BatchNorm| BatchNorm::ALL.iter().position(|n| *n == norm).unwrap_or(0);
    let last = tuning.rungs.len() - 1;
    let stage = |(r, rung): (usize, &dal_tune::Rung)| {
        let measure = format!("{} epochs, {} members", rung.epochs, rung.members);
        if r == last { format!("finals ({measure})") } else { format!("rung {} ({measure})", r + 1) }
    };
    let tried = tuning.tried.iter().map(|t| TriedNetwork {
        name: t.network.to_string(),
        group: group(BatchNorm::of(&t.network.0)),
        parameters: t.parameters,
        stage: t.rung,
        mse: t.score.as_ref().map(dal_tune::Score::mse),
        log_error: t.score.as_ref().map_or(0.0, |score| score.standard_error),
        failure: t.failure.clone(),
        chosen: t.candidate == tuning.chosen_candidate,
        reference: t.candidate == 0,
    });
    let tested = tuning.proof.iter().flat_map(|proof| &proof.rows).map(|row| TestedNetworks {
        labels: row.labels,
        reference: (row.published.mse, row.published.range()),
        chosen: (row.tuned.mse, row.tuned.range()),
        ratio: row.ratio.zip(row.log_error),
    });
    TuningPicture {
        problem: tuning.problem.clone(),
        groups: BatchNorm::ALL.map(|norm| dal_core::model::norm(norm.spec().as_ref()).to_owned()).to_vec(),
        stages: tuning.rungs.iter().enumerate().map(stage).collect(),
        explanation: tuning.explanation.clone(),
        tried: tried.collect(),
        tested: tested.collect(),
    }
}

impl Progress for Display {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Resumed { trainings, campaigns, dropped_bytes } => {
                let campaigns = if *campaigns > 0 { format!(" and {campaigns} campaigns") } else { String::new() };
                self.say(&format!("{trainings} trainings{campaigns} are kept from before"));
                if *dropped_bytes > 0 {
                    self.say(&format!(
                        "{dropped_bytes} damaged bytes of the journal are left out, and what they said is done again"
                    ));
                }
            }
            Event::Stage { name, networks, trainings } => {
                self.say(&format!("{name}: {networks} networks, {trainings} trainings"));
            }
            Event::Trained { candidate, result, done, left: to_do } => {
                let fraction = done / (done + to_do);
                let remaining = left(Duration::try_from_secs_f64(self.elapsed().as_secs_f64() * to_do / done).ok());
                let how = match result {
                    dal_tune::TrialResult::Mse(mse) => format!("MSE {mse:.2e}"),
                    dal_tune::TrialResult::Failed(why) => why.clone(),
                };
                self.at(fraction, &format!("{remaining}; {candidate}: {how}"));
            }
            Event::Campaign { candidate, method, result, done, left: to_do } => {
                let fraction = done / (done + to_do);
                let remaining = left(Duration::try_from_secs_f64(self.elapsed().as_secs_f64() * to_do / done).ok());
                let how = match result {
                    CampaignResult::Models(models) => {
                        let sum = |count: fn(&ModelEnd) -> usize| models.iter().map(count).sum::<usize>();
                        let (members, collapsed) = (sum(|model| model.members), sum(|model| model.collapsed));
                        format!(
                            "{collapsed} of {members} members collapsed, {} unsettled",
                            sum(|model| model.unsettled)
                        )
                    }
                    CampaignResult::Failed(why) => why.clone(),
                };
                self.at(fraction, &format!("{remaining}; {candidate}, {}: {how}", method.id()));
            }
            _ => {}
        }
    }
}
