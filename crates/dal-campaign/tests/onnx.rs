//! A campaign's model as an ONNX file: what is refused, and what the file says of itself. That its numbers are those of
//! `predict` is checked with ONNX Runtime (`cargo xtask onnx`).

mod common;

use std::sync::Arc;

use common::{Hands, NETWORKS, Rig, begin};
use dal_campaign::onnx::onnx_file;
use dal_campaign::{CampaignError, Folder, ModelSource, RunOptions, Trainer};
use dal_core::{FitJob, LearnError, Learner, Oracle, Stop, Surrogate, SurrogateError};
use ndarray::{Array2, ArrayView2};

/// A learner that is no network: it predicts zero.
struct Zero;

impl Surrogate for Zero {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(Array2::zeros((x.nrows(), 2)))
    }
}

impl Learner for Zero {
    fn platform(&self) -> String {
        "zero".into()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        jobs.iter().map(|_| Ok(Box::new(Zero) as Box<dyn Surrogate>)).collect()
    }
}

#[test]
fn a_model_is_written_once_there_are_labels_and_networks() {
    let dir = tempfile::tempdir().unwrap();
    let small = "[network]\nhidden = [5]\nepochs = 3\nmembers = 2\n";
    let hands = Hands::default();
    drop(begin(dir.path(), |file| file.model = ModelSource::ProblemFile, &hands));
    std::fs::write(dir.path().join("problem.toml"), format!("{}{small}", common::PROBLEM)).unwrap();
    let mut folder = Folder::write(dir.path(), hands.clock()).unwrap();
    let file = |folder: &_, trainer| onnx_file(folder, None, trainer, &Stop::new());
    let none = file(&folder, NETWORKS).unwrap_err();
    assert!(matches!(none, CampaignError::Request { .. }) && none.to_string().contains("no labels yet"), "{none}");
    let oracle: Arc<dyn Oracle> = Arc::new(Rig::default());
    let options = RunOptions { budget: Some(16), ..RunOptions::default() };
    folder.run(&options, &oracle, NETWORKS, &Stop::new(), &mut |_| {}).unwrap();
    let other = file(&folder, Trainer::Own(&Zero)).unwrap_err();
    assert!(matches!(other, CampaignError::NoNetwork) && other.to_string().contains("caller's own"), "{other}");
    let bytes = file(&folder, NETWORKS).unwrap();
    assert_eq!(bytes, file(&folder, NETWORKS).unwrap());
    let text = String::from_utf8_lossy(&bytes);
    for said in [
        "\"levels\":[\"steel\",\"wood\"]",
        "\"scale\":\"log\"",
        "\"kind\":\"cross-validation\"",
        "learned from 16 labels",
        concat!("dal ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(text.contains(said), "{said}\n{}", &text[text.len().saturating_sub(4000)..]);
    }
}
