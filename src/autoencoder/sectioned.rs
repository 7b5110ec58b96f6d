//! All tiles of a picture through one section of the decoder before any goes through the next: norms see the whole picture.
//!
//! What a section makes is [kept](Kept) for the whole picture in 16 bits, with the moments that the next norm needs, summed in f64 from
//! the numbers before rounding. Rows that nobody will read again make room for those of the next image.

use easel_kernels::isa::Isa;
use easel_kernels::norm::{Moments, moments};
use easel_kernels::vector::Level;
use tract_core::prelude::Tensor;

use super::canvas::Canvas;
use super::kept::Kept;
use super::tiling::{Tile, Tiling};
use crate::error::Error;
use crate::picture::Picture;
use crate::runtime::{Needs, Residency, RuntimeError, Section, Sections, Workers, moments_tensor};
use crate::text_encoder::values;

/// How a picture goes through the sections.
pub(super) struct Course<'a> {
    sections: &'a Sections,
    /// Height and width of the latents.
    latents: [usize; 2],
    /// Of tiles, latents at most.
    side: usize,
}

impl<'a> Course<'a> {
    /// `factor`: pixels of the picture for a latent, each way.
    pub(super) fn new(
        sections: &'a Sections,
        latents: [usize; 2],
        side: usize,
        factor: usize,
    ) -> Result<Self, RuntimeError> {
        let picture = sections.values().last().expect("a network makes something");
        let found = (picture.scale, picture.channels);
        if found != (factor, 3) {
            return Err(sections.error(format!(
                "picture has {} channels and {} pixels for a latent, expected 3 and {factor}: its config.json is of another decoder",
                found.1, found.0
            )));
        }
        Ok(Self {
            sections,
            latents,
            side,
        })
    }

    /// The tiles of a section, in its units. What a section computes wrong at a tile's edges is not used.
    fn tiling(&self, section: &Section) -> Tiling {
        let last = self.sections.values().len() - 1;
        // Of an overlap each tile takes half. In the picture half of it fades, a quarter on each side is thrown away.
        let overlap = if section.outputs.contains(&last) {
            4
        } else {
            2
        } * section.reach;
        let side = (self.side * section.unit).max(2 * overlap);
        let [height, width] = self.latents.map(|latents| latents * section.unit);
        Tiling::with_overlap(height, width, Tile::Side(side), overlap)
    }

    /// How many tiles there are in all sections together.
    pub(super) fn count(&self) -> usize {
        let sections = self.sections.sections().iter();
        sections.map(|section| self.tiling(section).count()).sum()
    }

    /// What the head and the sections need to run.
    pub(super) fn needs(&self) -> Result<Needs, RuntimeError> {
        let mut all = self.sections.head_needs()?;
        for (number, section) in self.sections.sections().iter().enumerate() {
            let tiling = self.tiling(section);
            let prepared = self.sections.section(number, tiling.shape())?;
            let needs = prepared.needs()?;
            let beside = needs.graph + needs.sizes.panels + needs.sizes.columns;
            let beside = beside + self.kept_bytes(number, &tiling);
            let activations = needs.activations.iter().map(|bytes| beside + bytes);
            all.activations.extend(activations);
        }
        Ok(all)
    }

    /// Bytes of what is kept while a section runs, at the fullest moment.
    fn kept_bytes(&self, number: usize, tiling: &Tiling) -> usize {
        let section = &self.sections.sections()[number];
        let before = self.sections.sections()[..number].iter();
        let before = before.flat_map(|section| section.outputs.iter().copied());
        let all = self.sections.values();
        let bytes = |number: usize, rows: usize, unit: usize| {
            let value = &all[number];
            let row = Kept::row_bytes(self.latents[1] * value.scale, value.channels);
            row * rows * value.scale / unit
        };
        let there: Vec<usize> = std::iter::once(0)
            .chain(before)
            .filter(|made| all[*made].last >= number)
            .collect();
        let shares = tiling.rows.shares();
        let moments = tiling
            .rows
            .origins
            .iter()
            .zip(&shares)
            .map(|(&top, share)| {
                let there = there.iter().map(|&made| {
                    let gone = if all[made].last == number { top } else { 0 };
                    bytes(made, self.latents[0] * section.unit - gone, section.unit)
                });
                let made = section.outputs.iter().filter(|made| **made + 1 < all.len());
                let made = made.map(|made| bytes(*made, share.end, section.unit));
                there.chain(made).sum()
            });
        moments.max().unwrap_or(0)
    }

