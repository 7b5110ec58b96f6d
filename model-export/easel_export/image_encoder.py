"""CLIP's image encoder, as IP-Adapters use it.

The plain ones take the projected picture as a whole; "Plus" takes the features of all patches before the last layer, which is then
not exported.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from . import networks
from .families import Part
from .networks import Component, Shape

FOLDER = "image_encoder"
CLASSES = ("CLIPVisionModelWithProjection",)


# What is exported of the encoder, under its own names. Each module is called, none passed by: the tracer names weights by calls.


class _Layers(nn.Module):
    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, hidden: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=None, causal_attention_mask=None)[0]
        return hidden


class _Vision(nn.Module):
    def __init__(self, whole: nn.Module, plus: bool) -> None:
        super().__init__()
        self.embeddings, self.pre_layrnorm = whole.embeddings, whole.pre_layrnorm
        self.encoder = _Layers(whole.encoder.layers[:-1] if plus else whole.encoder.layers)
        self.post_layernorm = None if plus else whole.post_layernorm

    def forward(self, pixel_values: Tensor) -> Tensor:
        hidden = self.encoder(self.pre_layrnorm(self.embeddings(pixel_values)))
        return hidden if self.post_layernorm is None else self.post_layernorm(hidden[:, 0])


class _Used(nn.Module):
    def __init__(self, whole: nn.Module, plus: bool) -> None:
        super().__init__()
        self.vision_model = _Vision(whole.vision_model, plus)
        self.visual_projection = nn.Identity() if plus else whole.visual_projection

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.visual_projection(self.vision_model(pixel_values))


class _Encoder(networks._Forward):
    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.m(pixel_values)


class _StandIn(networks.StandIn):
    def __call__(self, pixel_values: Tensor, output_hidden_states: bool = False, **_: Any) -> Any:
        answer = self._run(pixel_values)[0]
        # The last but one is asked for.
        return SimpleNamespace(image_embeds=answer, hidden_states=(answer, None))


def component(module: nn.Module, plus: bool) -> Component:
    """`CLIPVisionModelWithProjection`."""
    side = module.config.image_size
    used = _Used(module, plus).eval()

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randn(shape.batch, 3, side, side, generator=generator),)

    one = Shape(0, 0, 0, batch=2)
    # What the file declares tells "Plus" from the plain.
    vision = module.vision_model.embeddings
    sizes = (vision.num_positions, vision.embed_dim) if plus else (module.config.projection_dim,)
    return Component(
        FOLDER, used, _Encoder(used), {"pixel_values": {0: "batch_size"}}, {"image_embeds": {0: "batch_size"}},
        draw(one, torch.Generator().manual_seed(0)), draw, call=_StandIn,
        sizes={"image_embeds": sizes})


def part(plus: bool) -> Part:
    """The image encoder as a part of a family."""
    return Part(FOLDER, FOLDER, CLASSES, lambda module, shape: component(module, plus))
