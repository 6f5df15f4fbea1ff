//! Made-up stores with planted effects.

use dal_report::{
    Circumstances, Entry, Made, Model, Protocol, ReportData, RunStatus, RunSummary, Seconds, Setting, Sweep,
};

/// A splitmix64 step: reproducible noise without a dependency.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0
}

/// How a planted method differs from Random on the log scale, by problem and index of the pool ratio.
pub type Effect = fn(problem: usize, ratio: usize) -> f64;

/// What to plant.
pub struct Plan<'a> {
    pub problems: &'a [&'a str],
    pub ratios: &'a [usize],
    pub seeds: u64,
    pub methods: &'a [(&'a str, Effect)],
    /// Half width of the noise on each seed's log ratio.
    pub noise: f64,
    pub steps: usize,
}

pub fn setting() -> Setting {
    Setting { engine: "cpu".into(), platform: "test/plain".into(), results_revision: 1, timing: false }
}

pub fn protocol(steps: usize) -> Protocol {
    Protocol { preset: "published".into(), initial: 80, queries: 40, steps, test_points: 4000, label_noise_percent: 0 }
}

/// All runs of a plan, finished.
pub fn planted(plan: &Plan<'_>) -> ReportData {
    let protocol = protocol(plan.steps);
    let mut state = 11;
    let mut data = ReportData { source: "planted".into(), ..ReportData::default() };
    for (p, problem) in plan.problems.iter().enumerate() {
        for seed in 0..plan.seeds {
            let start = 0.1 * noise(&mut state);
            let curve: Vec<f64> = (0..=plan.steps)
                .map(|t| (start - 3.0 * t as f64 / plan.steps as f64 + 0.05 * noise(&mut state)).exp())
                .collect();
            let mut add = |strategy: &str, ratio: usize, shift: f64, spread: f64| {
                let entries = curve
                    .iter()
                    .enumerate()
                    .map(|(t, mse)| Entry {
                        n_labelled: 80 + 40 * t,
                        mse: mse * shift.exp(),
                        mae: 0.8 * (mse * shift.exp()).sqrt(),
                        p95_abs: 2.0 * (mse * shift.exp()).sqrt(),
                        max_abs: 4.0 * (mse * shift.exp()).sqrt(),
                        diversity: (t < plan.steps).then_some(0.1 * spread),
                        correlation: (strategy == "qbc").then_some(0.3),
                        seconds: Some(Seconds { training: 1.5, auxiliary_training: 0.0, sampling: 0.002, total: 1.6 }),
                        ..Entry::default()
                    })
                    .collect();
                data.runs.push(RunSummary {
                    setting: setting(),
                    protocol: protocol.clone(),
                    problem: (*problem).into(),
                    strategy: strategy.into(),
                    pool_ratio: Some(ratio),
                    seed,
                    model: Model {
                        problem_digest: String::new(),
                        network: "4 × 50".into(),
                        training: "10 members, 500 epochs".into(),
                        identity: "network".into(),
                    },
                    own: false,
                    test_labels: None,
                    status: RunStatus::Done,
                    waiting: None,
                    entries,
                    name: format!("{problem}-{strategy}-{ratio}-{seed}"),
                    sweep: "planted".into(),
                    circumstances: None,
                });
            };
            add("random", 1, 0.0, 1.0);
            for (g, ratio) in plan.ratios.iter().enumerate() {
                for (m, (id, effect)) in plan.methods.iter().enumerate() {
                    let shift = effect(p, g) + plan.noise * noise(&mut state);
                    add(id, *ratio, shift, 1.0 + 0.2 * m as f64);
                }
            }
        }
    }
    data.sweeps.push(Sweep {
        name: "planted".into(),
        title: "Made up".into(),
        text: "name = \"planted\"\n# <b>not bold</b>\n".into(),
        ..Sweep::default()
    });
    let made_by = Circumstances {
        dal_version: "0.1.0".into(),
        compiler: "rustc".into(),
        cpu: "a processor".into(),
        n_cpus: 2,
        memory_mib: 8192,
        os: "linux x86_64".into(),
        jobs: 2,
        command: vec!["dal".into(), "bench".into(), "run".into(), "planted.toml".into()],
        sweep: "planted".into(),
    };
    data.provenance.push((made_by, Made { runs: data.runs.len(), peak_memory_mib: 64 }));
    data
}
