//! The labels that networks are compared on: drawn from streams of their own, or parts of a user's table. Never the
//! test set.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use dal_core::{Labelled, Oracle, OracleError, SeedPath, Stop, TrialSeeds, check_label, every};
use dal_oracles::Problem;
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::error::TuneError;
use crate::journal::{Entry, Journal, lock};

/// The fewest rows of a table that can be tuned on, beside those kept for the test.
const LEAST_ROWS: usize = 40;
/// Folds of a table that is too short for a split.
const FOLDS: usize = 5;

/// Points with their labels; those that have none are left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points {
    /// Shape (n, n_columns).
    pub(crate) x: Array2<f64>,
    /// Shape (n, n_outputs).
    pub(crate) y: Array2<f64>,
    /// Of each its place among the points that were asked for, ascending.
    places: Vec<usize>,
    /// Points that were asked for.
    asked: usize,
}

impl Points {
    /// Points that have no label.
    fn left_out(&self) -> usize {
        self.asked - self.places.len()
    }

    /// The labels of the first `n` points that were asked for: a number of labels means the same points at every
    /// number, however many of them have none.
    pub(crate) fn labelled(&self, n: usize) -> Result<Labelled, TuneError> {
        let there = self.places.partition_point(|&place| place < n);
        if there == 0 {
            return Err(TuneError::bad(
                "the problem's labels",
                format!("none of the first {n} points has one"),
                "a larger number of labels (--points), or a domain in which points have answers",
            ));
        }
        let rows = ndarray::s![..there, ..];
        Labelled::new(self.x.slice(rows).to_owned(), self.y.slice(rows).to_owned())
            .map_err(|error| TuneError::bad("the problem's labels", error.to_string(), "finite numbers"))
    }
}

/// One division into points to train on and points to judge on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) train: Points,
    pub(crate) validation: Points,
}

/// Points that were asked for and have no label. A number of labels is that of the points asked for, so that they are
/// missing from every set that holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Of the points that networks were compared on: without a label, asked for.
    pub compared: (usize, usize),
    /// Of the test set.
    pub test: (usize, usize),
    /// Of the training points of the proof.
    pub proof: (usize, usize),
}

impl LeftOut {
    pub(crate) fn of_folds(folds: &[Fold]) -> Self {
        // What is judged on in one of several folds is trained on in the others.
        let train = folds.iter().filter(|_| folds.len() == 1).map(|fold| &fold.train);
        Self { compared: Self::of(train.chain(folds.iter().map(|fold| &fold.validation))), ..Self::default() }
    }

    /// Points without a label, and those that were asked for.
    pub(crate) fn of<'a>(points: impl IntoIterator<Item = &'a Points>) -> (usize, usize) {
        points.into_iter().fold((0, 0), |(left_out, asked), p| (left_out + p.left_out(), asked + p.asked))
    }

    /// Whether every point has a label.
    pub fn is_none(&self) -> bool {
        self.compared.0 + self.test.0 + self.proof.0 == 0
    }

    /// In words; nothing where every point has a label.
    pub fn sentence(&self) -> Option<String> {
        let of = |(n, asked): (usize, usize), what: &str| (n > 0).then(|| format!("{n} of {asked} {what}"));
        let all = [
            of(self.compared, "points that networks were compared on"),
            of(self.test, "points of the test set"),
            of(self.proof, "training points of the proof"),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| {
            format!(
                "{} have no label and are left out; a number of labels counts the points asked for, so that fewer were learned",
                all.join(", ")
            )
        })
    }
}

/// How the labels of a search come about; the reader is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Division {
    /// Drawn from streams of their own.
    Drawn {
        /// Points to train on.
        train: usize,
        /// Points to judge on.
        validation: usize,
    },
    /// A table without its test rows, split once.
    Split {
        /// Rows to train on.
        train: usize,
        /// Rows to judge on.
        validation: usize,
        /// Rows kept for the test.
        test: usize,
    },
    /// A table without its test rows, every row judged on once by a network trained on the other folds.
    Folds {
        /// Number of folds.
        folds: usize,
        /// Rows to train on, in the smallest fold.
        train: usize,
        /// Rows that are not kept for the test.
        rows: usize,
        /// Rows kept for the test.
        test: usize,
    },
}

impl Division {
    /// In words.
    pub fn sentence(&self) -> String {
        match self {
            Self::Drawn { train, validation } => {
                format!(
                    "trained on up to {train} random points, judged on {validation} others, none of them of the test set"
                )
            }
            Self::Split { train, validation, test } => format!(
                "trained on up to {train} rows of the table, judged on {validation} others; {test} rows are kept for the test"
            ),
            Self::Folds { folds, train, rows, test } => format!(
                "{folds}-fold cross-validation on {rows} rows of the table, {train} or more to train on; {test} rows are kept \
                 for the test"
            ),
        }
    }

