"""easel's noise in Python, and diffusers made to take it."""

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from diffusers.schedulers import (
    scheduling_ddpm,
    scheduling_dpmsolver_multistep,
    scheduling_dpmsolver_singlestep,
    scheduling_euler_ancestral_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
    scheduling_lcm,
    scheduling_tcd,
)

DRAWING = (
    scheduling_ddpm,
    scheduling_dpmsolver_multistep,
    scheduling_dpmsolver_singlestep,
    scheduling_euler_ancestral_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
    scheduling_lcm,
    scheduling_tcd,
)

MASK = 0xFFFF_FFFF


def philox(counter, key):
    """Ten rounds of Philox4x32, written from the paper and independently of the Rust."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def normals(seed: int, draw: int, size: int) -> np.ndarray:
    """float32 [size], a multiple of four: a draw of `PhiloxNoise(seed)`."""
    out = []
    for block in range(size // 4):
        words = philox([block, 0, draw, 0], [seed & MASK, seed >> 32])
        u = [(word + 0.5) / 2**32 for word in words]
        for a, b in ((u[0], u[1]), (u[2], u[3])):
            r = math.sqrt(-2 * math.log(a))
            out += [r * math.cos(2 * math.pi * b), r * math.sin(2 * math.pi * b)]
    return np.array(out, np.float32)


@contextlib.contextmanager
def injected(draws: Iterator[torch.Tensor]) -> Iterator[None]:
    """Within it, the schedulers' noise is the next of `draws`, whatever generator they are given."""
    kept = [module.randn_tensor for module in DRAWING]
    like = torch.randn_like
    for module in DRAWING:
        module.randn_tensor = lambda shape, **_: next(draws).reshape(shape)
    # The flow-matching scheduler's way.
    torch.randn_like = lambda sample: next(draws).reshape(sample.shape)
    try:
        yield
    finally:
        for module, original in zip(DRAWING, kept):
            module.randn_tensor = original
        torch.randn_like = like
