//! How weights come to the nodes that multiply with them: straight from the network's file, or by way of a
//! [packed cache](crate::weights::Pack), all at once or streamed.

mod packer;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use easel_kernels::gemm::{Memory, Order, WeightsF32, WeightsI8};
use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;
use tract_core::prelude::TypedRunnableModel;

use super::ops::product::{Packed, Panels, Product, Weights};
use super::ops::{Conv2d, FeedForward, Linear, Node};
use super::passes::{Values, Weight};
use crate::watched::Watched;
use crate::weights::{
    Block, CHUNK, Pack, PackError, PackWriter, PackedPart, PackedWeight, Storage, Stream, to_f32,
};
use packer::Packer;

/// Where the weights of a network are while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Residency {
    /// In memory.
    Whole,
    /// In the cache, but for some.
    Streamed {
        /// Bytes of weights that stay in memory.
        resident: usize,
        /// Bytes of memory through which the others pass.
        ahead: usize,
    },
}

/// The products of a network in the order in which they are computed.
pub(super) fn products(model: &TypedRunnableModel) -> impl Iterator<Item = &Product> {
    let nodes = model.order_without_consts().iter();
    nodes.flat_map(|node| {
        let node = &model.model().nodes[*node];
        let products = if let Some(Node(linear)) = node.op_as::<Node<Linear>>() {
            [Some(&linear.product), None]
        } else if let Some(Node(conv)) = node.op_as::<Node<Conv2d>>() {
            [Some(&conv.product), None]
        } else if let Some(Node(both)) = node.op_as::<Node<FeedForward>>() {
            both.products().map(Some)
        } else {
            [None, None]
        };
        products.into_iter().flatten()
    })
}

/// Gives each product its weights, packed in memory.
pub(super) fn pack(
    model: &TypedRunnableModel,
    isa: Isa,
    threads: &Threads,
    weights: &[Weight],
    watched: &Watched,
) -> Result<(), String> {
    for product in products(model) {
        watched.part_done().map_err(|error| error.to_string())?;
        let mut packer = Packer::new(isa, threads, &weights[product.weight], product.gated)?;
        let all = 0..packer.weights.columns();
        let mut panels = Memory::zeroed(packer.weights.part_bytes(&all));
        packer.pack(all, &mut panels);
        product.set(Packed {
            weights: packer.weights,
            panels: Panels::Here(panels),
            bias: packer.bias,
        })?;
    }
    Ok(())
}

/// Writes the cache at `path`: `graph` is the network after the passes.
pub(super) fn write(
    model: &TypedRunnableModel,
    isa: Isa,
    threads: &Threads,
    weights: &[Weight],
    graph: &[u8],
    (path, key): (&Path, &str),
    watched: &Watched,
) -> std::io::Result<()> {
    let mut writer = PackWriter::create(path, key, weights.len())?;
    let graph = writer.block(graph)?;
    writer.set_graph(graph);
    let mut panels = Memory::zeroed(0);
    // Panels lie together; what belongs to columns is small, stays in memory, and comes behind them.
    let mut packed = Vec::new();
    for product in products(model) {
        let packer = Packer::new(isa, threads, &weights[product.weight], product.gated);
        let mut packer = packer.map_err(std::io::Error::other)?;
        let mut parts = Vec::new();
        for columns in packer.weights.parts(CHUNK) {
            let bytes = packer.weights.part_bytes(&columns);
            if panels.len() < bytes {
                panels = Memory::zeroed(bytes);
            }
            packer.pack(columns.clone(), &mut panels[..bytes]);
            // On a slow card the first start takes minutes.
            watched.part_done().map_err(std::io::Error::other)?;
            parts.push(PackedPart {
                columns,
                panels: writer.block(&panels[..bytes])?,
            });
        }
        packed.push((
            product.weight,
            packer.weights,
            packer.order,
            packer.bias,
            parts,
        ));
    }
    for (number, kept, order, bias, parts) in packed {
        let mut block = |bytes: Vec<u8>| writer.block(&bytes);
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let integers = |values: &[i32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (scales, sums) = match &kept {
            Weights::F32(_) => (None, None),
            Weights::I8(kept) => (
                Some(block(floats(kept.scales()))?),
                Some(block(integers(kept.sums()))?),
            ),
        };
        let bias = bias.map(|bias| block(floats(&bias))).transpose()?;
        let weight = PackedWeight {
            name: weights[number].name.clone(),
            int8: matches!(kept, Weights::I8(_)),
            gated: order.gated,
            shape: (order.n.0, order.k.map(|(count, _)| count)),
            parts,
            scales,
            sums,
            bias,
        };
        writer.set_weight(number, weight);
    }
    writer.finish()
}

/// Bytes of packed weights, by what a product reads of them, and bytes of what stays in memory in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// All panels together.
    pub(crate) panels: usize,
    /// The largest that is read at once.
    pub(crate) chunk: usize,
    /// Scales, sums and biases.
    pub(crate) columns: usize,
}

