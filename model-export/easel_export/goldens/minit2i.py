"""Pictures by MiniT2I: what the authors' JAX code paints.

    python -m easel_export.goldens.minit2i --teacher DIR --student DIR --python PYTHON

writes them: DIR are checkouts of github.com/PeppaKing8/minit2i-jax, the branches `main` and `mean_flow_distill`, PYTHON one with JAX
and Flax. It runs `minit2i_jax_painter.py`, which calls the authors' network and their step of the sampler with our weights, our noise,
and the embeddings of T5 (transformers'). Nobody else needs JAX: `pipelines.py` paints the same cases with `easel_export/minit2i.py`, and
so compares that with JAX whenever the golden data is checked.

The cases are recorded in `families.json`. A latent is a pixel; the latents are pixels in [-1, 1] times 0.5, and begin with
`noise-3.npy`. The authors' network takes square pictures alone.

| kind | what it is for |
|---|---|
| `tiny-minit2i` | no autoencoder; padding becomes a token of its own; no text at all is such tokens alone |
| `tiny-minit2i-student` | guidance and the length of a step as inputs; tokens before the text |
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from easel_export import minit2i
from easel_export.goldens.families import NEGATIVE, Case
from easel_export.goldens.pictures import PIXELS, noise

KINDS = ("tiny-minit2i", "tiny-minit2i-student")
LONG = " and ".join(["a small red house by the old sea"] * 24)


def cases() -> list[Case]:
    """All of them."""
    pixels: dict[str, Any] = dict(latent=PIXELS[1:], factor=1)
    few: dict[str, Any] = dict(steps=4, **pixels)
    return [
        Case("tiny-minit2i", "guided", **pixels),
        Case("tiny-minit2i", "unguided", guidance=1.0, **few),
        Case("tiny-minit2i", "long", prompt=LONG, **few),
        Case("tiny-minit2i", "negative", negative=NEGATIVE, **few),
        Case("tiny-minit2i-student", "four-steps", guidance=12.0, **few),
        Case("tiny-minit2i-student", "other-guidance", guidance=1.5, **few),
        Case("tiny-minit2i-student", "two-steps", guidance=12.0, steps=2, **pixels),
    ]


# Pairs that must differ, see `families.py`.
APART = [
    ("tiny-minit2i", "unguided", "long"),
    ("tiny-minit2i", "long", "negative"),
    ("tiny-minit2i-student", "four-steps", "other-guidance"),
]


def paint(pipeline: Any, case: Case) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step, float32 [steps, 3, h, w], and the picture."""
    steps: list[torch.Tensor] = []
    picture = pipeline(
        case.prompt, negative_prompt=case.negative, height=case.latent[0], width=case.latent[1], num_inference_steps=case.steps,
        guidance_scale=case.guidance, latents=torch.from_numpy(noise(PIXELS[0])[:1]),
        callback=lambda _index, _level, latents: steps.append(latents)).images[0]
    return torch.cat(steps).numpy(), picture


def all_pictures(kind: str, pipeline: Any) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted."""
    for case in cases():
        if case.kind == kind:
            yield case, *paint(pipeline, case)


def paint_by_jax(pipeline: Any, case: Case, repository: Path, python: str) -> tuple[np.ndarray, Image.Image]:
    """The same by the authors' code."""
    config = dict(pipeline.transformer.config)
    text, mask = pipeline.encode([case.prompt])
    # Without a negative prompt the other half has the same text, of which no token counts.
    other, kept = (text, torch.zeros_like(mask)) if case.negative is None else pipeline.encode([case.negative])
    given = {
        "noise": noise(PIXELS[0])[0], "text": torch.cat([text, other]).numpy(force=True), "mask": torch.cat([mask, kept]).numpy(),
        **{f"weights/{name}": value.numpy(force=True) for name, value in pipeline.transformer.state_dict().items()}}
    told = {
        "steps": case.steps, "guidance": case.guidance, "interval": minit2i.INTERVAL,
        "config": {key: value for key, value in config.items() if not key.startswith("_")}}
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / name for name in ("given.npz", "told.json", "painted.npy")]
        np.savez(files[0], **given)
        files[1].write_text(json.dumps(told))
        script = Path(__file__).with_name("minit2i_jax_painter.py")
        subprocess.run([python, str(script), str(repository), *map(str, files)], check=True)
        pixels = np.load(files[2])
    # As the authors round them.
    whole = np.clip(127.5 * pixels[-1] + 128, 0, 255).astype(np.uint8)
    return pixels * np.float32(minit2i.PIXELS), Image.fromarray(whole.transpose(1, 2, 0))


def main() -> None:
    from easel_export.goldens import pipelines
    from easel_export.goldens.pictures import pixel_error, relative_error

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, metavar="DIR")
    parser.add_argument("--student", type=Path, required=True, metavar="DIR")
    parser.add_argument("--python", required=True)
    options = parser.parse_args()
    repositories = dict(zip(KINDS, (options.teacher, options.student), strict=True))
    for kind, repository in repositories.items():
        folder = pipelines.GOLDENS / kind
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            pipeline, _ = pipelines.checkpoint(kind, Path(scratch))
            for case in cases():
                if case.kind != kind:
                    continue
                steps, picture = paint_by_jax(pipeline, case, repository, options.python)
                own, other = paint(pipeline, case)
                np.save(folder / f"{case.name}.npy", steps)
                picture.save(folder / f"{case.name}.png", optimize=True)
                print(f"{kind} {case.name}: torch is {relative_error(own, steps):.1e} from JAX, pixels {pixel_error(other, picture)}",
                      flush=True)


if __name__ == "__main__":
    main()
