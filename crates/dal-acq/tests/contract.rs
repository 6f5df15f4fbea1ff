//! The contract battery over the whole catalogue, defaults and variants.

use dal_acq::contract::check_strategy;
use dal_acq::{catalogue, find};
use dal_core::{SeedPath, Settings};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_strategy_keeps_the_contract(seed: u64) {
        for card in catalogue() {
            let outcome = check_strategy(&*card.default_strategy(), card.invariances, &SeedPath::root(seed));
            prop_assert!(outcome.is_ok(), "{}: {}", card.id, outcome.unwrap_err());
        }
    }

    #[test]
    fn variants_keep_it_too(seed: u64) {
        let variants: [(&str, &[(&str, &str)]); _] = [
            ("qbc-diversity", &[("scaling", "raw")]),
            ("qbc-diversity-density", &[("density", "distance")]),
            ("qbc-diversity-density", &[("scaling", "raw")]),
            ("emoc", &[("n_parameters", "5")]),
            ("dacs", &[("n_groups", "2")]),
            ("dacs", &[("temperature", "0.001")]),
            ("cluster-variance", &[("n_clusters", "3")]),
            ("cluster-variance", &[("prefilter", "2")]),
            ("bmdal", &[("selection", "kmeanspp")]),
            ("bmdal", &[("selection", "maxdet")]),
            ("bmdal", &[("transform", "posterior")]),
            ("bmdal", &[("selection", "maxdist"), ("transform", "posterior")]),
            ("bmdal", &[("selection", "kmeanspp"), ("transform", "posterior")]),
            ("bmdal", &[("features", "members")]),
            ("bmdal", &[("features", "last-layer")]),
            ("bmdal", &[("selection", "bait"), ("features", "last-layer")]),
            ("bait-f-p", &[("criterion", "epig")]),
            ("bait-f-p", &[("target", "domain")]),
            ("bait-members", &[("criterion", "epig")]),
            ("lcmd-members", &[("columns", "3")]),
        ];
        for (id, pairs) in variants {
            keeps_it(id, pairs, seed)?;
        }
    }
}

proptest! {
    // The domain is thousands of points, and each selection takes a logarithm per candidate and target.
    #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]

    #[test]
    fn information_about_the_domain_keeps_it_too(seed: u64) {
        keeps_it("bait-f-p", &[("criterion", "epig"), ("target", "domain")], seed)?;
    }
}

fn keeps_it(id: &str, pairs: &[(&str, &str)], seed: u64) -> Result<(), TestCaseError> {
    let settings = pairs.iter().fold(Settings::default(), |all, (key, value)| all.with(*key, *value));
    let strategy = find(id, &settings).unwrap().strategy;
    let outcome = check_strategy(&*strategy, &[], &SeedPath::root(seed));
    prop_assert!(outcome.is_ok(), "{id} {pairs:?}: {}", outcome.unwrap_err());
    Ok(())
}
