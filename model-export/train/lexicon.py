"""Make a model's lexicon: what people may type, and what of it the model knows. `docs/lexicon.md` describes the file.

    npm pack cldr-annotations-full@48.2.0 && tar xzf cldr-annotations-full-48.2.0.tgz     # Unicode License 3.0
    apt-get install wamerican                                                           # SCOWL: /usr/share/dict/american-english
    python model-export/train/lexicon.py --cldr package/annotations --out models/pocket/lexicon.json

Colours, numbers and little words come from `lexicon_words.py`, written by hand. Names of things in other languages come from CLDR, whose
annotations name an emoji and give keywords for it. Keywords are noisy ("celebration" for a balloon), so one is taken only if it
is on about the same emoji as an English name of the thing. The same input gives the same file.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import random
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import scenes
from lexicon_words import COLOURS, LANGUAGES, NEAR, NEAREST, SAME, SIBLINGS, THINGS
from objects import objects, plural

SPECIAL = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ß": "ss", "ð": "d", "þ": "th"})
VOICED = "\u3099\u309a"  # か and が are two letters
ALIKE = 0.6  # least share of emoji that a keyword and an English name have in common (Jaccard)
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[0-9]+|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff0-9]+")


def fold(text: str) -> str:
    """Lower case without marks: `Äpfel` → `apfel`. `src/lexicon/fold.rs` does the same."""
    marked = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in marked if not unicodedata.combining(c) or c in VOICED)
    return unicodedata.normalize("NFC", plain).translate(SPECIAL)


def key(text: str) -> str:
    """What a word is looked up by: its parts, folded, with a space between. Characters of scripts without spaces are parts of their own."""
    return " ".join(WORD.findall(fold(text)))


def distance(a: str, b: str) -> int:
    """Letters put in, left out, exchanged, or swapped with their neighbour (optimal string alignment)."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


def allowed(word: str) -> int:
    """How far a misspelling of so many letters may be from the word that is meant. As in `src/lexicon/spelling.rs`."""
    return 0 if len(word) < 4 else 1 if len(word) < 7 else 2


def _cut(word: str) -> set[str]:
    """The word with up to two letters left out: words within two edits of each other share one of these."""
    once = {word[:i] + word[i + 1 :] for i in range(len(word))}
    return {word} | once | {w[:i] + w[i + 1 :] for w in once for i in range(len(w))}


def near_words(words: Iterable[str], known: Iterable[str]) -> list[str]:
    """The words that would be taken for misspellings of known ones."""
    index = collections.defaultdict(set)
    for name in known:
        for part in _cut(name):
            index[part].add(name)
    return [w for w in words if allowed(w) and any(distance(w, n) <= allowed(w) for n in set().union(*(index.get(p, ()) for p in _cut(w))))]


class Annotations:
    """CLDR's names and keywords of one language, by emoji, folded."""

    def __init__(self, folder: Path, language: str):
        said = json.loads((folder / language / "annotations.json").read_text())["annotations"]["annotations"]
        self.names = {glyph: key(entry["tts"][0]) for glyph, entry in said.items() if entry.get("tts")}
        self.words = {glyph: {key(w) for w in entry.get("default", [])} | {self.names.get(glyph, "")} for glyph, entry in said.items()}
        self.shown = {key(w): w for entry in said.values() for w in [*entry.get("default", []), *entry.get("tts", [])]}
        self.glyphs = collections.defaultdict(set)
        for glyph, words in self.words.items():
            for word in words - {""}:
                self.glyphs[word].add(glyph)


def names_of(language: Annotations, english: Annotations, glyphs: list[str], names: set[str]) -> tuple[set[str], set[str]]:
    """What a language calls a thing that has these glyphs and English names: what is sure, and keywords that may be something else."""
    sure = {language.names[g] for g in glyphs if g in language.names}
    begins = {part[:4] for name in sure for part in name.split()}
    sets, maybe = [english.glyphs[n] for n in names if n in english.glyphs], set()
    for word in set().union(*(language.words.get(g, set()) for g in glyphs)) - {""}:
        there = language.glyphs[word]
        if any(len(there & s) / len(there | s) >= ALIKE for s in sets):
            # "Katze" is in the name "Katzengesicht"; "Messi" is not in "Fußball".
            (sure if word[:4] in begins or not word[0].isascii() and word in " ".join(sure) else maybe).add(word)
    return sure, maybe - sure


