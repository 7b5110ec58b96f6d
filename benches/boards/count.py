"""What one pass of each network asks of a machine: multiply-accumulates and tensors by kind, without weights or arithmetic.

    .venv/bin/python benches/boards/count.py

writes `work.json` beside this file, which `predict.py` reads. The networks are built by diffusers and transformers on torch's meta device,
which has shapes and no data, from the configurations that they are exported from; what they call is counted. For the default model
`onnx_count.py` counts the same in the ONNX files (the tests compare the two); for Stable Diffusion 1.5 the products are those that
`easel bench --explain` tells, see docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from easel_export.architectures import ARCHITECTURES
from torch.overrides import TorchFunctionMode

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WORK = HERE / "work.json"
# docs/engine.md: convolutions from or to so few channels have 16-bit activations.
FEW_CHANNELS = 8
TOKENS = 77
ACTIVATIONS = {F.silu, F.gelu, F.relu, torch.relu, torch.sigmoid, torch.tanh}


class Counting(TorchFunctionMode):
    """Counts what torch is asked to do. `decoder`: height of a decoder's latents, whose first convolutions are finer (docs/engine.md)."""

    def __init__(self, decoder: int | None = None):
        super().__init__()
        self.total: Counter[str] = Counter()
        self.decoder = decoder
        self.resized: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is F.linear:
            self.product("pixel_int8", args[0], args[1], made, args[1].shape[1])
        elif func is F.conv2d:
            self.convolution(args[0], args[1], made)
        elif func is F.scaled_dot_product_attention:
            query, key, value = args[:3]
            scores = prod(query.shape[:-1]) * key.shape[-2]
            self.total["attention_qk_mac"] += scores * query.shape[-1]
            self.total["attention_pv_mac"] += scores * value.shape[-1]
            self.total["scores"] += scores
        elif func in (F.group_norm, F.layer_norm):
            self.total["normed"] += args[0].numel()
        elif func in ACTIVATIONS:
            self.total["activated"] += made.numel()
        elif func is F.interpolate:
            self.resized.append(made)
            self.total["copied"] += made.numel()
        elif func is torch.cat and made.dim() == 4 and made.shape[-1] > 2:
            self.total["copied"] += made.numel()
        elif func in (torch.Tensor.add, torch.Tensor.__add__, torch.add):
            both = [tensor for tensor in args[:2] if isinstance(tensor, torch.Tensor)]
            if len(both) == 2 and all(tensor.dim() > 2 for tensor in both):
                self.total["added"] += made.numel()
        return made

    def convolution(self, image: torch.Tensor, weight: torch.Tensor, made: torch.Tensor) -> None:
        window = prod(weight.shape[2:])
        few = min(weight.shape[:2]) <= FEW_CHANNELS
        early = self.decoder is not None and made.shape[-1] <= 2 * self.decoder
        fine = few or early or any(image is tensor for tensor in self.resized)
        kind = "pixel_int8" if window == 1 else "window_int16" if fine else "window_int8"
        self.product(kind, image, weight, made, weight.shape[1] * window)

    def product(self, kind: str, read: torch.Tensor, weight: torch.Tensor, made: torch.Tensor, depth: int) -> None:
        self.total[f"{kind}_mac"] += made.numel() * depth
        self.total["product_read"] += read.numel()
        self.total["product_written"] += made.numel()
        self.total["weights"] += weight.numel()


def text_encoder(config: dict) -> dict[str, int]:
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        model = CLIPTextModel(CLIPTextConfig(**config, attn_implementation="sdpa"))
        ids = torch.zeros(1, config.get("max_position_embeddings", TOKENS), dtype=torch.int64)
        with Counting() as counting:
            model.text_model.encoder(inputs_embeds=model.text_model.embeddings(ids))
        counting.total["normed"] += model.text_model.final_layer_norm.normalized_shape[0] * ids.numel()
    return dict(counting.total)


def unet(config: dict, latents: tuple[int, int], tokens: int) -> dict[str, int]:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel.from_config(config)
        width = config["cross_attention_dim"]
        with Counting() as counting:
            model(torch.zeros(1, config.get("in_channels", 4), *latents), torch.tensor(500), torch.zeros(1, tokens, width))
    return dict(counting.total)


def vae_decoder(config: dict, tiny: bool, latents: tuple[int, int]) -> dict[str, int]:
    import diffusers

    kind = diffusers.AutoencoderTiny if tiny else diffusers.AutoencoderKL
    with torch.device("meta"):
        model = kind.from_config(config)
        with Counting(latents[0]) as counting:
            model.decode(torch.zeros(1, config.get("latent_channels", 4), *latents))
    return dict(counting.total)


def count(text: dict, denoiser: dict, autoencoder: dict, tiny: bool, latents: tuple[int, int]) -> dict[str, dict[str, int]]:
    """One pass of each network for one picture."""
    tokens = text.get("max_position_embeddings", TOKENS)
    return {
        "text_encoder": text_encoder(text),
        "unet": unet(denoiser, latents, tokens),
        "vae_decoder": vae_decoder(autoencoder, tiny, latents),
    }


def pocket() -> dict[str, dict[str, int]]:
    """The default model at 128x128."""
    folder = ROOT / "models/pocket"
    text, denoiser, autoencoder = (
        json.loads((folder / part / "config.json").read_text()) for part in ("text_encoder", "unet", "vae_decoder")
    )
    return count(text, denoiser, autoencoder, autoencoder["_class_name"] == "AutoencoderTiny", (16, 16))


def published(kind: str, tiny: bool) -> dict[str, dict[str, int]]:
    """A published architecture at 512x512, with its own autoencoder or with TAESD, whose configuration is diffusers' default."""
    architecture = ARCHITECTURES[kind]
    levels = len(architecture.vae["block_out_channels"])
    autoencoder = {} if tiny else architecture.vae | {
        "latent_channels": 4,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
    }
    return count(architecture.text, architecture.unet, autoencoder, tiny, (64, 64))


def main() -> int:
    work = {"pocket": pocket(), "sd15": published("sd15", False), "sd-turbo": published("sd21", True)}
    WORK.write_text(json.dumps(work, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
