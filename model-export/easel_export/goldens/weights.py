"""Random weights that are the same bits on every machine.

torch's own initialisation rounds differently with the processor's vector units, and golden pictures are only as good as the
weights behind them. Here a value is a pure function of its parameter's name and its place: SplitMix64 (Steele, Lea, Flood:
*Fast splittable pseudorandom number generators*, OOPSLA 2014), of whose 64 bits the upper 24 make an exact float32.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch

COMPONENTS = ("text_encoder", "text_encoder_2", "text_encoder_3", "unet", "transformer", "vae")

# Layers that see a picture: a ControlNet's hint, a prompt. With the usual range little of it is left, and it would not show.
# Of MiniT2I, those through which the few tokens that matter reach the picture, among hundreds of padding.
TOKENS = ("_qkv.", "_attn_proj.", "_embedder.mlp.")
PICTURES = ("controlnet_cond_embedding.", "vision_model.embeddings.patch_embedding.", "visual_projection.")


def uniform(name: str, count: int) -> np.ndarray:
    """float32 [count] in [-1, 1)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def parameter(name: str, shape: tuple[int, ...], label: str | None = None) -> np.ndarray:
    """The values of a parameter, float32; `label` tells those of equal names apart.

    Matrices and kernels get torch's usual range, 1/sqrt(inputs); scales of norms lie around 1 and biases around 0, so that
    a forgotten one shows.
    """
    values = uniform(label or name, math.prod(shape))
    if len(shape) > 1:
        values *= np.float32(1) / np.sqrt(np.float32(math.prod(shape[1:])))
        if name.startswith(PICTURES) or (name.startswith("model.net.") and any(part in name for part in TOKENS)):
            values *= np.float32(4)
    elif name.endswith("weight"):
        values = values * np.float32(0.25) + np.float32(1)
    else:
        values *= np.float32(0.125)
    return values.reshape(shape)


@torch.no_grad()
def fill(pipeline: Any) -> str:
    """Gives every parameter of the pipeline its value; returns the SHA-256 of them all."""
    digest = hashlib.sha256()
    for component in COMPONENTS:
        if getattr(pipeline, component, None) is None:
            continue
        for name, tensor in sorted(getattr(pipeline, component).named_parameters()):
            values = parameter(name, tuple(tensor.shape), f"{component}.{name}")
            digest.update(f"{component}.{name} {list(tensor.shape)}".encode())
            digest.update(values.astype("<f4").tobytes())
            tensor.copy_(torch.from_numpy(values))
    return digest.hexdigest()
