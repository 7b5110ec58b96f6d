"""Measure the default model: pictures painted by easel, in int8, of compositions that it was never trained on.

    python model-export/train/measure.py --model models/pocket [--against FP32_DIR] [--pictures 520]

Draws held-out scenes of one kind of object, words them, paints them with easel (`examples/paint_list.rs`), and has the classifier
of `classifier.py` read object, background and count. Prints the table of the model card, and saves a contact sheet. With
`--against`, the same prompts and seeds are also painted with that export, and the pictures compared.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

import scenes
from classifier import HEADS, classifier, labels, read
from pool import pool

ROOT = Path(__file__).parents[2]


def prompts(count: int, object_count: int, seed: int) -> list[tuple[scenes.Scene, str]]:
    """Held-out scenes with one kind of object, and their captions."""
    rng, found = random.Random(f"{seed}/prompts"), []
    while len(found) < count:
        scene = scenes.sample(rng, object_count, train=False)
        if len(scene.things) == 1:
            found.append((scene, scenes.caption(scene, rng, object_count)))
    return found


def paint(model: Path, texts: list[str], out: Path, options: dict) -> np.ndarray:
    """uint8 [n, 128, 128, 3], painted by easel; picture i has seed i."""
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"{i:04}.png" for i in range(len(texts))]
    lines = [json.dumps({"prompt": t, "out": str(f), "seed": i} | options) for i, (t, f) in enumerate(zip(texts, files, strict=True))]
    command = ["cargo", "run", "--release", "--quiet", "--locked", "--example", "paint_list", "-p", "easel", "--", str(model.resolve())]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(lines), text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit("easel failed, see above")
    return np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """dB, picture by picture."""
    error = ((a.astype(np.float64) - b) ** 2).mean((1, 2, 3))
    return -10 * np.log10(np.maximum(error, 1e-3) / 255**2)


def share(right: np.ndarray) -> str:
    """`93.4 % (±2.1)`: the share and the half-width of its 95 % interval (normal approximation)."""
    p = right.mean()
    return f"{p:.1%} (±{1.96 * np.sqrt(p * (1 - p) / len(right)):.1%})" if len(right) else "–"


def sheet(pictures: np.ndarray, columns: int) -> Image.Image:
    gap, side = 6, pictures.shape[1]
    rows = -(-len(pictures) // columns)
    made = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap) + gap), (255, 255, 255))
    for i, picture in enumerate(pictures):
        made.paste(Image.fromarray(picture), (gap + i % columns * (side + gap), gap + i // columns * (side + gap)))
    return made


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", type=Path, default=ROOT / "models/pocket")
    args.add_argument("--against", type=Path, help="the same model in fp32")
    args.add_argument("--run", type=Path, default=ROOT / "model-export/runs/measure", help="classifier and pictures are kept here")
    args.add_argument("--pictures", type=int, default=520)
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--minutes", type=float, default=6, help="for the classifier, if it is not there yet")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--steps", type=int)
    args.add_argument("--guidance", type=float)
    args.add_argument("--scheduler")
    args = args.parse_args()
    judge = classifier(args.run, args.objects, args.minutes)
    fresh = pool(args.run / "pool", 2048, args.objects, train=False, seed=3)
    keep = [i for i, s in enumerate(fresh.scenes) if len(s.things) == 1]
    ceiling = read(judge, fresh.pictures[keep]) == np.array([labels(fresh.scenes[i]) for i in keep])
    chosen = prompts(args.pictures, args.objects, args.seed)
    texts = [text for _, text in chosen]
    options = {k: v for k in ("steps", "guidance", "scheduler") if (v := getattr(args, k)) is not None}
    pictures = paint(args.model, texts, args.run / "pictures", options)
    wanted = np.array([labels(scene) for scene, _ in chosen])
    right = read(judge, pictures) == wanted
    groups = {
        "all": np.ones(len(chosen), bool),
        "own colours": np.array([s.things[0].tint is None for s, _ in chosen]),
        "tinted": np.array([s.things[0].tint is not None for s, _ in chosen]),
        **{f"size {size}": np.array([s.size == size for s, _ in chosen]) for size in ("small", "medium", "large")},
    }
    print(f"\n| held-out pictures | n | {' | '.join(HEADS)} |\n|---|---|---|---|---|")
    for name, group in groups.items():
        print(f"| {name} | {group.sum()} | {' | '.join(share(right[group, i]) for i in range(3))} |")
    print(f"| real renders (the classifier's own limit) | {len(keep)} | {' | '.join(share(ceiling[:, i]) for i in range(3))} |")
    sheet(pictures[:48], 8).save(args.run / "sheet.png")
    (args.run / "results.jsonl").write_text("\n".join(
        json.dumps({"seed": i, "prompt": t, "right": dict(zip(HEADS, right[i].tolist(), strict=True))}) for i, t in enumerate(texts)))
    if args.against:
        exact = paint(args.against, texts[:64], args.run / "against", options)
        quality = psnr(pictures[:64], exact)
        print(f"\nagainst {args.against.name}, same seeds, {len(quality)} pictures: {quality.mean():.1f} dB on average, median {np.median(quality):.1f}, worst {quality.min():.1f}")


if __name__ == "__main__":
    main()
