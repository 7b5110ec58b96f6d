"""A U-Net by itself, one weight in memory at a time.

Stable Diffusion XL's has 2.57 billion weights, 10 GB in float32, and is conditioned on two text encoders that easel does
not have. Its U-Net runs, so it can be measured: `easel bench --component unet`. The network is traced with parameters that
hold no memory; their values come from the checkpoint's files, or from their names.

Nothing is measured on the way: with `int8` every layer that can be is, and there is no self-check.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from . import ExportError, UsageError, export, layout, manifest, quantize
from . import checkpoint as checkpoints
from .goldens import weights

_VAE = dict(_class_name="AutoencoderKL", block_out_channels=(128, 256, 512, 512), latent_channels=4,
            scaling_factor=0.13025, sample_size=1024)
_SCHEDULER = dict(_class_name="EulerDiscreteScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                  num_train_timesteps=1000, prediction_type="epsilon", steps_offset=1, timestep_spacing="leading")
_BLOCKS = dict(
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    in_channels=4, out_channels=4, addition_embed_type="text_time", use_linear_projection=True,
)
_PUBLISHED = dict(
    _BLOCKS, sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20), cross_attention_dim=2048, addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
)
_TINY = dict(
    _BLOCKS, sample_size=16, block_out_channels=(32, 64, 64), layers_per_block=1, transformer_layers_per_block=(1, 2, 3),
    attention_head_dim=(2, 4, 4), cross_attention_dim=48, addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=32 + 8 * export.TIME_IDS, norm_num_groups=8,
)
# kind -> (U-Net, VAE)
ARCHITECTURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sdxl": (_PUBLISHED, _VAE),
    "tiny-sdxl": (_TINY, dict(_VAE, block_out_channels=(16, 32), sample_size=32)),
}
KINDS = tuple(ARCHITECTURES)
TOKENS = 77


@dataclass
class Source:
    """A U-Net whose weights are elsewhere."""

    name: str  # what the manifest calls it
    configs: dict[str, dict[str, Any]]  # of "unet", "vae" and "scheduler"
    parameters: Callable[[str, tuple[int, ...]], np.ndarray]  # name and shape -> float32


def random(kind: str, seed: int = 0) -> Source:
    """Architecture `kind` with weights that are the same bits on every machine."""
    unet, vae = ARCHITECTURES[kind]
    configs = {"unet": {"_class_name": "UNet2DConditionModel", **unet}, "vae": vae, "scheduler": _SCHEDULER}
    return Source(f"random-{kind}", configs, lambda name, shape: weights.parameter(name, shape, f"{seed}.{name}"))


def open_checkpoint(source: str) -> Source:
    """The U-Net of a diffusers directory or hub id, weights in safetensors."""
    directory, name = checkpoints.resolve(source)
    files = {"unet": "unet/config.json", "vae": "vae/config.json", "scheduler": "scheduler/scheduler_config.json"}
    configs = {part: checkpoints.read_json(directory / file) for part, file in files.items()}
    if configs["unet"].get("_class_name") != "UNet2DConditionModel":
        raise UsageError(f"unet/config.json: is a {configs['unet'].get('_class_name')}, only UNet2DConditionModel is supported")
    if configs["unet"].get("addition_embed_type") not in (None, "text_time"):
        raise UsageError(f"unet/config.json: addition_embed_type={configs['unet']['addition_embed_type']!r} is not supported")
    return Source(name, configs, _safetensors(directory / "unet"))


def _safetensors(directory: Path) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    from safetensors import safe_open

    index = directory / "diffusion_pytorch_model.safetensors.index.json"
    names = set(checkpoints.read_json(index)["weight_map"].values()) if index.exists() else {"diffusion_pytorch_model.safetensors"}
    try:
        opened = [safe_open(directory / name, framework="pt") for name in sorted(names)]
    except (OSError, RuntimeError) as error:
        raise ExportError(f"{directory}: weights cannot be read: {str(error).splitlines()[0]}") from error
    where = {key: file for file in opened for key in file.keys()}

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in where:
            raise ExportError(f"{directory}: has no weight `{name}`")
        tensor = where[name].get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise ExportError(f"{directory}: `{name}` is {tuple(tensor.shape)}, config.json says {shape}")
        return tensor.float().numpy()

    return values


def hollow(config: dict[str, Any]) -> nn.Module:
    """The network of `config` with parameters that all read 0 and hold no memory."""
    import diffusers

    try:
        with torch.device("meta"):
            unet = diffusers.UNet2DConditionModel.from_config(config)
    except (TypeError, ValueError) as error:
        raise UsageError(f"unet/config.json: {str(error).splitlines()[0]}") from error
    for module in unet.modules():
        for name, parameter in module.named_parameters(recurse=False):
            zeros = torch.zeros(()).expand(parameter.shape)
            setattr(module, name, nn.Parameter(zeros, requires_grad=False))
    return unet.eval()


def export_unet(source: Source, out: Path, precision: str, size: int | None) -> None:
    """Writes the U-Net of `source` into the empty directory `out`, and what says how large its pictures are."""
    unet = hollow(source.configs["unet"])
    cells = 2 ** (len(unet.config.block_out_channels) - 1)
    factor = 2 ** (len(source.configs["vae"]["block_out_channels"]) - 1)
    side = size or unet.config.sample_size * factor
    if side % (cells * factor):
        raise UsageError(f"size {side}: must be a positive multiple of {cells * factor} for this checkpoint; set --size")

    kinds = {"int8": "int8", "fp16": "float16"}
    storage = {layer: kinds[precision] for layer in quantize.candidates(unet)} if precision in kinds else {}
    # Even on every level, and not square, to catch a mix-up.
    part = export.unet_component(unet, (2 * cells, 3 * cells), TOKENS)
    shapes = {name: tuple(parameter.shape) for name, parameter in part.forward.named_parameters()}

    def parameters(name: str) -> np.ndarray:
        return source.parameters(name.removeprefix("m."), shapes[name])

    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        traced = export.trace(part, Path(scratch), weights=False)
        export.rewrite(part, traced, out / "unet", storage, parameters)

    for part, file in {"unet": "config.json", "vae_decoder": "config.json", "scheduler": "scheduler_config.json"}.items():
        (out / part).mkdir(exist_ok=True)
        layout.write_json(source.configs[part.removesuffix("_decoder")], out / part / file)
    index = {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
             "scheduler": ["diffusers", source.configs["scheduler"]["_class_name"]]}
    layout.write_json(index, out / "model_index.json")
    content = {"format": manifest.FORMAT, "precision": precision, "source": source.name,
               "defaults": {"width": side, "height": side}, "size_multiple": cells * factor, "exporter": manifest.versions()}
    manifest.write(content, out / "easel.json")
