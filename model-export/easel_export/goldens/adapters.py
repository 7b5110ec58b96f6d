"""Pictures with ControlNets and IP-Adapters: what diffusers' pipelines of them paint.

The cases are recorded in `families.json` beside those of `families.py`, and painted from the same noise. The networks that are
added have random weights and lie in folders of the checkpoint, whose own weights are those of the kind it is made from: a case without
a hint or a picture is the plain one.

| kind | what it is for |
|---|---|
| `tiny-control` | `tiny` with two ControlNets: scales, a share of the steps, guess mode, another sampler and size |
| `tiny-sdxl-control` | `tiny-sdxl` with two, which see text and sizes as its U-Net does |
| `tiny-ip`, `tiny-ip-plus` | `tiny` with an IP-Adapter, plain and "Plus" |
| `tiny-sdxl-ip` | `tiny-sdxl` with a plain one |

`control` has a hint for each ControlNet, the first alone where it has one: its picture, a file beside `families.json`, which diffusers
scales to the size that is painted; and `scale`, `start` and `end` as diffusers means them. `ip_image` is a file beside it, too, and
`ip_scale` the weight of what the picture says beside the text. `image`, `mask` and `strength` are `pictures_in.py`'s: a ControlNet counts in a
share of the steps that are run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
from PIL import Image, ImageDraw

from easel_export import controlnet, image_encoder, ip_adapter, random_adapters
from easel_export.goldens import families, pictures_in
from easel_export.goldens.families import NEGATIVE, Case, Hint
from easel_export.goldens.pictures_in import MASK, SOURCE

# What a kind's checkpoint is made from.
BASE = {"tiny-control": "tiny", "tiny-sdxl-control": "tiny-sdxl",
        "tiny-ip": "tiny", "tiny-ip-plus": "tiny", "tiny-sdxl-ip": "tiny-sdxl"}
PICTURED = ("tiny-ip", "tiny-ip-plus", "tiny-sdxl-ip")
KINDS = tuple(BASE)
NETS = 2
LINES, AREAS, PICTURE = "hint-lines.png", "hint-areas.png", "ip-picture.png"


def cases() -> list[Case]:
    """All of them."""

    def one(**options: float) -> dict[str, Any]:
        return dict(control=(Hint(LINES, **options),))

    two = dict(control=(Hint(LINES, scale=0.9), Hint(AREAS, scale=0.4)))
    in_turn = dict(control=(Hint(LINES, end=0.5), Hint(AREAS, start=0.5)))
    guided = dict(negative=NEGATIVE)
    return [
        Case("tiny-control", "one", **guided, **one()),
        Case("tiny-control", "half", **guided, **one(scale=0.5)),
        Case("tiny-control", "middle-steps", **guided, **one(start=0.25, end=0.75)),
        Case("tiny-control", "two", **guided, **two),
        Case("tiny-control", "two-in-turn", **guided, **in_turn),
        Case("tiny-control", "guess", **guided, **one(), control_guess=True),
        Case("tiny-control", "guess-unguided", guidance=1.0, **one(), control_guess=True),
        Case("tiny-control", "unguided", guidance=1.0, **one()),
        Case("tiny-control", "no-hint", **guided),
        Case("tiny-control", "euler", **guided, **one(), scheduler="euler"),
        Case("tiny-control", "odd-size", **guided, **one(), latent=(7, 11)),
        Case("tiny-control", "img2img", **guided, **one(), image=SOURCE, strength=0.6),
        Case("tiny-control", "img2img-two-in-turn", **guided, **in_turn, image=SOURCE, strength=0.8),
        Case("tiny-control", "inpaint", **guided, **one(), image=SOURCE, mask=MASK, strength=1.0),
        Case("tiny-control", "inpaint-faint", **one(), image=SOURCE, mask=MASK, strength=0.6, control_guess=True),
        Case("tiny-sdxl-control", "img2img", **guided, **two, image=SOURCE, strength=0.6),
        Case("tiny-sdxl-control", "one", **guided, **one()),
        Case("tiny-sdxl-control", "two", **two),
        Case("tiny-sdxl-control", "guess", **guided, **two, control_guess=True),
        Case("tiny-sdxl-control", "unguided", guidance=1.0, **one()),
        Case("tiny-sdxl-control", "no-hint", **guided),
        *(case for kind in PICTURED for case in (
            Case(kind, "picture", **guided, ip_image=PICTURE, ip_scale=1.0),
            Case(kind, "half", **guided, ip_image=PICTURE, ip_scale=0.5),
            Case(kind, "unguided", guidance=1.0, ip_image=PICTURE, ip_scale=1.0),
            Case(kind, "no-picture", **guided),
        )),
        # The text's unconditional half is zeros, and the picture's.
        Case("tiny-sdxl-ip", "no-negative", ip_image=PICTURE, ip_scale=1.0),
    ]


# Pairs that must differ, see `families.py`.
APART = [
    *(("tiny-control", "one", other) for other in ("half", "middle-steps", "two", "guess", "unguided", "no-hint")),
    ("tiny-control", "two", "two-in-turn"),
    ("tiny-control", "guess-unguided", "unguided"),
    ("tiny-control", "guess", "no-hint"),
    ("tiny-control", "middle-steps", "no-hint"),
    ("tiny-control", "img2img", "one"),
    ("tiny-control", "inpaint", "one"),
    ("tiny-control", "inpaint", "inpaint-faint"),
    *(("tiny-sdxl-control", "one", other) for other in ("two", "guess", "unguided", "no-hint")),
    *((kind, "picture", other) for kind in PICTURED for other in ("half", "unguided", "no-picture")),
]


def given() -> dict[str, Image.Image]:
    """The pictures that cases name: none has the size or the proportions of what is painted."""
    areas = Image.new("RGB", (34, 50), (20, 60, 30))
    pen = ImageDraw.Draw(areas)
    pen.rectangle([4, 6, 25, 20], fill=(230, 40, 90))
    pen.ellipse([10, 24, 33, 48], fill=(60, 110, 250))
    return {LINES: controlnet.hint(44, 60), AREAS: areas, PICTURE: ip_adapter.sample()}


def add(kind: str, checkpoint: Path, digest: str) -> str:
    """Makes what is added to `checkpoint`; the SHA-256 of its weights, `digest`, and of those."""
    if kind in PICTURED:
        file = random_adapters.add_ip_adapter(checkpoint, "plus" in kind)
        files = [file, file.parent / image_encoder.FOLDER / "model.safetensors"]
    else:
        files = [random_adapters.add_controlnet(checkpoint, number) / "diffusion_pytorch_model.safetensors" for number in range(NETS)]
    known = hashlib.sha256(digest.encode())
    for file in files:
        known.update(file.read_bytes())
    return known.hexdigest()


def flags(kind: str, checkpoint: Path) -> list[str]:
    """For the exporter's command line."""
    if kind in PICTURED:
        return ["--ip-adapter", str(checkpoint / random_adapters.FOLDER)]
    return [word for number in range(NETS) for word in ("--controlnet", str(checkpoint / controlnet.folder(number)))]


