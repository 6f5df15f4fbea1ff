//! Sweep files: what they mean, and one clear message for each way of getting them wrong.

mod common;

use common::{Toys, built_in, plan, small};
use dal_bench::Sweep;
use dal_core::model::BatchNormSpec;
use dal_core::{MlpEnsemble, ModelSpec};
use dal_store::PoolSpec;

#[test]
fn defaults_are_the_protocol() {
    let plan = plan(
        "name = \"p\"\nseeds = [3, 1]\n[[problem]]\nid = \"sine\"\npreset = \"published\"\n[[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"far\"\n",
    );
    // Random once, the other at six pool ratios, two seeds.
    assert_eq!(plan.trials().len(), 2 * (1 + 6));
    let spec = plan.trials()[1].spec();
    assert_eq!((spec.protocol.initial, spec.protocol.queries, spec.protocol.steps), (80, 40, 50));
    assert_eq!((spec.protocol.test_points, spec.protocol.pool), (4000, PoolSpec::Uniform { ratio: 2 }));
    assert_eq!(plan.trials()[0].spec().protocol.pool, PoolSpec::Uniform { ratio: 1 });
    assert_eq!((spec.seed, spec.preset.as_str(), spec.engine.as_str()), (3, "published", "cpu"));
    let problem = &plan.problems()[0];
    let published = MlpEnsemble::of(&[20; 9], Some(BatchNormSpec::RUNNING), 1e-3, 0.0);
    assert_eq!(problem.model(), &ModelSpec::from(published.clone()));
    assert_eq!((published.training.epochs, published.training.n_members), (500, 10));
    assert_eq!(problem.test_set().unwrap().x.nrows(), 4000);
    assert!(plan.record().departures.is_empty());
}

#[test]
fn a_preset_is_named_or_the_better_one() {
    let of = |problem: &str| {
        let text = format!("name = \"p\"\nseeds = 1\n[[problem]]\n{problem}\n[[strategy]]\nid = \"random\"\n");
        let plan = plan(&text);
        let (spec, problem) = (plan.trials()[0].spec(), &plan.problems()[0]);
        let mlp = problem.model().as_mlp().unwrap();
        (spec.preset.clone(), mlp.hidden.to_vec(), mlp.batch_norm.is_some())
    };
    assert_eq!(of("id = \"hydro\"\npreset = \"published\""), ("published".into(), vec![50; 6], true));
    assert_eq!(of("id = \"hydro\"\npreset = \"tuned\""), ("tuned".into(), vec![12; 6], false));
    // What was searched and is better is the default; what was not stays as published; what is written overrides both.
    assert_eq!(of("id = \"hydro\"").0, "tuned");
    assert_eq!(of("id = \"adm\"").0, "published");
    assert_eq!(of("id = \"bessel\"\nsettings = { order = \"staircase\" }").0, "published");
    assert_eq!(of("id = \"hydro\"\nnetwork = { hidden = [7], batch_norm = true }"), ("tuned".into(), vec![7], true));
}

