"""Measure the default model: pictures painted by easel, in int8, of compositions that it was never trained on.

    python model-export/train/measure.py --model models/pocket [--against FP32_DIR] [--pictures 520]
    python model-export/train/measure.py --free-form        # prompts as people type them: `free_form.py`

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
from free_form import read_list, score, table
from judge import accuracy, judge, look
from objects import objects
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


def painted(model: Path, texts: list[str], out: Path, options: dict, program: Path | None = None) -> list[dict]:
    """What easel answers to each text, and the file of the picture, unless it refused; picture i has seed i."""
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"{i:04}.png" for i in range(len(texts))]
    lines = [json.dumps({"prompt": t, "out": str(f), "seed": i} | options) for i, (t, f) in enumerate(zip(texts, files, strict=True))]
    cargo = ["cargo", "run", "--release", "--quiet", "--locked", "--example", "paint_list", "-p", "easel", "--"]
    command = [*([str(program.resolve())] if program else cargo), str(model.resolve())]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(lines), text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit("easel failed, see above")
    return [json.loads(line) for line in done.stdout.splitlines()]


def picture_of(answer: dict) -> np.ndarray:
    return np.asarray(Image.open(answer["out"]).convert("RGB"))


def paint(model: Path, texts: list[str], out: Path, options: dict, program: Path | None = None) -> np.ndarray:
    """uint8 [n, 128, 128, 3], painted by easel; picture i has seed i."""
    answers = painted(model, texts, out, options, program)
    refused = [answer["refused"] for answer in answers if "refused" in answer]
    if refused:
        raise SystemExit(f"{len(refused)} prompts were refused: {refused[0]}")
    return np.stack([picture_of(answer) for answer in answers])


def free_form(args: argparse.Namespace, options: dict) -> None:
    """The table of free-form prompts, and a sheet of the first 60 pictures."""
    wanted, names = read_list(), [name for _, name in objects(args.objects)]
    eyes = judge(args.run, args.objects, args.judge_minutes)
    limit = ", ".join(f"{key} {value:.1%}" for key, value in accuracy(eyes, args.objects).items())
    answers = painted(args.model, [w.prompt for w in wanted], args.run / "free-form", options, args.paint_list)
    there = [i for i, answer in enumerate(answers) if "refused" not in answer]
    pictures = [picture_of(answers[i]) for i in there]
    seen = dict(zip(there, look(eyes, np.stack(pictures)), strict=True))
    scores = [score(w, answer, seen.get(i), names) for i, (w, answer) in enumerate(zip(wanted, answers, strict=True))]
    print(f"{table(wanted, scores)}\n\nthe judge's own limit, on 600 fresh renders: {limit}")
    sheet(np.stack(pictures[:60]), 10).save(args.run / "free-form.png")
    lines = [json.dumps({"prompt": w.prompt, "painted": a.get("painted"), "said": a.get("warnings", a.get("refused")),
                         "seen": [names[f.index] for f in seen[i][0]] + [seen[i][1]] if i in seen else None, "right": s["everything"]}, ensure_ascii=False)
             for i, (w, a, s) in enumerate(zip(wanted, answers, scores, strict=True))]  # fmt: skip
    (args.run / "free-form.jsonl").write_text("\n".join(lines))


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
    args.add_argument("--paint-list", type=Path, help="examples/paint_list.rs as it is built; without, cargo builds it")
    args.add_argument("--free-form", action="store_true", help="measure prompts as people type them, and nothing else")
    args.add_argument("--judge-minutes", type=float, default=24, help="for the judge of free-form pictures, if it is not there yet")
    args = args.parse_args()
    options = {k: v for k in ("steps", "guidance", "scheduler") if (v := getattr(args, k)) is not None}
    if args.free_form:
        return free_form(args, options)
    reader = classifier(args.run, args.objects, args.minutes)
    fresh = pool(args.run / "pool", 2048, args.objects, train=False, seed=3)
    keep = [i for i, s in enumerate(fresh.scenes) if len(s.things) == 1]
    ceiling = read(reader, fresh.pictures[keep]) == np.array([labels(fresh.scenes[i]) for i in keep])
    chosen = prompts(args.pictures, args.objects, args.seed)
    texts = [text for _, text in chosen]
    pictures = paint(args.model, texts, args.run / "pictures", options, args.paint_list)
    wanted = np.array([labels(scene) for scene, _ in chosen])
    right = read(reader, pictures) == wanted
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
        exact = paint(args.against, texts[:64], args.run / "against", options, args.paint_list)
        quality = psnr(pictures[:64], exact)
        print(f"\nagainst {args.against.name}, same seeds, {len(quality)} pictures: {quality.mean():.1f} dB on average, median {np.median(quality):.1f}, worst {quality.min():.1f}")


if __name__ == "__main__":
    main()
