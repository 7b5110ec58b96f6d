"""IP-Adapter (arXiv 2308.06721): a picture as a prompt. Beside the text, each cross attention sees tokens made from the picture.

The file is the authors' own format, which diffusers reads: `image_proj`, what makes tokens of the image encoder's answer, and
`ip_adapter`, keys and values for each cross attention. Two kinds: plain, a linear projection of the picture as a whole, and "Plus",
a resampler of the features of its patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import ExportError, UsageError
from .image_encoder import FOLDER

# Names that belong to the adapter, in the U-Net that has one.
_OWN = ("encoder_hid_proj.", ".processor.to_k_ip.", ".processor.to_v_ip.")
# Tokens of a plain one.
_TOKENS = 4


@dataclass(frozen=True)
class ImagePrompt:
    """An IP-Adapter and its image encoder, looked at; weights are read by `state`."""

    file: Path
    encoder: Path
    config: dict[str, Any]  # the image encoder's
    plus: bool

    @property
    def rows(self) -> int:
        """How many vectors the image encoder gives: one of the whole, or one a patch and one more."""
        return (self.config.get("image_size", 224) // self.config.get("patch_size", 32)) ** 2 + 1 if self.plus else 1

    @property
    def width(self) -> int:
        """Of such a vector."""
        return self.config.get("hidden_size", 768) if self.plus else self.config.get("projection_dim", 512)

    @cached_property
    def processor(self) -> Any:
        """What makes pixels of a picture: diffusers' own where a checkpoint brings none."""
        from transformers import CLIPImageProcessor

        side = self.config.get("image_size", 224)
        return CLIPImageProcessor(size=side, crop_size=side)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The weights, as diffusers takes them."""
        found: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, tensor in _tensors(self.file).items():
            part, _, name = key.partition(".")
            if part in found:
                found[part][name] = tensor.float()
        return found

    def require_fit(self, unet: dict[str, Any]) -> None:
        """Refuses an adapter for another kind of U-Net, or another image encoder."""
        shapes = {key: tuple(tensor.shape) for key, tensor in _tensors(self.file).items()}
        attended, features = unet.get("cross_attention_dim", 1280), _features(shapes)
        made = shapes["image_proj.proj_out.weight"][0] if self.plus else shapes["image_proj.proj.weight"][0] // _TOKENS
        if made != attended:
            raise UsageError(f"--ip-adapter {self.file}: makes tokens of {made} features, the U-Net attends to {attended}; "
                             "take one that was made for this kind of model")
        if features != self.width:
            raise UsageError(f"--ip-adapter {self.file}: is for an image encoder of {features} features, {self.encoder} gives "
                             f"{self.width}; name another with --image-encoder")

    def attach(self, unet: nn.Module) -> None:
        """Gives the U-Net the adapter's layers."""
        try:
            unet._load_ip_adapter_weights([self.state()], low_cpu_mem_usage=False)
        except (KeyError, RuntimeError) as error:
            line = str(error).strip().splitlines()[0]
            raise ExportError(f"--ip-adapter {self.file}: its layers are not those that the U-Net needs: {line}") from error
        unet.encoder_hid_proj.eval().requires_grad_(False)
        for processor in unet.attn_processors.values():
            if isinstance(processor, nn.Module):
                processor.eval().requires_grad_(False)


def owns(name: str) -> bool:
    """Whether a weight of a U-Net is its adapter's."""
    return any(part in name for part in _OWN)


def find(given: Path, encoder: Path | None) -> ImagePrompt:
    """Looks at an adapter, a file or a folder of one, and finds its image encoder: `encoder`, or beside or below as published."""
    from .checkpoint import read_json

    file = _file(given)
    shapes = {key: tuple(tensor.shape) for key, tensor in _tensors(file).items()}
    plain, plus = "image_proj.proj.weight" in shapes, "image_proj.latents" in shapes
    if not plain and not plus:
        raise UsageError(f"--ip-adapter {file}: is neither a plain IP-Adapter nor a Plus; Full, FaceID and others are not supported")
    folder = file.parent
    # One for all adapters, or one for those of Stable Diffusion XL, which published folders have beside each other.
    places = [encoder] if encoder else [folder / FOLDER, folder.parent / FOLDER, folder.parent / "models" / FOLDER]
    found = [ImagePrompt(file, place, read_json(place / "config.json"), plus) for place in places if (place / "config.json").is_file()]
    if not found:
        raise UsageError(f"--ip-adapter {file}: no image encoder in {' or '.join(map(str, places))}; name it with --image-encoder")
    return next((prompt for prompt in found if prompt.width == _features(shapes)), found[0])


def _features(shapes: dict[str, tuple[int, ...]]) -> int:
    """Of the image encoder that an adapter is for."""
    return shapes["image_proj.proj_in.weight" if "image_proj.proj_in.weight" in shapes else "image_proj.proj.weight"][1]


def sample() -> Image.Image:
    """A picture for calibration: colours that run into one another, edges, fine stripes."""
    y, x = np.mgrid[0:1:96j, 0:1:128j]
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y - 3 * x), np.sin(12 * x * y)], -1)
    waves[(x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.06] *= -1
    waves[:, 80:] *= np.sign(np.sin(160 * x[:, 80:, None] + 90 * y[:, 80:, None]))
    return Image.fromarray(((waves + 1) * 127.5).astype(np.uint8))


def _file(given: Path) -> Path:
    if given.is_file():
        return given
    files = sorted([*given.glob("*.safetensors"), *given.glob("*.bin")])
    # The same in both formats is one.
    stems = {file.stem for file in files}
    if len(stems) != 1:
        names = ", ".join(sorted(stems)) or "none"
        raise UsageError(f"--ip-adapter {given}: name one file of the folder (it has {names})" if given.is_dir()
                         else f"--ip-adapter {given}: no such file or directory")
    return files[-1]


def _tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a file, by part and name; mapped, not read."""
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        nested = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        parts = {part: inner for part, inner in nested.items() if isinstance(inner, dict)}
        return {f"{part}.{name}": tensor for part, inner in parts.items() for name, tensor in inner.items()}
    except Exception as error:  # loaders raise whatever their file formats raise
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"--ip-adapter {file}: cannot be read: {line}") from error
