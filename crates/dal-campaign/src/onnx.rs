//! The model of a campaign as one ONNX graph: physical values in, mean and spread in physical units out.
//!
//! The input `x`, (n, inputs) of 64-bit floats, has one column for each input in the problem file's order, in the
//! input's own unit; an input with levels is the 0-based number of its level, as everywhere in this project where a
//! model is given physical values. The outputs `mean` and `spread`, (n, outputs), are what `dal predict` calls NAME and
//! NAME_sd. A row that `dal predict` refuses gives NaN in both; single precision may round a value beyond a bound.
//!
//! Scalings and transforms are in 64-bit floats, because a range that is narrow beside its offset loses its digits in
//! 32 bits; the networks between them are in 32-bit floats, as they are here.

use dal_core::{Dimension, OutputTransform, Scale, Stop};
use dal_nn::CpuSurrogate;
use dal_nn::onnx::{About, Attribute, Graph};
use serde_json::{Value, json};

use crate::error::CampaignError;
use crate::estimate::{Estimated, LEVEL, RoundEstimate};
use crate::folder::Folder;
use crate::held_out::HeldOut;
use crate::model::{Model, Trainer, trained_file};
use crate::subject::Subject;

/// Share of a range that a value may lie beyond a bound: rounding, as readers of tables take it.
const ROUNDING: f64 = 1e-12;

/// One output: y = transform⁻¹(offset + factor · z).
type Back = (OutputTransform, f64, f64);

/// The bytes of an ONNX model: what `dal export --to onnx` hands out. The module's documentation says what it takes and
/// gives; its metadata say the rest. `before` is what is known of the model that did not learn the held-out points,
/// where this one does: an upper guess of its error.
///
/// # Errors
/// No labels, a training that fails, a model that is no ensemble of networks, one that no ONNX file has room for.
pub fn onnx_file(
    folder: &Folder,
    before: Option<&HeldOut>,
    trainer: Trainer<'_>,
    stop: &Stop,
) -> Result<Vec<u8>, CampaignError> {
    let model = folder.model(trainer, stop)?;
    let (path, bytes) = trained_file(folder, &model)?;
    let fault = |problem: String| CampaignError::File { path: path.clone(), problem };
    let trained = CpuSurrogate::from_bytes(&bytes).map_err(|error| fault(format!("{error}; delete it")))?;
    let subject = folder.subject();
    let Some((labelled, _)) = folder.snapshot().labelled()? else {
        return Err(CampaignError::request("there are no labels any more"));
    };
    let (_, back) = subject.scaling().model_units(&labelled)?;
    let back: Vec<Back> = back.columns().collect();
    let metadata = metadata(folder, &model, before)?;
    let mut graph = Graph::new(subject.problem().id());
    let (n_inputs, n_outputs) = (subject.names().len(), subject.outputs().len());
    let x = graph.input("x", n_inputs, &format!("one column for each of: {}", subject.names().join(", ")));
    let refused = refused(&mut graph, subject.space().dimensions(), &x);
    let unit = unit_box(&mut graph, subject.space().dimensions(), &x);
    let members = trained.add_to(&mut graph, &unit);
    moments(&mut graph, &back, &members, &refused);
    let each = subject.outputs().join(", ");
    graph.output("mean", n_outputs, &format!("the prediction of each of: {each}"));
    graph.output("spread", n_outputs, &format!("the networks' standard deviation of each of: {each}"));
    let text = in_words(subject, &model);
    let about = About { producer: "dal", version: env!("CARGO_PKG_VERSION"), text: &text, metadata: &metadata };
    graph.into_bytes(&about).map_err(|error| CampaignError::request(error.to_string()))
}