def nearest_things(english: Annotations, glyph_of: dict[str, str]) -> dict[str, str]:
    """For each emoji that is none of the things, the thing whose keywords are most like its own, rare ones counting more."""
    weight = {w: math.log(len(english.words) / len(g)) for w, g in english.glyphs.items()}
    nearest = {}
    for glyph, words in english.words.items():
        score = {t: sum(weight[w] for w in words & english.words[g] if w) / (20 + sum(weight[w] for w in english.words[g] if w)) for t, g in glyph_of.items()}
        best = max(score, key=lambda t: (score[t], t))
        if glyph not in glyph_of.values() and score[best] > 0.08:
            nearest[glyph] = best
    for thing, glyphs in NEAREST.items():
        for glyph in glyphs:
            nearest |= {g: thing for g in (glyph, glyph + "\ufe0f") if g in english.words}
    return nearest


def split(text: str) -> list[str]:
    return [w.strip() for w in text.split("|") if w.strip()]


def by_meaning(text: str, meanings: list[str]) -> dict[str, str]:
    groups = [split(g) for g in text.split(";")]
    assert len(groups) == len(meanings), (text, meanings)
    return {m: "|".join(sorted({key(w) for w in g})) for m, g in zip(meanings, groups, strict=True)}


def trained_words(object_count: int) -> list[str]:
    """Every word of the training's captions."""
    rng, words = random.Random("lexicon"), set()
    for _ in range(20_000):
        scene = scenes.sample(rng, object_count)
        words |= set(key(scenes.caption(scene, rng, object_count)).split())
    return sorted(words)


SIZE_NAMES, PLACES = ["small", "large"], {p: f"on the {p}" for p in scenes.PLACES}
STYLES = {"night": "at night", "pixel": "as pixel art", "pastel": "in pastel colours", "flat": ""}
LISTS = ("background", "and", "left", "right", "apart", "function", "endings", "many")


