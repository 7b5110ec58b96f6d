"""The self-check: torch against ONNX Runtime, on the files that were written.

Two questions, two columns:
- *export*: does the file compute what torch computes with the very same (rounded) weights?
  Only float arithmetic in another order may differ.
- *precision*: what did rounding the weights cost, against the float32 checkpoint?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import ExportError
from .checkpoint import Checkpoint
from .loop import Calls, Engine, Scene, paint, psnr, relative_error, torch_engine

# Relative error in the 2-norm. float32 has 6e-8 a rounding; deep networks amplify it.
EXPORT_LIMIT = 1e-4
PRECISION_LIMITS = {"fp32": 1e-4, "fp16": 5e-3, "int8": 5e-2}
# Of the picture after the whole loop, same weights; guidance multiplies what steps add up.
EXPORT_PSNR = 50.0


def session(path: Path) -> Any:
    """An ONNX Runtime session on the CPU, with as many threads as torch uses."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no public error types
        raise ExportError(f"{path}: ONNX Runtime refuses it: {str(error).splitlines()[0]}") from error


def ort_function(path: Path) -> Any:
    """The model's first output as a function of its inputs in file order."""
    runner = session(path)
    names = [i.name for i in runner.get_inputs()]

    def call(*inputs: Tensor) -> Tensor:
        feed = {n: np.asarray(i.numpy()) for n, i in zip(names, inputs, strict=True)}
        return torch.from_numpy(runner.run(None, feed)[0])

    return call


def ort_engine(directory: Path) -> Engine:
    """The three networks of an exported `directory`."""
    parts = (ort_function(directory / name / "model.onnx") for name in ("text_encoder", "unet", "vae_decoder"))
    return Engine(*parts)


def _odd_calls(checkpoint: Checkpoint) -> dict[str, tuple[Tensor, ...]]:
    """Inputs of shapes that nothing was traced or calibrated at: batch 3, wide, a short text."""
    g = torch.Generator().manual_seed(1)
    cells = checkpoint.size_multiple() // checkpoint.vae_factor
    latents = torch.randn(3, checkpoint.unet.config.in_channels, cells * 2, cells * 3, generator=g)
    text = checkpoint.text_encoder.config
    length = max(1, text.max_position_embeddings // 2)
    ids = torch.randint(0, text.vocab_size, (3, length), generator=g)
    hidden = torch.randn(3, length, text.hidden_size, generator=g)
    return {"text_encoder": (ids,), "unet": (latents, torch.tensor(321.0), hidden), "vae_decoder": (latents,)}


@torch.no_grad()
def check(
    checkpoint: Checkpoint,
    directory: Path,
    precision: str,
    reference: dict[str, Calls],
    pictures: Tensor,
    scene: Scene,
) -> dict[str, Any]:
    """Compares `directory` with torch, prints the table, and raises when a limit is passed.

    `checkpoint` now holds the rounded weights; `reference` and `pictures` are what it gave in
    float32 for `scene`.
    """
    rounded, exported = torch_engine(checkpoint), ort_engine(directory)
    odd = _odd_calls(checkpoint)
    report: dict[str, Any] = {}
    failures: list[str] = []
    print(f"{'component':14} {'export':>10} {'limit':>8} {'precision':>10} {'limit':>8}")
    for name, of in (("text_encoder", "text"), ("unet", "unet"), ("vae_decoder", "vae")):
        same, run = getattr(rounded, of), getattr(exported, of)
        calls = reference[name]
        answers = [run(*inputs) for inputs in calls.inputs]
        export = max(
            *(relative_error(a, same(*inputs)) for a, inputs in zip(answers, calls.inputs)),
            relative_error(run(*odd[name]), same(*odd[name])),
        )
        cost = relative_error(torch.cat(answers), torch.cat(calls.outputs))
        limit = PRECISION_LIMITS[precision]
        print(f"{name:14} {export:10.2e} {EXPORT_LIMIT:8.0e} {cost:10.2e} {limit:8.0e}")
        report[name] = {"export_error": export, "precision_error": cost}
        # `not <=` also catches NaN.
        if not export <= EXPORT_LIMIT:
            failures.append(f"{name} differs from torch by {export:.2e} (limit {EXPORT_LIMIT:.0e})")
        if not cost <= limit:
            failures.append(f"{name} in {precision} is {cost:.2e} off float32 (limit {limit:.0e})")

    painted = paint(exported, checkpoint, scene)
    against_same = psnr(painted, paint(rounded, checkpoint, scene))
    against_float = psnr(painted, pictures)
    print(f"picture after {scene.steps} steps: {against_same:.1f} dB against torch with the same weights "
          f"(limit {EXPORT_PSNR:.0f}), {against_float:.1f} dB against float32")
    report["picture"] = {
        "steps": scene.steps, "guidance": scene.guidance,
        "export_psnr_db": against_same, "precision_psnr_db": against_float,
    }
    if not against_same >= EXPORT_PSNR:
        failures.append(f"pictures differ from torch's: {against_same:.1f} dB (limit {EXPORT_PSNR:.0f})")
    if failures:
        raise ExportError("self-check failed: " + "; ".join(failures))
    return report
