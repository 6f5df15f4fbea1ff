//! Campaigns in a folder, opened anew for every call, so that the command line can go on in between.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use dal_campaign::estimate::LEVEL;
use dal_campaign::subject::BESIDE;
use dal_campaign::words::{Cell, Drawn};
use dal_campaign::{
    AskFor, CampaignError, CampaignFile, Folder, Otherwise, RunEnd, RunEvent, RunOptions, Subject, Trainer,
};
use dal_core::{
    Clock, LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Settings, Stop, StopLevel, check_label,
    check_unit_box,
};
use dal_files::Source;
use ndarray::ArrayView2;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::{Map, Value, json};

use crate::errors;
use crate::select::settings;
use crate::work::{at_once, guarded, interruptible, interruptible_or_undone};

/// A campaign's folder.
#[pyclass(frozen, module = "dal_regression._core")]
pub(crate) struct Campaign {
    root: PathBuf,
    threads: usize,
}

/// Seconds since 1970: leases and reports go by them, no number of a result does.
// A campaign's log says when; results do not depend on it.
#[allow(clippy::disallowed_methods)]
fn clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
}

impl Campaign {
    fn reading(&self, py: Python<'_>) -> PyResult<Folder> {
        at_once(py, |_| Folder::read(&self.root, clock()))?.map_err(|error| errors::campaign(&error))
    }

    /// Adds to the campaign, without Python's lock.
    fn adding<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Folder, Trainer<'static>, &Stop) -> Result<T, CampaignError> + Send,
    ) -> PyResult<T> {
        let (root, threads) = (&self.root, self.threads);
        let outcome = interruptible(py, StopLevel::Now, move |stop| {
            let mut folder = Folder::write(root, clock())?;
            work(&mut folder, Trainer::Networks { threads }, stop)
        })?;
        outcome.map_err(|error| errors::campaign(&error))
    }
}

/// A physical value as JSON; whole numbers without a fraction.
fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => json!(*v as i64),
        Cell::Number(v) => json!(v),
        Cell::Level(level) => json!(level),
    }
}

fn point(names: &[String], point: &Drawn) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), json!(point.id));
    object.extend(names.iter().cloned().zip(point.x.iter().map(value)));
    let why = [point.score, point.disagreement, point.distance, point.probability];
    for (name, number) in ["score", "disagreement", "distance", "probability"].into_iter().zip(why) {
        object.insert(name.into(), json!(number));
    }
    Value::Object(object)
}

#[pymethods]
impl Campaign {
    /// A campaign that is there.
    #[new]
    #[pyo3(signature = (root, threads=None))]
    fn new(py: Python<'_>, root: PathBuf, threads: Option<usize>) -> PyResult<Self> {
        if threads == Some(0) {
            return Err(errors::input("threads=0: at least one thread must train"));
        }
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let campaign = Self { root, threads: threads.unwrap_or_else(all) };
        campaign.reading(py).map(|_| campaign)
    }

