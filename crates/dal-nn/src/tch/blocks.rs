//! How the parameters of many members lie in one tensor: tensor by tensor, so that each layer's weights of all members
//! are one contiguous `(members, n_out, n_in)`, or member by member, so that what differs from member to member is a
//! column beside the rows.
//!
//! First come, for networks with BatchNorm, all biases that feed it, layer after layer (the order of the running
//! statistics), then all γ, then all β, each group without gaps. The rest starts at multiples of a cache line; gaps
//! hold zeros and stay so. Passes see the three groups tensor by tensor: where the tensor is ordered by members they
//! are fetched before a pass and put back after it, which moves a few numbers per unit.

use std::collections::HashMap;
use std::ops::Range;

use tch::{TchError, Tensor};

use crate::params::{Layout, LinearRange};
use dal_core::model::{ConvKind, NetworkSpec};

/// Elements of a cache line.
const LINE: usize = 16;

/// What lies beside what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// All members' values of one tensor: what libtorch's batched products on the processor want to write to.
    ByTensor,
    /// All tensors of one member, `(members, row)`: what differs from member to member is a column in operators.
    ByMember,
}

/// Where the members' vectors lie in the tensor.
#[derive(Debug, Clone)]
pub(super) struct Packing {
    order: Order,
    n_members: usize,
    /// Range in a member's vector, and where it starts in the tensor for member 0.
    blocks: Vec<(Range<usize>, usize)>,
    /// By start of the range.
    starts: HashMap<usize, usize>,
    len: usize,
    n_statistics: usize,
}

impl Packing {
    pub fn new(layout: &Layout, n_members: usize, order: Order) -> Self {
        let n_statistics = layout.n_statistics();
        let mut packing = Self { order, n_members, blocks: Vec::new(), starts: HashMap::new(), len: 0, n_statistics };
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
        if order == Order::ByMember {
            packing.len *= n_members;
        }
        packing
    }

    fn put(&mut self, range: &Range<usize>, align: usize) {
        if self.starts.contains_key(&range.start) {
            return;
        }
        let start = self.len.next_multiple_of(align);
        self.starts.insert(range.start, start);
        self.blocks.push((range.clone(), start));
        self.len = start
            + range.len()
                * match self.order {
                    Order::ByTensor => self.n_members,
                    Order::ByMember => 1,
                };
    }

    /// Distance from a member's values to the next member's, of a tensor of so many values.
    fn stride(&self, values: usize) -> usize {
        match self.order {
            Order::ByTensor => values,
            Order::ByMember => self.len / self.n_members.max(1),
        }
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
                let at = start + m * self.stride(range.len());
                packed[at..at + range.len()].copy_from_slice(&values[range.clone()]);
            }
        }
        packed
    }

    /// Member `m`'s vector.
    pub fn unpack(&self, packed: &[f32], m: usize, values: &mut [f32]) {
        for (range, start) in &self.blocks {
            let at = start + m * self.stride(range.len());
            values[range.clone()].copy_from_slice(&packed[at..at + range.len()]);
        }
    }

    /// Calls `on(member, range)` for each stretch of the tensor that belongs to one member.
    pub fn each_stretch(&self, mut on: impl FnMut(usize, Range<usize>)) {
        for (range, start) in &self.blocks {
            for m in 0..self.n_members {
                let at = start + m * self.stride(range.len());
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

    /// A tensor `(members, rows, columns)` inside `buffer`.
    fn block(&self, buffer: &Tensor, range: &Range<usize>, columns: usize) -> Result<Tensor, TchError> {
        let start = self.starts.get(&range.start).copied().unwrap_or(0);
        let (rows, columns) = (range.len() / columns.max(1), columns as i64);
        let shape = [self.n_members as i64, rows as i64, columns];
        buffer.f_as_strided(shape, [self.stride(range.len()) as i64, columns, 1], start as i64)
    }

    fn linear(&self, buffer: &Tensor, linear: &LinearRange) -> Result<LinearView, TchError> {
        Ok(LinearView {
            weight: self.block(buffer, &linear.weight, linear.n_in)?,
            bias: self.block(buffer, &linear.bias, 1)?,
        })
    }

    /// The tensors of a network inside `buffer`, which has [`len`](Self::len) elements.
    pub fn views(&self, network: &NetworkSpec, layout: &Layout, buffer: &Tensor) -> Result<Views, TchError> {
        let (m, n_statistics) = (self.n_members as i64, self.n_statistics as i64);
        let groups = match self.order {
            Order::ByTensor => buffer.f_narrow(0, 0, 3 * m * n_statistics)?,
            Order::ByMember => buffer.f_new_zeros([3 * m * n_statistics], (buffer.kind(), buffer.device()))?,
        };
        let mut copies = Vec::new();
        let hidden: Result<Vec<_>, TchError> = layout
            .hidden()
            .iter()
            .map(|block| {
                let width = block.linear.n_out as i64;
                let linear = self.linear(buffer, &block.linear)?;
                if block.batch_norm.is_none() {
                    return Ok(HiddenView { linear, norm: None });
                }
                let at = block.statistics.start as i64;
                if self.order == Order::ByMember {
                    let row = self.stride(0) as i64;
                    copies.push((
                        groups.f_as_strided([3, m, width], [m * n_statistics, width, 1], m * at)?,
                        buffer.f_as_strided([3, m, width], [n_statistics, row, 1], at)?,
                    ));
                }
                let group = |g: i64| groups.f_narrow(0, g * m * n_statistics + m * at, m * width);
                let (gamma, beta) = (group(1)?, group(2)?);
                let norm = NormView {
                    gamma: gamma.f_view((m, width, 1))?,
                    beta: beta.f_view((m, width, 1))?,
                    flat_beta: beta,
                };
                Ok(HiddenView { linear, norm: Some(norm) })
            })
            .collect();
        let layers = network.conv_head().map_or(&[][..], |head| &head.layers);
        let conv: Result<Vec<_>, TchError> = layers
            .iter()
            .zip(layout.conv())
            .map(|(spec, range)| {
                // As matrices: (out, in · kernel), transposed (in, out · kernel).
                let columns = spec.kernel
                    * match spec.kind {
                        ConvKind::Plain => spec.n_in,
                        ConvKind::Transposed => spec.n_out,
                    };
                Ok(LinearView {
                    weight: self.block(buffer, &range.weight, columns)?,
                    bias: self.block(buffer, &range.bias, 1)?,
                })
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
        Ok(Views {
            hidden: hidden?,
            norm_biases: groups.f_narrow(0, 0, m * n_statistics)?,
            copies,
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
    /// Of each normed layer the three groups, `(3, members, width)`: as passes see them, and where they lie.
    copies: Vec<(Tensor, Tensor)>,
    pub last: LinearView,
    pub conv: Vec<LinearView>,
    pub features: Vec<LinearView>,
    pub score: Option<LinearView>,
}

impl Views {
    /// Brings the parameters of BatchNorm to where passes see them.
    pub fn fetch_norms(&mut self) -> Result<(), TchError> {
        self.copies.iter_mut().try_for_each(|(seen, stored)| seen.f_copy_(stored))
    }

    /// Brings what passes left of them back.
    pub fn put_norms(&mut self) -> Result<(), TchError> {
        self.copies.iter_mut().try_for_each(|(seen, stored)| stored.f_copy_(seen))
    }
}
