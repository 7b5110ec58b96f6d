"""Pictures that begin with a picture: what diffusers' pipelines make of one, recorded with the cases of `families.py`.

`source.png` is painted over (img2img), painted anew where `mask.png` or `mask-right.png` are white (inpainting), or edited
(InstructPix2Pix). None has the size of what is painted: the picture is resized by diffusers' image processor, Lanczos to width x height;
the mask likewise, then 1 where it is at least half white. The autoencoder's *mean* is taken, so nothing is drawn for it: the first
draw of the noise is what is added to the source (or the whole start, at strength 1 of inpainting), the next ones are the steps'.

What is run of N steps are the last floor(N * strength), computed with floats of 64 bits; with the pipeline of latent consistency models
the scheduler is told the strength instead, and all N are run. Latents are recorded after every step that is run, of inpainting without
channels for the mask after the rest of the picture was put back. Pictures are as they were decoded: nothing is pasted into them.

PNDM and LMS that begin in the middle are not diffusers' own but `odd_schedulers.py`'s, which says why.

`resize/index.json` names what Pillow makes of these pictures, to be met bit by bit: `size` (width, height) after resizing, of the
centre then `crop`; a mask becomes black and white (`threshold`), then the nearest pixels of `latent` size. `short_side` is what
`CLIPImageProcessor` was told.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageDraw, ImageFilter

from easel_export.goldens.families import NEGATIVE, Case, scheduled, watcher
from easel_export.goldens.noise import injected
from easel_export.goldens.pictures import noise, same
from easel_export.goldens.schedulers import KINDS as SCHEDULERS
from easel_export.goldens.weights import uniform

GOLDENS = Path(__file__).resolve().parents[3] / "tests" / "goldens" / "pipelines"
SOURCE, MASK, OTHER_MASK = "source.png", "mask.png", "mask-right.png"
# The share of fresh noise that the pipelines give the sampler, which is not its own of 0.3.
ETA = {"tcd": 0.0}
# Another family's.
LEFT_OUT = ("flow-euler",)


def cases() -> list[Case]:
    """All of them."""
    over = functools.partial(Case, image=SOURCE, strength=0.6)
    anew = functools.partial(Case, image=SOURCE, mask=MASK, strength=1.0)
    edit = functools.partial(Case, "tiny-pix2pix", image=SOURCE)
    return [
        over("tiny", "img2img", strength=0.8, negative=NEGATIVE),
        over("tiny", "img2img-faint", strength=0.3),
        # Begins with noise on the source, though all steps are run.
        over("tiny", "img2img-full", strength=1.0),
        over("tiny", "img2img-unguided", strength=0.8, guidance=1.0),
        over("tiny", "img2img-odd-steps", strength=0.5, steps=7, scheduler="euler"),
        # Seven steps, not the six of 0.7 in 32 bits.
        over("tiny", "img2img-tenths", strength=0.7, steps=10),
        # The first step is evaluated twice, as without a picture.
        over("tiny", "img2img-full-pndm", strength=1.0, scheduler="pndm"),
        over("tiny", "img2img-odd-size", latent=(7, 11)),
        over("tiny", "img2img-wide", latent=(4, 12)),
        *(over("tiny", f"img2img-{name}", scheduler=name, eta=ETA.get(name)) for name in SCHEDULERS if name not in LEFT_OUT),
        anew("tiny", "inpaint", negative=NEGATIVE),
        anew("tiny", "inpaint-faint", strength=0.6),
        anew("tiny", "inpaint-other-mask", mask=OTHER_MASK),
        anew("tiny", "inpaint-unguided", strength=0.6, guidance=1.0),
        anew("tiny", "inpaint-odd-size", strength=0.6, latent=(7, 11)),
        *(anew("tiny", f"inpaint-{name}", strength=0.6, scheduler=name) for name in ("euler", "heun", "euler-ancestral", "dpmpp-2m", "lcm", "pndm")),
        over("tiny-sd21", "img2img", strength=0.8, negative=NEGATIVE),
        over("tiny-sd21", "img2img-euler", scheduler="euler"),
        anew("tiny-sd21", "inpaint", strength=0.6),
        over("tiny-taesd", "img2img", strength=0.8, negative=NEGATIVE),
        anew("tiny-taesd", "inpaint", strength=0.6),
        over("tiny-turbo", "img2img", steps=2, strength=0.5, guidance=0.0),
        over("tiny-lcm", "img2img", steps=4, strength=0.5, guidance=8.0),
        over("tiny-lcm", "img2img-strong", steps=4, strength=0.9, guidance=8.0),
        anew("tiny-lcm", "inpaint", steps=4, guidance=8.0),
        over("tiny-sdxl", "img2img", negative=NEGATIVE),
        over("tiny-sdxl", "img2img-no-negative", strength=0.8),
        over("tiny-sdxl", "img2img-rescaled", guidance=9.0, rescale=0.7),
        anew("tiny-sdxl", "inpaint", negative=NEGATIVE),
        anew("tiny-sdxl", "inpaint-faint", strength=0.6, negative=NEGATIVE),
        over("tiny-sdxl-turbo", "img2img", steps=2, strength=0.5, guidance=0.0),
        anew("tiny-inpaint", "inpaint", negative=NEGATIVE),
        anew("tiny-inpaint", "inpaint-faint", strength=0.6),
        anew("tiny-inpaint", "inpaint-other-mask", mask=OTHER_MASK),
        anew("tiny-inpaint", "inpaint-unguided", guidance=1.0),
        # Scales the latents, and those alone.
        anew("tiny-inpaint", "inpaint-euler", scheduler="euler"),
        anew("tiny-inpaint", "inpaint-euler-ancestral", strength=0.6, scheduler="euler-ancestral"),
        anew("tiny-sdxl-inpaint", "inpaint", negative=NEGATIVE),
        anew("tiny-sdxl-inpaint", "inpaint-faint", strength=0.6),
        anew("tiny-sdxl-inpaint", "inpaint-unguided", guidance=1.0, mask=OTHER_MASK),
        edit("edit", negative=NEGATIVE),
        edit("edit-euler", scheduler="euler"),
        edit("edit-near", image_guidance=2.5),
        edit("edit-unguided", guidance=1.0),
    ]


# Pairs that must differ, see `families.py`.
APART = [
    ("tiny", "img2img", "img2img-faint"),
    ("tiny", "img2img", "img2img-unguided"),
    ("tiny", "img2img-full", "ddim"),
    ("tiny", "inpaint", "inpaint-faint"),
    ("tiny", "inpaint-faint", "img2img-ddim"),
    ("tiny", "inpaint", "inpaint-other-mask"),
    ("tiny-lcm", "img2img", "img2img-strong"),
    ("tiny-lcm", "inpaint", "four-steps"),
    ("tiny-sdxl", "img2img", "inpaint-faint"),
    ("tiny-sdxl", "inpaint", "negative"),
    ("tiny-inpaint", "inpaint", "inpaint-other-mask"),
    ("tiny-inpaint", "inpaint", "inpaint-faint"),
    ("tiny-sdxl-inpaint", "inpaint", "inpaint-unguided"),
    ("tiny-pix2pix", "edit-euler", "edit-near"),
    ("tiny-pix2pix", "edit", "edit-unguided"),
]


def adapted(pipeline: Any, case: Case) -> Any:
    """The pipeline of diffusers' that makes `case`, with the networks of `pipeline`."""
    name = type(pipeline).__name__
    if "Pix2Pix" in name:
        return pipeline
    what = "Inpaint" if case.mask else "Img2Img"
    if case.mask and "XL" not in name:  # that of latent consistency models, too
        name = "StableDiffusionControlNetPipeline" if case.control else "StableDiffusionPipeline"
    name = name.removesuffix("Pipeline").removesuffix(what) + what + "Pipeline"
    kind = getattr(diffusers, name)
    # Not `from_pipe`, which refuses autoencoders that the pipeline's hints do not name.
    possible = dict(requires_safety_checker=False, add_watermarker=False)
    options = {key: value for key, value in possible.items() if key in inspect.signature(kind.__init__).parameters}
    made = kind(**pipeline.components, **options)
    made.set_progress_bar_config(disable=True)
    return made