/// 0 for a row that is a point of the problem, NaN for another; (n, 1).
fn refused(graph: &mut Graph, dimensions: &[Dimension], x: &str) -> String {
    let n = dimensions.len();
    let (mut least, mut most, mut any) = (Vec::new(), Vec::new(), Vec::new());
    for dimension in dimensions {
        let (low, high) = bounds(dimension);
        let whole = matches!(dimension, Dimension::Integer { .. } | Dimension::Categorical { .. });
        // What single precision rounds at most.
        let slack = |bound: f64| {
            if whole { 0.0 } else { (ROUNDING * (high - low)).max(f64::from(f32::EPSILON) / 2.0 * bound.abs()) }
        };
        least.push(low - slack(low));
        most.push(high + slack(high));
        any.push(!whole);
    }
    let has_whole = any.contains(&false);
    let least = graph.constant("x.least", &[n], least);
    let most = graph.constant("x.most", &[n], most);
    let above = graph.node("GreaterOrEqual", &[x, &least], "x.above", &[]);
    let below = graph.node("LessOrEqual", &[x, &most], "x.below", &[]);
    let mut admitted = graph.node("And", &[&above, &below], "x.within", &[]);
    if has_whole {
        let any = graph.constant("x.any", &[n], any);
        let rounded = graph.node("Round", &[x], "x.rounded", &[]);
        let whole = graph.node("Equal", &[x, &rounded], "x.whole", &[]);
        let whole = graph.node("Or", &[&whole, &any], "x.due", &[]);
        admitted = graph.node("And", &[&admitted, &whole], "x.admitted", &[]);
    }
    let zero = graph.constant("zero", &[], vec![0.0]); // the outputs' transforms use it, too
    let nan = graph.constant("nan", &[], vec![f64::NAN]);
    let axis = graph.constant("x.axis", &[1], vec![1_i64]);
    let marks = graph.node("Where", &[&admitted, &zero, &nan], "x.marks", &[]);
    graph.node("ReduceSum", &[&marks, &axis], "refused", &[("keepdims", Attribute::Int(1))])
}

/// Smallest and largest value of an input.
fn bounds(dimension: &Dimension) -> (f64, f64) {
    match *dimension {
        Dimension::Continuous { low, high, .. } => (low, high),
        Dimension::Integer { low, high, .. } => (low as f64, high as f64),
        Dimension::Categorical { n_levels } => (0.0, (n_levels - 1) as f64),
        Dimension::Fixed { value } => (value, value),
    }
}

/// Numbers that are brought to the unit box alike: −1 + (v − low) / half, or −1 + ln(v / low) / half.
#[derive(Default)]
struct Numbers {
    inputs: Vec<i64>,
    low: Vec<f64>,
    half: Vec<f64>,
}

/// Points of the unit box, (n, n_columns), of physical values.
fn unit_box(graph: &mut Graph, dimensions: &[Dimension], x: &str) -> String {
    let n = dimensions.len();
    let (low, high): (Vec<f64>, Vec<f64>) = dimensions.iter().map(bounds).unzip();
    let low = graph.constant("x.low", &[n], low);
    let high = graph.constant("x.high", &[n], high);
    let x = graph.node("Max", &[x, &low], "x.raised", &[]);
    let x = graph.node("Min", &[&x, &high], "x.clamped", &[]);
    let (mut linear, mut log) = (Numbers::default(), Numbers::default());
    let (mut levelled, mut levels) = (Vec::new(), Vec::new());
    // Of each column of the box its group and its place there.
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (i, dimension) in dimensions.iter().enumerate() {
        let scale = match dimension {
            Dimension::Continuous { scale, .. } | Dimension::Integer { scale, .. } => *scale,
            Dimension::Categorical { n_levels } => {
                for level in 0..*n_levels {
                    places.push((2, levels.len()));
                    levelled.push(i as i64);
                    levels.push(level as f64);
                }
                continue;
            }
            Dimension::Fixed { .. } => continue,
        };
        let (low, high) = bounds(dimension);
        let (group, numbers, range) = match scale {
            Scale::Linear => (0, &mut linear, high - low),
            Scale::Log => (1, &mut log, (high / low).ln()),
        };
        places.push((group, numbers.inputs.len()));
        numbers.inputs.push(i as i64);
        numbers.low.push(low);
        numbers.half.push(range / 2.0);
    }
    let one = graph.constant("one", &[], vec![1.0]);
    let sizes = [linear.inputs.len(), log.inputs.len(), levels.len()];
    let mut parts = Vec::new();
    for (name, numbers) in [("linear", linear), ("log", log)] {
        let size = numbers.inputs.len();
        if size == 0 {
            continue;
        }
        let v = columns(graph, &x, &format!("{name}.x"), numbers.inputs, n);
        let low = graph.constant(&format!("{name}.low"), &[size], numbers.low);
        let half = graph.constant(&format!("{name}.half"), &[size], numbers.half);
        let above = if name == "log" {
            let ratio = graph.node("Div", &[&v, &low], "log.ratio", &[]);
            graph.node("Log", &[&ratio], "log.above", &[])
        } else {
            graph.node("Sub", &[&v, &low], "linear.above", &[])
        };
        let halves = graph.node("Div", &[&above, &half], &format!("{name}.halves"), &[]);
        parts.push(graph.node("Sub", &[&halves, &one], &format!("{name}.unit"), &[]));
    }
    if !levels.is_empty() {
        let size = levels.len();
        let v = columns(graph, &x, "levels.x", levelled, n);
        let numbers = graph.constant("levels.number", &[size], levels);
        let holds = graph.node("Equal", &[&v, &numbers], "levels.holds", &[]);
        let other = graph.constant("minus_one", &[], vec![-1.0]);
        parts.push(graph.node("Where", &[&holds, &one, &other], "levels.unit", &[]));
    }
    let all = if parts.len() == 1 {
        parts.remove(0)
    } else {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        graph.node("Concat", &parts, "unit.grouped", &[("axis", Attribute::Int(1))])
    };
    let first = [0, sizes[0], sizes[0] + sizes[1]];
    let order: Vec<i64> = places.iter().map(|(group, place)| (first[*group] + place) as i64).collect();
    let n_columns = order.len();
    columns(graph, &all, "unit", order, n_columns)
}

