"""The denoisers that are transformers: PixArt's, Stable Diffusion 3's, Flux's, MiniT2I's.

Names of inputs and outputs are optimum's; those that optimum lacks, PixArt and MiniT2I, have diffusers'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from diffusers.models.transformers import transformer_flux
from torch import Tensor, nn

from . import networks
from .minit2i import INTERVAL
from .networks import Axes, Component, Shape
from .t5 import text_mask

TEXT: dict[int, str] = {0: "batch_size", 1: "sequence_length"}
LATENTS: dict[int, str] = {0: "batch_size", 2: "height", 3: "width"}
EACH: dict[int, str] = {0: "batch_size"}
# Of Flux: two by two latents are one token.
PACKED = 2
# A timestep to trace at; Flux counts from 0 to 1.
_TIMESTEP = 321.0


def _component(module: nn.Module, shape: Shape, inputs: Axes, answer: dict[int, str], forward: type, call: type,
               made: Callable[[Shape, torch.Generator], dict[str, Tensor]]) -> Component:
    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        drawn = made(shape, generator)
        return tuple(drawn[name] for name in inputs)

    example = draw(shape, torch.Generator().manual_seed(0))
    return Component("transformer", module, forward(module), inputs, {"out_hidden_states": answer}, example, draw, call=call,
                     rounds_tokens=True)


class _StandIn(networks.StandIn):
    """What SD3's and Flux's pipelines call."""

    def __call__(self, **given: Any) -> tuple[Tensor, ...]:
        example = dict(zip(self._component.inputs, self._component.example))
        return self._run(*(given[name].to(like.dtype) for name, like in example.items()))


# -- PixArt (arXiv 2310.00426) ------------------------------------------------------------------------------------------


class PixArt(networks._Forward):
    """`PixArtTransformer2DModel`, in which the positions are computed from the latents' size: diffusers' own computes them outside of
    what is traced, and the file would be for one size."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__(m)
        self.patch, self.channels, self.width = m.config.patch_size, m.out_channels, m.inner_dim
        self.grid, self.scale = m.pos_embed.base_size, m.pos_embed.interpolation_scale

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, timestep: Tensor,
                resolution: Tensor | None = None, aspect_ratio: Tensor | None = None) -> Tensor:
        m, p = self.m, self.patch
        rows, columns = hidden_states.shape[2] // p, hidden_states.shape[3] // p
        x = m.pos_embed.proj(hidden_states).flatten(2).transpose(1, 2)  # [b, tokens, width]
        x = x + self.positions(rows, columns)
        sizes = {"resolution": resolution, "aspect_ratio": aspect_ratio}
        modulation, time = m.adaln_single(timestep, sizes, batch_size=hidden_states.shape[0], hidden_dtype=x.dtype)
        text = m.caption_projection(encoder_hidden_states)
        bias = ((1 - encoder_attention_mask.to(x.dtype)) * -10000.0).unsqueeze(1)  # [b, 1, text]
        for block in m.transformer_blocks:
            x = block(x, encoder_hidden_states=text, encoder_attention_mask=bias, timestep=modulation)
        shift, scale = (m.scale_shift_table[None] + time[:, None]).chunk(2, dim=1)  # each [b, 1, width]
        x = m.proj_out(m.norm_out(x) * (1 + scale) + shift)
        x = x.reshape(-1, rows, columns, p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(-1, self.channels, rows * p, columns * p)

    def positions(self, rows: int, columns: int) -> Tensor:
        """Sines and cosines of a patch's column, then of its row: [1, rows * columns, width]. A picture of any size spans the
        positions of one of the trained size."""
        quarter = self.width // 4
        frequencies = (1 / 10000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)).float()

        def waves(count: int) -> Tensor:
            step = self.grid / self.scale
            angles = (torch.arange(count).float() * step / count)[:, None] * frequencies
            return torch.cat([angles.sin(), angles.cos()], dim=1)  # [count, width / 2]

        across, down = waves(columns)[None].expand(rows, -1, -1), waves(rows)[:, None].expand(-1, columns, -1)
        return torch.cat([across, down], dim=2).reshape(1, -1, self.width)


