//! Trains a small ensemble, with BatchNorm, scaled inputs and a head of convolutions, and writes it as an ONNX model
//! beside points and its own predictions there, to be held against ONNX Runtime.
//!
//! `cargo run -p dal-nn --example onnx -- FOLDER` writes `model.onnx` (`x` to `mean` and `variance`, on the unit box)
//! and `answers.json` (lists `x`, `mean`, `variance` of rows).

use anyhow::Context;
use dal_core::{Labelled, Needs, SeedPath, Uncertainty};
use dal_nn::onnx::{About, Attribute, Graph};
use dal_nn::{
    BatchNormSpec, ConvHeadSpec, ConvKind, ConvLayerSpec, CpuLearner, Head, InputScaling, NetworkSpec, TrainingSpec,
};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).context("usage: onnx FOLDER")?);
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    // 10 values, then 3 × 20, 3 × 20, 2 × 10, and 1 × 10.
    let layers = vec![
        layer(ConvKind::Transposed, 1, 3, 4, 2, 1),
        layer(ConvKind::Transposed, 3, 3, 3, 1, 1),
        layer(ConvKind::Plain, 3, 2, 3, 2, 1),
        layer(ConvKind::Plain, 2, 1, 1, 1, 0),
    ];
    let head = Head::Convolution(ConvHeadSpec { length: 10, layers: layers.into() });
    let network = NetworkSpec::new(3, 10, vec![24, 16], Some(BatchNormSpec::default()), head)?;
    let training = TrainingSpec { n_members: 4, epochs: 60, learning_rate: 5e-3, ..TrainingSpec::default() };
    let place = |i: usize, j: usize| ((i * [7, 11, 13][j]) % 41) as f64 / 20.5 - 1.0;
    let x = Array2::from_shape_fn((41, 3), |(i, j)| place(i, j));
    let y = Array2::from_shape_fn((41, 10), |(i, k)| (3.0 * x[[i, 0]] + k as f64 / 3.0).sin() + x[[i, 1]] * x[[i, 2]]);
    let needs = Needs { uncertainty: true, ..Needs::default() };
    let learner = CpuLearner::new(network, training)?.with_input_scaling(InputScaling::Standardise);
    let model = learner.fit(&Labelled::new(x, y)?, &needs, &SeedPath::root(1))?;

    let mut graph = Graph::new("convolutions");
    let points = graph.input("x", 3, "points of the unit box");
    let members = model.add_to(&mut graph, &points);
    let over = |keep| [("axes", Attribute::Ints(&[0])), ("keepdims", Attribute::Int(keep))];
    graph.node("ReduceMean", &[&members], "mean", &over(0));
    let centre = graph.node("ReduceMean", &[&members], "centre", &over(1));
    let gaps = graph.node("Sub", &[&members, &centre], "gaps", &[]);
    let squares = graph.node("Mul", &[&gaps, &gaps], "squares", &[]);
    graph.node("ReduceMean", &[&squares], "variance", &over(0));
    graph.output("mean", 10, "the mean over members");
    graph.output("variance", 10, "the variance over members");
    let bytes = graph.into_bytes(&About { producer: "dal-nn", version: "0", text: "an example", metadata: &[] })?;

    let x = Array2::from_shape_fn((200, 3), |(i, j)| place(i * 3 + 1, j) * 0.99);
    let moments = model.moments(x.view())?;
    let rows =
        |values: ArrayView2<'_, f64>| -> Vec<Vec<f64>> { values.axis_iter(Axis(0)).map(|row| row.to_vec()).collect() };
    let answers =
        json!({"x": rows(x.view()), "mean": rows(moments.mean.view()), "variance": rows(moments.variance.view())});
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("model.onnx"), bytes)?;
    std::fs::write(folder.join("answers.json"), answers.to_string())?;
    Ok(())
}
