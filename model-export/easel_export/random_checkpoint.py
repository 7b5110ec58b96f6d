"""Checkpoints with random weights and real structure, for benchmarks and tests.

Their tokenizers are small ones of our own in CLIP's and in T5's format: the vocabulary is shorter than
the embedding table, which costs a benchmark nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import t5_tokenizer
from .architectures import ARCHITECTURES, Architecture
from .classes import find_class
from .hollow import Parameters

_TOKENS = 77


def write_tokenizer(directory: Path) -> tuple[int, int]:
    """Writes `vocab.json` + `merges.txt` in CLIP's format; returns the BOS and EOS ids."""
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    symbols = list(bytes_to_unicode().values())
    vocab = symbols + [s + "</w>" for s in symbols]
    merges: dict[tuple[str, str], None] = {}
    for word in t5_tokenizer.WORDS:
        letters = [*word[:-1], word[-1] + "</w>"]
        left = letters[0]
        for right in letters[1:]:
            merges.setdefault((left, right))
            left += right
    vocab += [a + b for a, b in merges]
    bos, eos = len(vocab), len(vocab) + 1
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    directory.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(vocab)}
    (directory / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return bos, eos


def build(kind: str, directory: Path, seed: int = 0) -> Any:
    """Makes architecture `kind` with random weights, saves it in `directory`, returns the pipeline."""
    import torch

    torch.manual_seed(seed)
    pipeline = _assemble(ARCHITECTURES[kind], directory)
    pipeline.save_pretrained(directory)
    return pipeline


def build_hollow(kind: str, directory: Path, seed: int = 0) -> Parameters:
    """Saves all of architecture `kind` in `directory` but its weights; returns those: the same bits on every machine."""
    from accelerate import init_empty_weights

    from .goldens import weights

    with init_empty_weights(include_buffers=False):
        pipeline = _assemble(ARCHITECTURES[kind], directory)
    pipeline.save_config(directory)
    for name, part in pipeline.components.items():
        if hasattr(part, "state_dict"):  # a network: diffusers' or transformers'
            (part.save_config if hasattr(part, "save_config") else part.config.save_pretrained)(directory / name)
        elif part is not None:
            part.save_pretrained(directory / name)
    prefix = f"{seed}." if seed else ""
    return lambda origin, name, shape: weights.parameter(name, shape, f"{prefix}{origin}.{name}")


def _assemble(of: Architecture, directory: Path) -> Any:
    """The pipeline; its tokenizers' files are in `directory`."""
    import transformers

    parts: dict[str, Any] = {}
    if "unet" in of.parts and "text_encoder_2" not in of.parts:
        parts |= dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for folder, part in of.parts.items():
        tokenizer = folder.replace("text_encoder", "tokenizer")
        if part is None:
            parts |= {folder: None, tokenizer: None}
            continue
        name, options = part
        if name == "T5EncoderModel":
            parts[tokenizer] = t5_tokenizer.load(directory / tokenizer, of.fast_t5)
            parts[folder] = transformers.T5EncoderModel(transformers.T5Config(**options))
        elif name.startswith("CLIP"):
            parts[tokenizer], ids = _clip_tokenizer(directory / tokenizer, folder == "text_encoder_2")
            parts[folder] = getattr(transformers, name)(transformers.CLIPTextConfig(**options, **ids))
        else:
            parts[folder] = find_class(name)(**options)
    name, options = of.scheduler
    return find_class(of.pipeline)(**parts, **of.index, scheduler=find_class(name)(**options))


def _clip_tokenizer(directory: Path, second: bool) -> tuple[Any, dict[str, Any]]:
    """CLIP's tokenizer, and what the encoder's configuration says of it. The `second` one is as published: padded with "!", id 0,
    and with the id 2 of old configurations, for which the end is the largest id."""
    from transformers import CLIPTokenizer

    bos, eos = write_tokenizer(directory)
    files = (str(directory / file) for file in ("vocab.json", "merges.txt"))
    ids = dict(max_position_embeddings=_TOKENS, bos_token_id=bos, eos_token_id=eos, pad_token_id=eos)
    if second:
        ids |= dict(eos_token_id=2, pad_token_id=0)
    return CLIPTokenizer(*files, model_max_length=_TOKENS, **({"pad_token": "!"} if second else {})), ids
