"""T5's encoder (arXiv 1910.10683): relative positions in its attention, no limit to the length of a text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import networks
from .networks import Axes, Component, Shape


class _Encoder(networks._Forward):
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.m(input_ids, attention_mask, return_dict=False)[0]


class _StandIn(networks.StandIn):
    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        return BaseModelOutput(last_hidden_state=self._run(*(given[name] for name in self._component.inputs))[0])


def text_encoder(name: str, module: nn.Module, shape: Shape, masked: bool) -> Component:
    """`T5EncoderModel`. `masked`: the tokens of the text alone are attended to; otherwise the padding, too, as the family was trained."""
    tokens = {0: "batch_size", 1: "sequence_length"}
    inputs: Axes = {"input_ids": tokens} | ({"attention_mask": tokens} if masked else {})

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        ids = torch.randint(0, module.config.vocab_size, (shape.batch, shape.tokens), generator=generator)
        return (ids, text_mask(shape))[: len(inputs)]

    example = draw(shape, torch.Generator().manual_seed(0))
    return Component(name, module, _Encoder(module), inputs, {"last_hidden_state": tokens}, example, draw, call=_StandIn,
                     rounds_tokens=True)


def text_mask(shape: Shape) -> Tensor:
    """int64 [batch, tokens]: 1 where there is text, 0 behind it; every text is shorter than the one before."""
    lengths = [max(1, shape.tokens - shape.tokens * row // (shape.batch + 1)) for row in range(shape.batch)]
    return (torch.arange(shape.tokens) < torch.tensor(lengths)[:, None]).long()
