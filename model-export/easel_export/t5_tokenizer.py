"""A small tokenizer in T5's format: a SentencePiece model of the Unigram kind (arXiv 1804.10959), with T5's 100 extra ids.

Nothing is trained: every piece's score is given, so that the file is the same bits on every machine. The normalization is
`nmt_nfkc`, T5's own.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

# Known as a whole to this tokenizer, and to the small one of CLIP's kind.
WORDS = """a an the and of on in with red green blue yellow white black big small old new sky sea tree
house cat dog bird fish apple flower mountain river night day painting photo light background""".split()

# As Flux has it; a pipeline asks for shorter texts.
_TOKENS = 512
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # SentencePiece's types of pieces
_UNIGRAM = 1


def pieces() -> list[tuple[str, float, int]]:
    """Text, logarithm of the probability, type; the ids are their places. Scores are exact in float32."""
    start = [("<pad>", 0.0, _CONTROL), ("</s>", 0.0, _CONTROL), ("<unk>", 0.0, _UNKNOWN), ("\u2581", -4.0, _NORMAL)]
    words = [("\u2581" + word, -6 - at / 64, _NORMAL) for at, word in enumerate(WORDS)]
    ends = [(end, -7 - at / 64, _NORMAL) for at, end in enumerate(("s", "ed", "ing", "er", "th", "on", "at", "re"))]
    letters = [(letter, -9 - at / 64, _NORMAL) for at, letter in enumerate(string.printable.strip()) if letter != "s"]
    return start + words + ends + letters


def write(directory: Path) -> Path:
    """Writes `spiece.model`; returns the file."""
    from sentencepiece import SentencePieceNormalizer
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto()
    for piece, score, kind in pieces():
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = _UNIGRAM
    model.trainer_spec.vocab_size = len(model.pieces)
    for name, at in (("pad", 0), ("eos", 1), ("unk", 2), ("bos", -1)):
        setattr(model.trainer_spec, f"{name}_id", at)
    normalizer = pb.ModelProto.FromString(SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    model.normalizer_spec.CopyFrom(normalizer.normalizer_spec)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spiece.model").write_bytes(model.SerializeToString(deterministic=True))
    return directory / "spiece.model"


def load(directory: Path, fast: bool) -> Any:
    """transformers' tokenizer of such a file, written to `directory`; `fast`: the one that saves a `tokenizer.json`, too."""
    from transformers import T5Tokenizer, T5TokenizerFast

    options = dict(model_max_length=_TOKENS, legacy=True)
    slow = T5Tokenizer(str(write(directory)), **options)
    if not fast:
        return slow
    return T5TokenizerFast(str(directory / "spiece.model"), add_prefix_space=True, **options)
