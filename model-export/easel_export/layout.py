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
PROBES = ("", "a photo of a cat", "Ünïcode, çedillas & 'quotes'!", "漢字 and 🦊🎨", "line\nbreak\ttab  two  spaces", "x" * 300, "it's 1,234.5 %")


def copy_parts(checkpoint: Checkpoint, out: Path) -> None:
    """Writes tokenizer, scheduler, configs and `model_index.json` into `out`."""
    source = checkpoint.directory
    shutil.copytree(source / "tokenizer", out / "tokenizer", copy_function=shutil.copyfile)
    shutil.copytree(source / "scheduler", out / "scheduler", copy_function=shutil.copyfile)
    if not (out / "tokenizer" / "tokenizer.json").exists():
        write_fast_tokenizer(out / "tokenizer")
    for part, origin in CONFIGS.items():
        config = {k: v for k, v in read_json(source / origin / "config.json").items() if k != "_name_or_path"}
        (out / part).mkdir()
        _write_json(config, out / part / "config.json")
    _write_json(model_index(read_json(source / "model_index.json")), out / "model_index.json")


def model_index(source: dict[str, Any]) -> dict[str, Any]:
    """The index of an ONNX directory, as optimum writes it: the VAE is its decoder."""
    parts = {
        "scheduler": source["scheduler"],
        "text_encoder": ["optimum.onnxruntime.modeling_diffusion", "ORTModelTextEncoder"],
        "tokenizer": source["tokenizer"],
        "unet": ["optimum.onnxruntime.modeling_diffusion", "ORTModelUnet"],
        "vae_decoder": ["optimum.onnxruntime.modeling_diffusion", "ORTModelVaeDecoder"],
    }
    head = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": source.get("_diffusers_version", "")}
    empty = {k: [None, None] for k in ("feature_extractor", "image_encoder", "safety_checker", "vae_encoder")}
    return head | parts | empty | {"requires_safety_checker": False}


def write_fast_tokenizer(directory: Path) -> None:
    """Adds `tokenizer.json` to a `vocab.json` + `merges.txt` tokenizer, when both give equal ids."""
    from transformers import CLIPTokenizer, CLIPTokenizerFast

    try:
        slow = CLIPTokenizer.from_pretrained(directory)
        fast = CLIPTokenizerFast.from_pretrained(directory)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise ExportError(f"{directory.name}: cannot be loaded as a CLIP tokenizer: {str(error).splitlines()[0]}") from error
    if all(slow(text).input_ids == fast(text).input_ids for text in PROBES):
        fast.backend_tokenizer.save(str(directory / "tokenizer.json"))


def _write_json(value: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
