//! From a request to what is to be done: defaults filled in, prompts read.

use super::Pipeline;
use crate::error::Error;
use crate::family::Reads;
use crate::latents::Latents;
use crate::model_dir::BesideLatents;
use crate::noise::NoiseSource;
use crate::prompt;
use crate::request::{PaintRequest, RequestError};
use crate::scheduler::{Run, Scheduler, SchedulerKind};
use crate::tokenizer::TokenIds;

/// As diffusers' `StableDiffusionInstructPix2PixPipeline` has it.
const IMAGE_GUIDANCE: f32 = 1.5;

/// A request with the model's defaults filled in.
pub(super) struct Job {
    /// The initial noise, not yet scaled.
    pub(super) latents: Latents,
    pub(super) guidance: f32,
    /// That of a second pass, without the prompt; up to 1 there is none.
    pub(super) second_pass: f32,
    pub(super) guidance_rescale: f32,
    /// Of a model that changes pictures as it is told.
    pub(super) image_guidance: Option<f32>,
    pub(super) scheduler: SchedulerKind,
    pub(super) run: Run,
    /// The share of the steps that are taken, the last ones.
    pub(super) strength: f32,
    /// Steps that are not taken, therefore.
    skipped: usize,
}

impl Job {
    /// The evaluation that a run begins with; as many as there are if no step is taken.
    pub(super) fn first(&self, sampler: &Scheduler) -> usize {
        let starts = sampler.starts();
        if self.image_guidance.is_some() {
            return 0; // it is told the picture instead
        }
        // A latent consistency model's steps are spread over the share already.
        if self.run.strength < 1.0 && self.scheduler == SchedulerKind::Lcm {
            return 0;
        }
        let first = starts.get(self.skipped).copied();
        first.unwrap_or(sampler.timesteps().len())
    }
}

/// A text for each of the text encoders.
pub(super) type Prompt = Vec<TokenIds>;

/// What guidance asks for, equally long.
pub(super) struct Prompts {
    pub(super) positive: Prompt,
    /// `None`: one pass a step is enough.
    pub(super) negative: Option<Negative>,
}

/// What is steered away from.
pub(super) enum Negative {
    Text(Prompt),
    /// Embeddings of zeros, as some families take them for no text at all.
    Zeroes,
}

impl Prompts {
    /// Rows of a batch that are the same picture with other texts.
    pub(super) fn rows(&self) -> usize {
        1 + usize::from(self.negative.is_some())
    }

    /// Texts that each encoder reads.
    pub(super) fn texts(&self) -> usize {
        1 + usize::from(matches!(self.negative, Some(Negative::Text(_))))
    }

    /// Tokens of the whole prompt and of its longest chunk, for each encoder.
    pub(super) fn lengths(&self) -> (Vec<usize>, Vec<usize>) {
        let chunks = |text: &TokenIds| -> Vec<usize> {
            text.chunks().iter().map(|chunk| chunk.ids.len()).collect()
        };
        let all: Vec<Vec<usize>> = self.positive.iter().map(chunks).collect();
        let tokens = all.iter().map(|chunks| chunks.iter().sum());
        let longest = all
            .iter()
            .map(|chunks| chunks.iter().copied().max().unwrap_or(0));
        (tokens.collect(), longest.collect())
    }
}

impl Pipeline {
    /// Fills in defaults and checks the request against the model.
    pub(super) fn job(
        &self,
        request: &PaintRequest,
        noise: &mut dyn NoiseSource,
    ) -> Result<Job, Error> {
        request.check()?;
        let defaults = &self.model.defaults;
        self.picture_abilities().check(&request.into())?;
        let mut latents = defaults.latents(Some(self.size(request)))?;
        // Drawn even when the request brings its own, so that each step draws the same noise either way.
        noise.fill(&mut latents.data);
        match &request.latents {
            None => {}
            Some(given) if given.shape() != latents.shape() => {
                return Err(RequestError::LatentsShape {
                    found: given.shape(),
                    wanted: latents.shape(),
                }
                .into());
            }
            Some(given) if !given.is_finite() => return Err(Error::NotFinite { step: 0 }),
            Some(given) => latents = given.clone(),
        }
        let steps = request.steps.unwrap_or(defaults.steps);
        let mut run = Run::new(steps, (latents.height, latents.width));
        run.eta = request.eta.unwrap_or(run.eta);
        run.flow_levels = self.model.family.flow_levels();
        if self.model.family.spreads_strength(request.image.is_some()) {
            run.strength = request.strength();
        }
        let strength = request.strength();
        let guidance = request.guidance.unwrap_or(defaults.guidance);
        Ok(Job {
            latents,
            run,
            strength,
            skipped: self.model.family.skipped(steps, strength),
            guidance,
            second_pass: self.second_pass(request)?,
            guidance_rescale: request.guidance_rescale,
            image_guidance: (self.model.beside == BesideLatents::Picture)
                .then(|| request.image_guidance.unwrap_or(IMAGE_GUIDANCE)),
            scheduler: match request.scheduler.or(defaults.scheduler) {
                Some(kind) => kind,
                None => self.model.scheduler.default_kind()?,
            },
        })
    }

