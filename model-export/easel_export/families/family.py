"""What a family of models is: a description, read by everything that exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from .. import UsageError
from ..networks import Component, Shape

# Folder of a checkpoint -> its configuration.
Configs = dict[str, dict[str, Any]]

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
UNETS = ("UNet2DConditionModel",)
CLIP_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast")
T5_TOKENIZERS = ("T5Tokenizer", "T5TokenizerFast", "AutoTokenizer")
CLIP, CLIP_PROJECTED, T5 = ("CLIPTextModel",), ("CLIPTextModelWithProjection",), ("T5EncoderModel",)


@dataclass(frozen=True)
class Part:
    """One network of a family."""

    name: str  # the folder that is written, as optimum calls it
    origin: str  # the folder in the checkpoint
    classes: tuple[str, ...]  # those that easel runs
    component: Callable[[nn.Module, Shape], Component]
    optional: bool = False  # a checkpoint may be without it


@dataclass(frozen=True)
class Family:
    """Networks that paint together."""

    title: str
    parts: tuple[Part, ...]
    pipeline: Callable[[Configs], str]  # diffusers' class that paints with it
    validate: Callable[[Configs], None]  # refuses what does not fit, before weights are read
    defaults: Callable[[Configs], dict[str, Any]]  # steps and guidance that fit what the checkpoint says of itself
    denoiser: str = "unet"  # its folder
    cells: Callable[[Configs], int] = lambda configs: halvings(configs["unet"])  # latents are whole multiples of it
    sample_size: int = 64  # of latents, where the denoiser's configuration says nothing
    told: dict[str, Any] = field(default_factory=dict)  # what the pipeline is told beside the prompt, always
    scheduler: dict[str, Any] | None = None  # its configuration, where the checkpoint's own is of a class that nobody else knows

    @property
    def always(self) -> tuple[str, ...]:
        """Folders of a checkpoint without which it is not known how large its pictures are."""
        return (self.denoiser, *("vae" for part in self.parts if part.name == "vae_decoder"))

    @property
    def tokenizers(self) -> dict[str, tuple[str, ...]]:
        """Folder of each text encoder's tokenizer -> its classes."""
        return {
            part.origin.replace("text_encoder", "tokenizer"): T5_TOKENIZERS if part.classes == T5 else CLIP_TOKENIZERS
            for part in self.parts if part.origin.startswith("text_encoder")}

    def without(self, absent: Callable[[str], bool]) -> Family:
        """The family of a checkpoint that lacks what is `absent`, and may."""
        return replace(self, parts=tuple(part for part in self.parts if not (part.optional and absent(part.origin))))

    def part(self, name: str) -> Part:
        """The network that is written to folder `name`."""
        for part in self.parts:
            if part.name == name:
                return part
        names = ", ".join(part.name for part in self.parts)
        raise UsageError(f"--component {name}: {self.title} has no such network; it has {names}")


def unet_defaults(guidance: float) -> Callable[[Configs], dict[str, Any]]:
    """Steps and guidance of a family with a U-Net, usually painted with `guidance`; easel assumes the same where no `easel.json` says
    so."""

    def defaults(configs: Configs) -> dict[str, Any]:
        if configs["unet"].get("time_cond_proj_dim"):  # as diffusers' `LatentConsistencyModelPipeline` has them
            return {"steps": 4, "guidance": 8.5}
        if is_distilled(configs["scheduler"]):
            return {"steps": 4, "guidance": 1.0}
        return {"steps": 20, "guidance": guidance}

    return defaults


def is_distilled(scheduler: dict[str, Any]) -> bool:
    """Whether a scheduler is that of a model distilled to few steps: SD-Turbo, SDXL-Turbo and SDXL-Lightning have Euler's methods that
    begin at the end of the training's times; merged LCM- and TCD-LoRAs have schedulers of their own. A model that was trained down to
    no signal at all also begins there, and is none."""
    name = scheduler.get("_class_name")
    if name in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"):
        trailing = scheduler.get("timestep_spacing") == "trailing"
        return trailing and scheduler.get("prediction_type") != "v_prediction" and not scheduler.get("rescale_betas_zero_snr")
    return name in ("LCMScheduler", "TCDScheduler")


