//! What stays in memory when: from a budget and what the networks need to a plan.
//!
//! The budget bounds the resident set of the whole process. Of it, something is there already (`base`: the program, the
//! tokenizer); painting has phases, each with the networks that are needed together: a text encoder, the denoiser, the decoder. So the
//! fullest moment of each phase has to fit beside that, and, if networks are to stay loaded between pictures, beside what stays of the
//! others.
//!
//! What is dropped, in this order: networks that are not needed are unloaded; weights that do not fit are streamed from the cache while
//! the network runs; the decoder works in tiles, smaller and smaller. Weights are streamed before tiles are made: reading ahead
//! costs little time, overlapping tiles compute twice.

use std::fmt;

use easel_kernels::{heap, program};

use crate::component::Component;
use crate::process_memory;
use crate::runtime::{Needs, Residency};
use crate::tiling::Tile;
use crate::weights::CHUNK;

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
/// cannot fit is streamed or refused, instead of ending the process.
pub(crate) fn budget(mib: Option<usize>) -> Option<usize> {
    let asked = mib.map(|mib| mib.saturating_mul(MIB));
    ADDRESSABLE.map_or(asked, |most| Some(asked.unwrap_or(most).min(most)))
}

/// Bytes that a tensor may have, and that all that is computed while a network is built may take: those that the machine has, of the
/// latter no more than the budget. Whether tensors fit a budget is for the plan to say, which knows what would do.
pub(crate) fn limits(budget: Option<usize>) -> (usize, usize) {
    let machine = process_memory::all().unwrap_or(usize::MAX);
    (machine, budget.unwrap_or(machine).min(machine))
}

/// One network, while it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    /// The network.
    pub component: Component,
    /// Which of the phases it is needed in, from 0. Networks of one phase are in memory together.
    pub phase: usize,
    /// Passes for what could be one: 2 if the denoiser computes the halves of guidance one after the other.
    pub passes: usize,
    /// Height, width (latents) and number of the tiles it works in; the decoder's alone.
    pub tiles: Option<([usize; 2], usize)>,
    /// How it takes them.
    pub tile: Tile,
    /// Bytes of all its weights.
    pub weights: usize,
    /// Of these, bytes that are in memory while it runs.
    pub resident: usize,
    /// Bytes of memory through which the others are streamed.
    pub read_ahead: usize,
    /// Bytes of its graph and of what belongs to columns of weights.
    pub graph: usize,
    /// Bytes of tensors and scratch memory while each of its nodes runs, in order.
    pub activations: Vec<usize>,
}

