"""The whole way of an export, stage by stage."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from . import check, export, hollow, layout, manifest, painting, quantize, sensitivity
from . import checkpoint as checkpoints
from .adapters import Adapters
from .checkpoint import Checkpoint

# Above it, calibration and self-check run on small latents, or they take hours.
BIG_DENOISER = 200_000_000
# Networks with more weights are traced without them: the tracer holds several copies.
TRACED_HOLLOW = 1_000_000_000
# diffusers' pipelines take picture sizes of whole multiples of it.
PIPELINE_MULTIPLE = 8


@dataclass
class Request:
    """What an export is asked for; see the command line's help."""

    precision: str  # "fp32", "fp16" or "int8"
    size: int | None = None  # pixels, None = the checkpoint's own
    target_error: float = 0.02
    max_float: float = 0.1
    adapters: Adapters = Adapters()


def export_checkpoint(source: str, out: Path, request: Request) -> None:
    """Exports `source` into the empty directory `out`: the whole way, stage by stage."""
    checkpoint = checkpoints.load(source, request.adapters)
    content = manifest.describe(checkpoint.source, request.precision, request.size)
    scene = calibration(checkpoint, content["defaults"])
    components = checkpoint.components()
    runs, calls = painting.recorded(components)
    pictures = painting.paint(checkpoint, scene, runs)
    for component in components:
        if not calls[component.name].inputs:  # nothing was encoded on the way; a picture is what an encoder is given
            for picture in pictures.split(1):
                runs[component.name](picture * 2 - 1)

    layout.copy_parts(checkpoint.source, out)
    choices: dict[str, sensitivity.Choice] = {}
    for component in tqdm(components, desc="exporting", unit="component"):
        layers = quantize.layers(component)
        storage: dict[str, str] = {}
        if request.precision == "int8":
            inputs = calls[component.name].inputs
            run, single = (sensitivity.replay(component, i) for i in (inputs, sensitivity.singles(component.inputs, inputs)))
            choice = sensitivity.choose(
                layers, run, single, request.target_error, request.max_float, component.rounds_tokens)
            choices[component.name] = choice
            storage = dict.fromkeys(choice.quantized(), "int8")
        elif request.precision == "fp16":
            storage = dict.fromkeys(layers, "float16")
        large = sum(p.numel() for p in component.module.parameters()) > TRACED_HOLLOW
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            traced = export.trace(component, Path(scratch), weights=not large)
            export.rewrite(component, traced, out / component.name, storage, hollow.own(component.module) if large else None)
        quantize.round_weights(component.module, storage)

    report = check.check(checkpoint, out, request.precision, calls, pictures, scene)
    manifest.write(content | manifest.measurements(choices, report), out / "easel.json")


def calibration(checkpoint: Checkpoint, values: dict[str, Any]) -> painting.Scene:
    """The scene for calibration and self-check, sized to the model.

    Small models: four prompts at the default size, four steps, guided. Big ones: one prompt on
    latents of 16 x 16 cells, two unguided steps; fewer activations, but every kind of them.
    """
    source = checkpoint.source
    # The traced graph halves evenly on every level, or has whole patches.
    multiple = math.lcm(source.size_multiple(), PIPELINE_MULTIPLE)
    if sum(p.numel() for p in checkpoint.network(source.family.denoiser).parameters()) > BIG_DENOISER:
        side = multiple * math.ceil(16 * source.vae_factor() / multiple)
        return painting.scene(checkpoint, 1, (side, side), 2, 1.0)
    largest = 64 * source.vae_factor()
    height, width = (max(1, min(values[key], largest) // multiple) * multiple for key in ("height", "width"))
    return painting.scene(checkpoint, 4, (height, width), min(4, values["steps"]), values["guidance"])