#[test]
fn a_problem_overrides_the_sweep_and_the_sweep_the_preset() {
    let text = small(&["far", "vary"]).replace(
        "network = { hidden = [6, 6] }",
        "network = { hidden = [5], batch_norm_statistics = \"recomputed\" }\ntraining = { epochs = 3 }\n\
         protocol = { pool_ratios = [7] }\nskip = [\"vary\"]",
    );
    let plan = plan(&text);
    let [sine, robo] = [0, 1].map(|i| plan.problems()[i].model().as_mlp().unwrap().clone());
    assert_eq!((sine.training.epochs, robo.training.epochs), (3, 8));
    assert_eq!((sine.training.weight_decay, robo.training.weight_decay), (0.0, 1e-4));
    assert_eq!(*sine.hidden, [5]);
    let departures = &plan.record().departures["sine"];
    let statistics = "recomputed BatchNorm instead of running BatchNorm";
    let changed = "the preset `tuned` with changes of this sweep";
    for expected in ["hidden layers 1 × 5 instead of 9 × 20", statistics, "epochs 3 instead of 500", changed] {
        assert!(departures.iter().any(|said| said == expected), "{departures:?}");
    }
    // Fewer epochs are not another network, and from the published preset every change is said already.
    for (problem, is_said) in [
        ("id = \"sine\"\ntraining = { epochs = 3 }", false),
        ("id = \"sine\"\npreset = \"published\"\nnetwork = { hidden = [5] }", false),
        ("id = \"sine\"\ntraining = { learning_rate = 0.1 }", true),
    ] {
        let text =
            format!("name = \"p\"\nseeds = 1\n[protocol]\n[[problem]]\n{problem}\n[[strategy]]\nid = \"random\"\n");
        let plan = Sweep::parse(&text, "sweep.toml").unwrap().resolve_with(&built_in()).unwrap();
        assert_eq!(plan.record().departures["sine"].iter().any(|said| said == changed), is_said, "{problem}");
    }
    let of_sine: Vec<_> = plan.trials().iter().filter(|trial| trial.problem() == 0).collect();
    assert_eq!(of_sine.len(), 2);
    assert!(of_sine.iter().all(|t| t.spec().pool_ratio() == Some(7) && t.spec().strategy.id == "far"));
}

/// Noise belongs to a run's identity, its absence does not; a user's program is not given any.
#[test]
fn noise_of_labels_is_recorded_and_for_built_in_problems_alone() {
    let dir = tempfile::tempdir().unwrap();
    let own = "name = \"own\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[outputs]]\nname = \"y\"\n[oracle.command]\nprogram = [\"true\"]\ntime_limit = 1.0\n";
    std::fs::write(dir.path().join("own.toml"), own).unwrap();
    let of = |problem: &str, noise: &str| {
        let text = format!(
            "name = \"p\"\nseeds = 1\n[protocol]\n{noise}\n[[problem]]\nid = \"{problem}\"\n[[strategy]]\nid = \"random\"\n"
        );
        let sweep = Sweep::parse(&text, dir.path().join("sweep.toml")).unwrap();
        sweep.resolve_with(&built_in()).map_err(|error| error.to_string())
    };
    let exact = of("sine", "").unwrap();
    assert_eq!(exact.trials()[0].key(), of("sine", "label_noise_percent = 0").unwrap().trials()[0].key());
    let noisy = of("sine", "label_noise_percent = 5").unwrap();
    assert_eq!(noisy.trials()[0].spec().protocol.label_noise_percent, 5);
    assert_ne!(noisy.trials()[0].key(), exact.trials()[0].key());
    let said = "labels with noise of 5 % of each output's standard deviation instead of exact ones";
    assert!(noisy.record().departures["sine"].iter().any(|words| words == said));
    // Test labels have none, learned ones have.
    let (exact, noisy) = (&exact.problems()[0], &noisy.problems()[0]);
    assert_eq!(exact.test_set().unwrap(), noisy.test_set().unwrap());
    let x = &exact.test_set().unwrap().x;
    let labelled = |problem: &dal_bench::PlannedProblem| {
        let mut labels = Vec::new();
        let mut keep = dal_core::every(|_, answer: Result<&[f64], _>| labels.push(answer.unwrap()[0]));
        problem.oracle().label(x.view(), &dal_core::Stop::new(), &mut keep).unwrap();
        drop(keep);
        labels
    };
    assert!(labelled(exact).iter().zip(labelled(noisy)).all(|(exact, noisy)| *exact != noisy));

    let refused = of("own.toml", "label_noise_percent = 5").unwrap_err();
    assert!(refused.contains("noise is added to the answers of built-in problems only"), "{refused}");
    assert!(refused.contains("protocol.label_noise_percent") && !refused.contains("problem[0].protocol"), "{refused}");
    let refused = of("sine", "label_noise_percent = 101").unwrap_err();
    assert!(refused.contains("101 is outside 0 to 100"), "{refused}");
}

