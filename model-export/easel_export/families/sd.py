"""Stable Diffusion 1.x and 2.x, and what has their networks: SD-Turbo, BK-SDM, SDXS, latent consistency models, inpainting,
InstructPix2Pix."""

from __future__ import annotations

from ..networks import text_encoder, unet, vae_decoder, vae_encoder
from .family import AUTOENCODERS, CLIP, UNETS, Configs, Family, Part, pictures_in, require_known_inputs, require_text_width, unet_defaults


def pipeline(configs: Configs) -> str:
    """A U-Net that takes a picture or the guidance as an input has a pipeline of its own."""
    seen = pictures_in(configs)
    embedded = configs["unet"].get("time_cond_proj_dim") is not None
    return "LatentConsistencyModelPipeline" if embedded and not seen else f"StableDiffusion{seen}Pipeline"


def validate(configs: Configs) -> None:
    """One text encoder; beside the text, a picture at most."""
    require_known_inputs(configs, ("addition_embed_type", "class_embed_type", "encoder_hid_dim"))
    require_text_width(configs, "text_encoder")


FAMILY = Family(
    title="Stable Diffusion",
    parts=(
        Part("text_encoder", "text_encoder", CLIP, lambda m, s: text_encoder("text_encoder", m, s, False)),
        Part("unet", "unet", UNETS, unet),
        Part("vae_decoder", "vae", AUTOENCODERS, vae_decoder),
        Part("vae_encoder", "vae", AUTOENCODERS, vae_encoder),
    ),
    pipeline=pipeline,
    validate=validate,
    defaults=unet_defaults(7.5),
)
