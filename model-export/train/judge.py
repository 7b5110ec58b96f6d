"""The judge of free-form pictures: which things it shows, how many, and where, however they came about.

`classifier.py` reads one kind of thing in a picture composed as the training's. Free prompts give more: pairs, other numbers,
other places. This is a detector in the manner of CenterNet (Zhou et al., arXiv 1904.07850): for each 8×8 pixels whether the
middle of a thing is there, and which thing it is; and one background for all. It learns on one to six stamps of random sizes anywhere,
and so knows nothing of the compositions that the painter learned.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import scenes
from classifier import GROUNDS, Residual
from muon import Optimizer
from objects import objects
from pool import keep, pixels

CELL = 8  # pixels
CELLS = scenes.SIZE // CELL
SIZES = (24, 32, 40, 48, 56, 64, 80, 96, 104)  # pixels of a stamp
NEAR = 16  # pixels: two middles nearer than this are one thing


@dataclass(frozen=True)
class Found:
    """One thing: its index in the object list, and its middle, pixels."""

    index: int
    x: float
    y: float


class Judge(nn.Module):
    """RGB in [-1, 1], [n, 3, 128, 128] → middles [n, 16, 16], things [n, objects, 16, 16] and backgrounds [n, 12], all logits."""

    def __init__(self, object_count: int, widths: tuple[int, int, int] = (40, 96, 160)):
        super().__init__()
        near, middle, far = widths
        self.stem = nn.Sequential(nn.Conv2d(3, near, 6, stride=4, padding=1), Residual(near))
        self.fine = nn.Sequential(nn.Conv2d(near, middle, 3, stride=2, padding=1), Residual(middle), Residual(middle))
        # What is around: large things are more than a few cells wide.
        self.coarse = nn.Sequential(nn.Conv2d(middle, far, 3, stride=2, padding=1), Residual(far), Residual(far), Residual(far))
        self.both = nn.Sequential(nn.Conv2d(middle + far, far, 1), Residual(far))
        self.middle, self.thing, self.ground = nn.Conv2d(far, 1, 1), nn.Conv2d(far, object_count, 1), nn.Linear(middle, len(GROUNDS))
        nn.init.constant_(self.middle.bias, -4.0)  # few cells have one

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine = self.fine(self.stem(x))
        coarse = F.interpolate(self.coarse(fine), scale_factor=2.0)
        x = self.both(torch.cat([fine, coarse], 1))
        return self.middle(x)[:, 0], self.thing(x), self.ground(fine.mean((2, 3)))


def draw(rng: random.Random, glyphs: list[str]) -> tuple[np.ndarray, list[Found], int]:
    """A random picture, what it shows, and its background."""
    ground = rng.choice(GROUNDS)
    colour = np.array(scenes.BACKGROUNDS[ground]) + rng.uniform(-8, 8)
    picture = Image.new("RGB", (scenes.SIZE, scenes.SIZE), tuple(int(c) for c in colour.clip(0, 255)))
    count, shown, placed = rng.choice((1, 1, 2, 2, 3, 4, 5, 6)), [], []
    kinds = [rng.randrange(len(glyphs)) for _ in range(1 if rng.random() < 0.5 else rng.randint(1, 3))]
    for _ in range(count):
        size = rng.choice([s for s in SIZES if s * s * count < 1.1 * scenes.SIZE**2] or SIZES[:2])
        for _ in range(12):
            x, y = rng.randint(-2, scenes.SIZE + 2 - size), rng.randint(-2, scenes.SIZE + 2 - size)
            # Stamps may touch, and not hide each other.
            if all(x + size - 4 <= a or a + s - 4 <= x or y + size - 4 <= b or b + s - 4 <= y for a, b, s in placed):
                break
        else:
            continue
        tints = [t for t in scenes.TINTS if t != ground]
        index, tint = rng.choice(kinds), rng.choice(tints) if rng.random() < 0.25 else None
        stamp = scenes._stamp(glyphs[index], size, tint)
        picture.paste(stamp, (x, y), stamp)
        placed.append((x, y, size))
        shown.append(Found(index, x + size / 2, y + size / 2))
    style = "flat" if rng.random() < 0.8 else rng.choice(scenes.STYLES[1:])
    return np.asarray(scenes._styled(picture, style)), shown, GROUNDS.index(ground)


def targets(shown: list[list[Found]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Middles as soft marks [n, 16, 16], 1 in the cell itself, and things [n, 16, 16], -1 where there is none."""
    at = torch.arange(CELLS) + 0.5
    marks, things = torch.zeros(len(shown), CELLS, CELLS), torch.full((len(shown), CELLS, CELLS), -1)
    for i, found in enumerate(shown):
        for thing in found:
            column, row = (min(CELLS - 1, max(0, int(v / CELL))) for v in (thing.x, thing.y))
            soft = torch.exp(-((at[None] - column - 0.5) ** 2 + (at[:, None] - row - 0.5) ** 2))
            marks[i] = torch.maximum(marks[i], soft)
            for r in range(max(0, row - 1), min(CELLS, row + 2)):
                things[i, r, max(0, column - 1) : column + 2] = thing.index
    return marks, things