/// What becomes of members that do not learn, and how a decay acts: kept and as published for built-in problems,
/// trained anew and as printed for a user's, unless a file says otherwise; what differs is among the departures and in
/// the specification.
#[test]
fn readings_of_the_training_are_said_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let own = "name = \"own\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[outputs]]\nname = \"y\"\n[oracle.command]\nprogram = [\"true\"]\ntime_limit = 1.0\n";
    std::fs::write(dir.path().join("own.toml"), own).unwrap();
    let of = |problem: &str| {
        let text = format!("name = \"p\"\nseeds = 1\n[[problem]]\n{problem}\n[[strategy]]\nid = \"random\"\n");
        let sweep = Sweep::parse(&text, dir.path().join("sweep.toml")).unwrap();
        let plan = sweep.resolve_with(&built_in()).map_err(|error| error.to_string())?;
        let departures = plan.record().departures.values().flatten().cloned().collect::<Vec<_>>().join("; ");
        Ok::<_, String>((plan.trials()[0].spec().training.clone(), departures))
    };
    let averaged = serde_json::json!({"averaged-loss": {"members": 10}});

    let (training, departures) = of("id = \"hydro\"\npreset = \"published\"").unwrap();
    assert_eq!((&training["decay_reading"], training["on_collapse"].as_str()), (&averaged, None));
    assert_eq!(departures, "");
    let (training, departures) = of("id = \"hydro\"\npreset = \"tuned\"").unwrap();
    assert!(training["decay_reading"].is_null());
    let acts = "weight decay in each member's own loss instead of on the averaged loss of 10 members";
    assert!(departures.contains(acts), "{departures}");

    let said = "training = { on_collapse = \"restart\", decay_reading = \"per-member\" }";
    let (training, departures) = of(&format!("id = \"hydro\"\npreset = \"published\"\n{said}")).unwrap();
    assert_eq!(training["on_collapse"], "restart");
    assert!(training["decay_reading"].is_null());
    assert_eq!(departures, format!("{acts}; members that do not learn are trained anew"));
    let said = "training = { decay_reading = \"coupled-loss\" }";
    let (training, departures) = of(&format!("id = \"sine\"\npreset = \"published\"\n{said}")).unwrap();
    assert_eq!(training["decay_reading"], "coupled-loss");
    assert!(departures.contains("under one schedule"), "{departures}");

    let (training, departures) = of("id = \"own.toml\"").unwrap();
    assert_eq!((training["on_collapse"].as_str(), departures.as_str()), (Some("restart"), ""));
    assert!(training["decay_reading"].is_null());
    let (training, _) = of("id = \"own.toml\"\ntraining = { on_collapse = \"keep\" }").unwrap();
    assert!(training["on_collapse"].is_null());
    // Nor does a network that the sweep describes change that.
    let described = |training: &str| of(&format!("id = \"own.toml\"\nmodel = {{ hidden = [5]{training} }}")).unwrap().0;
    assert_eq!(described("")["on_collapse"], "restart");
    assert_eq!(described(", training = { epochs = 3 }")["on_collapse"], "restart");
    assert!(described(", training = { on_collapse = \"keep\" }")["on_collapse"].is_null());
    assert!(described(", training = { decay_reading = \"coupled-loss\" }")["on_collapse"].is_null());
    assert!(of("id = \"sine\"\nmodel = { hidden = [5] }").unwrap().0["on_collapse"].is_null());

    let error = of(&format!("id = \"own.toml\"\n{said}")).unwrap_err();
    assert!(error.contains("problem[0].training.decay_reading") && error.contains("keep"), "{error}");
    let error = of("id = \"sine\"\ntraining = { on_collapse = \"retry\" }").unwrap_err();
    assert!(error.contains("problem[0].training.on_collapse") && error.contains("restart"), "{error}");
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let base = small(&["far"]);
    let cases: &[(&str, &str, &str, &str)] = &[
        // what is replaced, by what, the line or key that must be named, the remedy
        ("id = \"sine\"", "id = \"sien\"", "problem[0].id", "did you mean `sine`?"),
        ("id = \"far\"", "id = \"fra\"", "strategy[0].id", "fra"),
        ("id = \"sine\"", "id = \"sine\"\nsettings = { order = \"x\" }", "problem[0].settings.order", "it has none"),
        ("id = \"sine\"", "id = \"sine\"\nsettings = { order = nan }", "problem[0].settings.order", "a finite number"),
        ("id = \"sine\"", "id = \"sine\"\npreset = \"best\"", "problem[0].preset", "published, tuned"),
        ("id = \"sine\"", "id = \"sine\"\nskip = [\"qbc\"]", "problem[0].skip", "it has far"),
        ("id = \"robo\"", "id = \"sine\"", "problem[1]", "a sweep of its own"),
        ("id = \"sine\"", "id = \"missing/problem.toml\"", "problem[0].id", "missing/problem.toml"),
        ("hidden = [8]", "hidden = [8, 0]", "problem[1].network.hidden", "at least 1"),
        ("hidden = [8]", "hiden = [8]", "problem[1].network.hiden: unknown field", "did you mean `hidden`?"),
        ("hidden = [8]", "hidden = [8], batch_norm_statistics = \"mean\"", "batch_norm_statistics", "recomputed"),
        (
            "hidden = [8]",
            "hidden = [8], batch_norm_statistics = \"running\"",
            "problem[1].network.batch_norm_statistics: the network of preset `tuned` has no BatchNorm",
            "`batch_norm = true`",
        ),
        ("seeds = 2", "seeds = 0", "seeds", "seeds = 5"),
        ("seeds = 2", "seeds = []", "seeds", "empty"),
        ("seeds = 2", "seeds = [1, 1]", "seeds", "twice"),
        ("seeds = 2", "seeds = \"two\"", "seeds", "seeds = [0, 3]"),
        ("seeds = 2", "seeds = -1", "seeds", "whole number"),
        ("seeds = 2", "seed = 2", "unknown field `seed`", "did you mean `seeds`?"),
        ("seeds = 2", "", "missing field `seeds`", ""),
        ("seeds = 2", "seeds = 2\nengine = \"gpu\"", "engine", "there are: cpu, tch"),
        ("seeds = 2", "seeds = 2\ndevice = \"cuda:0\"", "device", "`tch` is the engine for other devices"),
        ("seeds = 2", "seeds = 2\nprecision = \"bf16\"", "precision", "`tch` is the engine for other"),
        ("name = \"small\"", "name = \" \"", "name", "empty"),
        ("initial = 10", "initial = 0", "protocol.initial", "outside 1"),
        ("queries = 4", "queries = 99999999999", "protocol.queries", "outside 1"),
        ("queries = 4", "queries = 4.5", "invalid type", "usize"),
        ("test_points = 60", "test_points = 0", "protocol.test_points", "outside 1"),
        ("pool_ratios = [2, 3]", "pool_ratios = []", "protocol.pool_ratios", "[2, 8]"),
        ("pool_ratios = [2, 3]", "pool_ratios = [2, 2]", "protocol.pool_ratios", "distinct"),
        ("pool_ratios = [2, 3]", "pool_ratios = [0]", "protocol.pool_ratios", "from 1"),
        ("hidden = [8]", "epochs = 8", "problem[1].network.epochs: unknown field", "`hidden`, `batch_norm`"),
        ("hidden = [8]", "hidden = 8", "problem[1].network.hidden", "invalid type"),
        ("members = 2", "members = 0", "training.members", "at least 1"),
        ("members = 2", "member = 2", "training.member", "did you mean `members`?"),
        ("members = 2", "members = 2\nlearning_rate = -1.0", "training.learning_rate", "(0, ∞)"),
        ("members = 2", "members = 2\nlearning_rate = nan", "training.learning_rate", "(0, ∞)"),
        ("id = \"sine\"", "id = \"sine\"\nmodel = { kind = \"nearest\" }", "problem[0].network", "stand in `model`"),
        ("id = \"sine\"", "id = \"sine\"\nmodel = { hiden = [3] }", "problem[0].model", "hiden"),
        ("id = \"sine\"", "id = \"sine\"\npreset = \"tuned\"\nmodel = {}", "problem[0].preset", "leave one"),
        (
            "id = \"robo\"\n    network = { hidden = [8] }",
            "id = \"robo\"\nmodel = { kind = \"nearest\" }",
            "problem[1].model.kind",
            "trains: mlp-ensemble",
        ),
        ("epochs = 8", "epochs = 8\nepochs = 9", "duplicate key", ""),
        ("id = \"far\"", "id = \"far\"\n[[strategy]]\nid = \"far\"", "strategy[1]", "remove one"),
        ("[[strategy]]\nid = \"far\"", "", "strategy", "add at least one [[strategy]]"),
    ];
    for (from, to, place, remedy) in cases {
        assert!(base.contains(from), "{from}");
        let text = base.replacen(from, to, 1);
        let error = Sweep::parse(&text, "dir/bad.toml").and_then(|sweep| sweep.resolve_with(&Toys::default()));
        let message = match error {
            Ok(_) => panic!("accepted: {to}"),
            Err(error) => error.to_string(),
        };
        assert!(message.starts_with("dir/bad.toml:"), "{message}");
        assert!(message.contains(place) && message.contains(remedy), "{to}: {message}");
        assert!(!message.contains('\n'), "one line: {message}");
        // The line that is named is the one that was spoilt, where the fault is in one line.
        let line: usize = message["dir/bad.toml:".len()..].split(':').next().unwrap().parse().unwrap();
        if to.lines().count() == 1 && !place.starts_with("problem[1]") {
            let spoilt = text.lines().position(|l| l.contains(to)).unwrap() + 1;
            assert_eq!(line, spoilt, "{message}");
        }
    }
    let missing = Sweep::load("no/such/sweep.toml").unwrap_err().to_string();
    assert!(missing.contains("no/such/sweep.toml") && missing.contains("cannot read"), "{missing}");
}

