"""Whole pictures: golden data by diffusers, and the same models as ONNX.

    python -m easel_export.goldens.pipelines            fills test-models/ (not committed; minutes)
    python -m easel_export.goldens.pipelines --write    writes tests/goldens/pipelines/ (committed)
    python -m easel_export.goldens.pipelines --check    paints those again and compares

The models have random weights, the same bits on every machine, and real structure: down, mid and up blocks,
cross-attention, group norms, mid-block attention in the VAE. `index.json` names the cases and the weights' SHA-256;
`noise.npy` [draws, 4, 8, 12] is the initial noise and what stochastic schedulers take, one draw a step;
`KIND/CASE.npy` [steps, 4, h, w] the latents after each step and `KIND/CASE.png` the picture.

In `test-models/KIND`: `optimum` is written by optimum's own exporter and not touched, `fp32`, `fp16` and `int8` by
`easel_export`, `flow` is `fp32` with a flow-matching scheduler, `inline` is torch's exporter untouched, the rest of `tiny` is in
`variants.py`. `tiny-sdxl` is in `unets.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from easel_export import random_checkpoint
from easel_export.goldens import pictures, unets, variants, weights

REPOSITORY = Path(__file__).resolve().parents[3]
MODELS = REPOSITORY / "test-models"
GOLDENS = REPOSITORY / "tests" / "goldens" / "pipelines"
KINDS = ("tiny", "tiny-sd21", "tiny-taesd")
# Another machine may sum in another order: float32 rounding, amplified by the networks and six steps.
SAME_LATENTS, SAME_PIXELS = 1e-4, 1


def checkpoint(kind: str, directory: Path) -> tuple[Any, str]:
    """Makes the checkpoint `kind`; the pipeline as diffusers loads it, and its weights' SHA-256."""
    made = random_checkpoint.build(kind, directory)
    digest = weights.fill(made)
    made.save_pretrained(directory)
    # From disk: a scheduler's options that were never written down count as "not given" when diffusers changes its class.
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(directory, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, digest


def index() -> dict[str, Any]:
    """The committed `index.json`."""
    return json.loads((GOLDENS / "index.json").read_text())


def write() -> None:
    """Writes the golden data."""
    shutil.rmtree(GOLDENS, ignore_errors=True)
    GOLDENS.mkdir(parents=True)
    np.save(GOLDENS / "noise.npy", pictures.noise())
    digests = {}
    for kind in KINDS:
        (GOLDENS / kind).mkdir()
        with tempfile.TemporaryDirectory() as scratch:
            pipeline, digests[kind] = checkpoint(kind, Path(scratch))
        painted = {}
        for case, steps, picture in pictures.all_pictures(pipeline):
            np.save(GOLDENS / kind / f"{case.name}.npy", steps)
            picture.save(GOLDENS / kind / f"{case.name}.png", optimize=True)
            painted[case.name] = steps
        # If the text did not show in the picture, the comparison would say nothing about it.
        for other in ("ddim-unguided", "euler-negative"):
            change = pictures.relative_error(painted[other], painted[other.split("-")[0]])
            assert change > 0.01, f"{kind}: {other} changes the latents by {change:.1e} only"
    cases = ",\n".join(json.dumps(case.record()) for case in pictures.cases())
    head = {"diffusers": diffusers.__version__, "seed": pictures.SEED, "steps": pictures.STEPS,
            "prompt": pictures.PROMPT, "weights": digests}
    (GOLDENS / "index.json").write_text(json.dumps(head)[:-1] + ', "cases": [\n' + cases + "\n]}\n")


def check(kinds: tuple[str, ...] = KINDS) -> list[str]:
    """Paints the golden data again; what differs from the committed files, a line each."""
    recorded, problems = index(), []
    if recorded["cases"] != [case.record() for case in pictures.cases()]:
        problems.append("index.json: other cases")
    if pictures.relative_error(np.load(GOLDENS / "noise.npy"), pictures.noise()) > 1e-7:
        problems.append("noise.npy: another noise")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as scratch:
            pipeline, digest = checkpoint(kind, Path(scratch))
        if digest != recorded["weights"][kind]:
            problems.append(f"{kind}: other weights")
            continue
        for case, steps, picture in pictures.all_pictures(pipeline):
            file = GOLDENS / kind / case.name
            error = pictures.relative_error(steps, np.load(file.with_suffix(".npy")))
            pixels = pictures.pixel_error(picture, Image.open(file.with_suffix(".png")))
            if error > SAME_LATENTS or pixels > SAME_PIXELS:
                problems.append(f"{kind}/{case.name}: relative error {error:.1e}, pixels differ by {pixels}")
    return problems


def stamp() -> str:
    """What `complete` holds: changes with the code that makes the models."""
    digest = hashlib.sha256()
    for source in sorted(Path(random_checkpoint.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def models() -> None:
    """Makes every model; what an earlier run of this very code finished stays."""
    MODELS.mkdir(exist_ok=True)
    for kind in (*KINDS, unets.KIND):
        complete = MODELS / kind / "complete"
        if complete.exists() and complete.read_text() == stamp():
            continue
        with tempfile.TemporaryDirectory(dir=MODELS, prefix=f".{kind}.") as scratch:
            folder = Path(scratch) / kind
            unet(folder) if kind == unets.KIND else model(kind, folder)
            (folder / "complete").write_text(stamp())
            shutil.rmtree(MODELS / kind, ignore_errors=True)
            folder.rename(MODELS / kind)
        print(f"made {(MODELS / kind).relative_to(REPOSITORY)}", flush=True)


def model(kind: str, folder: Path) -> None:
    """One checkpoint and all that is exported from it."""
    source = folder / "checkpoint"
    pipeline, digest = checkpoint(kind, source)
    if digest != index()["weights"][kind]:
        raise SystemExit(f"{kind}: the weights are not those of the golden data: run --write and commit it")
    for precision in ("fp32", "fp16", "int8"):
        run("-m", "easel_export", "--source", str(source), "--out", str(folder / precision), "--precision", precision)
    if kind == "tiny-taesd":  # optimum does not export AutoencoderTiny: torch's exporter, which it uses, stands in
        variants.write_inline(source, folder)
    else:
        run("-m", "optimum.exporters.onnx", "--model", str(source), "--task", "text-to-image", str(folder / "optimum"))
    flow(pipeline, folder)
    if kind == "tiny":
        variants.write(source, folder)


def unet(folder: Path) -> None:
    """A U-Net by itself, in every precision."""
    for precision in unets.PRECISIONS:
        run("-m", "easel_export", "--random", unets.KIND, "--out", str(folder / precision), "--precision", precision)
    unets.write(folder)


def flow(pipeline: Any, folder: Path) -> None:
    """`fp32` with a flow-matching scheduler."""
    out = folder / "flow"
    shutil.copytree(folder / "fp32", out)
    shutil.rmtree(out / "scheduler")
    pictures.scheduler(pipeline, "flow-euler").save_pretrained(out / "scheduler")
    for file in ("easel.json", "SHA256SUMS"):
        (out / file).unlink()


def run(*arguments: str) -> None:
    """A Python program of its own."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the golden data instead")
    parser.add_argument("--check", action="store_true", help="paint the golden data again and compare instead")
    options = parser.parse_args()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.write:
        write()
    elif options.check:
        problems = check()
        print("\n".join(problems) or "the golden data is as diffusers makes it")
        raise SystemExit(bool(problems))
    else:
        models()


if __name__ == "__main__":
    main()
