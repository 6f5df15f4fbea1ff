//! Run ids do not change with the program: twenty of results revision 5, and what of revision 4's they differ by.

mod common;

use common::plan_of;
use dal_bench::Sweep;
use dal_store::{RunKey, RunSpec};
use serde_json::json;

/// A platform of revision 5.
const PLATFORM: &str = "cpu/avx512/panels-1+gemm/fused/512";
/// The platform of two stores made under revision 4, when platforms named the processor's caches.
const FORMER_PLATFORM: &str = "cpu/avx512/panels-1+gemm/x86_64-avx512/cache-48k/12-2048k/16-266240k/20";

/// Beginnings of the two sweeps.
const SMOKE: &str = "name = \"smoke\"\nseeds = 1\n[protocol]\ninitial = 20\nqueries = 5\nsteps = 1\ntest_points = 200\npool_ratios = [4]\n\
                     [training]\nepochs = 10\nmembers = 3\n";
const QUICK: &str = "name = \"quick\"\nseeds = 3\n[protocol]\ninitial = 80\nqueries = 40\nsteps = 8\ntest_points = 1000\npool_ratios = [2, 8]\n\
                     [training]\nepochs = 150\nmembers = 3\n";

/// Directory names of twenty of their runs under revision 4.
const FORMER_SMOKE_RUNS: &[&str] = &[
    "sine-random-g1-s0-4c64d6b3c4d1982c",
    "robo-qbc-diversity-g4-s0-869a3fb16436d0d1",
    "stack-dacs-g4-s0-efa0141d2ee02674",
    "adm-gsxy-g4-s0-554c123f55cb65c8",
    "foil-emoc-g4-s0-7122e0bddd385a1d",
    "hydro-gsx-g4-s0-5e452d39e95dda80",
    "bessel-qbc-diversity-density-g4-s0-1ec66a1e8b2ee99c",
    "damp-cluster-variance-g4-s0-538693609b251c06",
];
const FORMER_QUICK_RUNS: &[&str] = &[
    "sine-random-g1-s0-0c99d1d41315ae0d",
    "robo-gsx-g8-s1-46163cd292ec86a6",
    "stack-gsy-g2-s2-dc2e9305e03a1c09",
    "foil-gsxy-g8-s0-166c94618c7c13b3",
    "hydro-qbc-g2-s1-323cf2a3b1fd010e",
    "bessel-qbc-diversity-g8-s2-f2f6d494d90d626c",
    "damp-qbc-diversity-density-g2-s0-1f1b1dbc7face886",
    "sine-bald-g8-s1-1ece42ba4d593a96",
    "robo-emoc-g2-s2-5f96e52fbbd70628",
    "stack-learning-loss-g8-s0-4400bb9c94141581",
    "foil-dacs-g2-s1-fadd8adb4412e0b6",
    "hydro-cluster-variance-g8-s2-b19cbcd10e78e129",
];

/// The same twenty under this revision.
const SMOKE_RUNS: &[&str] = &[
    "sine-random-g1-s0-0e4ca17d5b0d9465",
    "robo-qbc-diversity-g4-s0-3aaeb6a0e4fc3153",
    "stack-dacs-g4-s0-3a735e87e01460fd",
    "adm-gsxy-g4-s0-dfefa636ae0722d7",
    "foil-emoc-g4-s0-7f69fa2a3150086c",
    "hydro-gsx-g4-s0-c46d881e6ae76d4f",
    "bessel-qbc-diversity-density-g4-s0-83986ebc6acabcdf",
    "damp-cluster-variance-g4-s0-22c818bb7f886774",
];
const QUICK_RUNS: &[&str] = &[
    "sine-random-g1-s0-82127a80d861c8d9",
    "robo-gsx-g8-s1-63ef97f60589a38d",
    "stack-gsy-g2-s2-61c3c371476d1ea3",
    "foil-gsxy-g8-s0-6bd8b2cdafd89172",
    "hydro-qbc-g2-s1-9c753ed6f6ad47a7",
    "bessel-qbc-diversity-g8-s2-04efb42c2b330485",
    "damp-qbc-diversity-density-g2-s0-b46596b4104d2029",
    "sine-bald-g8-s1-ad8b1d72184d6a8c",
    "robo-emoc-g2-s2-0106fc8eb5d31296",
    "stack-learning-loss-g8-s0-f3dc311dc98a211b",
    "foil-dacs-g2-s1-78dd6374b8d1c30f",
    "hydro-cluster-variance-g8-s2-d71195733e69402e",
];

/// Problems that the sweeps give a narrower network.
const NARROW: [&str; 5] = ["robo", "stack", "adm", "foil", "damp"];

/// The directory names of a sweep's runs.
fn names(begin: &str, key: impl Fn(RunSpec) -> RunKey) -> Vec<String> {
    let mut text = begin.to_owned();
    for id in ["sine", "robo", "stack", "adm", "foil", "hydro", "bessel", "damp"] {
        text += &format!("[[problem]]\nid = \"{id}\"\npreset = \"published\"\n");
        if NARROW.contains(&id) {
            text += "network = { hidden = [50, 50, 50, 50] }\n";
        }
    }
    for card in dal_acq::catalogue() {
        text += &format!("[[strategy]]\nid = \"{}\"\n", card.id);
    }
    plan_of(&text).trials().iter().map(|trial| key(trial.spec().clone()).directory_name()).collect()
}

