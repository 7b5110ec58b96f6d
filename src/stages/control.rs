//! ControlNets: what a picture adds to the denoiser's skip connections (Zhang et al., arXiv 2302.05543).
//!
//! A ControlNet is told what the denoiser is told, and a picture. It gives one *residual* for every skip connection and one for the
//! middle, which the denoiser adds. Files name them by number, and both sides are matched by that:
//!
//! | a ControlNet's outputs | a denoiser's inputs |
//! |---|---|
//! | `down_block_res_sample_0` … | `down_block_additional_residual_0` … |
//! | `mid_block_res_sample` | `mid_block_additional_residual` |
//!
//! Convolutions bring the picture to the size of the latents before it meets them. What they make of it, its *embedding*, is the same in all
//! passes and for all rows, and is computed once, by a part of the network that is there for no longer than that.

use std::path::Path;

use easel_kernels::heap;

use super::step_network::{MOST_ROWS, StepNetwork, model_file};
use crate::component::Component;
use crate::inputs::{Dim, Extents, Inputs, Offer, Rows};
use crate::memory::Alternatives;
use crate::runtime::{
    Feed, Needs, Network, Precision, Prepared, Residency, RuntimeError, Wanted, Workers, values,
};
use crate::watched::CancelToken;

/// The picture, `[3, height, width]` in [0, 1]; its embedding in what runs in every step.
pub(crate) const HINT: &str = "controlnet_cond";
/// What outputs are multiplied with in the file; easel does it itself.
pub(crate) const SCALE: &str = "conditioning_scale";

/// Where a residual is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// To the skip connection of this number.
    Down(usize),
    Middle,
}

/// Places by their names, in order; other names are left out.
pub(crate) fn places<'n>(names: impl Iterator<Item = &'n str>) -> Vec<(Place, String)> {
    let place = |name: &str| match name {
        "mid_block_additional_residual" | "mid_block_res_sample" => Some(Place::Middle),
        _ => {
            let number = name
                .strip_prefix("down_block_additional_residual_")
                .or_else(|| name.strip_prefix("down_block_res_sample_"))?;
            Some(Place::Down(number.parse().ok()?))
        }
    };
    let mut found: Vec<(Place, String)> = names
        .filter_map(|name| Some((place(name)?, name.to_owned())))
        .collect();
    found.sort();
    found
}

/// Residuals that a denoiser of so many levels can be told. On each but the last it makes a skip connection when it halves latents, and
/// on all of them equally many others; the first one comes before.
pub(crate) fn offers(residuals: &[(Place, String)], levels: usize) -> Result<Vec<Offer>, String> {
    let skips = residuals
        .iter()
        .filter(|(place, _)| *place != Place::Middle);
    let skips = skips.count();
    if skips == 0 {
        return Ok(Vec::new());
    }
    if levels == 0 || !skips.is_multiple_of(levels) || residuals.len() != skips + 1 {
        return Err(format!(
            "declares {skips} residuals of a ControlNet and {} in the middle: its {levels} levels do not make so many; export it again",
            residuals.len() - skips
        ));
    }
    let each = skips / levels;
    let offer = |(place, name): &(Place, String)| {
        let halved = match place {
            Place::Down(number) => (number / each).min(levels - 1),
            Place::Middle => levels - 1,
        };
        let halved = halved as u32;
        Offer {
            name: name.clone().into(),
            rows: Rows::Each,
            dims: vec![
                Dim::Features,
                Dim::HalvedHeight(halved),
                Dim::HalvedWidth(halved),
            ]
            .into(),
        }
    };
    Ok(residuals.iter().map(offer).collect())
}

/// How much of a ControlNet is added in a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Strength {
    pub(crate) scale: f32,
    /// Whether the picture has the say, and the prompt may be empty: what is coarse counts more (section 3.4, *guess mode*).
    pub(crate) guesses: bool,
}

impl Strength {
    /// Of residual `number` out of `count`.
    fn of(self, number: usize, count: usize) -> f32 {
        if !self.guesses || count < 2 {
            return self.scale;
        }
        // Evenly on a logarithmic scale from a tenth to one.
        let exponent = number as f32 / (count - 1) as f32 - 1.0;
        self.scale * 10_f32.powf(exponent)
    }
}

pub(crate) struct ControlNet {
    /// From the picture to its embedding.
    embedding: Network,
    embedding_feed: Feed,
    /// From the embedding and what the denoiser is told to the residuals.
    step: StepNetwork,
    /// What the outputs are, in order.
    places: Vec<Place>,
    fitted: Option<Fitted>,
}

