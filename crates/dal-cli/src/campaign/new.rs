//! `dal new`: begins a campaign.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use dal_campaign::infer::{Kind, Role};
use dal_campaign::{CampaignFile, Folder, Guess, Hints};
use dal_files::Source;
use dal_files::number::short;
use serde_json::{Value, json};

use super::{now, target, tell_notes};
use crate::Done;
use crate::output::{Format, Rows, out, outln, say, word};

/// A problem in, a folder out.
#[derive(clap::Args)]
#[command(
    after_help = "The folder gets `campaign.toml`, which explains its keys and may be edited at any time, and `log`,
to which everything is appended that is said in the campaign. A problem file stays where it is.

From a table of data (CSV of every dialect, Dakota's annotated tables) the problem file is
inferred: names, ranges, whole numbers, levels, outputs, log scales where positive values span two
decades and more. Every guess stands in the folder's `problem.toml` with its reason, and the rows
are the campaign's first answers. On a terminal the guess is shown and the outputs are asked for,
unless --outputs names them; elsewhere nothing is asked. Look first with --show, which begins
nothing.

The columns that dal's own tables add (of `dal export`, `dal ask`, `dal label --out`) and Dakota's
are left out where all of them stand there together; what `dal label` says of rows without a label
is taken as their failure. One such name alone (distance, part, NAME_sd beside an output NAME) is
refused: rename the column, or --ignore it. Rows without an answer are left out and named.

Examples:
  dal new beam --problem beam.toml                 a campaign in the folder beam
  dal new beam --problem beam.toml --initial 20 --batch 5 --budget 100 --seed 1
  dal new beam --problem beam.toml --held-out 0.25   a quarter of the points judges every model
  dal new . --problem problem.toml                 in the folder that the problem file is in
  dal new lab --from-csv data.csv --show           what the table is taken for
  dal new lab --from-csv data.csv --outputs drag,lift --log speed
  dal new study --from-dakota dakota_tabular.dat   go on from a study of Dakota's"
)]
#[command(group(clap::ArgGroup::new("from").required(true).args(["problem", "from_csv", "from_dakota"])))]
pub struct Args {
    /// The campaign's folder; made if it is not there.
    folder: PathBuf,
    /// The problem file: inputs, outputs, and who answers (docs/problems.md).
    #[arg(long, value_name = "FILE")]
    problem: Option<PathBuf>,
    /// A table of points with answers, from which the problem is inferred.
    #[arg(long, value_name = "TABLE")]
    from_csv: Option<PathBuf>,
    /// The same from an annotated tabular file of Dakota's.
    #[arg(long, value_name = "TABLE")]
    from_dakota: Option<PathBuf>,
    /// The table's outputs.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "problem")]
    outputs: Option<Vec<String>>,
    /// Columns of the table that are no part of the problem.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "problem")]
    ignore: Vec<String>,
    /// Inputs on a log scale, outputs that are learned as logarithms.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "problem")]
    log: Vec<String>,
    /// Columns that are not, though their values span decades.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "problem")]
    linear: Vec<String>,
    /// Print the problem file that would be written, and begin nothing.
    #[arg(long, conflicts_with = "problem")]
    show: bool,
    /// What all random numbers come from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Points of the design at the beginning, those of a table included [default: 10 and 5 for each input].
    #[arg(long, value_name = "N")]
    initial: Option<usize>,
    /// Points of a round.
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch: usize,
    /// The rule that chooses (see `dal strategies`) [default: power-qbc-diversity, beta = 2].
    #[arg(long, value_name = "ID")]
    strategy: Option<String>,
    /// The share of the points after the design that is uniform and never learned, so that it judges every model.
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// The error below which `dal run` ends: in standard deviations, or of outputs in their units.
    #[arg(long, value_name = "ERROR|NAME=ERROR,…", value_delimiter = ',')]
    target: Vec<String>,
    /// Points that `dal run` asks for in all.
    #[arg(long, value_name = "N")]
    budget: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let root = &args.folder;
    let Some(table) = args.from_csv.as_ref().or(args.from_dakota.as_ref()) else {
        let problem = args.problem.as_ref().context("name a problem file or a table")?;
        dal_campaign::Subject::open(problem)?.check_names()?;
        let made = Made::folder(root)?;
        let folder = begin(args, relative(root, problem)?)?;
        made.keep();
        return said(&folder, args.budget);
    };
    let source = Source::open(table)?;
    if args.from_dakota.is_some() && !source.bytes().starts_with(b"%") {
        bail!(
            "{}: it does not begin with `%eval_id`; write annotated tables (`tabular_data` without `freeform` or \
             `custom_annotated`), or take a table with a header of names by --from-csv",
            table.display()
        );
    }
    let mut hints = Hints {
        outputs: args.outputs.clone(),
        ignore: args.ignore.clone(),
        log: args.log.clone(),
        linear: args.linear.clone(),
    };
    let mut guess = Guess::of(source.clone(), &hints)?;
    tell_notes(&guess.notes);
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if on_terminal && !args.show && args.outputs.is_none() {
        show(&guess)?;
        let guessed: Vec<&str> = outputs(&guess);
        if let Some(outputs) = ask(&format!("outputs [{}]: ", guessed.join(",")))? {
            hints.outputs = Some(outputs);
            guess = Guess::of(source, &hints)?;
        }
    }
    let text = guess.text(&guess.name());
    if args.show {
        out(&text)?;
        return Ok(Done::Fully);
    }
    let file = root.join("problem.toml");
    if file.exists() {
        bail!(
            "{}: is there already; begin with --problem and `dal tell` the table, or give another folder",
            file.display()
        );
    }
    let mut made = Made::folder(root)?;
    std::fs::write(&file, text).with_context(|| format!("{}: cannot be written", file.display()))?;
    made.files.push(file.clone());
    let settings = ["campaign.toml", "log"].map(|name| root.join(name));
    if settings.iter().all(|path| !path.exists()) {
        made.files.extend(settings);
    }
    let mut folder = begin(args, "problem.toml".into())?;
    let (heard, left) = folder.tell_guess(&guess)?;
    tell_notes(&heard.notes);
    heard.remarks.iter().for_each(|remark| say!("note: {remark}"));
    made.keep();
    if !on_terminal {
        show(&guess)?;
    }
    for (rows, have) in [(&left.no_input, "a value of each input"), (&left.no_answer, "an answer")] {
        let first: Vec<&str> = rows.iter().take(5).map(String::as_str).collect();
        let more = if rows.len() > first.len() { ", …" } else { "" };
        match rows.len() {
            0 => {}
            1 => say!("note: 1 row is left out, which does not have {have}: {}", first.join(", ")),
            n => say!("note: {n} rows are left out, which do not have {have}: {}{more}", first.join(", ")),
        }
    }
    let because =
        guess.outputs_because.map_or(String::new(), |why| format!(" (guessed {why}; --outputs names others)"));
    outln!("outputs: {}{because}", outputs(&guess).join(", "));
    let lost = match heard.lost {
        0 => String::new(),
        n => format!(", {n} lost for the machine's or the program's sake"),
    };
    outln!(
        "{} answers taken in, {} failed points{lost}; {} says what was inferred, and may be corrected",
        heard.answers,
        heard.failed,
        file.display()
    );
    said(&folder, args.budget)
}

