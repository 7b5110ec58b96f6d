//! Latents become the picture, at once or in tiles.

mod canvas;
#[cfg(test)]
mod tests;
mod tiling;

use std::path::Path;

use tract_core::prelude::Tensor;

use crate::bench::Component;
use crate::error::Error;
use crate::latents::Latents;
use crate::memory::{self, Choices};
use crate::picture::Picture;
use crate::runtime::{Network, Plan, Precision, RuntimeError, Slot, Workers};
use crate::text_encoder::values;
use canvas::Canvas;
pub use tiling::Tile;
pub(crate) use tiling::Tiling;

pub(crate) struct Autoencoder {
    slot: Slot,
    factor: usize,
}

impl Autoencoder {
    pub(crate) fn open(model_dir: &Path, factor: u32) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "vae_decoder")?;
        if network.inputs().len() != 1 {
            return Err(network.error("takes more than latents: easel cannot feed it"));
        }
        Ok(Self {
            slot: Slot::new(network, None, Precision::Fine),
            factor: factor as usize,
        })
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn slot(&mut self) -> &mut Slot {
        &mut self.slot
    }

    /// The ways in which such latents can be decoded.
    pub(crate) fn choices<'a>(
        &'a self,
        workers: &'a Workers,
        latents: &'a Latents,
    ) -> Choices<'a, Error> {
        let tiles: Vec<Tile> = memory::tiles(latents.height, latents.width).collect();
        let needs = move |number: usize| {
            let Some(tile) = tiles.get(number) else {
                return Ok(None);
            };
            let tiling = Tiling::new(latents.height, latents.width, *tile);
            let mut needs = self
                .slot
                .needs(workers, &shapes(latents.channels, &tiling))?;
            let (rows, width) = (tiling.shape()[0] * self.factor, latents.width * self.factor);
            let picture = 3 * latents.height * self.factor * width;
            // The picture, the rows in progress and those decoded last, as f32.
            needs.graph += picture + 2 * 3 * rows * width * size_of::<f32>();
            Ok(Some((needs, Some((tiling.shape(), tiling.count())))))
        };
        Choices {
            component: Component::VaeDecoder,
            needs: Box::new(needs),
        }
    }

    /// Loads the network for such tiles of such latents, unless it is there already.
    pub(crate) fn prepare(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tile: Tile,
    ) -> Result<&Plan, RuntimeError> {
        let tiling = Tiling::new(latents.height, latents.width, tile);
        self.slot.load(workers, &shapes(latents.channels, &tiling))
    }

    /// Decodes latents in the decoder's own scale. `proceed` is asked before each tile, with how many are done and how many there
    /// are; its error ends the decode.
    pub(crate) fn decode(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tile: Tile,
        proceed: &mut dyn FnMut(usize, usize) -> Result<(), Error>,
    ) -> Result<Picture, Error> {
        let tiling = Tiling::new(latents.height, latents.width, tile);
        self.decode_tiles(workers, latents, &tiling, proceed)
    }

    fn decode_tiles(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tiling: &Tiling,
        proceed: &mut dyn FnMut(usize, usize) -> Result<(), Error>,
    ) -> Result<Picture, Error> {
        let mut canvas = Canvas::new(tiling, self.factor);
        let mut done = 0;
        for (row, &top) in tiling.rows.origins.iter().enumerate() {
            for (column, &left) in tiling.columns.origins.iter().enumerate() {
                proceed(done, tiling.count())?;
                let part = cut(latents, [top, left], tiling.shape());
                let decoded = self.decode_part(workers, &part)?;
                canvas.put([row, column], values(&decoded));
                done += 1;
            }
        }
        Ok(canvas.into_picture())
    }

    /// Decodes latents: `[1, 3, height · factor, width · factor]`, not clamped.
    fn decode_part(
        &mut self,
        workers: &Workers,
        latents: &Latents,
    ) -> Result<Tensor, RuntimeError> {
        let element = self.slot.network().inputs()[0].element;
        let input = Tensor::from_shape(&latents.shape(), &latents.data)
            .and_then(|t| Ok(t.cast_to_dt(element)?.into_owned()))
            .map_err(|error| self.slot.network().error(error.to_string()))?;
        let shape = latents.shape().to_vec();
        let plan = self.slot.load(workers, &[shape])?;
        let output = plan.run(workers, vec![input])?;
        let (height, width) = (latents.height * self.factor, latents.width * self.factor);
        if output.shape() != [1, 3, height, width] {
            return Err(self.slot.network().error(format!(
                "picture is {:?}, expected [1, 3, {height}, {width}]: its config.json is of another decoder",
                output.shape()
            )));
        }
        Ok(output)
    }
}

/// Of the network's input.
fn shapes(channels: usize, tiling: &Tiling) -> [Vec<usize>; 1] {
    let [height, width] = tiling.shape();
    [vec![1, channels, height, width]]
}

/// The part of the latents that begins at row `top` and column `left`.
fn cut(latents: &Latents, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Latents {
    let mut part = Latents::zeros(latents.channels, height, width);
    let lines = part.data.chunks_exact_mut(width).enumerate();
    for (line, target) in lines {
        let (channel, y) = (line / height, top + line % height);
        let start = (channel * latents.height + y) * latents.width + left;
        target.copy_from_slice(&latents.data[start..start + width]);
    }
    part
}
