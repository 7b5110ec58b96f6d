//! Prompt to picture. Read this second, after the tour in [the crate's documentation](crate).

mod adapters;
mod denoising;
mod job;
mod kept_texts;
mod painter;
mod painting;
mod pictures;
mod planning;
mod source;

pub use pictures::{GivenPictures, NeededPictures, PictureAbilities};

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::contained::catch;
use crate::error::Error;
use crate::family::{self, ChooseFamily, EMBEDDED_GUIDANCE, Reads, SAMPLE};
use crate::latents::Latents;
use crate::memory::{self, MemoryPlan};
use crate::model_dir::{ModelDefaults, ModelDir};
use crate::noise::{NoiseSource, PhiloxNoise};
use crate::picture::Picture;
use crate::progress::Progress;
use crate::request::PaintRequest;
use crate::runtime::Workers;
use crate::scheduler::SchedulerKind;
use crate::stages::{ControlNet, Decoder, Denoiser, Encoder, ImageEncoder, Taken, TextEncoder};
use crate::tiling::Tile;
use crate::tokenizer::Tokenizer;
use crate::watched::{CancelToken, ProgressCounter};
use painter::Painter;
use planning::Sizes;

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
    /// Folders of ControlNets, in the order of a request's pictures for them. None: those in the model.
    pub controlnets: Vec<PathBuf>,
    /// Bytes a second that the storage seems to give at most, for measurements.
    pub storage_rate: Option<u64>,
    /// Advances with each operator that runs.
    pub progress: ProgressCounter,
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
        workers.count_progress(self.progress.clone());
        let (tensor, folded) = memory::limits(self.budget());
        workers.allow(tensor, folded);
        workers
    }

    /// Bytes that the process may take.
    pub(crate) fn budget(&self) -> Option<usize> {
        memory::budget(self.memory_mib)
    }
}

/// A model, ready to paint.
pub struct Pipeline {
    dir: PathBuf,
    model: ModelDir,
    workers: Workers,
    texts: Vec<Text>,
    /// Opened when a picture is to be read.
    encoder: Option<Encoder>,
    /// As [`LoadOptions::controlnets`].
    controlnet_dirs: Vec<PathBuf>,
    /// Opened when there are pictures for them.
    controlnets: Vec<ControlNet>,
    /// Opened when there is a prompt picture.
    image_encoder: Option<ImageEncoder>,
    denoiser: Denoiser,
    /// `None`: latents are the picture.
    decoder: Option<Decoder>,
    tile: Tile,
    budget: Option<usize>,
    /// Bytes that the process took before any network was loaded.
    base: usize,
    /// The memory plan of the last picture, and what it was made for.
    memory: Option<(Sizes, MemoryPlan)>,
    /// Latents that the U-Net cannot halve evenly and takes nevertheless.
    uneven: Option<[usize; 4]>,
    load: Duration,
}

/// A tokenizer and the encoder that reads its ids.
struct Text {
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    reads: Reads,
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
    /// What the model was given for the prompt, where that is not what was asked for word by word.
    pub painted: Option<String>,
    /// What the user should know: a prompt cut short, a scheduler replaced.
    pub warnings: Vec<String>,
}

/// Where the time went. `load` has the reading of the model and the building of its networks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Reading and building.
    pub load: Duration,
    /// Pictures to begin with and to follow: the autoencoder's encoder, and what ControlNets make of a picture once.
    pub encode: Duration,
    /// Tokenizer and text encoder.
    pub text: Duration,
    /// All steps.
    pub denoise: Duration,
    /// Autoencoder.
    pub decode: Duration,
    /// From the call to the picture, and the load before it.
    pub total: Duration,
}

impl Pipeline {
    /// Opens a model directory as diffusers and optimum write it. Networks are built when a size is known.
    ///
    /// # Errors
    /// What is missing, damaged or unknown, by file.
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<Self, Error> {
        Self::load_until(dir, options, &CancelToken::new())
    }

    /// [`load`](Self::load), which ends soon after `cancel`: a damaged model may take long to be found so. A load that comes to its
    /// end before it notices is one.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`Error::Cancelled`].
    pub fn load_until(
        dir: &Path,
        options: &LoadOptions,
        cancel: &CancelToken,
    ) -> Result<Self, Error> {
        match Self::load_as(dir, options, family::of, cancel) {
            Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
            loaded => loaded,
        }
    }

    /// [`load`](Self::load) of the family that `choose` says.
    pub(crate) fn load_as(
        dir: &Path,
        options: &LoadOptions,
        choose: ChooseFamily,
        cancel: &CancelToken,
    ) -> Result<Self, Error> {
        catch(|| Self::loaded(dir, options, choose, cancel))
            .unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
    }

