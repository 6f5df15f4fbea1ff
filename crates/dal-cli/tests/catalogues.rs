//! What one crate lists by name and another declares has to agree; the program links both.

use std::collections::BTreeSet;

#[test]
fn the_report_knows_the_rules_that_the_pool_does_not_matter_to() {
    let declared: BTreeSet<&str> =
        dal_acq::catalogue().filter(|card| !card.default_strategy().uses_pool()).map(|card| card.id).collect();
    assert_eq!(declared, dal_report::ANY_POOL.into_iter().collect());
    assert!(dal_report::stands_for_every_ratio("random?stream=1") && !dal_report::stands_for_every_ratio("gsx"));
}
