//! From named tensors to what a network declares.

use tract_core::prelude::{Datum as _, Tensor, TractError};

use super::{InputSpec, Network, RuntimeError, Wanted};
use crate::inputs::{Dim, Extents, Inputs, Offer, Rows};

/// Tokens, or features of a token. A damaged file may declare anything.
const LARGEST_AXIS: usize = 1 << 16;

/// How a network is fed: an offer for each of its inputs.
#[derive(Debug)]
pub(crate) struct Feed {
    /// In the network's order.
    offers: Vec<Offer>,
    /// Rows that the file is fixed to; `None`: any number.
    batch: Option<usize>,
}

impl Feed {
    /// Compares what the network declares with what it can be told. `most`: rows that it is asked for at most.
    pub(crate) fn of(
        network: &Network,
        offers: &[Offer],
        most: usize,
    ) -> Result<Self, RuntimeError> {
        let mut taken = Vec::new();
        for input in network.inputs() {
            let Some(offer) = offers.iter().find(|offer| offer.name == input.name) else {
                let known: Vec<&str> = offers.iter().map(|offer| &*offer.name).collect();
                return Err(network.refusal(format!(
                    "asks for input `{}`, and can be told {known:?}: it is of a kind that easel does not paint with",
                    input.name
                )));
            };
            check(input, offer).map_err(|problem| network.error(problem))?;
            taken.push(offer.clone());
        }
        let mut feed = Self {
            offers: taken,
            batch: None,
        };
        let declared = feed
            .pairs(network)
            .filter(|(_, offer)| offer.rows == Rows::Each);
        let fixed = declared.filter_map(|(input, _)| input.dims.first().copied().flatten());
        feed.batch = fixed.max();
        if let Some(batch) = feed.batch.filter(|batch| *batch > most) {
            let fed = if most > 1 {
                "1, or 2 for guidance"
            } else {
                "1"
            };
            return Err(network.error(format!(
                "is fixed to batches of {batch}, easel feeds {fed}: export it with a dynamic batch axis"
            )));
        }
        Ok(feed)
    }

    fn pairs<'a>(
        &'a self,
        network: &'a Network,
    ) -> impl Iterator<Item = (&'a InputSpec, &'a Offer)> {
        network.inputs().iter().zip(&self.offers)
    }

    /// Rows that the file is fixed to.
    pub(crate) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// Tokens that the file is fixed to.
    pub(crate) fn fixed_tokens(&self, network: &Network) -> Option<usize> {
        self.pairs(network).find_map(|(input, offer)| {
            let before = input.dims.len() - offer.dims.len();
            let dims = offer.dims.iter().zip(&input.dims[before..]);
            let mut tokens = dims.filter(|(dim, _)| **dim == Dim::Tokens);
            tokens.find_map(|(_, declared)| *declared)
        })
    }

    /// Whether the network takes this.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.offers.iter().any(|offer| offer.name == name)
    }

    /// The shapes of all inputs for so many rows.
    pub(crate) fn shapes(
        &self,
        network: &Network,
        extents: &Extents,
        rows: usize,
    ) -> Result<Vec<Vec<usize>>, RuntimeError> {
        let batch = self.batch.unwrap_or(rows);
        let shape = |(input, offer): (&InputSpec, &Offer)| {
            let before = input.dims.len() - offer.dims.len();
            let batch = match offer.rows {
                Rows::Each => batch,
                Rows::Shared => input.dims.first().copied().flatten().unwrap_or(batch),
            };
            let dims = offer.dims.iter().zip(&input.dims[before..]);
            let dims = dims.map(|(dim, declared)| {
                let length = extents.of(*dim).or(*declared);
                length.ok_or_else(|| network.error(no_width(input)))
            });
            let first = (before == 1).then_some(Ok(batch));
            first.into_iter().chain(dims).collect()
        };
        self.pairs(network).map(shape).collect()
    }

    /// Tensors of these `shapes`, for all inputs that are [told](Wanted::is_told): each row is told what is `common` and what is its
    /// own. A batch that the rows do not fill repeats the last. What rows have for themselves may be large, and is taken out of them
    /// one by one.
    pub(crate) fn tensors(
        &self,
        network: &Network,
        shapes: &[Vec<usize>],
        wanted: &Wanted,
        common: &[&Inputs],
        mut rows: Vec<Inputs>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let tensor = |((input, offer), shape): ((&InputSpec, &Offer), &Vec<usize>)| {
            let axes = &shape[input.dims.len() - offer.dims.len()..];
            let failed = |error: TractError| network.error(error.to_string());
            let mut tensor = Tensor::zero::<f32>(shape).map_err(failed)?;
            let mut all = tensor.try_as_plain_ram_mut().map_err(failed)?;
            let all = all.as_slice_mut::<f32>().map_err(failed)?;
            let each = axes.iter().product::<usize>().max(1);
            for (row, values) in all.chunks_mut(each).enumerate() {
                let mut told = common.iter().filter_map(|told| told.get(&input.name));
                let own = rows.get(row).or(rows.last());
                let told = told.next().or_else(|| own?.get(&input.name));
                let told = told.ok_or_else(|| {
                    network.error(format!(
                        "asks for input `{}`, which this picture does not have",
                        input.name
                    ))
                })?;
                if told.dims != axes {
                    return Err(network.error(format!(
                        "input `{}` is {axes:?} here, this picture has {:?}: the model's parts do not belong together",
                        input.name, told.dims
                    )));
                }
                values.copy_from_slice(&told.data);
            }
            rows.iter_mut().for_each(|row| row.remove(&input.name));
            if input.element == f32::datum_type() {
                return Ok(tensor);
            }
            let cast = tensor.cast_to_dt(input.element);
            Ok(cast.map_err(failed)?.into_owned())
        };
        let told = self.pairs(network).zip(shapes);
        let told = told.filter(|((input, _), _)| wanted.is_told(&input.name));
        told.map(tensor).collect()
    }
}

/// Whether an input can be what is offered.
fn check(input: &InputSpec, offer: &Offer) -> Result<(), String> {
    let (rank, wanted) = (input.dims.len(), offer.dims.len());
    let fits = match offer.rows {
        Rows::Each => rank == wanted + 1,
        Rows::Shared => rank == wanted || rank == wanted + 1,
    };
    if !fits {
        return Err(format!(
            "declares input `{}` with {rank} axes, it has {}: export it again",
            input.name,
            wanted + usize::from(offer.rows == Rows::Each)
        ));
    }
    for (dim, declared) in offer.dims.iter().zip(&input.dims[rank - wanted..]) {
        match (dim, declared) {
            (Dim::Features, None) => return Err(no_width(input)),
            (Dim::Features | Dim::Tokens, Some(n)) if *n > LARGEST_AXIS => {
                return Err(no_width(input));
            }
            _ => {}
        }
    }
    Ok(())
}

fn no_width(input: &InputSpec) -> String {
    format!(
        "does not declare a usable width of input `{}`: export it with that axis fixed",
        input.name
    )
}
