//! `dal select` against picks that a reference without shared code worked out, and its answers to unusable requests.
//!
//! The cases come from `fixtures/select` (its README names the readings taken); this test compares every one, pick by
//! pick.

use std::fs;
#[cfg(unix)]
use std::io::Write;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Stdio;
use std::process::{Command, Output};

use dal_core::{
    Labelled, OnChunk, ParameterSubset, Queries, SeedPath, Space, Step, Surrogate, SurrogateError, Tangent,
};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2};

/// One line of `cases.csv`.
struct Case {
    data: String,
    strategy: String,
    settings: String,
    n: String,
    picks: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/select")
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(folder().join("cases.csv")).expect("the golden cases are in the repository");
    let parse = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [data, strategy, settings, n, picks] = cells[..] else { panic!("{line}: five cells are due") };
        let own = str::to_owned;
        Case { data: own(data), strategy: own(strategy), settings: own(settings), n: own(n), picks: own(picks) }
    };
    text.lines().skip(1).map(parse).collect()
}

/// `dal select STRATEGY` on one of the golden data sets, with the members' predictions unless told otherwise.
fn select(data: &str, strategy: &str, with_members: bool, more: &[&str]) -> Output {
    let mut command = command(data, strategy);
    if with_members {
        command.arg("--members").arg(folder().join(format!("{data}_members.npy")));
    }
    command.args(more).output().expect("dal can be started")
}

