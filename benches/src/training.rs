//! An ensemble to be timed in training: network, data and initial members, read from a peer's files or made up.

use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_nn::{BatchNormSpec, ConvHeadSpec, Head, Layout, NetworkSpec, TrainJob, TrainingSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Inputs, hidden layers, their width, and weight decay of those of the benchmark's networks that a table without files
/// times.
pub const NETWORKS: [(usize, usize, usize, f64); 4] =
    [(1, 9, 20, 0.0), (6, 6, 50, 1e-4), (5, 4, 200, 1e-4), (4, 4, 500, 1e-4)];

/// What is trained.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The network of every member.
    pub network: NetworkSpec,
    /// Where its parameters lie in a member's vector.
    pub layout: Layout,
    /// Training points.
    pub n: usize,
    /// Inputs `(n, n_inputs)` in rows.
    pub x: Vec<f32>,
    /// Labels `(n, n_outputs)` in rows.
    pub y: Vec<f32>,
    /// Each member's parameters before the first epoch.
    pub initial: Vec<Vec<f32>>,
}

impl Workload {
    /// Widths are those of inputs, hidden layers and outputs; with `adm_head` the last one is that of the Linear in
    /// front of the convolutions of `adm`. The folder holds `x.f32`, `y.f32` (rows) and `params.f32` (one flat vector
    /// per member), little-endian.
    ///
    /// # Errors
    /// Widths that are no network; files that cannot be read or do not fit it.
    pub fn read(widths: &[usize], adm_head: bool, n: usize, n_members: usize, folder: Option<&Path>) -> Result<Self> {
        let network = network(widths, adm_head)?;
        let layout = Layout::new(&network, None);
        let folder = folder.context("--data is needed")?;
        let parameters = read_f32(&folder.join("params.f32"), n_members * layout.n_parameters())?;
        Ok(Self {
            n,
            x: read_f32(&folder.join("x.f32"), n * network.n_inputs())?,
            y: read_f32(&folder.join("y.f32"), n * network.n_outputs())?,
            initial: parameters.chunks_exact(layout.n_parameters()).map(<[f32]>::to_vec).collect(),
            network,
            layout,
        })
    }

    /// [`Self::invented`] with one output, for a network of [`NETWORKS`].
    ///
    /// # Errors
    /// Sizes that are no network.
    pub fn made_up((inputs, depth, width): (usize, usize, usize), n: usize, n_members: usize) -> Result<Self> {
        let mut widths = vec![width; depth + 2];
        (widths[0], widths[depth + 1]) = (inputs, 1);
        Self::invented(&widths, n, n_members)
    }

    /// A smooth function on uniform points, for a network of these widths (inputs, hidden layers, outputs).
    ///
    /// # Errors
    /// Widths that are no network.
    pub fn invented(widths: &[usize], n: usize, n_members: usize) -> Result<Self> {
        let network = network(widths, false)?;
        let (inputs, outputs) = (network.n_inputs(), network.n_outputs());
        let layout = Layout::new(&network, None);
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let x: Vec<f32> = (0..n * inputs).map(|_| stream.random_range(-1.0f32..1.0)).collect();
        let label = |row: &[f32], output: usize| (row.iter().sum::<f32>() * 3.0 + 0.1 * output as f32).sin();
        let y = x.chunks_exact(inputs).flat_map(|row| (0..outputs).map(move |output| label(row, output))).collect();
        let initial = (0..n_members).map(|_| layout.initial::<f32>(&mut stream)).collect();
        Ok(Self { network, layout, n, x, y, initial })
    }

    /// A member's training, without end of its own.
    pub fn training(&self, learning_rate: f64, weight_decay: f64) -> TrainingSpec {
        let n_members = self.initial.len();
        TrainingSpec { n_members, epochs: usize::MAX, learning_rate, weight_decay, ..TrainingSpec::default() }
    }

    /// The same as the engines take it.
    pub fn job<'a>(&'a self, training: &'a TrainingSpec) -> TrainJob<'a, f32> {
        TrainJob {
            network: &self.network,
            layout: &self.layout,
            training,
            x: &self.x,
            y: &self.y,
            n: self.n,
            dropout: None,
            loss_head: None,
            stop: None,
        }
    }
}

fn network(widths: &[usize], adm_head: bool) -> Result<NetworkSpec> {
    let &[inputs, ref hidden @ .., last] = widths else { bail!("--widths needs inputs and outputs at least") };
    let (head, outputs) = match adm_head {
        true => (Head::Convolution(ConvHeadSpec { length: last, ..ConvHeadSpec::adm() }), 2 * last),
        false => (Head::Linear, last),
    };
    Ok(NetworkSpec::new(inputs, outputs, hidden.to_vec(), Some(BatchNormSpec::default()), head)?)
}

fn read_f32(path: &Path, expected: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
    if values.len() != expected {
        bail!("{} holds {} numbers, expected {expected}", path.display(), values.len());
    }
    Ok(values)
}