    /// Begins a campaign: `options_json` may say the keys of campaign.toml, such as seed, initial, batch, strategy.
    #[staticmethod]
    fn begin(root: PathBuf, problem: PathBuf, options_json: &str) -> PyResult<()> {
        let given: Map<String, Value> =
            serde_json::from_str(options_json).map_err(|error| errors::json("options", &error))?;
        let path = if problem.is_absolute() { problem.clone() } else { root.join(&problem) };
        let subject = guarded(|| Subject::open(&path))?.map_err(|error| errors::campaign(&error))?;
        let mut file = CampaignFile::new(problem, subject.names().len());
        if given.get("strategy").is_some_and(|named| !named.is_null()) {
            file.strategy_settings = Settings::default();
        }
        // What is given stands in the place of what the file says by itself.
        let mut all = serde_json::to_value(&file).map_err(|error| errors::json("settings", &error))?;
        for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
            all[key] = value;
        }
        let file: CampaignFile =
            serde_json::from_value(all).map_err(|error| errors::input(format!("settings of the campaign: {error}")))?;
        dal_acq::find(&file.strategy, &settings(&serde_json::to_string(&file.strategy_settings).unwrap_or_default())?)
            .map_err(|error| errors::setting(&error))?;
        guarded(|| Folder::begin(&root, &file, clock()))?.map(drop).map_err(|error| errors::campaign(&error))
    }

    /// Names of inputs and outputs, levels, settings, as JSON.
    fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let folder = self.reading(py)?;
        let subject = folder.subject();
        let settings = serde_json::to_value(folder.settings()).map_err(|error| errors::json("settings", &error))?;
        let text = json!({
            "problem": subject.problem().id(),
            "inputs": subject.names(),
            "levels": subject.levels(),
            "outputs": subject.outputs(),
            "settings": settings,
        });
        Ok(text.to_string())
    }

    /// Hands out points, as JSON: `points` (id, values, why), `held_out` (ids of those that no model learns), `wanted`,
    /// `n_again`, `remarks` of the rule and on the networks, `notes` on the campaign's tables. Points of a call
    /// that a signal ends are not handed out: they stay drawn, and the next call gives them.
    #[pyo3(signature = (n=None, owner=None, lease_hours=None, fixed=Vec::new(), dry_run=false))]
    fn ask(
        &self,
        py: Python<'_>,
        n: Option<usize>,
        owner: Option<String>,
        lease_hours: Option<f64>,
        fixed: Vec<(String, String)>,
        dry_run: bool,
    ) -> PyResult<String> {
        let (root, threads) = (&self.root, self.threads);
        let work = move |stop: &Stop| {
            let mut folder = Folder::write(root, clock())?;
            let pair = |(name, text): (String, String)| {
                dal_campaign::tell::parse_value(&folder, &name, &text).map(|cell| (name, cell))
            };
            let fixed = fixed.into_iter().map(pair).collect::<Result<_, _>>()?;
            let wanted = AskFor { n, owner, lease: lease_hours.map(|hours| 3600.0 * hours), fixed };
            let trainer = Trainer::Networks { threads };
            let asked = match dry_run {
                true => folder.would_ask(&wanted, trainer, stop)?,
                false => folder.ask(&wanted, trainer, stop)?,
            };
            let names = folder.subject().names();
            let points: Vec<Value> = asked.points.iter().map(|drawn| point(names, drawn)).collect();
            let notes: Vec<String> = folder.notes().iter().map(ToString::to_string).collect();
            let told = json!({
                "points": points, "held_out": asked.held_out, "wanted": n.unwrap_or(folder.settings().batch),
                "n_again": asked.n_again, "remarks": asked.notes, "notes": notes,
            });
            // The folder goes along with its lock, so that what may be taken back is still the last word.
            let handed_out = !dry_run && !asked.points.is_empty();
            Ok::<_, CampaignError>((told.to_string(), handed_out.then_some(folder)))
        };
        let outcome = interruptible_or_undone(py, StopLevel::Now, work, |outcome| match outcome {
            Ok((_, Some(mut folder))) => folder.undo().map(drop).map_err(|error| errors::campaign(&error)),
            _ => Ok(()),
        })?;
        outcome.map(|(told, _)| told).map_err(|error| errors::campaign(&error))
    }

    /// Takes the answers of a table in CSV, as JSON: how many of each kind, `notes` on how the table was read,
    /// `remarks` on what its points were taken for.
    fn tell(&self, py: Python<'_>, name: String, csv: String, otherwise: &str) -> PyResult<String> {
        let otherwise = match otherwise {
            "refuse" => Otherwise::Refuse,
            "correct" => Otherwise::Correct,
            "replicate" => Otherwise::Replicate,
            other => {
                return Err(errors::input(format!(
                    "otherwise={other:?}: refuse, correct or replicate is wanted for answers unlike earlier ones"
                )));
            }
        };
        self.adding(py, move |folder, _, _| {
            let heard = folder.tell(Source::from_bytes(name, csv), otherwise)?;
            let notes: Vec<String> = heard.notes.iter().map(ToString::to_string).collect();
            Ok(json!({
                "answers": heard.answers, "failed": heard.failed, "lost": heard.lost, "unwanted": heard.unwanted,
                "replaced": heard.replaced, "adopted": heard.adopted, "rounded": heard.rounded,
                "repeated": heard.repeated, "empty": heard.empty, "notes": notes, "remarks": heard.remarks,
            })
            .to_string())
        })
    }

    /// Where the campaign stands, as JSON.
    fn status(&self, py: Python<'_>) -> PyResult<String> {
        let folder = self.reading(py)?;
        let standing = at_once(py, |_| folder.standing())?;
        let counts: Map<String, Value> =
            standing.counts.iter().map(|(status, n)| (status.id().to_owned(), json!(n))).collect();
        let failures: Map<String, Value> = standing.failures.iter().map(|(kind, n)| (kind.clone(), json!(n))).collect();
        let pending = standing.pending.iter().map(|waiting| {
            json!({"id": waiting.id, "status": waiting.status.id(), "seconds": waiting.seconds, "owner": waiting.owner})
        });
        let errors: Vec<Value> = standing
            .errors
            .iter()
            .map(|errors| json!({"labels": errors.n, "rmse": errors.rmse, "r2": errors.r2}))
            .collect();
        let text = json!({
            "counts": counts,
            "labels": standing.labels,
            "adopted": standing.adopted,
            "unusable": standing.unusable,
            "failures": failures,
            "pending": pending.collect::<Vec<_>>(),
            "errors": errors,
            "rounds": folder.state().rounds().len(),
            "held_out": standing.held_out.0,
            "audited": standing.held_out.1,
            "ended": folder.ended(),
            "network": standing.network.map(|(words, n)| json!({"words": words, "labels": n})),
        });
        Ok(text.to_string())
    }

    /// Predicts at the points of a table in CSV, as JSON: a list of columns, each with its values, `bad` rows, `notes`,
    /// and `remarks` on the networks.
    fn predict(&self, py: Python<'_>, csv: String) -> PyResult<String> {
        let folder = self.reading(py)?;
        // Of a campaign that was begun with names that are refused today two columns would be one.
        folder.subject().check_names().map_err(|error| errors::campaign(&error))?;
        let threads = self.threads;
        let outcome = interruptible(py, StopLevel::Now, |stop| {
            let predicted =
                folder.predict(Source::from_bytes("the table", csv), Trainer::Networks { threads }, stop)?;
            let (names, outputs) = (folder.subject().names(), folder.subject().outputs());
            let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
            let rows = || predicted.rows.iter().map(|row| row.as_ref().ok());
            let [deviation, lower, upper] = BESIDE;
            for (i, name) in names.iter().enumerate() {
                columns.push((name.clone(), rows().map(|row| row.map_or(Value::Null, |p| value(&p.x[i]))).collect()));
            }
            for (k, name) in outputs.iter().enumerate() {
                columns.push((name.clone(), rows().map(|row| json!(row.map(|p| p.predicted.mean[k]))).collect()));
                let sd =
                    |row: Option<&dal_campaign::Prediction>| json!(row.and_then(|p| p.predicted.sd.get(k).copied()));
                columns.push((format!("{name}_{deviation}"), rows().map(sd).collect()));
                if predicted.calibration.is_some() {
                    let ends = || rows().map(|row| row.and_then(|p| p.intervals.get(k).copied().flatten()));
                    let low = ends().map(|ends| json!(ends.map(|(low, _)| low)));
                    let high = ends().map(|ends| json!(ends.map(|(_, high)| high)));
                    columns.push((format!("{name}_{lower}"), low.collect()));
                    columns.push((format!("{name}_{upper}"), high.collect()));
                }
            }
            columns.push(("outside".into(), rows().map(|row| json!(row.map(|p| p.outside))).collect()));
            if predicted.auc.is_some() {
                columns.push(("answers".into(), rows().map(|row| json!(row.and_then(|p| p.answers))).collect()));
            }
            let bad: Vec<&String> = predicted.rows.iter().filter_map(|row| row.as_ref().err()).collect();
            let calibrated = predicted.calibration.as_ref().map(|calibration| {
                let (share, draws) = (100.0 * LEVEL, calibration.draws);
                format!("NAME_{lower} and NAME_{upper} end {share:.0} % intervals, by the errors of {draws} draws")
            });
            let notes: Vec<String> = predicted.notes.iter().map(ToString::to_string).chain(calibrated).collect();
            let remarks: Vec<String> = predicted.model.remark().into_iter().collect();
            let told = json!({"columns": columns, "bad": bad, "notes": notes, "remarks": remarks});
            Ok::<_, CampaignError>(told.to_string())
        })?;
        outcome.map_err(|error| errors::campaign(&error))
    }

    /// Every point as CSV.
    fn export_csv(&self, py: Python<'_>) -> PyResult<String> {
        let folder = self.reading(py)?;
        at_once(py, |_| folder.export_csv())
    }

    /// The model's file.
    fn export_model<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let folder = self.reading(py)?;
        let threads = self.threads;
        let bytes = interruptible(py, StopLevel::Now, |stop| {
            dal_campaign::model::model_file(&folder, Trainer::Networks { threads }, stop)
        })?;
        Ok(PyBytes::new(py, &bytes.map_err(|error| errors::campaign(&error))?))
    }

    /// The model as one ONNX graph.
    fn export_onnx<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let folder = self.reading(py)?;
        let threads = self.threads;
        let bytes = interruptible(py, StopLevel::Now, |stop| {
            dal_campaign::onnx::onnx_file(&folder, None, Trainer::Networks { threads }, stop)
        })?;
        Ok(PyBytes::new(py, &bytes.map_err(|error| errors::campaign(&error))?))
    }

    /// Closes the loop over a function of a dictionary of values; gives `budget`, `rule`, `exhausted` or `stopped`.
    /// `target` is JSON, a number or an object of outputs. `on_event` gets a JSON text for each thing that happens; an
    /// exception of it ends the run.
    #[pyo3(signature = (
        function, budget=None, parallel=1, in_batches=false, batch=None, target=None, no_gain=None, on_event=None
    ))]
    fn run(
        &self,
        py: Python<'_>,
        function: Py<PyAny>,
        budget: Option<usize>,
        parallel: usize,
        in_batches: bool,
        batch: Option<usize>,
        target: Option<&str>,
        no_gain: Option<usize>,
        on_event: Option<Py<PyAny>>,
    ) -> PyResult<&'static str> {
        let target = target.map(serde_json::from_str).transpose().map_err(|error| errors::json("target", &error))?;
        let refused = py.import("dal_regression._errors")?.getattr("PointFailedError")?.unbind();
        let broken = py.import("concurrent.futures")?.getattr("BrokenExecutor")?.unbind();
        let threads = self.threads;
        let root = &self.root;
        let interrupted = Arc::new(AtomicBool::new(false));
        let by_function = Arc::clone(&interrupted);
        let mut trouble: Option<PyErr> = None;
        let outcome = interruptible(py, StopLevel::Now, |stop| {
            let mut folder = Folder::write(root, clock())?;
            let subject = Arc::clone(folder.subject());
            let oracle: Arc<dyn Oracle> = Arc::new(Function { subject, function, refused, broken, by_function });
            let options = RunOptions { budget, parallel, in_batches, batch, target, no_gain };
            let mut hear = |event: &RunEvent| {
                let Some(on_event) = on_event.as_ref().filter(|_| trouble.is_none()) else { return };
                let text = told(event);
                if let Err(error) = Python::attach(|py| on_event.call1(py, (text,)).map(drop)) {
                    trouble = Some(error);
                    stop.raise(StopLevel::Drain);
                }
            };
            folder.run(&options, &oracle, Trainer::Networks { threads }, stop, &mut hear)
        })?;
        if let Some(error) = trouble {
            return Err(error);
        }
        if interrupted.load(Ordering::Relaxed) {
            return Err(PyKeyboardInterrupt::new_err("the function was interrupted; the same call goes on"));
        }
        match outcome.map_err(|error| errors::campaign(&error))? {
            RunEnd::Budget => Ok("budget"),
            RunEnd::Rule => Ok("rule"),
            RunEnd::Exhausted => Ok("exhausted"),
            RunEnd::Stopped => Ok("stopped"),
        }
    }
}

