//! A product in pieces: some rows at a time, where all of them would need too much memory.

use easel_kernels::gemm::{Activations, Epilogue, Left, Memory, Part};
use easel_kernels::quantize::Quantized;
use tract_core::internal::*;

use super::super::Engine;
use super::{Panels, Product, Weights, quantize};

impl Product {
    /// Bytes of panels that are read each time they are used.
    pub(in crate::runtime::ops) fn streamed_bytes(&self) -> usize {
        match self.packed.get().map(|packed| (&packed.panels, packed)) {
            Some((Panels::Streamed(_, parts), packed)) => {
                let bytes = |(columns, _): &(_, _)| packed.weights.part_bytes(columns);
                parts.iter().map(bytes).sum()
            }
            _ => 0,
        }
    }

    /// What [`streamed_bytes`](Self::streamed_bytes) may be at most.
    pub(in crate::runtime::ops) fn panels(&self, int8: bool) -> usize {
        /// Panels are padded to no more columns, and to no more steps.
        const MULTIPLE: [usize; 2] = [32, 8];

        let size = if int8 { 1 } else { size_of::<f32>() };
        let columns = self.columns.next_multiple_of(MULTIPLE[0]);
        columns * self.depth.next_multiple_of(MULTIPLE[1]) * size
    }

    /// Reads the panels that pass, to have them more than once.
    pub(in crate::runtime::ops) fn hold(&self) -> TractResult<Option<Memory>> {
        let packed = self.packed()?;
        let Panels::Streamed(stream, parts) = &packed.panels else {
            return Ok(None);
        };
        let mut all = Memory::zeroed(self.streamed_bytes());
        let mut rest = &mut all[..];
        for (columns, part) in parts {
            let (now, later) = rest.split_at_mut(packed.weights.part_bytes(columns));
            stream.with(*part, |panels| now.copy_from_slice(panels))?;
            rest = later;
        }
        Ok(Some(all))
    }

    /// `out = epilogue(x · weights)` of some rows: bit for bit what those of all rows together would be. `held` is what
    /// [`hold`](Self::hold) gave; `quantized` is memory.
    pub(in crate::runtime::ops) fn run_rows(
        &self,
        engine: &Engine,
        held: Option<&Memory>,
        x: &[f32],
        quantized: &mut Quantized,
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) -> TractResult<()> {
        if x.is_empty() {
            return Ok(());
        }
        let packed = self.packed()?;
        let threads = &engine.threads;
        let epilogue = Epilogue {
            bias: packed.bias.as_deref(),
            ..*epilogue
        };
        let rows = x.len() / self.depth;
        let left = Left::Matrix {
            rows,
            rows_per_image: rows,
        };
        let each_part = |multiply: &mut dyn FnMut(Part<'_>)| match held {
            Some(panels) => {
                let columns = 0..self.columns;
                multiply(Part { columns, panels });
                Ok(())
            }
            None => packed.each_part(multiply),
        };
        match &packed.weights {
            Weights::F32(weights) => each_part(&mut |part| {
                weights.multiply_part(threads, part, left, x, &epilogue, out);
            })?,
            Weights::I8(weights) => {
                let stride = quantize(engine, weights, left, x, self.depth, quantized);
                let Quantized {
                    data,
                    scales,
                    zeros,
                } = &*quantized;
                let activations = Activations {
                    data,
                    stride,
                    scales,
                    zeros,
                };
                each_part(&mut |part| {
                    weights.multiply_part(threads, part, left, activations, &epilogue, out);
                })?;
            }
        }
        Ok(())
    }
}
