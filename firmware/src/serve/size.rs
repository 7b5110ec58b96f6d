//! Which sizes can be asked for: a bound by the model and one by memory, told before a job is queued.

use easel::{Component, LARGEST_SIDE, MemoryPlan, ModelDefaults};

/// A side may be so many times the model's own. Beyond, a model repeats itself, and attention takes hours.
const MOST_TIMES: u32 = 8;
/// Of a finished picture: three `f32` for the decoder's canvas, and the bytes of it in three copies on the way to the
/// panel, the history and the broker; when the networks' tensors are gone.
const BYTES_A_PIXEL: u64 = 3 * 4 + 3 * 3;

/// What painting takes of memory: something fixed, and something for each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    fixed: u64,
    per_pixel: u64,
}

impl Needs {
    /// From the plan for the model's default size. All tensors grow with the pixels, since attention has no matrix; a
    /// decoder that has a budget works in tiles, which do not.
    pub(crate) fn of(plan: &MemoryPlan, (width, height): (u32, u32)) -> Self {
        let bytes = |size: usize| size as u64;
        let within_budget = plan.budget.is_some();
        let grows =
            |component: &Component| !(within_budget && *component == Component::VAE_DECODER);
        let growing = plan.stages.iter().filter(|stage| grows(&stage.component));
        let tensors = growing.map(|stage| bytes(stage.largest())).max();
        let stays: u64 = if within_budget {
            let graphs = plan.stages.iter().map(|stage| bytes(stage.graph)).max();
            graphs.unwrap_or(0) + bytes(MemoryPlan::LEAST_READ_AHEAD)
        } else {
            plan.stages.iter().map(|stage| bytes(stage.kept())).sum()
        };
        let pixels = u64::from(width) * u64::from(height);
        Self {
            fixed: bytes(plan.base + MemoryPlan::MARGIN) + stays,
            per_pixel: (tensors.unwrap_or(0) / pixels.max(1)).max(BYTES_A_PIXEL),
        }
    }

    fn bytes(self, pixels: u64) -> u64 {
        self.fixed
            .saturating_add(self.per_pixel.saturating_mul(pixels))
    }

    /// Pixels for which so much memory is enough.
    fn pixels(self, available: u64) -> u64 {
        available.saturating_sub(self.fixed) / self.per_pixel.max(1)
    }
}

/// Why a picture of this size cannot be painted, and what can; `None`: it can. `available`: bytes that the program may
/// take, where that is known.
pub(crate) fn size_refusal(
    model: &ModelDefaults,
    needs: Option<Needs>,
    size: (u32, u32),
    available: Option<u64>,
) -> Option<String> {
    let (width, height) = size;
    let factor = model.vae_factor.max(1);
    let own = model.size.0.max(model.size.1);
    let most = own.saturating_mul(MOST_TIMES).min(LARGEST_SIDE) / factor * factor;
    let fits = |side: u32| side.is_multiple_of(factor) && (1..=most).contains(&side);
    if !fits(width) || !fits(height) {
        return Some(format!(
            "size: {width}x{height}: this model paints multiples of {factor}, at most {most} each way"
        ));
    }
    let (needs, available) = (needs?, available?);
    let pixels = u64::from(width) * u64::from(height);
    // The model's own size is for the engine to judge: it knows more ways to save.
    if needs.bytes(pixels) <= available || size == model.size {
        return None;
    }
    let takes = needs.bytes(pixels).div_ceil(1 << 20);
    let there = available >> 20;
    let advice = possible(size, factor, needs.pixels(available)).map_or_else(
        || "give the board more memory".to_owned(),
        |(width, height)| format!("ask for at most {width}x{height}"),
    );
    Some(format!(
        "size: {width}x{height}: takes about {takes} MiB of memory, and there are {there}: {advice}"
    ))
}

