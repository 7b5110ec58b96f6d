//! Text in, picture out, on small boards.
//!
//! easel runs latent-diffusion models that diffusers and optimum exported to ONNX:
//!
//! ```text
//! prompt ─► TokenIds ─► embeddings ─► [ Latents ◄─ scheduler ◄─ guidance ◄─ denoiser ]×steps ─► Picture
//! ```
//!
//! ```no_run
//! use easel::{CancelToken, LoadOptions, PaintRequest, Pipeline};
//!
//! let mut pipeline = Pipeline::load("models/pocket".as_ref(), &LoadOptions::default())?;
//! let request = PaintRequest::new("three red apples on a blue background");
//! let painting = pipeline.paint(&request, &CancelToken::new(), &mut |progress| {
//!     eprintln!("{:?} {}/{}", progress.stage, progress.step, progress.steps);
//! })?;
//! painting.picture.write_png("apples.png")?;
//! # Ok::<(), easel::Error>(())
//! ```
//!
//! Where to read on: `pipeline::painting` is the whole way, a function a stage. `stages` are the networks at work, `family` what is
//! particular to each kind of model. [`scheduler`] is arithmetic on slices and knows no networks;
//! `runtime` makes an ONNX file into something that runs, as a list of passes before tract and operators within it;
//! `weights` is where their bytes come from, and the crate `easel-kernels` what computes with them. The library knows no
//! broker, no display and no board: that is `firmware`'s part.

mod bench;
mod component;
mod config;
mod contained;
mod error;
mod family;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
mod guidance;
pub mod import;
mod inputs;
mod latents;
mod lexicon;
mod mask;
mod memory;
mod model_dir;
pub mod noise;
mod picture;
mod pipeline;
mod preview;
pub mod process_memory;
mod progress;
pub mod prompt;
mod request;
mod runtime;
pub mod scheduler;
mod stages;
mod text;
mod tiling;
pub mod tokenizer;
mod watched;
mod weights;

pub use bench::{BenchRequest, Benchmark, bench, component_plan};
pub use component::{Component, NoComponent};
pub use contained::report_panics_in_one_line;
pub use easel_kernels::heap::own as own_heap;
pub use easel_kernels::isa::{Isa, IsaError};
pub use error::Error;
pub use files::write_atomically;
pub use latents::{Latents, NpyError};
pub use memory::{MemoryPlan, StagePlan, TooSmall};
pub use model_dir::{ModelDefaults, ModelDirError, ModelParts, not_a_model};
pub use picture::{Parameters, Picture, PictureError, PictureFileError, UnreadablePicture};
pub use pipeline::{
    GivenPictures, LoadOptions, NeededPictures, Painting, PictureAbilities, Pipeline, Timings,
};
pub use progress::{Progress, Stage};
pub use request::{Control, LARGEST_SIDE, LONGEST_PROMPT, PaintRequest, RequestError};
pub use runtime::{Kind as NodeKind, RuntimeError};
pub use scheduler::SchedulerKind;
pub use text::one_line;
pub use tiling::Tile;
pub use tokenizer::{Chunk, TokenIds, Tokenizer, TokenizerError};
pub use watched::{CancelToken, ProgressCounter};
