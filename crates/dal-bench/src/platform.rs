//! On what results depend beside a run's specification and the program's revision.

use dal_core::Learner;

/// The numeric platform of a run: that of its training, and whose factorisations strategies use where they are not
/// those of a default build.
pub(crate) fn platform(learner: &dyn Learner) -> String {
    with_factorisations(learner.platform(), dal_acq::LINEAR_ALGEBRA)
}

/// The numeric platform of another machine, where the engine `cpu` uses other vector instructions and all else is
/// equal.
pub(crate) fn with_instructions(platform: String, path: &str) -> String {
    match platform.splitn(3, '/').collect::<Vec<_>>()[..] {
        ["cpu", _, rest] => format!("cpu/{path}/{rest}"),
        _ => platform,
    }
}

fn with_factorisations(platform: String, by: &str) -> String {
    if by == "faer" { platform } else { format!("{platform}+{by}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_not_named_and_another_is() {
        assert_eq!(with_factorisations("cpu".into(), "faer"), "cpu");
        assert_eq!(with_factorisations("cpu".into(), "lapack"), "cpu+lapack");
        assert_eq!(with_instructions("cpu/avx2/b4+lapack".into(), "neon"), "cpu/neon/b4+lapack");
        assert_eq!(with_instructions("tch/cuda/f32".into(), "neon"), "tch/cuda/f32");
    }
}
