"""Texts: prompts of several chunks, weights and layers left out; and text encoders as other exporters write them.

The reference is diffusers' pipeline, given embeddings that are made here by the rules of `src/prompt.rs` and `src/tokenizer.rs`: each
run of one weight is tokenized by itself; 75 tokens are a chunk, framed and padded; a shorter text gets empty chunks until both halves of
guidance have as many; in what an encoder gives for a chunk, each position is multiplied by its weight, and the chunk by what
restores its mean. Weights do not touch the text as a whole, which is that of the first chunk. So it is in AUTOMATIC1111's web interface
(each encoder of Stable Diffusion XL for itself, `zs[0].pooled`), and so ComfyUI takes the first chunk's; sd_embed takes the last one's,
and compel cuts the text for it.

`clip_skip` counts as diffusers does. diffusers leaves layers out for the prompt alone; here, as in both interfaces above, it is for what
is steered away from as well. `clip-skip-plain` has no such half and is by diffusers alone.

| in `test-models/tiny` | text encoder |
|---|---|
| `text-mask` | takes an `attention_mask`, of ones: padding counts |
| `text-mask-padding` | the same, with `use_attention_mask` in `config.json`: padding does not count (case `padding-masked`) |
| `text-positions` | takes `position_ids` |
| `text-tokens`, `text-colon` | calls its input `tokens`, `input_ids:0` |
| `text-pooled-first` | gives the text as a whole first, under other names |
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn

from easel_export.goldens import families
from easel_export.goldens.families import NEGATIVE, Case
from easel_export.networks import Component

LONG = ("a red house and three trees on a big green mountain, an old white dog and a small black cat in the snow, a blue sky with yellow "
        "birds, a river in the light of night, a painting of apples and flowers with a new background, the old photo of a fish in the sea")
WEIGHTED = "a (red house:1.9) and (three trees:0.3)"
PADDING = "text-mask-padding"
Models = dict[str, onnx.ModelProto]


def cases() -> list[Case]:
    """All of them."""
    return [
        Case("tiny", "clip-skip-plain", clip_skip=1, guidance=1.0),
        Case("tiny", "clip-skip-1", clip_skip=1, negative=NEGATIVE),
        Case("tiny", "clip-skip-2", clip_skip=2, negative=NEGATIVE),
        Case("tiny", "weighted", prompt=WEIGHTED, negative=f"({NEGATIVE}:1.2)"),
        Case("tiny", "long", prompt=LONG),
        Case("tiny", "long-negative", prompt=WEIGHTED, negative=f"{LONG} (at night:1.4)"),
        Case("tiny", "padding-masked", negative=NEGATIVE, export=PADDING),
        Case("tiny-sdxl", "clip-skip-plain", clip_skip=1, guidance=1.0),
        Case("tiny-sdxl", "clip-skip-1", clip_skip=1, negative=NEGATIVE),
        Case("tiny-sdxl", "weighted", prompt=WEIGHTED, negative=f"({NEGATIVE}:1.2)", guidance=20.0),
        Case("tiny-sdxl", "not-weighted", prompt="a red house and three trees", negative=NEGATIVE, guidance=20.0),
        Case("tiny-sdxl", "long", prompt=f"{LONG}, {LONG}"),
        Case("tiny-sdxl", "long-weighted", prompt=f"(a red house:1.9), {LONG}", negative=NEGATIVE),
        Case("tiny-sdxl", "long-negative", prompt=WEIGHTED, negative=LONG),
    ]


# Pairs that must differ, see `families.py`.
APART = [
    ("tiny", "clip-skip-1", "clip-skip-2"),
    ("tiny", "weighted", "long-negative"),
    ("tiny", "padding-masked", "clip-skip-1"),
    ("tiny-sdxl", "clip-skip-1", "negative"),
    ("tiny-sdxl", "clip-skip-plain", "unguided"),
    ("tiny-sdxl", "weighted", "not-weighted"),
    ("tiny-sdxl", "long", "no-negative"),
    ("tiny-sdxl", "long-weighted", "negative"),
    ("tiny-sdxl", "long-negative", "weighted"),
]


def all_pictures(kind: str, pipeline: Any) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted."""
    for case in cases():
        if case.kind == kind:
            yield case, *paint(pipeline, case)


def paint(pipeline: Any, case: Case) -> tuple[np.ndarray, Image.Image]:
    """As `families.paint`; `pipeline` is left as it was."""
    if case.export == PADDING:
        config = pipeline.text_encoder.config
        config.use_attention_mask = True
        try:
            return families.paint(pipeline, case)
        finally:
            del config.use_attention_mask
    if case.guidance <= 1:
        return families.paint(pipeline, case)
    return families.paint(pipeline, case, prompt=None, negative_prompt=None, clip_skip=None, **embeddings(pipeline, case))