def paint(pipeline: Any, case: Case, **more: Any) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step that was run, float32 [steps, 4, h, w], and the picture. `pipeline` is left as it was, and told `more`."""
    rows, columns = case.latent
    draws = iter(torch.from_numpy(noise())[..., :rows, :columns].contiguous())
    made = adapted(pipeline, case)
    known = inspect.signature(made.__call__).parameters
    width, height = (side * made.vae_scale_factor for side in (columns, rows))
    steps: list[torch.Tensor] = []
    source = Image.open(GOLDENS / case.image)
    options: dict[str, Any] = dict(num_inference_steps=case.steps, guidance_scale=case.guidance, callback_on_step_end=watcher(steps))
    if case.mask:
        options |= dict(image=source, mask_image=Image.open(GOLDENS / case.mask), height=height, width=width)
    else:  # whose pipelines take the size from the picture
        options |= dict(image=made.image_processor.resize(source, height, width))
    possible = dict(
        strength=case.strength, negative_prompt=case.negative, guidance_rescale=case.rescale, eta=case.eta or 0.0,
        clip_skip=case.clip_skip or None, image_guidance_scale=case.image_guidance or 1.5)
    options |= {name: value for name, value in possible.items() if name in known}
    with scheduled(made, case), injected(draws), from_means(made, draws), torch.no_grad():
        picture = made(case.prompt, **options | more).images[0]
    return torch.cat(steps).numpy(), picture


@contextlib.contextmanager
def from_means(pipeline: Any, draws: Iterator[torch.Tensor]) -> Iterator[None]:
    """Within it, `pipeline` takes the next of `draws` where it draws noise itself, and an encoder's mean without any."""
    module = sys.modules[type(pipeline).__module__]
    others = {"randn_tensor": lambda shape, **_: next(draws).reshape(shape)}
    if hasattr(module, "retrieve_latents"):  # it begins with pictures
        others["retrieve_latents"] = functools.partial(module.retrieve_latents, sample_mode="argmax")
    with mock.patch.multiple(module, **others):
        yield


