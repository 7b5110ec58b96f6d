"""Adapters with random weights for a checkpoint with random weights: the same bits on every machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import controlnet, image_encoder
from .checkpoint import read_json
from .families import pixels_per_latent
from .families.family import UNETS
from .goldens import weights
from .hollow import build as hollow

FOLDER = "ip_adapter"
# OpenCLIP's ViT-H/14, the image encoder of most adapters; a tiny one with patches of 8 pixels.
_VIT_H = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, projection_dim=1024,
              image_size=224, patch_size=14, hidden_act="gelu")
_VIT_TINY = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, projection_dim=24,
                 image_size=32, patch_size=8, hidden_act="gelu")
# Channels of what sees the hint picture, halved between each two.
_HINT = (16, 32, 96, 256)


def add_controlnet(checkpoint: Path, number: int, seed: int = 0, hollow_weights: bool = False) -> Path:
    """Saves the ControlNet `number` for `checkpoint` in a folder of it, or all of it but its weights; returns the folder.

    No convolution of it is zero, as they are before training: what it says shows.
    """
    from accelerate import init_empty_weights
    from diffusers import ControlNetModel

    name = controlnet.folder(number)
    unet = hollow("unet", read_json(checkpoint / "unet" / "config.json"), UNETS)
    halvings = pixels_per_latent(read_json(checkpoint / "vae" / "config.json")).bit_length() - 1
    with init_empty_weights() if hollow_weights else contextlib.nullcontext():
        net = ControlNetModel.from_unet(
            unet, load_weights_from_unet=False, conditioning_embedding_out_channels=_HINT[: halvings + 1])
    if hollow_weights:
        net.save_config(checkpoint / name)
    else:
        fill(net, name, seed)
        net.save_pretrained(checkpoint / name)
    return checkpoint / name


def add_ip_adapter(checkpoint: Path, plus: bool, seed: int = 0, hollow_weights: bool = False) -> Path:
    """Saves an IP-Adapter for `checkpoint` in a folder of it, and its image encoder, that one perhaps without weights; returns the
    adapter's file."""
    from accelerate import init_empty_weights
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = read_json(checkpoint / "unet" / "config.json")
    large = config["cross_attention_dim"] >= 768
    vision = CLIPVisionConfig(**(_VIT_H if large else _VIT_TINY))
    with init_empty_weights() if hollow_weights else contextlib.nullcontext():
        encoder = CLIPVisionModelWithProjection(vision)
    folder = checkpoint / FOLDER
    if hollow_weights:
        vision.architectures = [type(encoder).__name__]
        vision.save_pretrained(folder / image_encoder.FOLDER)
    else:
        fill(encoder, image_encoder.FOLDER, seed)
        encoder.save_pretrained(folder / image_encoder.FOLDER)

    prefix = f"{seed}." if seed else ""
    unet = hollow("unet", config, UNETS)
    shapes = (_resampler(vision, config["cross_attention_dim"], large) if plus else {
        "proj.weight": (4 * config["cross_attention_dim"], vision.projection_dim), "proj.bias": (4 * config["cross_attention_dim"],),
        "norm.weight": (config["cross_attention_dim"],), "norm.bias": (config["cross_attention_dim"],)})
    shapes = {f"image_proj.{name}": shape for name, shape in shapes.items()}
    modules = dict(unet.named_modules())
    for number, name in enumerate(unet.attn_processors):
        attention = modules[name.removesuffix(".processor")]
        if attention.is_cross_attention:
            for side in ("to_k", "to_v"):
                shapes[f"ip_adapter.{number}.{side}_ip.weight"] = tuple(getattr(attention, side).weight.shape)
    tensors = {name: torch.from_numpy(weights.parameter(name, shape, f"{prefix}ip_adapter.{name}")) for name, shape in shapes.items()}
    file = folder / f"ip-adapter{'-plus' if plus else ''}.safetensors"
    save_file(tensors, file)
    return file


def _resampler(vision: Any, made: int, large: bool) -> dict[str, tuple[int, ...]]:
    """What "Plus" has in the projection's place: four layers, heads of 64, as published."""
    width, inner, queries = (768, 768, 16) if large else (32, 64, 4)
    shapes = {"latents": (1, queries, width), "proj_in.weight": (width, vision.hidden_size), "proj_in.bias": (width,),
              "proj_out.weight": (made, width), "proj_out.bias": (made,), "norm_out.weight": (made,), "norm_out.bias": (made,)}
    for layer in range(4):
        attention, forward = f"layers.{layer}.0", f"layers.{layer}.1"
        for norm in (f"{attention}.norm1", f"{attention}.norm2", f"{forward}.0"):
            shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        shapes |= {f"{attention}.to_q.weight": (inner, width), f"{attention}.to_kv.weight": (2 * inner, width),
                   f"{attention}.to_out.weight": (width, inner),
                   f"{forward}.1.weight": (4 * width, width), f"{forward}.3.weight": (width, 4 * width)}
    return shapes


@torch.no_grad()
def fill(module: nn.Module, name: str, seed: int = 0) -> None:
    """Gives a network the weights that `random_checkpoint.build_hollow` has for the folder `name`."""
    prefix = f"{seed}." if seed else ""
    for key, tensor in module.named_parameters():
        tensor.copy_(torch.from_numpy(weights.parameter(key, tuple(tensor.shape), f"{prefix}{name}.{key}")))
