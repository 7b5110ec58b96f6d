"""int8 weights: the arithmetic, and the layers that may have them.

Symmetric, per output channel: scale = max|w| / 127, q = round(w / scale) (half to
even) in -127..127. -128 is never used, so that sums of products keep a bit of head-room in
int8 kernels. ONNX spells it `DequantizeLinear(q, scale)` with no zero point.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .networks import Component

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


def int8_round_tokens(x: torch.Tensor) -> torch.Tensor:
    """`x` [..., features] after a trip through 8 bits with a scale and a zero point for each token, as easel quantizes what enters a
    product with int8 weights."""
    least, most = x.amin(-1, keepdim=True).clamp_max(0), x.amax(-1, keepdim=True).clamp_min(0)
    scale = ((most - least) / 255).clamp_min(float(_TINY))
    zero = (-least / scale).round()
    return ((x / scale).round() + zero).clamp(0, 255).sub(zero) * scale


def candidates(module: nn.Module) -> dict[str, nn.Module]:
    """Layers of `module` whose weight may become int8, by module name."""
    kinds = (nn.Linear, nn.Conv2d, nn.Embedding)
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, kinds) and layer.weight.numel() >= MIN_WEIGHTS
    }


def layers(component: Component) -> dict[str, nn.Module]:
    """Those of a network that do its work and may become int8, by module name."""
    found = candidates(part_of(component.module, component.children))
    idle = component.idle
    return {name: layer for name, layer in found.items() if not any(f"{name}.".startswith(f"{part}.") for part in idle)}


def part_of(module: nn.Module, children: tuple[str, ...]) -> nn.Module:
    """`module` with those of `children` that it has alone: an autoencoder without its other half. All of it, if none is named."""
    if not children:
        return module
    # Same names as in the whole, as the tracer sees them.
    part = nn.Module()
    for name in children:
        if isinstance(getattr(module, name, None), nn.Module):
            part.add_module(name, getattr(module, name))
    return part


def round_weights(module: nn.Module, storage: dict[str, str]) -> None:
    """Puts into `module` the weights that the exported file holds, as `export.rewrite` stores them."""
    for name, kind in storage.items():
        layer = module.get_submodule(name)
        weight = layer.weight.data
        layer.weight.data = int8_round(weight) if kind == "int8" else weight.half().float()