def all_pictures(kind: str, pipeline: Any) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted."""
    for case in cases():
        if case.kind == kind:
            yield case, *paint(pipeline, case)


# -- What is given, and how it is resized -------------------------------------------------------------------------------


def given() -> dict[str, Image.Image]:
    """By name of the file: a house on a hill with fine noise on it, a disc with soft edges, the right half with hard ones."""
    width, height = 61, 45
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    sky = np.stack([90 + 2 * y, 140 + 1.5 * y, 235 - y], axis=-1)
    hill = y > 32 - 6 * np.sin(x / 11)
    sky[hill] = np.stack([60 + x, 130 - 0.5 * x, 40 + 0 * x], axis=-1)[hill]
    scene = Image.fromarray(np.rint(sky).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(scene)
    draw.ellipse((44, 4, 55, 15), fill=(255, 236, 120))
    draw.rectangle((18, 19, 37, 35), fill=(180, 50, 40))
    draw.polygon([(15, 19), (27, 8), (40, 19)], fill=(80, 40, 30))
    for left in (21, 30):
        draw.rectangle((left, 23, left + 3, 27), fill=(250, 250, 210))
    grain = uniform("source.png", width * height * 3).reshape(height, width, 3) * 9
    source = Image.fromarray(np.rint(np.asarray(scene) + grain).clip(0, 255).astype(np.uint8))
    mask = Image.new("L", (50, 38))
    ImageDraw.Draw(mask).ellipse((8, 6, 33, 28), fill=255)
    right = Image.new("L", (40, 30))
    ImageDraw.Draw(right).rectangle((23, 0, 39, 29), fill=255)
    return {SOURCE: source, MASK: mask.filter(ImageFilter.GaussianBlur(3)), OTHER_MASK: right}


def resized() -> Iterator[tuple[dict[str, Any], Image.Image]]:
    """Each entry of `resize/index.json`, and the picture."""
    from transformers import CLIPImageProcessor

    source, mask, other = (Image.open(GOLDENS / name) for name in (SOURCE, MASK, OTHER_MASK))
    plain = dict(filter="lanczos", short_side=None, crop=None, threshold=False, latent=None)
    for name, size in (("down", (24, 16)), ("up", (122, 90)), ("mixed", (90, 20)), ("narrow", (7, 45)), ("odd", (53, 46)), ("same", (61, 45))):
        yield dict(file=f"lanczos-{name}.png", source=SOURCE, size=size, **plain), source.resize(size, Image.Resampling.LANCZOS)
    for short in (32, 64):
        processor = CLIPImageProcessor(
            size={"shortest_edge": short}, crop_size={"height": short, "width": short}, do_rescale=False, do_normalize=False)
        pixels = np.asarray(processor(source).pixel_values[0]).transpose(1, 2, 0)
        size = (short * source.width // source.height, short)
        entry = plain | dict(filter="bicubic", short_side=short, crop=(short, short))
        yield dict(file=f"bicubic-{short}.png", source=SOURCE, size=size, **entry), Image.fromarray(pixels.astype(np.uint8))
    processor = VaeImageProcessor(
        vae_scale_factor=2, do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    for name, picture in ((MASK, mask), (OTHER_MASK, other)):
        for width, height in ((24, 16), (22, 14), (96, 64)):
            entry = dict(source=name, size=(width, height), **plain) | dict(threshold=True)
            stem = f"{name.removesuffix('.png')}-{width}x{height}"
            binary = processor.preprocess(picture, height=height, width=width)
            yield dict(file=f"{stem}.png", **entry), white(binary)
            latent = (width // 2, height // 2)
            small = torch.nn.functional.interpolate(binary, size=latent[::-1])
            yield dict(file=f"{stem}-latent.png", **entry) | dict(latent=latent), white(small)


def white(mask: torch.Tensor) -> Image.Image:
    """[1, 1, h, w] of 0 and 1, as a picture."""
    return Image.fromarray((mask[0, 0].numpy() * 255).astype(np.uint8))


def entries() -> str:
    """`resize/index.json`."""
    return "[\n" + ",\n".join(json.dumps(entry) for entry, _ in resized()) + "\n]\n"


def write_resized() -> None:
    """Writes what becomes by resizing of the pictures that are given."""
    folder = GOLDENS / "resize"
    folder.mkdir(exist_ok=True)
    made = {entry["file"]: picture for entry, picture in resized()}
    for file in folder.glob("*.png"):
        if file.name not in made:
            file.unlink()
    for name, picture in made.items():
        if not same(folder / name, picture, 0):
            picture.save(folder / name, optimize=True)
    (folder / "index.json").write_text(entries())


def check_resized() -> list[str]:
    """What of that differs from what is committed, a line each."""
    folder = GOLDENS / "resize"
    if (folder / "index.json").read_text() != entries():
        return ["resize/index.json: other entries"]
    return [f"resize/{entry['file']}: another picture" for entry, picture in resized() if not same(folder / entry["file"], picture, 0)]
