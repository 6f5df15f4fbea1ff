//! One-dimensional convolutions of a head, as loops over taps: forward, backward, and the gradient of their weights.
//!
//! A plain and a transposed convolution are the same bilinear relation between a short and a long sequence, position
//! `t` of the short one meeting position `t · stride + k − padding` of the long one through kernel entry `k`; they
//! differ in which of the two is the input.

use crate::params::ConvRange;
use crate::real::Real;
use dal_core::model::{ConvHeadSpec, ConvKind, ConvLayerSpec};

/// One convolution with the lengths it works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    pub spec: ConvLayerSpec,
    /// Values per input channel.
    pub n_before: usize,
    /// Values per output channel.
    pub n_after: usize,
}

/// The positions at which one kernel entry acts.
pub(crate) struct Taps {
    /// Range of the short sequence.
    pub short: std::ops::Range<usize>,
    /// Where the long sequence starts; it moves on by `stride`.
    pub long: usize,
}

impl Conv {
    /// The convolutions of a head, first to last.
    pub fn of(head: &ConvHeadSpec) -> Vec<Self> {
        let mut length = head.length;
        head.layers
            .iter()
            .map(|&spec| {
                let n_before = length;
                // A validated head yields a value at every layer.
                length = spec.output_length(n_before).unwrap_or(0);
                Self { spec, n_before, n_after: length }
            })
            .collect()
    }

    /// Input values per point, all channels.
    pub fn n_input(&self) -> usize {
        self.spec.n_in * self.n_before
    }

    /// Output values per point, all channels.
    pub fn n_output(&self) -> usize {
        self.spec.n_out * self.n_after
    }

    /// Where kernel entry `k` acts.
    pub fn taps(&self, k: usize) -> Taps {
        let (short, long) = match self.spec.kind {
            ConvKind::Plain => (self.n_after, self.n_before),
            ConvKind::Transposed => (self.n_before, self.n_after),
        };
        let (stride, padding) = (self.spec.stride, self.spec.padding);
        // 0 ≤ t · stride + k − padding < long
        let first = padding.saturating_sub(k).div_ceil(stride);
        let end = (long + padding).saturating_sub(k).div_ceil(stride).min(short);
        if first >= end {
            return Taps { short: 0..0, long: 0 };
        }
        Taps { short: first..end, long: first * stride + k - padding }
    }

    fn weight_index(&self, i: usize, o: usize, k: usize) -> usize {
        match self.spec.kind {
            ConvKind::Plain => (o * self.spec.n_in + i) * self.spec.kernel + k,
            ConvKind::Transposed => (i * self.spec.n_out + o) * self.spec.kernel + k,
        }
    }

    /// Calls `tap(weight index, input channel, output channel, taps)` for every weight.
    pub fn for_each_weight(&self, mut tap: impl FnMut(usize, usize, usize, Taps)) {
        for k in 0..self.spec.kernel {
            for i in 0..self.spec.n_in {
                for o in 0..self.spec.n_out {
                    tap(self.weight_index(i, o, k), i, o, self.taps(k));
                }
            }
        }
    }

    /// One point: `output (n_out, n_after)` from `input (n_in, n_before)`; `bias` empty for the linear part alone.
    pub fn forward<T: Real>(&self, weight: &[T], bias: &[T], input: &[T], output: &mut [T]) {
        for (o, channel) in output.chunks_exact_mut(self.n_after).enumerate() {
            channel.fill(bias.get(o).copied().unwrap_or(T::ZERO));
        }
        self.for_each_weight(|w, i, o, taps| {
            let before = &input[i * self.n_before..][..self.n_before];
            let after = &mut output[o * self.n_after..][..self.n_after];
            match self.spec.kind {
                ConvKind::Plain => gather(weight[w], before, after, taps, self.spec.stride),
                ConvKind::Transposed => scatter(weight[w], before, after, taps, self.spec.stride),
            }
        });
    }

    /// One point: the gradient `input (n_in, n_before)` from the gradient `output (n_out, n_after)`.
    pub fn backward<T: Real>(&self, weight: &[T], output: &[T], input: &mut [T]) {
        input.fill(T::ZERO);
        self.for_each_weight(|w, i, o, taps| {
            let before = &mut input[i * self.n_before..][..self.n_before];
            let after = &output[o * self.n_after..][..self.n_after];
            match self.spec.kind {
                ConvKind::Plain => scatter(weight[w], after, before, taps, self.spec.stride),
                ConvKind::Transposed => gather(weight[w], after, before, taps, self.spec.stride),
            }
        });
    }

    /// One point: adds the gradients of weight and bias, from the input and the gradient of the output.
    pub fn weight_gradient<T: Real>(&self, input: &[T], output: &[T], weight: &mut [T], bias: &mut [T]) {
        for (o, channel) in output.chunks_exact(self.n_after).enumerate() {
            bias[o] += channel.iter().copied().sum();
        }
        self.for_each_weight(|w, i, o, taps| {
            let before = &input[i * self.n_before..][..self.n_before];
            let after = &output[o * self.n_after..][..self.n_after];
            let (short, long) = match self.spec.kind {
                ConvKind::Plain => (after, before),
                ConvKind::Transposed => (before, after),
            };
            let mut sum = T::ZERO;
            let long = long.get(taps.long..).unwrap_or(&[]).iter().step_by(self.spec.stride);
            for (&s, &l) in short[taps.short].iter().zip(long) {
                sum += s * l;
            }
            weight[w] += sum;
        });
    }
}

