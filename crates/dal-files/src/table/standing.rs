//! Whether a first line of numbers is unlike the rows below it, as names of columns are.

/// Steps that differ by less are equal but for rounding.
const STEP: f64 = 1e-9;

/// By how many spreads of all values below it a line of several columns, and of one, lies far from them.
const FAR: (f64, f64) = (2.0, 20.0);

/// Whether these numbers are hardly a row of what stands below them, and may be names of columns, such as wavelengths.
/// All differ, and lie in every column outside the range of the rows below. Beyond that two of three hold: they rise in
/// equal steps; they are whole where no row below is; they lie far from all values below. A single column has no steps,
/// and must lie very far.
///
/// Numbers that cannot be read are NaN in `rows`, and count for nothing.
pub(super) fn stands_out(first: &[f64], rows: impl FnOnce() -> Vec<Vec<f64>>) -> bool {
    let width = first.len();
    let rises = width > 1 && {
        let steps: Vec<f64> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        steps.iter().all(|step| *step > 0.0 && (step - steps[0]).abs() <= STEP * steps[0])
    };
    // Most first lines are plain rows, of which no more needs to be looked at.
    if !(rises || all_whole(first)) || !distinct(first) || first.iter().any(|v| !v.is_finite()) {
        return false;
    }
    let rows = rows();
    let known = || rows.iter().flatten().copied().filter(|v| !v.is_nan());
    let spread = {
        let (low, high) = range(known());
        high - low
    };
    if !spread.is_finite() {
        return false;
    }
    // How far each number lies from the range of its column; 0 within.
    let gap = |(column, value): (usize, &f64)| {
        let (low, high) = range(rows.iter().filter_map(|row| row.get(column).copied()).filter(|v| !v.is_nan()));
        if low > high { f64::INFINITY } else { (low - value).max(value - high).max(0.0) }
    };
    let nearest = first.iter().enumerate().map(gap).fold(f64::INFINITY, f64::min);
    let whole = all_whole(first) && !rows.iter().any(|row| all_whole(row));
    let far = nearest > spread * if width > 1 { FAR.0 } else { FAR.1 } && (width > 1 || rows.len() > 1);
    nearest > 0.0 && ((rises && (whole || far)) || (whole && far))
}

/// Whether no two are equal.
pub(super) fn distinct(values: &[f64]) -> bool {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether all are whole numbers.
pub(super) fn all_whole(values: &[f64]) -> bool {
    values.iter().all(|v| v.fract() == 0.0)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_columns_stand_out_and_rows_do_not() {
        let small = [vec![0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6]];
        for (first, rows, due) in [
            (vec![400.0, 410.0, 420.0], small.to_vec(), true),
            (vec![1.0, 2.0, 3.0], small.to_vec(), true),
            (vec![1000.5, 1001.5, 1002.5], small.to_vec(), true),
            (vec![420.0, 400.0, 455.0], small.to_vec(), true),
            (vec![400.0, 410.0, 420.0], vec![vec![55.0, 60.0, 71.0]], true),
            (vec![1.0, 2.0], vec![vec![0.02, 0.97], vec![0.9, 0.1], vec![0.5, 0.25]], true),
            (vec![400.0], vec![vec![0.5], vec![0.25]], true),
            // Rows that rise, whole numbers among others, an outlier in one column, equal values, one column.
            (vec![1.0, 2.0, 3.0], vec![vec![4.0, 5.0, 6.0], vec![7.0, 8.0, 9.0]], false),
            (vec![1.0, 2.0, 3.0], vec![vec![1.5, 2.5, 3.5], vec![0.5, 1.25, 4.0]], false),
            (vec![0.1, 0.2, 0.3], vec![vec![0.5, 0.25, 0.125], vec![0.75, 0.5, 0.25]], false),
            (vec![0.2, 0.5, 0.9], vec![vec![0.1, 0.6, 0.5], vec![0.3, 0.4, 0.95]], false),
            (vec![900.0, 0.2], vec![vec![1.5, 0.1], vec![2.5, 0.3]], false),
            (vec![900.0, 900.0], vec![vec![1.5, 0.1], vec![2.5, 0.3]], false),
            (vec![1.0], vec![vec![0.5], vec![-0.5]], false),
            (vec![10.0], vec![vec![2.5], vec![3.5]], false),
            (vec![400.0, 410.0], vec![vec![f64::NAN, f64::NAN]], false),
            (vec![400.0, 410.0], vec![], false),
        ] {
            assert_eq!(stands_out(&first, || rows.clone()), due, "{first:?} over {rows:?}");
        }
    }

    proptest! {
        /// Any row of points drawn alike may come first.
        #[test]
        fn no_row_stands_out_among_its_like(
            rows in (1..5_usize).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(-9.0..9.0_f64, n), 20..40)),
            whole in any::<bool>(),
        ) {
            let round = |v: &f64| if whole { v.round() } else { *v };
            let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(round).collect()).collect();
            prop_assert!(!stands_out(&rows[0], || rows[1..].to_vec()));
        }
    }
}
