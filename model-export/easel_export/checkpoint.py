"""Where a model comes from: a diffusers directory or the hub; its family, its configurations, its weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import ExportError, UsageError, controlnet, families
from .adapters import Adapters
from .classes import find_class
from .families import Configs, Family
from .networks import Component, Shape

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


@dataclass(frozen=True)
class Source:
    """A checkpoint that was looked at and fits; its weights were not read."""

    directory: Path
    name: str  # what the manifest calls it: a hub id or a directory's own name
    family: Family
    configs: Configs
    manifest: dict[str, Any]  # the source's `easel.json`, empty without one
    adapters: Adapters = Adapters()
    absent: tuple[str, ...] = ()  # what the pipeline has room for and the checkpoint is without

    def folder(self, origin: str) -> Path:
        """Where the network `origin` is: an added one in a checkpoint of its own."""
        return self.adapters.folders().get(origin, self.directory / origin)

    def vae_factor(self) -> int:
        """Pixels per latent cell."""
        return families.pixels_per_latent(self.configs["vae"]) if "vae" in self.configs else 1

    def cells(self) -> int:
        """Latents are whole multiples of it: they halve evenly on every level of a U-Net, or make whole patches."""
        return self.family.cells(self.configs)

    def size_multiple(self) -> int:
        """The same in pixels."""
        return self.vae_factor() * self.cells()

    def tokens(self) -> int:
        """The longest text."""
        return self.configs.get("text_encoder", {}).get("max_position_embeddings", 77)

    def shape(self) -> Shape:
        """At which to trace: whole multiples of cells, small, and not square, to catch a mix-up."""
        rows = max(8, self.cells())
        return Shape(rows, rows + self.cells(), self.tokens())


@dataclass
class Checkpoint:
    """A loaded checkpoint, all weights float32 and in evaluation mode."""

    source: Source
    pipeline: Any  # diffusers' own

    def __getattr__(self, name: str) -> Any:
        """`vae`, `tokenizer` …: the pipeline's."""
        return getattr(self.__dict__["pipeline"], name)

    def components(self) -> list[Component]:
        """The networks to export."""
        shape = self.source.shape()
        return [part.component(self.network(part.origin), shape) for part in self.source.family.parts]

    def network(self, origin: str) -> Any:
        """The pipeline's network of the folder `origin`; ControlNets are several in one place."""
        if not origin.startswith(controlnet.FOLDER):
            return getattr(self.pipeline, origin)
        return dict(zip(self.source.adapters.folders(), self.pipeline.controlnet.nets))[origin]


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
    folders = {part.origin for family in families.FAMILIES.values() for part in family.parts}
    folders |= {name for family in families.FAMILIES.values() for name in family.tokenizers} | {"scheduler"}
    for folder in sorted(folders):
        inside = [f for f in files if f.startswith(f"{folder}/") and f.count("/") == 1]
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


def open_source(source: str, components: tuple[str, ...] = (), adapters: Adapters = Adapters()) -> Source:
    """Looks at `source`, a diffusers directory or a hub id: that it is of a known family, and that its parts and `adapters` fit
    each other.

    With `components`, only those have to be there, and what says how large their pictures are.
    """
    directory, name = resolve(source)
    index = read_json(directory / "model_index.json")
    family = adapters.extend(families.recognise(index, alone=bool(components)))
    configs = {"scheduler": read_json(directory / "scheduler" / "scheduler_config.json")}
    needed = {family.part(name).origin for name in components} | set(family.always)
    for part in family.parts:
        path = adapters.folders().get(part.origin, directory / part.origin) / "config.json"
        if not components or part.origin in needed or path.exists():
            configs[part.origin] = read_json(path)
            found = configs[part.origin].get("_class_name")
            if found is not None and found not in part.classes:
                raise UsageError(f"{part.origin}/config.json: is a {found}, only {' or '.join(part.classes)} is supported")
    configs["scheduler"] = family.scheduler or configs["scheduler"]
    family.validate(configs)
    manifest = directory / "easel.json"
    return Source(directory, name, family, configs, read_json(manifest) if manifest.exists() else {}, adapters,
                  tuple(name for name, value in index.items() if value == [None, None]))


def load(source: str, adapters: Adapters = Adapters()) -> Checkpoint:
    """Loads `source`, a diffusers directory or a hub id, and `adapters`, with all their weights."""
    opened = open_source(source, adapters=adapters)
    import torch

    try:
        pipeline = find_class(opened.family.pipeline(opened.configs)).from_pretrained(
            opened.directory, torch_dtype=torch.float32, local_files_only=True,
            **{name: None for name in ("safety_checker", "feature_extractor", "image_encoder", *opened.absent)}, **adapters.modules())
        adapters.attach(pipeline)
    except ExportError:
        raise
    except Exception as error:  # loaders raise whatever their file formats raise
        raise ExportError(f"{opened.directory}: cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    pipeline.set_progress_bar_config(disable=True)
    loaded = Checkpoint(opened, pipeline)
    for part in opened.family.parts:
        loaded.network(part.origin).eval().requires_grad_(False)
    return loaded
