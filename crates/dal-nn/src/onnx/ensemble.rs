//! The nodes of an ensemble.

use dal_core::model::ConvKind;

use super::{Attribute, Float, Graph};
use crate::conv::Conv;
use crate::evaluate::Member;
use crate::params::LinearRange;
use crate::surrogate::CpuSurrogate;

/// Numbers of all members, one member after another.
fn of_all<'a>(members: &'a [Member], of: impl Fn(&'a Member) -> &'a [f32]) -> Vec<f32> {
    members.iter().flat_map(|member| of(member).iter().copied()).collect()
}

/// `x Wᵀ` of every member, shape (M, n, n_out).
fn product(graph: &mut Graph, members: &[Member], map: &LinearRange, x: &str, name: &str) -> String {
    let mut weights = Vec::with_capacity(members.len() * map.weight.len());
    for member in members {
        let weight = &member.params[map.weight.clone()];
        // A file's product takes W transposed.
        weights.extend((0..map.n_in).flat_map(|i| (0..map.n_out).map(move |o| weight[o * map.n_in + i])));
    }
    let weight = graph.constant(&format!("{name}.weight"), &[members.len(), map.n_in, map.n_out], weights);
    graph.node("MatMul", &[x, &weight], &format!("{name}.product"), &[])
}

/// A vector for each member, added to or multiplied with the rows of (M, n, width).
fn along(graph: &mut Graph, operator: &str, x: &str, name: &str, values: Vec<f32>, n_members: usize) -> String {
    let width = values.len() / n_members.max(1);
    let vector = graph.constant(name, &[n_members, 1, width], values);
    graph.node(operator, &[x, &vector], &format!("{name}.{}", operator.to_lowercase()), &[])
}

impl CpuSurrogate {
    /// Adds every member to a graph; `x` names points of the unit box, (n, n_inputs) of 64-bit floats. The result names
    /// the members' predictions, (M, n, n_outputs) of 64-bit floats, in the units that the ensemble was trained in.
    ///
    /// The scaling of inputs is in 64-bit floats, the networks in 32-bit floats; BatchNorm is the multiplication and
    /// addition that it is at inference, with running or recomputed statistics. Tensors are named `network.…`.
    pub fn add_to(&self, graph: &mut Graph, x: &str) -> String {
        let (layout, members) = (self.layout(), self.members());
        let n_members = members.len();
        let mut x = x.to_owned();
        if let Some(affine) = self.scaling() {
            let offset = graph.constant("network.x.offset", &[affine.offset.len()], affine.offset.clone());
            let factor = graph.constant("network.x.factor", &[affine.factor.len()], affine.factor.clone());
            let shifted = graph.node("Sub", &[&x, &offset], "network.x.shifted", &[]);
            x = graph.node("Div", &[&shifted, &factor], "network.x.scaled", &[]);
        }
        let mut h = graph.cast(&x, Float::Single, "network.x");
        let evaluators = self.ensemble.evaluators();
        for (l, block) in layout.hidden().iter().enumerate() {
            let name = format!("network.hidden.{l}");
            h = product(graph, members, &block.linear, &h, &name);
            if block.batch_norm.is_some() {
                let of = |values: fn(&crate::evaluate::Evaluator<'_, f32>) -> Vec<f32>| -> Vec<f32> {
                    evaluators.iter().flat_map(|e| values(e)[block.statistics.clone()].to_vec()).collect()
                };
                let (scale, shift) = (of(|e| e.scale.clone()), of(|e| e.shift.clone()));
                h = along(graph, "Mul", &h, &format!("{name}.scale"), scale, n_members);
                h = along(graph, "Add", &h, &format!("{name}.shift"), shift, n_members);
            } else {
                let bias = of_all(members, |member| &member.params[block.linear.bias.clone()]);
                h = along(graph, "Add", &h, &format!("{name}.bias"), bias, n_members);
            }
            h = graph.node("Relu", &[&h], &format!("{name}.relu"), &[]);
        }
        let last = layout.last();
        h = product(graph, members, last, &h, "network.last");
        let bias = of_all(members, |member| &member.params[last.bias.clone()]);
        h = along(graph, "Add", &h, "network.last.bias", bias, n_members);
        let convolutions = self.network().conv_head().map_or_else(Vec::new, Conv::of);
        if !convolutions.is_empty() {
            h = self.add_convolutions(graph, &convolutions, &h);
        }
        graph.cast(&h, Float::Double, "network.members")
    }

    /// Members are groups of channels: (M, n, length) goes in as (n, M, length), and (n, M · channels, length) comes
    /// out.
    fn add_convolutions(&self, graph: &mut Graph, convolutions: &[Conv], x: &str) -> String {
        let (layout, members) = (self.layout(), self.members());
        let n_members = members.len();
        let swap = [("perm", Attribute::Ints(&[1, 0, 2]))];
        let mut h = graph.node("Transpose", &[x], "network.channels", &swap);
        for (c, (conv, range)) in convolutions.iter().zip(layout.conv()).enumerate() {
            let (name, spec) = (format!("network.conv.{c}"), &conv.spec);
            // Both kinds have their channels in ONNX's order; a group's own lie together along the first axis.
            let (operator, first, second) = match spec.kind {
                ConvKind::Plain => ("Conv", spec.n_out, spec.n_in),
                ConvKind::Transposed => ("ConvTranspose", spec.n_in, spec.n_out),
            };
            let weights = of_all(members, |member| &member.params[range.weight.clone()]);
            let weight = graph.constant(&format!("{name}.weight"), &[n_members * first, second, spec.kernel], weights);
            let biases = of_all(members, |member| &member.params[range.bias.clone()]);
            let bias = graph.constant(&format!("{name}.bias"), &[n_members * spec.n_out], biases);
            let (kernel, stride, padding) = ([spec.kernel as i64], [spec.stride as i64], [spec.padding as i64; 2]);
            h = graph.node(
                operator,
                &[&h, &weight, &bias],
                &format!("{name}.out"),
                &[
                    ("group", Attribute::Int(n_members as i64)),
                    ("kernel_shape", Attribute::Ints(&kernel)),
                    ("strides", Attribute::Ints(&stride)),
                    ("pads", Attribute::Ints(&padding)),
                ],
            );
        }
        // A 0 keeps the length that is there.
        let shape = vec![0, n_members as i64, self.network().n_outputs() as i64];
        let shape = graph.constant("network.rows.shape", &[3], shape);
        h = graph.node("Reshape", &[&h, &shape], "network.rows", &[]);
        graph.node("Transpose", &[&h], "network.rows.members", &swap)
    }
}