def make(cldr: Path, words: Path, object_count: int) -> dict:
    things, english = objects(object_count), Annotations(cldr, "en")
    plain = lambda g: g if g in english.names else g + "\ufe0f"  # noqa: E731
    glyph_of = {name: plain(glyph) for glyph, name in things}
    nearest = nearest_things(english, glyph_of)
    made = {
        "format": 1,
        "language": "en",
        "limits": {"kinds": 2, "together": 1},
        "things": {name: plural(name) for _, name in things},
        "counts": list(scenes.COUNTS.values()),
        "tints": list(scenes.TINTS),
        "backgrounds": {c: f"on {'an' if c[0] in 'aeiou' else 'a'} {c} background" for c in scenes.BACKGROUNDS},
        "sizes": SIZE_NAMES, "places": PLACES, "styles": STYLES,
        "trained": trained_words(object_count), "languages": {},
    }  # fmt: skip
    for code, said in LANGUAGES.items():
        language, of = Annotations(cldr, code), {}
        entry = {
            "colours": by_meaning(said["colours"], COLOURS), "counts": by_meaning(said["numbers"], [str(i) for i in range(1, 11)]),
            "sizes": by_meaning(said["sizes"], SIZE_NAMES), "places": by_meaning(said["places"], list(PLACES)), "styles": by_meaning(said["styles"], list(STYLES)),
            **{name: "|".join(sorted({key(w) for w in split(said[name])})) for name in LISTS},
        }  # fmt: skip
        taken = {w for part in ("colours", "counts", "sizes", "places", "styles") for v in entry[part].values() for w in v.split("|")}
        taken |= {w for name in LISTS[:6] for w in entry[name].split("|")}
        meant: dict[str, set[str]] = collections.defaultdict(set)
        sure: dict[str, str] = {}
        unsure: dict[str, set[str]] = {n: {key(w) for w in split(NEAR.get(n, ""))} if code == "en" else set() for _, n in things}
        for _, name in things:
            known = {key(name), *(key(w) for w in split(SAME.get(name, "")))}
            siblings = [glyph_of[name], *([plain(SIBLINGS[name])] if name in SIBLINGS else [])]
            own = known | {key(plural(name))} if code == "en" else {key(w) for w in split(THINGS.get(code, {}).get(name, ""))}
            sure |= {w: name for w in own}
            named, maybe = (set(), set()) if code == "en" else names_of(language, english, siblings, known)
            for word in own | named | maybe:
                meant[word].add(name)
            unsure[name] |= maybe - own
        for word, names in meant.items():
            # A word for two things is for the one that says so by hand, or for none.
            name = sure.get(word) or (min(names) if len(names) == 1 else None)
            if name and word and word not in taken and len(word) > 1 or name and word and not word.isascii() and word not in taken:
                of.setdefault(name, set()).add(word)
        plurals = {key(plural(name)): name for _, name in things} if code == "en" else {}
        # "Red apple" is an apple that is red: its colour is read by itself.
        tints = {c for v in entry["colours"].values() for c in v.split("|")}
        for ws in of.values():
            ws -= {w for w in ws for c in tints if w.startswith(c + " ") and w[len(c) + 1 :] in ws or w.endswith(" " + c) and w[: -len(c) - 1] in ws}
        joined = lambda sets: {n: "|".join(sorted(ws)) for n, ws in sorted(sets.items()) if ws}  # noqa: E731
        entry["things"] = joined({n: {w for w in ws if plurals.get(w) != n or w == key(n)} - unsure[n] for n, ws in of.items()})
        entry["plurals"] = {n: w for w, n in sorted(plurals.items()) if w != key(n)}
        firm = set().union(*of.values()) | set(plurals) if code == "en" else taken
        entry["near"] = joined({n: (ws if code == "en" else ws & of.get(n, set())) - firm for n, ws in unsure.items()})
        known = set().union(*of.values(), *unsure.values(), plurals)
        # What means something else: it is not taken for a misspelling, and what is nearest to it can be told.
        stems = [e for e in entry["endings"].split("|") if e]
        endings = lambda w: {w} | {w[: -len(e)] for e in stems if w.endswith(e) and len(w) >= len(e) + 3}  # noqa: B023, E731
        roots = set().union(*(endings(w) for w in known | taken))
        other = collections.defaultdict(set)
        for glyph, name in nearest.items():
            word = language.names.get(glyph, "").removesuffix(" face")
            if word and len(word.split()) <= 2 and len(glyph) <= 2 and not endings(word) & roots:
                other[name].add(word)
        listed = set().union(*other.values()) if other else set()
        others = {w for w in language.glyphs if " " not in w}
        if code == "en":
            others |= {key(w) for w in words.read_text().split() if w.isalpha() and w.islower()}
        single = {w for w in known | {c for v in entry["colours"].values() for c in v.split("|")} if " " not in w}
        # A language's words for other emoji are not near things' words by mistake of typing.
        misread = [w for w in sorted(others - known - taken - listed) if not endings(w) & roots and " " not in w]
        other[""] = set(near_words(misread, single))
        entry["other"] = {n: "|".join(sorted(ws)) for n, ws in sorted(other.items()) if ws}
        made["languages"][code] = entry
    return made


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--cldr", type=Path, required=True, help="the folder `annotations` of npm's cldr-annotations-full")
    args.add_argument("--words", type=Path, default=Path("/usr/share/dict/american-english"))
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    # One line a language: a change of one can be read in a comparison.
    made = make(args.cldr, args.words, args.objects)
    languages = made.pop("languages")
    small = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # noqa: E731
    text = small(made)[:-1] + ',\n"languages":{\n' + ",\n".join(f"{small(c)}:{small(l)}" for c, l in languages.items()) + "\n}}\n"
    args.out.write_text(text)
    print(f"{args.out}: {len(text.encode())} bytes, {len(languages)} languages")


if __name__ == "__main__":
    main()
