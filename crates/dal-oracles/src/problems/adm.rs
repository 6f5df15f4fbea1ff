//! `adm`: absorptivity of an all-dielectric metasurface; fourteen inputs, 2000 outputs. The embedded oracle is
//! ADM-like.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use dal_core::model::{BatchNormSpec, ConvHeadSpec, Head, TrainingSpec};
use dal_core::{MlpEnsemble, Oracle, SettingError, Settings};

use super::parts::{not_loaded, space_of};
use crate::adm::{AdmLike, load};
use crate::card::{
    Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, SettingCard, SettingValues, TunedCard,
};
use crate::problem::{Built, Definition};

const fn axis(name: &'static str) -> InputCard {
    InputCard { name, unit: "period", low: 0.1, high: 0.2, integer: false }
}

const fn angle(name: &'static str) -> InputCard {
    let quarter = std::f64::consts::FRAC_PI_4;
    InputCard { name, unit: "rad", low: -quarter, high: quarter, integer: false }
}

/// The published model; the ensemble has five members.
const MODEL: MlpEnsemble = MlpEnsemble {
    hidden: Cow::Borrowed(&[1500; 4]),
    batch_norm: Some(BatchNormSpec::RUNNING),
    head: Head::Convolution(ConvHeadSpec::adm()),
    training: TrainingSpec { n_members: 5, learning_rate: 5e-3, weight_decay: 0.0, ..TrainingSpec::DEFAULT },
};

/// The problem `adm`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "adm",
        title: "ADM-like: absorptivity of an all-dielectric metasurface (stand-in for the published networks)",
        formula: "geometry seen from each pillar -> trained network -> 32 coupled modes and a background -> closed-form A(f); \
                  see docs/adm.md. With oracle=DIR: the mean of the networks in DIR",
        inputs: &[
            InputCard { name: "h", unit: "um", low: 0.3, high: 0.6, integer: false },
            InputCard { name: "p", unit: "um", low: 1.0, high: 1.5, integer: false },
            axis("rma1"),
            axis("rma2"),
            axis("rma3"),
            axis("rma4"),
            axis("rmi1"),
            axis("rmi2"),
            axis("rmi3"),
            axis("rmi4"),
            angle("theta1"),
            angle("theta2"),
            angle("theta3"),
            angle("theta4"),
        ],
        outputs: OutputCard {
            n: 2000,
            name: "absorptivity",
            unit: "1",
            along: "frequency, 100 to 499.8 THz in steps of 0.2 THz",
        },
        source: "the problem: Deng et al., Opt. Express 29, 7526 (2021), and Ren et al., arXiv 2201.12632; the embedded ADM-like \
                 oracle: trained in this project on a coupled-mode generator fitted to simulated spectra of that work's data",
        licence: "code and fitted oracle MIT OR Apache-2.0; fitted to data under CC BY 4.0 (see fixtures/adm/README.md)",
        settings: &[SettingCard {
            key: "oracle",
            help: "folder of exported networks of the published architecture; without it the embedded ADM-like one answers",
            values: SettingValues::Path,
        }],
        published: PublishedCard {
            model: MODEL,
            known: Knowledge::Recollected,
            note: "4 hidden layers are recollected; the authors' code for the predecessor paper has 6",
        },
        tuned: Some(TunedCard {
            model: MODEL,
            is_default: false,
            gains: &[
                Gain { labels: 80, published: 1.48e-2, tuned: 1.48e-2 },
                Gain { labels: 480, published: 7.48e-3, tuned: 7.48e-3 },
                Gain { labels: 2080, published: 6.77e-3, tuned: 6.77e-3 },
            ],
            note: "the published network itself: of the 48 others, which differ in BatchNorm, learning rate and weight decay, none was better at 80 \
                   and 480 labels (single members of 100 epochs, in the tests too)",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.0133, mean_predictor_mse: 0.0135 }],
    },
    build,
};

fn build(settings: &Settings) -> Result<Built, SettingError> {
    let wrong = |key, message: String| not_loaded("adm", key, &message);
    let oracle: Arc<dyn Oracle> = match settings.word("oracle") {
        Some(folder) => Arc::new(load(Path::new(folder)).map_err(|e| wrong("oracle", format!("{folder}: {e}")))?),
        None => Arc::new(AdmLike::embedded().map_err(|e| wrong("id", e.to_string()))?),
    };
    Ok(Built { space: space_of(&DEFINITION.card)?, oracle })
}

#[cfg(test)]
mod tests {
    use crate::adm::images;
    use crate::testing::{golden, labels, problem, uniform};
    use dal_core::Settings;
    use ndarray::{Array2, Axis, s};
    use proptest::prelude::*;

    #[test]
    fn numpy_gives_the_same_spectra() {
        let (x, expected) = golden(dal_fixtures::golden::ADM_LIKE, 14);
        let y = labels("adm", &[], x.view());
        let every = 2000 / expected.ncols();
        let worst = expected.indexed_iter().map(|((i, j), e)| (y[[i, every * j]] - e).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-11, "{worst}");
    }

