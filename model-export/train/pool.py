"""Scenes drawn once and kept: both trainings and the measurement of a model draw from the same pool."""

from __future__ import annotations

import multiprocessing
import pickle
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import scenes


@dataclass
class Pool:
    """`scenes[i]` is drawn in `pictures[i]`: uint8 RGB [count, 128, 128, 3], mapped from disk."""

    scenes: list[scenes.Scene]
    pictures: np.ndarray


def pixels(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] → float32 [n, 3, h, w] in [-1, 1]: what the networks see."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def keep(path: Path, state: dict) -> None:
    """Saves a training's state beside and renames it, so that a run that is cut off here can still be resumed."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def _draw(task: tuple[int, int, int, bool]) -> list[tuple[scenes.Scene, np.ndarray]]:
    seed, count, object_count, train = task
    rng = random.Random(f"{seed}/pool/{train}")
    made = []
    for _ in range(count):
        scene = scenes.sample(rng, object_count, train=train)
        made.append((scene, np.asarray(scenes.render(scene, rng, object_count))))
    return made


def pool(folder: Path, count: int, object_count: int, *, train: bool = True, seed: int = 1) -> Pool:
    """The pool of that many scenes under `folder`, drawn on all cores if it is not there yet."""
    name = f"{'train' if train else 'held-out'}-{object_count}-{count}-{seed}"
    index, pixels = folder / f"{name}.pickle", folder / f"{name}.npy"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        block = 256
        tasks = [(seed * 1_000_003 + i, min(block, count - i), object_count, train) for i in range(0, count, block)]
        pictures = np.lib.format.open_memmap(pixels, "w+", np.uint8, (count, scenes.SIZE, scenes.SIZE, 3))
        found: list[scenes.Scene] = []
        with multiprocessing.Pool() as workers:
            for made in tqdm(workers.imap(_draw, tasks), total=len(tasks), desc="drawing scenes", unit_scale=block):
                for scene, picture in made:
                    pictures[len(found)] = picture
                    found.append(scene)
        pictures.flush()
        index.write_bytes(pickle.dumps(found))  # last: its presence says that the pictures are whole
    return Pool(pickle.loads(index.read_bytes()), np.load(pixels, mmap_mode="r"))