/// Sizes of the weights, as they would be packed.
pub(super) fn sizes(model: &TypedRunnableModel, isa: Isa, weights: &[Weight]) -> Sizes {
    let mut sizes = Sizes::default();
    for product in products(model) {
        let weight = &weights[product.weight];
        let order = Order {
            gated: product.gated,
            ..weight.order
        };
        let n = order.n.0;
        let packed = match &weight.values {
            Values::Int8 { .. } => Weights::I8(WeightsI8::without_panels(
                isa,
                &order,
                vec![0.0; n],
                vec![0; n],
            )),
            _ => Weights::F32(WeightsF32::without_panels(isa, &order)),
        };
        sizes.panels = sizes.panels.saturating_add(packed.part_bytes(&(0..n)));
        let parts = packed.parts(CHUNK).into_iter();
        let largest = parts.map(|columns| packed.part_bytes(&columns)).max();
        sizes.chunk = sizes.chunk.max(largest.unwrap_or(0));
        let each = matches!(packed, Weights::I8(_)) as usize * 2 + weight.bias.is_some() as usize;
        sizes.columns += each * n * size_of::<f32>();
    }
    sizes
}

/// As [`sizes`], of a cache.
pub(super) fn packed_sizes(model: &TypedRunnableModel, pack: &Pack) -> Result<Sizes, PackError> {
    let mut sizes = Sizes::default();
    for product in products(model) {
        let weight = pack.weight(product.weight)?;
        for part in &weight.parts {
            sizes.panels = sizes.panels.saturating_add(part.panels.bytes());
            sizes.chunk = sizes.chunk.max(part.panels.bytes());
        }
        let columns = [&weight.scales, &weight.sums, &weight.bias];
        sizes.columns += columns
            .into_iter()
            .flatten()
            .map(Block::bytes)
            .sum::<usize>();
    }
    Ok(sizes)
}

/// Whether the cache has the weights as the network wants them.
pub(super) fn fits(model: &TypedRunnableModel, isa: Isa, pack: &Pack) -> bool {
    products(model).all(|product| {
        let weight = pack.weight(product.weight);
        weight.is_ok_and(|weight| {
            weight.gated == product.gated
                && weight.shape.0 == product.columns()
                && weight.shape.1[2] == product.depth()
                && has_its_panels(isa, weight)
        })
    })
}

/// Whether the parts of a weight are those that these kernels read.
pub(super) fn has_its_panels(isa: Isa, weight: &PackedWeight) -> bool {
    let columns = weight.shape.0;
    let order = order(weight);
    if weight.gated && !order.can_be_gated() {
        return false;
    }
    let wanted = if weight.int8 {
        let (scales, sums) = (vec![0.0; columns], vec![0; columns]);
        Weights::I8(WeightsI8::without_panels(isa, &order, scales, sums))
    } else {
        Weights::F32(WeightsF32::without_panels(isa, &order))
    };
    let parts = wanted.parts(CHUNK);
    parts.len() == weight.parts.len()
        && parts.iter().zip(&weight.parts).all(|(columns, part)| {
            part.columns == *columns && part.panels.bytes() == wanted.part_bytes(columns)
        })
}

/// Reads all of a cache that can be read, for fuzzers.
pub(crate) fn look_into(file: std::fs::File, length: u64) {
    let isa = Isa::Reference;
    let Some(pack) = Pack::of(Path::new("/nowhere/pack"), file, length, "key") else {
        return;
    };
    let _ = pack.graph();
    for weight in (0..pack.count()).filter_map(|number| pack.weight(number).ok()) {
        if has_its_panels(isa, weight) {
            let _ = columns(isa, &pack, weight);
            for part in &weight.parts {
                let _ = pack.read(&part.panels, &mut vec![0; part.panels.bytes()]);
            }
        }
    }
}

