//! Latents become the picture, at once or in tiles; and the other way round.

mod alternatives;
mod canvas;
mod compact_image;
mod encoder;
mod sections;
#[cfg(test)]
mod tests;

use std::path::Path;

use tract_core::prelude::Tensor;

use crate::component::Component;
use crate::latents::Latents;
use crate::memory::Alternatives;
use crate::picture::Picture;
use crate::runtime::{LazyNetwork, Network, Precision, RuntimeError, Workers, values};
use crate::tiling::{Tile, Tiling};
use crate::watched::CancelToken;
use alternatives::Subject;
use canvas::Canvas;
pub(crate) use encoder::Encoder;
use sections::SectionRunner;

pub(crate) struct Decoder {
    network: LazyNetwork,
    factor: usize,
}

impl Decoder {
    pub(crate) fn open(
        model_dir: &Path,
        factor: u32,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, &Component::VAE_DECODER, cancel)?;
        if network.inputs().len() != 1 {
            return Err(network.error("takes more than latents: easel cannot feed it"));
        }
        Ok(Self {
            network: LazyNetwork::new(network, Vec::new(), Precision::Activations16 { scale: 1 }),
            factor: factor as usize,
        })
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network(&self) -> &LazyNetwork {
        &self.network
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network_mut(&mut self) -> &mut LazyNetwork {
        &mut self.network
    }

    /// How such latents can be decoded.
    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
        latents: &'a Latents,
    ) -> Alternatives<'a, E> {
        let factor = self.factor;
        let subject = Subject {
            network: &self.network,
            workers,
            latents: [latents.height, latents.width],
            factor,
            channels: latents.channels,
            scale: 1,
        };
        subject.alternatives(move |tiling| {
            let (rows, width) = (tiling.shape()[0] * factor, latents.width * factor);
            let picture = 3 * latents.height * factor * width;
            // The picture, the rows in progress and those decoded last, as f32.
            picture + 2 * 3 * rows * width * size_of::<f32>()
        })
    }

    /// Loads the network for such tiles of such latents, unless it is there already.
    pub(crate) fn prepare(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tile: Tile,
    ) -> Result<(), RuntimeError> {
        let tiling = Tiling::new(latents.height, latents.width, tile);
        let cut = in_sections(&tiling, tile).is_some()
            && self
                .network
                .load_sections(workers, &latents.shape())?
                .is_some();
        if !cut {
            self.network
                .load(workers, &shapes(latents.channels, &tiling))?;
        }
        Ok(())
    }

    /// Decodes latents in the decoder's own scale. `proceed` is asked before each tile, with how many are done and how many there
    /// are; its error ends the decode.
    pub(crate) fn decode<E: From<RuntimeError>>(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tile: Tile,
        proceed: &mut dyn FnMut(usize, usize) -> Result<(), E>,
    ) -> Result<Picture, E> {
        let tiling = Tiling::new(latents.height, latents.width, tile);
        if let Some(side) = in_sections(&tiling, tile) {
            let limit = self.network.limit();
            let shape = latents.shape();
            let input = self.network.network().first_input(&shape, &latents.data)?;
            if let Some((head, sections)) = self.network.load_sections(workers, &shape)? {
                let sides = [latents.height, latents.width];
                let runner = SectionRunner::new(sections, sides, side, self.factor)?;
                let count = runner.count();
                proceed(0, count)?;
                let made = head.run(workers, vec![input])?;
                head.free_scratch(); // until the next picture
                return runner.picture(workers, limit, made, &mut |done| proceed(done, count));
            }
        }
        self.decode_tiles(workers, latents, &tiling, proceed)
    }

    fn decode_tiles<E: From<RuntimeError>>(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        tiling: &Tiling,
        proceed: &mut dyn FnMut(usize, usize) -> Result<(), E>,
    ) -> Result<Picture, E> {
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
        let shape = latents.shape();
        let input = self.network.network().first_input(&shape, &latents.data)?;
        let plan = self.network.load(workers, &[shape.to_vec()])?;
        let output = plan.run(workers, vec![input])?;
        let (height, width) = (latents.height * self.factor, latents.width * self.factor);
        if output.shape() != [1, 3, height, width] {
            return Err(self.network.network().error(format!(
                "picture is {:?}, expected [1, 3, {height}, {width}]: its config.json is of another decoder",
                output.shape()
            )));
        }
        Ok(output)
    }
}

/// The side of tiles that are to go through the decoder section by section.
fn in_sections(tiling: &Tiling, tile: Tile) -> Option<usize> {
    match tile {
        Tile::Side(side) if tiling.count() > 1 => Some(side),
        _ => None,
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