fn command(data: &str, strategy: &str) -> Command {
    let file = |part: &str| folder().join(format!("{data}_{part}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dal"));
    command.args(["select", strategy, "--labelled-x"]).arg(file("lx.csv")).arg("--labelled-y").arg(file("ly.csv"));
    command.arg("--pool").arg(file("px.csv"));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn every_golden_case_is_picked_in_order() {
    let cases = cases();
    assert!(cases.len() > 200, "only {} golden cases", cases.len());
    let mut wrong = Vec::new();
    for Case { data, strategy, settings, n, picks } in &cases {
        let mut more = vec!["-n", n.as_str()];
        for setting in settings.split_whitespace() {
            more.extend(["--set", setting]);
        }
        let output = select(data, strategy, true, &more);
        let found = text(&output.stdout).lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if !output.status.success() || found != *picks {
            let first = picks.split(' ').zip(found.split(' ')).take_while(|(a, b)| a == b).count();
            wrong.push(format!(
                "{data}, {strategy} {settings}, n = {n}: differs from pick {first} on\n  due   {picks}\n  found {found} {}",
                text(&output.stderr)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn distance_rules_need_no_members() {
    for case in cases().iter().filter(|c| c.data == "d8" && (c.strategy == "gsx" || c.strategy == "dacs")) {
        let mut more = vec!["-n", case.n.as_str()];
        if !case.settings.is_empty() {
            more.extend(["--set", case.settings.as_str()]);
        }
        let output = select(&case.data, &case.strategy, false, &more);
        assert!(output.status.success(), "{}: {}", case.strategy, text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>().join(" "), case.picks, "{}", case.strategy);
    }
}

/// Exit code 2, nothing on standard output, and a message with these words.
fn refused(output: &Output, words: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    for word in words {
        assert!(message.contains(word), "{word:?} is missing from: {message}");
    }
}

#[test]
fn more_queries_than_pool_points_are_refused() {
    for strategy in ["random", "gsx", "qbc-diversity-density", "dacs", "cluster-variance"] {
        refused(&select("few", strategy, true, &["-n", "10"]), &["10", "9"]);
    }
}

#[test]
fn rules_about_predictions_say_that_they_need_members() {
    for strategy in ["gsy", "gsxy", "qbc", "qbc-diversity", "qbc-diversity-density", "cluster-variance", "lcmd-members"]
    {
        refused(&select("few", strategy, false, &["-n", "2"]), &["--members"]);
    }
}

#[test]
fn methods_that_need_more_than_members_say_what() {
    for (strategy, word) in
        [("bald", "dropout"), ("emoc", "gradient"), ("learning-loss", "loss"), ("lcmd-tp", "gradient")]
    {
        refused(&select("few", strategy, true, &["-n", "2"]), &[word]);
    }
}

/// Three members of two outputs have a rank of four: `maxdet` and `bait` say where they went on otherwise.
#[test]
fn batch_methods_on_members_take_every_point_and_say_what_the_rank_was() {
    for (strategy, said) in [("lcmd-members", false), ("maxdet-members", true), ("bait-members", true)] {
        let output = select("few", strategy, true, &["-n", "9"]);
        let message = text(&output.stderr);
        assert!(output.status.success(), "{strategy}: {message}");
        let mut rows: Vec<usize> = text(&output.stdout).lines().map(|row| row.trim().parse().expect("a row")).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..9).collect::<Vec<_>>(), "{strategy}");
        assert_eq!(message.contains("the features tell no more after"), said, "{strategy}: {message}");
    }
}

#[test]
fn unknown_strategies_and_settings_are_refused() {
    refused(&select("few", "gsz", true, &[]), &["gsz"]);
    refused(&select("few", "qbc-diversity", true, &["-n", "2", "--set", "scalling=raw"]), &["scalling"]);
    refused(&select("few", "cluster-variance", true, &["-n", "2", "--set", "n_clusters=many"]), &["n_clusters"]);
}

#[test]
fn predictions_that_do_not_fit_or_are_not_finite_are_refused() {
    let scratch = tempfile::tempdir().expect("a folder for the test");
    let members = fs::read(folder().join("few_members.npy")).expect("golden data");
    let mut spoilt = members.clone();
    let last = spoilt.len() - 8;
    spoilt[last..].copy_from_slice(&f64::NAN.to_le_bytes());
    let path = scratch.path().join("spoilt.npy");
    fs::write(&path, spoilt).expect("a writable folder");
    for strategy in ["qbc", "gsy", "qbc-diversity"] {
        let output = select("few", strategy, false, &["-n", "2", "--members", path.to_str().expect("UTF-8")]);
        refused(&output, &["NaN"]);
    }
    let other = folder().join("two_members.npy");
    refused(&select("few", "qbc", false, &["-n", "2", "--members", other.to_str().expect("UTF-8")]), &["9", "2"]);
}

#[test]
fn a_header_that_promises_more_than_the_file_holds_is_refused() {
    let scratch = tempfile::tempdir().expect("a folder for the test");
    let members = fs::read(folder().join("few_members.npy")).expect("golden data");
    let (said, lie): (&[u8], &[u8]) = (b"(3, 9, 2), }              ", b"(3, 9000000, 90000000), } ");
    let at = members.windows(said.len()).position(|bytes| bytes == said).expect("the header's shape");
    let path = scratch.path().join("spoilt.npy");
    let answer = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a writable folder");
        select("few", "qbc", false, &["-n", "2", "--members", path.to_str().expect("UTF-8")])
    };
    let mut spoilt = members.clone();
    spoilt[at..at + lie.len()].copy_from_slice(lie);
    refused(&answer(&spoilt), &["spoilt.npy", "promises"]);
    // A sound file of another type is not called damaged.
    let mut complex = members;
    let at = complex.windows(3).position(|bytes| bytes == b"<f8").expect("the header's type");
    complex[at..at + 3].copy_from_slice(b"<c8");
    let output = answer(&complex);
    refused(&output, &["spoilt.npy", "complex numbers"]);
    assert!(!text(&output.stderr).contains("damaged"), "{}", text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn predictions_may_come_through_a_pipe() {
    let mut child = command("few", "qbc")
        .args(["-n", "2", "--members", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dal can be started");
    let members = fs::read(folder().join("few_members.npy")).expect("golden data");
    child.stdin.take().expect("a pipe").write_all(&members).expect("dal reads");
    let output = child.wait_with_output().expect("dal ends");
    assert!(output.status.success());
    assert_eq!(output.stdout, select("few", "qbc", true, &["-n", "2"]).stdout);
}

#[test]
fn random_is_a_function_of_the_seed() {
    let draw = |seed: &str| {
        let output = select("d8", "random", false, &["-n", "20", "--seed", seed]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(draw("5"), draw("5"));
    assert_ne!(draw("5"), draw("6"));
    let mut rows: Vec<usize> = draw("5").lines().map(|line| line.parse().expect("a row number")).collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|&row| row < 200));
}

/// Answers with the products of gradients in `emoc.json`, and insists on being asked about exactly those points and
/// target.
struct GivenProducts(serde_json::Value);

/// The numbers of a (nested) JSON list, in order.
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

fn matrix(value: &serde_json::Value, columns: usize) -> Array2<f64> {
    let values = numbers(value);
    Array2::from_shape_vec((values.len() / columns, columns), values).expect("rows of equal width")
}

impl Surrogate for GivenProducts {
    fn n_inputs(&self) -> usize {
        2
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        assert_eq!(x, matrix(&self.0["pool"], 2));
        let members = self.0["predictions"].as_array().expect("a list of members");
        let sum = members.iter().fold(Array2::zeros(x.dim()), |sum, member| sum + matrix(member, 2));
        Ok(sum / members.len() as f64)
    }
    fn tangent(&self) -> Option<&dyn Tangent> {
        Some(self)
    }
}

impl Tangent for GivenProducts {
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        assert!(subset.is_none(), "every parameter counts unless the variant says otherwise");
        assert_eq!(anchors, matrix(&self.0["labelled_x"], 2).slice(ndarray::s![..anchors.nrows(), ..]));
        assert_eq!(anchors.nrows() as u64, self.0["n_initial"], "the initial labelled set, not the later points");
        assert_eq!(candidates, matrix(&self.0["pool"], 2));
        for (found, due) in target.iter().zip(numbers(&self.0["target"])) {
            assert!((found - due).abs() < 1e-14, "the target is the pool mean of the predictions: {found}, {due}");
        }
        let shape = (candidates.nrows(), anchors.nrows(), 2);
        let products = Array3::from_shape_vec(shape, numbers(&self.0["products"])).expect("products of every pair");
        // Two chunks, the second one shorter.
        let split = shape.0 / 2 + 1;
        on_chunk(0, products.slice(ndarray::s![..split, .., ..]));
        on_chunk(split, products.slice(ndarray::s![split.., .., ..]));
        Ok(())
    }
}

#[test]
fn emoc_sums_the_products_of_written_out_gradients() {
    let text = fs::read_to_string(folder().join("emoc.json")).expect("golden data");
    let golden: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let (pool, due) = (matrix(&golden["pool"], 2), numbers(&golden["scores"]));
    let n_initial = golden["n_initial"].as_u64().expect("a count") as usize;
    let picks: Vec<usize> = numbers(&golden["picks"]).iter().map(|&row| row as usize).collect();
    let (x, y) = (matrix(&golden["labelled_x"], 2), matrix(&golden["labelled_y"], 2));
    let labelled = Labelled::with_initial(x, y, n_initial).expect("a labelled set");
    let surrogate = GivenProducts(golden);
    let strategy = dal_acq::find("emoc", &dal_core::Settings::default()).expect("emoc is in the catalogue").strategy;
    let space = Space::continuous_unit(2);
    let step = Step::new(&space, &labelled, pool.view(), Some(&surrogate), strategy.needs()).expect("a step");
    let proposal = strategy.propose(&step, picks.len(), &SeedPath::root(0)).expect("a proposal");
    assert_eq!(proposal.queries, Queries::Picked(picks));
    for (found, due) in proposal.scores.expect("emoc scores every point").iter().zip(due) {
        assert!((found / due - 1.0).abs() < 1e-12, "{found} where {due} is due");
    }
}