/// Begins the campaign.
fn begin(args: &Args, problem: PathBuf) -> Result<Folder> {
    let n_inputs = dal_campaign::Subject::open(&args.folder.join(&problem))?.names().len();
    let mut file = CampaignFile::new(problem, n_inputs);
    file.seed = args.seed;
    file.batch = args.batch;
    if let Some(strategy) = &args.strategy {
        file = file.choosing_by(strategy);
    }
    (file.held_out, file.target) = (args.held_out, target(&args.target)?);
    let draws = dal_acq::card(&file.strategy).is_ok_and(|card| card.draws());
    if file.target.is_some() && file.held_out.is_none() && !draws {
        bail!(
            "--target: `{}` does not draw its points and none are held out, so that nothing judges the model; add \
             --held-out 0.25, or leave --strategy out: the default draws",
            file.strategy
        );
    }
    file.budget = args.budget;
    file.initial = args.initial.unwrap_or(file.initial);
    Ok(Folder::begin(&args.folder, &file, now())?)
}

/// Says that it has begun, and what comes next.
fn said(folder: &Folder, budget: Option<usize>) -> Result<Done> {
    let (root, subject, settings) = (folder.root().display(), folder.subject(), folder.settings());
    let (inputs, outputs) = (subject.names().len(), subject.outputs().len());
    outln!(
        "{root}: a campaign on `{}` ({inputs} input{}, {outputs} output{}) has begun",
        subject.problem().id(),
        if inputs == 1 { "" } else { "s" },
        if outputs == 1 { "" } else { "s" }
    );
    let first = match settings.initial.saturating_sub(folder.state().points().len()) {
        0 => String::new(),
        n => format!("first {n} points spread over the space, then "),
    };
    outln!(
        "{first}rounds of {} by `{}`; {} explains and changes that",
        settings.batch,
        settings.strategy,
        folder.root().join("campaign.toml").display()
    );
    let at = word(&root.to_string());
    match subject.problem().oracle() {
        Ok(_) => {
            let budget = budget.map_or_else(|| format!(" --budget {}", 3 * settings.initial), |_| String::new());
            outln!("next: dal run {at}{budget}, or dal ask {at} and dal tell {at} FILE");
        }
        Err(_) => outln!("next: dal ask {at} --format csv > points.csv, and dal tell {at} FILE with the answers"),
    }
    Ok(Done::Fully)
}

