//! Vector kernels for training small networks, one table of entry points per instruction set, and the advice that large
//! buffers lie on large pages. `dal-nn` trains with them; its conformance suite is their test, against plain loops.
//!
//! A crate of its own, so that `unsafe` code of training is in one place, and so that it is not compiled again with the
//! tests and features of `dal-nn`.
//!
//! Activations lie feature by feature with the points along the vector lanes, in panels of at most two vectors of
//! points: see [`Kernels::position`]. Buffers are handed over as [`In`] and [`Out`].
//!
//! The methods of [`Kernels`] are safe: they check the length of every buffer against the sizes given, and a table is
//! handed out by [`available`] only where the processor has its instruction set. Behind them, kernels work on raw
//! pointers, whose every access follows from those sizes.

mod access;
mod adam;
mod backward;
mod forward;
mod loss;
mod norm;
mod pages;
mod panels;
mod peak;
mod product;
mod simd;
mod sums;
mod taps;

pub use self::access::{In, Out};
pub use self::adam::Adam;
pub use self::backward::Backward;
pub use self::forward::Forward;
pub use self::loss::Loss;
pub use self::norm::{Denormalise, Normalise};
pub use self::pages::prefer_large;
pub use self::panels::{LINE, Source};
use self::simd::Simd;
pub use self::taps::{RowTap, Taps};

/// Name of the order in which sums are taken, beside the instruction set: raised when blocking constants change. It
/// does not depend on the machine's caches.
pub const BLOCKING: &str = "panels-1";

