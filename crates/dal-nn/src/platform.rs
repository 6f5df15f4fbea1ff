//! The part of the numeric platform that the `gemm` crate decides: whether a multiply-add rounds once or twice.

use crate::products::DEPTH;

/// Order and rounding of matrix products: their results are byte-identical where this is equal, whatever the
/// processor's caches ([`DEPTH`]).
pub(crate) fn products() -> String {
    format!("gemm/{}/{DEPTH}", if is_fused() { "fused" } else { "unfused" })
}

/// Whether the crate's multiply-adds are fused here: it takes the widest vector extension that it finds, and all but
/// its scalar path fuse.
pub(crate) fn is_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("fma") || std::arch::is_x86_feature_detected!("avx512f")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("neon")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

/// The widest vector extension of the running processor that libtorch may use.
#[cfg(feature = "tch")]
pub(crate) fn vector_path() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return "neon";
    }
    "portable"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_platform_names_order_and_rounding_and_no_cache() {
        let text = super::products();
        assert!(text == "gemm/fused/512" || text == "gemm/unfused/512", "{text}");
    }
}
