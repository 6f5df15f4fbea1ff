//! Terms that are equal but for the last digit count as equal: rounding decides no pick.

use dal_acq::{Chosen, GivenPredictions, find, select};
use dal_core::{Labelled, SeedPath, Settings};
use ndarray::{Array2, Array3, array};

fn chosen(id: &str, x: &Array2<f64>, pool: &Array2<f64>, members: &[Vec<f64>], n: usize) -> Chosen {
    let mut settings = Settings::default();
    if id == "dacs" {
        settings.insert("n_neighbours", 1);
    }
    let strategy = find(id, &settings).unwrap().strategy;
    let labelled = Labelled::new(x.clone(), Array2::zeros((x.nrows(), 1))).unwrap();
    let values: Vec<f64> = members.concat();
    let predictions = Array3::from_shape_vec((members.len(), pool.nrows(), 1), values).unwrap();
    let given = GivenPredictions::new(pool.clone(), predictions).unwrap();
    select(&*strategy, &labelled, pool.view(), Some(&given), n, &SeedPath::root(0)).unwrap()
}

/// Two members whose variance at each point is this.
fn with_variance(variance: &[f64]) -> Vec<Vec<f64>> {
    [1.0, -1.0].map(|sign| variance.iter().map(|v| sign * v.sqrt()).collect()).into()
}

#[test]
fn equal_distances_are_constant_whatever_their_last_digits() {
    for (low, high) in [(0.1, 0.7), (0.2, 1.1), (1.3, 4.9)] {
        let pool = Array2::from_shape_fn((8, 3), |(i, j)| if i >> j & 1 == 0 { low } else { high });
        let x = Array2::from_elem((1, 3), 0.5 * (low + high));
        for largest in 0..8 {
            let variance: Vec<f64> = (0..8).map(|i| if i == largest { 1.0 } else { 0.6 }).collect();
            for id in ["qbc-diversity", "qbc-diversity-density"] {
                let found = chosen(id, &x, &pool, &with_variance(&variance), 1);
                assert!(found.notes.iter().any(|note| note.contains("distance term is constant")), "{:?}", found.notes);
                assert!(id != "qbc-diversity" || found.picked == [largest], "{low} {high}: {:?}", found.picked);
            }
        }
    }
}

#[test]
fn members_that_differ_by_the_same_everywhere_tell_nothing() {
    let pool = Array2::from_shape_fn((30, 2), |(i, j)| ((i * 7 + j * 3) as f64).sin());
    let x = array![[0.9, 0.9]];
    let f: Vec<f64> = (0..30).map(|i| (f64::from(i) * 0.37).cos()).collect();
    let of = |shift: f64| {
        let members = vec![f.clone(), f.iter().map(|v| v + shift).collect()];
        chosen("qbc-diversity", &x, &pool, &members, 4)
    };
    let (rounded, exact) = (of(0.1), of(0.0));
    assert_eq!(rounded.picked, exact.picked);
    assert!(rounded.notes.iter().any(|note| note.contains("disagreement term is constant")), "{:?}", rounded.notes);
}

#[test]
fn points_that_lie_evenly_are_one_group() {
    for n in [10_usize, 23, 64] {
        // Where neighbours are 2 / (n − 1) apart, but for rounding.
        let pool = Array2::from_shape_fn((n, 1), |(i, _)| -1.0 + 2.0 * i as f64 / (n - 1) as f64);
        let x = array![[-0.1]];
        let members = vec![vec![0.0; n]; 2];
        assert_eq!(chosen("dacs", &x, &pool, &members, 5).picked, chosen("gsx", &x, &pool, &members, 5).picked, "{n}");
    }
}
