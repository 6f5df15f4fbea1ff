//! The numeric platform: what besides the inputs decides the bits of a result.

use gemm_common::cache::CACHE_INFO;

/// Engine, architecture, vector path and cache-blocking class: results are byte-identical only where this is equal.
///
/// The `gemm` crate picks its kernels by the processor's vector extensions and its blocking by the cache sizes.
pub fn describe() -> String {
    let caches: Vec<String> =
        CACHE_INFO.iter().map(|level| format!("{}k/{}", level.cache_bytes / 1024, level.associativity)).collect();
    format!("cpu-{}-{}-cache-{}", std::env::consts::ARCH, vector_path(), caches.join("-"))
}

/// The widest vector extension that the engine uses here.
pub fn vector_path() -> &'static str {
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