fn outputs(guess: &Guess) -> Vec<&str> {
    guess.columns.iter().filter(|column| column.role == Role::Output).map(|column| column.name.as_str()).collect()
}

/// The columns and what they are taken for.
fn show(guess: &Guess) -> Result<()> {
    let rows = guess.columns.iter().map(|column| {
        let role = match &column.role {
            Role::Input => "input".to_owned(),
            Role::Output => "output".to_owned(),
            Role::Left(why) => format!("left out: {why}"),
        };
        let values = match &column.kind {
            Kind::Levels(levels) => {
                let more = if levels.len() > 6 { ", …" } else { "" };
                format!("{}{more}", levels.iter().take(6).map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Kind::Number { low, high, .. } if low > high => String::new(),
            Kind::Number { low, high, .. } => format!("{} to {}", short(*low), short(*high)),
        };
        let kind = match &column.kind {
            Kind::Levels(_) => "levels",
            Kind::Number { whole: true, .. } => "whole",
            Kind::Number { .. } => "number",
        };
        let log = if column.log { "log" } else { "" };
        vec![json!(column.name), json!(role), json!(kind), json!(log), Value::from(values)]
    });
    Rows { columns: vec!["column", "is", "holds", "scale", "values"], rows: rows.collect() }.print(Format::Table)
}

/// A question on a terminal: names with commas; none where the answer is empty.
fn ask(question: &str) -> Result<Option<Vec<String>>> {
    let mut terminal = std::io::stdout().lock();
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("nothing was begun, as the question had no answer; --outputs names the outputs");
    }
    let names: Vec<String> =
        line.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    Ok((!names.is_empty()).then_some(names))
}

/// What was made for a campaign; it goes again if the campaign cannot begin.
struct Made {
    folder: Option<PathBuf>,
    files: Vec<PathBuf>,
    kept: bool,
}

impl Made {
    fn folder(root: &Path) -> Result<Self> {
        let is_new = !root.exists();
        std::fs::create_dir_all(root).with_context(|| format!("{}: cannot be made", root.display()))?;
        Ok(Self { folder: is_new.then(|| root.to_owned()), files: Vec::new(), kept: false })
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
        // Only where nothing else is in it.
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The way from a folder to a file.
fn relative(folder: &Path, file: &Path) -> Result<PathBuf> {
    let whole = |path: &Path| path.canonicalize().with_context(|| format!("{}: cannot be found", path.display()));
    let (from, to) = (whole(folder)?, whole(file)?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    Ok(up.chain(to[shared..].iter().copied()).collect())
}
