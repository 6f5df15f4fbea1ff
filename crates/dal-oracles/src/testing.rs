//! What the tests of this crate share: golden tables, uniform points, and labels as one array.

use dal_core::{Oracle, SeedPath, Settings, Space, Stop, every};
use ndarray::{Array2, ArrayView2, s};

use crate::Problem;

/// A golden table split into its `n_inputs` first columns and the rest.
pub(crate) fn golden(csv: &str, n_inputs: usize) -> (Array2<f64>, Array2<f64>) {
    let rows: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    let width = rows[0].len();
    let table = Array2::from_shape_vec((rows.len(), width), rows.concat()).unwrap();
    (table.slice(s![.., ..n_inputs]).to_owned(), table.slice(s![.., n_inputs..]).to_owned())
}

/// Uniform points of the unit box.
pub(crate) fn uniform(n: usize, n_inputs: usize, seed: u64) -> Array2<f64> {
    Space::continuous_unit(n_inputs).sample(n, &SeedPath::root(seed).purpose("test points"))
}

/// A built-in problem with these settings.
pub(crate) fn problem(id: &str, settings: &[(&str, &str)]) -> Problem {
    let settings: Settings = settings.iter().copied().collect();
    crate::find(id, &settings).unwrap()
}

/// All labels of `x`, each of which must be there.
pub(crate) fn all_labels(oracle: &dyn Oracle, x: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut y = Array2::from_elem((x.nrows(), oracle.n_outputs()), f64::NAN);
    oracle
        .label(
            x,
            &Stop::new(),
            &mut every(|i, answer| y.row_mut(i).iter_mut().zip(answer.unwrap()).for_each(|(to, from)| *to = *from)),
        )
        .unwrap();
    assert!(y.iter().all(|v| v.is_finite()), "a row has no label");
    y
}

/// All labels of `x` by a built-in problem.
pub(crate) fn labels(id: &str, settings: &[(&str, &str)], x: ArrayView2<'_, f64>) -> Array2<f64> {
    all_labels(problem(id, settings).oracle().unwrap().as_ref(), x)
}

/// The largest difference between a problem and its golden table.
pub(crate) fn worst_difference(id: &str, settings: &[(&str, &str)], csv: &str) -> f64 {
    let problem = problem(id, settings);
    let (x, expected) = golden(csv, problem.space().n_columns());
    let y = all_labels(problem.oracle().unwrap().as_ref(), x.view());
    assert_eq!(y.dim(), expected.dim());
    (&y - &expected).iter().fold(0.0, |worst, d| worst.max(d.abs()))
}