class _PixArtStandIn(networks.StandIn):
    def __call__(self, hidden_states: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, timestep: Tensor,
                 added_cond_kwargs: dict[str, Tensor | None] | None = None, **_: Any) -> tuple[Tensor, ...]:
        given = {"hidden_states": hidden_states, "encoder_hidden_states": encoder_hidden_states,
                 "encoder_attention_mask": encoder_attention_mask.long(), "timestep": timestep.float(), **(added_cond_kwargs or {})}
        return self._run(*(given[name] for name in self._component.inputs))


def pixart(module: nn.Module, shape: Shape) -> Component:
    """`PixArtTransformer2DModel`: alpha, the 1024-pixel one of which also takes the picture's size, and Sigma."""
    config = module.config
    inputs: Axes = {
        "hidden_states": LATENTS, "encoder_hidden_states": TEXT, "encoder_attention_mask": TEXT, "timestep": EACH}
    if module.use_additional_conditions:
        inputs |= {"resolution": EACH, "aspect_ratio": EACH}

    def made(s: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "hidden_states": torch.randn(s.batch, config.in_channels, s.rows, s.columns, generator=generator),
            "encoder_hidden_states": torch.randn(s.batch, s.tokens, config.caption_channels, generator=generator),
            "encoder_attention_mask": text_mask(s),
            "timestep": torch.full((s.batch,), _TIMESTEP),
            "resolution": torch.tensor([[8.0 * s.rows, 8.0 * s.columns]] * s.batch),
            "aspect_ratio": torch.tensor([[s.rows / s.columns]] * s.batch),
        }

    return _component(module, shape, inputs, LATENTS, PixArt, _PixArtStandIn, made)


# -- Stable Diffusion 3 (arXiv 2403.03206) ------------------------------------------------------------------------------


