//! Prompt to picture. Read this second, after the tour in [the crate's documentation](crate).

mod planning;

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::autoencoder::{Autoencoder, Tile};
use crate::bench::Component;
use crate::contained::catch;
use crate::denoiser::Denoiser;
use crate::error::Error;
use crate::guidance;
use crate::latents::Latents;
use crate::memory::{self, MemoryPlan};
use crate::model_dir::{ModelDefaults, ModelDir};
use crate::noise::{NoiseSource, PhiloxNoise};
use crate::picture::Picture;
use crate::process_memory;
use crate::progress::{CancelToken, Progress, Pulse, Stage};
use crate::prompt;
use crate::request::{PaintRequest, RequestError};
use crate::runtime::Workers;
use crate::scheduler::{self, SchedulerKind};
use crate::text_encoder::{TextEncoder, TextShape};
use crate::tokenizer::{TokenIds, Tokenizer};

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Worker threads; `None`: one a core. The picture does not depend on it.
    pub threads: Option<usize>,
    /// MiB that the process may take at most; `None`: as many as it likes.
    pub memory_mib: Option<usize>,
    /// A folder for what is made of networks, so that the next start is fast and weights need not all be in memory. It takes
    /// as much room as the model, and may be removed at any time. `None`: nothing is kept.
    pub cache: Option<PathBuf>,
    /// Bytes a second that the storage seems to give at most, for measurements.
    pub storage_rate: Option<u64>,
    /// Beats with each operator that runs.
    pub pulse: Pulse,
}

impl LoadOptions {
    pub(crate) fn worker_count(&self) -> usize {
        let cores = || available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores)
    }

    /// What networks run on.
    pub(crate) fn workers(&self) -> Workers {
        let mut workers = Workers::new(self.worker_count());
        workers.keep_in(self.cache.clone());
        workers.slow_down(self.storage_rate);
        workers.beat(self.pulse.clone());
        workers.allow(process_memory::all().unwrap_or(usize::MAX));
        workers
    }

    /// Bytes that the process may take.
    pub(crate) fn budget(&self) -> Option<usize> {
        memory::budget(self.memory_mib)
    }
}

/// A model, ready to paint.
pub struct Pipeline {
    model: ModelDir,
    workers: Workers,
    tokenizer: Tokenizer,
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    autoencoder: Autoencoder,
    tile: Tile,
    budget: Option<usize>,
    /// Bytes that the process took before any network was loaded.
    base: usize,
    /// The memory plan of the last picture, and what it was made for.
    memory: Option<(Sizes, MemoryPlan)>,
    load: Duration,
}

/// All that a memory plan depends on but the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    latents: [usize; 4],
    /// Tokens of a chunk.
    chunk: usize,
    text: TextShape,
    /// Embeddings in a pass of the denoiser.
    texts: usize,
}

/// A painted picture and how it came about.
#[derive(Debug)]
pub struct Painting {
    /// The picture.
    pub picture: Picture,
    /// The final latents, before the autoencoder, in the sampler's scale.
    pub latents: Latents,
    /// Steps asked for.
    pub steps: usize,
    /// Sampling method used.
    pub scheduler: SchedulerKind,
    /// Guidance scale used.
    pub guidance: f32,
    /// Seed used.
    pub seed: u64,
    /// Where the time went.
    pub timings: Timings,
    /// What the user should know: a prompt cut short, a scheduler replaced.
    pub warnings: Vec<String>,
}

/// Where the time went. `load` has the reading of the model and the building of its networks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Reading and building.
    pub load: Duration,
    /// Tokenizer and text encoder.
    pub text: Duration,
    /// All steps.
    pub denoise: Duration,
    /// Autoencoder.
    pub decode: Duration,
    /// From the call to the picture, and the load before it.
    pub total: Duration,
}

/// A request with the model's defaults filled in.
struct Job {
    latents: Latents,
    steps: usize,
    guidance: f32,
    scheduler: SchedulerKind,
}

impl Pipeline {
    /// Opens a model directory as diffusers and optimum write it. Networks are built when a size is known.
    ///
    /// # Errors
    /// What is missing, damaged or unknown, by file.
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<Self, Error> {
        catch(|| Self::loaded(dir, options)).unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
    }

