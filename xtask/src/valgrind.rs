//! `cargo xtask valgrind`: the tests of the unsafe kernels under a memory checker.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{capture, find_program, install_package, run, test_programs};

/// Tests of `dal-nn` that reach every kernel in small sizes. The others of the module train for hundreds of epochs.
const TESTS: &[&str] = &[
    "conformance::sizes_around_the_vector_widths_match_the_plain_loops",
    "conformance::one_point_has_no_variance_and_stays_finite",
    "conformance::dropout_matches_the_plain_loops",
    "conformance::the_loss_head_matches_the_plain_loops_in_both_phases",
    "conformance::convolutions_match_the_plain_loops",
    "conformance::stopping_and_going_on_gives_the_same_bits",
];

/// Runs the tests under valgrind, whose processor has AVX2 but not AVX-512: so the portable and the AVX2 kernels are
/// checked. Any error, a leak included, is a failure.
pub fn run_memcheck() -> Result<()> {
    if find_program(&["valgrind"]).is_none() {
        install_package("valgrind")?;
    }
    let programs = test_programs(&["--workspace", "--lib"])?;
    let tests = programs.iter().find(|program| program.target == "dal_nn").context("dal-nn has tests")?;
    // A test that was renamed must not be skipped in silence.
    let list = capture(Command::new(&tests.path).arg("--list").current_dir(&tests.package))?;
    if let Some(lost) = TESTS.iter().find(|test| !list.lines().any(|line| line.strip_suffix(": test") == Some(test))) {
        bail!("dal-nn has no test `{lost}` any more; mend the list in xtask/src/valgrind.rs");
    }
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
    command.args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
    command.arg(&tests.path).args(["--test-threads=1", "--exact"]).args(TESTS);
    run(command.current_dir(&tests.package))
}
