//! On what results depend beside a run's specification and the program's revision.

use dal_core::Learner;

/// The numeric platform of a run: that of its training, and whose factorisations strategies use where they are not
/// those of a default build.
pub(crate) fn platform(learner: &dyn Learner) -> String {
    with_factorisations(learner.platform(), dal_acq::LINEAR_ALGEBRA)
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
    }
}