/// The message of a file that the built-in catalogue refuses, without the path.
fn refusal(sweep: Result<Sweep, dal_bench::SweepError>) -> String {
    let message = sweep
        .and_then(|sweep| sweep.resolve_with(&built_in()))
        .map(|_| "accepted".to_owned())
        .unwrap_or_else(|e| e.to_string());
    message.strip_prefix("a.toml:").unwrap_or(&message).to_owned()
}

#[test]
fn an_error_stands_at_the_key_it_is_about() {
    let of = |text: &str| refusal(Sweep::parse(text, "a.toml"));
    let rest = "[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"random\"\n";
    // The value of one key stands in the message about another.
    let engine = "name = \"x\"\nseeds = 1\nengine = \"gpu\"\ntiming = true\ndevice = \"cpu\"\n";
    assert_eq!(
        of(&(engine.to_owned() + rest)),
        "3: engine: there is no engine `gpu`; there are: cpu, tch; did you mean `cpu`?"
    );
    let other = "`tch` is the engine for other devices and precisions (docs/gpu.md)";
    let device = "name = \"x\"\nprecision = \"f32\"\nseeds = 1\nengine = \"cpu\"\ndevice = \"gpu\"\n";
    assert_eq!(of(&(device.to_owned() + rest)), format!("5: device: the engine `cpu` has no device `gpu`; {other}"));
    let precision = "name = \"x\"\nprecision = \"cpu\"\nseeds = 1\nengine = \"cpu\"\ndevice = \"cpu\"\n";
    let message = format!("2: precision: the engine `cpu` has no precision `cpu`; {other}");
    assert_eq!(of(&(precision.to_owned() + rest)), message);
    // Two settings of one value; a value that is the other's key.
    let strategy = |settings: &str| {
        of(&format!(
            "name = \"x\"\nseeds = 1\n[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"dacs\"\n[strategy.settings]\n{settings}"
        ))
    };
    let whole = "a whole number from 1 is wanted";
    assert_eq!(
        strategy("n_groups = 3\nn_neighbours = \"n_groups\"\n"),
        format!("9: strategy[0].settings.n_neighbours: `dacs`, setting n_neighbours=n_groups: {whole}")
    );
    assert_eq!(
        strategy("density = \"k-over-distanse\"\n"),
        "8: strategy[0].settings.density: `dacs`, setting density=k-over-distanse: mean-squared-distance or \
         k-over-distance is wanted; did you mean `k-over-distance`?"
    );
    assert_eq!(
        strategy("density = \"k-over-distance\"\nn_group = 3\n"),
        "9: strategy[0].settings.n_group: `dacs` has no setting `n_group`; it has: density, n_neighbours, n_groups, \
         temperature; did you mean `n_groups`?"
    );
    let problem =
        |entry: &str| of(&format!("name = \"x\"\nseeds = 1\n[[problem]]\n{entry}\n[[strategy]]\nid = \"random\"\n"));
    assert_eq!(
        problem("settings = { order = \"bessel\" }\nid = \"bessel\""),
        "4: problem[0].settings.order: problem `bessel`, setting order=bessel: integer or staircase is wanted"
    );
    assert_eq!(
        problem("id = \"mine.toml\"\nsettings = { id = 3 }"),
        "5: problem[0].settings.id: a problem file has no settings, but `id` is set; remove it"
    );
    assert_eq!(
        problem("id = \"adm\"\n[problem.settings]\noracle = \"nowhere\"").split_once(": the").unwrap().0,
        "6: problem[0].settings.oracle"
    );
    assert!(
        of("name = \"x\"\nseeds = 1\n[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"qbc-diversty\"\n")
            .starts_with("6: strategy[0].id: there is no strategy `qbc-diversty`; there are: random, ")
    );
}

