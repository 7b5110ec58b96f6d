"""Whole pictures: golden data by diffusers, and the same models as ONNX.

    python -m easel_export.goldens.pipelines            fills test-models/ (not committed; minutes)
    python -m easel_export.goldens.pipelines --write    writes tests/goldens/pipelines/ (committed)
    python -m easel_export.goldens.pipelines --check    paints those again and compares

The models have random weights, the same bits on every machine, and real structure: down, mid and up blocks,
cross-attention, group norms, mid-block attention in the VAE. `index.json` names the cases that `tiny`, `tiny-sd21` and `tiny-taesd`
have in common and the weights' SHA-256, `families.json` the same of the others, one by one (`families.py`, `adapters.py` and
`transformer_families.py` have tables of the kinds, `minit2i.py` those that paint pixels, `pictures_in.py` the cases that begin with a picture, `texts.py` those of long and
weighted prompts); `noise.npy` [draws, 4, 8, 12] is the initial noise and what stochastic schedulers take, one draw a step, `noise-16.npy`
the same for latents of 16 channels, `noise-3.npy` [draws, 3, 24, 24] for pixels; `KIND/CASE.npy` [steps, c, h, w] the latents after each step and `KIND/CASE.png` the picture.

| in `test-models/KIND` | written by |
|---|---|
| `checkpoint` | diffusers |
| `fp32`, of some `int8` and `fp16` | `easel_export` |
| `optimum` (of `BY_OPTIMUM`) | optimum's own exporter, not touched |
| `flow`, `inline` | `fp32` with a flow-matching scheduler; torch's exporter, not touched |
| `text-…` of `tiny` | `texts.py` |
| the rest of `tiny` | `variants.py` |
| the rest of `tiny-sdxl` | `unets.py` |
| `flow-dpm` of `tiny-sd3` | `fp32` with another scheduler |
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from easel_export import cli, random_checkpoint
from easel_export.architectures import ARCHITECTURES
from easel_export.classes import find_class
from easel_export.goldens import adapters, families, minit2i, pictures, pictures_in, texts, transformer_families, unets, variants, weights

REPOSITORY = Path(__file__).resolve().parents[3]
MODELS = REPOSITORY / "test-models"
GOLDENS = REPOSITORY / "tests" / "goldens" / "pipelines"
KINDS = ("tiny", "tiny-sd21", "tiny-taesd")
# Whose cases are those of `families.json`.
MODULES = (families, pictures_in, texts, adapters, transformer_families, minit2i)
# AutoencoderTiny is not exported by optimum; of the rest one of each layout is enough.
BY_OPTIMUM = ("tiny", "tiny-sd21", "tiny-sdxl", "tiny-lcm", "tiny-inpaint", "tiny-sd35", "tiny-flux")
# Of the rest, those whose networks have what no other has.
INT8 = (*KINDS, "tiny-lcm", "tiny-sdxs", "tiny-bksdm", "tiny-sdxl", "tiny-ssd1b", "tiny-inpaint", *adapters.KINDS,
        "tiny-pixart", "tiny-sd3", "tiny-sd35", "tiny-flux", *minit2i.KINDS)
# As they come where weights are not measured: one at a time, and nothing of the graph is folded.
UNMEASURED = ("tiny-pixart-1024", "tiny-sd3-no-t5", "tiny-flux-schnell")
# By the channels of the latents that begin with it.
NOISE = {3: "noise-3.npy", 4: "noise.npy", 16: "noise-16.npy"}
# Another machine may sum in another order: float32 rounding, amplified by the networks and six steps.
SAME_LATENTS, SAME_PIXELS = 1e-4, 1


def recorded_cases() -> list[families.Case]:
    """Those of `families.json`, kind after kind."""
    every = [case for module in MODULES for case in module.cases()]
    kinds = list(dict.fromkeys(case.kind for case in every))
    return sorted(every, key=lambda case: kinds.index(case.kind))


FAMILY_KINDS = tuple(dict.fromkeys(case.kind for case in recorded_cases()))
ALL_KINDS = tuple(dict.fromkeys(KINDS + FAMILY_KINDS))


def checkpoint(kind: str, directory: Path) -> tuple[Any, str]:
    """Makes the checkpoint `kind`; the pipeline as diffusers loads it, and its weights' SHA-256."""
    base = adapters.BASE.get(kind, kind)
    made = random_checkpoint.build(base, directory)
    digest = weights.fill(made)
    made.save_pretrained(directory)
    if kind in adapters.KINDS:
        digest = adapters.add(kind, directory, digest)
    # From disk: a scheduler's options that were never written down count as "not given" when diffusers changes its class.
    pipeline = find_class(ARCHITECTURES[base].pipeline).from_pretrained(directory, **transformer_families.absent(base))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, digest


