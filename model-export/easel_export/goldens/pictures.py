"""Whole pictures by diffusers: the latents after every step and the decoded picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from easel_export.goldens.noise import injected, normals
from easel_export.goldens.schedulers import FIRST
from easel_export.goldens.schedulers import KINDS as SCHEDULERS

SEED = 7
STEPS = 6
# Not square, to catch a mix-up; even on every level of the U-Net.
LATENT = (1, 4, 8, 12)
PROMPT = "a red house and three trees"
# Rows and columns of latents that are pixels: square, as the authors' code of MiniT2I takes them alone.
PIXELS = (3, 24, 24)
# Enough for the initial latents and one draw a step.
DRAWS = STEPS + 1


@dataclass(frozen=True)
class Case:
    """One picture. `rescale` is guidance rescale; at `guidance` 1 the negative prompt plays no part.

    `latent` is height and width of the latents; smaller ones have the upper left of the noise.
    """

    name: str
    scheduler: str
    guidance: float = 4.0
    rescale: float = 0.0
    negative: str = ""
    latent: tuple[int, int] = LATENT[2:]

    def record(self) -> dict[str, Any]:
        """For `index.json`."""
        return asdict(self) | {"latent": list(self.latent)}


def cases() -> list[Case]:
    """Every scheduler, and what guidance can be told."""
    every = [Case(name, name) for name in FIRST]
    return [
        *every,
        Case("ddim-unguided", "ddim", guidance=1.0),
        Case("euler-negative", "euler", negative="a blue cat at night"),
        Case("dpmpp-2m-rescaled", "dpmpp-2m", guidance=9.0, rescale=0.7),
        # Odd, so that the U-Net's levels do not halve evenly and upsampling has to fit the skip connections.
        Case("ddim-odd-size", "ddim", latent=(7, 11)),
    ]


def noise(channels: int = LATENT[1]) -> np.ndarray:
    """float32 [draws, channels, 8, 12], of three channels [draws, 3, 24, 24]: the initial latents, then what stochastic schedulers
    take, one a step."""
    shape = PIXELS if channels == PIXELS[0] else (channels, *LATENT[2:])
    return np.stack([normals(SEED, draw, math.prod(shape)).reshape(shape) for draw in range(DRAWS)])


def scheduler(pipeline: Any, name: str) -> Any:
    """A fresh scheduler from the checkpoint's configuration; a flow has one of its own."""
    cls, options = SCHEDULERS[name]
    if name == "flow-euler":
        return diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    return getattr(diffusers, cls).from_config(pipeline.scheduler.config, **options)


def paint(pipeline: Any, case: Case) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step, float32 [steps, 4, h, w], and the picture. `pipeline` is left as it was."""
    height, width = case.latent
    draws = torch.from_numpy(noise())[..., :height, :width].contiguous()
    stored, way = pipeline.scheduler, flow if case.scheduler == "flow-euler" else stable_diffusion
    made = scheduler(pipeline, case.scheduler)
    try:
        with injected(iter(draws[1:])), torch.no_grad():
            steps, picture = way(pipeline, made, case, draws[:1])
    finally:
        pipeline.scheduler = stored
    return torch.cat(steps).numpy(), picture


def stable_diffusion(pipeline: Any, made: Any, case: Case, latents: torch.Tensor) -> tuple[list[torch.Tensor], Image.Image]:
    """diffusers' own pipeline, watched."""
    pipeline.scheduler = made
    steps: list[torch.Tensor] = []

    def watch(_pipeline: Any, _index: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(values["latents"].clone())
        return {}

    result = pipeline(
        PROMPT, negative_prompt=case.negative, num_inference_steps=STEPS, guidance_scale=case.guidance,
        guidance_rescale=case.rescale, latents=latents.clone(), callback_on_step_end=watch)
    return steps, result.images[0]


def flow(pipeline: Any, made: Any, case: Case, latents: torch.Tensor) -> tuple[list[torch.Tensor], Image.Image]:
    """The same loop for flow matching, which `StableDiffusionPipeline` does not know: it starts from plain noise and
    does not scale the model's input."""
    prompted, plain = pipeline.encode_prompt(PROMPT, "cpu", 1, True, case.negative)
    text = torch.cat([plain, prompted])
    made.set_timesteps(STEPS)
    steps = []
    for timestep in made.timesteps:
        prediction = pipeline.unet(torch.cat([latents] * 2), timestep, text, return_dict=False)[0]
        without, prediction = prediction.chunk(2)
        prediction = without + case.guidance * (prediction - without)
        latents = made.step(prediction, timestep, latents, return_dict=False)[0]
        steps.append(latents)
    decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return steps, pipeline.image_processor.postprocess(decoded)[0]


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """`|found - wanted| / |wanted|` in the 2-norm, the worst of the steps."""
    axes = tuple(range(1, found.ndim))
    norm = lambda x: np.sqrt((x.astype(np.float64) ** 2).sum(axes))  # noqa: E731
    return float((norm(found - wanted) / norm(wanted)).max())


def pixel_error(found: Image.Image, wanted: Image.Image) -> int:
    """Largest difference of a colour, 0 to 255."""
    return int(np.abs(np.asarray(found, np.int16) - np.asarray(wanted, np.int16)).max())


def same(file: Path, picture: Image.Image, apart: int) -> bool:
    """Whether `file` has the `picture`, within so many levels of a colour."""
    if not file.exists():
        return False
    found = Image.open(file)
    return (found.size, found.mode) == (picture.size, picture.mode) and pixel_error(found, picture) <= apart


def all_pictures(pipeline: Any) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case, painted."""
    for case in cases():
        yield case, *paint(pipeline, case)