#[test]
fn a_wrong_flag_is_blamed_and_not_the_file() {
    let text = "name = \"x\"\nseeds = 1\nengine = \"cpu\"\ndevice = \"cpu\"\n\
                [[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"random\"\n";
    let sweep = || Sweep::parse(text, "a.toml").unwrap();
    let other = "`tch` is the engine for other devices and precisions (docs/gpu.md)";
    let engine = refusal(Ok(sweep().with_engine("gpu")));
    assert_eq!(engine, "--engine: there is no engine `gpu`; there are: cpu, tch; did you mean `cpu`?");
    let device = refusal(Ok(sweep().with_device("gpu")));
    assert_eq!(device, format!("--device: the engine `cpu` has no device `gpu`; {other}"));
    let precision = refusal(Ok(sweep().with_precision("half")));
    assert_eq!(precision, format!("--precision: the engine `cpu` has no precision `half`; {other}"));
}

#[test]
fn a_number_may_be_written_in_several_ways() {
    let id = |value: &str| {
        let text = format!(
            "name = \"x\"\nseeds = 1\n[[problem]]\nid = \"bessel\"\nsettings = {{ order = \"staircase\" }}\n\
             [[strategy]]\nid = \"dacs\"\nsettings = {{ n_groups = {value}, temperature = {value} }}\n"
        );
        let plan = Sweep::parse(&text, "a.toml").unwrap().resolve_with(&built_in()).unwrap();
        let spec = plan.trials()[0].spec();
        assert_eq!(spec.strategy.variant, "dacs?n_groups=7&temperature=7.0");
        assert_eq!((&*spec.strategy.settings["n_groups"], &*spec.strategy.settings["temperature"]), ("7", "7.0"));
        assert_eq!((&*spec.problem.variant, &*spec.problem.settings["order"]), ("bessel?order=staircase", "staircase"));
        plan.trials()[0].key().id()
    };
    assert_eq!(id("7"), id("\"7\""));
    assert_eq!(id("7"), id("7.0"));
}