fn all_there(names: &[String], runs: &[&str]) {
    let missing: Vec<_> = runs.iter().filter(|run| !names.iter().any(|name| name == *run)).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {names:#?}");
}

#[test]
fn twenty_ids_of_this_revision() {
    let key = |spec| RunKey { platform: PLATFORM.into(), results_revision: 5, spec };
    assert_eq!(SMOKE_RUNS.len() + QUICK_RUNS.len(), 20);
    let all = [names(SMOKE, key), names(QUICK, key)].concat();
    all_there(&all, SMOKE_RUNS);
    all_there(&all, QUICK_RUNS);
}

/// Revision 5 changed every id on purpose: the revision itself, the platform's name (no caches), and the reading of the
/// weight decay that published networks have. With these three taken back, the ids are those of the stores of revision
/// 4: nothing else that a run is has moved.
#[test]
fn ids_of_the_former_revision_differ_by_what_was_changed_on_purpose() {
    let key = |mut spec: RunSpec| {
        spec.training.as_object_mut().unwrap().remove("decay_reading");
        RunKey { platform: FORMER_PLATFORM.into(), results_revision: 4, spec }
    };
    assert_eq!(FORMER_SMOKE_RUNS.len() + FORMER_QUICK_RUNS.len(), 20);
    all_there(&names(SMOKE, key), FORMER_SMOKE_RUNS);
    all_there(&names(QUICK, key), FORMER_QUICK_RUNS);
}

/// Kernels that a sweep file asks for give the ids of a machine that has no faster ones: what this processor is does
/// not show.
#[test]
fn forced_kernels_give_the_ids_of_a_machine_that_has_them() {
    for path in dal_nn::FastTrainer::paths() {
        let text = format!("platform = \"{path}\"\n{SMOKE}[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"random\"\n");
        let plan = plan_of(&text);
        let key = plan.trials()[0].key();
        let there = PLATFORM.replace("avx512", path);
        // A processor without fused multiply-adds rounds otherwise, and its platform says so.
        assert!(key.platform == there || key.platform == there.replace("fused", "unfused"), "{}", key.platform);
        let elsewhere = RunKey { platform: there, results_revision: 5, spec: plan.trials()[0].spec().clone() };
        if key.platform == elsewhere.platform {
            assert_eq!(key.directory_name(), elsewhere.directory_name());
        }
    }
    let text = format!("platform = \"mmx\"\n{SMOKE}[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"random\"\n");
    let error = Sweep::parse(&text, "test.toml").unwrap().resolve_with(&common::built_in()).unwrap_err().to_string();
    assert!(error.contains("platform") && error.contains("mmx") && error.contains("portable"), "{error}");
}

/// What no sweep file overrides: the five members of `adm`, and presets that a search found.
#[test]
fn presets_are_described_as_before() {
    let text = "name = \"p\"\nseeds = 1\n[[problem]]\nid = \"adm\"\n[[problem]]\nid = \"hydro\"\n[[problem]]\nid = \"sine\"\n\
                [[strategy]]\nid = \"random\"\n";
    let plan = plan_of(text);
    let spec = |problem: usize| plan.trials()[problem].spec();
    let training = |n_members: usize, learning_rate: f64, weight_decay: f64| {
        json!({
            "n_members": n_members, "epochs": 500, "learning_rate": learning_rate, "weight_decay": weight_decay,
            "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
            "plateau": {"factor": 0.8, "patience": 10, "threshold": 1e-4},
        })
    };
    let norm = |statistics: &str| json!({"momentum": 0.1, "eps": 1e-5, "statistics": statistics});
    let transposed = json!({"kind": "transposed", "n_in": 4, "n_out": 4, "kernel": 3, "stride": 1, "padding": 1});
    assert_eq!((&*spec(0).training, spec(0).preset.as_str()), (&training(5, 5e-3, 0.0), "published"));
    assert_eq!(
        spec(0).network,
        json!({
            "n_inputs": 14, "n_outputs": 2000, "hidden": [1500, 1500, 1500, 1500], "batch_norm": norm("running"),
            "head": {"convolution": {"length": 1000, "layers": [
                {"kind": "transposed", "n_in": 1, "n_out": 4, "kernel": 4, "stride": 2, "padding": 1},
                transposed, transposed,
                {"kind": "plain", "n_in": 4, "n_out": 1, "kernel": 1, "stride": 1, "padding": 0},
            ]}},
        })
    );
    assert_eq!((&*spec(1).training, spec(1).preset.as_str()), (&training(10, 1e-2, 1e-4), "tuned"));
    assert_eq!(
        spec(1).network,
        json!({"n_inputs": 6, "n_outputs": 1, "hidden": vec![12; 6], "batch_norm": null, "head": "linear"})
    );
    assert_eq!((&*spec(2).training, spec(2).preset.as_str()), (&training(10, 3e-4, 0.0), "tuned"));
    assert_eq!(
        spec(2).network,
        json!({"n_inputs": 1, "n_outputs": 1, "hidden": vec![40; 9], "batch_norm": norm("recomputed"), "head": "linear"})
    );
}
