"""diffusers' own pipeline, with its networks exchanged for stand-ins.

With stand-ins that write down what they are asked, it gives calibration inputs; with ONNX Runtime behind them, the self-check.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from . import controlnet
from .checkpoint import Checkpoint
from .networks import Component, Run

PROMPTS = (
    "three red apples on a blue background",
    "a photo of an old house by the sea, golden light",
    "a green cat and a yellow star, flat style",
    "portrait of a dancer, oil painting, highly detailed",
)


@dataclass(frozen=True)
class Scene:
    """What is painted."""

    prompts: tuple[str, ...]
    height: int  # pixels
    width: int
    steps: int
    guidance: float
    seed: int = 0


@dataclass
class Calls:
    """What one network was given and what it answered, call by call."""

    inputs: list[tuple[Tensor, ...]] = field(default_factory=list)
    outputs: list[tuple[Tensor, ...]] = field(default_factory=list)


def scene(checkpoint: Checkpoint, prompts: int, size: tuple[int, int], steps: int, guidance: float, seed: int = 0) -> Scene:
    """The first `prompts` of the source's own prompts or of ours, at `size` (height, width)."""
    texts = (checkpoint.source.manifest.get("calibration_prompts") or PROMPTS)[:prompts]
    return Scene(tuple(texts), *size, steps, guidance, seed)


@torch.no_grad()
def paint(checkpoint: Checkpoint, scene: Scene, runs: dict[str, Run] | None = None) -> Tensor:
    """Pictures [b, 3, h, w] in 0..1; the networks named in `runs` are computed by those."""
    pipeline = checkpoint.pipeline
    origins = {part.name: part.origin for part in checkpoint.source.family.parts}
    stand_ins: dict[str, Any] = {}
    for component in checkpoint.components() if runs else ():
        if component.name in runs:  # an autoencoder is two networks
            origin = origins[component.name]
            stand_ins[origin] = component.stand_in(runs[component.name], stand_ins.get(origin))
    nets = [stand_ins.pop(name) for name in list(stand_ins) if name.startswith(controlnet.FOLDER)]
    if nets:
        stand_ins[controlnet.FOLDER] = controlnet.exchanged(pipeline.controlnet, nets)
    # A fresh scheduler: multi-step ones carry state between runs.
    stand_ins["scheduler"] = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    with _exchanged(pipeline, stand_ins):
        return pipeline(
            list(scene.prompts), height=scene.height, width=scene.width, num_inference_steps=scene.steps,
            guidance_scale=scene.guidance, generator=torch.Generator().manual_seed(scene.seed), output_type="pt",
            # A ControlNet's hint goes by the name of a picture to begin with.
            **checkpoint.source.family.told | conditions(pipeline, scene) | checkpoint.source.adapters.inputs(scene.height, scene.width),
        ).images


def conditions(pipeline: Any, scene: Scene) -> dict[str, Any]:
    """What a pipeline wants to see beside the text: a picture for each prompt, and which part of it to paint anew."""
    known = inspect.signature(pipeline.__call__).parameters
    if "image" not in known:
        return {}
    pictures = drawn(len(scene.prompts), scene.height, scene.width)
    if "mask_image" not in known:
        return {"image": pictures}
    # The right half and a little more: the edge is where two latents meet, and within one.
    mask = torch.zeros(len(pictures), 1, scene.height, scene.width)
    mask[..., scene.width // 2 - 1 :] = 1
    return {"image": pictures, "mask_image": mask, "strength": 1.0}


def drawn(count: int, height: int, width: int) -> Tensor:
    """Pictures [count, 3, height, width] in 0..1: gradients, and a disc on each; smooth and with an edge, as photographs are."""
    y = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width)[None].expand(height, width)
    made = []
    for number in range(count):
        ground = torch.stack([0.5 + 0.4 * torch.sin((1 + number) * x + 2 * channel + (2 + channel) * y) for channel in range(3)])
        disc = (x - 0.3 + 0.2 * number) ** 2 + (y + 0.1 * number) ** 2 < 0.15 + 0.05 * number
        color = torch.tensor([0.9, 0.3, 0.2]).roll(number)[:, None, None]
        made.append(torch.where(disc, color, ground))
    return torch.stack(made)


@contextlib.contextmanager
def _exchanged(pipeline: Any, others: dict[str, Any]) -> Iterator[None]:
    """Within it, `pipeline` has `others`. Its own way of setting a component asks what library the class is from."""
    kept = {name: getattr(pipeline, name) for name in others}
    try:
        for name, other in others.items():
            object.__setattr__(pipeline, name, other)
        yield
    finally:
        for name, own in kept.items():
            object.__setattr__(pipeline, name, own)


def recorded(components: list[Component]) -> tuple[dict[str, Run], dict[str, Calls]]:
    """The networks themselves, with every call written down."""
    calls = {component.name: Calls() for component in components}

    def recording(component: Component) -> Run:
        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            outputs = component.run(*inputs)
            # Copies: some schedulers go on working in place.
            calls[component.name].inputs.append(tuple(i.clone() for i in inputs))
            calls[component.name].outputs.append(tuple(o.clone() for o in outputs))
            return outputs

        return run

    return {component.name: recording(component) for component in components}, calls


def read(component: Component, answers: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """Of each output that a pipeline reads, the values of all `answers`, flat."""
    wanted = [component.wanted(answer) for answer in answers]
    return [torch.cat([value.flatten() for value in column]) for column in zip(*wanted, strict=True)]


def relative_error(got: list[Tensor], want: list[Tensor]) -> float:
    """`|got - want| / |want|` in the 2-norm, summed in float64; of several outputs, the root of the squares' sum."""
    squares = 0.0
    for g, w in zip(got, want, strict=True):
        w = w.double()
        squares += float(((g.double() - w).norm() / w.norm().clamp_min(1e-30)) ** 2)
    return squares**0.5


def psnr(got: Tensor, want: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in 0..1; capped at 99."""
    error = float(((got.double() - want.double()) ** 2).mean())
    return 99.0 if error <= 0 else min(99.0, -10.0 * torch.log10(torch.tensor(error)).item())
