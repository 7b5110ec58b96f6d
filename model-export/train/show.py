"""Paint the pictures of the README: a few prompts, each picture over its words.

    python model-export/train/show.py [--model models/pocket] [--out docs/images/painted.png]

Prompts in words that the model has learned; seed i for picture i, so no picture is picked out.
"""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from measure import ROOT, paint

PROMPTS = (
    "three red apples on a blue background", "a cat on a green background", "two rockets on black", "a green cat on a white background",
    "four stars on a purple background at night", "a dog next to a house on turquoise", "two big watermelons on yellow", "four mushrooms, pixel art, on orange",
    "a small snowman at the bottom on a blue background", "two pink elephants on gray", "three owls in pastel colours on white", "a large strawberry on a black background",
)  # fmt: skip
COLUMNS, GAP, WORDS = 4, 12, 40


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", type=Path, default=ROOT / "models/pocket")
    args.add_argument("--out", type=Path, default=ROOT / "docs/images/painted.png")
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = paint(args.model, list(PROMPTS), Path(folder), {})
    side, font = pictures.shape[1] + 64, ImageFont.load_default(14)
    rows = -(-len(PROMPTS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (side + GAP) + GAP, rows * (side + WORDS + GAP) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (picture, words) in enumerate(zip(pictures, PROMPTS, strict=True)):
        x, y = GAP + i % COLUMNS * (side + GAP), GAP + i // COLUMNS * (side + WORDS + GAP)
        sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (x, y))
        draw.multiline_text((x + side // 2, y + side + 4), "\n".join(textwrap.wrap(words, 28)), "black", font, "ma", align="center", spacing=2)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, optimize=True)
    print(args.out)


if __name__ == "__main__":
    main()
