"""Adapters with random weights for a checkpoint with random weights: the same bits on every machine."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import nn

from . import controlnet
from .checkpoint import read_json
from .families import pixels_per_latent
from .families.family import UNETS
from .goldens import weights
from .hollow import build as hollow

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


@torch.no_grad()
def fill(module: nn.Module, name: str, seed: int = 0) -> None:
    """Gives a network the weights that `random_checkpoint.build_hollow` has for the folder `name`."""
    prefix = f"{seed}." if seed else ""
    for key, tensor in module.named_parameters():
        tensor.copy_(torch.from_numpy(weights.parameter(key, tuple(tensor.shape), f"{prefix}{name}.{key}")))
