"""Networks without weights, one weight in memory at a time.

Stable Diffusion XL's U-Net has 2.57 billion weights, 10 GB in float32. Here a network is built with parameters that hold no
memory, and traced; while the file is written, each value comes from the checkpoint's files or from its own name.
Nothing is measured on the way: with `int8` every layer that can be is, and there is no self-check.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from . import ExportError, UsageError, export, ip_adapter, layout, manifest, quantize
from .checkpoint import Source, read_json
from .classes import find_class

# Folder of the checkpoint, name and shape of a parameter -> its values, float32.
Parameters = Callable[[str, str, tuple[int, ...]], np.ndarray]


def export_source(source: Source, out: Path, precision: str, size: int | None, parameters: Parameters,
                  components: tuple[str, ...] = ()) -> None:
    """Writes `source`, or its `components` alone, into the empty directory `out`."""
    content = manifest.describe(source, precision, size)
    layout.copy_parts(source, out, components)
    kinds = {"int8": "int8", "fp16": "float16"}
    wanted = [part for part in source.family.parts if not components or part.name in components]
    for part in tqdm(wanted, desc="exporting", unit="component"):
        module = build(part.origin, source.configs[part.origin], part.classes)
        if part.name == "unet" and source.adapters.picture:
            source.adapters.picture.attach(module)
        component = part.component(module, source.shape())
        storage = dict.fromkeys(quantize.layers(component), kinds[precision]) if precision in kinds else {}
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            traced = export.trace(component, Path(scratch), weights=False)
            export.rewrite(component, traced, out / part.name, storage, values(module, part.origin, parameters))
    manifest.write(content, out / "easel.json")


def build(origin: str, config: dict[str, Any], classes: tuple[str, ...]) -> nn.Module:
    """The network of `config` with parameters that all read 0 and hold no memory."""
    import transformers
    from accelerate import init_empty_weights

    name = config.get("_class_name") or next(iter(config.get("architectures") or classes))
    if name not in classes:
        raise UsageError(f"{origin}/config.json: is a {name}, only {' or '.join(classes)} is supported")
    try:
        with init_empty_weights(include_buffers=False):
            if "_class_name" in config:
                module = find_class(name).from_config(config)
            else:
                kind = getattr(transformers, name)
                module = kind(kind.config_class.from_dict(config))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{origin}/config.json: {str(error).splitlines()[0]}") from error
    made: dict[int, nn.Parameter] = {}  # T5's embedding has two places in the network, and is one
    kept = []  # an id is another's once its object is gone
    for child in module.modules():
        for name, parameter in child.named_parameters(recurse=False):
            kept.append(parameter)
            zeros = torch.zeros(()).expand(parameter.shape)
            setattr(child, name, made.setdefault(id(parameter), nn.Parameter(zeros, requires_grad=False)))
    return module.eval()


def values(module: nn.Module, origin: str, parameters: Parameters) -> export.Weights:
    """The values of a traced graph's inputs by their names; buffers are the module's own, and what an adapter brought is there."""
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    held = dict(module.named_buffers()) | {name: p for name, p in module.named_parameters() if ip_adapter.owns(name)}

    def value(name: str) -> np.ndarray:
        name = name.removeprefix("m.")
        return held[name].detach().numpy() if name in held else parameters(origin, name, shapes[name])

    return value


def own(module: nn.Module) -> export.Weights:
    """The same of a module that has its weights."""
    state = dict(module.named_parameters()) | dict(module.named_buffers())
    return lambda name: state[name.removeprefix("m.")].detach().numpy()


def safetensors(source: Source) -> Parameters:
    """The weights of a checkpoint's folders, read when they are asked for."""
    opened: dict[str, dict[str, Any]] = {}

    def value(origin: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if origin not in opened:
            opened[origin] = _open(source.folder(origin))
        if name not in opened[origin]:
            raise ExportError(f"{source.folder(origin)}: has no weight `{name}`")
        tensor = opened[origin][name].get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise ExportError(f"{source.folder(origin)}: `{name}` is {tuple(tensor.shape)}, config.json says {shape}")
        return tensor.float().numpy()

    return value


def _open(folder: Path) -> dict[str, Any]:
    """Name of a weight -> the file that has it."""
    from safetensors import safe_open

    # diffusers' name, then transformers'.
    for stem in ("diffusion_pytorch_model", "model"):
        index = folder / f"{stem}.safetensors.index.json"
        if index.exists():
            names = sorted(set(read_json(index)["weight_map"].values()))
            break
        names = [f"{stem}.safetensors"]
        if (folder / names[0]).exists():
            break
    try:
        files = [safe_open(folder / name, framework="pt") for name in names]
    except (OSError, RuntimeError) as error:
        raise ExportError(f"{folder}: weights cannot be read (safetensors alone are): {str(error).splitlines()[0]}") from error
    return {key: file for file in files for key in file.keys()}