fn told(event: &RunEvent) -> String {
    let value = match event {
        RunEvent::Drawing { labels } => json!({"event": "drawing", "labels": labels}),
        RunEvent::Drawn { round, points, notes, errors } => json!({
            "event": "drawn", "round": round, "points": points, "notes": notes,
            "rmse": errors.as_ref().map(|errors| &errors.rmse),
        }),
        RunEvent::Ended { why } => json!({"event": "ended", "why": why}),
        RunEvent::Answered { id, failure, over, budget } => json!({
            "event": "answered", "id": id, "over": over, "budget": budget,
            "failure": failure.as_ref().map(|(failure, _)| failure.to_string()),
            "again": failure.as_ref().map(|(_, again)| again),
        }),
    };
    value.to_string()
}

/// A Python function that answers for one point at a time.
#[derive(Debug)]
struct Function {
    subject: Arc<Subject>,
    function: Py<PyAny>,
    /// The exception of a point that has no answer.
    refused: Py<PyAny>,
    /// The exception of a pool of processes of which one died.
    broken: Py<PyAny>,
    by_function: Arc<AtomicBool>,
}

/// What became of a call.
enum Called {
    Answer(Vec<f64>),
    Failed(LabelFailure),
    /// What would have answered is gone, whatever the point.
    Down(String),
    /// The function was interrupted.
    Interrupted,
}

