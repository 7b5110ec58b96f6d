//! The networks of a model at work: text to embeddings, noisy latents to predictions, latents to pictures.

mod autoencoder;
mod control;
mod denoiser;
mod image_encoder;
mod step_network;
mod text_encoder;

pub(crate) use autoencoder::{Decoder, Encoder};
pub(crate) use control::{
    ControlNet, HINT, SCALE as CONTROL_SCALE, Strength, fill_up, offers as residual_offers, places,
};
pub(crate) use denoiser::Denoiser;
pub(crate) use image_encoder::{EMBEDS as IMAGE_EMBEDS, ImageEncoder, SCALE as IMAGE_SCALE};
pub(crate) use step_network::StepNetwork;
pub(crate) use text_encoder::{
    Hidden, OFFERS as TEXT_ENCODER_OFFERS, Taken, TextEmbedding, TextEncoder,
};