    fn loaded(
        dir: &Path,
        options: &LoadOptions,
        choose: ChooseFamily,
        cancel: &CancelToken,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        check(cancel)?;
        let model = ModelDir::read(dir, choose)?;
        check(cancel)?;
        let (offers, needed) = model.family.offers();
        let mut offers = offers.to_vec();
        offers.extend(family::ADAPTER_OFFERS.iter().cloned());
        let component = model.family.denoiser();
        let levels = model.levels();
        let denoiser = Denoiser::open(dir, &component, &offers, needed, levels, cancel)?;
        let latents = model.defaults.latent_channels;
        let wanted = latents + model.beside.channels(latents);
        if let Some(taken) = denoiser.step().declared(SAMPLE, 1)
            && taken != wanted
        {
            let problem = format!(
                "takes {taken} channels, {wanted} of the latents and what is beside them says {component}/config.json: they do not belong together"
            );
            return Err(denoiser.step().network().network().refusal(problem).into());
        }
        if let Some(input) = model.family.guidance_input()
            && !denoiser.step().takes(input)
        {
            let problem = format!(
                "is to be told the guidance, says its config.json, and has no input `{input}`: export it again"
            );
            return Err(denoiser.step().network().network().refusal(problem).into());
        }
        let texts = model.family.texts().iter().map(|source| {
            check(cancel)?;
            let (tokenizer, encoder) = (source.tokenizer, &source.encoder);
            let whole = matches!(source.reads, Reads::Whole { .. });
            let taken = Taken {
                hidden: source.hidden,
                pooled: source.pooled,
                masked: matches!(source.reads, Reads::Whole { masked: true, .. }),
                most: if whole { 2 } else { 1 },
            };
            Ok(Text {
                tokenizer: Tokenizer::load_from(dir, tokenizer, encoder.name())?,
                encoder: TextEncoder::open(dir, encoder, taken, cancel)?,
                reads: source.reads,
            })
        });
        let texts = texts.collect::<Result<_, Error>>()?;
        check(cancel)?;
        let decoder = match model.family.paints_pixels() {
            true => None,
            false => Some(Decoder::open(dir, model.defaults.vae_factor, cancel)?),
        };
        let mut pipeline = Self {
            dir: dir.to_owned(),
            workers: options.workers(),
            texts,
            encoder: None,
            controlnet_dirs: options.controlnets.clone(),
            controlnets: Vec::new(),
            image_encoder: None,
            denoiser,
            decoder,
            model,
            tile: Tile::Whole,
            budget: options.budget(),
            base: 0,
            memory: None,
            uneven: None,
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

    /// Width and height of the picture that such a request asks for, pixels. A picture to begin with that has this size already is not
    /// resized again.
    #[must_use]
    pub fn size(&self, request: &PaintRequest) -> (u32, u32) {
        let defaults = &self.model.defaults;
        let image = request.image.as_ref();
        let like = image.filter(|image| image.width.min(image.height) > 0);
        let like = like.map(|image| {
            let even = u32::try_from(self.model.even_latents).unwrap_or(1);
            let shape = (image.width, image.height);
            let trained = defaults.trained_size_like(shape);
            trained.unwrap_or_else(|| defaults.size_like(shape, even))
        });
        request.size.or(like).unwrap_or(defaults.size)
    }

    /// Whether the model paints pictures of this size.
    #[must_use]
    pub fn paints(&self, size: (u32, u32)) -> bool {
        self.model.defaults.latents(Some(size)).is_ok()
    }

    /// Settles the size of what is painted, and brings the request's pictures to it: large ones need not stay in memory.
    pub fn fit_pictures(&self, request: &mut PaintRequest) {
        let size = self.size(request);
        // Whatever else is wrong with it, painting says.
        if !self.paints(size) {
            return;
        }
        request.size = Some(size);
        let pictures = [&mut request.image, &mut request.mask];
        let controls = request
            .controls
            .iter_mut()
            .map(|control| &mut control.picture);
        for picture in pictures.into_iter().flatten().chain(controls) {
            if picture.is_whole()
                && let Cow::Owned(fitted) = picture.resized(size)
            {
                *picture = fitted;
            }
        }
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
        let painted = catch(|| {
            let painter = Painter::new(self, cancel, progress);
            painter.paint(request, noise)
        })
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

    /// Whether the denoiser is told the guidance scale, so that one pass a step is enough.
    fn embeds_guidance(&self) -> bool {
        self.model.family.embeds_guidance() || self.denoiser.step().takes(EMBEDDED_GUIDANCE)
    }
}

fn check(cancel: &CancelToken) -> Result<(), Error> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::config::Config;
    use crate::family::Family;

    static CANCELLED_IN_BETWEEN: LazyLock<CancelToken> = LazyLock::new(CancelToken::new);

    /// As [`family::of`], which a load asks before it opens a network; somebody cancels at that moment.
    fn choose_and_cancel(index: &Config, denoiser: &Config) -> Result<Box<dyn Family>, String> {
        CANCELLED_IN_BETWEEN.cancel();
        family::of(index, denoiser)
    }

    #[test]
    fn a_load_that_nobody_wants_any_more_ends() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        let options = LoadOptions::default();
        let cancel = CancelToken::new();
        cancel.cancel();
        // Before anything is looked at.
        for dir in [&dir, Path::new("nowhere")] {
            let loaded = Pipeline::load_until(dir, &options, &cancel);
            assert!(matches!(loaded, Err(Error::Cancelled)));
        }
        let cancel = &CANCELLED_IN_BETWEEN;
        let loaded = Pipeline::load_as(&dir, &options, choose_and_cancel, cancel);
        assert!(matches!(loaded, Err(Error::Cancelled)));
        Pipeline::load(&dir, &options).expect("the default model loads");
    }
}
