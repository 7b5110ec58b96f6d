//! What stays in memory when: from a budget and what the networks need to a plan.
//!
//! The budget bounds the resident set of the whole process. Of it, something is there already (`base`: the program, the
//! tokenizer); the networks run one after the other, so the fullest moment of each has to fit beside that, and, if they are
//! to stay loaded between pictures, beside what stays of the others.
//!
//! What can give way, in this order: networks leave after their turn; weights that do not fit are read from the cache while
//! the network runs; the decoder works in tiles, smaller and smaller. Weights give way before tiles do: reading ahead
//! costs little time, overlapping tiles compute twice.

use std::fmt;

use easel_kernels::{heap, program};

use crate::autoencoder::Tile;
use crate::bench::Component;
use crate::process_memory;
use crate::runtime::{Needs, Residency};
use crate::weights::CHUNK;

/// Beyond what was reckoned: the allocator's rounding, stacks, code that is touched for the first time.
const MARGIN: usize = 16 << 20;
/// What of the program is touched to make a graph: measured.
const CODE: usize = 24 << 20;
/// What reading ahead is given beyond the two chunks that it needs, if there is room.
const COMFORTABLE: usize = 6 * CHUNK;

const MIB: usize = 1 << 20;

/// What a process of 32 bits can be given: it has addresses for 3 GiB, and a heap with gaps fills no more than these of them.
const ADDRESSABLE: Option<usize> = if usize::BITS < 64 {
    Some(2 << 30)
} else {
    None
};

/// Bytes of a budget in MiB; `None`: as many as it likes. Where addresses are short there always is a budget, so that what
/// cannot fit is read in passing or refused, instead of ending the process.
pub(crate) fn budget(mib: Option<usize>) -> Option<usize> {
    let asked = mib.map(|mib| mib.saturating_mul(MIB));
    ADDRESSABLE.map_or(asked, |most| Some(asked.unwrap_or(most).min(most)))
}

/// One network's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    /// The network.
    pub component: Component,
    /// Height, width (latents) and number of the tiles it works in; the decoder's alone.
    pub tiles: Option<([usize; 2], usize)>,
    /// How it takes them.
    pub tile: Tile,
    /// Bytes of all its weights.
    pub weights: usize,
    /// Of these, bytes that are in memory while it runs.
    pub resident: usize,
    /// Bytes of memory through which the others pass.
    pub read_ahead: usize,
    /// Bytes of its graph and of what belongs to columns of weights.
    pub graph: usize,
    /// Bytes of tensors and scratch memory while each of its nodes runs, in order.
    pub activations: Vec<usize>,
}

impl StagePlan {
    fn new(component: Component, needs: Needs, residency: Residency) -> Self {
        let (resident, read_ahead) = match residency {
            Residency::Whole => (needs.sizes.panels, 0),
            Residency::Streamed { resident, ahead } => (resident, ahead),
        };
        Self {
            component,
            tiles: None,
            tile: Tile::Whole,
            weights: needs.sizes.panels,
            resident,
            read_ahead,
            graph: needs.graph + needs.sizes.columns,
            activations: needs.activations,
        }
    }

    /// Bytes of tensors at the fullest moment.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.activations.iter().copied().max().unwrap_or(0)
    }

    /// Bytes that stay if it stays loaded.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.graph + self.resident + self.read_ahead
    }

    /// Bytes at its fullest moment.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.kept() + self.largest()
    }

    pub(crate) fn residency(&self) -> Residency {
        if self.resident >= self.weights {
            Residency::Whole
        } else {
            Residency::Streamed {
                resident: self.resident,
                ahead: self.read_ahead,
            }
        }
    }
}

/// What stays in memory when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes that the process may take; `None`: as many as it likes.
    pub budget: Option<usize>,
    /// Bytes that it takes before a network is loaded.
    pub base: usize,
    /// The networks in the order of their turns.
    pub stages: Vec<StagePlan>,
    /// Whether networks stay loaded after their turn, for the next picture.
    pub keeps: bool,
}

impl MemoryPlan {
    /// Bytes at the fullest moment.
    #[must_use]
    pub fn peak(&self) -> usize {
        let others = |at: usize| {
            let others = self
                .stages
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at);
            let kept: usize = others.map(|(_, stage)| stage.kept()).sum();
            if self.keeps { kept } else { 0 }
        };
        let peaks = self.stages.iter().enumerate();
        let peak = peaks.map(|(at, stage)| stage.peak() + others(at)).max();
        self.base + peak.unwrap_or(0) + MARGIN
    }

    /// The turn of a network.
    pub(crate) fn stage(&self, component: Component) -> Option<&StagePlan> {
        self.stages
            .iter()
            .find(|stage| stage.component == component)
    }
}

