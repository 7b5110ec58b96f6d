"""Whole pictures of the families and shapes beside `pictures.py`'s: what diffusers' pipelines paint.

A case is recorded in `families.json`, its latents and its picture lie beside those of `pictures.py`, and the noise is the same.
`scheduler` null is the model's own, as its `scheduler_config.json` has it. `negative` null is none given, which Stable Diffusion XL
tells from an empty one: the unconditional half is then zeros. `export` names the directory in `test-models/KIND` that the case is
painted with, if only that one is meant. `clip_skip` is diffusers': so many of the text encoder's last layers are left out.
`image`, `strength`, `mask` and `image_guidance` are of cases that begin with a picture, which are in `pictures_in.py`; `control`,
`control_guess`, `ip_image` and `ip_scale` of those with ControlNets and IP-Adapters, in `adapters.py`; what is made of long and weighted
prompts is in `texts.py`; `true_guidance` and `text_tokens` are of transformers, in `transformer_families.py`; what paints pixels is in
`minit2i.py`.

| kind | what it is for |
|---|---|
| `tiny` | samplers that `pictures.py` lacks; diffusers' ONNX pipeline, whose PLMS sampler evaluates the second step twice (seven latents) |
| `tiny-turbo` | Stable Diffusion 2.x with trailing timesteps, without guidance |
| `tiny-lcm` | guidance as an input (`timestep_cond`), fresh noise after every step but the last |
| `tiny-sdxs`, `tiny-bksdm`, `tiny-one-level`, `tiny-three-level` | U-Nets without attention in the middle, without a middle, of other depths |
| `tiny-sdxl`, `tiny-ssd1b` | two text encoders; a prompt with `!`, which the second tokenizer reads as padding; a pruned U-Net |
| `tiny-sdxl-turbo` | the same weights as `tiny-sdxl`, ancestral with trailing timesteps, without guidance |
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from easel_export.check import session
from easel_export.goldens.noise import injected
from easel_export.goldens.odd_schedulers import scheduler_class
from easel_export.goldens.pictures import LATENT, PROMPT, STEPS, noise, relative_error
from easel_export.goldens.schedulers import KINDS as SCHEDULERS

NEGATIVE = "a blue cat at night"


@dataclass(frozen=True)
class Hint:
    """What one ControlNet is told; see `adapters.py`."""

    image: str
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Case:
    """One picture."""

    kind: str
    name: str
    prompt: str = PROMPT
    negative: str | None = None
    steps: int = STEPS
    guidance: float = 4.0
    rescale: float = 0.0
    scheduler: str | None = None
    eta: float | None = None  # of TCD: the share of fresh noise
    control: tuple[Hint, ...] = ()
    control_guess: bool = False
    ip_image: str | None = None
    ip_scale: float | None = None
    latent: tuple[int, int] = LATENT[2:]
    export: str | None = None
    clip_skip: int = 0
    image: str | None = None  # a file beside `families.json`
    strength: float | None = None
    mask: str | None = None  # the same; white is painted anew
    image_guidance: float | None = None  # of InstructPix2Pix
    true_guidance: float | None = None  # of a second pass, where the guidance is an input
    text_tokens: int | None = None  # T5's
    factor: int = 2  # pixels per latent

    def record(self) -> dict[str, Any]:
        """For `families.json`."""
        return asdict(self) | {"latent": list(self.latent), "control": [asdict(hint) for hint in self.control]}


def cases() -> list[Case]:
    """All of them. A case's name is its own within its kind, also beside those of `pictures.py`."""
    turbo = dict(steps=1, guidance=0.0)
    few = dict(steps=4, guidance=0.0)
    return [
        Case("tiny", "unipc", scheduler="unipc"),
        Case("tiny", "tcd", scheduler="tcd", steps=4, guidance=1.0, eta=0.3),
        Case("tiny", "tcd-guided", scheduler="tcd", steps=4, eta=1.0),
        Case("tiny", "tcd-without-noise", scheduler="tcd", steps=4, guidance=1.0, eta=0.0),
        Case("tiny", "diffusers-onnx", export="diffusers-onnx"),
        Case("tiny-turbo", "one-step", **turbo),
        Case("tiny-turbo", "four-steps", **few),
        Case("tiny-lcm", "four-steps", steps=4, guidance=8.0),
        Case("tiny-lcm", "one-step", steps=1, guidance=8.0),
        Case("tiny-lcm", "least-guidance", steps=4, guidance=1.0),
        Case("tiny-sdxs", "one-step", **turbo),
        Case("tiny-sdxs", "guided", negative=NEGATIVE),
        Case("tiny-bksdm", "guided", negative=NEGATIVE),
        Case("tiny-bksdm", "unipc", scheduler="unipc"),
        Case("tiny-one-level", "guided", negative=NEGATIVE),
        Case("tiny-one-level", "odd-size", latent=(7, 11)),
        Case("tiny-three-level", "guided", negative=NEGATIVE),
        Case("tiny-three-level", "euler", scheduler="euler"),
        Case("tiny-sdxl", "negative", negative=NEGATIVE),
        Case("tiny-sdxl", "no-negative"),
        Case("tiny-sdxl", "empty-negative", negative=""),
        Case("tiny-sdxl", "unguided", guidance=1.0),
        Case("tiny-sdxl", "exclaimed", prompt="a fox! a red house!", negative="no trees!"),
        Case("tiny-sdxl", "rescaled", guidance=9.0, rescale=0.7),
        Case("tiny-sdxl", "dpmpp-2m", scheduler="dpmpp-2m"),
        Case("tiny-sdxl", "wide", latent=(4, 12)),
        Case("tiny-sdxl-turbo", "one-step", **turbo),
        Case("tiny-sdxl-turbo", "four-steps", **few),
        Case("tiny-ssd1b", "negative", negative=NEGATIVE),
        Case("tiny-ssd1b", "no-negative"),
    ]