/// What the size of the picture makes of the embedding.
struct Fitted {
    extents: Extents,
    /// All axes but that of the batch.
    dims: Vec<usize>,
    /// Bytes of all that is there at the fullest moment while it is computed.
    peak: usize,
}

impl ControlNet {
    /// Whether there is a network in the folder `dir`, or in its folder `component`.
    pub(crate) fn is_in(dir: &Path, component: &Component) -> bool {
        model_file(dir, component).exists()
    }

    /// Of the folder `dir`, or of its folder `component`. `offers`: what the denoiser can be told.
    pub(crate) fn open(
        dir: &Path,
        component: &Component,
        offers: &[Offer],
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open_file(model_file(dir, component), component, cancel)?;
        let mut offers = offers.to_vec();
        // What axes the embedding has behind that of the batch, the size of the picture says.
        offers.push(Offer::each(HINT, &[]));
        offers.push(Offer::shared(SCALE, &[]));
        let names = network.outputs().iter().map(|output| output.name.as_str());
        let (places, outputs): (Vec<Place>, Vec<String>) = places(names).into_iter().unzip();
        if places.is_empty() {
            return Err(network.refusal("gives no residuals: it is no ControlNet"));
        }
        let (embedding, rest) = network.split(HINT);
        let picture = &[Dim::Exactly(3), Dim::PixelHeight, Dim::PixelWidth];
        Ok(Self {
            step: StepNetwork::of(rest, &offers, &[HINT], outputs)?,
            embedding_feed: Feed::of(&embedding, &[Offer::each(HINT, picture)], MOST_ROWS)?,
            embedding,
            places,
            fitted: None,
        })
    }

    /// From now on it is for pictures of this extent.
    pub(crate) fn fit(&mut self, workers: &Workers, extents: &Extents) -> Result<(), RuntimeError> {
        let is_same = |fitted: &Fitted| fitted.extents == *extents;
        if self.fitted.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let (embedding, shapes) = self.prepare_embedding(workers, extents)?;
        let shape = embedding.output_shape()?;
        let dims = match shape.split_first() {
            Some((batch, dims)) if *batch == shapes[0][0] => dims.to_vec(),
            _ => {
                let problem = format!(
                    "makes {shape:?} of its picture, which has no axis for the batch: export it again"
                );
                return Err(self.embedding.refusal(problem));
            }
        };
        let Needs {
            graph,
            sizes,
            activations,
        } = embedding.needs()?;
        let largest = activations.into_iter().max().unwrap_or(0);
        self.step.reshape(HINT, dims.clone());
        self.fitted = Some(Fitted {
            extents: *extents,
            dims,
            peak: [graph, sizes.columns, sizes.panels, largest]
                .into_iter()
                .fold(0, usize::saturating_add),
        });
        Ok(())
    }

    /// The part of the network that makes the embedding, and the shapes of its inputs.
    fn prepare_embedding(
        &self,
        workers: &Workers,
        extents: &Extents,
    ) -> Result<(Prepared, Vec<Vec<usize>>), RuntimeError> {
        let network = &self.embedding;
        let shapes = self.embedding_feed.shapes(network, extents, 1)?;
        let (wanted, precision) = (Wanted::default(), Precision::Activations8);
        let prepared = network.prepare(workers, &shapes, &wanted, precision)?;
        Ok((prepared, shapes))
    }

    /// What [`add`](Self::add) is told of a picture, `planes` of the [fitted](Self::fit) size, in every pass; with a warning if there is one.
    pub(crate) fn embed(
        &self,
        workers: &Workers,
        extents: &Extents,
        planes: Vec<f32>,
    ) -> Result<(Inputs, Option<String>), RuntimeError> {
        let (prepared, shapes) = self.prepare_embedding(workers, extents)?;
        let told = Inputs::default().with(HINT, &shapes[0][1..], planes);
        let inputs = self.embedding_feed.tensors(
            &self.embedding,
            &shapes,
            &Wanted::default(),
            &[&told],
            Vec::new(),
        )?;
        drop(told);
        let limit = self.step.network().limit();
        let (plan, warning) = prepared.load(workers, Residency::Whole, limit)?;
        let output = plan.run(workers, inputs)?;
        drop(plan);
        heap::trim();
        // Of a file that is fixed to two rows both are the same.
        let dims = output.shape().get(1..).unwrap_or_default();
        let one = &values(&output)[..dims.iter().product()];
        let told = Inputs::default()
            .with(HINT, dims, one.to_vec())
            .with(SCALE, &[], vec![1.0]);
        Ok((told, warning))
    }

