//! Criterion benches and sweep files