/// A budget that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// What was given, MiB.
    pub budget_mib: usize,
    /// What would do, MiB.
    pub smallest_mib: usize,
    /// What needs it.
    pub component: Component,
    /// Whether there is a folder for caches, without which all weights of a network must fit.
    pub cache: bool,
    /// Whether nobody gave a budget: it is what the machine has free.
    pub free: bool,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (budget, component, smallest) = (self.budget_mib, self.component, self.smallest_mib);
        if self.free {
            write!(
                f,
                "this machine has {budget} MiB of memory free: too little for this model and size, {component} needs {smallest} MiB: ask for a smaller picture"
            )?;
        } else {
            write!(
                f,
                "memory {budget} MiB: too little for this model and size, {component} needs {smallest} MiB: give so much, or ask for a smaller picture"
            )?;
        }
        if !self.cache {
            f.write_str("; with a cache folder its weights need not fit")?;
        }
        Ok(())
    }
}

impl std::error::Error for TooSmall {}

/// A network in the several ways in which it can run, the best first, each with its needs.
pub(crate) struct Choices<'a, E> {
    pub(crate) component: Component,
    /// The needs in the way with this number; `None` behind the last.
    pub(crate) needs: Box<dyn FnMut(usize) -> Result<Option<Way>, E> + 'a>,
}

/// A way in which a network can run.
pub(crate) struct Way {
    pub(crate) needs: Needs,
    pub(crate) tile: Tile,
    /// Height, width and number.
    pub(crate) tiles: Option<([usize; 2], usize)>,
}

impl<'a, E> Choices<'a, E> {
    /// Of a network that can run in one way.
    pub(crate) fn one(component: Component, needs: impl Fn() -> Result<Needs, E> + 'a) -> Self {
        let needs = move |number| match number {
            0 => Ok(Some(Way {
                needs: needs()?,
                tile: Tile::Whole,
                tiles: None,
            })),
            _ => Ok(None),
        };
        Self {
            component,
            needs: Box::new(needs),
        }
    }
}