/// The largest size of these proportions with so many pixels.
fn possible((width, height): (u32, u32), factor: u32, pixels: u64) -> Option<(u32, u32)> {
    let share = pixels as f64 / (f64::from(width) * f64::from(height));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a side is one"
    )]
    let side = |side: u32| (f64::from(side) * share.sqrt()) as u32 / factor * factor;
    let (width, height) = (side(width), side(height));
    (width > 0 && height > 0).then_some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use easel::{SchedulerKind, StagePlan, Tile};

    const MIB: u64 = 1 << 20;

    fn model(size: (u32, u32), vae_factor: u32) -> ModelDefaults {
        ModelDefaults {
            size,
            steps: 4,
            guidance: 1.0,
            scheduler: Some(SchedulerKind::Ddim),
            vae_factor,
            latent_channels: 4,
            trained_sizes: Vec::new(),
        }
    }

    fn stage(component: Component, weights: usize, tensors: usize) -> StagePlan {
        StagePlan {
            phase: 0,
            passes: 1,
            component,
            tiles: None,
            tile: Tile::Whole,
            weights,
            resident: weights,
            read_ahead: 0,
            graph: 3 << 20,
            activations: vec![tensors / 2, tensors],
        }
    }

    fn plan(budget: Option<usize>) -> MemoryPlan {
        MemoryPlan {
            budget,
            base: 5 << 20,
            stages: vec![
                stage(Component::UNET, 100 << 20, 64 << 20),
                stage(Component::VAE_DECODER, 20 << 20, 256 << 20),
            ],
            keeps: true,
        }
    }

    #[test]
    fn a_model_has_bounds() {
        let pocket = model((128, 128), 8);
        let refused = |size| size_refusal(&pocket, None, size, None);
        for size in [(128, 128), (8, 8), (1024, 1024), (1024, 8)] {
            assert_eq!(refused(size), None, "{size:?}");
        }
        for size in [
            (0, 128),
            (100, 128),
            (1032, 128),
            (128, 1032),
            (8192, 8192),
            (u32::MAX, u32::MAX),
        ] {
            let text = refused(size).expect("it is too large");
            assert!(
                text.contains("multiples of 8, at most 1024 each way"),
                "{text}"
            );
        }
        // Upright is as good as lying, and no side is larger than the format's.
        let wide = model((1536, 512), 8);
        assert_eq!(size_refusal(&wide, None, (512, 8192), None), None);
        let text = size_refusal(&wide, None, (8200, 512), None).expect("it is too large");
        assert!(text.contains("at most 8192"), "{text}");
    }

    #[test]
    fn memory_has_bounds_and_what_is_possible_is() {
        let sd = model((512, 512), 8);
        for (budget, available) in [(None, 1000 * MIB), (Some(300 << 20), 300 * MIB)] {
            let needs = Needs::of(&plan(budget), sd.size);
            let refused = |size| size_refusal(&sd, Some(needs), size, Some(available));
            assert_eq!(refused((512, 512)), None);
            assert_eq!(refused((512, 768)), None);
            let text = refused((4096, 2048)).expect("it is too large");
            assert!(text.starts_with("size: 4096x2048: takes about"), "{text}");
            let advice = text.rsplit(' ').next().expect("it has words");
            let (width, height) = advice.split_once('x').expect("it is a size");
            let size: (u32, u32) = (
                width.parse().expect("a number"),
                height.parse().expect("a number"),
            );
            assert_eq!(refused(size), None, "what it advises is taken: {text}");
            assert!(size.0 > 600 && size.0 / size.1 <= 2, "{text}");
            // More memory, more pixels.
            assert_eq!(
                size_refusal(&sd, Some(needs), (4096, 2048), Some(1 << 40)),
                None
            );
        }
    }

    #[test]
    fn a_decoder_with_a_budget_works_in_tiles() {
        let whole = Needs::of(&plan(None), (512, 512));
        let tiles = Needs::of(&plan(Some(300 << 20)), (512, 512));
        // 256 MiB for 512 x 512 pixels, and 64 MiB.
        assert_eq!(whole.per_pixel, 1024);
        assert_eq!(tiles.per_pixel, 256);
        assert_eq!(whole.fixed, (5 + 16 + 3 + 100 + 3 + 20) * MIB);
        assert_eq!(tiles.fixed, (5 + 16 + 3 + 4) * MIB);
    }

    #[test]
    fn the_models_own_size_is_left_to_the_engine() {
        let sd = model((512, 512), 8);
        let needs = Needs::of(&plan(None), sd.size);
        assert_eq!(size_refusal(&sd, Some(needs), (512, 512), Some(0)), None);
        let text = size_refusal(&sd, Some(needs), (1024, 512), Some(0)).expect("there is none");
        assert!(text.contains("more memory"), "{text}");
    }
}
