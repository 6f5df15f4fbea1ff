//! Rows of the fixed tables, as they are written and read.

use dal_eval::{COLLAPSED_SHARE, UNSETTLED_FACTOR};
use dal_store::{
    AuxiliaryRecord, FailedLabel, MemberRecord, OutputErrorRecord, OutputErrorsRecord, PooledErrors, TestLabels,
    UncertaintyRecord,
};
use serde::{Deserialize, Serialize};

use crate::data::{Circumstances, Entry, Made, Model, Protocol, RunStatus, RunSummary, Seconds, Setting, Sweep};
use crate::findings::count;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SweepRow {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) departures: std::collections::BTreeMap<String, Vec<String>>,
    pub(super) looks: Vec<dal_store::PlannedLook>,
    #[serde(default)]
    pub(super) replanned: Vec<usize>,
    pub(super) own_problems: std::collections::BTreeMap<String, dal_store::OwnProblem>,
}

impl From<&Sweep> for SweepRow {
    fn from(sweep: &Sweep) -> Self {
        let Sweep { name, title, text, departures, looks, replanned, own_problems } = sweep.clone();
        Self { name, title, text, departures, looks, replanned, own_problems }
    }
}

impl From<SweepRow> for Sweep {
    fn from(row: SweepRow) -> Self {
        let SweepRow { name, title, text, departures, looks, replanned, own_problems } = row;
        Self { name, title, text, departures, looks, replanned, own_problems }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CircumstancesRow {
    dal_version: String,
    compiler: String,
    cpu: String,
    n_cpus: usize,
    memory_mib: u64,
    os: String,
    jobs: usize,
    command: Vec<String>,
    sweep: String,
    runs: usize,
    peak_memory_mib: u64,
}

impl From<&(Circumstances, Made)> for CircumstancesRow {
    fn from((under, made): &(Circumstances, Made)) -> Self {
        let Circumstances { dal_version, compiler, cpu, n_cpus, memory_mib, os, jobs, command, sweep } = under.clone();
        let Made { runs, peak_memory_mib } = *made;
        Self { dal_version, compiler, cpu, n_cpus, memory_mib, os, jobs, command, sweep, runs, peak_memory_mib }
    }
}

impl From<CircumstancesRow> for (Circumstances, Made) {
    fn from(row: CircumstancesRow) -> Self {
        let CircumstancesRow { dal_version, compiler, cpu, n_cpus, memory_mib, os, jobs, command, sweep, .. } = row;
        let under = Circumstances { dal_version, compiler, cpu, n_cpus, memory_mib, os, jobs, command, sweep };
        (under, Made { runs: row.runs, peak_memory_mib: row.peak_memory_mib })
    }
}

/// More steps than any run has: a table that says more is damaged, and drawing so many entries would take for ever.
const MOST_STEPS: usize = 1_000_000;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRow {
    pub(super) run: usize,
    name: String,
    sweep: String,
    /// Empty in tables of older versions.
    pub(super) looks_differ: Option<bool>,
    timing: bool,
    problem: String,
    own: bool,
    /// Empty in tables of older versions.
    problem_digest: String,
    strategy: String,
    pool_ratio: Option<usize>,
    seed: u64,
    initial: usize,
    queries: usize,
    steps: usize,
    test_points: usize,
    /// Empty in tables of older versions, whose labels had none.
    label_noise_percent: Option<usize>,
    preset: String,
    network: String,
    training: String,
    model: String,
    engine: String,
    platform: String,
    results_revision: u32,
    status: String,
    reason: String,
    test_n: Option<usize>,
    test_variance: Option<f64>,
    test_sd: Option<Vec<f64>>,
    /// Empty in tables of older versions.
    pub(super) circumstances: Option<usize>,
}

impl RunRow {
    pub(super) fn of(run: usize, from: &RunSummary, circumstances: Option<usize>, looks_differ: bool) -> Self {
        let (status, reason) = match &from.status {
            RunStatus::Done => ("done", ""),
            RunStatus::Failed { reason } => ("failed", reason.as_str()),
            RunStatus::Damaged { reason } => ("damaged", reason.as_str()),
            RunStatus::Partial => ("partial", from.waiting.as_deref().unwrap_or("")),
            RunStatus::Absent => ("absent", ""),
        };
        Self {
            run,
            name: from.name.clone(),
            sweep: from.sweep.clone(),
            looks_differ: Some(looks_differ),
            timing: from.setting.timing,
            problem: from.problem.clone(),
            own: from.own,
            problem_digest: from.model.problem_digest.clone(),
            strategy: from.strategy.clone(),
            pool_ratio: from.pool_ratio,
            seed: from.seed,
            initial: from.protocol.initial,
            queries: from.protocol.queries,
            steps: from.protocol.steps,
            test_points: from.protocol.test_points,
            label_noise_percent: Some(from.protocol.label_noise_percent),
            preset: from.protocol.preset.clone(),
            network: from.model.network.clone(),
            training: from.model.training.clone(),
            model: from.model.identity.clone(),
            engine: from.setting.engine.clone(),
            platform: from.setting.platform.clone(),
            results_revision: from.setting.results_revision,
            status: status.into(),
            reason: reason.into(),
            test_n: from.test_labels.as_ref().map(|labels| labels.n),
            test_variance: from.test_labels.as_ref().map(|labels| labels.variance),
            test_sd: from.test_labels.as_ref().map(|labels| labels.sd.clone()),
            circumstances,
        }
    }

    /// The run without entries; `Err` says what is wrong with it.
    pub(super) fn into_run(self) -> Result<RunSummary, String> {
        for (column, cell) in [("problem", &self.problem), ("strategy", &self.strategy), ("engine", &self.engine)] {
            if cell.is_empty() {
                return Err(format!("run {} has no {column}", self.run));
            }
        }
        if self.steps > MOST_STEPS {
            return Err(format!("run {} has {} steps, which no sweep can plan", self.run, self.steps));
        }
        let waiting = Some(self.reason.clone()).filter(|reason| self.status == "partial" && !reason.is_empty());
        let status = match self.status.as_str() {
            "done" => RunStatus::Done,
            // Older versions wrote damaged runs as failed ones.
            "failed" => match self.reason.strip_prefix("cannot be read: ") {
                Some(reason) => RunStatus::Damaged { reason: reason.to_owned() },
                None => RunStatus::Failed { reason: self.reason },
            },
            "damaged" => RunStatus::Damaged { reason: self.reason },
            "partial" => RunStatus::Partial,
            "absent" => RunStatus::Absent,
            other => {
                return Err(format!("a status is `{other}`, which is none of done, failed, damaged, partial, absent"));
            }
        };
        let labels = |(n, variance)| TestLabels { n, variance, sd: self.test_sd.unwrap_or_default() };
        Ok(RunSummary {
            setting: Setting {
                engine: self.engine,
                platform: self.platform,
                results_revision: self.results_revision,
                timing: self.timing,
            },
            protocol: Protocol {
                preset: self.preset,
                initial: self.initial,
                queries: self.queries,
                steps: self.steps,
                test_points: self.test_points,
                label_noise_percent: self.label_noise_percent.unwrap_or(0),
            },
            problem: self.problem,
            strategy: self.strategy,
            pool_ratio: self.pool_ratio,
            seed: self.seed,
            model: Model {
                problem_digest: self.problem_digest,
                network: self.network,
                training: self.training,
                identity: self.model,
            }
            .in_todays_words(),
            own: self.own,
            test_labels: self.test_n.zip(self.test_variance).map(labels),
            status,
            waiting,
            entries: Vec::new(),
            name: self.name,
            sweep: self.sweep,
            circumstances: None,
        })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct EntryRow {
    pub(super) run: usize,
    pub(super) entry: usize,
    n_labelled: usize,
    mse: f64,
    mae: f64,
    p95_abs: f64,
    max_abs: f64,
    learned: Option<bool>,
    pooled_mse: Option<f64>,
    pooled_mae: Option<f64>,
    pooled_p95_abs: Option<f64>,
    pooled_max_abs: Option<f64>,
    pooled_left_out: Option<usize>,
    diversity: Option<f64>,
    correlation: Option<f64>,
    nll: Option<f64>,
    crps: Option<f64>,
    coverage_90: Option<f64>,
    rank_correlation: Option<f64>,
    n_degenerate: Option<usize>,
    members: Option<usize>,
    members_collapsed: Option<usize>,
    members_unsettled: Option<usize>,
    members_restarts: Option<usize>,
    auxiliary_members: Option<usize>,
    auxiliary_collapsed: Option<usize>,
    auxiliary_unsettled: Option<usize>,
    auxiliary_restarts: Option<usize>,
    auxiliary_mse: Option<f64>,
    auxiliary_over_variance: Option<f64>,
    notes: Option<Vec<String>>,
    seconds_training: Option<f64>,
    seconds_auxiliary: Option<f64>,
    seconds_sampling: Option<f64>,
    seconds_total: Option<f64>,
}

impl EntryRow {
    pub(super) fn of(run: usize, entry: usize, from: &Entry) -> Self {
        let pooled = from.output_errors.as_ref().and_then(|errors| errors.pooled.as_ref());
        let uncertainty = from.uncertainty.as_ref();
        let seconds = from.seconds.as_ref();
        let counted = |members: &[MemberRecord]| (!members.is_empty()).then(|| count(members));
        let members = counted(&from.members);
        let auxiliary = from.auxiliary.as_ref().and_then(|auxiliary| counted(&auxiliary.members));
        Self {
            run,
            entry,
            n_labelled: from.n_labelled,
            mse: from.mse,
            mae: from.mae,
            p95_abs: from.p95_abs,
            max_abs: from.max_abs,
            learned: from.learned,
            pooled_mse: pooled.map(|p| p.mse),
            pooled_mae: pooled.map(|p| p.mae),
            pooled_p95_abs: pooled.map(|p| p.p95_abs),
            pooled_max_abs: pooled.map(|p| p.max_abs),
            pooled_left_out: pooled.map(|p| p.n_left_out),
            diversity: from.diversity,
            correlation: from.correlation,
            nll: uncertainty.and_then(|u| u.nll),
            crps: uncertainty.map(|u| u.crps),
            coverage_90: uncertainty.map(|u| u.coverage_90),
            rank_correlation: uncertainty.and_then(|u| u.rank_correlation),
            n_degenerate: uncertainty.map(|u| u.n_degenerate),
            members: members.map(|m| m.trained),
            members_collapsed: members.map(|m| m.collapsed),
            members_unsettled: members.map(|m| m.unsettled),
            members_restarts: members.map(|m| m.restarts),
            auxiliary_members: auxiliary.map(|m| m.trained),
            auxiliary_collapsed: auxiliary.map(|m| m.collapsed),
            auxiliary_unsettled: auxiliary.map(|m| m.unsettled),
            auxiliary_restarts: auxiliary.map(|m| m.restarts),
            auxiliary_mse: from.auxiliary_mse,
            auxiliary_over_variance: from.auxiliary.as_ref().and_then(|a| a.over_variance),
            notes: (!from.notes.is_empty()).then(|| from.notes.clone()),
            seconds_training: seconds.map(|s| s.training),
            seconds_auxiliary: seconds.map(|s| s.auxiliary_training),
            seconds_sampling: seconds.map(|s| s.sampling),
            seconds_total: seconds.map(|s| s.total),
        }
    }

    /// Stand-ins for members that were not exported one by one: as many of each sort as were counted, which is what a
    /// report asks of them.
    fn stand_ins(
        n: Option<usize>,
        collapsed: Option<usize>,
        unsettled: Option<usize>,
        restarts: Option<usize>,
    ) -> Vec<MemberRecord> {
        let [collapsed, unsettled, restarts] = [collapsed, unsettled, restarts].map(Option::unwrap_or_default);
        let one = |i: usize| MemberRecord {
            final_over_variance: Some(if i < collapsed { 2.0 * COLLAPSED_SHARE } else { 0.0 }),
            final_over_best: Some(if i < unsettled { 2.0 * UNSETTLED_FACTOR } else { 1.0 }),
            restarts: if i == 0 { restarts } else { 0 },
        };
        (0..n.unwrap_or_default()).map(one).collect()
    }

    /// The entry without what other tables hold; with `stands_in`, members are made of their counts.
    pub(super) fn into_entry(self, stands_in: bool) -> Result<Entry, String> {
        let (mut members, mut of_auxiliary) = (Vec::new(), Vec::new());
        if stands_in {
            members =
                Self::stand_ins(self.members, self.members_collapsed, self.members_unsettled, self.members_restarts);
            of_auxiliary = Self::stand_ins(
                self.auxiliary_members,
                self.auxiliary_collapsed,
                self.auxiliary_unsettled,
                self.auxiliary_restarts,
            );
        }
        let zero = |value: Option<f64>| value.unwrap_or_default();
        let pooled = self.pooled_mse.map(|mse| PooledErrors {
            mse,
            mae: zero(self.pooled_mae),
            p95_abs: zero(self.pooled_p95_abs),
            max_abs: zero(self.pooled_max_abs),
            n_left_out: self.pooled_left_out.unwrap_or_default(),
        });
        let over_variance = self.auxiliary_over_variance;
        for (column, error) in
            [("mse", self.mse), ("mae", self.mae), ("p95_abs", self.p95_abs), ("max_abs", self.max_abs)]
        {
            if error < 0.0 {
                return Err(format!("entry {} of run {} has a negative {column}, {error}", self.entry, self.run));
            }
        }
        Ok(Entry {
            n_labelled: self.n_labelled,
            mse: self.mse,
            mae: self.mae,
            p95_abs: self.p95_abs,
            max_abs: self.max_abs,
            diversity: self.diversity,
            correlation: self.correlation,
            failed_labels: Vec::new(),
            learned: self.learned,
            output_errors: pooled.map(|pooled| OutputErrorsRecord { pooled: Some(pooled), ..Default::default() }),
            members,
            auxiliary_mse: self.auxiliary_mse,
            auxiliary: (over_variance.is_some() || !of_auxiliary.is_empty())
                .then_some(AuxiliaryRecord { over_variance, members: of_auxiliary }),
            uncertainty: self.crps.map(|crps| UncertaintyRecord {
                nll: self.nll,
                crps,
                coverage_90: zero(self.coverage_90),
                rank_correlation: self.rank_correlation,
                n_degenerate: self.n_degenerate.unwrap_or_default(),
            }),
            notes: self.notes.unwrap_or_default(),
            seconds: self.seconds_total.map(|total| Seconds {
                training: zero(self.seconds_training),
                auxiliary_training: zero(self.seconds_auxiliary),
                sampling: zero(self.seconds_sampling),
                total,
            }),
        })
    }
}

/// The evaluated model's networks, and those trained for the method alone.
pub(super) const NETWORKS: [&str; 2] = ["ensemble", "auxiliary"];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MemberRow {
    pub(super) run: usize,
    pub(super) entry: usize,
    network: String,
    member: usize,
    final_over_variance: Option<f64>,
    final_over_best: Option<f64>,
    restarts: usize,
}

impl MemberRow {
    pub(super) fn all(run: usize, entry: usize, from: &Entry) -> Vec<Self> {
        let auxiliary = from.auxiliary.as_ref().map_or(&[][..], |auxiliary| &auxiliary.members);
        let mut rows = Vec::new();
        for (network, members) in NETWORKS.into_iter().zip([&from.members[..], auxiliary]) {
            rows.extend(members.iter().enumerate().map(|(member, record)| Self {
                run,
                entry,
                network: network.into(),
                member,
                final_over_variance: record.final_over_variance,
                final_over_best: record.final_over_best,
                restarts: record.restarts,
            }));
        }
        rows
    }

    pub(super) fn add_to(self, entry: &mut Entry) -> Result<(), String> {
        let member = MemberRecord {
            final_over_variance: self.final_over_variance,
            final_over_best: self.final_over_best,
            restarts: self.restarts,
        };
        match NETWORKS.iter().position(|network| *network == self.network) {
            Some(0) => entry.members.push(member),
            Some(_) => entry.auxiliary.get_or_insert_default().members.push(member),
            None => return Err(format!("a network is `{}`, which is none of {}", self.network, NETWORKS.join(", "))),
        }
        Ok(())
    }
}

const KINDS: [&str; 2] = ["output", "quantile"];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OutputRow {
    pub(super) run: usize,
    pub(super) entry: usize,
    kind: String,
    index: usize,
    rmse: f64,
    r2: Option<f64>,
    mae: f64,
    p95_abs: f64,
    max_abs: f64,
}

impl OutputRow {
    pub(super) fn all(run: usize, entry: usize, from: &Entry) -> Vec<Self> {
        let Some(errors) = &from.output_errors else { return Vec::new() };
        let mut rows = Vec::new();
        for (kind, errors) in KINDS.into_iter().zip([&errors.outputs, &errors.quantiles]) {
            rows.extend(errors.iter().enumerate().map(|(index, of)| Self {
                run,
                entry,
                kind: kind.into(),
                index,
                rmse: of.rmse,
                r2: of.r2,
                mae: of.mae,
                p95_abs: of.p95_abs,
                max_abs: of.max_abs,
            }));
        }
        rows
    }

    pub(super) fn add_to(self, entry: &mut Entry) -> Result<(), String> {
        let Self { rmse, r2, mae, p95_abs, max_abs, .. } = self;
        let errors = entry.output_errors.get_or_insert_default();
        let to = match KINDS.iter().position(|kind| *kind == self.kind) {
            Some(0) => &mut errors.outputs,
            Some(_) => &mut errors.quantiles,
            None => return Err(format!("a kind is `{}`, which is none of {}", self.kind, KINDS.join(", "))),
        };
        to.push(OutputErrorRecord { rmse, r2, mae, p95_abs, max_abs });
        Ok(())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FailureRow {
    pub(super) run: usize,
    pub(super) entry: usize,
    row: usize,
    kind: String,
    message: String,
    at: Option<Vec<String>>,
}

impl FailureRow {
    pub(super) fn all(run: usize, entry: usize, from: &Entry) -> Vec<Self> {
        let row = |failed: &FailedLabel| Self {
            run,
            entry,
            row: failed.row,
            kind: failed.kind.clone(),
            message: failed.message.clone(),
            at: (!failed.at.is_empty()).then(|| failed.at.clone()),
        };
        from.failed_labels.iter().map(row).collect()
    }

    pub(super) fn add_to(self, entry: &mut Entry) -> Result<(), String> {
        let Self { row, kind, message, at, .. } = self;
        entry.failed_labels.push(FailedLabel { row, kind, message, at: at.unwrap_or_default() });
        Ok(())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DamagedRow {
    pub(super) name: String,
    pub(super) why: String,
}