/// Makes the plan. `base`: bytes that the process takes now. `cache`: whether weights can be read while a network runs.
pub(crate) fn plan<E: From<TooSmall>>(
    budget: Option<usize>,
    base: usize,
    cache: bool,
    choices: &mut [Choices<'_, E>],
) -> Result<MemoryPlan, E> {
    let room = budget.map_or(usize::MAX, |budget| budget.saturating_sub(base + MARGIN));
    let mut stages = Vec::new();
    let mut too_small: Option<TooSmall> = None;
    for choices in choices {
        match choose(choices, room, cache)? {
            Ok(stage) => stages.push(stage),
            Err(least) => {
                // Another start of the program may take a little more.
                let smallest_mib = (base + MARGIN).saturating_add(least).div_ceil(MIB) + 1;
                if too_small.is_none_or(|other| other.smallest_mib < smallest_mib) {
                    too_small = Some(TooSmall {
                        budget_mib: budget.unwrap_or(0) / MIB,
                        smallest_mib,
                        component: choices.component,
                        cache,
                        free: false,
                    });
                }
            }
        }
    }
    if let Some(too_small) = too_small {
        return Err(too_small.into());
    }
    let mut plan = MemoryPlan {
        budget,
        base,
        stages,
        keeps: true,
    };
    plan.keeps = plan.peak() <= budget.unwrap_or(usize::MAX);
    Ok(plan)
}

/// The first way that fits, or the bytes that the one which needs least needs.
fn choose<E>(
    choices: &mut Choices<'_, E>,
    room: usize,
    cache: bool,
) -> Result<Result<StagePlan, usize>, E> {
    let mut least = usize::MAX;
    for number in 0.. {
        let Some(Way { needs, tile, tiles }) = (choices.needs)(number)? else {
            break;
        };
        match fit(&needs, room, cache) {
            Ok(residency) => {
                let stage = StagePlan::new(choices.component, needs, residency);
                return Ok(Ok(StagePlan {
                    tiles,
                    tile,
                    ..stage
                }));
            }
            Err(needed) => least = least.min(needed),
        }
    }
    Ok(Err(least))
}

/// How the weights are there so that a network fits, or the bytes that it needs at least.
fn fit(needs: &Needs, room: usize, cache: bool) -> Result<Residency, usize> {
    let largest = needs.activations.iter().copied().max().unwrap_or(0);
    // Saturating: in 32 bits the sizes of a large model have no number.
    let fixed = (needs.graph + needs.sizes.columns).saturating_add(largest);
    // A graph is made before there are weights and tensors. That takes twice the graph, and code that is let go of afterwards.
    let making = (2 * needs.graph + CODE).saturating_sub(MARGIN);
    let whole = fixed.saturating_add(needs.sizes.panels).max(making);
    if whole <= room {
        return Ok(Residency::Whole);
    }
    // A chunk that is used and one that is read.
    let ahead = 2 * needs.sizes.chunk.max(CHUNK);
    let least = fixed.saturating_add(ahead).max(making);
    if !cache || least >= whole {
        return Err(whole);
    }
    let Some(spare) = room.checked_sub(least) else {
        return Err(least);
    };
    let comfort = spare.min(COMFORTABLE);
    // Room for gaps between tensors is worth more than weights that stay: a heap without gaps clears each page again and
    // again, weights that stay only spare the storage, which is read while the processor computes.
    let gaps = (spare - comfort).min(largest);
    Ok(Residency::Streamed {
        resident: spare - comfort - gaps,
        ahead: ahead + comfort,
    })
}

/// Bytes at which the heap gives back what is free, so that the process takes no more than `budget`.
pub(crate) fn limit(budget: usize) -> usize {
    budget.saturating_sub(MARGIN)
}

/// Bytes that the process takes after it let go of all that it is done with or can have again.
pub(crate) fn settled() -> usize {
    heap::trim();
    program::release();
    process_memory::taken()
}

/// Tiles from large to small, sides in latents, that a picture of such sides can be decoded in: first those that cost no quality.
pub(crate) fn tiles(height: usize, width: usize) -> impl Iterator<Item = Tile> {
    const SIDES: [usize; 8] = [96, 64, 48, 40, 32, 24, 16, 12];
    let smaller = || {
        let sides = SIDES.into_iter();
        sides.filter(move |side| *side < height.max(width))
    };
    std::iter::once(Tile::Whole)
        .chain(smaller().map(Tile::Side))
        .chain(smaller().map(Tile::Apart))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runtime::Sizes;

    fn needs(panels: usize, largest: usize) -> Needs {
        Needs {
            graph: 3 * MIB,
            sizes: Sizes {
                panels,
                chunk: panels.min(CHUNK),
                columns: MIB,
            },
            activations: vec![largest / 2, largest, 0],
        }
    }

    /// A network in one way for each size of tensors.
    fn choices(panels: usize, largest: &[usize]) -> Choices<'_, TooSmall> {
        Choices {
            component: Component::Unet,
            needs: Box::new(move |number| {
                Ok(largest.get(number).map(|largest| Way {
                    needs: needs(panels, *largest),
                    tile: Tile::Whole,
                    tiles: None,
                }))
            }),
        }
    }

    proptest! {
        #[test]
        fn a_plan_keeps_its_budget_and_the_smallest_that_is_named_works(
            budget in 0..2000_usize,
            base in 0..50_usize,
            panels in proptest::collection::vec(0..900_usize, 3),
            largest in proptest::collection::vec(0..300_usize, 1..4),
            cache in any::<bool>(),
        ) {
            let (budget, base) = (budget * MIB, base * MIB);
            let largest: Vec<usize> = largest.into_iter().map(|mib| mib * MIB).collect();
            let networks = || -> Vec<_> {
                panels.iter().map(|panels| choices(panels * MIB, &largest)).collect()
            };
            match plan(Some(budget), base, cache, &mut networks()) {
                Ok(made) => {
                    prop_assert_eq!(made.stages.len(), 3);
                    for (stage, panels) in made.stages.iter().zip(&panels) {
                        prop_assert!(stage.resident <= stage.weights && stage.weights == panels * MIB);
                        prop_assert!(cache || stage.resident == stage.weights);
                        prop_assert!((stage.residency() == Residency::Whole) == (stage.read_ahead == 0));
                    }
                    prop_assert!(made.peak() <= budget, "{} of {budget}", made.peak());
                }
                Err(too_small) => {
                    prop_assert!(too_small.smallest_mib * MIB > budget);
                    let enough = Some(too_small.smallest_mib * MIB);
                    prop_assert!(plan(enough, base, cache, &mut networks()).is_ok(), "{too_small}");
                }
            }
            let free = plan(None, base, cache, &mut networks()).expect("there is no limit");
            prop_assert!(free.keeps && free.stages.iter().all(|stage| stage.resident == stage.weights));
        }
    }

    #[test]
    fn weights_give_way_before_tiles_do() {
        let budget = Some(200 * MIB);
        // Whole with 100 MiB of tensors, or in tiles with 10.
        let plan = plan(
            budget,
            0,
            true,
            &mut [choices(500 * MIB, &[100 * MIB, 10 * MIB])],
        );
        let plan = plan.expect("it fits");
        assert_eq!(plan.stages[0].largest(), 100 * MIB);
        assert!(plan.stages[0].resident < 500 * MIB);
    }
}
