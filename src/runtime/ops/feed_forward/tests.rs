use std::path::Path;
use std::sync::Arc;

use easel_kernels::elementwise::Activation;
use easel_kernels::gemm::{Order, WeightsF32, WeightsI8, in_packed_order};
use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;
use easel_kernels::vector::Level;
use tract_onnx::pb::AttributeProto;

use super::super::Factor;
use super::super::product::{Packed, Panels, Weights};
use super::*;
use crate::runtime::Workers;
use crate::weights::{Pack, PackWriter, Storage, Stream};

fn engine(threads: usize) -> Engine {
    let isa = Isa::chosen().expect("a family");
    Engine {
        isa,
        level: Level::of(isa),
        threads: Workers::new(threads).threads(),
    }
}

/// Numbers from −1 to 1 that look random and are the same every time.
fn numbers(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(shape: &[usize], seed: u64) -> TValue {
    let count = shape.iter().product();
    Tensor::from_shape(shape, &numbers(count, seed))
        .expect("numbers of the shape")
        .into_tvalue()
}

/// A linear layer, and the parts of its panels, side by side.
struct Layer {
    linear: Linear,
    weights: Weights,
    bias: Vec<f32>,
    parts: Vec<Vec<u8>>,
}

impl Layer {
    /// Of these inputs and columns.
    fn new([depth, columns]: [usize; 2], gated: bool, int8: bool, seed: u64) -> Self {
        let attribute = |(name, value): (&str, usize)| AttributeProto {
            name: name.into(),
            ints: vec![value as i64],
            ..AttributeProto::default()
        };
        let attributes = [("weight", 0), ("columns", columns), ("depth", depth)];
        let node = NodeProto {
            attribute: attributes.into_iter().map(attribute).collect(),
            ..NodeProto::default()
        };
        let mut linear = Linear::parse(&node).expect("attributes");
        linear.product.gated = gated;
        let order = Order {
            gated,
            ..Order::columns_first(columns, depth)
        };
        let (isa, threads) = (Isa::chosen().expect("a family"), Threads::single());
        let values = numbers(columns * depth, seed);
        let bias = in_packed_order(&order, numbers(columns, seed + 1));
        // Several parts, as a stream has them.
        const PART: usize = 4 << 10;
        let mut parts = Vec::new();
        let weights = if int8 {
            let scales = numbers(columns, seed + 2)
                .iter()
                .map(|v| v / 64.0)
                .collect();
            let scales = in_packed_order(&order, scales);
            let mut kept = WeightsI8::without_panels(isa, &order, scales, vec![0; columns]);
            let values: Vec<i8> = values.iter().map(|v| (v * 127.0) as i8).collect();
            for columns in kept.parts(PART) {
                let mut panels = Memory::zeroed(kept.part_bytes(&columns));
                kept.pack_part(&threads, &order, &values, columns, &mut panels);
                parts.push(panels.to_vec());
            }
            Weights::I8(kept)
        } else {
            let kept = WeightsF32::without_panels(isa, &order);
            for columns in kept.parts(PART) {
                let mut panels = Memory::zeroed(kept.part_bytes(&columns));
                kept.pack_part(&threads, &order, &values, columns, &mut panels);
                parts.push(panels.to_vec());
            }
            Weights::F32(kept)
        };
        Self {
            linear,
            weights,
            bias,
            parts,
        }
    }

    /// With its weights in memory.
    fn resident(self) -> Linear {
        let all = self.parts.concat();
        let mut panels = Memory::zeroed(all.len());
        panels.copy_from_slice(&all);
        self.with(Panels::Here(panels))
    }

    fn with(self, panels: Panels) -> Linear {
        let packed = Packed {
            weights: self.weights,
            panels,
            bias: Some(self.bias),
        };
        self.linear.product.set(packed).expect("none so far");
        self.linear
    }
}

/// Both layers with weights that pass.
fn streamed(folder: &Path, layers: [Layer; 2]) -> [Linear; 2] {
    let path = folder.join("net.pack");
    let mut writer = PackWriter::create(&path, "key", 0).expect("a file");
    let parts = layers.iter().flat_map(|layer| &layer.parts);
    let blocks: Vec<_> = parts
        .map(|part| writer.block(part).expect("it can be written"))
        .collect();
    writer.finish().expect("it can be written");
    let pack = Arc::new(
        Pack::open(&path, "key")
            .expect("it is ours")
            .expect("it is whole"),
    );
    let stream = Arc::new(Stream::start(pack, &blocks, 0, &Storage::default()).expect("a thread"));
    let mut number = 0;
    layers.map(|layer| {
        let columns = layer.weights.parts(4 << 10);
        assert!(columns.len() > 1, "parts");
        let parts = columns.into_iter().zip(number..).collect::<Vec<_>>();
        number += parts.len();
        layer.with(Panels::Streamed(stream.clone(), parts))
    })
}

struct Case {
    gated: bool,
    int8: bool,
    factor: Option<Factor>,
    residual: bool,
    columns: usize,
}

/// 300 tokens of 48 features.
const TOKENS: [usize; 3] = [2, 150, 48];
const WIDTH: usize = 160;

impl Case {
    fn layers(&self) -> [Layer; 2] {
        let columns = if self.gated { 2 * WIDTH } else { WIDTH };
        let mut first = Layer::new([TOKENS[2], columns], self.gated, self.int8, 1);
        first.linear.activation = (!self.gated).then_some(Activation::QuickGelu);
        let mut second = Layer::new([WIDTH, self.columns], false, self.int8, 11);
        second.linear.factor = self.factor;
        second.linear.residual = self.residual;
        [first, second]
    }

    /// Factor and residual.
    fn others(&self) -> Vec<TValue> {
        let shape = [TOKENS[0], TOKENS[1], self.columns];
        let factor = self.factor.map(|factor| match factor {
            Factor::PerImage => tensor(&[TOKENS[0], 1, self.columns], 7),
            Factor::Each => tensor(&shape, 7),
        });
        let residual = self.residual.then(|| tensor(&shape, 6));
        factor.into_iter().chain(residual).collect()
    }

    /// What the layers by themselves make of it.
    fn expected(&self) -> Tensor {
        let engine = engine(1);
        let [first, second] = self.layers().map(Layer::resident);
        let hidden = first.run(&engine, &mut [tensor(&TOKENS, 5)]).expect("runs");
        let mut inputs = vec![hidden.into_tvalue()];
        inputs.extend(self.others());
        second.run(&engine, &mut inputs).expect("runs")
    }
}

const CASES: [Case; 4] = [
    Case {
        gated: true,
        int8: true,
        factor: None,
        residual: true,
        columns: 48,
    },
    Case {
        gated: true,
        int8: false,
        factor: Some(Factor::Each),
        residual: false,
        columns: 64,
    },
    Case {
        gated: false,
        int8: true,
        factor: Some(Factor::PerImage),
        residual: true,
        columns: 64,
    },
    Case {
        gated: false,
        int8: false,
        factor: Some(Factor::PerImage),
        residual: true,
        columns: 48,
    },
];

#[test]
fn in_pieces_it_is_the_two_layers_bit_for_bit() {
    for (number, case) in CASES.iter().enumerate() {
        let expected = case.expected();
        for (threads, hidden, passes, shared) in [
            (1, 1, false, false),
            (2, 1, false, true),
            (2, 200 * WIDTH * 4, false, false),
            (2, usize::MAX, false, true),
            (2, 1, true, false),
            (1, usize::MAX, true, true),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let [first, second] = if passes {
                streamed(folder.path(), case.layers())
            } else {
                case.layers().map(Layer::resident)
            };
            let both = FeedForward {
                first,
                second,
                hidden,
            };
            let x = tensor(&TOKENS, 5);
            let reader = shared.then(|| x.clone());
            let mut inputs = vec![x];
            inputs.extend(case.others());
            let found = both.run(&engine(threads), &mut inputs).expect("runs");
            assert_eq!(
                found, expected,
                "case {number}, {threads}, {hidden}, {passes}"
            );
            if let Some(reader) = reader {
                assert_eq!(reader, tensor(&TOKENS, 5), "x is somebody else's too");
            }
        }
    }
}

#[test]
fn pieces_are_no_larger_than_allowed_and_weights_are_held_only_where_that_spares_memory() {
    let [first, second] = CASES[0].layers().map(Layer::resident);
    let both = |hidden| FeedForward {
        first: first.clone(),
        second: second.clone(),
        hidden,
    };
    let row = WIDTH * size_of::<f32>();
    for (rows, hidden) in [(8192, 768 * row), (8192, 800 * row), (1000, 999 * row)] {
        let Pieces { rows: each, held } = both(hidden).pieces(rows, 0);
        assert!(
            each < rows && each * row <= hidden && held == 0,
            "{each} of {rows}"
        );
    }
    let both = both(768 * row);
    for rows in [0, 1, 768] {
        assert_eq!(
            both.pieces(rows, 1),
            Pieces {
                rows: rows.max(1),
                held: 0
            }
        );
    }
    let spared = (8192 - both.pieces(8192, 0).rows) * row;
    assert_eq!(both.pieces(8192, spared - 1).held, spared - 1);
    let whole = Pieces {
        rows: 8192,
        held: 0,
    };
    assert_eq!(both.pieces(8192, spared), whole);
    let scratch = both.scratch(&[&[8192, TOKENS[2]]], [true; 2]);
    assert!(
        scratch.own < 768 * row + 50 * 1024 && scratch.replaces_input,
        "{scratch:?}"
    );
}
