"""Where a model comes from: a diffusers directory, the hub, or random weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import ExportError, UsageError

# Component -> the diffusers/transformers classes that easel runs.
SUPPORTED = {
    "text_encoder": {"CLIPTextModel"},
    "tokenizer": {"CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast"},
    "unet": {"UNet2DConditionModel"},
    "vae": {"AutoencoderKL", "AutoencoderTiny"},
    "scheduler": None,  # any: what cannot be loaded or painted with fails there, by name
}
# Present in many checkpoints, no part of text to image.
IGNORED = {"safety_checker", "feature_extractor", "image_encoder", "requires_safety_checker"}
# U-Net options that add inputs which Stable Diffusion 1.x and 2.x do not have.
EXTRA_INPUTS = ("addition_embed_type", "class_embed_type", "encoder_hid_dim", "time_cond_proj_dim")

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


@dataclass
class Checkpoint:
    """A validated text-to-image checkpoint, all weights float32 and in evaluation mode."""

    directory: Path  # the files, for the parts that are copied as they are
    name: str  # what the manifest calls it: a hub id or a directory's own name
    text_encoder: Any
    tokenizer: Any
    unet: Any
    vae: Any
    scheduler: Any
    vae_factor: int  # pixels per latent cell
    manifest: dict[str, Any]  # the source's `easel.json`, empty without one

    def size_multiple(self) -> int:
        """Pixels; sizes that are multiples of it halve evenly on every level of the U-Net."""
        return self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)


def resolve(source: str) -> tuple[Path, str]:
    """The local directory of `source`, downloaded when it is a hub id, and its name."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path, path.resolve().name
    if path.exists():
        raise UsageError(f"--source {source}: is a file; name a diffusers directory or a hub id")
    if not _HUB_ID.match(source):
        raise UsageError(f"--source {source}: no such directory, and not a hub id (owner/name)")
    from huggingface_hub import HfApi, snapshot_download

    try:
        files = choose_files(HfApi().list_repo_files(source))
        return Path(snapshot_download(source, allow_patterns=files)), source
    except Exception as error:  # the hub client raises dozens of network types
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"--source {source}: no such directory, and the hub said: {line}") from error


def choose_files(files: list[str]) -> list[str]:
    """Those of a hub repository's `files` that an export needs: full precision, safetensors first."""
    wanted = [f for f in files if f in ("model_index.json", "easel.json")]
    for part in SUPPORTED:
        inside = [f for f in files if f.startswith(f"{part}/") and f.count("/") == 1]
        wanted += [f for f in inside if f.endswith((".json", ".txt"))]
        for ending in (".safetensors", ".bin"):
            # A variant ("model.fp16.safetensors") has one more dot than the plain file.
            weights = [f for f in inside if f.endswith(ending) and f.split("/")[1].count(".") == 1]
            if weights:
                wanted += weights
                break
    return wanted


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: missing; a diffusers directory has one") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected a JSON object")
    return value


def validate_index(index: dict[str, Any]) -> None:
    """Refuses pipelines of other families by the names of their parts."""
    pipeline = index.get("_class_name", "unnamed pipeline")
    parts = {
        key: value[1]
        for key, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }
    for key, class_name in parts.items():
        if key not in SUPPORTED and key not in IGNORED:
            raise UsageError(f"{pipeline}: component `{key}` ({class_name}) is not supported; {_FAMILY}")
    for key, classes in SUPPORTED.items():
        if key not in parts:
            raise UsageError(f"{pipeline}: component `{key}` is missing; {_FAMILY}")
        if classes is not None and parts[key] not in classes:
            names = " or ".join(sorted(classes))
            raise UsageError(f"{pipeline}: `{key}` is a {parts[key]}, only {names} is supported; {_FAMILY}")


_FAMILY = "easel_export takes Stable Diffusion 1.x and 2.x type text-to-image checkpoints"


def validate_configs(directory: Path) -> None:
    """Checks that the parts fit each other, before any weight is read."""
    unet = read_json(directory / "unet" / "config.json")
    vae = read_json(directory / "vae" / "config.json")
    text = read_json(directory / "text_encoder" / "config.json")
    for option in EXTRA_INPUTS:
        if unet.get(option) is not None:
            raise UsageError(
                f"unet/config.json: {option}={unet[option]!r} needs an input that Stable Diffusion 1.x and 2.x lack; "
                "not supported")
    channels = vae.get("latent_channels", 4)
    for key in ("in_channels", "out_channels"):
        if unet.get(key, 4) != channels:
            raise UsageError(
                f"unet/config.json: {key} is {unet.get(key, 4)}, the VAE has {channels} latent channels; "
                "inpainting and image-conditioned U-Nets are not supported")
    if unet.get("cross_attention_dim", 1280) != text.get("hidden_size", 512):
        raise UsageError(
            f"unet/config.json: cross_attention_dim {unet.get('cross_attention_dim')} is not "
            f"the text encoder's hidden_size {text.get('hidden_size')}")


def load(source: str) -> Checkpoint:
    """Loads and validates `source`, a diffusers directory or a hub id."""
    directory, name = resolve(source)
    validate_index(read_json(directory / "model_index.json"))
    validate_configs(directory)
    manifest_path = directory / "easel.json"
    manifest = read_json(manifest_path) if manifest_path.exists() else {}

    import torch
    from diffusers import DiffusionPipeline

    try:
        pipeline = DiffusionPipeline.from_pretrained(
            directory,
            torch_dtype=torch.float32,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
        )
    except Exception as error:  # loaders raise whatever their file formats raise
        raise ExportError(f"{directory}: cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    return from_pipeline(pipeline, directory, name, manifest)


def from_pipeline(pipeline: Any, directory: Path, name: str, manifest: dict[str, Any]) -> Checkpoint:
    """Wraps a loaded diffusers pipeline whose files are in `directory`."""
    import torch

    for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        part.eval().requires_grad_(False)
    with torch.no_grad():
        # Measured, not derived: the two autoencoder classes spell their factor differently.
        latents = torch.zeros(1, pipeline.vae.config.latent_channels, 8, 8)
        factor = pipeline.vae.decode(latents, return_dict=False)[0].shape[-1] // 8
    return Checkpoint(
        directory, name, pipeline.text_encoder, pipeline.tokenizer, pipeline.unet, pipeline.vae,
        pipeline.scheduler, factor, manifest,
    )
