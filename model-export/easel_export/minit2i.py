"""MiniT2I (Wang et al., 2026, github.com/PeppaKing8/minit2i-jax): a transformer that paints pixels, without an autoencoder.

diffusers has no class of it. Here are the network, with the names and the configuration of the published checkpoints, and a pipeline
that paints with it. Written from the architecture; that it computes what the authors' JAX code does, the golden data shows
(`goldens/minit2i.py`).

A picture of 16 x 16 pixels a patch is one stream of tokens, T5's text another; they meet in attention and have weights of their own
elsewhere. No layer knows the noise level. The network gives the clean picture x of a noisy one; the velocity of the flow that a
sampler wants is (noisy - x) / sigma. Two kinds:

| | teacher | student |
|---|---|---|
| passes a step | two: the text, and none | one |
| is told | noisy pixels, text | also the length of the step, the guidance and the levels between which it counts, as tokens before the text |
| velocity | at sigma | its mean over the step (mean flow, arXiv 2505.13447) |
| steps | 100 | 4 |

The noise that pictures in [-1, 1] are mixed with has a standard deviation of 2. So that samplers begin with plain normal noise, as in
every other family, what they see are pixels times `PIXELS`: latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

# Latents are pixels in [-1, 1] times this.
PIXELS = 0.5
# The velocity's divisor is never smaller.
LEAST_SIGMA = 0.05
# Of the levels of noise, those between which the student's guidance counts, as its authors paint.
INTERVAL = (0.2, 0.8)
_EPS, _THETA = 1e-6, 10_000.0

Waves = tuple[Tensor, Tensor]  # cosines and sines, [1, tokens, 1, features of a head]


def _norm(width: int) -> nn.RMSNorm:
    return nn.RMSNorm(width, eps=_EPS)


def _waves(angles: Tensor) -> Waves:
    """Of the angles [tokens, half the features of a head]: each is that of two features, one in either half."""
    both = torch.cat([angles, angles], dim=1)[None, :, None]
    return both.cos(), both.sin()


def _rotate(x: Tensor, waves: Waves, features: int) -> Tensor:
    """Rotary positions (arXiv 2104.09864) of x [b, tokens, heads, features]. Of sizes that are numbers, and not x's, the tracer makes
    one operator."""
    first, second = x.split([features // 2] * 2, dim=-1)
    return x * waves[0] + torch.cat([-second, first], dim=-1) * waves[1]


def _heads(qkv: Tensor, heads: int, features: int) -> list[Tensor]:
    """Queries, keys and values [b, tokens, heads, features], which lie side by side."""
    return [part.unflatten(-1, (heads, features)) for part in qkv.split([heads * features] * 3, dim=-1)]


def _frequencies(count: int) -> Tensor:
    return 1.0 / _THETA ** (torch.arange(count, dtype=torch.float32) / count)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention over [b, tokens, heads, features]; gives [b, tokens, heads * features]."""
    answer = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return answer.transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = -(-int(width * ratio) // 8) * 8
        self.w1, self.w3 = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.w2 = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class TextBlock(nn.Module):
    """What the text goes through before it meets the picture."""

    def __init__(self, width: int, heads: int, features: int, ratio: float) -> None:
        super().__init__()
        self.heads, self.features = heads, features
        self.norm1, self.norm2 = _norm(width), _norm(width)
        self.qkv, self.attn_proj = nn.Linear(width, 3 * heads * features), nn.Linear(heads * features, width)
        self.q_norm, self.k_norm = _norm(features), _norm(features)
        self.mlp = FeedForward(width, ratio)

    def forward(self, text: Tensor, waves: Waves) -> Tensor:
        q, k, v = _heads(self.qkv(self.norm1(text)), self.heads, self.features)
        q, k = (_rotate(norm(x), waves, self.features) for norm, x in ((self.q_norm, q), (self.k_norm, k)))
        text = text + self.attn_proj(_attend(q, k, v))
        return text + self.mlp(self.norm2(text))


class JointBlock(nn.Module):
    """Text and picture: attention over both, everything else by itself."""

    def __init__(self, width: int, heads: int, features: int, ratio: float) -> None:
        super().__init__()
        self.heads, self.features = heads, features
        for stream in ("img", "txt"):
            setattr(self, f"{stream}_norm1", _norm(width))
            setattr(self, f"{stream}_norm2", _norm(width))
            setattr(self, f"{stream}_qkv", nn.Linear(width, 3 * heads * features))
            setattr(self, f"{stream}_attn_proj", nn.Linear(heads * features, width))
            setattr(self, f"{stream}_mlp", FeedForward(width, ratio))
        self.q_norm, self.k_norm = _norm(features), _norm(features)

    def forward(self, picture: Tensor, text: Tensor, waves: Waves) -> tuple[Tensor, Tensor]:
        qkv = [_heads(projection(norm(x)), self.heads, self.features) for projection, norm, x in (
            (self.txt_qkv, self.txt_norm1, text), (self.img_qkv, self.img_norm1, picture))]
        q, k, v = (torch.cat(parts, dim=1) for parts in zip(*qkv, strict=True))
        q, k = (_rotate(norm(x), waves, self.features) for norm, x in ((self.q_norm, q), (self.k_norm, k)))
        answer = _attend(q, k, v)
        length = text.shape[1]
        picture = picture + self.img_attn_proj(answer[:, length:])
        text = text + self.txt_attn_proj(answer[:, :length])
        return picture + self.img_mlp(self.img_norm2(picture)), text + self.txt_mlp(self.txt_norm2(text))


class NumberEmbedder(nn.Module):
    """A number as features: cosines, then sines, of it at many frequencies, through two layers."""

    WAVES = 128

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * self.WAVES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, number: Tensor) -> Tensor:
        steps = torch.arange(self.WAVES, dtype=torch.float32)
        angles = number[:, None] * torch.exp(-math.log(_THETA) * steps / self.WAVES)
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1))[:, None]


