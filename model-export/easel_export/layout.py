"""The files of a model directory that are no weights: optimum's layout, copied from the source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from . import ExportError
from .checkpoint import Checkpoint, read_json

# Where a component's config.json comes from.
CONFIGS = {"text_encoder": "text_encoder", "unet": "unet", "vae_decoder": "vae"}
# Text on which the two tokenizer implementations must agree before `tokenizer.json` is believed.
PROBES = (
    "", "a photo of a cat", "Ünïcode, çedillas & 'quotes'!", "漢字 and 🦊🎨",
    "line\nbreak\ttab  two  spaces", "x" * 300, "it's 1,234.5 %",
)


def copy_parts(checkpoint: Checkpoint, out: Path) -> None:
    """Writes tokenizer, scheduler, configs and `model_index.json` into `out`."""
    source = checkpoint.directory
    shutil.copytree(source / "tokenizer", out / "tokenizer", copy_function=shutil.copyfile)
    shutil.copytree(source / "scheduler", out / "scheduler", copy_function=shutil.copyfile)
    if not (out / "tokenizer" / "tokenizer.json").exists():
        write_fast_tokenizer(out / "tokenizer")
    for part, origin in CONFIGS.items():
        (out / part).mkdir()
        _copy_json(source / origin / "config.json", out / part / "config.json")
    _copy_json(source / "model_index.json", out / "model_index.json")


def write_fast_tokenizer(directory: Path) -> None:
    """Adds `tokenizer.json` to a `vocab.json` + `merges.txt` tokenizer, when both give equal ids."""
    from transformers import CLIPTokenizer, CLIPTokenizerFast

    try:
        slow = CLIPTokenizer.from_pretrained(directory)
        fast = CLIPTokenizerFast.from_pretrained(directory)
    except Exception as error:  # transformers raises whatever its parsers raise
        line = str(error).splitlines()[0]
        raise ExportError(f"{directory.name}: cannot be loaded as a CLIP tokenizer: {line}") from error
    if all(slow(text).input_ids == fast(text).input_ids for text in PROBES):
        fast.backend_tokenizer.save(str(directory / "tokenizer.json"))


def _copy_json(source: Path, target: Path) -> None:
    write_json(read_json(source), target)


def write_json(value: dict[str, Any], target: Path) -> None:
    """Writes a configuration without `_name_or_path`, which names a place on somebody's machine."""
    value = {k: v for k, v in value.items() if k != "_name_or_path"}
    target.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