/// These columns of a matrix of `n`, in this order; the matrix itself where they are all of them.
fn columns(graph: &mut Graph, x: &str, name: &str, order: Vec<i64>, n: usize) -> String {
    if order.iter().copied().eq(0..n as i64) {
        return x.to_owned();
    }
    let order = graph.constant(&format!("{name}.columns"), &[order.len()], order);
    graph.node("Gather", &[x, &order], name, &[("axis", Attribute::Int(1))])
}

/// The outputs `mean` and `spread` of members' predictions (M, n, J) in model units; `refused`, (n, 1), is added to
/// both. As `dal predict` has it: the inverse of the members' mean in model units, and the standard deviation (divided
/// by M) of the members' predictions in the outputs' own.
fn moments(graph: &mut Graph, back: &[Back], members: &str, refused: &str) {
    let over_members = |keep| [("axes", Attribute::Ints(&[0])), ("keepdims", Attribute::Int(keep))];
    let centre = graph.node("ReduceMean", &[members], "centre", &over_members(0));
    let undo = Undo::of(graph, back);
    let mean = undo.add(graph, &centre, "mean");
    graph.node("Add", &[&mean, refused], "mean", &[]);
    let members = undo.add(graph, members, "members");
    let middle = graph.node("ReduceMean", &[&members], "members.mean", &over_members(1));
    let gaps = graph.node("Sub", &[&members, &middle], "members.gaps", &[]);
    let squares = graph.node("Mul", &[&gaps, &gaps], "members.squares", &[]);
    let variance = graph.node("ReduceMean", &[&squares], "variance", &over_members(0));
    let deviation = graph.node("Sqrt", &[&variance], "deviation", &[]);
    graph.node("Add", &[&deviation, refused], "spread", &[]);
}

/// The constants that lead from model units to the outputs' own.
struct Undo {
    /// Factor and offset.
    affine: Option<(String, String)>,
    /// Which outputs are the exponential.
    log: Option<Which>,
    /// Which outputs are a hyperbolic sine, and half its unit.
    asinh: Option<(Which, String)>,
}

/// Some of the outputs.
enum Which {
    All,
    /// By a constant of truth values.
    These(String),
}

impl Which {
    /// None where there are none.
    fn of(graph: &mut Graph, name: &str, chosen: Vec<bool>) -> Option<Self> {
        let n = chosen.len();
        match chosen.iter().filter(|is| **is).count() {
            0 => None,
            some if some == n => Some(Self::All),
            _ => Some(Self::These(graph.constant(name, &[n], chosen))),
        }
    }

    /// These outputs of `x`, the others of `other`.
    fn select(&self, graph: &mut Graph, x: &str, other: &str, name: &str) -> String {
        match self {
            Self::All => x.to_owned(),
            Self::These(which) => graph.node("Where", &[which, x, other], name, &[]),
        }
    }
}

