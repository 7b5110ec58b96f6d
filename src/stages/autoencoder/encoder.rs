//! A picture becomes latents: the encoder's mean, no sample of it, so that a seed means one picture.

use std::path::Path;

use tract_core::prelude::Tensor;

use super::alternatives::Subject;
use super::in_sections;
use super::sections::SectionRunner;
use crate::component::Component;
use crate::latents::Latents;
use crate::memory::Alternatives;
use crate::runtime::{LazyNetwork, Network, Precision, RuntimeError, Workers, values};
use crate::tiling::{Tile, Tiling};
use crate::watched::CancelToken;

pub(crate) struct Encoder {
    network: LazyNetwork,
    /// Pixels of a latent, each way.
    factor: usize,
    /// Of the latents.
    channels: usize,
}

impl Encoder {
    /// Of a model directory that [has one](Self::is_in).
    pub(crate) fn open(
        model_dir: &Path,
        factor: u32,
        channels: usize,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, &Component::VAE_ENCODER, cancel)?;
        if network.inputs().len() != 1 {
            return Err(network.error("takes more than a picture: easel cannot feed it"));
        }
        Ok(Self {
            network: LazyNetwork::new(
                network,
                Vec::new(),
                Precision::Activations16 {
                    scale: factor as usize,
                },
            ),
            factor: factor as usize,
            channels,
        })
    }

    /// Whether a model directory has an encoder.
    pub(crate) fn is_in(model_dir: &Path) -> bool {
        let folder = model_dir.join(Component::VAE_ENCODER.name());
        folder.join("model.onnx").exists()
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network(&self) -> &LazyNetwork {
        &self.network
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network_mut(&mut self) -> &mut LazyNetwork {
        &mut self.network
    }

    /// The ways in which a picture of so many latents, height and width, can be encoded.
    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
        [height, width]: [usize; 2],
    ) -> Alternatives<'a, E> {
        let factor = self.factor;
        let subject = Subject {
            network: &self.network,
            workers,
            latents: [height, width],
            factor,
            channels: 3,
            scale: factor,
        };
        // The picture, and that of a tile.
        subject.alternatives(move |tiling| {
            let [rows, columns] = tiling.shape();
            let pixels = (height * width + rows * columns) * factor * factor;
            3 * pixels * size_of::<f32>()
        })
    }

    /// Encodes `planes`, `[3, height, width]` in [-1, 1], of so many latents each way. `proceed` is asked before each tile; its error
    /// ends it. The latents are in the encoder's own scale.
    pub(crate) fn encode<E: From<RuntimeError>>(
        &mut self,
        workers: &Workers,
        planes: &[f32],
        [height, width]: [usize; 2],
        tile: Tile,
        proceed: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Latents, E> {
        let sides = [height, width];
        let tiling = Tiling::new(height, width, tile);
        if let Some(side) = in_sections(&tiling, tile)
            && let Some(means) = self.encode_in_sections(workers, planes, sides, side, proceed)?
        {
            return Ok(self.latents(means, sides));
        }
        let mut latents = Latents::zeros(self.channels, height, width);
        let (down, across) = (tiling.rows.shares(), tiling.columns.shares());
        let [tile_height, tile_width] = tiling.shape();
        for (&top, rows) in tiling.rows.origins.iter().zip(&down) {
            for (&left, columns) in tiling.columns.origins.iter().zip(&across) {
                proceed()?;
                let origin = [top, left].map(|side| side * self.factor);
                let pixels = tiling.shape().map(|side| side * self.factor);
                let part = cut(planes, width * self.factor, origin, pixels);
                let encoded = self.encode_part(workers, part, tiling.shape())?;
                // Next to an edge that is none of the picture's a tile saw padding instead of its neighbour.
                for channel in 0..self.channels {
                    for row in rows.clone() {
                        let from = (channel * tile_height + row - top) * tile_width;
                        let from = from + columns.start - left;
                        let to = (channel * height + row) * width + columns.start;
                        latents.data[to..to + columns.len()]
                            .copy_from_slice(&encoded[from..from + columns.len()]);
                    }
                }
            }
        }
        Ok(latents)
    }

    /// The means of a picture that goes through the network section by section; `None` if the network cannot be cut.
    fn encode_in_sections<E: From<RuntimeError>>(
        &mut self,
        workers: &Workers,
        planes: &[f32],
        sides: [usize; 2],
        side: usize,
        proceed: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Option<Vec<f32>>, E> {
        let [height, width] = sides.map(|side| side * self.factor);
        let shape = [1, 3, height, width];
        let input = self.network.network().first_input(&shape, planes)?;
        let (residency, limit) = (self.network.residency(), self.network.limit());
        let Some((head, sections)) = self.network.load_sections(workers, &shape)? else {
            return Ok(None);
        };
        proceed()?;
        let runner = SectionRunner::new(sections, sides, side, self.factor)?;
        let made = head.run(workers, vec![input])?;
        head.free_scratch(); // until the next picture
        let border = runner.border(workers, limit, made, &mut |_| proceed())?;
        let rest = sections.rest()?;
        let rest = rest.ok_or_else(|| sections.error("is no encoder"))?;
        let (rest, _) = rest.load(workers, residency, limit)?;
        proceed()?;
        let output = rest.run(workers, vec![border])?;
        Ok(Some(self.means(&output, sides)?))
    }

    /// The means, `[channels, height, width]`.
    fn encode_part(
        &mut self,
        workers: &Workers,
        planes: Vec<f32>,
        [height, width]: [usize; 2],
    ) -> Result<Vec<f32>, RuntimeError> {
        let sides = [height, width];
        let shape = [1, 3, height * self.factor, width * self.factor];
        let input = self.network.network().first_input(&shape, &planes)?;
        drop(planes);
        let plan = self.network.load(workers, &[shape.to_vec()])?;
        let output = plan.run(workers, vec![input])?;
        self.means(&output, sides)
    }

    /// Of what the network made, the means.
    fn means(
        &self,
        output: &Tensor,
        [height, width]: [usize; 2],
    ) -> Result<Vec<f32>, RuntimeError> {
        // Mean and log variance, one behind the other; small autoencoders know no variance.
        let fits = |channels| output.shape() == [1, channels, height, width];
        if !fits(2 * self.channels) && !fits(self.channels) {
            return Err(self.network.network().error(format!(
                "latents are {:?}, expected [1, {}, {height}, {width}]: it is of another model than the decoder",
                output.shape(),
                2 * self.channels,
            )));
        }
        Ok(values(output)[..self.channels * height * width].to_vec())
    }

    fn latents(&self, data: Vec<f32>, [height, width]: [usize; 2]) -> Latents {
        Latents {
            channels: self.channels,
            height,
            width,
            data,
        }
    }
}

/// The part of planes of this `width` that begins at row `top` and column `left`.
fn cut(
    planes: &[f32],
    width: usize,
    [top, left]: [usize; 2],
    [part_height, part_width]: [usize; 2],
) -> Vec<f32> {
    let planes = planes.chunks_exact(planes.len() / 3);
    let lines = planes.flat_map(|plane| plane.chunks_exact(width).skip(top).take(part_height));
    lines
        .flat_map(|line| &line[left..left + part_width])
        .copied()
        .collect()
}
