"""The judge of painted pictures: a small convolutional network that reads object, background and count.

It learns from real renders alone, of all combinations, also those that the painter never saw, and knows nothing of the painter.
Blur and noise while learning keep it from leaning on single pixels, which a painting never gets quite right.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import scenes
from muon import Optimizer
from pool import Pool, pixels, pool

GROUNDS = list(scenes.BACKGROUNDS)
HEADS = ("object", "background", "count")


class Classifier(nn.Module):
    """RGB in [-1, 1], [n, 3, 128, 128] → logits of object, background and count."""

    def __init__(self, object_count: int, widths: tuple[int, ...] = (48, 96, 160)):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 7, stride=4, padding=2)]
        for before, width in zip((widths[0], *widths), widths):
            if before != width:
                layers += [nn.Conv2d(before, width, 3, stride=2, padding=1)]
            layers += [Residual(width), Residual(width)]
        self.body = nn.Sequential(*layers)
        features = 2 * widths[-1]
        self.heads = nn.ModuleList(nn.Linear(features, n) for n in (object_count, len(GROUNDS), len(scenes.COUNTS)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.body(x)
        x = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return [head(x) for head in self.heads]


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.GroupNorm(8, width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.net(x)


def labels(scene: scenes.Scene) -> tuple[int, int, int]:
    (thing,) = scene.things
    return thing.index, GROUNDS.index(scene.background), thing.count - 1


def single(drawn: Pool) -> list[int]:
    """The pool's scenes with one kind of object: those that have one answer."""
    return [i for i, scene in enumerate(drawn.scenes) if len(scene.things) == 1]


@torch.no_grad()
def read(model: Classifier, pictures: np.ndarray) -> np.ndarray:
    """What the classifier sees in uint8 pictures [n, 128, 128, 3]: int [n, 3]."""
    seen = [torch.stack([h.argmax(1) for h in model(pixels(part))], 1) for part in np.array_split(pictures, max(1, len(pictures) // 64))]
    return torch.cat(seen).numpy()


def classifier(run: Path, object_count: int, minutes: float) -> Classifier:
    """The trained judge, from `run` or trained now; its accuracy on fresh renders is printed and kept beside it."""
    torch.manual_seed(5)
    model, path = Classifier(object_count), run / f"classifier-{object_count}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path))
        return model.eval()
    # Two pools: what the painter may see, and what it may not.
    pools = [pool(run / "pool", n, object_count, train=t, seed=2) for n, t in ((24576, True), (12288, False))]
    places = [(drawn, i) for drawn in pools for i in single(drawn)]
    model.to(memory_format=torch.channels_last)
    optimizer = Optimizer([model], 2e-3, outer=("body.0.", "heads."), weight_decay=0.05)
    rng, start, told, step = np.random.default_rng(5), time.time(), time.time(), 0
    while (fraction := (time.time() - start) / (minutes * 60)) < 1:
        picks = [places[i] for i in rng.integers(0, len(places), 64)]
        x = pixels(np.stack([drawn.pictures[i] for drawn, i in picks]))
        wanted = torch.tensor([labels(drawn.scenes[i]) for drawn, i in picks])
        if rng.random() < 0.5:
            small = int(rng.integers(64, 112))
            x = F.interpolate(F.interpolate(x, size=small, mode="bilinear", antialias=True), size=scenes.SIZE, mode="bilinear")
        x = (x + 0.08 * float(rng.random()) * torch.randn_like(x)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(x)
        loss = sum(F.cross_entropy(h.float(), wanted[:, i]) for i, h in enumerate(logits))
        loss.backward()
        optimizer.step(min(1, (step + 1) / 50) * (1 - fraction) + 1e-3)
        step += 1
        if time.time() - told > 20:
            told = time.time()
            right = [(h.argmax(1) == wanted[:, i]).float().mean().item() for i, h in enumerate(logits)]
            print(f"classifier: step {step} {fraction:.0%} loss {loss:.3f}, right {[f'{r:.0%}' for r in right]}", flush=True)
    model.eval().to(memory_format=torch.contiguous_format)
    torch.save(model.state_dict(), path)
    return model
