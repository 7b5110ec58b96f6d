/// What a run asks of its schedule, beside the model's config.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Denoising steps. A method with two evaluations a step makes more of them.
    pub steps: usize,
    /// How many tokens the latents are to a transformer, on which the shift of some flow-matching models
    /// depends: patches of 2×2 latents in every such model.
    pub image_tokens: usize,
    /// Who lays out the noise levels of a flow-matching model.
    pub flow_levels: FlowLevels,
    /// How much of each jump of `tcd` is fresh noise, from 0 (none) to 1: gamma in the paper. The other
    /// methods have no use for it.
    pub eta: f32,
    /// The share of the training schedule, from its end, that `lcm` lays its steps over: below 1 for a picture
    /// to begin with. The other methods begin in the middle instead.
    pub strength: f32,
}

/// Whose the noise levels of `flow-euler` are before they are shifted. It belongs to the family of the model:
/// the configs of both look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowLevels {
    /// The scheduler's own, from the highest of the training schedule to its lowest (Stable Diffusion 3).
    Scheduler,
    /// Those that the pipeline gives, from 1 to 1/N in N steps (Flux).
    Pipeline,
}

impl Run {
    /// `steps` steps over latents of that (height, width), with the usual rest: the scheduler's own levels,
    /// and the eta of 0.3 that diffusers' class has.
    pub fn new(steps: usize, latent_len_hw: (usize, usize)) -> Self {
        const PATCH: usize = 2;
        let (height, width) = latent_len_hw;
        Self {
            steps,
            image_tokens: (height / PATCH).saturating_mul(width / PATCH),
            flow_levels: FlowLevels::Scheduler,
            eta: 0.3,
            strength: 1.0,
        }
    }
}
