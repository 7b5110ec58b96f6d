"""PixArt-alpha and Sigma: T5's encoder alone reads the prompt, and a transformer that attends to it takes the noise away.

The padding of a text is masked, in the encoder and in the transformer. The prediction has twice the channels of the latents: the second
half, a variance, is not used.
"""

from __future__ import annotations

from typing import Any

from .. import UsageError
from ..diffusion_transformers import pixart
from ..networks import vae_decoder, vae_encoder
from ..t5 import text_encoder
from .family import AUTOENCODERS, T5, Configs, Family, Part, require_equal, require_latents, require_text


def validate(configs: Configs) -> None:
    """The transformer projects T5's features, and sees latents."""
    config = configs["transformer"]
    if config.get("caption_channels") is None:
        raise UsageError("transformer/config.json: caption_channels is missing; a PixArt that takes no text is not supported")
    require_text(configs, "caption_channels", "text_encoder")
    require_latents(configs)
    require_equal(config.get("out_channels") or config["in_channels"], 2 * config["in_channels"], "out_channels", "in_channels twice is")


def pipeline(alpha: bool) -> Any:
    """diffusers' class."""
    return lambda configs: "PixArtAlphaPipeline" if alpha else "PixArtSigmaPipeline"


def family(title: str, alpha: bool) -> Family:
    """Alpha and Sigma differ in the longest text alone, of which their pipelines know."""
    return Family(
        title=title,
        parts=(
            Part("text_encoder", "text_encoder", T5, lambda m, s: text_encoder("text_encoder", m, s, True)),
            Part("transformer", "transformer", ("PixArtTransformer2DModel",), pixart),
            Part("vae_decoder", "vae", AUTOENCODERS, vae_decoder),
            Part("vae_encoder", "vae", AUTOENCODERS, vae_encoder),
        ),
        pipeline=pipeline(alpha),
        validate=validate,
        defaults=lambda configs: {"steps": 20, "guidance": 4.5},
        denoiser="transformer",
        cells=lambda configs: configs["transformer"].get("patch_size", 2),
        # The size that is asked for, not the nearest of a list; the prompt as it is, but for its case.
        told={"use_resolution_binning": False, "clean_caption": False},
    )


ALPHA, SIGMA = family("PixArt-alpha", True), family("PixArt-Sigma", False)