impl Undo {
    fn of(graph: &mut Graph, back: &[Back]) -> Self {
        let n = back.len();
        let is_plain = back.iter().all(|(_, offset, factor)| (*offset, *factor) == (0.0, 1.0));
        let affine = (!is_plain).then(|| {
            let factor = graph.constant("outputs.factor", &[n], back.iter().map(|b| b.2).collect::<Vec<f64>>());
            (factor, graph.constant("outputs.offset", &[n], back.iter().map(|b| b.1).collect::<Vec<f64>>()))
        });
        let log = Which::of(graph, "outputs.log", back.iter().map(|b| b.0 == OutputTransform::Log).collect());
        let sines = back.iter().map(|b| matches!(b.0, OutputTransform::Asinh(_))).collect();
        let asinh = Which::of(graph, "outputs.asinh", sines).map(|which| {
            let half = back.iter().map(|b| if let OutputTransform::Asinh(c) = b.0 { c / 2.0 } else { 0.0 });
            (which, graph.constant("outputs.asinh.half", &[n], half.collect::<Vec<f64>>()))
        });
        Self { affine, log, asinh }
    }

    /// A tensor whose last axis are the outputs, in their own units.
    fn add(&self, graph: &mut Graph, z: &str, name: &str) -> String {
        let mut t = z.to_owned();
        if let Some((factor, offset)) = &self.affine {
            t = graph.node("Mul", &[&t, factor], &format!("{name}.scaled"), &[]);
            t = graph.node("Add", &[&t, offset], &format!("{name}.transformed"), &[]);
        }
        // The functions are taken of their own outputs alone: of another one an exponential may be infinite.
        let mut y = t.clone();
        if let Some((which, half)) = &self.asinh {
            // ONNX Runtime has no Sinh of 64-bit floats.
            let t = which.select(graph, &t, "zero", &format!("{name}.asinh"));
            let up = graph.node("Exp", &[&t], &format!("{name}.exp"), &[]);
            let negative = graph.node("Neg", &[&t], &format!("{name}.negative"), &[]);
            let down = graph.node("Exp", &[&negative], &format!("{name}.exp_negative"), &[]);
            let twice = graph.node("Sub", &[&up, &down], &format!("{name}.sinh_twice"), &[]);
            let sine = graph.node("Mul", &[&twice, half], &format!("{name}.sinh"), &[]);
            y = which.select(graph, &sine, &y, &format!("{name}.or_sinh"));
        }
        if let Some(which) = &self.log {
            let t = which.select(graph, &t, "zero", &format!("{name}.log"));
            let exp = graph.node("Exp", &[&t], &format!("{name}.of_log"), &[]);
            y = which.select(graph, &exp, &y, &format!("{name}.or_exp"));
        }
        y
    }
}

