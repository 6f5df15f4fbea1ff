//! How the parameters of many members lie in one tensor: tensor by tensor, so that each layer's weights of all members
//! are one contiguous `(members, n_out, n_in)`.
//!
//! First come, for networks with BatchNorm, all biases that feed it, layer after layer (the order of the running
//! statistics), then all γ, then all β, each group without gaps: what is done to every layer's statistics alike is done to
//! a group at once. The rest starts at multiples of a cache line; gaps hold zeros and stay so.

use std::collections::HashMap;
use std::ops::Range;

use tch::{TchError, Tensor};

use crate::params::{Layout, LinearRange};
use dal_core::model::{ConvKind, NetworkSpec};

/// Elements of a cache line.
const LINE: usize = 16;

/// Where the members' vectors lie in the tensor.
#[derive(Debug, Clone)]
pub(super) struct Packing {
    n_members: usize,
    /// Range in a member's vector, and where it starts in the tensor for member 0; member `m` follows at `m · length`.
    blocks: Vec<(Range<usize>, usize)>,
    /// By start of the range.
    starts: HashMap<usize, usize>,
    len: usize,
    n_statistics: usize,
}

impl Packing {
    pub fn new(layout: &Layout, n_members: usize) -> Self {
        let mut packing =
            Self { n_members, blocks: Vec::new(), starts: HashMap::new(), len: 0, n_statistics: layout.n_statistics() };
        let normed = || layout.hidden().iter().filter_map(|block| block.batch_norm.as_ref().map(|bn| (block, bn)));
        for range in normed()
            .map(|(block, _)| &block.linear.bias)
            .chain(normed().map(|(_, bn)| &bn.gamma))
            .chain(normed().map(|(_, bn)| &bn.beta))
        {
            packing.put(range, 1);
        }
        for block in layout.hidden() {
            packing.put(&block.linear.weight, LINE);
            packing.put(&block.linear.bias, LINE);
        }
        let conv = layout.conv().iter().flat_map(|conv| [&conv.weight, &conv.bias]);
        for range in [&layout.last().weight, &layout.last().bias].into_iter().chain(conv) {
            packing.put(range, LINE);
        }
        if let Some(head) = layout.loss_head() {
            let linears = head.features.iter().map(|(_, linear)| linear).chain([&head.score]);
            for linear in linears {
                packing.put(&linear.weight, LINE);
                packing.put(&linear.bias, LINE);
            }
        }
        packing.len = packing.len.next_multiple_of(LINE);
        packing
    }

    fn put(&mut self, range: &Range<usize>, align: usize) {
        if self.starts.contains_key(&range.start) {
            return;
        }
        let start = self.len.next_multiple_of(align);
        self.starts.insert(range.start, start);
        self.blocks.push((range.clone(), start));
        self.len = start + self.n_members * range.len();
    }

