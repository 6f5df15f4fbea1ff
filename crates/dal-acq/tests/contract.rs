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
        for (id, key, value) in [
            ("qbc-diversity", "scaling", "raw"),
            ("qbc-diversity-density", "density", "distance"),
            ("qbc-diversity-density", "scaling", "raw"),
            ("emoc", "n_parameters", "5"),
            ("dacs", "n_groups", "2"),
            ("dacs", "temperature", "0.001"),
            ("cluster-variance", "n_clusters", "3"),
            ("cluster-variance", "prefilter", "2"),
            ("bmdal", "selection", "kmeanspp"),
            ("bmdal", "selection", "maxdet"),
            ("bmdal", "transform", "posterior"),
            ("bmdal", "features", "members"),
            ("bait-f-p", "criterion", "epig"),
            ("bait-f-p", "target", "domain"),
            ("bait-members", "criterion", "epig"),
            ("lcmd-members", "columns", "3"),
        ] {
            let strategy = find(id, &Settings::default().with(key, value)).unwrap().strategy;
            let outcome = check_strategy(&*strategy, &[], &SeedPath::root(seed));
            prop_assert!(outcome.is_ok(), "{id} {key}={value}: {}", outcome.unwrap_err());
        }
    }
}