@torch.no_grad()
def embeddings(pipeline: Any, case: Case) -> dict[str, Tensor]:
    """What the pipeline would be told, by the names of its arguments."""
    large = hasattr(pipeline, "text_encoder_2")
    encoders = [(pipeline.tokenizer, pipeline.text_encoder)]
    if large:
        encoders.append((pipeline.tokenizer_2, pipeline.text_encoder_2))
    texts = [case.prompt, case.negative or ""]
    halves: list[list[Tensor]] = [[], []]
    pooled: list[Tensor] = []
    for tokenizer, encoder in encoders:
        chunked = [chunks(tokenizer, text) for text in texts]
        longest = max(map(len, chunked))
        empty = chunks(tokenizer, "")
        pooled = []  # of the last encoder
        for half, found in zip(halves, chunked, strict=True):
            found += empty * (longest - len(found))
            answers = [encode(encoder, ids, weights, case.clip_skip, large) for ids, weights in found]
            half.append(torch.cat([states for states, _ in answers], dim=1))
            pooled.append(answers[0][1])
    prompted, steered = (torch.cat(half, dim=-1) for half in halves)
    if not large:
        return {"prompt_embeds": prompted, "negative_prompt_embeds": steered}
    if case.negative is None:
        steered, pooled[1] = torch.zeros_like(steered), torch.zeros_like(pooled[1])
    return {"prompt_embeds": prompted, "negative_prompt_embeds": steered,
            "pooled_prompt_embeds": pooled[0], "negative_pooled_prompt_embeds": pooled[1]}


def runs(prompt: str) -> list[tuple[str, float]]:
    """Texts and weights; of the syntax, what the cases use."""
    found: list[tuple[str, float]] = []
    for number, piece in enumerate(re.split(r"(\([^()]*:[0-9.]+\))", prompt)):
        text, weight = piece, 1.0
        if number % 2:
            text, _, written = piece[1:-1].rpartition(":")
            weight = float(written)
        if text:
            found.append((text, weight))
    return found


def chunks(tokenizer: Any, prompt: str) -> list[tuple[list[int], list[float]]]:
    """Ids and weights, chunk by chunk, framed and padded."""
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in runs(prompt):
        ids += tokenizer(text, add_special_tokens=False).input_ids
        weights += [weight] * (len(ids) - len(weights))
    length = tokenizer.model_max_length
    room = length - 2
    found = []
    for start in range(0, max(len(ids), 1), room):
        some = ids[start : start + room]
        framed = [tokenizer.bos_token_id, *some, tokenizer.eos_token_id]
        padding = length - len(framed)
        found.append((framed + [tokenizer.pad_token_id] * padding, [1.0, *weights[start : start + room]] + [1.0] * (padding + 1)))
    return found


def encode(encoder: Any, ids: list[int], weights: list[float], skip: int, penultimate: bool) -> tuple[Tensor, Tensor]:
    """The states of a chunk, weighed, and the chunk as a whole."""
    answer = encoder(torch.tensor([ids]), output_hidden_states=True)
    if penultimate:
        states = answer.hidden_states[-(skip + 2)]
    else:
        states = encoder.text_model.final_layer_norm(answer.hidden_states[-(skip + 1)])
    if any(weight != 1 for weight in weights):
        weighed = states * torch.tensor(weights)[None, :, None]
        states = weighed * (states.double().mean() / weighed.double().mean()).float()
    return states, answer[0]


# -- Text encoders as other exporters write them ------------------------------------------------------------------------


class _Told(nn.Module):
    """A text encoder that is told something beside the ids."""

    def __init__(self, m: nn.Module, name: str) -> None:
        super().__init__()
        self.m, self.name = m, name

    def forward(self, input_ids: Tensor, told: Tensor) -> tuple[Tensor, ...]:
        return self.m(input_ids, return_dict=False, **{self.name: told})[:2]


def told(part: Component, name: str, value: Tensor) -> Component:
    """The text encoder `part` with one input more."""
    return dataclasses.replace(
        part, forward=_Told(part.module, name), inputs=part.inputs | {name: part.inputs["input_ids"]},
        example=(*part.example, value))


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """`model` with other names of inputs and outputs."""
    model = copy.deepcopy(model)
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [names.get(name, name) for name in names_of]
    return model


def pooled_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Outputs turned round, under names that say nothing."""
    model = renamed(model, {"last_hidden_state": "output_1", "pooler_output": "output_0"})
    outputs = list(model.graph.output)[::-1]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def variants(parts: dict[str, Component], plain: Models) -> Iterator[tuple[str, Models]]:
    """Name and networks; see the table above."""
    from easel_export.goldens.variants import trace

    encoder, ids = parts["text_encoder"], parts["text_encoder"].example[0]
    masked = trace(told(encoder, "attention_mask", torch.ones_like(ids)))
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    made = {
        "text-mask": masked,
        PADDING: masked,
        "text-positions": trace(told(encoder, "position_ids", positions)),
        "text-tokens": renamed(plain["text_encoder"], {"input_ids": "tokens"}),
        "text-colon": renamed(plain["text_encoder"], {"input_ids": "input_ids:0"}),
        "text-pooled-first": pooled_first(plain["text_encoder"]),
    }
    for name, model in made.items():
        yield name, plain | {"text_encoder": model}


def mask_padding(folder: Path) -> None:
    """Writes into the model directory `folder` that padding does not count."""
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_attention_mask": True}, indent=2) + "\n")
