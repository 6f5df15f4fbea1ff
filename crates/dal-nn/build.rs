//! With the feature `tch`: says where libtorch lies, so that the tests of this crate find it when they run.

// Cargo's own interface to build scripts.
#[allow(clippy::disallowed_methods)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys tells its direct dependents alone, and what the loader needs does not pass on from one crate to the
    // next. A bundle that travels (`--cfg dal_bundle`, cargo xtask gpu-bundle) carries no path of the machine that
    // built it.
    let travels = std::env::var_os("CARGO_CFG_DAL_BUNDLE").is_some();
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").filter(|_| !travels) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