    /// Spectra of a point's eight images.
    fn spectra_of_images(x: [f64; 14]) -> Array2<f64> {
        labels("adm", &[], Array2::from_shape_fn((8, 14), |(i, j)| images(&x)[i][j]).view())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pillars_may_be_permuted_and_the_cell_mirrored_bit_by_bit(
            x in proptest::array::uniform14(prop_oneof![-1.0..=1.0_f64, (-2..=2_i32).prop_map(|v| f64::from(v) / 2.0)]),
        ) {
            let y = spectra_of_images(x).mapv(f64::to_bits);
            for row in y.outer_iter() {
                prop_assert_eq!(row, y.row(0));
            }
        }

        #[test]
        fn absorptivity_is_a_fraction_and_continuous(x in proptest::array::uniform14(-0.999..=0.999_f64)) {
            // The steepest spectra move by some 1e-6 of a resonance's height for a step of 1e-9.
            let near = x.map(|v| v + 1e-9);
            let two = Array2::from_shape_fn((2, 14), |(i, j)| if i == 0 { x[j] } else { near[j] });
            let y = labels("adm", &[], two.view());
            prop_assert!(y.iter().all(|v| (0.0..=1.0).contains(v)));
            let moved = (&y.row(0) - &y.row(1)).iter().fold(0.0_f64, |worst, d| worst.max(d.abs()));
            prop_assert!(moved < 1e-4, "{}", moved);
        }
    }

    /// The real statistics of `docs/adm.md`, loosely: a stand-in that lost its peaks or its spread would not pass.
    #[test]
    fn spectra_look_like_the_simulated_ones() {
        let y = labels("adm", &[], uniform(500, 14, 1).view());
        let mean = y.mean_axis(Axis(0)).unwrap();
        let deviation = y.std_axis(Axis(0), 0.0);
        for (thz, real_mean, real_deviation) in
            [(180, 0.149, 0.145), (240, 0.528, 0.181), (350, 0.68, 0.11), (499, 0.819, 0.072)]
        {
            let j = (thz - 100) * 5;
            assert!((mean[j] - real_mean).abs() < 0.05, "mean {} at {thz} THz", mean[j]);
            assert!((deviation[j] / real_deviation - 1.0).abs() < 0.35, "deviation {} at {thz} THz", deviation[j]);
        }
        let variance = y.var_axis(Axis(0), 0.0).mean().unwrap();
        assert!((0.011..0.018).contains(&variance), "{variance}");
        // Peaks: a local maximum that stands at least 0.05 above the lowest points within 10 THz on both sides.
        let peaks = |row: ndarray::ArrayView1<'_, f64>| {
            let lowest = |range: std::ops::Range<usize>| row.slice(s![range]).iter().copied().fold(1.0, f64::min);
            let high = |j: &usize| row[*j] > row[j - 1] && row[*j] >= row[j + 1];
            (50..1950).filter(high).filter(|j| row[*j] - lowest(j - 50..*j).max(lowest(j + 1..j + 51)) > 0.05).count()
        };
        let n = y.outer_iter().map(peaks).sum::<usize>() as f64 / 500.0;
        assert!((2.0..9.0).contains(&n), "{n} peaks a spectrum");
    }

    #[test]
    fn a_folder_without_a_fitting_network_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let find = || crate::find("adm", &Settings::default().with("oracle", folder.path().display().to_string()));
        let missing = find().unwrap_err();
        assert!(missing.key == "oracle" && missing.reason.contains("network.toml"), "{missing}");
        std::fs::write(folder.path().join("network.toml"), dal_fixtures::ADM_LIKE_MANIFEST).unwrap();
        std::fs::write(folder.path().join("adm_like.safetensors"), dal_fixtures::ADM_LIKE_WEIGHTS).unwrap();
        let error = find().unwrap_err().to_string();
        assert!(error.contains("20 inputs") && error.contains("14 and 2000"), "{error}");
    }

    #[test]
    fn a_folder_of_exported_networks_answers_instead() {
        use safetensors::{Dtype, tensor::TensorView};
        let folder = tempfile::tempdir().unwrap();
        let manifest = "format = \"dal-network-1\"\ninputs = 14\nmembers = [\"a\", \"b\"]\n\
                        [[layers]]\nkind = \"linear\"\nname = \"fc\"\noutputs = 2000\n";
        std::fs::write(folder.path().join("network.toml"), manifest).unwrap();
        for (name, slope) in [("a", 1.0_f32), ("b", 3.0)] {
            // Member a answers x0 + k, member b 3 x0 + k.
            let weight: Vec<u8> =
                (0..2000 * 14).flat_map(|i| (if i % 14 == 0 { slope } else { 0.0 }).to_le_bytes()).collect();
            let bias: Vec<u8> = (0..2000).flat_map(|k| (k as f32).to_le_bytes()).collect();
            let tensors = [
                ("fc.weight", TensorView::new(Dtype::F32, vec![2000, 14], &weight).unwrap()),
                ("fc.bias", TensorView::new(Dtype::F32, vec![2000], &bias).unwrap()),
            ];
            std::fs::write(folder.path().join(name), safetensors::serialize(tensors, None).unwrap()).unwrap();
        }
        let x = uniform(3, 14, 2);
        let y = labels("adm", &[("oracle", folder.path().to_str().unwrap())], x.view());
        for ((i, k), y) in y.indexed_iter() {
            assert!((y - (2.0 * x[[i, 0]] + k as f64)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_user_is_told_that_the_default_is_a_stand_in() {
        assert!(problem("adm", &[]).card().unwrap().title.contains("ADM-like"));
    }
}
