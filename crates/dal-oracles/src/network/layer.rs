//! The layers of a network with their weights, and what each makes of its units.

use super::linear::{Kernel, Linear};
use super::manifest::Signal;

#[derive(Clone, PartialEq)]
pub(super) enum Layer {
    Linear(Linear),
    /// One scale and shift per channel of units.
    Affine {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    Relu,
    Convolution(Convolution),
}

#[derive(Clone, PartialEq)]
pub(super) struct Convolution {
    pub(super) transposed: bool,
    pub(super) before: Signal,
    pub(super) after: Signal,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// (channels in, channels out, kernel), whatever the file's order.
    pub(super) weights: Vec<f64>,
    pub(super) bias: Vec<f64>,
}

impl Layer {
    /// Replaces `units`, row by row one after another, by what the layer makes of them; `next` is working memory.
    pub(super) fn forward(&self, kernel: Kernel, rows: usize, units: &mut Vec<f64>, next: &mut Vec<f64>) {
        match self {
            Self::Relu => units.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
            Self::Affine { scale, shift } => {
                let per_row = units.len() / rows;
                let per_statistic = (per_row / scale.len()).max(1);
                for row in units.chunks_exact_mut(per_row) {
                    for (group, (scale, shift)) in row.chunks_mut(per_statistic).zip(scale.iter().zip(shift)) {
                        group.iter_mut().for_each(|v| *v = *v * scale + shift);
                    }
                }
            }
            Self::Linear(linear) => {
                next.clear();
                next.resize(rows * linear.n_outputs, 0.0);
                kernel.linear(linear, units, next);
                std::mem::swap(units, next);
            }
            Self::Convolution(convolution) => {
                let (from, to) = (convolution.before.units(), convolution.after.units());
                next.clear();
                next.resize(rows * to, 0.0);
                for (x, y) in units.chunks_exact(from).zip(next.chunks_exact_mut(to)) {
                    convolution.forward(x, y);
                }
                std::mem::swap(units, next);
            }
        }
    }
}

impl Convolution {
    /// y[o][i] = b[o] + Σ_c Σ_j x[c][..] w[c][o][j]: ordinary at i·stride − padding + j, transposed from every i with
    /// i·stride − padding + j = the place written. The sum runs over c, then j.
    fn forward(&self, x: &[f64], y: &mut [f64]) {
        let (from, to) = (self.before.length, self.after.length);
        for (out, bias) in y.chunks_exact_mut(to).zip(&self.bias) {
            out.fill(*bias);
        }
        // Places that are strided over: inputs of an ordinary convolution, outputs of a transposed one.
        let (dense, strided) = if self.transposed { (from, to) } else { (to, from) };
        for c in 0..self.before.channels {
            let x = &x[c * from..][..from];
            for o in 0..self.after.channels {
                let y = &mut y[o * to..][..to];
                for j in 0..self.kernel {
                    let w = self.weights[(c * self.after.channels + o) * self.kernel + j];
                    // Those i with 0 ≤ i·stride + j − padding < strided.
                    let first = self.padding.saturating_sub(j).div_ceil(self.stride);
                    let end = (strided + self.padding).saturating_sub(j).div_ceil(self.stride).min(dense);
                    if first >= end {
                        continue;
                    }
                    let start = first * self.stride + j - self.padding;
                    if self.transposed {
                        let to = y[start..].iter_mut().step_by(self.stride);
                        to.zip(&x[first..end]).for_each(|(y, x)| *y += x * w);
                    } else {
                        let from = x[start..].iter().step_by(self.stride);
                        y[first..end].iter_mut().zip(from).for_each(|(y, x)| *y += x * w);
                    }
                }
            }
        }
    }
}