def paint(plain: Any, checkpoint: Path, pictures: dict[str, Image.Image], case: Case) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step and the picture; by the pipeline `plain` itself where the case has neither hint nor picture."""
    if case.ip_image:
        # Not `plain`, whose U-Net would change.
        pipeline = type(plain).from_pretrained(checkpoint)
        pipeline.set_progress_bar_config(disable=True)
        folder = checkpoint / random_adapters.FOLDER
        pipeline.load_ip_adapter(folder, subfolder="", weight_name=next(folder.glob("*.safetensors")).name)
        pipeline.set_ip_adapter_scale(case.ip_scale)
        return families.paint(pipeline, case, ip_adapter_image=pictures[case.ip_image])
    if not case.control:
        return families.paint(plain, case)
    nets = [diffusers.ControlNetModel.from_pretrained(checkpoint / controlnet.folder(number)) for number in range(len(case.control))]
    several = len(nets) > 1
    name = controlnet.PIPELINES[type(plain).__name__]
    extra = {"requires_safety_checker": False} if "safety_checker" in plain.components else {}
    pipeline = getattr(diffusers, name)(**plain.components, **extra, controlnet=nets if several else nets[0])
    pipeline.set_progress_bar_config(disable=True)

    def told(values: list[Any]) -> Any:
        return values if several else values[0]

    height, width = (side * pipeline.vae_scale_factor for side in case.latent)
    hints = told([pictures[hint.image] for hint in case.control])
    options = dict(
        height=height, width=width, controlnet_conditioning_scale=told([hint.scale for hint in case.control]),
        control_guidance_start=[hint.start for hint in case.control], control_guidance_end=[hint.end for hint in case.control],
        guess_mode=case.control_guess)
    if case.image:
        return pictures_in.paint(pipeline, case, control_image=hints, **options)
    return families.paint(pipeline, case, image=hints, **options)


def all_pictures(kind: str, plain: Any, checkpoint: Path) -> Iterator[tuple[Case, np.ndarray, Image.Image]]:
    """Every case of `kind`, painted."""
    pictures = given()
    for case in cases():
        if case.kind == kind:
            yield case, *paint(plain, checkpoint, pictures, case)
