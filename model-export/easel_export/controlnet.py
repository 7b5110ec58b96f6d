"""ControlNet (arXiv 2302.05543): a copy of the U-Net's first half that sees a hint picture and gives what is added to the U-Net.

A checkpoint of diffusers' `ControlNetModel`; several paint together, what they give is added up.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from . import UsageError, networks
from .conditioned import level_axes, skips
from .families import Configs, Part, pixels_per_latent
from .networks import Axes, Component, Shape, pooled_width

FOLDER = "controlnet"
CLASSES = ("ControlNetModel",)
# diffusers' pipeline without and with ControlNets.
PIPELINES = {
    "StableDiffusionPipeline": "StableDiffusionControlNetPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLControlNetPipeline",
    # Takes the guidance as an input, too.
    "LatentConsistencyModelPipeline": "StableDiffusionControlNetPipeline",
}


def folder(number: int) -> str:
    """Where the ControlNet `number` is: diffusers' way of counting several."""
    return f"{FOLDER}_{number}" if number else FOLDER


# -- The network --------------------------------------------------------------------------------------------------------


class _ControlNet(networks._Forward):
    def __init__(self, m: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__(m)
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.names, inputs))
        added = {name: named.pop(name) for name in ("text_embeds", "time_ids") if name in named}
        sides, middle = self.m(**named, added_cond_kwargs=added or None, return_dict=False)
        return (*sides, middle)


class _StandIn(networks.StandIn):
    def __call__(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, controlnet_cond: Tensor,
                 conditioning_scale: float = 1.0, added_cond_kwargs: dict[str, Tensor] | None = None,
                 **_: Any) -> tuple[list[Tensor], Tensor]:
        named = {"sample": sample, "timestep": timestep.to(torch.float32), "encoder_hidden_states": encoder_hidden_states,
                 "controlnet_cond": controlnet_cond, "conditioning_scale": torch.tensor(float(conditioning_scale)),
                 **(added_cond_kwargs or {})}
        *sides, middle = self._run(*(named[name] for name in self._component.inputs))
        return sides, middle


def component(name: str, module: nn.Module, shape: Shape) -> Component:
    """`ControlNetModel`, its scale an input."""
    config = module.config
    factor = hint_pixels(config)
    inputs: Axes = {
        "sample": level_axes(0),
        "timestep": {},
        "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
    }
    if config.addition_embed_type == "text_time":
        inputs |= {"text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"}}
    # Called otherwise than the latents' axes, which are other numbers.
    inputs |= {"controlnet_cond": {0: "batch_size", 2: "image_height", 3: "image_width"}, "conditioning_scale": {}}
    *sides, middle = skips(config)
    outputs = {f"down_block_res_sample_{at}": level_axes(level) for at, (_, level) in enumerate(sides)}
    outputs["mid_block_res_sample"] = level_axes(middle[1])

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        b = shape.batch

        def normal(*dims: int) -> Tensor:
            return torch.randn(*dims, generator=generator)

        made = {
            "sample": lambda: normal(b, config.in_channels, shape.rows, shape.columns),
            "timestep": lambda: torch.tensor(321.0),
            "encoder_hidden_states": lambda: normal(b, shape.tokens, config.cross_attention_dim),
            "text_embeds": lambda: normal(b, pooled_width(config)),
            "time_ids": lambda: torch.randint(0, 1024, (b, networks.TIME_IDS), generator=generator).float(),
            "controlnet_cond": lambda: torch.rand(b, 3, shape.rows * factor, shape.columns * factor, generator=generator),
            "conditioning_scale": lambda: torch.tensor(0.75),
        }
        return tuple(made[name]() for name in inputs)

    return Component(
        name, module, _ControlNet(module, tuple(inputs)), inputs, outputs, draw(shape, torch.Generator().manual_seed(0)), draw,
        tuple(range(len(outputs))), _StandIn, together=True)


def part(number: int) -> Part:
    """The ControlNet `number` as a part of a family."""
    name = folder(number)
    return Part(name, name, CLASSES, lambda module, shape: component(name, module, shape))


# -- What fits ----------------------------------------------------------------------------------------------------------


def hint_pixels(config: Any) -> int:
    """How many pixels of the hint picture a cell of the latents has, each way."""
    return 2 ** (len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1)


def require_fit(configs: Configs, name: str, where: Path) -> None:
    """Refuses the ControlNet `name` of the checkpoint `where` if the U-Net cannot add what it gives."""
    unet, net = configs["unet"], configs[name]
    channels = unet.get("out_channels", 4)
    if unet.get("in_channels", 4) != channels:
        raise UsageError(f"--controlnet {where}: is for U-Nets that see latents alone; this one's in_channels is {unet['in_channels']}")

    def refuse(what: str) -> None:
        raise UsageError(f"--controlnet {where}: {what}; take one that was made for this kind of model")

    usual = {"block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2}
    if skips(usual | net) != skips(usual | unet):
        refuse(f"block_out_channels {_widths(net)} with {net.get('layers_per_block', 2)} layers each are not "
               f"the U-Net's {_widths(unet)} with {unet.get('layers_per_block', 2)}")
    same = {"cross_attention_dim": 1280, "addition_embed_type": None, "addition_time_embed_dim": None,
            "projection_class_embeddings_input_dim": None}
    for key, default in same.items():
        if net.get(key, default) != unet.get(key, default):
            refuse(f"{key} is {net.get(key, default)!r}, the U-Net's is {unet.get(key, default)!r}")
    if net.get("in_channels", 4) != channels:
        refuse(f"in_channels is {net.get('in_channels', 4)}, the latents have {channels}")
    if net.get("conditioning_channels", 3) != 3:
        refuse(f"conditioning_channels is {net['conditioning_channels']}, a hint picture has 3")
    if hint_pixels(net) != pixels_per_latent(configs["vae"]):
        refuse(f"a cell has {hint_pixels(net)} pixels of the hint, {pixels_per_latent(configs['vae'])} of the picture")
    for key in ("class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type", "global_pool_conditions"):
        if net.get(key):
            refuse(f"{key}={net[key]!r} is not supported")


def _widths(config: dict[str, Any]) -> list[int]:
    return list(config.get("block_out_channels", (320, 640, 1280, 1280)))


# -- In diffusers' pipeline ---------------------------------------------------------------------------------------------


def exchanged(several: Any, stand_ins: list[Any]) -> Any:
    """diffusers' `MultiControlNetModel` with other networks in it."""
    other = copy.copy(several)
    object.__setattr__(other, "nets", stand_ins)
    return other


def hint(height: int, width: int) -> Image.Image:
    """A drawing in white on black, as many ControlNets are trained on, for calibration: outlines, a grey area, nothing."""
    picture = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(picture)
    x, y = np.array([0.1, 0.6]) * width, np.array([0.2, 0.8]) * height
    thick = max(1, min(width, height) // 64)
    pen.rectangle([x[0], y[0], x[1], y[1]], outline="white", width=thick)
    pen.ellipse([0.4 * width, 0.1 * height, 0.9 * width, 0.7 * height], outline=(255, 128, 0), width=thick)
    pen.polygon([(0.7 * width, 0.95 * height), (0.95 * width, 0.75 * height), (0.9 * width, height - 1)], fill=(90, 90, 160))
    return picture
