//! The networks of a model at work: text to embeddings, noisy latents to predictions, latents to pictures.

mod autoencoder;
mod denoiser;
mod text_encoder;

pub(crate) use autoencoder::{Decoder, Encoder};
pub(crate) use denoiser::Denoiser;
pub(crate) use text_encoder::{Hidden, OFFERS as TEXT_ENCODER_OFFERS, TextEmbedding, TextEncoder};
