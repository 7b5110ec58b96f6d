//! All tiles of a picture through one section of the decoder before any goes through the next: norms see the whole picture.
//!
//! What a section makes is [kept](CompactImage) for the whole picture in 16 bits, with the moments that the next norm needs, summed in f64 from
//! the numbers before rounding. Rows that nobody will read again make room for those of the next image.

use std::ops::Range;

use easel_kernels::isa::Isa;
use easel_kernels::norm::{Moments, moments};
use easel_kernels::threads::Threads;
use easel_kernels::vector::Level;
use tract_core::internal::TractErrorContext as _;
use tract_core::prelude::{Tensor, TractResult};

use super::canvas::Canvas;
use super::compact_image::CompactImage;
use crate::picture::Picture;
use crate::runtime::{
    Needs, Residency, RuntimeError, Section, Sections, Workers, make_room_within, moments_tensor,
    values,
};
use crate::tiling::{Tile, Tiling};

/// How a picture goes through the sections.
pub(super) struct SectionRunner<'a> {
    sections: &'a Sections,
    /// Height and width of the latents.
    latents: [usize; 2],
    /// Of tiles, latents at most.
    side: usize,
}

impl<'a> SectionRunner<'a> {
    /// `factor`: pixels of the picture for a latent, each way.
    pub(super) fn new(
        sections: &'a Sections,
        latents: [usize; 2],
        side: usize,
        factor: usize,
    ) -> Result<Self, RuntimeError> {
        let picture = match sections.ends_in_picture() {
            true => sections.values().last(),
            false => sections.values().first(),
        };
        let found = picture.map_or((0, 0), |picture| (picture.scale, picture.channels));
        if found != (factor, 3) {
            return Err(sections.error(format!(
                "picture has {} channels and {} pixels for a latent, expected 3 and {factor}: its config.json is of another model",
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
        // Of an overlap each tile takes half. In the picture half of it fades, a quarter on each side is thrown away.
        let fades = section.outputs.iter().any(|made| self.is_picture(*made));
        let overlap = if fades { 4 } else { 2 } * section.reach;
        // Coarse images have more channels, but far less is kept of them: their tiles are larger than those of the picture.
        let values = self.sections.values().iter();
        let picture = values.map(|value| value.scale).max().unwrap_or(1);
        let side = (self.side * (section.unit * picture).isqrt()).max(2 * overlap);
        let [height, width] = self.latents.map(|latents| latents * section.unit);
        Tiling::with_overlap(height, width, Tile::Side(side), overlap)
    }

    /// How many tiles there are in all sections together.
    pub(super) fn count(&self) -> usize {
        let sections = self.sections.sections().iter();
        sections.map(|section| self.tiling(section).count()).sum()
    }

    /// Whether a value is a decoder's picture.
    fn is_picture(&self, number: usize) -> bool {
        self.sections.ends_in_picture() && number + 1 == self.sections.values().len()
    }

    /// What the head, the sections and the rest need to run.
    pub(super) fn needs(&self) -> Result<Needs, RuntimeError> {
        let mut all = self.sections.head_needs()?;
        if let Some(rest) = self.sections.rest()? {
            let rest = rest.needs()?;
            let border = self.kept_whole(self.sections.values().len() - 1);
            all.graph += rest.graph;
            all.sizes = rest.sizes;
            let activations = rest.activations.iter().map(|bytes| border + bytes);
            all.activations.extend(activations);
        }
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

    /// Bytes of a value, all of it.
    fn kept_whole(&self, number: usize) -> usize {
        let value = &self.sections.values()[number];
        let [height, width] = self.latents.map(|side| side * value.scale);
        CompactImage::row_bytes(width, value.channels) * height
    }

    /// Bytes of what is kept while a section runs, at the fullest moment.
    fn kept_bytes(&self, number: usize, tiling: &Tiling) -> usize {
        let section = &self.sections.sections()[number];
        let before = self.sections.sections()[..number].iter();
        let before = before.flat_map(|section| section.outputs.iter().copied());
        let all = self.sections.values();
        let bytes = |number: usize, rows: usize, unit: usize| {
            let value = &all[number];
            let row = CompactImage::row_bytes(self.latents[1] * value.scale, value.channels);
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
                let made = section
                    .outputs
                    .iter()
                    .filter(|made| !self.is_picture(**made));
                let made = made.map(|made| bytes(*made, share.end, section.unit));
                there.chain(made).sum()
            });
        moments.max().unwrap_or(0)
    }

    /// From what a decoder's head made to the picture. `proceed` is asked before each tile, with how many are done.
    pub(super) fn picture<E: From<RuntimeError>>(
        &self,
        workers: &Workers,
        limit: Option<usize>,
        head: Tensor,
        proceed: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Picture, E> {
        let (_, canvas) = self.run(workers, limit, head, proceed)?;
        let canvas = canvas.expect("the last section makes the picture");
        Ok(canvas.into_picture())
    }

    /// From a picture as an encoder's head made it to what its rest reads.
    pub(super) fn border<E: From<RuntimeError>>(
        &self,
        workers: &Workers,
        limit: Option<usize>,
        head: Tensor,
        proceed: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Tensor, E> {
        let (images, _) = self.run(workers, limit, head, proceed)?;
        let last = self.sections.values().len() - 1;
        let scale = self.sections.values()[last].scale;
        let whole = self.latents.map(|side| 0..side * scale);
        let tensor = images.read(last, whole);
        Ok(tensor.map_err(|error| self.sections.error(error))?)
    }

    fn run<E: From<RuntimeError>>(
        &self,
        workers: &Workers,
        limit: Option<usize>,
        head: Tensor,
        proceed: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<(Images<'a>, Option<Canvas>), E> {
        let all = self.sections.values();
        let mut images = Images::new(self, workers, limit)?;
        let whole = self.latents.map(|side| 0..side * all[0].scale);
        images.begin(0);
        images.put(0, &head, &whole, &whole);
        drop(head);
        let mut done = 0;
        let mut canvas = None;
        for (number, section) in self.sections.sections().iter().enumerate() {
            let tiling = self.tiling(section);
            let plan = self.sections.section(number, tiling.shape())?;
            let (plan, _) = plan.load(workers, Residency::Whole, limit)?;
            for made in &section.outputs {
                if self.is_picture(*made) {
                    canvas = Some(Canvas::new(&tiling, all[*made].scale / section.unit));
                } else {
                    images.begin(*made);
                }
            }
            let shares = [tiling.rows.shares(), tiling.columns.shares()];
            for (row, &top) in tiling.rows.origins.iter().enumerate() {
                for (column, &left) in tiling.columns.origins.iter().enumerate() {
                    proceed(done)?;
                    let [height, width] = tiling.shape();
                    let tile = [top..top + height, left..left + width];
                    let share = [shares[0][row].clone(), shares[1][column].clone()];
                    let outputs = plan.run_all(workers, images.inputs(section, &tile)?)?;
                    for (&made, output) in section.outputs.iter().zip(&outputs) {
                        if self.is_picture(made) {
                            let canvas = canvas.as_mut().expect("begun above");
                            canvas.put([row, column], values(output));
                        } else {
                            let [tile, share] =
                                [&tile, &share].map(|part| images.pixels(section, made, part));
                            images.put(made, output, &tile, &share);
                        }
                    }
                    done += 1;
                }
                images.release(number, tiling.rows.origins.get(row + 1).copied());
            }
        }
        Ok((images, canvas))
    }
}

/// Rows and columns of an image.
type Part = [Range<usize>; 2];

/// What is kept of a picture between sections.
struct Images<'a> {
    sections: &'a Sections,
    latents: [usize; 2],
    level: Level,
    threads: Threads,
    /// Bytes that the process may take.
    limit: Option<usize>,
    /// By the number of a value, while it is wanted.
    kept: Vec<Option<CompactImage>>,
    /// By the number of a value, of each group.
    moments: Vec<Vec<Moments>>,
}

impl<'a> Images<'a> {
    fn new(
        runner: &SectionRunner<'a>,
        workers: &Workers,
        limit: Option<usize>,
    ) -> Result<Self, RuntimeError> {
        let sections = runner.sections;
        let isa = Isa::chosen().map_err(|error| sections.error(error))?;
        let groups = sections.values().iter().map(|value| value.groups);
        let moments = groups.map(|groups| vec![Moments::default(); groups.unwrap_or(0)]);
        Ok(Self {
            sections,
            latents: runner.latents,
            level: Level::of(isa),
            threads: workers.threads(),
            limit,
            kept: sections.values().iter().map(|_| None).collect(),
            moments: moments.collect(),
        })
    }

    /// Makes a place for a value.
    fn begin(&mut self, number: usize) {
        let value = &self.sections.values()[number];
        let size = self.latents.map(|side| side * value.scale);
        self.kept[number] = Some(CompactImage::new(size, value.channels));
    }

    /// A part in a section's units in a value's pixels.
    fn pixels(&self, section: &Section, number: usize, part: &Part) -> Part {
        let by = self.sections.values()[number].scale / section.unit;
        part.clone().map(|side| side.start * by..side.end * by)
    }

    /// What a section reads for a tile.
    fn inputs(&self, section: &Section, tile: &Part) -> Result<Vec<Tensor>, RuntimeError> {
        let read = section.inputs.iter().map(|&number| {
            let part = self.pixels(section, number, tile);
            let part = self.read(number, part);
            part.map_err(|error| self.sections.error(error))
        });
        let moments = section.moments.iter();
        let moments = moments.map(|number| Ok(moments_tensor(&self.moments[*number])));
        read.chain(moments).collect()
    }

    fn read(&self, number: usize, [down, across]: Part) -> TractResult<Tensor> {
        let image = self.kept[number].as_ref().context("it is not kept")?;
        let channels = self.sections.values()[number].channels;
        let shape = [1, down.len(), across.len(), channels];
        make_room_within(
            self.limit,
            shape.iter().product::<usize>() * size_of::<f32>(),
        );
        let mut tensor = Tensor::zero::<f32>(&shape)?;
        let mut plain = tensor.try_as_plain_ram_mut()?;
        let on = (self.level, &self.threads);
        image.read(on, [down, across], plain.as_slice_mut()?);
        Ok(tensor)
    }

    /// Keeps the `share` of what a section made of a `tile`, both in the value's pixels, and adds up its moments.
    fn put(&mut self, number: usize, output: &Tensor, tile: &Part, share: &Part) {
        let value = &self.sections.values()[number];
        let line = tile[1].len() * value.channels;
        let skip = (share[1].start - tile[1].start) * value.channels;
        let lines = values(output).chunks(line);
        let lines = lines
            .skip(share[0].start - tile[0].start)
            .take(share[0].len());
        let lines: Vec<&[f32]> = lines
            .map(|line| &line[skip..][..share[1].len() * value.channels])
            .collect();
        if let Some(groups) = value.groups {
            let found = moments(self.level, &self.threads, groups, value.channels, &lines);
            Moments::add_all(&mut self.moments[number], &found);
        }
        if let Some(image) = &mut self.kept[number] {
            let row = CompactImage::row_bytes(self.latents[1] * value.scale, value.channels);
            make_room_within(self.limit, share[0].len() * row);
            image.put((self.level, &self.threads), share.clone(), &lines);
        }
    }

    /// Frees what a section will not read again, as it goes on with tiles that begin in this row (in its units).
    fn release(&mut self, number: usize, next: Option<usize>) {
        let section = &self.sections.sections()[number];
        for &read in &section.inputs {
            let value = &self.sections.values()[read];
            if value.last == number {
                match (&mut self.kept[read], next) {
                    (Some(image), Some(row)) => {
                        image.release_before(row * value.scale / section.unit)
                    }
                    (image, _) => *image = None,
                }
            }
        }
    }
}
