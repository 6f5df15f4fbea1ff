//! The part of the numeric platform that the `gemm` crate decides: its kernels and its blocking.

use gemm_common::cache::CACHE_INFO;

/// Architecture, vector path and cache-blocking class of matrix products: their results are byte-identical only where
/// this is equal. The crate picks kernels by the processor's vector extensions, and blocks by its cache sizes.
pub fn products() -> String {
    let caches: Vec<String> =
        CACHE_INFO.iter().map(|level| format!("{}k/{}", level.cache_bytes / 1024, level.associativity)).collect();
    format!("gemm/{}-{}/cache-{}", std::env::consts::ARCH, vector_path(), caches.join("-"))
}

/// The widest vector extension that the crate uses here.
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
    fn the_platform_names_the_architecture_and_three_cache_levels() {
        let text = super::products();
        assert!(text.contains(std::env::consts::ARCH) && text.matches("k/").count() == 3, "{text}");
        assert_eq!(text, super::products());
    }
}
