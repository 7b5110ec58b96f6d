"""Pictures by diffusion transformers: what diffusers' pipelines of PixArt, Stable Diffusion 3 and Flux paint.

The cases are recorded in `families.json` beside those of `families.py`. Latents of 16 channels begin with `noise-16.npy`
[draws, 16, 8, 12], whose draws are those of `noise.npy`, longer; Flux's are recorded as they are before they become tokens.

| kind | what it is for |
|---|---|
| `tiny-pixart` | T5 alone, its padding masked; the prompt is lower-cased; a scheduler with fractional timesteps |
| `tiny-pixart-1024` | a transformer that is told the picture's height and width and their ratio |
| `tiny-pixart-sigma` | longer texts; positions that are scaled, another factor of the latents |
| `tiny-sd3`, `tiny-sd3-no-t5` | two CLIP encoders and T5's, or zeros in its place; flow matching, also by DPM-Solver++ |
| `tiny-sd35` | norms of queries and keys, a second attention of the picture alone |
| `tiny-flux` | guidance as an input, a second pass by `true_guidance`, noise levels that depend on the picture's size |
| `tiny-flux-schnell` | four steps, no guidance, shorter texts |

On a model of flow matching, `dpmpp-2m` is told its shift; `FLOW_DPM` has the same in its `scheduler_config.json`.
PixArt's pipelines are told not to paint the nearest size of a list, and not to clean the prompt beyond its case.
Of a picture to begin with, ceil(N * strength) steps are run: these pipelines round the steps to skip, the others those to run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from easel_export import families as described
from easel_export.architectures import ARCHITECTURES
from easel_export.goldens.families import NEGATIVE, Case, watcher
from easel_export.goldens.noise import injected
from easel_export.goldens.pictures import noise
from easel_export.goldens.pictures_in import GOLDENS, SOURCE, adapted, from_means
from easel_export.goldens.schedulers import KINDS as SCHEDULERS

KINDS = ("tiny-pixart", "tiny-pixart-1024", "tiny-pixart-sigma", "tiny-sd3", "tiny-sd3-no-t5", "tiny-sd35", "tiny-flux", "tiny-flux-schnell")
# The directory of `tiny-sd3` whose own scheduler is DPM-Solver++.
FLOW_DPM = "flow-dpm"
SHOUTED = "  A Red HOUSE and Three TREES  "
LONG = " and ".join(["a small red house by the old sea"] * 24)


def cases() -> list[Case]:
    """All of them."""
    guided = dict(negative=NEGATIVE)
    over = dict(image=SOURCE, strength=0.6)
    few = dict(steps=4, guidance=0.0)
    return [
        Case("tiny-pixart", "negative", **guided),
        Case("tiny-pixart", "no-negative", negative=""),
        Case("tiny-pixart", "shouted", prompt=SHOUTED, negative=""),
        Case("tiny-pixart", "long", prompt=LONG, **guided),
        Case("tiny-pixart", "unguided", guidance=1.0),
        Case("tiny-pixart", "euler", **guided, scheduler="euler"),
        Case("tiny-pixart", "wide", **guided, latent=(4, 12)),
        Case("tiny-pixart", "few-tokens", prompt=LONG, **guided, text_tokens=20),
        Case("tiny-pixart-1024", "negative", **guided),
        Case("tiny-pixart-1024", "wide", **guided, latent=(4, 12)),
        Case("tiny-pixart-1024", "unguided", guidance=1.0),
        Case("tiny-pixart-sigma", "negative", **guided),
        Case("tiny-pixart-sigma", "long", prompt=LONG, negative=""),
        Case("tiny-pixart-sigma", "tall", **guided, latent=(8, 4)),
        Case("tiny-sd3", "negative", **guided),
        Case("tiny-sd3", "no-negative"),
        Case("tiny-sd3", "unguided", guidance=1.0),
        Case("tiny-sd3", "long", prompt=LONG, **guided),
        Case("tiny-sd3", "wide", **guided, latent=(4, 12)),
        Case("tiny-sd3", "dpmpp-2m", **guided, scheduler="dpmpp-2m"),
        Case("tiny-sd3", FLOW_DPM, **guided, export=FLOW_DPM),
        Case("tiny-sd3", "few-tokens", prompt=LONG, **guided, text_tokens=32),
        Case("tiny-sd3", "img2img", **guided, **over),
        Case("tiny-sd3-no-t5", "negative", **guided),
        Case("tiny-sd35", "negative", **guided),
        Case("tiny-sd35", "wide", **guided, latent=(6, 10)),
        Case("tiny-flux", "guidance", guidance=3.5),
        Case("tiny-flux", "other-guidance", guidance=1.0),
        Case("tiny-flux", "true-guidance", guidance=3.5, **guided, true_guidance=4.0),
        Case("tiny-flux", "wide", guidance=3.5, latent=(4, 12)),
        Case("tiny-flux", "img2img", guidance=3.5, **over),
        Case("tiny-flux-schnell", "four-steps", **few),
        Case("tiny-flux-schnell", "few-tokens", prompt=LONG, **few, text_tokens=256),
        Case("tiny-flux-schnell", "img2img", **few, **over),
    ]


# Pairs that must differ, see `families.py`.
APART = [
    *(("tiny-pixart", "negative", other) for other in ("no-negative", "unguided", "long", "euler")),
    ("tiny-pixart", "long", "few-tokens"),
    ("tiny-pixart-1024", "negative", "unguided"),
    ("tiny-pixart-sigma", "negative", "long"),
    *(("tiny-sd3", "negative", other) for other in ("no-negative", "unguided", "long", "dpmpp-2m", "img2img")),
    ("tiny-sd3", "long", "few-tokens"),
    ("tiny-flux", "guidance", "other-guidance"),
    ("tiny-flux", "guidance", "true-guidance"),
    ("tiny-flux", "guidance", "img2img"),
    ("tiny-flux-schnell", "four-steps", "few-tokens"),
]


def flow_dpm(config: Any) -> Any:
    """DPM-Solver++ for a model of flow matching, from its own scheduler's configuration."""
    return diffusers.DPMSolverMultistepScheduler.from_config(
        config, algorithm_type="dpmsolver++", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=config.shift)


