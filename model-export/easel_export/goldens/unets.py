"""What ONNX Runtime makes of the U-Net of a model by itself: Stable Diffusion XL's, tiny.

Arrays beside the model directories `fp32` and `int8`, float32 of four axes: `sample` are noisy latents, `text-N` the tokens
and `pooled-N` the whole of a text, `PRECISION-N` the prediction for it at timestep 500. `unet-only` is the U-Net exported by itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from easel_export.check import ort_run
from easel_export.checkpoint import open_source

KIND = "tiny-sdxl"
PRECISIONS = ("fp32", "int8")
TEXTS = 2
TIMESTEP = 500.0


def write(folder: Path) -> None:
    """Fills `folder`, where the exports are already, with inputs and predictions."""
    source = open_source(str(folder / "checkpoint"))
    config = source.configs["unet"]
    rows, columns = 16, 24
    height, width = rows * source.vae_factor(), columns * source.vae_factor()
    # A picture that was never larger nor cut.
    sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)

    def draw(*dims: int) -> torch.Tensor:
        return torch.randn(1, *dims, generator=generator)

    sample = draw(config["in_channels"], rows, columns)
    save(folder / "sample.npy", sample)
    predictions = {precision: [] for precision in PRECISIONS}
    for number in range(TEXTS):
        text, pooled = draw(source.tokens(), config["cross_attention_dim"]), draw(source.configs["text_encoder_2"]["projection_dim"])
        save(folder / f"text-{number}.npy", text)
        save(folder / f"pooled-{number}.npy", pooled)
        for precision in PRECISIONS:
            run = ort_run(folder / precision / "unet" / "model.onnx")
            predicted = run(sample, torch.tensor(TIMESTEP), text, pooled, sizes)[0]
            save(folder / f"{precision}-{number}.npy", predicted)
            predictions[precision].append(predicted)
    # If the text did not show, the comparison would say nothing about it.
    for first, second in predictions.values():
        assert (first - second).norm() > 0.01 * first.norm()


def save(path: Path, tensor: torch.Tensor) -> None:
    """As four axes, the first ones 1."""
    np.save(path, tensor.numpy().reshape((1,) * (4 - tensor.ndim) + tuple(tensor.shape)))