def pixels_per_latent(vae: dict[str, Any]) -> int:
    """How many times the decoder enlarges."""
    if vae.get("_class_name") == "AutoencoderTiny":
        blocks = vae.get("decoder_block_out_channels", (64,) * 4)
        return vae.get("upsampling_scaling_factor", 2) ** (len(blocks) - 1)
    return 2 ** (len(vae.get("block_out_channels", (64,))) - 1)


def halvings(unet: dict[str, Any]) -> int:
    """Latents of whole multiples of this halve evenly on every level of the U-Net."""
    return 2 ** (len(unet.get("block_out_channels", (320, 640, 1280, 1280))) - 1)


def pictures_in(configs: Configs) -> str:
    """What a U-Net sees beside the latents, as the name of its pipeline has it: nothing, `Inpaint` or `InstructPix2Pix`."""
    channels = configs["vae"].get("latent_channels", 4)
    # A mask and what is left of the picture; the whole picture.
    return {2 * channels + 1: "Inpaint", 2 * channels: "InstructPix2Pix"}.get(configs["unet"].get("in_channels", 4), "")


def require_known_inputs(configs: Configs, extra: tuple[str, ...]) -> None:
    """Refuses a U-Net with one of the options `extra`, whose inputs are not known, or with channels that nobody fills."""
    unet, vae = configs["unet"], configs["vae"]
    for option in extra:
        if unet.get(option) is not None:
            raise UsageError(f"unet/config.json: {option}={unet[option]!r} needs an input that easel does not have; not supported")
    channels = vae.get("latent_channels", 4)
    given, answered = unet.get("in_channels", 4), unet.get("out_channels", 4)
    if given != channels and not pictures_in(configs):
        raise UsageError(
            f"unet/config.json: in_channels is {given}, the VAE has {channels} latent channels; known are {channels}, "
            f"{2 * channels} (InstructPix2Pix) and {2 * channels + 1} (inpainting), not depth maps or upscaling")
    if answered != channels:
        raise UsageError(f"unet/config.json: out_channels is {answered}, the VAE has {channels} latent channels; not supported")


def require_text_width(configs: Configs, *encoders: str) -> None:
    """Refuses text encoders whose features, side by side, are not what the U-Net attends to."""
    if any(name not in configs for name in encoders):
        return  # the U-Net is exported by itself
    found = [configs[name].get("hidden_size", 512) for name in encoders]
    wanted = configs["unet"].get("cross_attention_dim", 1280)
    if sum(found) != wanted:
        whose = "the text encoder's" if len(found) == 1 else "the sum of both text encoders'"
        raise UsageError(f"unet/config.json: cross_attention_dim {wanted} is not {whose} hidden_size {' + '.join(map(str, found))}")


def require_equal(wanted: int, found: int, what: str, whose: str) -> None:
    """Refuses a transformer whose option `what` is not what the other networks give."""
    if wanted != found:
        raise UsageError(f"transformer/config.json: {what} is {wanted}, {whose} {found}; not supported")


def require_text(configs: Configs, option: str, t5: str) -> None:
    """Refuses a transformer whose texts, `option` features wide, are not those of T5's encoder in the folder `t5`."""
    if t5 in configs:
        require_equal(configs["transformer"].get(option), configs[t5].get("d_model", 512), option, f"d_model of {t5}/config.json is")


def require_latents(configs: Configs, times: int = 1) -> None:
    """Refuses a transformer that does not see `times` as many channels as the autoencoder's latents have."""
    channels = configs["vae"].get("latent_channels", 4)
    require_equal(configs["transformer"].get("in_channels"), times * channels, "in_channels", f"the VAE's {channels} latent channels make")