impl StagePlan {
    fn new(
        component: Component,
        phase: usize,
        alternative: Alternative,
        residency: Residency,
    ) -> Self {
        let Alternative {
            needs,
            passes,
            tile,
            tiles,
        } = alternative;
        let (resident, read_ahead) = match residency {
            Residency::Whole => (needs.sizes.panels, 0),
            Residency::Streamed { resident, ahead } => (resident, ahead),
        };
        Self {
            component,
            phase,
            passes,
            tiles,
            tile,
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

    /// Bytes at its fullest moment, by itself.
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
    /// The networks in the order in which they are needed.
    pub stages: Vec<StagePlan>,
    /// Whether networks stay loaded after their phase, for the next picture.
    pub keeps: bool,
}

impl MemoryPlan {
    /// Bytes that a plan keeps free for what was not reckoned: the allocator's rounding, stacks, code that is touched for the first
    /// time.
    pub const MARGIN: usize = 16 << 20;
    /// The least bytes through which weights are streamed: a chunk that is used and one that is read.
    pub const LEAST_READ_AHEAD: usize = 2 * CHUNK;

    /// Bytes at the fullest moment.
    #[must_use]
    pub fn peak(&self) -> usize {
        let peaks = self
            .stages
            .iter()
            .map(|stage| stage.largest() + self.beside(stage));
        self.base + peaks.max().unwrap_or(0) + Self::MARGIN
    }

    /// Bytes of graphs and weights while this network runs, its own among them.
    #[must_use]
    pub fn beside(&self, stage: &StagePlan) -> usize {
        let there = self.stages.iter();
        let there = there.filter(|other| self.keeps || other.phase == stage.phase);
        there.map(StagePlan::kept).sum()
    }

    /// What is planned for a network.
    pub(crate) fn stage(&self, component: &Component) -> Option<&StagePlan> {
        let mut stages = self.stages.iter();
        stages.find(|stage| stage.component == *component)
    }
}

/// A budget that is too small.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let (budget, component, smallest) = (self.budget_mib, &self.component, self.smallest_mib);
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

/// The alternatives of a network: how it can run, the best first, each with its needs.
pub(crate) struct Alternatives<'a, E> {
    pub(crate) component: Component,
    /// The one with this number; `None` behind the last.
    pub(crate) number: Box<dyn FnMut(usize) -> Result<Option<Alternative>, E> + 'a>,
}

/// One of them.
pub(crate) struct Alternative {
    pub(crate) needs: Needs,
    /// For what could be one.
    pub(crate) passes: usize,
    pub(crate) tile: Tile,
    /// Height, width and number.
    pub(crate) tiles: Option<([usize; 2], usize)>,
}

impl Alternative {
    /// Of a network that is not tiled.
    pub(crate) fn plain(needs: Needs, passes: usize) -> Self {
        Self {
            needs,
            passes,
            tile: Tile::Whole,
            tiles: None,
        }
    }
}

impl<'a, E> Alternatives<'a, E> {
    /// Of a network that has but one.
    pub(crate) fn one(component: &Component, needs: impl Fn() -> Result<Needs, E> + 'a) -> Self {
        let number = move |number| match number {
            0 => Ok(Some(Alternative::plain(needs()?, 1))),
            _ => Ok(None),
        };
        Self {
            component: component.clone(),
            number: Box::new(number),
        }
    }
}

/// Networks that are needed at the same time, and run in turns.
pub(crate) type Phase<'a, E> = Vec<Alternatives<'a, E>>;

/// Makes the plan. `base`: bytes that the process takes now. `cache`: whether weights can be read while a network runs.
pub(crate) fn plan<E: From<TooSmall>>(
    budget: Option<usize>,
    base: usize,
    cache: bool,
    phases: &mut [Phase<'_, E>],
) -> Result<MemoryPlan, E> {
    let room = budget.map_or(usize::MAX, |budget| {
        budget.saturating_sub(base + MemoryPlan::MARGIN)
    });
    let mut stages = Vec::new();
    let mut too_small: Option<TooSmall> = None;
    for (number, phase) in phases.iter_mut().enumerate() {
        match choose(phase, number, room, cache)? {
            Ok(chosen) => stages.extend(chosen),
            Err((component, least)) => {
                // Another start of the program may take a little more.
                let smallest_mib = (base + MemoryPlan::MARGIN)
                    .saturating_add(least)
                    .div_ceil(MIB)
                    + 1;
                let worst = too_small.as_ref().map_or(0, |other| other.smallest_mib);
                if worst < smallest_mib {
                    too_small = Some(TooSmall {
                        budget_mib: budget.unwrap_or(0) / MIB,
                        smallest_mib,
                        component,
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

/// How the networks of a phase run, or which needs the most, and the bytes that they need at least.
type Choice = Result<Vec<StagePlan>, (Component, usize)>;

/// The first alternative that fits, or the bytes that the one which needs least needs. Where several networks are needed, all take their
/// next one at once; who has no other keeps the last.
fn choose<E>(
    phase: &mut Phase<'_, E>,
    number: usize,
    room: usize,
    cache: bool,
) -> Result<Choice, E> {
    let mut chosen: Vec<Option<Alternative>> = phase.iter().map(|_| None).collect();
    let mut least = usize::MAX;
    for attempt in 0.. {
        let mut found = false;
        for (network, alternative) in phase.iter_mut().zip(&mut chosen) {
            if let Some(next) = (network.number)(attempt)? {
                (*alternative, found) = (Some(next), true);
            }
        }
        if !found {
            break;
        }
        let needs: Vec<&Needs> = chosen.iter().flatten().map(|one| &one.needs).collect();
        match fit(&needs, room, cache) {
            Ok(residencies) => {
                let members = phase.iter().zip(chosen).zip(residencies);
                let stages = members.filter_map(|((network, alternative), residency)| {
                    Some(StagePlan::new(
                        network.component.clone(),
                        number,
                        alternative?,
                        residency,
                    ))
                });
                return Ok(Ok(stages.collect()));
            }
            Err(needed) => least = least.min(needed),
        }
    }
    let weights = |alternative: &Option<Alternative>| {
        alternative.as_ref().map_or(0, |one| one.needs.sizes.panels)
    };
    let members = phase.iter().zip(&chosen);
    let largest = members.max_by_key(|(_, alternative)| weights(alternative));
    let component = largest.map_or(Component::UNET, |(network, _)| network.component.clone());
    Ok(Err((component, least)))
}

/// How the weights are there so that networks fit that are needed together, or the bytes that they need at least.
fn fit(all: &[&Needs], room: usize, cache: bool) -> Result<Vec<Residency>, usize> {
    // Saturating: in 32 bits the sizes of a large model have no number.
    let sum = |of: &dyn Fn(&Needs) -> usize| {
        let each = all.iter().map(|needs| of(needs));
        each.fold(0_usize, usize::saturating_add)
    };
    let tensors = all
        .iter()
        .flat_map(|needs| needs.activations.iter().copied());
    let largest = tensors.max().unwrap_or(0);
    let graphs = sum(&|needs| needs.graph);
    let fixed = sum(&|needs| needs.graph + needs.sizes.columns).saturating_add(largest);
    // A graph is made before there are weights and tensors. That takes twice the graph, and code that is freed afterwards.
    let making = (2 * graphs + CODE).saturating_sub(MemoryPlan::MARGIN);
    let panels = sum(&|needs| needs.sizes.panels);
    let whole = fixed.saturating_add(panels).max(making);
    if whole <= room {
        return Ok(vec![Residency::Whole; all.len()]);
    }
    // A chunk that is used and one that is read.
    let ahead = |needs: &Needs| (2 * needs.sizes.chunk).max(MemoryPlan::LEAST_READ_AHEAD);
    let least = fixed.saturating_add(sum(&ahead)).max(making);
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
    let stays = spare - comfort - gaps;
    let residencies = all.iter().map(|needs| {
        // Each network has its share of what can stay.
        let share = needs.sizes.panels as u128 * stays as u128 / panels.max(1) as u128;
        Residency::Streamed {
            resident: share as usize,
            ahead: ahead(needs) + comfort / all.len(),
        }
    });
    Ok(residencies.collect())
}

/// Bytes at which the heap gives back what is free, so that the process takes no more than `budget`.
pub(crate) fn limit(budget: usize) -> usize {
    budget.saturating_sub(MemoryPlan::MARGIN)
}

/// Bytes that the process takes after it freed all that it is done with or can have again.
pub(crate) fn settled() -> usize {
    heap::trim();
    program::release();
    process_memory::taken()
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
    fn network(panels: usize, largest: &[usize]) -> Alternatives<'_, TooSmall> {
        Alternatives {
            component: Component::UNET,
            number: Box::new(move |number| {
                Ok(largest
                    .get(number)
                    .map(|largest| Alternative::plain(needs(panels, *largest), 1)))
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
            together in any::<bool>(),
        ) {
            let (budget, base) = (budget * MIB, base * MIB);
            let largest: Vec<usize> = largest.into_iter().map(|mib| mib * MIB).collect();
            let phases = || -> Vec<Vec<_>> {
                let networks = panels.iter().map(|panels| network(panels * MIB, &largest));
                let networks: Vec<_> = networks.collect();
                let mut phases: Vec<Vec<_>> = vec![Vec::new()];
                for (number, network) in networks.into_iter().enumerate() {
                    // The last two by themselves or together.
                    if number > 0 && !(together && number == 2) {
                        phases.push(Vec::new());
                    }
                    phases.last_mut().expect("there is one").push(network);
                }
                phases
            };
            match plan(Some(budget), base, cache, &mut phases()) {
                Ok(made) => {
                    prop_assert_eq!(made.stages.len(), 3);
                    for (stage, panels) in made.stages.iter().zip(&panels) {
                        prop_assert!(stage.resident <= stage.weights && stage.weights == panels * MIB);
                        prop_assert!(cache || stage.resident == stage.weights);
                        prop_assert!((stage.residency() == Residency::Whole) == (stage.read_ahead == 0));
                        prop_assert_eq!(made.stages[2].phase, if together { 1 } else { 2 });
                    }
                    prop_assert!(made.peak() <= budget, "{} of {budget}", made.peak());
                }
                Err(too_small) => {
                    prop_assert!(too_small.smallest_mib * MIB > budget);
                    let enough = Some(too_small.smallest_mib * MIB);
                    prop_assert!(plan(enough, base, cache, &mut phases()).is_ok(), "{too_small}");
                }
            }
            let free = plan(None, base, cache, &mut phases()).expect("there is no limit");
            prop_assert!(free.keeps && free.stages.iter().all(|stage| stage.resident == stage.weights));
        }
    }

    #[test]
    fn weights_are_streamed_before_tiles_are_made() {
        let budget = Some(200 * MIB);
        // Whole with 100 MiB of tensors, or in tiles with 10.
        let plan = plan(
            budget,
            0,
            true,
            &mut [vec![network(500 * MIB, &[100 * MIB, 10 * MIB])]],
        );
        let plan = plan.expect("it fits");
        assert_eq!(plan.stages[0].largest(), 100 * MIB);
        assert!(plan.stages[0].resident < 500 * MIB);
    }
}
