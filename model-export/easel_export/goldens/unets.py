"""U-Nets that easel runs by themselves: Stable Diffusion XL's, tiny, and what ONNX Runtime makes of the same files.

`fp32` and `int8` are written by `easel_export`. Arrays are float32 of four axes: `sample` are noisy latents, `text-N` the tokens
and `pooled-N` the whole of a text, `PRECISION-N` the prediction for it at timestep 500.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from easel_export.check import ort_function
from easel_export.export import unet_component
from easel_export.unet_only import hollow, random

KIND = "tiny-sdxl"
PRECISIONS = ("fp32", "int8")
TEXTS = 2
TIMESTEP = 500.0


def write(folder: Path) -> None:
    """Fills `folder`, where the exports are already, with inputs and predictions."""
    source = random(KIND)
    unet = hollow(source.configs["unet"])
    rows, columns = 16, 24
    factor = 2 ** (len(source.configs["vae"]["block_out_channels"]) - 1)
    height, width = rows * factor, columns * factor
    # A picture that was never larger nor cut.
    sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)
    example = unet_component(unet, (rows, columns), 77).example

    def draw(at: int) -> torch.Tensor:
        return torch.randn(1, *example[at].shape[1:], generator=generator)

    sample = draw(0)
    save(folder / "sample.npy", sample)
    predictions = {precision: [] for precision in PRECISIONS}
    for number in range(TEXTS):
        text, pooled = draw(2), draw(3)
        save(folder / f"text-{number}.npy", text)
        save(folder / f"pooled-{number}.npy", pooled)
        for precision in PRECISIONS:
            run = ort_function(folder / precision / "unet" / "model.onnx")
            predicted = run(sample, torch.tensor(TIMESTEP), text, pooled, sizes)
            save(folder / f"{precision}-{number}.npy", predicted)
            predictions[precision].append(predicted)
    # If the text did not show, the comparison would say nothing about it.
    for first, second in predictions.values():
        assert (first - second).norm() > 0.01 * first.norm()


def save(path: Path, tensor: torch.Tensor) -> None:
    """As four axes, the first ones 1."""
    np.save(path, tensor.numpy().reshape((1,) * (4 - tensor.ndim) + tuple(tensor.shape)))