def given() -> dict[str, Image.Image]:
    """The pictures that cases begin with or are told, by name of the file beside `families.json`."""
    return pictures_in.given() | adapters.given()


def read(name: str) -> dict[str, Any]:
    """A committed index, `index.json` or `families.json`."""
    return json.loads((GOLDENS / name).read_text())


def record(name: str, digests: dict[str, str], cases: list[dict[str, Any]], **head: Any) -> None:
    """Writes an index, a case a line."""
    head = {"diffusers": diffusers.__version__, "seed": pictures.SEED, **head, "weights": digests}
    lines = ",\n".join(json.dumps(case) for case in cases)
    (GOLDENS / name).write_text(json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n")


def painted(kind: str) -> Iterator[tuple[str, np.ndarray, Image.Image]]:
    """Name, latents and picture of every case of `kind`; first, in the name's place, the weights' SHA-256."""
    with tempfile.TemporaryDirectory() as scratch:
        source, onnx = Path(scratch) / "checkpoint", Path(scratch) / "onnx"
        pipeline, digest = checkpoint(kind, source)
        yield digest, np.empty(0), Image.new("RGB", (1, 1))
        if kind in KINDS:
            for case, steps, picture in pictures.all_pictures(pipeline):
                yield case.name, steps, picture
        if kind == "tiny":
            variants.write_diffusers(source, onnx)
        for found in (
            families.all_pictures(kind, pipeline, onnx), pictures_in.all_pictures(kind, pipeline),
            texts.all_pictures(kind, pipeline), adapters.all_pictures(kind, pipeline, source),
            transformer_families.all_pictures(kind, pipeline), minit2i.all_pictures(kind, pipeline),
        ):
            for case, steps, picture in found:
                yield case.name, steps, picture


def write() -> None:
    """Writes the golden data. Files that are the same within rounding stay."""
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for channels, name in NOISE.items():
        if not same_noise(channels):
            np.save(GOLDENS / name, pictures.noise(channels))
    for name, picture in given().items():
        if not pictures.same(GOLDENS / name, picture, SAME_PIXELS):
            picture.save(GOLDENS / name, optimize=True)
    pictures_in.write_resized()
    digests, latents = {}, {}
    for kind in ALL_KINDS:
        (GOLDENS / kind).mkdir(exist_ok=True)
        found = painted(kind)
        digests[kind] = next(found)[0]
        for name, steps, picture in found:
            latents[kind, name] = steps
            if difference(kind, name, steps, picture):
                np.save(GOLDENS / kind / f"{name}.npy", steps)
                picture.save(GOLDENS / kind / f"{name}.png", optimize=True)
        for file in (GOLDENS / kind).iterdir():
            if (kind, file.stem) not in latents:
                file.unlink()
    # If the text did not show in the picture, the comparison would say nothing about it.
    for kind in KINDS:
        for other in ("ddim-unguided", "euler-negative"):
            change = pictures.relative_error(latents[kind, other], latents[kind, other.split("-")[0]])
            assert change > 0.01, f"{kind}: {other} changes the latents by {change:.1e} only"
    families.refuse_equal(latents, [pair for module in MODULES for pair in module.APART])
    record("index.json", {kind: digests[kind] for kind in KINDS}, [case.record() for case in pictures.cases()],
           steps=pictures.STEPS, prompt=pictures.PROMPT)
    record("families.json", {kind: digests[kind] for kind in FAMILY_KINDS}, [case.record() for case in recorded_cases()])


def check(kinds: tuple[str, ...] = ALL_KINDS) -> list[str]:
    """Paints the golden data again; what differs from the committed files, a line each."""
    problems = []
    for name, cases in (("index.json", pictures.cases()), ("families.json", recorded_cases())):
        if read(name)["cases"] != [case.record() for case in cases]:
            problems.append(f"{name}: other cases")
    problems += [f"{name}: another noise" for channels, name in NOISE.items() if not same_noise(channels)]
    others = [f"{name}: another picture" for name, picture in given().items() if not pictures.same(GOLDENS / name, picture, SAME_PIXELS)]
    problems += others or pictures_in.check_resized()
    for kind in kinds:
        found = painted(kind)
        if next(found)[0] != recorded_digest(kind):
            problems.append(f"{kind}: other weights")
            continue
        for name, steps, picture in found:
            differs = difference(kind, name, steps, picture)
            if differs:
                problems.append(f"{kind}/{name}: {differs}")
    return problems


def same_noise(channels: int) -> bool:
    """Whether the committed noise is what it should be."""
    file = GOLDENS / NOISE[channels]
    return file.exists() and pictures.relative_error(np.load(file), pictures.noise(channels)) <= 1e-7


def difference(kind: str, name: str, steps: np.ndarray, picture: Image.Image) -> str | None:
    """How a picture differs from the committed one; None within rounding."""
    files = [(GOLDENS / kind / name).with_suffix(suffix) for suffix in (".npy", ".png")]
    if not all(file.exists() for file in files):
        return "missing"
    latents, pixels = np.load(files[0]), Image.open(files[1])
    if latents.shape != steps.shape or pixels.size != picture.size:
        return "another size"
    error, apart = pictures.relative_error(steps, latents), pictures.pixel_error(picture, pixels)
    return f"relative error {error:.1e}, pixels differ by {apart}" if error > SAME_LATENTS or apart > SAME_PIXELS else None


def recorded_digest(kind: str) -> str:
    """The SHA-256 of the weights that the golden data of `kind` was painted with."""
    return (read("families.json")["weights"] | read("index.json")["weights"])[kind]


def stamp() -> str:
    """What `complete` holds: changes with the code that makes the models."""
    digest = hashlib.sha256()
    for source in sorted(Path(random_checkpoint.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def models() -> None:
    """Makes every model; what an earlier run of this very code finished stays."""
    MODELS.mkdir(exist_ok=True)
    for kind in ALL_KINDS:
        complete = MODELS / kind / "complete"
        if complete.exists() and complete.read_text() == stamp():
            continue
        with tempfile.TemporaryDirectory(dir=MODELS, prefix=f".{kind}.") as scratch:
            folder = Path(scratch) / kind
            model(kind, folder)
            (folder / "complete").write_text(stamp())
            shutil.rmtree(MODELS / kind, ignore_errors=True)
            folder.rename(MODELS / kind)
        print(f"made {(MODELS / kind).relative_to(REPOSITORY)}", flush=True)


def model(kind: str, folder: Path) -> None:
    """One checkpoint and all that is exported from it."""
    source = folder / "checkpoint"
    pipeline, digest = checkpoint(kind, source)
    if digest != recorded_digest(kind):
        raise SystemExit(f"{kind}: the weights are not those of the golden data: run --write and commit it")
    added = adapters.flags(kind, source) if kind in adapters.KINDS else []
    precisions = ["fp32"] + ["fp16"] * (kind in KINDS) + ["int8"] * (kind in INT8)
    if kind in transformer_families.KINDS:  # whose own size is a large one
        added += ["--size", "32"] + ["--unmeasured"] * (kind in UNMEASURED)
    for precision in precisions:
        export("--source", str(source), "--out", str(folder / precision), "--precision", precision, *added)
    if kind in BY_OPTIMUM:
        by_optimum(source, folder / "optimum")
    if kind == "tiny-taesd":  # torch's exporter, which optimum uses, stands in
        variants.write_inline(source, folder)
    if kind in KINDS:
        with_scheduler(pictures.scheduler(pipeline, "flow-euler"), folder, "flow")
    if kind == "tiny":
        variants.write(source, folder)
    if kind == "tiny-sd3":
        with_scheduler(transformer_families.flow_dpm(pipeline.scheduler.config), folder, transformer_families.FLOW_DPM)
    if kind == unets.KIND:
        export("--source", str(source), "--unet-only", "--out", str(folder / "unet-only"), "--precision", "int8")
        unets.write(folder)


def export(*arguments: str) -> None:
    """`easel_export`, in this process: to import it anew takes longer than its work."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(arguments)
    if code:
        raise SystemExit(f"easel_export {' '.join(arguments)} failed:\n{said.getvalue()[-4000:]}")


def by_optimum(source: Path, out: Path) -> None:
    """What `optimum-cli export onnx --task text-to-image` does."""
    from optimum.exporters.onnx import main_export

    main_export(str(source), str(out), task="text-to-image")


def with_scheduler(scheduler: Any, folder: Path, name: str) -> None:
    """`fp32` with another scheduler, in the directory `name`."""
    out = folder / name
    shutil.copytree(folder / "fp32", out)
    shutil.rmtree(out / "scheduler")
    scheduler.save_pretrained(out / "scheduler")
    for file in ("easel.json", "SHA256SUMS"):
        (out / file).unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the golden data instead")
    parser.add_argument("--check", action="store_true", help="paint the golden data again and compare instead")
    options = parser.parse_args()
    cli.quiet()
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