#[test]
fn needs_that_cannot_be_met_surface_while_resolving() {
    let text = small(&["dropout"]).replace("hidden = [8]", "hidden = []");
    let error = Sweep::parse(&text, "a.toml").unwrap().resolve_with(&Toys::default()).unwrap_err().to_string();
    assert!(error.contains("dropout") && error.contains("skip = [\"dropout\"]"), "{error}");
}

#[test]
fn the_sweep_files_of_the_project_resolve() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/sweeps");
    // Absent where the crate was unpacked from its package.
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let plan = Sweep::load(&path).and_then(|sweep| sweep.resolve_with(&built_in()));
            assert!(plan.is_ok_and(|plan| !plan.trials().is_empty()), "{}", path.display());
        }
    }
}

#[cfg(not(feature = "tch"))]
#[test]
fn an_engine_that_is_not_built_in_says_how_to_build_it() {
    let text = small(&["far"]).replace("seeds = 2", "seeds = 2\nengine = \"tch\"\ndevice = \"cuda:0\"");
    let error = Sweep::parse(&text, "a.toml").unwrap().resolve_with(&Toys::default()).unwrap_err().to_string();
    assert!(error.contains("cargo xtask libtorch") && error.contains("--features tch"), "{error}");
    // The engine that the caller asks for instead leaves the device of the other behind.
    assert!(Sweep::parse(&text, "a.toml").unwrap().with_engine("cpu").resolve_with(&Toys::default()).is_ok());
}

