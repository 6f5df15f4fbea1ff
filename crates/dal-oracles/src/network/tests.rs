//! Tests of `network`: PyTorch's values, the definition of every layer written plainly, and files that do not fit.

use dal_core::{SeedPath, Space};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::linear::Linear;
use super::manifest::LayerSpec;
use super::*;
use crate::contract::check_oracle;
use crate::testing::{golden, uniform};

type Tensor = (String, Vec<usize>, Vec<f32>);

/// Numbers in [0, 1) with 23 bits, from a name and a place: the same ones `published.py` of the fixtures makes.
fn fractions(name: &str, n: usize) -> impl Iterator<Item = f32> + use<> {
    let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (0..n as u64).map(move |i| {
        let mut z = key.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 41) as f32 / (1 << 23) as f32
    })
}

/// The tensors of one member, made of such numbers: variances and BatchNorm's weights in
/// [1/2, 3/2), weights of a Linear in ± the largest power of two not above √(6 / its inputs), everything else in ± 1/4.
fn tensors(manifest: &str, member: usize) -> Vec<Tensor> {
    let (plan, _) = plan(manifest).unwrap();
    let mut all = Vec::new();
    for Planned { spec, before, after } in &plan {
        let parts: Vec<(&str, Vec<usize>)> = match spec {
            LayerSpec::Relu {} => continue,
            LayerSpec::Linear { .. } => {
                vec![("weight", vec![after.units(), before.units()]), ("bias", vec![after.units()])]
            }
            LayerSpec::BatchNorm { .. } => {
                let n = if before.channels == 1 { before.length } else { before.channels };
                ["weight", "bias", "running_mean", "running_var"].map(|part| (part, vec![n])).to_vec()
            }
            LayerSpec::ConvTranspose1d { kernel, .. } => {
                vec![("weight", vec![before.channels, after.channels, *kernel]), ("bias", vec![after.channels])]
            }
            LayerSpec::Conv1d { kernel, .. } => {
                vec![("weight", vec![after.channels, before.channels, *kernel]), ("bias", vec![after.channels])]
            }
        };
        let batch_norm = matches!(spec, LayerSpec::BatchNorm { .. });
        for (part, shape) in parts {
            let name = format!("{}.{part}", spec.name().unwrap());
            let bound = match (spec, part) {
                (LayerSpec::Linear { .. }, "weight") => (6.0 / before.units() as f32).sqrt().log2().floor().exp2(),
                _ => 0.25,
            };
            let values = fractions(&format!("{member}/{name}"), shape.iter().product()).map(|u| match part {
                "running_var" => 0.5 + u,
                "weight" if batch_norm => 0.5 + u,
                _ => (2.0 * u - 1.0) * bound,
            });
            let values = values.collect();
            all.push((name, shape, values));
        }
    }
    all
}