    /// Length of the tensor.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The members' vectors in the tensor's order.
    pub fn pack<'a>(&self, member: impl Fn(usize) -> &'a [f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.len];
        for m in 0..self.n_members {
            let values = member(m);
            for (range, start) in &self.blocks {
                packed[start + m * range.len()..][..range.len()].copy_from_slice(&values[range.clone()]);
            }
        }
        packed
    }

    /// Member `m`'s vector.
    pub fn unpack(&self, packed: &[f32], m: usize, values: &mut [f32]) {
        for (range, start) in &self.blocks {
            values[range.clone()].copy_from_slice(&packed[start + m * range.len()..][..range.len()]);
        }
    }

    /// Calls `on(member, range)` for each stretch of the tensor that belongs to one member.
    pub fn each_stretch(&self, mut on: impl FnMut(usize, Range<usize>)) {
        for (range, start) in &self.blocks {
            for m in 0..self.n_members {
                let at = start + m * range.len();
                on(m, at..at + range.len());
            }
        }
    }

    /// The running statistics of all members, `(members, width)` of one layer after another.
    pub fn pack_statistics<'a>(&self, layout: &Layout, member: impl Fn(usize) -> &'a [f32]) -> Vec<f32> {
        let mut packed = Vec::with_capacity(self.n_members * self.n_statistics);
        for block in layout.hidden() {
            for m in 0..self.n_members {
                packed.extend_from_slice(&member(m)[block.statistics.clone()]);
            }
        }
        packed
    }

    /// Member `m`'s running statistics.
    pub fn unpack_statistics(&self, layout: &Layout, packed: &[f32], m: usize, values: &mut [f32]) {
        for block in layout.hidden() {
            let range = block.statistics.clone();
            let start = self.n_members * range.start + m * range.len();
            values[range.clone()].copy_from_slice(&packed[start..start + range.len()]);
        }
    }

    /// One tensor of all members, flat.
    fn flat(&self, buffer: &Tensor, range: &Range<usize>) -> Result<Tensor, TchError> {
        let start = self.starts.get(&range.start).copied().unwrap_or(0);
        buffer.f_narrow(0, start as i64, (self.n_members * range.len()) as i64)
    }

    fn linear(&self, buffer: &Tensor, linear: &LinearRange) -> Result<LinearView, TchError> {
        let (m, n_out, n_in) = (self.n_members as i64, linear.n_out as i64, linear.n_in as i64);
        let flat = self.flat(buffer, &linear.bias)?;
        Ok(LinearView {
            weight: self.flat(buffer, &linear.weight)?.f_view((m, n_out, n_in))?,
            bias: flat.f_view((m, n_out, 1))?,
            flat_bias: flat,
        })
    }

    /// The tensors of a network inside `buffer`, which has [`len`](Self::len) elements.
    pub fn views(&self, network: &NetworkSpec, layout: &Layout, buffer: &Tensor) -> Result<Views, TchError> {
        let m = self.n_members as i64;
        let hidden: Result<Vec<_>, TchError> = layout
            .hidden()
            .iter()
            .map(|block| {
                let width = block.linear.n_out as i64;
                let norm = match &block.batch_norm {
                    None => None,
                    Some(bn) => {
                        let (gamma, beta) = (self.flat(buffer, &bn.gamma)?, self.flat(buffer, &bn.beta)?);
                        Some(NormView {
                            gamma: gamma.f_view((m, width, 1))?,
                            beta: beta.f_view((m, width, 1))?,
                            flat_beta: beta,
                        })
                    }
                };
                Ok(HiddenView { linear: self.linear(buffer, &block.linear)?, norm })
            })
            .collect();
        let layers = network.conv_head().map_or(&[][..], |head| &head.layers);
        let conv: Result<Vec<_>, TchError> = layers
            .iter()
            .zip(layout.conv())
            .map(|(spec, range)| {
                let (n_in, n_out, kernel) = (spec.n_in as i64, spec.n_out as i64, spec.kernel as i64);
                // As matrices: (out, in · kernel), transposed (in, out · kernel).
                let shape = match spec.kind {
                    ConvKind::Plain => (m, n_out, n_in * kernel),
                    ConvKind::Transposed => (m, n_in, n_out * kernel),
                };
                let flat = self.flat(buffer, &range.bias)?;
                let weight = self.flat(buffer, &range.weight)?.f_view(shape)?;
                Ok(LinearView { weight, bias: flat.f_view((m, n_out, 1))?, flat_bias: flat })
            })
            .collect();
        let (features, score) = match layout.loss_head() {
            None => (Vec::new(), None),
            Some(head) => {
                let features: Result<Vec<_>, TchError> =
                    head.features.iter().map(|(_, linear)| self.linear(buffer, linear)).collect();
                (features?, Some(self.linear(buffer, &head.score)?))
            }
        };
        let n_norm = (self.n_members * self.n_statistics) as i64;
        Ok(Views {
            hidden: hidden?,
            norm_biases: buffer.f_narrow(0, 0, n_norm)?,
            last: self.linear(buffer, layout.last())?,
            conv: conv?,
            features,
            score,
        })
    }
}

/// An affine map of all members.
pub(super) struct LinearView {
    /// `(members, n_out, n_in)`; of a convolution a matrix over its taps.
    pub weight: Tensor,
    /// `(members, n_out, 1)`.
    pub bias: Tensor,
    /// The same, `(members · n_out,)`.
    pub flat_bias: Tensor,
}

/// BatchNorm's parameters of all members, `(members, width, 1)`; β also flat.
pub(super) struct NormView {
    pub gamma: Tensor,
    pub beta: Tensor,
    pub flat_beta: Tensor,
}

/// A hidden layer of all members.
pub(super) struct HiddenView {
    pub linear: LinearView,
    pub norm: Option<NormView>,
}

/// The tensors of a network, of all members.
pub(super) struct Views {
    pub hidden: Vec<HiddenView>,
    /// The biases that feed BatchNorm, in the order of the running statistics.
    pub norm_biases: Tensor,
    pub last: LinearView,
    pub conv: Vec<LinearView>,
    pub features: Vec<LinearView>,
    pub score: Option<LinearView>,
}
