//! An autoencoder [cut](super::cut) into sections, each of which is built when its turn comes.

use easel_kernels::norm::Moments;
use tract_core::prelude::{Datum as _, IntoTensor as _, Tensor, tract_ndarray};

use super::cut::{self, Cut, Section, Value};
use super::prepared::import;
use super::{
    Aim, Needs, Part, Plan, Prepared, Residency, RuntimeError, Wanted, Workers, chain, pixels16,
};

/// A network whose tiles are to go through it section by section.
pub(crate) struct Sections {
    whole: Prepared,
    head: Prepared,
    cut: Cut,
    /// Height and width of what the head makes.
    size: [usize; 2],
}

impl Sections {
    /// Of a network for latents, or a picture, of this shape: `[1, c, h, w]`.
    pub(super) fn of(whole: Prepared, shape: &[usize]) -> Result<Option<Self>, RuntimeError> {
        let proto = whole.graph()?;
        let Some(cut) = cut::cut(&proto) else {
            return Ok(None);
        };
        let latents = whole.model.model().input_fact(0);
        let element = latents
            .map_err(|error| whole.error(chain(&error)))?
            .datum_type;
        let aim = Aim {
            known: Vec::new(),
            inputs: vec![(element, shape.to_vec())],
            wanted: Wanted {
                outputs: vec![cut.head.clone()],
                skip_layers: 0,
                absent: Vec::new(),
                known: Vec::new(),
            },
            part: Part::Whole,
            pixels16: Some(pixels16(shape)),
            limits: whole.limits,
        };
        let head = whole.within(move || import(proto, &aim))?;
        let made = head
            .model()
            .output_fact(0)
            .ok()
            .and_then(|fact| fact.shape.as_concrete());
        let same = matches!((made, shape), (Some(&[1, h, w, c]), &[1, _, height, width])
            if [h, w, c] == [height, width, cut.values[0].channels]);
        let head = whole.part(head);
        let size = [shape[2], shape[3]];
        Ok(same.then_some(Self {
            whole,
            head,
            cut,
            size,
        }))
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.cut.sections
    }

    /// What crosses from one to another, the head's first, the end of the sections last.
    pub(crate) fn values(&self) -> &[Value] {
        &self.cut.values
    }

    /// Whether it is a decoder, whose last section makes the picture.
    pub(crate) fn ends_in_picture(&self) -> bool {
        self.cut.rest.is_none()
    }

    /// Of an encoder, what takes the last value, `[1, h, w, c]`, to the latents.
    pub(crate) fn rest(&self) -> Result<Option<Prepared>, RuntimeError> {
        let Some(proto) = self.cut.rest.clone() else {
            return Ok(None);
        };
        let [first, .., last] = &self.cut.values[..] else {
            return Ok(None);
        };
        let [height, width] = self.size.map(|side| side * last.scale / first.scale);
        let aim = Aim {
            known: Vec::new(),
            inputs: vec![(f32::datum_type(), vec![1, height, width, last.channels])],
            wanted: Wanted::default(),
            part: Part::Whole,
            pixels16: Some(pixels16(&[1, 1, height, width])),
            limits: self.whole.limits,
        };
        let model = self.whole.within(move || import(proto, &aim))?;
        Ok(Some(self.whole.part(model)))
    }

    /// What the head, which makes value 0, needs to run.
    pub(crate) fn head_needs(&self) -> Result<Needs, RuntimeError> {
        self.head.needs()
    }

    /// Loads the head, and writes the cache if there is to be one and it is not there. With a warning if that fails and need not.
    pub(super) fn load_head(
        &mut self,
        workers: &Workers,
        residency: Residency,
        limit: Option<usize>,
    ) -> Result<(Plan, Option<String>), RuntimeError> {
        let warning = self.whole.store_in_cache(workers, residency)?;
        // Its graph was for the cache alone.
        self.whole.model = self.head.model.clone();
        self.head.source = self.whole.source.clone();
        let head = self.head.part(self.head.model.clone());
        let (head, _) = head.load(workers, residency, limit)?;
        Ok((head, warning))
    }

    /// The section for tiles of this height and width, in its units. It takes the values that it reads, `[1, h, w, c]`, and then
    /// [moments](moments_tensor).
    pub(crate) fn section(
        &self,
        number: usize,
        tile: [usize; 2],
    ) -> Result<Prepared, RuntimeError> {
        let section = &self.cut.sections[number];
        let values = section.inputs.iter().map(|number| {
            let value = &self.cut.values[*number];
            let [height, width] = tile.map(|side| side * value.scale / section.unit);
            (f32::datum_type(), vec![1, height, width, value.channels])
        });
        let moments = section.moments.iter().map(|number| {
            let groups = self.cut.values[*number].groups.unwrap_or(0);
            (f64::datum_type(), vec![groups, 2])
        });
        // As many as in the whole network: a unit is so many of the head's pixels.
        let pixels16 = pixels16(&[1, 1, tile[0], tile[1]]) / (section.unit * section.unit);
        let aim = Aim {
            known: Vec::new(),
            inputs: values.chain(moments).collect(),
            wanted: Wanted::default(),
            part: Part::Whole,
            pixels16: Some(pixels16),
            limits: self.whole.limits,
        };
        let proto = section.model.clone();
        let model = self.whole.within(move || import(proto, &aim))?;
        Ok(self.whole.part(model))
    }

    /// An error of this network.
    pub(crate) fn error(&self, problem: impl std::fmt::Display) -> RuntimeError {
        self.whole.error(problem)
    }
}

/// Moments as a section takes them: mean and variance of each group.
pub(crate) fn moments_tensor(moments: &[Moments]) -> Tensor {
    let pairs = moments.iter().flat_map(|m| [m.mean, m.squares / m.count]);
    let pairs: Vec<f64> = pairs.collect();
    tract_ndarray::Array2::from_shape_vec((moments.len(), 2), pairs)
        .expect("two numbers a group")
        .into_tensor()
}
