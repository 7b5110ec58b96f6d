"""Prompts as people type them: whether the picture shows what was asked for, or it was said that it does not.

`free_form.tsv` is written by hand and by no grammar: things alone, numbers, pairs, arrangements, languages, synonyms, misspellings, words
that the model cannot know, and nonsense. The judge (`judge.py`) reads each picture. Called by `measure.py --free-form`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judge import Found

LIST = Path(__file__).with_name("free_form.tsv")
THING = re.compile(r"(?:(\d+)(\+?) )?([a-z ]+?)(?::([a-z]+))?$")


@dataclass(frozen=True)
class Wanted:
    """A prompt, and what its picture should show: things with their least and largest number, from left to right."""

    kind: str
    prompt: str
    things: tuple[tuple[str, int, int], ...]  # none: nothing of it can be painted
    relation: str  # > ^ _ ? or nothing
    background: str


def read_list(path: Path = LIST) -> list[Wanted]:
    wanted = []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            continue
        kind, prompt, things, background = line.split("\t")
        parts, found = re.split(r" ([>^_?]) ", things), []
        for part in [] if things == "-" else parts[::2]:
            number, more, name, _ = THING.match(part).groups()
            least = int(number or 1)
            found.append((name, least, 99 if more else least))
        wanted.append(Wanted(kind, prompt, tuple(found), parts[1] if len(parts) > 1 else "", background))
    return wanted


def score(wanted: Wanted, answer: dict, seen: tuple[list[Found], str] | None, names: list[str]) -> dict[str, bool]:
    """What is right of a picture, by what is judged; without a picture, nothing that it should show."""
    said = "refused" in answer or bool(answer.get("warnings"))
    if not wanted.things:
        return {"said": said, "everything": said}
    right = {"things": False, "number": False, "everything": False, "said": said}
    if wanted.background:
        right["background"] = False
    if wanted.relation in (">", "^", "_"):
        right["arrangement"] = False
    if seen is None:
        return right
    found, ground = seen
    places = [[f for f in found if names[f.index] == name] for name, _, _ in wanted.things]
    right["things"] = all(places) and sum(map(len, places)) == len(found)
    right["number"] = sum(least for _, least, _ in wanted.things) <= len(found) <= sum(most for _, _, most in wanted.things)
    exact = all(least <= len(p) <= most for p, (_, least, most) in zip(places, wanted.things, strict=True))
    if wanted.background:
        right["background"] = ground == wanted.background
    if "arrangement" in right and all(places):
        (ax, ay), (bx, by) = (np.mean([(f.x, f.y) for f in p], 0) for p in places)
        right["arrangement"] = bool({">": ax + 8 < bx, "^": ay + 8 < by, "_": ay > by + 8}[wanted.relation])
    right["everything"] = exact and right["things"] and right.get("background", True) and right.get("arrangement", True)
    return right


def table(wanted: list[Wanted], scores: list[dict[str, bool]]) -> str:
    columns = ("things", "number", "background", "arrangement", "everything", "said")
    lines = [f"| prompts | n | {' | '.join(columns)} | right or said |", "|---" * (len(columns) + 3) + "|"]
    for kind in [*dict.fromkeys(w.kind for w in wanted), "all"]:
        rows = [s for w, s in zip(wanted, scores, strict=True) if kind in ("all", w.kind)]
        cells = []
        for column in columns:
            values = [row[column] for row in rows if column in row]
            cells.append(f"{np.mean(values):.0%}" if values else "–")
        cells.append(f"{np.mean([row['everything'] or row['said'] for row in rows]):.0%}")
        lines.append(f"| {kind} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)