    /// Divisions that a candidate is trained on.
    pub fn n_folds(&self) -> usize {
        match self {
            Self::Folds { folds, .. } => *folds,
            _ => 1,
        }
    }

    /// The most points that can be trained on.
    pub fn n_train(&self) -> usize {
        match self {
            Self::Drawn { train, .. } | Self::Split { train, .. } | Self::Folds { train, .. } => *train,
        }
    }
}

/// Where the points of a search lie, before any label is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) division: Division,
    /// Of a table: its rows in a random order, those kept for the test first.
    order: Vec<usize>,
    n_test: usize,
}

impl Layout {
    /// Decides how the labels come about.
    ///
    /// A table's test rows are the first of the same shuffle that sweeps take theirs from, so that a sweep with no more
    /// test points than `test_points` is judged on rows that the search never saw.
    pub(crate) fn of(
        problem: &Problem,
        points: usize,
        validation: usize,
        test_points: usize,
    ) -> Result<Self, TuneError> {
        let Some(table) = problem.candidates() else {
            let division = Division::Drawn { train: points, validation };
            return Ok(Self { division, order: Vec::new(), n_test: test_points });
        };
        let rows = table.nrows();
        let n_test = test_points.min(rows / 5);
        let rest = rows - n_test;
        if rest < LEAST_ROWS {
            let problem = problem.id().to_owned();
            return Err(TuneError::TooFewRows { problem, rows, test: n_test, needed: LEAST_ROWS });
        }
        let mut order: Vec<usize> = (0..rows).collect();
        order.shuffle(&mut TrialSeeds::new(&problem.variant_id(), 0).test().rng());
        let division = if rest >= points + validation {
            Division::Split { train: points, validation, test: n_test }
        } else {
            let train = (rest - rest.div_ceil(FOLDS)).min(points);
            Division::Folds { folds: FOLDS, train, rows: rest, test: n_test }
        };
        Ok(Self { division, order, n_test })
    }

    /// The most rows that the proof can train on; `None` where points are drawn.
    pub(crate) fn rows_beside_test(&self) -> Option<usize> {
        (!self.order.is_empty()).then(|| self.order.len() - self.n_test)
    }
}

/// Asks the oracle for the labels of a search.
pub(crate) struct Labels<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) oracle: &'a Arc<dyn Oracle>,
    pub(crate) layout: &'a Layout,
    pub(crate) journal: &'a Journal,
    /// Points that an earlier start of the search found no label of. They are left out for good, so that all trainings
    /// that it compares are on the same points.
    pub(crate) unlabelled: Mutex<BTreeSet<Vec<u64>>>,
    pub(crate) stop: &'a Stop,
}