class Patches(nn.Module):
    """Each patch of pixels through a narrow layer to a token."""

    def __init__(self, channels: int, patch: int, narrow: int, width: int) -> None:
        super().__init__()
        self.proj1 = nn.Conv2d(channels, narrow, patch, stride=patch, bias=False)
        self.proj2 = nn.Conv2d(narrow, width, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj2(self.proj1(pixels)).flatten(2).transpose(1, 2)


class Last(nn.Module):
    """Tokens to the pixels of their patches."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm_final, self.linear = _norm(width), nn.Linear(width, out)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear(self.norm_final(tokens))


# The student's tokens before the text, in order, and how many of each; what makes them of which number.
_PREFIX = ("context", "omega", "t_min", "t_max", "time")
_EMBEDDERS = {"context": "aux_pooled_embedder", "omega": "omega_embedder", "t_min": "t_min_embedder", "t_max": "t_max_embedder",
              "time": "h_embedder"}


class Net(nn.Module):
    """Noisy pixels and a text to clean pixels."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.patch, self.channels, self.width, self.features = c.patch_size, c.in_channels, c.hidden_size, c.head_dim
        block = (c.hidden_size, c.num_heads, c.head_dim, c.mlp_ratio)
        self.img_embedder = Patches(c.in_channels, c.patch_size, c.pca_channels, c.hidden_size)
        self.txt_embedder = nn.Linear(c.txt_input_size, c.hidden_size, bias=False)
        # What takes the place of padding.
        self.mask_token = nn.Parameter(torch.zeros(1, 1, c.txt_input_size))
        self.prefix = sum(c.prefix_tokens) if c.mean_flow else 0
        if c.mean_flow:
            for name, count in zip(_PREFIX, c.prefix_tokens, strict=True):
                setattr(self, f"{name}_tokens", nn.Parameter(torch.zeros(1, count, c.hidden_size)))
            self.aux_pooled_embedder = nn.Linear(c.txt_input_size, c.hidden_size, bias=False)
            for name in list(_EMBEDDERS.values())[1:]:
                setattr(self, name, NumberEmbedder(c.hidden_size))
        self.txt_preamble_blocks = nn.ModuleList([TextBlock(*block) for _ in range(c.txt_preamble_depth)])
        self.double_blocks = nn.ModuleList([JointBlock(*block) for _ in range(c.depth_double)])
        self.final_layer = Last(c.hidden_size, c.patch_size**2 * c.in_channels)

    def forward(self, pixels: Tensor, text: Tensor, mask: Tensor, told: dict[str, Tensor] | None = None) -> Tensor:
        """`pixels` [b, c, h, w], `text` [b, n, d], `mask` [b, n]: 1 for each token that counts. `told`: [b] each, of the student."""
        p = self.patch
        rows, columns = pixels.shape[2] // p, pixels.shape[3] // p
        text = torch.where(mask[:, :, None] > 0.5, text, self.mask_token)
        tokens = self.txt_embedder(text)
        if told is not None:
            numbers = {"context": self.aux_pooled_embedder(text.mean(dim=1, keepdim=True))}
            numbers |= {name: getattr(self, _EMBEDDERS[name])(value) for name, value in told.items()}
            tokens = torch.cat([*(getattr(self, f"{name}_tokens") + numbers[name] for name in _PREFIX), tokens], dim=1)
        picture = self.img_embedder(pixels) + self.positions(rows, columns)
        along = torch.arange(tokens.shape[1]).float()[:, None] * _frequencies(self.features // 2)
        for block in self.txt_preamble_blocks:
            tokens = block(tokens, _waves(along))
        # The prefix lies nowhere.
        nowhere = torch.zeros(self.prefix, self.features // 2)
        waves = _waves(torch.cat([nowhere, along[self.prefix :], self.places(rows, columns)]))
        for block in self.double_blocks:
            picture, tokens = block(picture, tokens, waves)
        clean = self.final_layer(picture).reshape(-1, rows, columns, p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
        return clean.reshape(-1, self.channels, rows * p, columns * p)

    def places(self, rows: int, columns: int) -> Tensor:
        """Angles of a patch's row, then of its column: [patches, half the features of a head]."""
        frequencies = _frequencies(self.features // 4)
        down, across = (torch.arange(count).float()[:, None] * frequencies for count in (rows, columns))
        both = [down[:, None].expand(-1, columns, -1), across[None].expand(rows, -1, -1)]
        return torch.cat(both, dim=2).flatten(0, 1)

    def positions(self, rows: int, columns: int) -> Tensor:
        """Sines and cosines of a patch's column, then of its row: [1, patches, width]."""
        frequencies = _frequencies(self.width // 4)

        def waves(count: int) -> Tensor:
            angles = torch.arange(count).float()[:, None] * frequencies
            return torch.cat([angles.sin(), angles.cos()], dim=1)

        both = [waves(columns)[None].expand(rows, -1, -1), waves(rows)[:, None].expand(-1, columns, -1)]
        return torch.cat(both, dim=2).flatten(0, 1)[None]


class _Diffusion(nn.Module):
    """A level of names in the published checkpoints."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.net = Net(config)

    def forward(self, *given: Any) -> Tensor:
        return self.net(*given)


class MiniT2IMMJiTModel(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The network as samplers of flow matching call it: latents in, the velocity of latents out."""

    # No layer that is there reads them; they were trained along and are published.
    _keys_to_ignore_on_load_unexpected = [r"\.t_embedder\.", r"\.pooled_embedder\."]

    @register_to_config
    def __init__(
        self, image_size: int = 512, patch_size: int = 16, in_channels: int = 3, txt_input_size: int = 1024, hidden_size: int = 768,
        depth_double: int = 17, txt_preamble_depth: int = 2, num_heads: int = 12, head_dim: int = 64, mlp_ratio: float = 2.6667,
        pca_channels: int = 128, prompt_length: int = 256, mean_flow: bool = False,
        prefix_tokens: tuple[int, ...] = (8, 4, 2, 2, 4),
    ) -> None:
        super().__init__()
        self.model = _Diffusion(self.config)

    def forward(
        self, hidden_states: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, timestep: Tensor,
        step_length: Tensor | None = None, guidance: Tensor | None = None, guidance_interval: Tensor | None = None,
    ) -> tuple[Tensor]:
        """`timestep` [b]: how much of the latents is noise, 0 to 1. Of the student: how much less after the step, the guidance
        scale [b], and the ends of `INTERVAL` [b, 2]."""
        told = None
        if step_length is not None and guidance is not None and guidance_interval is not None:
            told = {"omega": 1 - 1 / guidance, "t_min": guidance_interval[:, 0], "t_max": guidance_interval[:, 1], "time": step_length}
        clean = self.model(hidden_states / PIXELS, encoder_hidden_states, encoder_attention_mask, told)
        sigma = timestep.clamp(min=LEAST_SIGMA)[:, None, None, None]
        return ((hidden_states - PIXELS * clean) / sigma,)


def _images(latents: Tensor, output_type: str) -> Any:
    """Pictures in 0..1, or, as the authors round them, of bytes."""
    pictures = (latents / PIXELS / 2 + 0.5).clamp(0, 1)
    if output_type == "pt":
        return pictures
    whole = (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in whole]


class MiniT2ITextToImagePipeline:
    """Paints, as the authors' samplers do; made, saved and called like a pipeline of diffusers."""

    def __init__(self, transformer: Any, scheduler: Any, tokenizer: Any, text_encoder: Any) -> None:
        self.transformer, self.scheduler, self.tokenizer, self.text_encoder = transformer, scheduler, tokenizer, text_encoder

    @property
    def components(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("transformer", "scheduler", "tokenizer", "text_encoder")}

    def save_config(self, directory: str | Path) -> None:
        """Writes `model_index.json`."""
        from .layout import write_json

        parts = {name: [type(part).__module__.split(".")[0].replace("easel_export", "diffusers"), type(part).__name__]
                 for name, part in self.components.items()}
        Path(directory).mkdir(parents=True, exist_ok=True)
        write_json({"_class_name": type(self).__name__} | parts, Path(directory) / "model_index.json")

    def save_pretrained(self, directory: str | Path) -> None:
        """Writes all of it."""
        self.save_config(directory)
        for name, part in self.components.items():
            part.save_pretrained(Path(directory) / name)

    @classmethod
    def from_pretrained(cls, directory: str | Path, torch_dtype: Any = torch.float32, **_: Any) -> MiniT2ITextToImagePipeline:
        """Of a directory with T5's encoder and tokenizer in it."""
        from transformers import AutoTokenizer, T5EncoderModel

        def folder(name: str) -> str:
            return str(Path(directory) / name)

        return cls(
            MiniT2IMMJiTModel.from_pretrained(folder("transformer"), torch_dtype=torch_dtype),
            FlowMatchEulerDiscreteScheduler.from_config(SCHEDULER),
            AutoTokenizer.from_pretrained(folder("tokenizer"), local_files_only=True),
            T5EncoderModel.from_pretrained(folder("text_encoder"), torch_dtype=torch_dtype, local_files_only=True))

    def set_progress_bar_config(self, **_: Any) -> None:
        """It has none."""

    def encode(self, prompts: list[str], tokens: int | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings [b, n, d] and which tokens count, [b, n]."""
        length = tokens or self.transformer.config.prompt_length
        read = self.tokenizer(prompts, return_tensors="pt", padding="max_length", truncation=True, max_length=length)
        return self.text_encoder(read.input_ids, read.attention_mask)[0], read.attention_mask

    @torch.no_grad()
    def __call__(
        self, prompt: str | list[str], negative_prompt: str | list[str] | None = None, height: int = 512, width: int = 512,
        num_inference_steps: int = 100, guidance_scale: float = 6.0, generator: torch.Generator | None = None,
        output_type: str = "pil", latents: Tensor | None = None, max_sequence_length: int | None = None,
        callback: Callable[[int, float, Tensor], None] | None = None,
    ) -> Any:
        prompts = [prompt] if isinstance(prompt, str) else prompt
        count, config = len(prompts), self.transformer.config
        text, mask = self.encode(prompts, max_sequence_length)
        guided = guidance_scale > 1 and not config.mean_flow
        if guided:
            # No text at all is one of masked tokens alone.
            other, kept = text, torch.zeros_like(mask)
            if negative_prompt is not None:
                negative = [negative_prompt] * count if isinstance(negative_prompt, str) else negative_prompt
                other, kept = self.encode(negative, max_sequence_length)
            text, mask = torch.cat([other, text]), torch.cat([kept, mask])
        if latents is None:
            latents = torch.randn(count, config.in_channels, height, width, generator=generator)
        self.scheduler.set_timesteps(sigmas=np.linspace(1, 1 / num_inference_steps, num_inference_steps))
        levels = self.scheduler.sigmas
        for index, (level, after) in enumerate(zip(levels, levels[1:])):
            seen = torch.cat([latents, latents]) if guided else latents

            def each(number: Any) -> Tensor:
                return torch.full((len(seen),), float(number))

            told = {}
            if config.mean_flow:
                told = dict(step_length=each(level - after), guidance=each(guidance_scale),
                            guidance_interval=torch.tensor([INTERVAL] * count))
            velocity = self.transformer(
                hidden_states=seen, encoder_hidden_states=text, encoder_attention_mask=mask, timestep=each(level), **told)[0]
            if guided:
                without, velocity = velocity.chunk(2)
                velocity = without + guidance_scale * (velocity - without)
            latents = latents + (after - level) * velocity
            if callback is not None:
                callback(index, float(level), latents.clone())
        return SimpleNamespace(images=_images(latents, output_type))


# The levels of noise are evenly spaced, from 1 to 0.
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0}
