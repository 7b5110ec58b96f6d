"""Stable Diffusion 3 and 3.5: two CLIP encoders and T5's read the prompt, and a transformer has text and latents in one attention.

T5's encoder may be missing; the text's second part is then zeros.
"""

from __future__ import annotations

from .. import UsageError
from ..diffusion_transformers import sd3
from ..networks import text_encoder, vae_decoder, vae_encoder
from ..t5 import text_encoder as t5
from .family import AUTOENCODERS, CLIP_PROJECTED, T5, Configs, Family, Part, require_equal, require_latents, require_text


def validate(configs: Configs) -> None:
    """The texts fit the transformer: CLIP's, side by side, are no wider than T5's, and their wholes make the pooled text."""
    config = configs["transformer"]
    require_text(configs, "joint_attention_dim", "text_encoder_3")
    require_latents(configs)
    clips = [configs[name] for name in ("text_encoder", "text_encoder_2") if name in configs]
    if len(clips) == 2:
        pooled, wide = (sum(clip.get(key, 512) for clip in clips) for key in ("projection_dim", "hidden_size"))
        require_equal(config.get("pooled_projection_dim"), pooled, "pooled_projection_dim", "the CLIP encoders' projection_dim make")
        if wide > config.get("joint_attention_dim"):
            raise UsageError(f"transformer/config.json: joint_attention_dim is less than the CLIP encoders' hidden_size together, {wide}")


FAMILY = Family(
    title="Stable Diffusion 3",
    parts=(
        Part("text_encoder", "text_encoder", CLIP_PROJECTED, lambda m, s: text_encoder("text_encoder", m, s, True)),
        Part("text_encoder_2", "text_encoder_2", CLIP_PROJECTED, lambda m, s: text_encoder("text_encoder_2", m, s, True)),
        Part("text_encoder_3", "text_encoder_3", T5, lambda m, s: t5("text_encoder_3", m, s, False), optional=True),
        Part("transformer", "transformer", ("SD3Transformer2DModel",), sd3),
        Part("vae_decoder", "vae", AUTOENCODERS, vae_decoder),
        Part("vae_encoder", "vae", AUTOENCODERS, vae_encoder),
    ),
    pipeline=lambda configs: "StableDiffusion3Pipeline",
    validate=validate,
    defaults=lambda configs: {"steps": 28, "guidance": 7.0},
    denoiser="transformer",
    cells=lambda configs: configs["transformer"].get("patch_size", 2),
)
