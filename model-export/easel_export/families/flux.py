"""Flux.1 dev and schnell: T5's encoder reads the prompt, CLIP's gives the whole of it; two by two latents are one token of the
transformer. Dev takes the guidance as an input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from .. import UsageError
from ..diffusion_transformers import PACKED, flux
from ..networks import Component, Shape, text_encoder, vae_decoder, vae_encoder
from ..t5 import text_encoder as t5
from .family import AUTOENCODERS, CLIP, T5, Configs, Family, Part, require_equal, require_latents, require_text


def pooled(module: nn.Module, shape: Shape) -> Component:
    """CLIP's encoder, of which the text as a whole is read."""
    return replace(text_encoder("text_encoder", module, shape, False), read=(1,))


def validate(configs: Configs) -> None:
    """Texts, packed latents and the positions' axes fit the transformer."""
    config = configs["transformer"]
    require_text(configs, "joint_attention_dim", "text_encoder_2")
    require_latents(configs, PACKED**2)
    if "text_encoder" in configs:
        require_equal(config.get("pooled_projection_dim"), configs["text_encoder"].get("hidden_size", 512), "pooled_projection_dim",
                      "hidden_size of text_encoder/config.json is")
    axes = sum(config.get("axes_dims_rope", (16, 56, 56)))
    if axes != config.get("attention_head_dim", 128):
        raise UsageError(f"transformer/config.json: axes_dims_rope make {axes}, attention_head_dim is {config.get('attention_head_dim')}")


def defaults(configs: Configs) -> dict[str, Any]:
    """Without an input for the guidance it is schnell, distilled to few steps."""
    embedded = configs["transformer"].get("guidance_embeds")
    return {"steps": 28, "guidance": 3.5} if embedded else {"steps": 4, "guidance": 1.0}


FAMILY = Family(
    title="Flux",
    parts=(
        Part("text_encoder", "text_encoder", CLIP, pooled),
        Part("text_encoder_2", "text_encoder_2", T5, lambda m, s: t5("text_encoder_2", m, s, False)),
        Part("transformer", "transformer", ("FluxTransformer2DModel",), flux),
        Part("vae_decoder", "vae", AUTOENCODERS, vae_decoder),
        Part("vae_encoder", "vae", AUTOENCODERS, vae_encoder),
    ),
    pipeline=lambda configs: "FluxPipeline",
    validate=validate,
    defaults=defaults,
    denoiser="transformer",
    cells=lambda configs: PACKED,
    sample_size=128,  # its configuration has none
)
