//! The tables of an export: what each column holds.

use serde::{Deserialize, Serialize};

/// What a column holds; an empty cell is a value that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// UTF-8.
    Text,
    /// Whole numbers of 64 bits.
    Integer,
    /// Double precision.
    Real,
    /// `true` or `false`.
    Boolean,
    /// Text that is JSON.
    Json,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnCard {
    /// Its name in the header.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Its unit; empty where there is none.
    pub unit: String,
    /// What it says.
    pub about: String,
}

/// A table of the export.
#[derive(Debug, Clone, Copy)]
pub struct TableCard {
    /// Its name, and that of its file without the extension; `queries` and `labels` have one file per problem.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    columns: &'static [(&'static str, ColumnKind, &'static str, &'static str)],
}

impl TableCard {
    /// Its columns.
    pub fn columns(&self) -> Vec<ColumnCard> {
        let card = |&(name, kind, unit, about): &(&str, ColumnKind, &str, &str)| ColumnCard {
            name: name.into(),
            kind,
            unit: unit.into(),
            about: about.into(),
        };
        self.columns.iter().map(card).collect()
    }
}

/// The table of this name.
pub(super) fn table(name: &str) -> Option<&'static TableCard> {
    EXPORTED.iter().find(|card| card.name == name)
}

use ColumnKind::{Boolean, Integer, Json, Real, Text};

const RUN: (&str, ColumnKind, &str, &str) = ("run", Integer, "", "row of `runs`, from 0");
const ENTRY: (&str, ColumnKind, &str, &str) =
    ("entry", Integer, "", "0 for the model of the initial set, then one per step");