/// How a stored weight is read, as far as it matters to those who only read panels.
fn order(stored: &PackedWeight) -> Order {
    let (n, k) = stored.shape;
    Order {
        n: (n, 0),
        k: k.map(|count| (count, 0)),
        gated: stored.gated,
    }
}

/// Gives each product its weights of a cache that [fits](self::fits).
pub(super) fn attach(
    model: &TypedRunnableModel,
    isa: Isa,
    pack: &Arc<Pack>,
    residency: Residency,
    storage: &Storage,
) -> Result<(), AttachError> {
    let mut choice = Choice::new(residency, packed_sizes(model, pack)?.panels);
    let mut streamed = Vec::new();
    let mut waiting = Vec::new();
    for product in products(model) {
        let stored = pack.weight(product.weight)?;
        let (weights, bias) = columns(isa, pack, stored)?;
        let bytes = stored.parts.iter().map(|part| part.panels.bytes()).sum();
        if choice.stays(bytes) {
            let mut panels = Memory::zeroed(bytes);
            let mut rest = &mut panels[..];
            for part in &stored.parts {
                let (bytes, behind) = rest.split_at_mut(part.panels.bytes());
                pack.read(&part.panels, bytes)?;
                rest = behind;
            }
            product.set(Packed {
                weights,
                panels: Panels::Here(panels),
                bias,
            })?;
        } else {
            let first = streamed.len();
            streamed.extend(stored.parts.iter().map(|part| part.panels));
            let parts = stored.parts.iter().map(|part| part.columns.clone());
            let parts: Vec<(Range<usize>, usize)> = parts.zip(first..).collect();
            waiting.push((product, weights, bias, parts));
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let stream = Stream::start(pack.clone(), &streamed, choice.ahead, storage)?;
    let stream = Arc::new(stream);
    for (product, weights, bias, parts) in waiting {
        product.set(Packed {
            weights,
            panels: Panels::Streamed(stream.clone(), parts),
            bias,
        })?;
    }
    Ok(())
}

/// Weights of a cache that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("no thread for reading weights: {0}")]
    Thread(#[from] std::io::Error),
    #[error("{0}")]
    Weight(String),
}

impl From<String> for AttachError {
    fn from(problem: String) -> Self {
        Self::Weight(problem)
    }
}

/// Which weights stay in memory: a part of them, spread over the pass, so that the stream has a pause now and then and is
/// never far behind.
struct Choice {
    fraction: f64,
    /// Bytes that may stay, less those that do, so far.
    due: f64,
    ahead: usize,
}

impl Choice {
    fn new(residency: Residency, all: usize) -> Self {
        let (fraction, ahead) = match residency {
            Residency::Whole => (1.0, 0),
            Residency::Streamed { resident, ahead } => (resident as f64 / all.max(1) as f64, ahead),
        };
        Self {
            fraction,
            due: 0.0,
            ahead,
        }
    }

    fn stays(&mut self, bytes: usize) -> bool {
        if self.fraction >= 1.0 {
            return true;
        }
        self.due += bytes as f64 * self.fraction;
        let stays = self.due >= bytes as f64;
        if stays {
            self.due -= bytes as f64;
        }
        stays
    }
}

/// Everything about a stored weight but its panels, and its bias.
fn columns(
    isa: Isa,
    pack: &Pack,
    stored: &PackedWeight,
) -> Result<(Weights, Option<Vec<f32>>), PackError> {
    let order = order(stored);
    let read = |block: &Block| {
        let mut bytes = vec![0; block.bytes()];
        pack.read(block, &mut bytes).map(|()| bytes)
    };
    let floats = |block: &Option<Block>| {
        let bytes = block.as_ref().map(read).transpose()?;
        Ok::<_, PackError>(bytes.map(|bytes| to_f32(&bytes)))
    };
    let bias = floats(&stored.bias)?;
    let weights = if stored.int8 {
        let scales = floats(&stored.scales)?.unwrap_or_default();
        let sums = stored.sums.as_ref().map(read).transpose()?;
        let sums = sums.unwrap_or_default();
        let sums = sums.as_chunks::<4>().0.iter();
        let sums = sums.map(|bytes| i32::from_le_bytes(*bytes)).collect();
        Weights::I8(WeightsI8::without_panels(isa, &order, scales, sums))
    } else {
        Weights::F32(WeightsF32::without_panels(isa, &order))
    };
    Ok((weights, bias))
}
