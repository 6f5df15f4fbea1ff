//! The Linear layer: weights in panels, and the inner loop for the instructions that the machine has.

/// Units that the inner loop computes together; rows of a weight panel.
const LANES: usize = 16;

/// Weights in panels of [`LANES`] outputs, each panel with its inputs one after another; the last is padded with zeros.
#[derive(Clone, PartialEq)]
pub(super) struct Linear {
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    pub(super) panels: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn new(n_inputs: usize, n_outputs: usize, weights: &[f32], bias: Vec<f32>) -> Self {
        let mut panels = vec![0.0; n_outputs.div_ceil(LANES) * n_inputs * LANES];
        for (panel, to) in panels.chunks_exact_mut(n_inputs * LANES).enumerate() {
            for lane in 0..LANES.min(n_outputs - panel * LANES) {
                let row = &weights[(panel * LANES + lane) * n_inputs..][..n_inputs];
                row.iter().enumerate().for_each(|(k, w)| to[k * LANES + lane] = *w);
            }
        }
        Self { n_inputs, n_outputs, panels, bias }
    }
}

/// Which instructions the inner loop is compiled for. The arithmetic is the same: products and sums rounded one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// y = x Wᵀ + b for rows of `x` and `y`.
    pub(super) fn linear(self, layer: &Linear, x: &[f64], y: &mut [f64]) {
        match self {
            Self::Portable => linear_rows(layer, x, y),
            // SAFETY: `detect` is where these values come from (the tests' own come from the same checks), so the
            // instructions exist on this machine.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { linear_avx2(layer, x, y) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { linear_avx512(layer, x, y) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn linear_avx2(layer: &Linear, x: &[f64], y: &mut [f64]) {
    linear_rows(layer, x, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn linear_avx512(layer: &Linear, x: &[f64], y: &mut [f64]) {
    linear_rows(layer, x, y);
}

#[inline(always)]
fn linear_rows(layer: &Linear, x: &[f64], y: &mut [f64]) {
    const ROWS: usize = 4;
    let (n, m) = (layer.n_inputs, layer.n_outputs);
    for (p, panel) in layer.panels.chunks_exact(n * LANES).enumerate() {
        let (first, lanes) = (p * LANES, LANES.min(m - p * LANES));
        let bias = &layer.bias[first..first + lanes];
        let mut xs = x.chunks_exact(n * ROWS);
        let mut ys = y.chunks_exact_mut(m * ROWS);
        for (x, y) in (&mut xs).zip(&mut ys) {
            panel_rows::<ROWS>(panel, bias, n, m, first, x, y);
        }
        for (x, y) in xs.remainder().chunks_exact(n).zip(ys.into_remainder().chunks_exact_mut(m)) {
            panel_rows::<1>(panel, bias, n, m, first, x, y);
        }
    }
}

/// One panel of outputs for `R` rows. Each output sums its products in the order of the inputs, then adds the bias.
#[inline(always)]
fn panel_rows<const R: usize>(panel: &[f32], bias: &[f32], n: usize, m: usize, first: usize, x: &[f64], y: &mut [f64]) {
    let rows: [&[f64]; R] = std::array::from_fn(|r| &x[r * n..(r + 1) * n]);
    let mut sum = [[0.0_f64; LANES]; R];
    for (k, w) in panel.as_chunks::<LANES>().0.iter().enumerate() {
        let w: [f64; LANES] = std::array::from_fn(|lane| f64::from(w[lane]));
        for (sum, row) in sum.iter_mut().zip(&rows) {
            let v = row[k];
            for lane in 0..LANES {
                sum[lane] += v * w[lane];
            }
        }
    }
    for (r, sum) in sum.iter().enumerate() {
        for (lane, bias) in bias.iter().enumerate() {
            y[r * m + first + lane] = sum[lane] + f64::from(*bias);
        }
    }
}