    fn loaded(dir: &Path, options: &LoadOptions) -> Result<Self, Error> {
        let start = Instant::now();
        let model = ModelDir::read(dir)?;
        let denoiser = Denoiser::open(dir, &model.defaults)?;
        denoiser.refuse_pooled()?;
        let mut pipeline = Self {
            workers: options.workers(),
            tokenizer: Tokenizer::load(dir)?,
            text_encoder: TextEncoder::open(dir)?,
            denoiser,
            autoencoder: Autoencoder::open(dir, model.defaults.vae_factor)?,
            model,
            tile: Tile::Whole,
            budget: options.budget(),
            base: 0,
            memory: None,
            load: Duration::ZERO,
        };
        pipeline.base = memory::settled();
        pipeline.load = start.elapsed();
        Ok(pipeline)
    }

    /// What the model paints unless told otherwise.
    #[must_use]
    pub fn defaults(&self) -> &ModelDefaults {
        &self.model.defaults
    }

    /// How much of the latents the decoder sees at once from now on, unless the memory budget asks for less.
    pub fn decode_in(&mut self, tile: Tile) {
        self.tile = tile;
    }

    /// Paints. `progress` is called on this thread.
    ///
    /// # Errors
    /// [`Error::Request`] before any work when the request is wrong; [`Error::Cancelled`] soon after
    /// `cancel`, whatever is being done; otherwise what failed.
    pub fn paint(
        &mut self,
        request: &PaintRequest,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Painting, Error> {
        let mut noise = PhiloxNoise::new(request.seed);
        self.paint_with_noise(request, &mut noise, cancel, progress)
    }

    /// [`paint`](Self::paint) with all noise from `noise` instead of the request's seed: first the initial
    /// latents (drawn and dropped when the request brings them), then one draw a step for stochastic schedulers.
    ///
    /// # Errors
    /// As [`paint`](Self::paint).
    pub fn paint_with_noise(
        &mut self,
        request: &PaintRequest,
        noise: &mut dyn NoiseSource,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Painting, Error> {
        self.workers.obey(cancel);
        let painted = catch(|| self.painted(request, noise, cancel, progress))
            .unwrap_or_else(|panic| Err(Error::Unforeseen(panic)));
        self.workers.obey(&CancelToken::new());
        match painted {
            // Whatever it was that noticed.
            Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
            Err(error @ (Error::Runtime(_) | Error::Unforeseen(_))) => {
                // What failed is made anew for the next picture: its cache may have been damaged, or the card is back.
                self.unload();
                Err(error)
            }
            painted => painted,
        }
    }

    fn painted(
        &mut self,
        request: &PaintRequest,
        noise: &mut dyn NoiseSource,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Painting, Error> {
        let start = Instant::now();
        let mut timings = Timings::default();
        let mut warnings = Vec::new();
        let Job {
            mut latents,
            steps,
            guidance: scale,
            scheduler: kind,
        } = self.job(request, noise)?;
        let mut sampler = scheduler::build(
            kind,
            &self.model.scheduler,
            steps,
            (latents.height, latents.width),
        )?;
        if request.scheduler.is_none() {
            warnings.extend(self.model.scheduler.substituted().map(String::from));
        }
        let evaluations = sampler.timesteps().len();
        let report = |stage, step, sigma| Progress {
            stage,
            step,
            steps: evaluations,
            sigma,
            latents: None,
            denoised: None,
            factors: None,
        };

        let clock = Instant::now();
        let prompts = self.tokenize(request, scale, &mut warnings)?;
        let together = prompts.len().min(self.denoiser.batch());
        self.plan_for(&latents, &prompts[0], together)?;
        timings.load += clock.elapsed();

        check(cancel)?;
        progress(&report(Stage::Text, 0, sampler.init_noise_sigma()));
        let clock = Instant::now();
        let texts = prompts
            .iter()
            .map(|prompt| self.text_encoder.encode(&self.workers, prompt))
            .collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<_> = texts.iter().collect();
        self.leave(Component::TextEncoder, &mut warnings);
        timings.text = clock.elapsed();

        check(cancel)?;
        let clock = Instant::now();
        self.denoiser
            .prepare(&self.workers, &latents, texts[0].shape(), together)?;
        timings.load += clock.elapsed();

        let clock = Instant::now();
        progress(&report(Stage::Denoise, 0, sampler.init_noise_sigma()));
        let initial = sampler.init_noise_sigma();
        latents.data.iter_mut().for_each(|v| *v *= initial);
        let mut denoised = latents.clone();
        for index in 0..evaluations {
            let timestep = sampler.timesteps()[index];
            let mut input = latents.clone();
            sampler.scale_model_input(index, &mut input.data);
            let mut predictions = Vec::with_capacity(texts.len());
            for texts in texts.chunks(self.denoiser.batch()) {
                check(cancel)?;
                let predicted = self
                    .denoiser
                    .predict(&self.workers, &input, timestep, texts)?;
                predictions.extend(predicted);
            }
            if let [prediction, unguided] = &mut predictions[..] {
                guidance::apply(prediction, unguided, scale, request.guidance_rescale);
            }
            sampler.step(
                index,
                &predictions[0],
                &mut latents.data,
                &mut denoised.data,
                noise,
            )?;
            if !latents.is_finite() {
                return Err(Error::NotFinite { step: index + 1 });
            }
            progress(&Progress {
                latents: Some(&latents),
                denoised: Some(&denoised),
                factors: self.model.preview.as_ref(),
                ..report(Stage::Denoise, index + 1, sampler.sigma(index))
            });
        }
        self.leave(Component::Unet, &mut warnings);
        timings.denoise = clock.elapsed();

        check(cancel)?;
        progress(&report(Stage::Decode, evaluations, 0.0));
        let mut scaled = latents.clone();
        let (factor, shift) = (self.model.scaling_factor, self.model.shift_factor);
        scaled
            .data
            .iter_mut()
            .for_each(|v| *v = *v / factor + shift);
        let clock = Instant::now();
        let tile = self.tile();
        self.autoencoder.prepare(&self.workers, &scaled, tile)?;
        timings.load += clock.elapsed();
        let clock = Instant::now();
        let picture = self
            .autoencoder
            .decode(&self.workers, &scaled, tile, &mut |_, _| check(cancel))?;
        if self.memory.is_some() && matches!(tile, Tile::Apart(_)) {
            warnings.push(
                "the memory budget is too small for a decode that sees the whole picture: colours may shift from tile to tile".into(),
            );
        }
        self.leave(Component::VaeDecoder, &mut warnings);
        timings.decode = clock.elapsed();
        timings.load += self.load;
        timings.total = start.elapsed() + self.load;
        Ok(Painting {
            picture,
            latents,
            steps,
            scheduler: kind,
            guidance: scale,
            seed: request.seed,
            timings,
            warnings,
        })
    }

    /// Fills in defaults and checks the request against the model; the initial noise, not yet scaled.
    fn job(&self, request: &PaintRequest, noise: &mut dyn NoiseSource) -> Result<Job, Error> {
        request.check()?;
        let defaults = &self.model.defaults;
        let mut latents = blank_latents(defaults, request.size)?;
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
        Ok(Job {
            latents,
            steps: request.steps.unwrap_or(defaults.steps),
            guidance: request.guidance.unwrap_or(defaults.guidance),
            scheduler: match request.scheduler.or(defaults.scheduler) {
                Some(kind) => kind,
                None => self.model.scheduler.default_kind()?,
            },
        })
    }

    /// The prompt and, when guidance needs it, the negative prompt, equally long.
    fn tokenize(
        &self,
        request: &PaintRequest,
        scale: f32,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<TokenIds>, Error> {
        let (prompt, not_for_us) = prompt::leave_out(&request.prompt);
        warnings.extend(not_for_us.into_iter().map(|w| format!("prompt: {w}")));
        let mut positive = self.tokenizer.encode(&prompt)?;
        let (prompt, not_for_us) = prompt::leave_out(&request.negative);
        let mut negative = self.tokenizer.encode(&prompt)?;
        let guided = scale != 1.0;
        warnings.extend(positive.warning().map(|w| format!("prompt: {w}")));
        if !guided {
            return Ok(vec![positive]);
        }
        warnings.extend(
            not_for_us
                .into_iter()
                .map(|w| format!("negative prompt: {w}")),
        );
        warnings.extend(negative.warning().map(|w| format!("negative prompt: {w}")));
        self.tokenizer.match_lengths(&mut positive, &mut negative);
        Ok(vec![positive, negative])
    }
}

/// Latents of a picture of `size`, the model's default unless given; all zero.
pub(crate) fn blank_latents(
    defaults: &ModelDefaults,
    size: Option<(u32, u32)>,
) -> Result<Latents, RequestError> {
    let (width, height) = size.unwrap_or(defaults.size);
    let factor = defaults.vae_factor;
    defaults.check_size((width, height))?;
    let (rows, columns) = ((height / factor) as usize, (width / factor) as usize);
    Ok(Latents::zeros(defaults.latent_channels, rows, columns))
}

fn check(cancel: &CancelToken) -> Result<(), Error> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    Ok(())
}