/// Keys and values for programs; everything but `problem`, `title`, `labels`, `network`, `model` and `tool` is JSON.
fn metadata(folder: &Folder, model: &Model, before: Option<&HeldOut>) -> Result<Vec<(String, String)>, CampaignError> {
    let subject = folder.subject();
    let problem = subject.problem();
    let network = model
        .network
        .as_ref()
        .map_or_else(String::new, |network| format!("{} members, each {network}", network.n_members()));
    let mut entries = vec![
        ("problem", problem.id().to_owned()),
        ("title", problem.title().unwrap_or_default().to_owned()),
        ("inputs", inputs(subject).to_string()),
        ("outputs", outputs(subject).to_string()),
        ("labels", model.n_labelled.to_string()),
        ("error", error(folder, model, before)?.to_string()),
    ];
    if let Some(calibration) = folder.calibration() {
        let means = "T(mean) ± factor · h, then T⁻¹, with T the output's transform and h the half of \
                     T(mean + spread) − T(mean − spread): mean ± factor · spread where there is none; of a \
                     logarithm h is ln(1 + spread / mean)";
        let interval =
            json!({"level": LEVEL, "draws": calibration.draws, "factors": calibration.factors, "means": means});
        entries.push(("interval", interval.to_string()));
    }
    entries.extend([
        ("network", network),
        ("model", model.name.clone()),
        ("tool", format!("dal {}", env!("CARGO_PKG_VERSION"))),
    ]);
    entries.retain(|(_, value)| !value.is_empty());
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The columns of `x`.
fn inputs(subject: &Subject) -> Value {
    let inputs = subject.problem().inputs().iter().zip(subject.space().dimensions());
    let described = inputs.map(|(column, dimension)| {
        let (name, unit) = (&column.name, &column.unit);
        match dimension {
            Dimension::Continuous { low, high, scale } => {
                json!({"name": name, "unit": unit, "kind": "number", "low": low, "high": high, "scale": scale})
            }
            Dimension::Integer { low, high, scale } => {
                json!({"name": name, "unit": unit, "kind": "integer", "low": low, "high": high, "scale": scale})
            }
            Dimension::Categorical { .. } => {
                json!({"name": name, "unit": unit, "kind": "level", "levels": column.levels})
            }
            Dimension::Fixed { value } => json!({"name": name, "unit": unit, "kind": "fixed", "value": value}),
        }
    });
    described.collect()
}

/// The columns of `mean` and `spread`.
fn outputs(subject: &Subject) -> Value {
    let units = subject.scaling().outputs();
    let described = subject.problem().outputs().iter().enumerate().map(|(k, column)| {
        let transform = units.get(k).map_or(OutputTransform::None, |units| units.transform);
        json!({"name": column.name, "unit": column.unit, "transform": transform})
    });
    described.collect()
}

/// What is known of the error: of points that the model did not learn, else that of the model that did not learn what
/// is held out, else of the last round of draws over the whole space, else of cross-validation.
fn error(folder: &Folder, model: &Model, before: Option<&HeldOut>) -> Result<Value, CampaignError> {
    let subject = folder.subject();
    let one = |e: &Estimated| json!({"rmse": e.rmse, "interval": e.interval.map(|(low, high)| [low, high])});
    let each = |found: &[Estimated]| -> Value {
        let named = subject.outputs().iter().zip(found);
        named
            .map(|(name, e)| json!({"name": name, "rmse": e.rmse, "interval": e.interval.map(|(a, b)| [a, b])}))
            .collect()
    };
    // Audits judge this model itself, but a few of them, without an interval, tell less than what was known before.
    let tells = |found: &HeldOut| before.is_none() || found.outputs.iter().any(|output| output.interval.is_some());
    let apart = folder.held_out(model)?.filter(tells);
    let guess = before.map(|found| (found, "upper-guess"));
    let judged = apart.as_ref().map(|found| (found, "not-learned")).or(guess);
    if let Some((found, kind)) = judged {
        let means = match kind {
            "not-learned" => {
                "root mean squared error over the domain, or the part of it that has answers, from uniform points that this \
                 model did not learn"
            }
            _ => {
                "root mean squared error over the domain, or the part of it that has answers, of the model before this one, from \
                 uniform points that it did not learn and this one did: an upper guess of this one's"
            }
        };
        return Ok(json!({
            "kind": kind,
            "means": means,
            "domain": found.domain,
            "model_of_labels": found.n_labelled,
            "points": found.answered,
            "level": LEVEL,
            "outputs": each(&found.outputs),
            "relative": found.relative.as_ref().map(one),
        }));
    }
    let estimates = folder.estimates();
    let whole = |round: &&RoundEstimate| round.fixed.is_empty() && !round.is_incomplete() && !round.outputs.is_empty();
    let newest = estimates.rounds.iter().rev().find(whole);
    if let Some(found) = newest {
        return Ok(json!({
            "kind": "draws",
            "means": "root mean squared error over the domain, or the part of it that has answers, of the model that drew the last \
                      whole round, not of this one, from draws with known probabilities",
            "domain": found.domain,
            "model_of_labels": found.n_labelled,
            "points": found.answered,
            "level": LEVEL,
            "outputs": each(&found.outputs),
            "relative": found.relative.as_ref().map(one),
        }));
    }
    Ok(model.errors.as_ref().map_or(Value::Null, |errors| {
        let named = subject.outputs().iter().zip(&errors.rmse);
        let outputs: Value = named.map(|(name, rmse)| json!({"name": name, "rmse": rmse, "interval": null})).collect();
        json!({
            "kind": "cross-validation",
            "means": "root mean squared error in cross-validation on the points that were asked for, not over the whole space",
            "model_of_labels": errors.n,
            "points": errors.n,
            "outputs": outputs,
        })
    }))
}

/// For a person who looks at the file.
fn in_words(subject: &Subject, model: &Model) -> String {
    let problem = subject.problem();
    let title = problem.title().map_or_else(String::new, |title| format!(" ({title})"));
    format!(
        "A surrogate of `{}`{title}, learned from {} labels. x: one row for each point, one column for each input, in its own \
         unit; an input with levels is the 0-based number of its level. mean and spread: one column for each output, in its \
         own unit; spread is the networks' standard deviation and no error bar. A row with a value beyond its input's bounds \
         gives NaN. The metadata inputs, outputs, error and interval say more, as JSON.",
        problem.id(),
        model.n_labelled
    )
}