impl Function {
    fn call(&self, py: Python<'_>, values: &[Cell]) -> Called {
        let called = (|| {
            let point = PyDict::new(py);
            for (name, cell) in self.subject.names().iter().zip(values) {
                match cell {
                    Cell::Number(v) if self.is_whole(name) => point.set_item(name, *v as i64)?,
                    Cell::Number(v) => point.set_item(name, v)?,
                    Cell::Level(level) => point.set_item(name, level)?,
                }
            }
            self.function.bind(py).call1((point,))?.extract::<Vec<f64>>()
        })();
        let error = match called {
            Ok(values) => return Called::Answer(values),
            Err(error) => error,
        };
        if !error.is_instance_of::<PyException>(py) {
            return Called::Interrupted;
        }
        let is = |class: &Py<PyAny>| error.matches(py, class.bind(py)).unwrap_or(false);
        let kind_name = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
        let words = format!("{kind_name}: {}", error.value(py));
        if is(&self.broken) {
            // It fails every call from now on, and those that it had in hand together: nothing is known of points.
            return Called::Down(format!(
                "the function's own pool of processes is broken and answers no call any more ({words}); call again \
                 with a new one: points without an answer are asked again"
            ));
        }
        let kind = if is(&self.refused) { LabelFailureKind::Refused } else { LabelFailureKind::Crashed };
        Called::Failed(LabelFailure::new(kind, words))
    }

