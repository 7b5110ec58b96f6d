"""Stable Diffusion XL, and what has its networks: SDXL-Turbo, SSD-1B, Segmind-Vega, inpainting.

Two text encoders see the prompt. Their last but one hidden states, side by side, are attended to; the second one's projected
text and six numbers about the picture's size are added to the timestep.
"""

from __future__ import annotations

from .. import UsageError
from ..networks import TIME_IDS, text_encoder, unet, vae_decoder, vae_encoder
from .family import (
    AUTOENCODERS, CLIP, CLIP_PROJECTED, UNETS, Configs, Family, Part, pictures_in, require_known_inputs, require_text_width, unet_defaults,
)


def validate(configs: Configs) -> None:
    """Both text encoders fit the U-Net, which takes text and sizes."""
    config = configs["unet"]
    if config.get("addition_embed_type") != "text_time":
        raise UsageError(
            f"unet/config.json: addition_embed_type is {config.get('addition_embed_type')!r}, of this family it is 'text_time'")
    require_known_inputs(configs, ("class_embed_type", "encoder_hid_dim"))
    require_text_width(configs, "text_encoder", "text_encoder_2")
    if "text_encoder_2" in configs:
        pooled = configs["text_encoder_2"].get("projection_dim", 512)
        wanted = config.get("projection_class_embeddings_input_dim")
        found = pooled + TIME_IDS * (config.get("addition_time_embed_dim") or 0)
        if wanted != found:
            raise UsageError(
                f"unet/config.json: projection_class_embeddings_input_dim is {wanted}; a text of {pooled} features and "
                f"{TIME_IDS} sizes make {found} (the refiner, which takes another number of sizes, is not supported)")


FAMILY = Family(
    title="Stable Diffusion XL",
    parts=(
        Part("text_encoder", "text_encoder", CLIP, lambda m, s: text_encoder("text_encoder", m, s, True)),
        Part("text_encoder_2", "text_encoder_2", CLIP_PROJECTED,
             lambda m, s: text_encoder("text_encoder_2", m, s, True)),
        Part("unet", "unet", UNETS, unet),
        Part("vae_decoder", "vae", AUTOENCODERS, vae_decoder),
        Part("vae_encoder", "vae", AUTOENCODERS, vae_encoder),
    ),
    pipeline=lambda configs: f"StableDiffusionXL{pictures_in(configs)}Pipeline",
    validate=validate,
    defaults=unet_defaults(5.0),
)
