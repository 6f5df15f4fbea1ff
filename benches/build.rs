//! With the feature `tch`: says where libtorch lies, so that the programs of this crate find it when they run.

// Cargo's own interface to build scripts.
#[allow(clippy::disallowed_methods)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys tells its direct dependents alone, and what the loader needs does not pass on from one crate to the next.
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
