"""Scenes made by code: emoji glyphs composed into captioned pictures.

A `Scene` is the meaning (what, how many, which colours, where, which style); `caption` words it, `render` draws it as
RGB 128×128. Drawing and wording are deterministic in the random generator that is passed in.
"""

from __future__ import annotations

import functools
import hashlib
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from objects import objects, plural

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SIZE = 128  # pixels, both ways
GRID = 8  # glyphs stand on the VAE's grid, so that a glyph of one size has one latent

BACKGROUNDS = {
    "red": (214, 48, 49), "orange": (240, 147, 43), "yellow": (249, 214, 72), "green": (46, 160, 88),
    "blue": (52, 108, 214), "purple": (126, 72, 178), "pink": (246, 166, 196), "white": (250, 250, 250),
    "black": (18, 18, 20), "gray": (140, 142, 146), "turquoise": (64, 200, 196), "brown": (124, 82, 52),
}  # fmt: skip
TINTS = {
    "red": (226, 40, 40), "orange": (246, 140, 30), "yellow": (248, 214, 40), "green": (40, 176, 70),
    "blue": (50, 100, 232), "purple": (140, 64, 196), "pink": (250, 130, 180), "white": (244, 244, 246),
}  # fmt: skip
STYLES = ("flat", "night", "pixel", "pastel")
COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}
# Few distinct sizes, so that a small model can learn each object at each of them.
SIZES = {1: {"small": 32, "medium": 64, "large": 96}, 2: {"small": 32, "medium": 48, "large": 64},
         3: {"small": 32, "medium": 48, "large": 64}, 4: {"small": 32, "medium": 48, "large": 64}}  # fmt: skip
PLACES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Thing:
    """One kind of object in a scene: `index` into the object list, how many, and its tint (None: its own colours)."""

    index: int
    count: int = 1
    tint: str | None = None


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    things: tuple[Thing, ...]
    background: str
    size: str = "medium"
    place: str | None = None
    style: str = "flat"
    layout: int = field(default=0)


def held_out(index: int, attribute: str) -> bool:
    """Whether this (object, attribute) combination is kept from training: one in ten, fixed by a hash."""
    return hashlib.blake2b(f"{index}/{attribute}".encode(), digest_size=2).digest()[0] % 10 == 0


def combinations(scene: Scene) -> list[tuple[int, str]]:
    """All (object, attribute) combinations of a scene."""
    return [
        (thing.index, attribute)
        for thing in scene.things
        for attribute in (f"on {scene.background}", f"count {thing.count}", f"tint {thing.tint}")
        if attribute != "tint None" and attribute != "count 1"
    ]