/// Every table, in the order in which they are written.
pub const EXPORTED: &[TableCard] = &[
    TableCard {
        name: "sweeps",
        about: "one sweep that was planned",
        columns: &[
            ("name", Text, "", "its name"),
            ("title", Text, "", "one line about it"),
            ("text", Text, "", "the sweep file"),
            ("departures", Json, "", "by problem, in what its runs depart from the published form"),
            ("looks", Json, "", "when verdicts are made: seeds and level of each look, fixed before the first run"),
            ("replanned", Json, "", "without looks: numbers of seeds of several plans of the same runs"),
            ("own_problems", Json, "", "by problem, the names and units of a user's inputs and outputs"),
        ],
    },
    TableCard {
        name: "circumstances",
        about: "one way in which runs were made",
        columns: &[
            ("dal_version", Text, "", "version of `dal`"),
            ("compiler", Text, "", "version of the compiler"),
            ("cpu", Text, "", "processor"),
            ("n_cpus", Integer, "", "logical processors"),
            ("memory_mib", Integer, "MiB", "memory; 0 where unknown"),
            ("os", Text, "", "operating system and architecture"),
            ("jobs", Integer, "", "runs at the same time"),
            ("command", Json, "", "the command line"),
            ("sweep", Text, "", "name of the sweep"),
            ("runs", Integer, "", "runs that were made so"),
            ("peak_memory_mib", Integer, "MiB", "the most memory that a process held; 0 where unknown"),
        ],
    },
    TableCard {
        name: "runs",
        about: "one run that is in the store or was planned",
        columns: &[
            RUN,
            ("name", Text, "", "its directory in the store, which ends with its id"),
            ("sweep", Text, "", "the sweep that planned it"),
            ("looks_differ", Boolean, "", "whether sweeps with different looks planned it, or none that is known"),
            ("timing", Boolean, "", "whether it is there for its timings alone"),
            ("problem", Text, "", "the problem, with the settings that are not default"),
            ("own", Boolean, "", "whether the problem is a user's own"),
            ("problem_digest", Text, "", "hash of a user's problem file and of the data that it names"),
            ("strategy", Text, "", "the query method, with the settings that are not default"),
            ("pool_ratio", Integer, "", "pool ratio γ; empty for a fixed list of candidates"),
            ("seed", Integer, "", "the repetition; runs of equal problem and seed are paired"),
            ("initial", Integer, "", "labels before the first step"),
            ("queries", Integer, "", "labels per step"),
            ("steps", Integer, "", "steps"),
            ("test_points", Integer, "", "points of the test set"),
            ("label_noise_percent", Integer, "", "noise on learned labels, in hundredths of each output's sd"),
            ("preset", Text, "", "where network and training come from"),
            ("network", Text, "", "the network in words"),
            ("training", Text, "", "the training in words"),
            ("model", Text, "", "network and training in full"),
            ("engine", Text, "", "who trained"),
            ("platform", Text, "", "the numeric platform"),
            ("results_revision", Integer, "", "revision of the program's results"),
            (
                "status",
                Text,
                "",
                "`done`, `failed`, `damaged` (cannot be read), `partial` (unfinished), `absent` (planned, not begun)",
            ),
            ("reason", Text, "", "why it failed, cannot be read, or waits at its checkpoint"),
            ("test_n", Integer, "", "test points with a label"),
            (
                "test_variance",
                Real,
                "output²",
                "variance of the test labels, mean over outputs: the MSE of the best constant",
            ),
            ("test_sd", Json, "output", "standard deviation of each output over the test labels, of at most 20"),
            ("circumstances", Integer, "", "row of `circumstances`, from 0; empty where it is not known"),
        ],
    },
    TableCard {
        name: "entries",
        about: "one model of a run: its errors on the test set, and the choice that was made with it",
        columns: &[
            RUN,
            ENTRY,
            ("n_labelled", Integer, "", "labels behind the model"),
            ("mse", Real, "output²", "mean squared error"),
            ("mae", Real, "output", "mean absolute error"),
            ("p95_abs", Real, "output", "95 % quantile of the absolute error"),
            ("max_abs", Real, "output", "largest absolute error"),
            ("learned", Boolean, "", "whether the error lies below the variance of the test labels"),
            ("pooled_mse", Real, "", "mean over outputs of MSE / variance (a user's problem)"),
            ("pooled_mae", Real, "", "mean over outputs of MAE / standard deviation"),
            ("pooled_p95_abs", Real, "", "95 % quantile of the scaled absolute error"),
            ("pooled_max_abs", Real, "", "largest scaled absolute error"),
            ("pooled_left_out", Integer, "", "outputs left out, constant over the test labels"),
            ("diversity", Real, "unit box", "mean distance of a query to its nearest fellow"),
            ("correlation", Real, "", "rank correlation of the method's scores with the true error"),
            ("nll", Real, "nat", "mean negative log likelihood of the ensemble's normal distribution"),
            ("crps", Real, "sd", "its mean continuous ranked probability score"),
            ("coverage_90", Real, "", "share of labels inside its 90 % interval"),
            ("rank_correlation", Real, "", "rank correlation of disagreement with error"),
            ("n_degenerate", Integer, "", "values whose variance counts as zero"),
            ("members", Integer, "", "networks of the model"),
            ("members_collapsed", Integer, "", "those that ended above half the variance of their labels"),
            ("members_unsettled", Integer, "", "those that ended above ten times their own best"),
            ("members_restarts", Integer, "", "how often they were trained anew"),
            ("auxiliary_members", Integer, "", "networks trained for the method alone"),
            ("auxiliary_collapsed", Integer, "", "likewise"),
            ("auxiliary_unsettled", Integer, "", "likewise"),
            ("auxiliary_restarts", Integer, "", "likewise"),
            ("auxiliary_mse", Real, "output²", "test MSE of the network trained for the method alone"),
            ("auxiliary_over_variance", Real, "", "the same over the variance of the test labels"),
            ("notes", Json, "", "remarks of the method"),
            ("seconds_training", Real, "s", "training the evaluated model"),
            ("seconds_auxiliary", Real, "s", "training networks for the method alone"),
            ("seconds_sampling", Real, "s", "choosing"),
            ("seconds_total", Real, "s", "everything"),
        ],
    },
    TableCard {
        name: "members",
        about: "how the training of one network ended",
        columns: &[
            RUN,
            ENTRY,
            ("network", Text, "", "`ensemble` (the evaluated model) or `auxiliary` (trained for the method alone)"),
            ("member", Integer, "", "from 0"),
            ("final_over_variance", Real, "", "last training loss over the variance of its labels"),
            ("final_over_best", Real, "", "last training loss over the smallest one"),
            ("restarts", Integer, "", "how often it was trained anew"),
        ],
    },
    TableCard {
        name: "outputs",
        about: "errors of one output, or a quantile over outputs where there are more than 20",
        columns: &[
            RUN,
            ENTRY,
            (
                "kind",
                Text,
                "",
                "`output`, or `quantile` (0, 25, 50, 75 and 100 % over outputs, of each measure by itself)",
            ),
            ("index", Integer, "", "from 0"),
            ("rmse", Real, "output", "root mean squared error"),
            ("r2", Real, "", "1 − MSE / variance"),
            ("mae", Real, "output", "mean absolute error"),
            ("p95_abs", Real, "output", "95 % quantile of the absolute error"),
            ("max_abs", Real, "output", "largest absolute error"),
        ],
    },
    TableCard {
        name: "failures",
        about: "one label that failed",
        columns: &[
            RUN,
            ("entry", Integer, "", "the entry before which it was asked for"),
            ("row", Integer, "", "row of its batch, from 0"),
            ("kind", Text, "", "`crashed`, `timed-out`, `non-finite`, `malformed`, `missing`, `refused`, …"),
            ("message", Text, "", "the program's words"),
            ("at", Json, "", "the inputs, in physical units, as text"),
        ],
    },
    TableCard {
        name: "damaged",
        about: "something of the store that could not be read",
        columns: &[("name", Text, "", "where"), ("why", Text, "", "what is wrong")],
    },
    TableCard {
        name: "queries",
        about: "one point that a method chose; one file per problem",
        columns: &[
            RUN,
            ("entry", Integer, "", "the entry whose model it was chosen with"),
            ("row", Integer, "", "row of its batch, from 0"),
        ],
    },
    TableCard {
        name: "labels",
        about: "one point and its answer, of problems whose answers are kept; one file per problem",
        columns: &[
            RUN,
            ("batch", Integer, "", "0 for the initial set, t + 1 for what entry t chose"),
            ("row", Integer, "", "row of its batch, from 0"),
            ("failure", Text, "", "kind of failure, where there is no answer"),
        ],
    },
];