# Pairs that must differ: else the comparison would say nothing about what sets them apart.
APART = [
    ("tiny", "tcd", "tcd-without-noise"),
    ("tiny-lcm", "four-steps", "least-guidance"),
    ("tiny-sdxl", "negative", "no-negative"),
    ("tiny-sdxl", "no-negative", "empty-negative"),
    ("tiny-sdxl", "no-negative", "unguided"),
    ("tiny-sdxl", "no-negative", "exclaimed"),
    ("tiny-ssd1b", "negative", "no-negative"),
]


def paint(pipeline: Any, case: Case, **more: Any) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step, float32 [steps, 4, h, w], and the picture. `pipeline` is left as it was, and told `more`."""
    rows, columns = case.latent
    draws = torch.from_numpy(noise())[..., :rows, :columns].contiguous()
    steps: list[torch.Tensor] = []
    options = dict(
        prompt=case.prompt, num_inference_steps=case.steps, guidance_scale=case.guidance, latents=draws[:1].clone(),
        clip_skip=case.clip_skip or None, callback_on_step_end=watcher(steps))
    known = inspect.signature(pipeline.__call__).parameters
    if "negative_prompt" in known:  # latent consistency knows none
        options |= dict(negative_prompt=case.negative, guidance_rescale=case.rescale, eta=case.eta or 0.0)
    if "original_size" in known:  # told to Stable Diffusion XL's U-Net
        factor = pipeline.vae_scale_factor
        options |= dict(height=rows * factor, width=columns * factor)
    with scheduled(pipeline, case), injected(iter(draws[1:])), torch.no_grad():
        picture = pipeline(**options | more).images[0]
    return torch.cat(steps).numpy(), picture


def watcher(steps: list[torch.Tensor]) -> Callable[..., dict[str, Any]]:
    """What adds the latents to `steps` at the end of each step."""

    def watch(_pipeline: Any, _index: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(values["latents"].clone())
        return {}

    return watch


@contextlib.contextmanager
def scheduled(pipeline: Any, case: Case) -> Iterator[None]:
    """Within it, `pipeline` has the scheduler of `case`."""
    stored = pipeline.scheduler
    if case.scheduler:
        name, override = SCHEDULERS[case.scheduler]
        kind = scheduler_class(name, in_the_middle=case.strength is not None and case.strength < 1)
        pipeline.scheduler = kind.from_config(stored.config, **override)
    try:
        yield
    finally:
        pipeline.scheduler = stored


def paint_onnx(directory: Path, case: Case) -> tuple[np.ndarray, Image.Image]:
    """The same by diffusers' ONNX pipeline, which knows neither callbacks of today nor a decoder that enlarges other than eightfold."""
    from diffusers import OnnxRuntimeModel, OnnxStableDiffusionPipeline, PNDMScheduler
    from transformers import CLIPTokenizer

    # Not `OnnxRuntimeModel.from_pretrained`, which asks for an option that it has no default for.
    networks = {name: OnnxRuntimeModel(session(directory / name / "model.onnx")) for name in ("text_encoder", "unet", "vae_decoder")}
    pipeline = OnnxStableDiffusionPipeline(
        **networks, vae_encoder=None, tokenizer=CLIPTokenizer.from_pretrained(directory / "tokenizer"),
        scheduler=PNDMScheduler.from_pretrained(directory / "scheduler"), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    rows, columns = case.latent
    steps: list[np.ndarray] = []
    result = pipeline(
        case.prompt, height=8 * rows, width=8 * columns, negative_prompt=case.negative, num_inference_steps=case.steps,
        guidance_scale=case.guidance, latents=noise()[:1], callback=lambda _index, _timestep, latents: steps.append(np.array(latents)))
    return np.concatenate(steps), result.images[0]


def all_pictures(kind: str, pipeline: Any, onnx: Path) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted; that of diffusers' ONNX pipeline with the model directory `onnx`."""
    for case in cases():
        if case.kind == kind:
            yield case, *(paint_onnx(onnx, case) if case.export == "diffusers-onnx" else paint(pipeline, case))


def refuse_equal(painted: dict[tuple[str, str], np.ndarray], apart: list[tuple[str, str, str]]) -> None:
    """Stops where two cases that are there to differ do not; of different numbers of steps, the last ones."""
    for kind, one, other in apart:
        count = min(len(painted[kind, one]), len(painted[kind, other]))
        change = relative_error(painted[kind, one][-count:], painted[kind, other][-count:])
        assert change > 0.01, f"{kind}: {one} and {other} are {change:.1e} apart only"