    /// As [`StepNetwork::alternatives`], of which the picture's embedding is a part.
    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
        extents: Extents,
        rows: usize,
        beside: impl Fn(usize) -> usize + 'a,
    ) -> Alternatives<'a, E> {
        let mut steps = self.step.alternatives(workers, extents, rows, beside);
        let peak = self.fitted.as_ref().map_or(0, |fitted| fitted.peak);
        Alternatives {
            component: steps.component.clone(),
            number: Box::new(move |number| {
                let mut alternative = (steps.number)(number)?;
                if let Some(alternative) = &mut alternative {
                    alternative.needs.activations.insert(0, peak);
                }
                Ok(alternative)
            }),
        }
    }

    /// Bytes of an embedding.
    pub(crate) fn embedding_bytes(&self) -> usize {
        let dims = self.fitted.as_ref().map(|fitted| &fitted.dims);
        dims.map_or(0, |dims| dims.iter().product::<usize>() * size_of::<f32>())
    }

    /// The network, for those who plan and feed it.
    pub(crate) fn step(&self) -> &StepNetwork {
        &self.step
    }

    /// The network, for those who plan and feed it.
    pub(crate) fn step_mut(&mut self) -> &mut StepNetwork {
        &mut self.step
    }

    /// Adds what the network gives for `rows`, of which there are 1 to [`batch`](StepNetwork::batch), to what the denoiser is told for
    /// each of them in `sums`, under its own names for the `residuals`. `common`: what all rows are told, of the picture what
    /// [`embed`](Self::embed) gave.
    pub(crate) fn add(
        &mut self,
        workers: &Workers,
        extents: &Extents,
        common: &[&Inputs],
        rows: Vec<Inputs>,
        strength: Strength,
        (residuals, sums): (&[(Place, String)], &mut [Inputs]),
    ) -> Result<(), RuntimeError> {
        let asked = residuals.iter().map(|(place, _)| place);
        if !asked.eq(&self.places) {
            return Err(self.step.network().network().error(format!(
                "gives {} residuals, the denoiser takes {}: it was made for another model",
                self.places.len(),
                residuals.len()
            )));
        }
        let count = self.places.len();
        let (outputs, batch) = self.step.run(workers, extents, common, rows)?;
        for (number, output) in outputs.into_iter().enumerate() {
            let scale = strength.of(number, count);
            let shape = &output.shape()[1..];
            let each = values(&output).chunks(shape.iter().product::<usize>().max(1));
            debug_assert_eq!(output.shape()[0], batch);
            for (values, sum) in each.zip(&mut *sums) {
                let values = values.iter().map(|value| scale * value);
                sum.add(&residuals[number].1, shape, values);
            }
        }
        Ok(())
    }
}

/// Adds zeros for each residual that is missing in `row`: it is a row without control.
pub(crate) fn fill_up(
    row: &mut Inputs,
    residuals: &[(Place, String)],
    dims: impl Fn(&str) -> Vec<usize>,
) {
    for (_, name) in residuals {
        if row.get(name).is_none() {
            let dims = dims(name);
            let zeros = vec![0.0; dims.iter().product()];
            row.add(name, &dims, zeros.into_iter());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_known_by_their_numbers_whatever_their_order() {
        let names = [
            "mid_block_res_sample",
            "down_block_res_sample_10",
            "sample",
            "down_block_additional_residual_2",
            "down_block_res_sample_x",
        ];
        let found = places(names.into_iter());
        let found: Vec<Place> = found.into_iter().map(|(place, _)| place).collect();
        assert_eq!(found, [Place::Down(2), Place::Down(10), Place::Middle]);
    }

    #[test]
    fn skips_are_halved_as_a_unet_makes_them() {
        let names: Vec<String> = (0..12)
            .map(|number| format!("down_block_additional_residual_{number}"))
            .chain(["mid_block_additional_residual".to_owned()])
            .collect();
        let residuals = places(names.iter().map(String::as_str));
        let offers = offers(&residuals, 4).expect("Stable Diffusion's");
        let halved = offers.iter().map(|offer| match offer.dims[1] {
            Dim::HalvedHeight(times) => times,
            _ => 99,
        });
        // conv_in and two residual blocks, then what halves and two residual blocks …
        let wanted = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3];
        assert_eq!(halved.collect::<Vec<_>>(), wanted);
        assert!(super::offers(&residuals, 5).is_err());
    }

    #[test]
    fn guessing_counts_from_a_tenth_to_one() {
        let strength = Strength {
            scale: 2.0,
            guesses: true,
        };
        let found = [0, 6, 12].map(|number| strength.of(number, 13));
        for (found, wanted) in found.iter().zip([0.2, 0.632_455_5, 2.0]) {
            assert!((found - wanted).abs() < 1e-6, "{found} for {wanted}");
        }
    }
}
