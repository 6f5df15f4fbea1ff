//! Leaves the compiler's version in `DAL_COMPILER`, for provenance. With the feature `tch`: says where libtorch lies,
//! so that `dal` finds it when it runs.

use std::process::Command;

// Cargo's own interface to build scripts.
#[allow(clippy::disallowed_methods)]
fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output.ok().and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=DAL_COMPILER={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys tells its direct dependents alone, and what the loader needs does not pass on from one crate to the
    // next. A bundle that travels (`--cfg dal_bundle`, cargo xtask gpu-bundle) carries no path of the machine that
    // built it.
    let travels = std::env::var_os("CARGO_CFG_DAL_BUNDLE").is_some();
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").filter(|_| !travels) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
