//! Labels with noise, as measurements have them.

use std::sync::{Arc, OnceLock};

use dal_core::{OnRow, Oracle, OracleError, SeedPath, Space, Stop, every};
use dal_oracles::Problem;
use ndarray::{ArrayView1, ArrayView2};
use rand_distr::{Distribution, StandardNormal};

/// Points whose true values say how large an output is.
const SCALE_POINTS: usize = 4096;

/// An oracle with noise: y_j + p/100 · s_j · z, where s_j is the standard deviation of the output over the box and z is
/// normal, drawn for each point and output from the problem's stream. A point has the same noise whenever it is asked
/// for, in every run: runs of one seed share that of their initial points, and an interrupted one goes on with the
/// labels that it had.
#[derive(Debug)]
struct Noisy {
    truth: Arc<dyn Oracle>,
    space: Space,
    seeds: SeedPath,
    share: f64,
    /// Standard deviation of each output's noise, on first use.
    sd: OnceLock<Vec<f64>>,
}

/// What labels a problem's points with noise of so many hundredths of its outputs' standard deviations.
pub(crate) fn noisy(problem: &Problem, truth: &Arc<dyn Oracle>, percent: usize) -> Arc<dyn Oracle> {
    if percent == 0 {
        return Arc::clone(truth);
    }
    Arc::new(Noisy {
        truth: Arc::clone(truth),
        space: problem.space().clone(),
        seeds: SeedPath::root(0).purpose("label noise").purpose(&problem.variant_id()),
        share: percent as f64 / 100.0,
        sd: OnceLock::new(),
    })
}

impl Noisy {
    fn sd(&self, stop: &Stop) -> Result<&[f64], OracleError> {
        if let Some(sd) = self.sd.get() {
            return Ok(sd);
        }
        let x = self.space.sample(SCALE_POINTS, &self.seeds.purpose("scale"));
        // Of the values less the first, whose squares lose no digits to a large mean.
        let (mut first, mut n) = (None, 0.0);
        let (mut sums, mut squares) = (vec![0.0; self.n_outputs()], vec![0.0; self.n_outputs()]);
        self.truth.label(
            x.view(),
            stop,
            &mut every(|_, answer| {
                let Ok(y) = answer else { return };
                let first = first.get_or_insert_with(|| y.to_vec());
                n += 1.0;
                for (j, (value, first)) in y.iter().zip(first).enumerate() {
                    sums[j] += value - *first;
                    squares[j] += (value - *first).powi(2);
                }
            }),
        )?;
        let sd = |(sum, square): (&f64, &f64)| self.share * ((square - sum * sum / n) / n).max(0.0).sqrt();
        let sd: Vec<f64> = sums.iter().zip(&squares).map(sd).collect();
        // One answer has no spread, and none would make it 0/0.
        if n < 2.0 || sd.iter().any(|sd| !sd.is_finite()) {
            let message = format!(
                "label noise: {n} of {SCALE_POINTS} points have answers, from which outputs get no standard deviation"
            );
            return Err(OracleError::Unavailable { message });
        }
        Ok(self.sd.get_or_init(|| sd))
    }

    fn stream(&self, point: ArrayView1<'_, f64>) -> SeedPath {
        point.iter().fold(self.seeds.purpose("point"), |path, value| path.index(value.to_bits()))
    }
}

impl Oracle for Noisy {
    fn n_inputs(&self) -> usize {
        self.truth.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.truth.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        let sd = self.sd(stop)?;
        self.truth.label(x, stop, &mut |row, answer| match answer {
            Err(failure) => on_row(row, Err(failure)),
            Ok(y) => {
                let mut rng = self.stream(x.row(row)).rng();
                let with_noise: Vec<f64> = y
                    .iter()
                    .zip(sd)
                    .map(|(value, sd)| {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        value + sd * z
                    })
                    .collect();
                on_row(row, Ok(&with_noise))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use dal_core::Settings;
    use ndarray::{Array2, Axis};

    fn labels(oracle: &dyn Oracle, x: &Array2<f64>) -> Array2<f64> {
        let mut y = Array2::zeros((x.nrows(), oracle.n_outputs()));
        let mut keep = every(|row, answer| y.row_mut(row).assign(&ndarray::aview1(answer.unwrap())));
        oracle.label(x.view(), &Stop::new(), &mut keep).unwrap();
        drop(keep);
        y
    }

    /// Answers the first point it is ever asked, and no other.
    #[derive(Debug)]
    struct Once;

    impl Oracle for Once {
        fn n_inputs(&self) -> usize {
            4
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            for row in 0..x.nrows() {
                let failure = dal_core::LabelFailure::new(dal_core::LabelFailureKind::Missing, "no");
                if on_row(row, if row == 0 { Ok(&[1.0]) } else { Err(failure) }).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn an_output_without_a_spread_has_no_noise_that_could_be_added() {
        let problem = dal_oracles::find("robo", &Settings::default()).unwrap();
        let oracle = noisy(&problem, &(Arc::new(Once) as Arc<dyn Oracle>), 5);
        let x = problem.space().sample(3, &SeedPath::root(1));
        let error = oracle.label(x.view(), &Stop::new(), &mut every(|_, _| {})).unwrap_err();
        assert!(error.to_string().contains("1 of 4096 points have answers"), "{error}");
    }

    #[test]
    fn noise_is_as_large_as_said_and_the_same_again() {
        let problem = dal_oracles::find("robo", &Settings::default()).unwrap();
        let truth = problem.oracle().unwrap();
        let x = problem.space().sample(2000, &SeedPath::root(1));
        let (exact, noisy) = (labels(&**truth, &x), noisy(&problem, truth, 5));
        let found = labels(&*noisy, &x);
        let noise = &found - &exact;
        let sd = exact.std_axis(Axis(0), 0.0);
        for (j, column) in noise.columns().into_iter().enumerate() {
            // Two thousand draws: the sd of an sd is 1.6 %, that of a mean 2.2 % of an sd; the scale's own adds 1 %.
            let share = column.std(0.0) / sd[j];
            assert!((share - 0.05).abs() < 0.0035, "{j}: {share}");
            assert!(column.mean().unwrap().abs() < 0.1 * 0.05 * sd[j], "{j}");
        }
        let correlation = noise.column(0).dot(&noise.column(1)) / (2000.0 * 0.0025 * sd[0] * sd[1]);
        assert!(correlation.abs() < 0.1, "{correlation}");
        // Asked for one by one, and in another order.
        let last = x.select(Axis(0), &[1999]);
        assert_eq!(labels(&*noisy, &last).row(0), found.row(1999));
        assert_ne!(found.row(0).to_owned() - exact.row(0), found.row(1).to_owned() - exact.row(1));
    }
}