    /// From what the head made to the picture. `proceed` is asked before each tile, with how many are done.
    pub(super) fn run(
        &self,
        workers: &Workers,
        limit: Option<usize>,
        head: Tensor,
        proceed: &mut dyn FnMut(usize) -> Result<(), Error>,
    ) -> Result<Picture, Error> {
        let (sections, all) = (self.sections, self.sections.values());
        let isa = Isa::chosen().map_err(|error| sections.error(error))?;
        let threads = workers.threads();
        let on = (Level::of(isa), &threads);
        let mut kept: Vec<Option<Kept>> = all.iter().map(|_| None).collect();
        let mut sums: Vec<Vec<Moments>> = all
            .iter()
            .map(|value| vec![Moments::default(); value.groups.unwrap_or(0)])
            .collect();
        let size = |number: usize| self.latents.map(|side| side * all[number].scale);
        let [height, width] = size(0);
        let mut first = Kept::new(size(0), all[0].channels);
        let rows: Vec<_> = values(&head).chunks(width * all[0].channels).collect();
        first.put(on, [0..height, 0..width], &rows);
        drop(head);
        kept[0] = Some(first);

        let mut done = 0;
        let mut canvas = None;
        for (number, section) in sections.sections().iter().enumerate() {
            let tiling = self.tiling(section);
            let plan = sections.section(number, tiling.shape())?;
            let (plan, _) = plan.load(workers, Residency::Whole, limit)?;
            for made in &section.outputs {
                if *made + 1 == all.len() {
                    canvas = Some(Canvas::new(&tiling, all[*made].scale / section.unit));
                } else {
                    kept[*made] = Some(Kept::new(size(*made), all[*made].channels));
                }
            }
            let shares = [tiling.rows.shares(), tiling.columns.shares()];
            for (row, &top) in tiling.rows.origins.iter().enumerate() {
                for (column, &left) in tiling.columns.origins.iter().enumerate() {
                    proceed(done)?;
                    let place = |number: usize, from: [usize; 2], to: [usize; 2]| {
                        let by = all[number].scale / section.unit;
                        [0, 1].map(|axis| from[axis] * by..to[axis] * by)
                    };
                    let [tile_height, tile_width] = tiling.shape();
                    let (from, to) = ([top, left], [top + tile_height, left + tile_width]);
                    let read = |number: &usize| {
                        let image = kept[*number].as_ref().expect("made by a section before");
                        let [down, across] = place(*number, from, to);
                        let shape = [1, down.len(), across.len(), all[*number].channels];
                        let tensor = Tensor::zero::<f32>(&shape);
                        let tensor = tensor.and_then(|mut tensor| {
                            let mut plain = tensor.try_as_plain_ram_mut()?;
                            image.read(on, [down, across], plain.as_slice_mut()?);
                            Ok(tensor)
                        });
                        tensor.map_err(|error| sections.error(error))
                    };
                    let inputs = section.inputs.iter().map(read);
                    let moments_read = section.moments.iter();
                    let moments_read =
                        moments_read.map(|number| Ok(moments_tensor(&sums[*number])));
                    let inputs: Vec<Tensor> =
                        inputs.chain(moments_read).collect::<Result<_, _>>()?;
                    let outputs = plan.run_all(workers, inputs)?;
                    for (made, output) in section.outputs.iter().zip(&outputs) {
                        let Some(image) = &mut kept[*made] else {
                            let canvas = canvas.as_mut().expect("what is not kept is the picture");
                            canvas.put([row, column], values(output));
                            continue;
                        };
                        let (down, across) = (&shares[0][row], &shares[1][column]);
                        let part = place(*made, [down.start, across.start], [down.end, across.end]);
                        let [tile_down, tile_across] = place(*made, from, to);
                        let channels = all[*made].channels;
                        let line = tile_across.len() * channels;
                        let skip = (part[1].start - tile_across.start) * channels;
                        let lines = values(output)
                            .chunks(line)
                            .skip(part[0].start - tile_down.start);
                        let lines = lines.map(|line| &line[skip..][..part[1].len() * channels]);
                        let lines: Vec<&[f32]> = lines.take(part[0].len()).collect();
                        if let Some(groups) = all[*made].groups {
                            let found = moments(on.0, on.1, groups, channels, &lines);
                            Moments::add_all(&mut sums[*made], &found);
                        }
                        image.put(on, part, &lines);
                    }
                    done += 1;
                }
                let next = tiling.rows.origins.get(row + 1);
                for number in section.inputs.iter().filter(|n| all[**n].last == number) {
                    match (&mut kept[*number], next) {
                        (Some(image), Some(next)) => {
                            image.release_before(next * all[*number].scale / section.unit);
                        }
                        (image, _) => *image = None,
                    }
                }
            }
        }
        let canvas = canvas.expect("the last section makes the picture");
        Ok(canvas.into_picture())
    }
}
