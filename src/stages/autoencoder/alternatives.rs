//! The ways in which an autoencoder can go over a picture, for the memory plan.

use std::cell::OnceCell;

use super::sections::SectionRunner;
use crate::memory::{Alternative, Alternatives};
use crate::runtime::{LazyNetwork, RuntimeError, Workers};
use crate::tiling::{Tile, Tiling};

/// An encoder or a decoder, and the picture that it is for.
pub(super) struct Subject<'a> {
    pub(super) network: &'a LazyNetwork,
    pub(super) workers: &'a Workers,
    /// Height and width of the latents.
    pub(super) latents: [usize; 2],
    /// Pixels of a latent, each way.
    pub(super) factor: usize,
    /// Of the network's input, `[1, c, h, w]`: its channels, and its pixels for a latent, each way.
    pub(super) channels: usize,
    pub(super) scale: usize,
}

impl<'a> Subject<'a> {
    /// Of the network's input for a part of so many latents, height and width.
    pub(super) fn shape(&self, [height, width]: [usize; 2]) -> Vec<usize> {
        vec![1, self.channels, height * self.scale, width * self.scale]
    }

    /// Whole, section by section in smaller and smaller tiles, and in tiles that go through it each by itself. `beside`: bytes that
    /// such tiles need beside the network.
    pub(super) fn alternatives<E: From<RuntimeError> + 'a>(
        self,
        beside: impl Fn(&Tiling) -> usize + 'a,
    ) -> Alternatives<'a, E> {
        // Nobody who has room for the whole asks whether the network can be cut.
        let sections = OnceCell::new();
        let [height, width] = self.latents;
        let tiles: Vec<Tile> = Tile::from_large_to_small(height, width).collect();
        let component = self.network.component().clone();
        let alternative = move |number: usize| {
            let Some(&tile) = tiles.get(number) else {
                return Ok(None);
            };
            let sections = match (tile, sections.get()) {
                (Tile::Whole, _) => &None,
                (_, Some(sections)) => sections,
                (_, None) => {
                    let shape = self.shape(self.latents);
                    let found = self.network.sections(self.workers, &shape)?;
                    sections.get_or_init(|| found)
                }
            };
            if matches!(tile, Tile::Apart(_)) && sections.is_none() {
                return Ok(None); // as the tiles before
            }
            let tiling = Tiling::new(height, width, tile);
            let mut needs = match (tile, sections) {
                (Tile::Side(side), Some(sections)) => {
                    SectionRunner::new(sections, self.latents, side, self.factor)?.needs()?
                }
                _ => {
                    let shape = self.shape(tiling.shape());
                    self.network.needs(self.workers, &[shape])?
                }
            };
            needs.graph += beside(&tiling);
            Ok(Some(Alternative {
                needs,
                passes: 1,
                tile,
                tiles: Some((tiling.shape(), tiling.count())),
            }))
        };
        Alternatives {
            component,
            number: Box::new(alternative),
        }
    }
}