/// The kernels of one instruction set.
pub struct Kernels {
    name: &'static str,
    lanes: usize,
    sum_lanes: usize,
    forward: unsafe fn(&Forward<'_>),
    normalise: unsafe fn(&Normalise<'_>),
    loss: unsafe fn(&Loss<'_>) -> f64,
    denormalise: unsafe fn(&Denormalise<'_>),
    reduce: unsafe fn(In<'_>, usize, Out<'_>),
    backward: unsafe fn(&Backward<'_>),
    adam: unsafe fn(&Adam<'_>),
    spread: unsafe fn(&Taps<'_>, In<'_>, In<'_>, Out<'_>),
    correlate: unsafe fn(&Taps<'_>, In<'_>, In<'_>, Out<'_>),
    row_sums: unsafe fn(usize, usize, In<'_>, Out<'_>),
    peak: unsafe fn(usize) -> f64,
    scratch: fn(usize, usize) -> usize,
}

macro_rules! table {
    ($table:ident, $module:ident, $simd:ty $(, $features:literal)?) => {
        mod $module {
            use super::*;
            // SAFETY of every function here: the caller has checked the buffers' lengths, and the table is reachable
            // only through `available`, which has checked the instruction set.
            $(#[target_feature(enable = $features)])?
            unsafe fn forward(f: &Forward<'_>) {
                unsafe { forward::forward::<$simd>(f) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn normalise(b: &Normalise<'_>) {
                unsafe { norm::normalise::<$simd>(b) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn loss(l: &Loss<'_>) -> f64 {
                unsafe { loss::loss::<$simd>(l) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn denormalise(b: &Denormalise<'_>) {
                unsafe { norm::denormalise::<$simd>(b) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn reduce(sums: In<'_>, n: usize, to: Out<'_>) {
                unsafe { sums::reduce::<$simd>(sums, n, to) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn backward(b: &Backward<'_>) {
                unsafe { backward::backward::<$simd>(b) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn adam(a: &Adam<'_>) {
                unsafe { adam::adam::<$simd>(a) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn spread(t: &Taps<'_>, weight: In<'_>, from: In<'_>, to: Out<'_>) {
                unsafe { taps::spread::<$simd>(t, weight, from, to) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn correlate(t: &Taps<'_>, from: In<'_>, to: In<'_>, gradient: Out<'_>) {
                unsafe { taps::correlate::<$simd>(t, from, to, gradient) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn row_sums(n_points: usize, n: usize, values: In<'_>, to: Out<'_>) {
                unsafe { sums::row_sums::<$simd>(n_points, n, values, to) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn peak(rounds: usize) -> f64 {
                unsafe { peak::peak::<$simd>(rounds) }
            }
            pub(super) static TABLE: Kernels = Kernels {
                name: <$simd>::NAME,
                lanes: <$simd>::LANES,
                sum_lanes: <$simd>::SUM_LANES,
                forward,
                normalise,
                loss,
                denormalise,
                reduce,
                backward,
                adam,
                spread,
                correlate,
                row_sums,
                peak,
                scratch: backward::scratch::<$simd>,
            };
        }
        use self::$module::TABLE as $table;
    };
}

#[cfg(target_arch = "x86_64")]
table!(AVX512, avx512, simd::x86::Avx512, "avx512f,avx512dq,avx2,fma");
#[cfg(target_arch = "x86_64")]
table!(AVX2_WIDE, avx2_wide, simd::x86::Avx2Wide, "avx512f,avx512dq,avx2,fma");
#[cfg(target_arch = "x86_64")]
table!(AVX2, avx2, simd::x86::Avx2, "avx2,fma");
#[cfg(target_arch = "aarch64")]
table!(NEON, neon, simd::arm::Neon, "neon");
table!(PORTABLE, portable, simd::Portable);

/// The tables this processor can run, the fastest first. Tables of one name compute the same bits.
pub fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
            tables.extend([&AVX512, &AVX2_WIDE]);
        }
        if avx2 {
            tables.push(&AVX2);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        tables.push(&NEON);
    }
    tables.push(&PORTABLE);
    tables
}

impl Source<'_> {
    fn require(&self, n_in: usize, padded: usize) {
        self.z.require(n_in * padded, "source", false);
        self.gain.require(n_in, "gain", true);
        self.shift.require(n_in, "shift", self.gain.is_absent());
        self.keep.require(n_in * padded, "keep", true);
    }
}

impl Kernels {
    /// Name of the instruction set.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Length of a panel matrix of one feature: the points, rounded up to whole vectors.
    pub fn padded(&self, n_points: usize) -> usize {
        n_points.next_multiple_of(self.lanes)
    }

    /// Length of the scratch a layer's kernels need.
    pub fn scratch(&self, n_in: usize, n_out: usize) -> usize {
        (self.scratch)(n_in, n_out)
    }

    /// Length of the lane sums of a layer of `n` features, with what reading whole vectors of them may touch.
    pub fn sums(&self, n: usize) -> usize {
        (2 * n + self.lanes) * self.sum_lanes
    }

    /// Where feature `feature` of point `point` lies in panels of `n` features.
    pub fn position(&self, n_points: usize, n: usize, feature: usize, point: usize) -> usize {
        let width = 2 * self.lanes;
        let first = point / width * width;
        let row = if n_points - first > self.lanes { width } else { self.lanes };
        first * n + feature * row + (point - first)
    }

    /// The product of a layer.
    pub fn forward(&self, f: &Forward<'_>) {
        let padded = self.padded(f.n_points);
        f.source.require(f.n_in, padded);
        f.weight.require(f.n_in * f.n_out, "weight", false);
        f.start.require(f.n_out, "start", false);
        f.output.require(f.n_out * padded, "output", false);
        f.sums.require(self.sums(f.n_out), "sums", true);
        f.scratch.require(self.scratch(f.n_in, f.n_out), "scratch", false);
        // SAFETY: the instruction set was checked by `available`, the lengths just now.
        unsafe { (self.forward)(f) }
    }

    /// BatchNorm's statistics after [`Kernels::forward`].
    pub fn normalise(&self, b: &Normalise<'_>) {
        b.sums.require(self.sums(b.n), "sums", false);
        b.z.require(b.n * self.padded(b.n_points), "z", false);
        for (buffer, what) in [(b.gamma, "gamma"), (b.beta, "beta")] {
            buffer.require(b.n, what, false);
        }
        for buffer in [b.centre, b.mean, b.variance, b.inverse, b.gain, b.shift] {
            buffer.require(b.n, "statistics", false);
        }
        // SAFETY: as above.
        unsafe { (self.normalise)(b) }
    }

    /// Mean squared error and its gradient.
    pub fn loss(&self, l: &Loss<'_>) -> f64 {
        let n = l.n * self.padded(l.n_points);
        l.output.require(n, "output", false);
        l.target.require(n, "target", false);
        l.delta.require(n, "delta", false);
        // SAFETY: as above.
        unsafe { (self.loss)(l) }
    }

    /// BatchNorm's backward scalars after the [`Kernels::backward`] of the layer above.
    pub fn denormalise(&self, b: &Denormalise<'_>) {
        b.sums.require(self.sums(b.n), "sums", false);
        for buffer in [b.mean, b.inverse] {
            buffer.require(b.n, "statistics", false);
        }
        b.gradient.require(2 * b.n, "gradient", false);
        b.curve.require(b.n, "curve", false);
        b.offset.require(b.n, "offset", false);
        // SAFETY: as above.
        unsafe { (self.denormalise)(b) }
    }

    /// Adds up the first `n` lane sums.
    pub fn reduce(&self, sums: In<'_>, n: usize, to: Out<'_>) {
        sums.require((n + self.lanes) * self.sum_lanes, "sums", false);
        to.require(n, "result", false);
        // SAFETY: as above.
        unsafe { (self.reduce)(sums, n, to) }
    }

    /// Gradients of a layer.
    pub fn backward(&self, b: &Backward<'_>) {
        let padded = self.padded(b.n_points);
        b.delta.require(b.n_out * padded, "delta", false);
        let plain = b.slope.is_absent();
        b.z.require(b.n_out * padded, "z", plain);
        b.slope.require(b.n_out, "slope", plain);
        b.curve.require(b.n_out, "curve", plain);
        b.offset.require(b.n_out, "offset", plain);
        b.source.require(b.n_in, padded);
        b.weight.require(b.n_in * b.n_out, "weight", false);
        b.gradient.require(b.n_in * b.n_out, "gradient", false);
        b.extra.require(b.n_in * padded, "extra", true);
        b.delta_below.require(b.n_in * padded, "delta below", true);
        b.sums.require(self.sums(b.n_in), "sums", b.delta_below.is_absent() || b.source.gain.is_absent() || !b.through);
        b.scratch.require(self.scratch(b.n_in, b.n_out), "scratch", false);
        // SAFETY: as above.
        unsafe { (self.backward)(b) }
    }

    /// One Adam step.
    pub fn adam(&self, a: &Adam<'_>) {
        for buffer in [a.params, a.first, a.second] {
            buffer.require(a.n, "state", false);
        }
        a.gradient.require(a.n, "gradient", false);
        // SAFETY: as above.
        unsafe { (self.adam)(a) }
    }

    /// `to[to row] += weight · from[from row]` over all taps.
    pub fn spread(&self, t: &Taps<'_>, weight: In<'_>, from: In<'_>, to: Out<'_>) {
        self.check_taps(t);
        t.taps.iter().for_each(|tap| weight.require(tap.weight + 1, "weight", false));
        from.require(t.n_from * self.padded(t.n_points), "source", false);
        to.require(t.n_to * self.padded(t.n_points), "target", false);
        // SAFETY: the instruction set was checked by `available`, rows and lengths just now.
        unsafe { (self.spread)(t, weight, from, to) }
    }

    /// `gradient[weight] += Σ from[from row] · to[to row]` over all taps and points.
    pub fn correlate(&self, t: &Taps<'_>, from: In<'_>, to: In<'_>, gradient: Out<'_>) {
        self.check_taps(t);
        t.taps.iter().for_each(|tap| gradient.require(tap.weight + 1, "gradient", false));
        from.require(t.n_from * self.padded(t.n_points), "source", false);
        to.require(t.n_to * self.padded(t.n_points), "target", false);
        // SAFETY: as above.
        unsafe { (self.correlate)(t, from, to, gradient) }
    }

    /// Sum over the points of each of `n` features.
    pub fn row_sums(&self, n_points: usize, n: usize, values: In<'_>, to: Out<'_>) {
        values.require(n * self.padded(n_points), "values", false);
        to.require(n, "sums", false);
        // SAFETY: as above.
        unsafe { (self.row_sums)(n_points, n, values, to) }
    }

    fn check_taps(&self, t: &Taps<'_>) {
        for tap in t.taps.iter().filter(|tap| tap.count > 0) {
            let (from, to) = (tap.from + (tap.count - 1) * tap.from_step, tap.to + (tap.count - 1) * tap.to_step);
            assert!(from < t.n_from && to < t.n_to, "a kernel's tap lies beyond its rows: {tap:?}");
        }
    }

    /// The panels of a matrix of so many points: first point, and elements per feature.
    pub fn panels(&self, n_points: usize) -> impl Iterator<Item = (usize, usize)> {
        let width = 2 * self.lanes;
        let lanes = self.lanes;
        (0..n_points).step_by(width).map(move |first| (first, if n_points - first > lanes { width } else { lanes }))
    }

    /// Multiply-adds from registers alone, `rounds` times: what a product can reach at best. Returns the number of
    /// multiply-adds.
    pub fn peak(&self, rounds: usize) -> f64 {
        // SAFETY: the instruction set was checked by `available`; no memory is touched.
        unsafe { (self.peak)(rounds) }
    }
}