impl Labels<'_> {
    /// The divisions to compare networks on.
    pub(crate) fn folds(&self) -> Result<Vec<Fold>, TuneError> {
        match self.layout.division {
            Division::Drawn { train, validation } => {
                let train = self.labelled(training_points(self.problem, train))?;
                let stream = tune_stream(self.problem).purpose("validation");
                let validation = self.labelled(self.problem.space().sample(validation, &stream))?;
                Ok(vec![Fold { train, validation }])
            }
            Division::Split { train, validation, .. } => {
                let rest = &self.layout.order[self.layout.n_test..];
                let train_rows = self.rows(&rest[..train])?;
                let validation = self.rows(&rest[train..train + validation])?;
                Ok(vec![Fold { train: train_rows, validation }])
            }
            Division::Folds { folds, .. } => {
                let rest = &self.layout.order[self.layout.n_test..];
                let part = |k: usize, inside: bool| -> Vec<usize> {
                    let chosen = rest.iter().enumerate().filter(|(i, _)| (i % folds == k) == inside);
                    chosen.map(|(_, row)| *row).collect()
                };
                let fold = |k| {
                    let train = self.rows(&part(k, false))?;
                    Ok(Fold { train, validation: self.rows(&part(k, true))? })
                };
                (0..folds).map(fold).collect()
            }
        }
    }

    /// The test set.
    pub(crate) fn test(&self) -> Result<Points, TuneError> {
        if self.layout.order.is_empty() {
            let stream = TrialSeeds::new(&self.problem.variant_id(), 0).test();
            return self.labelled(self.problem.space().sample(self.layout.n_test, &stream));
        }
        self.rows(&self.layout.order[..self.layout.n_test])
    }

    /// The first `n` training points of repetition `seed` of the proof: those that a run of the benchmark begins with,
    /// or rows of the table in another order.
    pub(crate) fn proof(&self, seed: u64, n: usize) -> Result<Points, TuneError> {
        if self.layout.order.is_empty() {
            let stream = TrialSeeds::new(&self.problem.variant_id(), seed).initial();
            return self.labelled(self.problem.space().sample(n, &stream));
        }
        let mut rest = self.layout.order[self.layout.n_test..].to_vec();
        rest.shuffle(&mut tune_stream(self.problem).purpose("proof").index(seed).rng());
        self.rows(&rest[..n.min(rest.len())])
    }

    fn rows(&self, rows: &[usize]) -> Result<Points, TuneError> {
        let table = self.problem.candidates().map(|table| table.select(Axis(0), rows)).unwrap_or_default();
        self.labelled(table)
    }

    /// Labels points; those without an answer are left out, unless they are more than half. What is left out once is
    /// not asked for again.
    fn labelled(&self, x: Array2<f64>) -> Result<Points, TuneError> {
        let (n, n_outputs) = (x.nrows(), self.oracle.n_outputs());
        let bits = |row: usize| x.row(row).iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        let mut unlabelled = lock(&self.unlabelled);
        let open: Vec<usize> = (0..n).filter(|&row| !unlabelled.contains(&bits(row))).collect();
        let mut answers: Vec<Option<Vec<f64>>> = vec![None; n];
        let mut first_failure: Option<String> = None;
        let mut keep = every(|k: usize, answer| match answer.and_then(|y| check_label(y, n_outputs)) {
            Ok(y) => answers[open[k]] = Some(y.to_vec()),
            Err(failure) => {
                first_failure.get_or_insert_with(|| format!("row {}: {failure}", open[k]));
            }
        });
        let outcome = self.oracle.label(x.select(Axis(0), &open).view(), self.stop, &mut keep);
        drop(keep);
        outcome.map_err(|source| match source {
            OracleError::Stopped => TuneError::Stopped,
            source => TuneError::Oracle { problem: self.problem.id().to_owned(), source },
        })?;
        let there: Vec<usize> = (0..n).filter(|&row| answers[row].is_some()).collect();
        if 2 * there.len() < n || there.is_empty() {
            return Err(TuneError::Unlabelled {
                problem: self.problem.id().to_owned(),
                failed: n - there.len(),
                asked: n,
                reason: first_failure.unwrap_or_else(|| "no answer".into()),
            });
        }
        for &row in open.iter().filter(|&&row| answers[row].is_none()) {
            self.journal.append(&Entry::Unlabelled { point: bits(row) })?;
            unlabelled.insert(bits(row));
        }
        let flat = answers.into_iter().flatten().flatten().collect();
        let y = Array2::from_shape_vec((there.len(), n_outputs), flat).expect("answers have one length");
        Ok(Points { x: x.select(Axis(0), &there), y, places: there, asked: n })
    }
}

/// Points that networks learn from, where they are drawn.
pub(crate) fn training_points(problem: &Problem, n: usize) -> Array2<f64> {
    problem.space().sample(n, &tune_stream(problem).purpose("train"))
}

/// The stream of everything that a search draws.
pub(crate) fn tune_stream(problem: &Problem) -> SeedPath {
    SeedPath::root(0).purpose("tune").purpose(&problem.variant_id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Known;
    use dal_core::{LabelFailure, LabelFailureKind, OnRow};
    use ndarray::ArrayView2;

    /// The first coordinate, but for points of which the program crashes on a bad day.
    #[derive(Debug)]
    struct Flaky {
        n_inputs: usize,
        is_bad_day: bool,
    }

    impl Oracle for Flaky {
        fn n_inputs(&self) -> usize {
            self.n_inputs
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            for (row, point) in x.outer_iter().enumerate() {
                let crashed = || LabelFailure::new(LabelFailureKind::Crashed, "no licence");
                let fails = self.is_bad_day && row % 3 == 0;
                let label = [point[0]];
                let _ = on_row(row, if fails { Err(crashed()) } else { Ok(&label) });
            }
            Ok(())
        }
    }

    #[test]
    fn what_a_search_left_out_it_leaves_out_at_every_start() {
        let dir = tempfile::tempdir().unwrap();
        let problem = dal_oracles::find("sine", &dal_core::Settings::default()).unwrap();
        let layout = Layout::of(&problem, 30, 20, 10).unwrap();
        let start = |is_bad_day| {
            let (journal, known) = Journal::open(&dir.path().join("journal"), "{}").unwrap();
            let Known { unlabelled, dropped_bytes: 0, .. } = known else { panic!("damaged") };
            let oracle: Arc<dyn Oracle> = Arc::new(Flaky { n_inputs: problem.space().n_columns(), is_bad_day });
            let labels = Labels {
                problem: &problem,
                oracle: &oracle,
                layout: &layout,
                journal: &journal,
                unlabelled: Mutex::new(unlabelled),
                stop: &Stop::new(),
            };
            (labels.folds().unwrap(), labels.test().unwrap())
        };
        let first = start(true);
        assert_eq!((LeftOut::of_folds(&first.0).compared, LeftOut::of([&first.1])), ((17, 50), (4, 10)));
        assert_eq!(start(false), first);
    }
}
