"""The whole way of an export, stage by stage."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import check, export, layout, loop, manifest, quantize
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint

# Above it, calibration and self-check run on small latents, or the layer test takes hours.
BIG_UNET = 200_000_000


@dataclass
class Request:
    """What an export is asked for; see the command line's help."""

    precision: str  # "fp32", "fp16" or "int8"
    size: int | None = None  # pixels, None = the checkpoint's own
    target_error: float = 0.02
    max_float: float = 0.1


def export_checkpoint(source: str, out: Path, request: Request) -> None:
    """Exports `source` into the empty directory `out`: the whole way, stage by stage."""
    checkpoint = checkpoints.load(source)
    values = manifest.defaults(checkpoint, request.size)
    scene = calibration(checkpoint, values)
    engine, calls = loop.recording(loop.torch_engine(checkpoint))
    pictures = loop.paint(engine, checkpoint, scene)

    parts = export.components(checkpoint)
    choices: dict[str, quantize.Choice] = {}
    if request.precision == "int8":
        for part in parts:
            layers = quantize.candidates(decoder_side(part.module))
            run = replay(part, calls[part.name])
            choices[part.name] = quantize.choose(part.name, layers, run, request.target_error, request.max_float)

    layout.copy_parts(checkpoint, out)
    for part in tqdm(parts, desc="exporting", unit="component"):
        storage: dict[str, str] = {}
        if part.name in choices:
            storage = {layer: "int8" for layer in choices[part.name].quantized()}
        elif request.precision == "fp16":
            storage = {layer: "float16" for layer in quantize.candidates(decoder_side(part.module))}
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            traced = export.trace(part, Path(scratch))
            export.rewrite(part, traced, out / part.name, storage)
        quantize.round_weights(part.module, storage)

    with torch.no_grad():
        report = check.check(checkpoint, out, request.precision, calls, pictures, scene)
    content = manifest.build(checkpoint, request.precision, request.size, choices, report)
    manifest.write(content, out / "easel.json")


def calibration(checkpoint: Checkpoint, values: dict[str, Any]) -> loop.Scene:
    """The scene for calibration and self-check, sized to the model.

    Small models: four prompts at the default size, four steps, guided. Big ones: one prompt on
    latents of 16 x 16 cells, two unguided steps; fewer activations, but every kind of them.
    """
    weights = sum(p.numel() for p in checkpoint.unet.parameters())
    cells = checkpoint.size_multiple() // checkpoint.vae_factor
    if weights > BIG_UNET:
        side = max(16, cells)
        return loop.scene(checkpoint, 1, (side, side), 2, 1.0)
    # Whole multiples only: the traced graph halves evenly on every level.
    sides = (max(1, min(values[k] // checkpoint.vae_factor, 64) // cells) * cells for k in ("height", "width"))
    return loop.scene(checkpoint, 4, tuple(sides), 4, values["guidance"])


def decoder_side(module: nn.Module) -> nn.Module:
    """`module` without the half that is not exported: an autoencoder's encoder."""
    if not hasattr(module, "decoder"):
        return module
    # Same names as in the whole, as the tracer sees them.
    half = nn.Module()
    for name in ("post_quant_conv", "decoder"):
        if isinstance(getattr(module, name, None), nn.Module):
            half.add_module(name, getattr(module, name))
    return half


def replay(part: export.Component, calls: loop.Calls) -> Callable[[], Tensor]:
    """The component's outputs on its calibration calls, as one tensor."""
    @torch.no_grad()
    def run() -> Tensor:
        outputs = (part.forward(*inputs) for inputs in calls.inputs)
        return torch.cat([o[0] if isinstance(o, tuple) else o for o in outputs])

    return run
