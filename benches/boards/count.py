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
from easel_export.classes import find_class
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
        elif func in (torch.matmul, torch.Tensor.matmul) and all(tensor.dim() == 4 for tensor in args[:2]):
            self.written_out(args[0], made)
        elif func in (F.group_norm, F.layer_norm, F.rms_norm):
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

    def written_out(self, left: torch.Tensor, made: torch.Tensor) -> None:
        """Attention as T5 has it: queries by keys are a square for each head, and the square by values."""
        work = made.numel() * left.shape[-1]
        if left.shape[-1] == left.shape[-2]:
            self.total["attention_pv_mac"] += work
        else:
            self.total["attention_qk_mac"] += work
            self.total["scores"] += made.numel()

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


def text_encoder(kind: str, config: dict, tokens: int) -> dict[str, int]:
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    if kind == "T5EncoderModel":
        with torch.device("meta"):
            model = T5EncoderModel(T5Config(**config)).eval()
            with Counting() as counting:
                model(torch.zeros(1, tokens, dtype=torch.int64))
        return dict(counting.total)
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
        more = {}
        if config.get("addition_embed_type") == "text_time":
            sizes = 6
            pooled = config["projection_class_embeddings_input_dim"] - sizes * config["addition_time_embed_dim"]
            more = dict(added_cond_kwargs=dict(text_embeds=torch.zeros(1, pooled), time_ids=torch.zeros(1, sizes)))
        with Counting() as counting:
            model(torch.zeros(1, config.get("in_channels", 4), *latents), torch.tensor(500), torch.zeros(1, tokens, width), **more)
    return dict(counting.total)


def transformer(kind: str, config: dict, latents: tuple[int, int], tokens: int) -> dict[str, int]:
    with torch.device("meta"):
        model = find_class(kind).from_config(config)
        channels = config.get("in_channels", 4)
        told = dict(hidden_states=torch.zeros(1, channels, *latents), timestep=torch.zeros(1))
        if kind == "SD3Transformer2DModel":
            told |= dict(encoder_hidden_states=torch.zeros(1, tokens, config["joint_attention_dim"]),
                         pooled_projections=torch.zeros(1, config["pooled_projection_dim"]))
        elif kind == "MiniT2IMMJiTModel":
            told |= dict(hidden_states=torch.zeros(1, 3, 512, 512),  # pixels
                         encoder_hidden_states=torch.zeros(1, tokens, model.config.txt_input_size),
                         encoder_attention_mask=torch.zeros(1, tokens, dtype=torch.int64))
            if model.config.mean_flow:
                told |= dict(step_length=torch.zeros(1), guidance=torch.zeros(1), guidance_interval=torch.zeros(1, 2))
        else:
            told |= dict(encoder_hidden_states=torch.zeros(1, tokens, config["caption_channels"]),
                         added_cond_kwargs=dict(resolution=None, aspect_ratio=None))
        with Counting() as counting:
            model(**told)
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
        "text_encoder": text_encoder("CLIPTextModel", text, tokens),
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


def published(kind: str, tiny: bool, tokens: int = TOKENS, without: tuple[str, ...] = ()) -> dict[str, dict[str, int]]:
    """A published architecture at 512x512, `without` some of its networks, with its own autoencoder or with TAESD, whose configuration is
    diffusers' default but for the channels. `tokens`: those that the denoiser attends to, and T5 reads."""
    latents = (64, 64)
    work: dict[str, dict[str, int]] = {}
    for component, (class_name, options) in ARCHITECTURES[kind].parts.items():
        if component in without:
            continue
        if component.startswith("text_encoder"):
            length = TOKENS if class_name.startswith("CLIP") else tokens
            work[component] = text_encoder(class_name, options, length)
        elif component == "unet":
            work[component] = unet(options, latents, tokens)
        elif component == "transformer":
            work[component] = transformer(class_name, options, latents, tokens)
        else:
            channels = options.get("latent_channels", 4)
            levels = len(options["block_out_channels"])
            whole = options | {
                "latent_channels": channels,
                "down_block_types": ("DownEncoderBlock2D",) * levels,
                "up_block_types": ("UpDecoderBlock2D",) * levels,
            }
            work["vae_decoder"] = vae_decoder({"latent_channels": channels} if tiny else whole, tiny, latents)
    return work


def main() -> int:
    work = {
        "pocket": pocket(),
        "sd15": published("sd15", False),
        "sd-turbo": published("sd21", True),
        "sdxl-turbo": published("sdxl-turbo", True),
        "pixart": published("pixart-alpha-512", True, tokens=120),
        # CLIP's tokens, and zeros in the place of T5's.
        "minit2i": published("minit2i", False, tokens=256),
        "minit2i-student": published("minit2i-student", False, tokens=256),
        "sd35-medium": published("sd35-medium", True, tokens=77 + 256, without=("text_encoder_3",)),
    }
    WORK.write_text(json.dumps(work, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
