"""The self-check: torch against ONNX Runtime, on the files that were written.

Two questions, two columns:
- *export*: does the file compute what torch computes with the very same (rounded) weights?
  Only float arithmetic in another order may differ.
- *precision*: what did rounding the weights cost, against the float32 checkpoint?

Then diffusers' own pipeline paints with the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import ExportError
from .checkpoint import Checkpoint
from .networks import Run, Shape
from .painting import Calls, Scene, paint, psnr, read, relative_error

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


def ort_run(path: Path) -> Run:
    """All outputs of the file as a function of its inputs, both in file order."""
    runner = session(path)
    names = [i.name for i in runner.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        feed = {n: np.asarray(i.numpy()) for n, i in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in runner.run(None, feed))

    return run


def ort_runs(directory: Path, names: list[str]) -> dict[str, Run]:
    """The networks `names` of an exported `directory`."""
    return {name: ort_run(directory / name / "model.onnx") for name in names}


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
    components = checkpoint.components()
    runs = ort_runs(directory, [component.name for component in components])
    report: dict[str, Any] = {}
    failures: list[str] = []
    source, generator = checkpoint.source, torch.Generator().manual_seed(1)
    # Of shapes that nothing was traced or calibrated at: batch 3, wide, a short text.
    odd = Shape(2 * source.cells(), 3 * source.cells(), max(1, source.tokens() // 2), batch=3)
    print(f"{'component':14} {'export':>10} {'limit':>8} {'precision':>10} {'limit':>8}")
    for component in components:
        name, run, calls = component.name, runs[component.name], reference[component.name]
        drawn = component.draw(odd, generator)
        answers = [run(*inputs) for inputs in calls.inputs]
        export = max(
            *(_all_outputs(a, component.run(*inputs)) for a, inputs in zip(answers, calls.inputs)),
            _all_outputs(run(*drawn), component.run(*drawn)),
        )
        cost = relative_error(read(component, answers), read(component, calls.outputs))
        limit = PRECISION_LIMITS[precision]
        print(f"{name:14} {export:10.2e} {EXPORT_LIMIT:8.0e} {cost:10.2e} {limit:8.0e}")
        report[name] = {"export_error": export, "precision_error": cost}
        # `not <=` also catches NaN.
        if not export <= EXPORT_LIMIT:
            failures.append(f"{name} differs from torch by {export:.2e} (limit {EXPORT_LIMIT:.0e})")
        if not cost <= limit:
            failures.append(f"{name} in {precision} is {cost:.2e} off float32 (limit {limit:.0e})")

    painted = paint(checkpoint, scene, runs)
    against_same = psnr(painted, paint(checkpoint, scene))
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


def _all_outputs(got: tuple[Tensor, ...], want: tuple[Tensor, ...]) -> float:
    """The largest relative error of an output."""
    return max(relative_error([g], [w]) for g, w in zip(got, want, strict=True))
