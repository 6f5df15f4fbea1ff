//! The two floating-point types networks are computed in.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` (what the benchmark trains in) or `f64` (what gradients are checked in).
pub trait Real:
    sealed::Sealed
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Magnitudes below this become zero in the optimiser, so that decayed weights and moments never turn into
    /// denormal numbers, which slow every later epoch. It is far below anything that moves a parameter.
    const FLUSH: Self;

    /// The nearest value to `v`.
    fn from_f64(v: f64) -> Self;
    /// The value, exactly.
    fn to_f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// `max(self, 0)`, with NaN kept so that divergence is seen rather than hidden.
    fn relu(self) -> Self {
        if self <= Self::ZERO { Self::ZERO } else { self }
    }

    /// Zero where the magnitude is below [`Real::FLUSH`].
    fn flushed(self) -> Self {
        if self.abs() < Self::FLUSH { Self::ZERO } else { self }
    }
}

macro_rules! real {
    ($t:ty, $flush:expr) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const FLUSH: Self = $flush;
            fn from_f64(v: f64) -> Self {
                v as Self
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
        }
    };
}
real!(f32, 1e-30);
real!(f64, 1e-290);
