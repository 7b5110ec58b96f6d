"""The denoising loop of Stable Diffusion, written once over any engine.

torch runs it to gather calibration inputs and reference outputs, ONNX Runtime runs it in
the self-check: same prompts, same noise, same scheduler, so the pictures are comparable.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .checkpoint import Checkpoint

PROMPTS = (
    "three red apples on a blue background",
    "a photo of an old house by the sea, golden light",
    "a green cat and a yellow star, flat style",
    "portrait of a dancer, oil painting, highly detailed",
)


@dataclass
class Engine:
    """The three networks of a checkpoint as functions on float32 tensors.

    text: ids i64 [b, t] -> [b, t, d]; unet: sample [b, c, h, w], timestep [], text [b, t, d] -> [b, c, h, w];
    vae: latents [b, c, h, w] -> [b, 3, h*f, w*f] in -1..1.
    """

    text: Callable[[Tensor], Tensor]
    unet: Callable[[Tensor, Tensor, Tensor], Tensor]
    vae: Callable[[Tensor], Tensor]


@dataclass
class Calls:
    """What one network was given and what it answered, call by call."""

    inputs: list[tuple[Tensor, ...]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


@dataclass
class Scene:
    """Fixed inputs of the loop: everything that is not the engine."""

    ids: Tensor  # i64 [b, t]
    empty_ids: Tensor  # i64 [b, t], the unconditional half
    noise: Tensor  # f32 [b, c, h, w], standard normal
    steps: int
    guidance: float
    seed: int = 0


def torch_engine(checkpoint: Checkpoint) -> Engine:
    """The checkpoint's own modules."""
    return Engine(
        text=lambda ids: checkpoint.text_encoder(ids, return_dict=False)[0],
        unet=lambda x, t, c: checkpoint.unet(x, t, c, return_dict=False)[0],
        vae=lambda z: checkpoint.vae.decode(z, return_dict=False)[0],
    )


def recording(engine: Engine) -> tuple[Engine, dict[str, Calls]]:
    """`engine` with every call written down, under the exported components' names."""
    calls = {"text_encoder": Calls(), "unet": Calls(), "vae_decoder": Calls()}

    def wrap(function: Callable[..., Tensor], log: Calls) -> Callable[..., Tensor]:
        def call(*inputs: Tensor) -> Tensor:
            output = function(*inputs)
            # Copies: some schedulers go on working in place.
            log.inputs.append(tuple(i.clone() for i in inputs))
            log.outputs.append(output.clone())
            return output
        return call

    return Engine(
        wrap(engine.text, calls["text_encoder"]),
        wrap(engine.unet, calls["unet"]),
        wrap(engine.vae, calls["vae_decoder"]),
    ), calls


def scene(
    checkpoint: Checkpoint, prompts: int, latent: tuple[int, int], steps: int, guidance: float, seed: int = 0
) -> Scene:
    """A scene of the first `prompts` prompts at `latent` (height, width) cells."""
    texts = (checkpoint.manifest.get("calibration_prompts") or PROMPTS)[:prompts]

    def encode(batch: list[str]) -> Tensor:
        return checkpoint.tokenizer(
            batch, padding="max_length", truncation=True, return_tensors="pt",
            max_length=checkpoint.text_encoder.config.max_position_embeddings,
        ).input_ids

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(texts), checkpoint.unet.config.in_channels, *latent, generator=generator)
    return Scene(encode(list(texts)), encode([""] * len(texts)), noise, steps, guidance, seed)


@torch.no_grad()
def paint(engine: Engine, checkpoint: Checkpoint, scene: Scene) -> Tensor:
    """Pictures [b, 3, h, w] in 0..1."""
    # A fresh scheduler: multi-step ones carry state between runs.
    scheduler = type(checkpoint.scheduler).from_config(checkpoint.scheduler.config)
    scheduler.set_timesteps(scene.steps)
    generator = torch.Generator().manual_seed(scene.seed)
    options: dict[str, Any] = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = generator
    guided = scene.guidance > 1.0
    text = engine.text(torch.cat([scene.empty_ids, scene.ids]) if guided else scene.ids)
    latents = scene.noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for timestep in scheduler.timesteps:
        sample = torch.cat([latents, latents]) if guided else latents
        if hasattr(scheduler, "scale_model_input"):
            sample = scheduler.scale_model_input(sample, timestep)
        prediction = engine.unet(sample, timestep.to(torch.float32), text)
        if guided:
            plain, prompted = prediction.chunk(2)
            prediction = plain + scene.guidance * (prompted - plain)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False, **options)[0]
    config = checkpoint.vae.config
    latents = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
    return (engine.vae(latents) / 2 + 0.5).clamp(0, 1)


def relative_error(got: Tensor, want: Tensor) -> float:
    """`|got - want| / |want|` in the 2-norm, summed in float64."""
    want = want.double()
    return float((got.double() - want).norm() / want.norm().clamp_min(1e-30))


def psnr(got: Tensor, want: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in 0..1; capped at 99."""
    error = float(((got.double() - want.double()) ** 2).mean())
    return 99.0 if error <= 0 else min(99.0, -10.0 * torch.log10(torch.tensor(error)).item())
