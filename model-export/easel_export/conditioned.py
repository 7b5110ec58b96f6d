"""The U-Net with inputs beside the text: what ControlNets add to it, and a picture that an IP-Adapter makes it attend to.

optimum exports none of these, so the names are those that public exports share, which are diffusers' own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import networks
from .ip_adapter import ImagePrompt
from .networks import Axes, Component, Shape

RESIDUAL = "down_block_additional_residual_"
MIDDLE = "mid_block_additional_residual"
PICTURE, SCALE = "image_embeds", "ip_adapter_scale"


def skips(config: Any) -> list[tuple[int, int]]:
    """Channels, and how often the latents were halved, of what each skip connection carries; last, of the middle.

    `config` is that of a U-Net or of a ControlNet, which has the same first half.
    """
    widths = list(config["block_out_channels"])
    layers = config["layers_per_block"]
    layers = list(layers) if isinstance(layers, (list, tuple)) else [layers] * len(widths)
    found = [(widths[0], 0)]
    for level, (width, count) in enumerate(zip(widths, layers)):
        found += [(width, level)] * count
        if level + 1 < len(widths):
            found.append((width, level + 1))
    return [*found, (widths[-1], len(widths) - 1)]


def level_axes(level: int) -> dict[int, str]:
    """The axes of features on a level of the U-Net: the latents' own on the first."""
    end = f"_{level}" if level else ""
    return {0: "batch_size", 2: f"height{end}", 3: f"width{end}"}


def residual_inputs(config: Any) -> Axes:
    """What is added to each skip connection and to the middle."""
    *sides, middle = skips(config)
    inputs = {f"{RESIDUAL}{at}": level_axes(level) for at, (_, level) in enumerate(sides)}
    return inputs | {MIDDLE: level_axes(middle[1])}


def ip_processors(unet: nn.Module) -> list[Any]:
    """What computes the cross attentions of a U-Net with an IP-Adapter."""
    return [processor for processor in unet.attn_processors.values() if hasattr(processor, "to_k_ip")]


class _Conditioned(networks._Forward):
    def __init__(self, m: nn.Module, names: tuple[str, ...], plus: bool) -> None:
        super().__init__(m)
        self.names, self.plus = names, plus

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.names, inputs))
        added = {name: named.pop(name) for name in ("text_embeds", "time_ids") if name in named}
        residuals = tuple(named.pop(name) for name in self.names if name.startswith(RESIDUAL))
        processors: list[Any] = []
        if PICTURE in named:
            picture, scale = named.pop(PICTURE), named.pop(SCALE)
            # diffusers' axes are pictures (one), then for "Plus" what there is of each.
            added[PICTURE] = [picture.unsqueeze(1) if self.plus else picture]
            processors = ip_processors(self.m)
        try:
            for processor in processors:
                processor.scale = [scale]
            return self.m(**named, down_block_additional_residuals=residuals or None, added_cond_kwargs=added or None,
                          return_dict=False)[0]
        finally:
            for processor in processors:
                processor.scale = [1.0]


class _StandIn(networks.StandIn):
    def __call__(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, timestep_cond: Tensor | None = None,
                 added_cond_kwargs: dict[str, Any] | None = None, down_block_additional_residuals: Any = (),
                 mid_block_additional_residual: Tensor | None = None, **_: Any) -> tuple[Tensor, ...]:
        named = {"sample": sample, "timestep": timestep.to(torch.float32), "encoder_hidden_states": encoder_hidden_states,
                 "timestep_cond": timestep_cond, MIDDLE: mid_block_additional_residual, **(added_cond_kwargs or {})}
        named |= {f"{RESIDUAL}{at}": residual for at, residual in enumerate(down_block_additional_residuals)}
        if PICTURE in named:
            picture = named[PICTURE][0]
            named |= {PICTURE: picture.squeeze(1) if picture.ndim == 4 else picture,
                      SCALE: torch.tensor(float(ip_processors(self._component.module)[0].scale[0]))}
        return self._run(*(named[name] for name in self._component.inputs))


def unet(module: nn.Module, shape: Shape, residuals: bool, picture: ImagePrompt | None) -> Component:
    """`UNet2DConditionModel` that adds to its skip connections and to its middle what it is given, one Add each, or attends to a
    picture, too."""
    plain = networks.unet(module, shape)
    config = module.config
    inputs = plain.inputs | (residual_inputs(config) if residuals else {})
    if picture:
        inputs |= {PICTURE: {0: "batch_size"}, SCALE: {}}

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        b = shape.batch
        drawn = list(plain.draw(shape, generator))
        if residuals:
            sides = [[-(-side // 2**level) for side in (shape.rows, shape.columns)] for _, level in skips(config)]
            drawn += [torch.randn(b, channels, *side, generator=generator) for (channels, _), side in zip(skips(config), sides)]
        if picture:
            # Not 0, which torch looks at, and leaves the picture out: traced so, it would never be there.
            drawn += [torch.randn(b, picture.rows, picture.width, generator=generator), torch.tensor(0.75)]
        return tuple(drawn)

    forward = _Conditioned(module, tuple(inputs), picture is not None and picture.plus)
    example = draw(shape, torch.Generator().manual_seed(0))
    return Component("unet", module, forward, inputs, plain.outputs, example, draw, call=_StandIn)