/// `long += w · short` at the taps.
fn scatter<T: Real>(w: T, short: &[T], long: &mut [T], taps: Taps, stride: usize) {
    let long = long.get_mut(taps.long..).unwrap_or(&mut []);
    if stride == 1 {
        for (&s, l) in short[taps.short].iter().zip(long) {
            *l += w * s;
        }
    } else {
        for (&s, l) in short[taps.short].iter().zip(long.iter_mut().step_by(stride)) {
            *l += w * s;
        }
    }
}

/// `short += w · long` at the taps.
fn gather<T: Real>(w: T, long: &[T], short: &mut [T], taps: Taps, stride: usize) {
    let long = long.get(taps.long..).unwrap_or(&[]);
    if stride == 1 {
        for (s, &l) in short[taps.short].iter_mut().zip(long) {
            *s += w * l;
        }
    } else {
        for (s, &l) in short[taps.short].iter_mut().zip(long.iter().step_by(stride)) {
            *s += w * l;
        }
    }
}

/// The convolutions of a head bound to a member's parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoundConv<'a, T> {
    pub conv: &'a Conv,
    pub weight: &'a [T],
    pub bias: &'a [T],
}

impl<'a, T: Real> BoundConv<'a, T> {
    pub fn new(conv: &'a Conv, range: &ConvRange, params: &'a [T]) -> Self {
        Self { conv, weight: &params[range.weight.clone()], bias: &params[range.bias.clone()] }
    }

    /// Every point of a batch.
    pub fn forward(&self, input: &[T], output: &mut [T]) {
        let points = input.chunks_exact(self.conv.n_input()).zip(output.chunks_exact_mut(self.conv.n_output()));
        for (input, output) in points {
            self.conv.forward(self.weight, self.bias, input, output);
        }
    }

    /// Every point of a batch, from gradients of the output to gradients of the input.
    pub fn backward(&self, output: &[T], input: &mut [T]) {
        let points = output.chunks_exact(self.conv.n_output()).zip(input.chunks_exact_mut(self.conv.n_input()));
        for (output, input) in points {
            self.conv.backward(self.weight, output, input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn conv(kind: ConvKind, n_in: usize, n_out: usize, kernel: usize, stride: usize, padding: usize, n: usize) -> Conv {
        let spec = ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
        Conv { spec, n_before: n, n_after: spec.output_length(n).unwrap_or(0) }
    }

    /// Values of `torch.nn.functional.conv1d` and `conv_transpose1d` (PyTorch 2.13) by hand-checkable integers.
    #[test]
    fn known_convolutions() {
        let plain = conv(ConvKind::Plain, 1, 1, 3, 2, 1, 5);
        let mut out = vec![0.0; plain.n_output()];
        plain.forward(&[1.0, 2.0, 3.0], &[10.0], &[1.0, 2.0, 3.0, 4.0, 5.0], &mut out);
        // padded 0 1 2 3 4 5 0: (0,1,2), (2,3,4), (4,5,0)
        assert_eq!(out, [18.0, 30.0, 24.0]);
        let transposed = conv(ConvKind::Transposed, 1, 1, 4, 2, 1, 3);
        let mut out = vec![0.0; transposed.n_output()];
        transposed.forward(&[1.0, 2.0, 3.0, 4.0], &[0.5], &[1.0, 10.0, 100.0], &mut out);
        // full: 1 2 13 24 130 240 300 400, cut by one on both ends
        assert_eq!(out, [2.5, 13.5, 24.5, 130.5, 240.5, 300.5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        /// Backward is the transpose of forward, and the weight gradient the derivative of a bilinear form.
        #[test]
        fn backward_is_the_transpose(
            transposed: bool, n_in in 1usize..4, n_out in 1usize..4, kernel in 1usize..6, stride in 1usize..4,
            padding in 0usize..4, n in 1usize..12, seed in 0u64..1000,
        ) {
            let kind = if transposed { ConvKind::Transposed } else { ConvKind::Plain };
            let c = conv(kind, n_in, n_out, kernel, stride, padding, n);
            prop_assume!(c.n_after > 0);
            let mut state = seed;
            let mut values = |count: usize| -> Vec<f64> {
                (0..count).map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    ((state >> 60) as f64) - 7.0
                }).collect()
            };
            let (w, x, g) = (values(c.spec.n_weights()), values(c.n_input()), values(c.n_output()));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let mut y = vec![0.0; c.n_output()];
            c.forward(&w, &[], &x, &mut y);
            let mut back = vec![0.0; c.n_input()];
            c.backward(&w, &g, &mut back);
            prop_assert_eq!(dot(&y, &g), dot(&x, &back));
            let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; n_out]);
            c.weight_gradient(&x, &g, &mut dw, &mut db);
            prop_assert_eq!(dot(&dw, &w), dot(&y, &g));
            prop_assert_eq!(db.iter().sum::<f64>(), g.iter().sum::<f64>());
        }
    }
}
