//! How many multiply-adds the processor reaches at best.

use super::simd::Simd;

/// Multiply-adds from registers alone, `rounds` times; the number done.
#[inline(always)]
pub(super) unsafe fn peak<S: Simd>(rounds: usize) -> f64 {
    unsafe {
        let mut acc = [[S::zero(); 2]; 5];
        let x = S::splat(std::hint::black_box(0.5));
        for _ in 0..rounds {
            for row in &mut acc {
                for sum in row {
                    *sum = S::fma(x, *sum, x);
                }
            }
        }
        let mut total = 0.0;
        for sum in acc.iter().flatten() {
            total += S::sum(S::gather(S::zero_sum(), *sum));
        }
        std::hint::black_box(total);
        (rounds * 10 * S::LANES) as f64
    }
}
