//! Leaves the compiler's version in `DAL_COMPILER`, for provenance.

use std::process::Command;

// Cargo's own interface to build scripts.
#[allow(clippy::disallowed_methods)]
fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output.ok().and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=DAL_COMPILER={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