class SD3(networks._Forward):
    """`SD3Transformer2DModel`, whose table of positions is stored as two: what it says of a patch's column, and of its row. The table of
    3.5 has 906 MB, of which a picture of 1024 x 1024 pixels reads a thirty-sixth."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__(m)
        side = m.pos_embed.pos_embed_max_size
        table = m.pos_embed.pos_embed.reshape(side, side, -1)
        half = table.shape[2] // 2
        across, down = table[0, :, :half], table[:, 0, half:]
        self.separable = bool((table[:, :, :half] == across).all() and (table[:, :, half:] == down[:, None]).all())
        # Not parameters: a trace without weights has them.
        self.tables = across.clone(), down.clone()

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, pooled_projections: Tensor, timestep: Tensor) -> Tensor:
        given = (hidden_states, encoder_hidden_states, pooled_projections, timestep)
        if not self.separable:
            return self.m(*given, return_dict=False)[0]
        with mock.patch.object(self.m.pos_embed, "cropped_pos_embed", self.positions):
            return self.m(*given, return_dict=False)[0]

    def positions(self, height: int, width: int) -> Tensor:
        """Of the patches of `height` x `width` latents, which lie in the middle of the table: [1, patches, width of the network]."""
        across, down = self.tables
        patch = self.m.pos_embed.patch_size
        rows, columns = height // patch, width // patch
        top, left = (down.shape[0] - rows) // 2, (across.shape[0] - columns) // 2
        across, down = across[None, left : left + columns].expand(rows, -1, -1), down[top : top + rows, None].expand(-1, columns, -1)
        return torch.cat([across, down], dim=2).reshape(1, -1, 2 * across.shape[2])


def sd3(module: nn.Module, shape: Shape) -> Component:
    """`SD3Transformer2DModel`: Stable Diffusion 3 and 3.5."""
    config = module.config
    inputs: Axes = {"hidden_states": LATENTS, "encoder_hidden_states": TEXT, "pooled_projections": EACH, "timestep": EACH}

    def made(s: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "hidden_states": torch.randn(s.batch, config.in_channels, s.rows, s.columns, generator=generator),
            "encoder_hidden_states": torch.randn(s.batch, s.tokens, config.joint_attention_dim, generator=generator),
            "pooled_projections": torch.randn(s.batch, config.pooled_projection_dim, generator=generator),
            "timestep": torch.full((s.batch,), _TIMESTEP),
        }

    return _component(module, shape, inputs, LATENTS, SD3, _StandIn, made)


# -- Flux ---------------------------------------------------------------------------------------------------------------


def _rotate(x: Tensor, waves: tuple[Tensor, Tensor], sequence_dim: int) -> Tensor:
    """Turns each two neighbours of the last axis of `x` [b, tokens, heads, width] by the angle of their token (arXiv 2104.09864).

    diffusers' own takes the neighbours apart with a reshape, whose sizes the tracer writes down as numbers.
    """
    cos, sin = (wave[None, :, None] for wave in waves)  # [1, tokens, 1, width]
    turned = torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(3)
    return x * cos + turned * sin


class _Flux(networks._Forward):
    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, pooled_projections: Tensor, timestep: Tensor,
                img_ids: Tensor, txt_ids: Tensor, guidance: Tensor | None = None) -> Tensor:
        with mock.patch.object(transformer_flux, "apply_rotary_emb", _rotate):
            return self.m(hidden_states, encoder_hidden_states, pooled_projections, timestep, img_ids, txt_ids, guidance,
                          return_dict=False)[0]


def flux(module: nn.Module, shape: Shape) -> Component:
    """`FluxTransformer2DModel`: schnell, and dev, which takes the guidance as an input."""
    config = module.config
    packed = {0: "batch_size", 1: "packed_height_width"}
    inputs: Axes = {
        "hidden_states": packed, "encoder_hidden_states": TEXT, "pooled_projections": EACH, "timestep": EACH,
        "img_ids": {0: "packed_height_width"}, "txt_ids": {0: "sequence_length"}}
    if config.guidance_embeds:
        inputs |= {"guidance": EACH}

    def made(s: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        rows, columns = math.ceil(s.rows / PACKED), math.ceil(s.columns / PACKED)
        return {
            "hidden_states": torch.randn(s.batch, rows * columns, config.in_channels, generator=generator),
            "encoder_hidden_states": torch.randn(s.batch, s.tokens, config.joint_attention_dim, generator=generator),
            "pooled_projections": torch.randn(s.batch, config.pooled_projection_dim, generator=generator),
            "timestep": torch.full((s.batch,), _TIMESTEP / 1000),
            "img_ids": torch.tensor([[0, row, column] for row in range(rows) for column in range(columns)]),
            "txt_ids": torch.zeros(s.tokens, 3, dtype=torch.int64),
            "guidance": torch.full((s.batch,), 3.5),
        }

    return _component(module, shape, inputs, packed, _Flux, _StandIn, made)


# -- MiniT2I ------------------------------------------------------------------------------------------------------------


class _MiniT2I(networks._Forward):
    def forward(self, *inputs: Tensor) -> Tensor:
        return self.m(*inputs)[0]


def minit2i(module: nn.Module, shape: Shape) -> Component:
    """`MiniT2IMMJiTModel`: the teacher, and the student, which takes the guidance and the length of the step as inputs."""
    config = module.config
    inputs: Axes = {"hidden_states": LATENTS, "encoder_hidden_states": TEXT, "encoder_attention_mask": TEXT, "timestep": EACH}
    if config.mean_flow:
        inputs |= {"step_length": EACH, "guidance": EACH, "guidance_interval": EACH}

    def made(s: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "hidden_states": torch.randn(s.batch, config.in_channels, s.rows, s.columns, generator=generator),
            "encoder_hidden_states": torch.randn(s.batch, s.tokens, config.txt_input_size, generator=generator),
            "encoder_attention_mask": text_mask(s),
            "timestep": torch.full((s.batch,), 0.75),
            "step_length": torch.full((s.batch,), 0.25),
            "guidance": torch.full((s.batch,), 6.0),
            "guidance_interval": torch.tensor([INTERVAL] * s.batch),
        }

    component = _component(module, shape, inputs, LATENTS, _MiniT2I, _StandIn, made)
    # The text is not looked at behind the last block.
    last = f"model.net.double_blocks.{config.depth_double - 1}.txt_"
    return replace(component, idle=(f"{last}attn_proj", f"{last}mlp"))
