"""int8 weights: the arithmetic, and which layers may have them.

Arithmetic. Symmetric, per output channel: scale = max|w| / 127, q = round(w / scale) (half to
even) in -127..127. -128 is never used, so that sums of products keep a bit of head-room in
int8 kernels. ONNX spells it `DequantizeLinear(q, scale)` with no zero point.

Which layers. Every layer alone is quantized and the relative error of the *whole component's*
output on the calibration calls is measured (e_i). Independent errors add in squares, so the
component with all of them is near sqrt(sum e_i^2). Layers are taken back to float32, the
largest e_i^2 per weight first, until the error *measured* with all the rest quantized is at
most the target, or until the float layers would hold more than a given share of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from .loop import relative_error

# Smaller tensors save nothing and would cost an operator each.
MIN_WEIGHTS = 1024
# Below it a scale could underflow; such a channel is zero for every purpose.
_TINY = np.float32(1e-30)


def quantize(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values (same shape) and float32 scales [channels along `axis`] of a float32 `weight`."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others).astype(np.float32)
    scale = np.where(largest > _TINY, largest / np.float32(127), np.float32(1)).astype(np.float32)
    shape = [1] * weight.ndim
    shape[axis] = -1
    q = np.clip(np.rint(weight / scale.reshape(shape)), -127, 127).astype(np.int8)
    return q, scale


def dequantize(q: np.ndarray, scale: np.ndarray, axis: int) -> np.ndarray:
    """What `DequantizeLinear` makes of `q`: float32."""
    shape = [1] * q.ndim
    shape[axis] = -1
    return q.astype(np.float32) * scale.reshape(shape)


def int8_round(weight: torch.Tensor) -> torch.Tensor:
    """`weight` (output channels first, as torch keeps them) after a trip through int8."""
    q, scale = quantize(weight.numpy(), 0)
    return torch.from_numpy(dequantize(q, scale, 0))


def candidates(module: nn.Module) -> dict[str, nn.Module]:
    """Layers of `module` whose weight may become int8, by module name."""
    kinds = (nn.Linear, nn.Conv2d, nn.Embedding)
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, kinds) and layer.weight.numel() >= MIN_WEIGHTS
    }


@dataclass
class Choice:
    """The outcome of the per-layer test of one component."""

    errors: dict[str, float]  # layer -> relative output error with it alone in int8
    kept: set[str]  # layers that stay float32
    measured: float  # relative output error with all others in int8
    target: float

    def quantized(self) -> set[str]:
        return set(self.errors) - self.kept


def choose(
    label: str,
    layers: dict[str, nn.Module],
    run: Callable[[], torch.Tensor],
    target: float,
    max_float: float,
) -> Choice:
    """Measures every one of `layers` and picks those that stay float.

    `run` gives the component's output on the calibration calls; `target` is the relative error
    allowed for the whole, `max_float` the largest share of weights that may stay float for it.
    The layers are left as they were.
    """
    reference = run()
    saved: dict[str, torch.Tensor] = {}

    def swap(names: Iterable[str]) -> float:
        """The error with `names` in int8; restores them."""
        for name in names:
            saved[name] = layers[name].weight.data
            layers[name].weight.data = int8_round(saved[name])
        try:
            return relative_error(run(), reference)
        finally:
            for name in names:
                layers[name].weight.data = saved.pop(name)

    errors = {n: swap([n]) for n in tqdm(layers, desc=f"{label}: int8, layer by layer", unit="layer")}
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    worst_first = sorted(layers, key=lambda n: (-(errors[n] ** 2) / sizes[n], n))
    budget = max_float * sum(sizes.values())

    kept: set[str] = set()
    while True:
        quantized = [n for n in layers if n not in kept]
        measured = swap(quantized) if quantized else 0.0
        if measured <= target:
            break
        # Drop as much predicted error as is measured too much, at least one layer a round.
        left = sum(errors[n] ** 2 for n in quantized)
        goal = left * (target / measured) ** 2
        added = False
        for name in worst_first:
            if name in kept or sum(sizes[k] for k in kept) + sizes[name] > budget:
                continue
            if added and left <= goal:
                break
            kept.add(name)
            left -= errors[name] ** 2
            added = True
        if not added:
            break
    return Choice(errors, kept, measured, target)


def round_weights(module: nn.Module, storage: dict[str, str]) -> None:
    """Puts into `module` the weights that the exported file holds, as `export.rewrite` stores them."""
    for name, kind in storage.items():
        layer = module.get_submodule(name)
        weight = layer.weight.data
        layer.weight.data = int8_round(weight) if kind == "int8" else weight.half().float()
