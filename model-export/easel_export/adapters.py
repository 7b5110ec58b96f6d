"""Networks from other checkpoints that paint together with a model's own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import UsageError, conditioned, controlnet, image_encoder, ip_adapter
from .families import Configs, Family, Part
from .ip_adapter import ImagePrompt


@dataclass(frozen=True)
class Adapters:
    """What is added to a model."""

    controlnets: tuple[Path, ...] = ()
    picture: ImagePrompt | None = None

    def folders(self) -> dict[str, Path]:
        """Where each added network is, by the folder that it is written to."""
        nets = {controlnet.folder(number): path for number, path in enumerate(self.controlnets)}
        return nets | ({image_encoder.FOLDER: self.picture.encoder} if self.picture else {})

    def refuse_missing(self) -> None:
        """Refuses what is not there."""
        for path in self.controlnets:
            if not path.is_dir():
                raise UsageError(f"--controlnet {path}: no such directory; name a diffusers ControlNet checkpoint")

    def extend(self, family: Family) -> Family:
        """`family` with the added networks, a U-Net that takes what they give, and diffusers' pipeline of all of them."""
        if not self.controlnets and not self.picture:
            return family
        if family.denoiser != "unet":
            raise UsageError(f"{'--controlnet' if self.controlnets else '--ip-adapter'}: of {family.title}, none is supported")
        self.refuse_missing()
        added = [controlnet.part(number) for number in range(len(self.controlnets))]
        if self.picture:
            added.append(image_encoder.part(self.picture.plus))

        def validate(configs: Configs) -> None:
            family.validate(configs)
            for number, path in enumerate(self.controlnets):
                if controlnet.folder(number) in configs:
                    controlnet.require_fit(configs, controlnet.folder(number), path)
            if self.picture:
                self.picture.require_fit(configs["unet"])

        def pipeline(configs: Configs) -> str:
            return controlnet.PIPELINES[family.pipeline(configs)] if self.controlnets else family.pipeline(configs)

        return dataclasses.replace(
            family, parts=(*map(self._conditioned, family.parts), *added), pipeline=pipeline, validate=validate)

    def _conditioned(self, part: Part) -> Part:
        if part.name != "unet":
            return part
        return dataclasses.replace(
            part, component=lambda module, shape: conditioned.unet(module, shape, bool(self.controlnets), self.picture))

    def modules(self) -> dict[str, Any]:
        """What diffusers' pipeline takes beside the model's own networks, loaded."""
        import torch
        from diffusers import ControlNetModel

        nets = [ControlNetModel.from_pretrained(path, torch_dtype=torch.float32, local_files_only=True) for path in self.controlnets]
        # A list also of one: then the pipeline has the same class for any number.
        return {"controlnet": nets} if nets else {}

    def attach(self, pipeline: Any) -> None:
        """Gives diffusers' pipeline the IP-Adapter, as its own way of loading one does."""
        if self.picture:
            import torch
            from transformers import CLIPVisionModelWithProjection

            encoder = CLIPVisionModelWithProjection.from_pretrained(
                self.picture.encoder, torch_dtype=torch.float32, local_files_only=True)
            pipeline.register_modules(image_encoder=encoder, feature_extractor=self.picture.processor)
            self.picture.attach(pipeline.unet)

    def inputs(self, height: int, width: int) -> dict[str, Any]:
        """What diffusers' pipeline is given beside the prompt, for calibration and self-check."""
        told: dict[str, Any] = {}
        if self.controlnets:
            count = len(self.controlnets)
            told |= {"image": [controlnet.hint(height, width)] * count, "controlnet_conditioning_scale": [1.0] * count}
        if self.picture:
            told["ip_adapter_image"] = ip_adapter.sample()
        return told