def loss_of(logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor], marks: torch.Tensor, things: torch.Tensor, grounds: torch.Tensor) -> torch.Tensor:
    middle, thing, ground = (part.float() for part in logits)
    p, sure = middle.sigmoid().clamp(1e-4, 1 - 1e-4), marks > 0.99
    # CenterNet's focal loss: cells beside a middle are punished less.
    focal = torch.where(sure, -((1 - p) ** 2) * p.log(), -((1 - marks) ** 4) * p**2 * (1 - p).log()).sum() / sure.sum().clamp(min=1)
    return focal + F.cross_entropy(thing, things, ignore_index=-1) + 0.5 * F.cross_entropy(ground, grounds)


@torch.no_grad()
def look(model: Judge, pictures: np.ndarray, least: float = 0.35) -> list[tuple[list[Found], str]]:
    """What is seen in uint8 pictures [n, 128, 128, 3]: things, the surest first, and the background."""
    seen = []
    for part in np.array_split(pictures, max(1, len(pictures) // 32)):
        middle, thing, ground = model(pixels(part))
        score, best = middle.sigmoid(), thing.argmax(1)
        score = score * (F.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score)
        for i in range(len(part)):
            found: list[Found] = []
            for place in score[i].flatten().argsort(descending=True)[:24].tolist():
                row, column = divmod(place, CELLS)
                x, y = (column + 0.5) * CELL, (row + 0.5) * CELL
                if score[i, row, column] >= least and all((f.x - x) ** 2 + (f.y - y) ** 2 > NEAR**2 for f in found):
                    found.append(Found(int(best[i, row, column]), x, y))
            seen.append((found, GROUNDS[int(ground[i].argmax())]))
    return seen


def judge(run: Path, object_count: int, minutes: float) -> Judge:
    """The trained judge, from `run`; it is trained, or trained on, by the clock until it has had so many minutes."""
    torch.manual_seed(11)
    model, path = Judge(object_count), run / f"judge-{object_count}.pt"
    state = torch.load(path) if path.exists() else {"seconds": 0.0, "step": 0}
    if "model" in state:
        model.load_state_dict(state["model"])
    if state["seconds"] >= minutes * 60:
        return model.eval()
    run.mkdir(parents=True, exist_ok=True)
    model.to(memory_format=torch.channels_last).train()
    optimizer = Optimizer([model], 2e-3, outer=("stem.0.", "middle.", "thing.", "ground."), weight_decay=0.05)
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    glyphs, rng = [g for g, _ in objects(object_count)], random.Random(f"judge/{state['step']}")
    step, seconds, saved = state["step"], state["seconds"], time.time()
    while (fraction := seconds / (minutes * 60)) < 1:
        began = time.time()
        drawn = [draw(rng, glyphs) for _ in range(48)]
        x = pixels(np.stack([picture for picture, _, _ in drawn]))
        if rng.random() < 0.5:
            small = rng.randint(64, 112)
            x = F.interpolate(F.interpolate(x, size=small, mode="bilinear", antialias=True), size=scenes.SIZE, mode="bilinear")
        x = (x + 0.08 * rng.random() * torch.randn_like(x)).contiguous(memory_format=torch.channels_last)
        marks, things = targets([shown for _, shown, _ in drawn])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(x)
        loss = loss_of(logits, marks, things, torch.tensor([ground for _, _, ground in drawn]))
        loss.backward()
        optimizer.step(min(1, (step + 1) / 50) * (1 - fraction) + 1e-3)
        step, seconds = step + 1, seconds + time.time() - began
        if step % 50 == 0:
            print(f"judge: step {step} {fraction:.0%} loss {loss.item():.3f}", flush=True)
        if time.time() - saved > 120:
            saved = time.time()
            keep(path, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "seconds": seconds, "step": step})
    model.eval().to(memory_format=torch.contiguous_format)
    keep(path, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "seconds": seconds, "step": step})
    return model


def accuracy(model: Judge, object_count: int, pictures: int = 600) -> dict[str, float]:
    """Its own limits, on fresh renders: how often number, kinds and background are right, and everything together."""
    glyphs, rng = [g for g, _ in objects(object_count)], random.Random("judge/fresh")
    drawn = [draw(rng, glyphs) for _ in range(pictures)]
    right = {"number": [], "kinds": [], "background": [], "all of it": []}
    for (found, ground), (_, shown, wanted) in zip(look(model, np.stack([p for p, _, _ in drawn])), drawn, strict=True):
        same = len(found) == len(shown), sorted(f.index for f in found) == sorted(s.index for s in shown), ground == GROUNDS[wanted]
        for key, value in zip(right, (*same, all(same)), strict=True):
            right[key].append(value)
    return {key: float(np.mean(values)) for key, values in right.items()}


def main() -> None:
    args = argparse.ArgumentParser(description="Train the judge of free-form pictures, and say how far it can be trusted.")
    args.add_argument("--run", type=Path, default=Path(__file__).parents[1] / "runs/measure")
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--minutes", type=float, default=25)
    args = args.parse_args()
    model = judge(args.run, args.objects, args.minutes)
    print({key: f"{value:.1%}" for key, value in accuracy(model, args.objects).items()})


if __name__ == "__main__":
    main()
