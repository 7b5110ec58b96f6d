"""The files of a model directory that are no weights: optimum's layout, copied from the source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from . import ExportError, image_encoder
from .checkpoint import Source, read_json

# Text on which the two tokenizer implementations must agree before `tokenizer.json` is believed.
PROBES = (
    "", "a photo of a cat", "Ünïcode, çedillas & 'quotes'!", "漢字 and 🦊🎨",
    "line\nbreak\ttab  two  spaces", "x" * 300, "it's 1,234.5 %",
)


def copy_parts(source: Source, out: Path, components: tuple[str, ...] = ()) -> None:
    """Writes tokenizers, scheduler, configs and `model_index.json` into `out`; with `components`, what belongs to those alone."""
    index = read_json(source.directory / "model_index.json")
    tokenizers = tuple(source.family.tokenizers)
    if components:
        # Without a text encoder, no tokenizer; the decoder's configuration says how large pictures are.
        tokenizers = tuple(name for name in tokenizers if name.replace("tokenizer", "text_encoder") in components)
        kept = {"scheduler", *tokenizers, *(source.family.part(name).origin for name in components)}
        index = {key: value for key, value in index.items() if not isinstance(value, list) or key in kept}
    if source.family.scheduler:
        index["scheduler"] = ["diffusers", source.family.scheduler["_class_name"]]
        (out / "scheduler").mkdir()
        write_json(source.family.scheduler, out / "scheduler" / "scheduler_config.json")
    else:
        shutil.copytree(source.directory / "scheduler", out / "scheduler", copy_function=shutil.copyfile)
    write_json(index, out / "model_index.json")
    for name in tokenizers:
        shutil.copytree(source.directory / name, out / name, copy_function=shutil.copyfile)
        if (out / name / "vocab.json").exists() and not (out / name / "tokenizer.json").exists():
            write_fast_tokenizer(out / name)
    for part in source.family.parts:
        if not components or part.name in (*components, "vae_decoder"):
            (out / part.name).mkdir()
            write_json(source.configs[part.origin], out / part.name / "config.json")
            if part.name == image_encoder.FOLDER:
                write_processor(source, out)


def write_processor(source: Source, out: Path) -> None:
    """Writes what makes pixels of a picture, for the image encoder."""
    source.adapters.picture.processor.save_pretrained(out / "feature_extractor")


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


def write_json(value: dict[str, Any], target: Path) -> None:
    """Writes a configuration without `_name_or_path`, which names a place on somebody's machine."""
    value = {k: v for k, v in value.items() if k != "_name_or_path"}
    target.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
