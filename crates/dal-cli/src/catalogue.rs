//! `dal problems` and `dal strategies`: the catalogues, as a table, JSON or CSV.

use anyhow::Result;
use dal_core::model::{DecayReading, Head, widths};
use dal_core::{Dimension, OutputUnits, Scale, SettingCard, SettingValues};
use dal_oracles::Card;
use dal_oracles::card::Knowledge;
use serde_json::{Value, json};

use crate::Done;
use crate::output::{Format, Rows, outln};
use crate::problem::find_problem;

/// `dal problems`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  dal problems                    one line per problem
  dal problems stack              inputs, outputs, source, settings and default network of one
  dal problems --format json      every card in full
  dal problems my-simulator.toml  check and show a problem of your own")]
pub struct ProblemArgs {
    /// Show this problem only: an id, or the path of a problem.toml.
    problem: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Lists problems or shows one.
pub fn problems(args: &ProblemArgs) -> Result<Done> {
    if let Some(name) = &args.problem {
        let problem = find_problem(name, &[])?;
        return match (problem.card(), args.format) {
            (Some(card), Format::Table) => show_card(card),
            (Some(card), Format::Json) => {
                outln!("{}", serde_json::to_string_pretty(card)?);
                Ok(Done::Fully)
            }
            (Some(card), Format::Csv) => rows(&[card]).print(Format::Csv).map(|()| Done::Fully),
            (None, format) => show_user_problem(&problem, format),
        };
    }
    let cards: Vec<&Card> = dal_oracles::catalogue().collect();
    if args.format == Format::Json {
        outln!("{}", serde_json::to_string_pretty(&cards)?);
    } else {
        rows(&cards).print(args.format)?;
    }
    Ok(Done::Fully)
}

fn rows(cards: &[&Card]) -> Rows {
    let row = |card: &&Card| {
        vec![
            json!(card.id),
            json!(card.title),
            json!(card.inputs.len()),
            json!(card.outputs.n),
            json!(network(card)),
            json!(card.published.model.training.learning_rate),
            json!(card.published.model.training.weight_decay),
            card.difficulty.first().map_or(Value::Null, |d| json!(d.output_variance)),
        ]
    };
    Rows {
        columns: vec![
            "id",
            "title",
            "inputs",
            "outputs",
            "network",
            "learning_rate",
            "weight_decay",
            "output_variance",
        ],
        rows: cards.iter().map(row).collect(),
    }
}

/// Hidden layers in short: `9 × 20`, with what else there is.
fn network(card: &Card) -> String {
    let model = &card.published.model;
    let mut text = widths(&model.hidden);
    if model.head != Head::Linear {
        text.push_str(" + convolutions");
    }
    if model.batch_norm.is_none() {
        text.push_str(", no BatchNorm");
    }
    if card.published.known == Knowledge::Recollected {
        text.push_str(" (recollected)");
    }
    text
}

fn show_card(card: &Card) -> Result<Done> {
    outln!("{}: {}\n", card.id, card.title);
    outln!("formula   {}", card.formula);
    outln!("outputs   {} × {} [{}] {}", card.outputs.n, card.outputs.name, card.outputs.unit, card.outputs.along);
    let hidden = network(card);
    match card.published.model.batch_norm.as_ref() {
        Some(norm) => outln!("network   {hidden}, {}", dal_core::model::norm(Some(norm))),
        None => outln!("network   {hidden}"),
    }
    let training = &card.published.model.training;
    let reading = match training.decay_reading {
        DecayReading::PerMember => String::new(),
        reading => format!(" {}", reading.in_words()),
    };
    outln!("training  learning rate {}, weight decay {}{reading}", training.learning_rate, training.weight_decay);
    outln!("          {} members, {} epochs", training.n_members, training.epochs);
    if !card.published.note.is_empty() {
        outln!("          {}", card.published.note);
    }
    if let Some(tuned) = &card.tuned {
        let default = if tuned.is_default { " (default)" } else { "" };
        outln!("tuned     {}{default}", tuned.sentence());
    }
    outln!("source    {}", card.source);
    outln!("licence   {}", card.licence);
    for difficulty in card.difficulty {
        let settings = if difficulty.settings.is_empty() { "" } else { &format!(" ({})", difficulty.settings) };
        outln!(
            "hardness  output variance {}, error of the mean predictor {}{settings}",
            difficulty.output_variance,
            difficulty.mean_predictor_mse
        );
    }
    for setting in card.settings {
        match setting.values {
            SettingValues::OneOf(choices) => {
                outln!("setting   {}: {}", setting.key, setting.help);
                for (i, choice) in choices.iter().enumerate() {
                    let default = if i == 0 { " (default)" } else { "" };
                    outln!("            --set {}={}  {}{default}", setting.key, choice.value, choice.meaning);
                }
            }
            SettingValues::Described(_) | SettingValues::Path => {
                outln!("setting   {}: {} ({})", setting.key, setting.help, setting.values);
            }
        }
    }
    outln!();
    let inputs = card.inputs.iter().enumerate().map(|(i, input)| {
        let kind = if input.integer { "integer" } else { "continuous" };
        vec![
            json!(format!("x{i}")),
            json!(input.name),
            json!(input.unit),
            json!(input.low),
            json!(input.high),
            json!(kind),
        ]
    });
    Rows { columns: vec!["column", "input", "unit", "at_-1", "at_+1", "kind"], rows: inputs.collect() }
        .print(Format::Table)?;
    Ok(Done::Fully)
}

fn show_user_problem(problem: &dal_oracles::Problem, format: Format) -> Result<Done> {
    let oracle = problem.oracle_in_words().unwrap_or_else(|| problem.answered_by().in_words());
    if format == Format::Table {
        let title = problem.title().map_or(String::new(), |title| format!("{title}, "));
        let (n_inputs, n_outputs) = (problem.inputs().len(), problem.outputs().len());
        outln!("{}: {title}{n_inputs} inputs, {n_outputs} outputs", problem.id());
        outln!("answered by {oracle}");
        let is_asked = problem.oracle().is_ok();
        if let Some(folder) = dal_bench::answers_folder(problem, None).filter(|_| is_asked) {
            outln!("answers are kept in {} (--answers)", folder.display());
        }
        if let Some(candidates) = problem.candidates() {
            outln!("the pool is a table of {} points", candidates.nrows());
        }
        outln!();
    }
    let input = |(c, dimension): (&dal_oracles::Column, &Dimension)| {
        let on_scale =
            |kind: &str, scale: &Scale| if *scale == Scale::Log { format!("{kind}, log scale") } else { kind.into() };
        let (kind, low, high) = match dimension {
            Dimension::Continuous { low, high, scale } => (on_scale("number", scale), json!(low), json!(high)),
            Dimension::Integer { low, high, scale } => (on_scale("whole number", scale), json!(low), json!(high)),
            Dimension::Categorical { .. } => ("levels".into(), Value::Null, Value::Null),
            Dimension::Fixed { value } => ("fixed".into(), json!(value), json!(value)),
        };
        let levels = if c.levels.is_empty() { Value::Null } else { json!(c.levels.join(", ")) };
        let learned = if dimension.n_columns() == 0 { "not varied" } else { "on the unit box" };
        vec![json!("input"), json!(c.name), json!(c.unit), json!(kind), low, high, levels, json!(learned)]
    };
    let output = |(k, c): (usize, &dal_oracles::Column)| {
        let learned = problem.scaling().outputs().get(k).map_or_else(String::new, OutputUnits::in_words);
        let none = Value::Null;
        vec![
            json!("output"),
            json!(c.name),
            json!(c.unit),
            json!("number"),
            none.clone(),
            none.clone(),
            none,
            json!(learned),
        ]
    };
    let inputs = problem.inputs().iter().zip(problem.space().dimensions()).map(input);
    let mut rows: Vec<Vec<Value>> = inputs.chain(problem.outputs().iter().enumerate().map(output)).collect();
    if format != Format::Table {
        let mut row = vec![Value::Null; 8];
        (row[0], row[1]) = (json!("oracle"), json!(oracle));
        rows.push(row);
    }
    Rows { columns: vec!["role", "name", "unit", "kind", "low", "high", "levels", "learned"], rows }.print(format)?;
    Ok(Done::Fully)
}

/// `dal strategies`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  dal strategies                  one line per strategy
  dal strategies qbc-diversity    its rule, needs, promises, settings and source
  dal strategies --format json    every card in full")]
pub struct StrategyArgs {
    /// Show this strategy only.
    strategy: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Lists strategies or shows one.
pub fn strategies(args: &StrategyArgs) -> Result<Done> {
    let cards: Vec<&'static dal_acq::Card> = match &args.strategy {
        Some(id) => vec![dal_acq::card(id)?],
        None => dal_acq::catalogue().collect(),
    };
    match (args.format, &args.strategy) {
        (Format::Json, Some(_)) => outln!("{}", serde_json::to_string_pretty(&cards[0].in_full()?)?),
        (Format::Json, None) => {
            let all = cards.iter().map(|card| card.in_full()).collect::<serde_json::Result<Vec<_>>>()?;
            outln!("{}", serde_json::to_string_pretty(&all)?);
        }
        (Format::Table, Some(_)) => show_strategy(cards[0])?,
        (format, _) => {
            let row = |card: &&'static dal_acq::Card| {
                vec![json!(card.id), json!(card.title), json!(card.needs_in_words().join(", ")), json!(card.cost)]
            };
            Rows { columns: vec!["id", "title", "needs", "cost"], rows: cards.iter().map(row).collect() }
                .print(format)?;
        }
    }
    Ok(Done::Fully)
}

fn show_strategy(card: &'static dal_acq::Card) -> Result<()> {
    outln!("{}: {}\n", card.id, card.title);
    outln!("rule      {}", card.formula);
    let needs = card.needs_in_words();
    outln!("needs     {}", if needs.is_empty() { "coordinates only".into() } else { needs.join(", ") });
    outln!("cost      {}", card.cost);
    outln!("source    {}", card.source);
    let promises: Vec<String> = card
        .invariances
        .iter()
        .filter_map(|promise| serde_json::to_value(promise).ok()?.as_str().map(str::to_owned))
        .collect();
    outln!("promises  {}", if promises.is_empty() { "none".into() } else { promises.join(", ") });
    if !card.settings.is_empty() {
        outln!();
        let defaults = card.defaults();
        let row = |s: &SettingCard| {
            vec![json!(s.key), json!(defaults.get(s.key)), json!(format!("{:#}", s.values)), json!(s.help)]
        };
        let rows = card.settings.iter().map(row).collect();
        Rows { columns: vec!["setting", "default", "values", "what_it_chooses"], rows }.print(Format::Table)?;
    }
    Ok(())
}
