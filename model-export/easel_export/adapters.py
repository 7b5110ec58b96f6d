"""Networks from other checkpoints that paint together with a model's own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import UsageError, conditioned, controlnet
from .families import Configs, Family, Part


@dataclass(frozen=True)
class Adapters:
    """What is added to a model."""

    controlnets: tuple[Path, ...] = ()

    def folders(self) -> dict[str, Path]:
        """Where each added network is, by the folder that it is written to."""
        return {controlnet.folder(number): path for number, path in enumerate(self.controlnets)}

    def refuse_missing(self) -> None:
        """Refuses what is not there."""
        for path in self.controlnets:
            if not path.is_dir():
                raise UsageError(f"--controlnet {path}: no such directory; name a diffusers ControlNet checkpoint")

    def extend(self, family: Family) -> Family:
        """`family` with the added networks, a U-Net that takes what they give, and diffusers' pipeline of all of them."""
        if not self.controlnets:
            return family
        self.refuse_missing()

        def validate(configs: Configs) -> None:
            family.validate(configs)
            for name, path in self.folders().items():
                if name in configs:
                    controlnet.require_fit(configs, name, path)

        return dataclasses.replace(
            family,
            parts=(*map(self._conditioned, family.parts), *map(controlnet.part, range(len(self.controlnets)))),
            pipeline=lambda configs: controlnet.PIPELINES[family.pipeline(configs)],
            validate=validate)

    def _conditioned(self, part: Part) -> Part:
        return dataclasses.replace(part, component=conditioned.unet) if part.name == "unet" else part

    def modules(self) -> dict[str, Any]:
        """What diffusers' pipeline takes beside the model's own networks, loaded."""
        import torch
        from diffusers import ControlNetModel

        nets = [ControlNetModel.from_pretrained(path, torch_dtype=torch.float32, local_files_only=True) for path in self.controlnets]
        # A list also of one: then the pipeline has the same class for any number.
        return {"controlnet": nets} if nets else {}

    def inputs(self, height: int, width: int) -> dict[str, Any]:
        """What diffusers' pipeline is given beside the prompt, for calibration and self-check."""
        if not self.controlnets:
            return {}
        count = len(self.controlnets)
        return {"image": [controlnet.hint(height, width)] * count, "controlnet_conditioning_scale": [1.0] * count}
