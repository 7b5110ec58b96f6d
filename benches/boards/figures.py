"""What predict.py computes with: boards, cores and what was counted or measured elsewhere, each figure with its source.

A pair is the favourable and the unfavourable value of a figure that is not known better; predict.py carries both through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Pair = tuple[float, float]


def dotted(features: float) -> float:
    """Multiply-accumulates a cycle of attention with dot products and f16 (docs/arm-kernels.md, "Attention"): for 4 keys by 16 queries 8 cycles
    for 256 products, 8 for 128, 24 for bytes to scores, and 28 for f16 to f32 of 64 keys by 4 features."""
    products = 4 * 16 * features
    cycles = products * 8 / 256 + products * 8 / 128 + 24 + 28 * (features / 4) * (4 / 64)
    return 2 * products / cycles


def f32(rate: float) -> Callable[[float], float]:
    """Attention in f32: the same rate whatever the features of a head."""
    return lambda _: rate


@dataclass(frozen=True)
class Core:
    """A core. Rates are multiply-accumulates a cycle, docs/arm-kernels.md."""

    # int8 products, the micro kernel with its data in the first-level cache.
    int8: Pair
    # Both products of attention, by features of a head.
    attention: tuple[Callable[[float], float], Callable[[float], float]]
    # Cycles of a score: its exponential and what goes with it. On the A76 100 for 64 of them (the same page); on the others as many times more as
    # attention's f32 loop takes there in llvm-mca.
    score: Pair
    # Instructions for each element that is read or written outside of products' loops: see COUNTED.
    family: str
    # Instructions a cycle there. Assumed; attention's f32 loop, 25 instructions, takes 45, 16.5 and 10 cycles in llvm-mca.
    instructions: Pair


# The A53 in llvm-mca waits where the chip does not, as that page explains. So the unfavourable value is llvm-mca's; the favourable one for int8 is
# that of the arithmetic without loads, for the others half of the cycles.
CORES = {
    "Cortex-A53": Core((4.58, 3.56), (f32(64 / 22.5), f32(64 / 45)), (3.5, 7.0), "neon", (0.9, 0.5)),
    "Cortex-A72": Core((8.0, 8.0), (f32(64 / 16.5), f32(64 / 16.5)), (2.6, 2.6), "neon", (1.8, 1.2)),
    "Cortex-A76": Core((31.99, 31.33), (dotted, dotted), (1.6, 1.6), "neon-dot", (3.0, 2.0)),
}

# The default model's U-Net, one pass (docs/arm-kernels.md, "Instructions of a pass"): million instructions; those of the loops of int8 products, by
# their multiplications and the loops' length (of 67 instructions 48 multiply or add, of 47 with dot products 32); f32 products with theirs.
COUNTED = {
    "neon": (156.8, (27.5 + 27.6 + 27.6) * 67 / 48, 3.0 * 25 / 16),
    "neon-dot": (74.7, 27.5 * 47 / 32, 3.0 * 25 / 16),
}

# sbc-bench counts what is copied, so twice that is read and written.
COPY = 2


@dataclass(frozen=True)
class Board:
    """A board."""

    name: str
    core: str
    ghz: float
    # Read and written together, MB/s.
    memory: float
    # Read from the card, MB/s.
    card: float
    # MiB. Where a model's weights do not fit beside the system, they are read in each step.
    ram: int
    sources: str


CORES_OF_A_BOARD = 4
# How much of four cores' work four threads do. Two threads do 0.93 of two here (docs/benchmarks.md).
SCALING: Pair = (0.95, 0.85)

BOARDS = (
    Board("Pi Zero 2 W", "Cortex-A53", 1.0, COPY * 1300, 22, 512,
          "memory: sbc-bench Results.md, memcpy 1300 MB/s at 1 GHz; card: the slot's 25 MB/s (4 bits, 50 MHz) less what the same slot "
          "of the Pi 2 loses (pidramble.com, hdparm, best card 21.75 MB/s)"),
    Board("Pi 3 B+", "Cortex-A53", 1.4, COPY * 1120, 22, 1024,
          "memory: sbc-bench Results.md, memcpy 1120 MB/s with a fan; card: as the Zero 2 W"),
    Board("Pi 4", "Cortex-A72", 1.8, COPY * 2410, 43.5, 4096,
          "memory: sbc-bench Results.md, memcpy 2240 to 2580 MB/s (arm64); card: pidramble.com, hdparm, 40.8 to 44.4 MB/s"),
    Board("Pi 5", "Cortex-A76", 2.4, COPY * 5850, 90, 8192,
          "memory: github.com/raspberrypi/firmware issue 1876, tinymembench, C copy 5557 (8 GB) and 6155 MB/s (4 GB); card: assumed, of 104 MB/s "
          "that the slot has (SDR104)"),
)

# This project's machine (docs/benchmarks.md): two processors of an EPYC with AVX-512, 1040 GMAC/s in int8 and 521 in bfloat16 together. Its
# instructions work on 16 numbers where Arm's work on 4. Copies on one thread read and write 43.7 GB/s (numpy, best of 60).
HERE_INT8, HERE_BF16 = 1040e9, 521e9
HERE_CLOCK = HERE_INT8 / 2 / 128  # two vpdpbusd of 64 products a cycle
HERE_LANES = 4
HERE_INSTRUCTIONS: Pair = (4.0, 2.0)
HERE_SCALING = 0.93
HERE_MEMORY = 43.7e9
# Medians of docs/benchmarks.md, two threads, seconds.
HERE_MEASURED = {
    ("sd15", "text_encoder"): 0.0133,
    ("sd15", "unet"): 0.715,
    ("sd15", "vae_decoder"): 3.376,
    ("pocket", "unet"): 0.0019,
    ("pocket", "vae_decoder"): 0.0062,
}

# Claims of its author, OnnxStream's README: seconds.
ONNXSTREAM = (
    ("Stable Diffusion 1.5, 512x512, 10 steps of two passes", "Pi Zero 2", "1.5 h a picture: 540 s a step"),
    ("Stable Diffusion XL Turbo, 512x512, 1 step", "Pi Zero 2", "29 min a picture"),
    ("Stable Diffusion XL Turbo, 512x512", "Pi 5", "67.4 s a step"),
)