    fn is_whole(&self, name: &str) -> bool {
        let inputs = self.subject.names().iter().zip(self.subject.space().dimensions());
        let mut of_name = inputs.filter(|(known, _)| *known == name);
        of_name.any(|(_, dimension)| matches!(dimension, dal_core::Dimension::Integer { .. }))
    }
}

impl Oracle for Function {
    fn n_inputs(&self) -> usize {
        self.subject.shape().n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.subject.outputs().len()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        for (row, unit) in x.outer_iter().enumerate() {
            if stop.is_now() {
                return Err(OracleError::Stopped);
            }
            let values = self.subject.cells(unit);
            let values = values.map_err(|error| OracleError::Unavailable { message: error.to_string() })?;
            let told = match Python::attach(|py| self.call(py, &values)) {
                Called::Answer(values) => {
                    // What a transform cannot take could not be learned, and is a failure as in `dal run`.
                    let label = check_label(&values, self.n_outputs());
                    on_row(row, label.and_then(|label| self.subject.scaling().check(label)))
                }
                Called::Failed(failure) => on_row(row, Err(failure)),
                Called::Down(message) => return Err(OracleError::Down { message }),
                Called::Interrupted => {
                    self.by_function.store(true, Ordering::Relaxed);
                    stop.raise(StopLevel::Now);
                    return Err(OracleError::Stopped);
                }
            };
            if told.is_break() {
                break;
            }
        }
        Ok(())
    }
}