fn safetensors_of(tensors: &[Tensor]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn network(manifest: &str) -> Network {
    let (_, parsed) = plan(manifest).unwrap();
    let files: Vec<_> = (0..parsed.members.len()).map(|m| safetensors_of(&tensors(manifest, m))).collect();
    Network::from_bytes(manifest, &files.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

const SMALL: &str = r#"
    format = "dal-network-1"
    inputs = 3
    members = ["a.safetensors", "b.safetensors"]
    input = { offset = [0.5, 0.0, 0.0], scale = [2.0, 1.0, 1.0] }
    [[layers]]
    kind = "linear"
    name = "fc"
    outputs = 19
    [[layers]]
    kind = "batch-norm"
    name = "bn"
    eps = 1e-5
    [[layers]]
    kind = "relu"
    [[layers]]
    kind = "conv-transpose-1d"
    name = "up"
    channels = 3
    kernel = 4
    stride = 2
    padding = 1
    [[layers]]
    kind = "batch-norm"
    name = "bn_up"
    eps = 1e-3
    [[layers]]
    kind = "conv-1d"
    name = "down"
    channels = 2
    kernel = 3
    stride = 2
    padding = 1
"#;

/// PyTorch in f64 on two networks of the published architecture; see `adm/published.py` of the fixtures.
#[test]
fn the_published_architecture_agrees_with_pytorch() {
    let network = network(dal_fixtures::ADM_PUBLISHED_MANIFEST);
    assert_eq!((network.n_inputs(), network.n_outputs(), network.n_members()), (14, 2000, 2));
    let (x, expected) = golden(dal_fixtures::golden::ADM_PUBLISHED, 14);
    let y = network.evaluate(x.view()).unwrap();
    let every = 2000 / expected.ncols();
    let between_points = expected.std_axis(ndarray::Axis(0), 0.0).mean().unwrap();
    for ((i, j), e) in expected.indexed_iter() {
        assert!((y[[i, every * j]] - e).abs() < 1e-9 * between_points, "{} {e}", y[[i, every * j]]);
    }
}

/// Every (i, j, k, l) below the limits.
fn quadruples(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |n| (n / (b * c * d), n / (c * d) % b, n / d % c, n % d))
}

/// The definition of every layer, written down plainly, on the tensors as they are in the file.
fn naive(manifest: &str, x: &[f64]) -> Vec<f64> {
    let (plan, parsed) = plan(manifest).unwrap();
    let mut mean: Vec<f64> = Vec::new();
    for member in 0..parsed.members.len() {
        let tensors = tensors(manifest, member);
        let get = |layer: &LayerSpec, part: &str, i: usize| {
            let name = format!("{}.{part}", layer.name().unwrap());
            f64::from(tensors.iter().find(|(n, _, _)| *n == name).unwrap().2[i])
        };
        let mut u: Vec<f64> = x.to_vec();
        if let Some(s) = &parsed.input {
            u = (0..u.len()).map(|i| (u[i] - s.offset[i]) / s.scale[i]).collect();
        }
        for Planned { spec, before, after } in &plan {
            let (ci, li, co, lo) = (before.channels, before.length, after.channels, after.length);
            u = match spec {
                LayerSpec::Relu {} => u.iter().map(|v| v.max(0.0)).collect(),
                LayerSpec::Linear { .. } => {
                    let product =
                        |o: usize| (0..u.len()).map(|k| get(spec, "weight", o * u.len() + k) * u[k]).sum::<f64>();
                    (0..lo).map(|o| product(o) + get(spec, "bias", o)).collect()
                }
                LayerSpec::BatchNorm { eps, .. } => (0..u.len())
                    .map(|i| {
                        let s = if ci == 1 { i } else { i / li };
                        let normal = (u[i] - get(spec, "running_mean", s)) / (get(spec, "running_var", s) + eps).sqrt();
                        normal * get(spec, "weight", s) + get(spec, "bias", s)
                    })
                    .collect(),
                LayerSpec::ConvTranspose1d { kernel, stride, padding, .. } => {
                    let mut y: Vec<f64> = (0..co * lo).map(|i| get(spec, "bias", i / lo)).collect();
                    for (c, i, o, j) in quadruples(ci, li, co, *kernel) {
                        if let Some(at) = (i * stride + j).checked_sub(*padding).filter(|at| *at < lo) {
                            y[o * lo + at] += u[c * li + i] * get(spec, "weight", (c * co + o) * kernel + j);
                        }
                    }
                    y
                }
                LayerSpec::Conv1d { kernel, stride, padding, .. } => {
                    let mut y: Vec<f64> = (0..co * lo).map(|i| get(spec, "bias", i / lo)).collect();
                    for (c, i, o, j) in quadruples(ci, lo, co, *kernel) {
                        if let Some(at) = (i * stride + j).checked_sub(*padding).filter(|at| *at < li) {
                            y[o * lo + i] += u[c * li + at] * get(spec, "weight", (o * ci + c) * kernel + j);
                        }
                    }
                    y
                }
            };
        }
        mean.resize(u.len(), 0.0);
        mean.iter_mut().zip(&u).for_each(|(m, v)| *m += v / parsed.members.len() as f64);
    }
    match &parsed.output {
        Some(s) => (0..mean.len()).map(|i| s.offset[i] + s.scale[i] * mean[i]).collect(),
        None => mean,
    }
}

/// The largest relative difference between a network and the definition on `n` points.
fn worst(manifest: &str, n: usize) -> f64 {
    let network = network(manifest);
    let x = uniform(n, network.n_inputs(), 5);
    let y = network.evaluate(x.view()).unwrap();
    let mut worst = 0.0_f64;
    for (x, y) in x.outer_iter().zip(y.outer_iter()) {
        let expected = naive(manifest, &x.to_vec());
        assert_eq!(expected.len(), y.len());
        worst = y.iter().zip(expected).fold(worst, |worst, (a, b)| worst.max((a - b).abs() / (1.0 + b.abs())));
    }
    worst
}

#[test]
fn the_small_network_agrees_with_the_definition_and_keeps_the_contract() {
    assert!(worst(SMALL, 70) < 1e-13);
    let n = network(SMALL).n_outputs();
    let list = |v: &str| vec![v; n].join(", ");
    let output = format!("output = {{ offset = [{}], scale = [{}] }}\ninput = ", list("-3.5"), list("0.25"));
    assert!(worst(&SMALL.replace("input = ", &output), 3) < 1e-13);
    check_oracle(&network(SMALL), &Space::continuous_unit(3), &SeedPath::root(4)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_shape_agrees_with_the_definition(
        inputs in 1..20_usize, width in 1..40_usize, channels in 1..4_usize, kernel in 1..6_usize, stride in 1..4_usize,
        padding in 0..5_usize, transposed in any::<bool>(), members in 1..3_usize, rows in 1..7_usize,
    ) {
        prop_assume!(padding < kernel && width + 2 * padding >= kernel);
        prop_assume!(!transposed || (width - 1) * stride + kernel > 2 * padding);
        let kind = if transposed { "conv-transpose-1d" } else { "conv-1d" };
        let members = (0..members).map(|m| format!("\"{m}\"")).collect::<Vec<_>>().join(", ");
        let manifest = format!(
            "format = \"dal-network-1\"\ninputs = {inputs}\nmembers = [{members}]\n\
             [[layers]]\nkind = \"linear\"\nname = \"a\"\noutputs = {width}\n\
             [[layers]]\nkind = \"batch-norm\"\nname = \"b\"\neps = 1e-5\n[[layers]]\nkind = \"relu\"\n\
             [[layers]]\nkind = \"{kind}\"\nname = \"c\"\nchannels = {channels}\nkernel = {kernel}\n\
             stride = {stride}\npadding = {padding}\n\
             [[layers]]\nkind = \"linear\"\nname = \"d\"\noutputs = 3\n"
        );
        prop_assert!(worst(&manifest, rows) < 1e-12);
    }

    /// A changed byte makes an error or another network, never a panic; a cut file is an error.
    #[test]
    fn damaged_files_are_errors(at in 0.0..1.0_f64, byte in any::<u8>(), keep in 0.0..1.0_f64) {
        let whole = safetensors_of(&tensors(SMALL, 1));
        let mut file = safetensors_of(&tensors(SMALL, 0));
        let at = (at * file.len() as f64) as usize;
        file[at] ^= byte;
        if let Ok(network) = Network::from_bytes(SMALL, &[&file, &whole]) {
            prop_assert_eq!(network.evaluate(uniform(2, 3, 1).view()).unwrap().nrows(), 2);
        }
        let cut = &whole[..(keep * whole.len() as f64) as usize];
        prop_assert!(Network::from_bytes(SMALL, &[&whole, cut]).is_err());
    }
}

/// The bits of an answer must not depend on the machine's vector width.
#[test]
fn every_kernel_gives_the_same_bits() {
    let weights: Vec<f32> = fractions("w", 37 * 50).map(|u| u - 0.5).collect();
    let layer = Linear::new(50, 37, &weights, fractions("b", 37).collect());
    let x: Vec<f64> = fractions("x", 50 * 11).map(|u| f64::from(u) / 3.0).collect();
    let run = |kernel: Kernel| {
        let mut y = vec![0.0; 37 * 11];
        kernel.linear(&layer, &x, &mut y);
        y.into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let portable = run(Kernel::Portable);
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            assert_eq!(run(Kernel::Avx2), portable);
        }
        if is_x86_feature_detected!("avx512f") {
            assert_eq!(run(Kernel::Avx512), portable);
        }
    }
    assert_eq!(run(Kernel::detect()), portable);
}

#[test]
fn half_precision_is_read() {
    let manifest = "format = \"dal-network-1\"\ninputs = 1\nmembers = [\"m\"]\n\
                    [[layers]]\nkind = \"linear\"\nname = \"a\"\noutputs = 1\n";
    let answer = |dtype, weight: [u8; 2], bias: [u8; 2]| {
        let tensors = [
            ("a.weight", TensorView::new(dtype, vec![1, 1], &weight).unwrap()),
            ("a.bias", TensorView::new(dtype, vec![1], &bias).unwrap()),
        ];
        let file = safetensors::serialize(tensors, None).unwrap();
        Network::from_bytes(manifest, &[&file]).map(|n| n.evaluate(ndarray::array![[2.0]].view()).unwrap()[[0, 0]])
    };
    let f16 = |v| half::f16::from_f32(v).to_le_bytes();
    let bf16 = |v| half::bf16::from_f32(v).to_le_bytes();
    assert_eq!(answer(Dtype::F16, f16(1.5), f16(-0.25)).unwrap(), 2.75);
    assert_eq!(answer(Dtype::BF16, bf16(1.5), bf16(-0.25)).unwrap(), 2.75);
    assert!(matches!(answer(Dtype::I16, [0, 1], [0, 1]), Err(NetworkError::Type { .. })));
    assert!(matches!(answer(Dtype::F16, f16(f32::NAN), f16(0.0)), Err(NetworkError::Value { index: 0, .. })));
}

#[test]
fn what_does_not_fit_is_named() {
    let file = safetensors_of(&tensors(SMALL, 0));
    let with = |manifest: &str| Network::from_bytes(manifest, &[&file, &file]);
    let changed = |from: &str, to: &str| with(&SMALL.replacen(from, to, 1));
    assert!(with(SMALL).is_ok());
    assert!(matches!(Network::from_bytes(SMALL, &[&file]), Err(NetworkError::Members { expected: 2, found: 1 })));
    assert!(matches!(changed("dal-network-1", "dal-network-2"), Err(NetworkError::Format { .. })));
    assert!(matches!(changed("kind = \"relu\"", "kind = \"gelu\""), Err(NetworkError::Manifest { .. })));
    assert!(matches!(changed("kind = \"relu\"", "kind = \"relu\"\nslope = 1"), Err(NetworkError::Manifest { .. })));
    assert!(matches!(changed("outputs = 19", "outputs = 18"), Err(NetworkError::Shape { .. })));
    assert!(matches!(changed("outputs = 19", "outputs = 0"), Err(NetworkError::Architecture { layer: 0, .. })));
    assert!(matches!(changed("outputs = 19", "outputs = 4000000000"), Err(NetworkError::Architecture { .. })));
    assert!(matches!(changed("padding = 1", "padding = 9"), Err(NetworkError::Architecture { layer: 3, .. })));
    assert!(matches!(changed("stride = 2", "stride = 0"), Err(NetworkError::Architecture { layer: 3, .. })));
    assert!(matches!(changed("name = \"bn\"", "name = \"fc\""), Err(NetworkError::Architecture { layer: 1, .. })));
    assert!(matches!(changed("name = \"bn\"", "name = \"other\""), Err(NetworkError::MissingTensor { .. })));
    assert!(matches!(changed("eps = 1e-5", "eps = -1.0"), Err(NetworkError::Architecture { layer: 1, .. })));
    assert!(matches!(changed("[2.0, 1.0, 1.0]", "[2.0, 0.0, 1.0]"), Err(NetworkError::Scaling { .. })));
    assert!(matches!(changed("[2.0, 1.0, 1.0]", "[2.0, 1.0]"), Err(NetworkError::Scaling { .. })));
    let mut more = tensors(SMALL, 0);
    more.push(("stray.weight".into(), vec![1], vec![0.0]));
    let stray = safetensors_of(&more);
    assert!(matches!(Network::from_bytes(SMALL, &[&file, &stray]), Err(NetworkError::UnknownTensor { .. })));
    let mut negative = tensors(SMALL, 0);
    negative.iter_mut().find(|(name, _, _)| name == "bn.running_var").unwrap().2[4] = -0.5;
    let negative = safetensors_of(&negative);
    assert!(matches!(Network::from_bytes(SMALL, &[&negative, &file]), Err(NetworkError::Value { index: 4, .. })));
}

#[test]
fn a_folder_is_loaded_and_cannot_reach_outside() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put(MANIFEST, SMALL.as_bytes());
    put("a.safetensors", &safetensors_of(&tensors(SMALL, 0)));
    assert!(
        matches!(Network::load(folder.path()), Err(NetworkError::Io { file, .. }) if file.contains("b.safetensors"))
    );
    put("b.safetensors", &safetensors_of(&tensors(SMALL, 1)));
    assert_eq!(Network::load(folder.path()).unwrap(), network(SMALL));
    put(MANIFEST, SMALL.replace("b.safetensors", "../b.safetensors").as_bytes());
    assert!(matches!(Network::load(folder.path()), Err(NetworkError::Manifest { .. })));
}