def sample(rng: random.Random, object_count: int, *, train: bool = True) -> Scene:
    """A random scene. With `train`, never one with a held-out combination; without, always one."""
    while True:
        tint = rng.choice(list(TINTS)) if rng.random() < 0.3 else None
        style = "flat" if rng.random() < 0.8 else rng.choice(STYLES[1:])
        background = rng.choice(list(BACKGROUNDS))
        index = rng.randrange(object_count)
        if rng.random() < 0.2:
            other = rng.randrange(object_count)
            if other == index:
                continue
            other_tint = rng.choice(list(TINTS)) if rng.random() < 0.15 else None
            scene = Scene((Thing(index, 1, tint), Thing(other, 1, other_tint)), background, "medium", None, style)
        else:
            count = rng.choice((1, 1, 2, 2, 3, 3, 4, 4))
            size = rng.choice(("small", "medium", "medium", "large"))
            place = rng.choice(PLACES) if count == 1 and size != "large" and rng.random() < 0.4 else None
            scene = Scene((Thing(index, count, tint),), background, size, place, style, rng.randrange(2))
        if any(t.tint == background for t in scene.things):
            continue  # nothing to be seen
        if any(held_out(*c) for c in combinations(scene)) != train:
            return scene


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _noun(thing: Thing, names: list[str], size: str, rng: random.Random) -> str:
    words = [w for w in ("" if size == "medium" else rng.choice({"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}[size]), thing.tint) if w]
    if thing.count == 1:
        phrase = " ".join([*words, names[thing.index]])
        return rng.choice((_article(phrase), "one " + phrase)) if rng.random() < 0.85 else phrase
    return " ".join([rng.choice((COUNTS[thing.count], COUNTS[thing.count], str(thing.count))), *words, plural(names[thing.index])])


def caption(scene: Scene, rng: random.Random, object_count: int) -> str:
    """One of the many ways to say what the scene shows."""
    names = _names(object_count)
    nouns = [_noun(t, names, scene.size, rng) for t in scene.things]
    if len(nouns) == 2 and rng.random() < 0.5:
        words = f"{nouns[0]} next to {nouns[1]}" if rng.random() < 0.5 else f"{nouns[0]} with {nouns[1]}"
    else:
        words = " and ".join(nouns)
    if scene.place:
        words += rng.choice((f" on the {scene.place}", f" at the {scene.place}"))
    ground = scene.background
    words += rng.choice((f" on a {ground} background", f" on a {ground} background", f" on {ground}", f", {ground} background",
                         f" in front of a {ground} wall", f" on a {ground} backdrop"))  # fmt: skip
    if ground == "orange":
        words = words.replace("a orange", "an orange")
    words += {
        "flat": rng.choice(("", "", "", ", flat style", ", simple")),
        "night": rng.choice((" at night", ", night style", " in the dark")),
        "pixel": rng.choice((", pixel art", ", pixel style", " as pixel art")),
        "pastel": rng.choice((", pastel style", " in pastel colours", ", soft pastel")),
    }[scene.style]
    return rng.choice(("", "", "", "a picture of ", "a painting of ", "an image of ")) + words


@functools.lru_cache(maxsize=4)
def _names(object_count: int) -> list[str]:
    return [name for _, name in objects(object_count)]


@functools.lru_cache(maxsize=1024)
def _glyph(character: str) -> Image.Image:
    """The glyph cut to its ink and centred on a transparent square, RGBA."""
    font = ImageFont.truetype(FONT, 109)  # the only size that the bitmap font has
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((10, 10), character, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise SystemExit(f"{FONT}: no glyph for {character!r} (install fonts-noto-color-emoji)")
    ink = canvas.crop(box)
    side = max(ink.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    return square


@functools.lru_cache(maxsize=8192)
def _stamp(character: str, size: int, tint: str | None) -> Image.Image:
    stamp = _glyph(character).resize((size, size), Image.Resampling.LANCZOS)
    if tint is None:
        return stamp
    # Brightness from the glyph, hue from the tint: shade runs from a dark tint over the tint to nearly white.
    pixels = np.asarray(stamp, dtype=np.float32)
    luma = (pixels[..., :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None] / 255
    colour = np.array(TINTS[tint], dtype=np.float32)
    luma = 0.25 + 0.75 * luma
    shade = np.where(luma < 0.7, colour * (luma / 0.7), colour + (255 - colour) * ((luma - 0.7) / 0.3) * 0.55)
    return Image.fromarray(np.concatenate([shade, pixels[..., 3:]], axis=-1).clip(0, 255).astype(np.uint8), "RGBA")


def _snap(value: float) -> int:
    return int(round(value / GRID)) * GRID


def _corners(scene: Scene, side: int, rng: random.Random) -> list[tuple[int, int]]:
    """Upper left corners of each stamp, in pixels."""
    total = sum(t.count for t in scene.things)
    free = SIZE - side
    jitter = lambda: rng.choice((-GRID, 0, 0, GRID))  # noqa: E731
    if total == 1:
        x = y = free / 2
        match scene.place:
            case "left": x = GRID
            case "right": x = free - GRID
            case "top": y = GRID
            case "bottom": y = free - GRID
            case _: x, y = x + jitter(), y + jitter()
        return [(_snap(x), _snap(y))]  # fmt: skip
    low, high = (GRID, free - GRID) if side <= 48 else (0, free)
    if total == 2:
        y = free / 2 + jitter()
        return [(_snap(low), _snap(y)), (_snap(high), _snap(y))]
    if total == 3:
        if scene.layout == 0 and side <= 32:
            y = _snap(free / 2 + jitter())
            return [(0, y), (_snap(free / 2), y), (_snap(free), y)]
        return [(_snap(free / 2), _snap(low)), (_snap(low), _snap(high)), (_snap(high), _snap(high))]
    return [(_snap(x), _snap(y)) for y in (low, high) for x in (low, high)]


def render(scene: Scene, rng: random.Random, object_count: int) -> Image.Image:
    """Draw the scene, RGB, `SIZE`×`SIZE`."""
    characters = objects(object_count)
    ground = np.array(BACKGROUNDS[scene.background], dtype=np.float32) + rng.uniform(-5, 5)
    picture = Image.new("RGB", (SIZE, SIZE), tuple(int(c) for c in ground.clip(0, 255)))
    side = SIZES[min(sum(t.count for t in scene.things), 4)][scene.size]
    stamps = [_stamp(characters[t.index][0], side, t.tint) for t in scene.things for _ in range(t.count)]
    for stamp, corner in zip(stamps, _corners(scene, side, rng), strict=True):
        picture.paste(stamp, corner, stamp)
    return _styled(picture, scene.style)


def _styled(picture: Image.Image, style: str) -> Image.Image:
    if style == "flat":
        return picture
    if style == "pixel":
        return picture.resize((SIZE // 4, SIZE // 4), Image.Resampling.BOX).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    pixels = np.asarray(picture, dtype=np.float32)
    if style == "night":
        pixels = pixels * np.array([0.42, 0.46, 0.66], dtype=np.float32) + np.array([0, 2, 18], dtype=np.float32)
    else:
        pixels = pixels * 0.55 + 255 * 0.45
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