    /// The guidance scale of a second pass, without the prompt; up to 1 there is none.
    pub(super) fn second_pass(&self, request: &PaintRequest) -> Result<f32, RequestError> {
        match (self.embeds_guidance(), request.true_guidance) {
            (true, scale) => Ok(scale.unwrap_or(1.0)),
            (false, Some(_)) => Err(RequestError::NoTrueGuidance),
            (false, None) => Ok(request.guidance.unwrap_or(self.model.defaults.guidance)),
        }
    }

    /// The prompt, worded as `text`, and, when there is a second pass, the negative prompt, equally long for all encoders.
    pub(super) fn prompts(
        &self,
        request: &PaintRequest,
        text: &str,
        second_pass: f32,
        warnings: &mut Vec<String>,
    ) -> Result<Prompts, Error> {
        let asked = request.text_tokens;
        if asked.is_some() && !self.model.family.counts_tokens() {
            return Err(RequestError::NoTextTokens.into());
        }
        let (mut positive, said) = self.prompt(text, asked)?;
        warnings.extend(said.into_iter().map(|w| format!("prompt: {w}")));
        if second_pass <= 1.0 {
            self.lengthen(&mut [&mut positive]);
            return Ok(Prompts {
                positive,
                negative: None,
            });
        }
        let given = request.negative.as_deref();
        if given.is_none() && self.model.family.zeroes_without_negative() {
            self.lengthen(&mut [&mut positive]);
            return Ok(Prompts {
                positive,
                negative: Some(Negative::Zeroes),
            });
        }
        let (mut negative, said) = self.prompt(given.unwrap_or_default(), asked)?;
        warnings.extend(said.into_iter().map(|w| format!("negative prompt: {w}")));
        self.lengthen(&mut [&mut positive, &mut negative]);
        Ok(Prompts {
            positive,
            negative: Some(Negative::Text(negative)),
        })
    }

    /// A text as each encoder takes it, and what the user should know of that. `asked`: tokens of texts that are read at once.
    fn prompt(&self, text: &str, asked: Option<usize>) -> Result<(Prompt, Vec<String>), Error> {
        let (text, mut said) = prompt::leave_out(text);
        let text = self.model.family.prompt(&text);
        let mut prompt = Prompt::new();
        for source in &self.texts {
            let tokenizer = &source.tokenizer;
            let ids = match source.reads {
                Reads::Chunks => tokenizer.encode(&text)?,
                Reads::OneChunk => tokenizer.encode_within(&text, tokenizer.max_length())?,
                Reads::Whole { tokens, .. } => {
                    let tokens = asked.or(tokens).unwrap_or(tokenizer.max_length());
                    tokenizer.encode_within(&text, tokens)?
                }
            };
            let warning = ids.warning().filter(|_| source.reads != Reads::OneChunk);
            // Two encoders may have the same to say.
            said.extend(
                warning
                    .map(str::to_owned)
                    .filter(|warning| !said.contains(warning)),
            );
            prompt.push(ids);
        }
        Ok((prompt, said))
    }

    /// Appends empty chunks until all texts that are read in chunks have equally many, so that they share a batch and a built network.
    fn lengthen(&self, prompts: &mut [&mut Prompt]) {
        let texts = prompts.iter().flat_map(|prompt| prompt.iter());
        let longest = texts.map(|text| text.chunks().len()).max().unwrap_or(1);
        for prompt in prompts {
            let sources = prompt.iter_mut().zip(&self.texts);
            for (text, source) in sources.filter(|(_, source)| source.reads == Reads::Chunks) {
                source.tokenizer.lengthen(text, longest);
            }
        }
    }
}