/// Of an engine, a device and a precision, the one that is wrong is named, whatever stands in the other lines.
#[test]
fn the_wrong_one_of_engine_and_device_is_named() {
    let error = |engine: &str, device: &str| {
        let text = small(&["far"]);
        let text = text.trim_start().replacen(
            "seeds = 2",
            &format!("seeds = 2\nengine = \"{engine}\"\n\ndevice = \"{device}\""),
            1,
        );
        Sweep::parse(&text, "a.toml").unwrap().resolve_with(&Toys::default()).unwrap_err().to_string()
    };
    let message = error("gpu", "cpu");
    assert!(message.starts_with("a.toml:3: engine: there is no engine `gpu`"), "{message}");
    let message = error("cpu", "gpu");
    assert!(message.starts_with("a.toml:5: device: "), "{message}");
}

#[test]
fn planned_looks_are_kept_and_must_make_sense() {
    let of = |looks: &str| {
        let text =
            format!("name = \"p\"\nseeds = 20\n{looks}\n[[problem]]\nid = \"sine\"\n[[strategy]]\nid = \"random\"\n");
        Sweep::parse(&text, "a.toml").unwrap().resolve_with(&Toys::default())
    };
    let two = "looks = [{ seeds = 10, level = 0.02 }, { seeds = 20, level = 0.03 }]";
    let kept = of(two).unwrap().record().looks.clone();
    assert_eq!(kept.iter().map(|l| (l.seeds, l.level)).collect::<Vec<_>>(), [(10, 0.02), (20, 0.03)]);
    assert!(of("").unwrap().record().looks.is_empty());
    let error = of("looks = [{ seeds = 10, level = 0.02 },\n { seeds = 10, level = 0.03 }]").unwrap_err().to_string();
    assert!(error.starts_with("a.toml:4: looks[1]: "), "{error}");
    assert!(of("looks = [{ seeds = 10, level = 1.5 }]").is_err());
}