def scheduler(pipeline: Any, case: Case) -> Any:
    """A fresh one for `case`."""
    config = pipeline.scheduler.config
    if "shift" in config and (case.scheduler == "dpmpp-2m" or case.export == FLOW_DPM):
        return flow_dpm(config)
    if case.scheduler:
        name, options = SCHEDULERS[case.scheduler]
        return getattr(diffusers, name).from_config(config, **options)
    return type(pipeline.scheduler).from_config(config)


def paint(pipeline: Any, case: Case) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step that was run, float32 [steps, c, h, w], and the picture. `pipeline` is left as it was."""
    rows, columns = case.latent
    made = adapted(pipeline, case) if case.image else pipeline
    channels, factor = made.vae.config.latent_channels, made.vae_scale_factor
    height, width = rows * factor, columns * factor
    draws = torch.from_numpy(noise(channels))[..., :rows, :columns].contiguous()
    packs = hasattr(made, "_pack_latents")
    steps: list[torch.Tensor] = []
    possible: dict[str, Any] = dict(
        negative_prompt=case.negative, true_cfg_scale=case.true_guidance or 1.0, max_sequence_length=case.text_tokens,
        callback_on_step_end=watcher(steps), callback=lambda _index, _timestep, latents: steps.append(latents.clone()),
        **described.FAMILIES["PixArtAlpha"].told)
    if case.image:
        possible |= dict(image=made.image_processor.resize(Image.open(GOLDENS / case.image), height, width), strength=case.strength)
    else:
        start = draws[:1].clone()
        possible |= dict(latents=made._pack_latents(start, 1, channels, rows, columns) if packs else start)
    known = inspect.signature(made.__call__).parameters
    options = {name: value for name, value in possible.items() if name in known and value is not None}
    kept, made.scheduler = made.scheduler, scheduler(pipeline, case)
    try:
        left = iter(draws if case.image else draws[1:])
        with injected(left), from_means(made, left), torch.no_grad():
            picture = made(case.prompt, height=height, width=width, num_inference_steps=case.steps, guidance_scale=case.guidance,
                           **options).images[0]
    finally:
        made.scheduler = kept
    if packs:
        steps = [made._unpack_latents(step, height, width, factor) for step in steps]
    return torch.cat(steps).numpy(), picture


def all_pictures(kind: str, pipeline: Any) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted."""
    for case in cases():
        if case.kind == kind:
            yield case, *paint(pipeline, case)


def absent(kind: str) -> dict[str, None]:
    """What a pipeline of `kind` has room for and is loaded without."""
    encoders = [name for name, part in ARCHITECTURES[kind].parts.items() if part is None]
    return dict.fromkeys([*encoders, *(name.replace("text_encoder", "tokenizer") for name in encoders)])
