"""The kinds of networks that families are made of: what is traced, under which names, and how a pipeline calls it.

A `Component` has the names of its inputs and outputs (optimum's), the module that is traced, and `stand_in`: an object that
a diffusers pipeline takes for the network, while the work is done by any function of the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

# Of SDXL (arXiv 2307.01952): height and width of the original, top and left of the crop, height and width aimed at.
TIME_IDS = 6

# Name of an input or output -> its axes of any size.
Axes = dict[str, dict[int, str]]
# A network as a function of its inputs, in the order of `Component.inputs`; gives all outputs.
Run = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Shape:
    """How large inputs are: latents of `rows` x `columns` cells, texts of `tokens`."""

    rows: int
    columns: int
    tokens: int
    batch: int = 2


@dataclass
class Component:
    """One network to export."""

    name: str
    module: nn.Module  # whose layer names the manifest uses
    forward: nn.Module  # positional tensors in, tensors out; holds `module` as `m`
    inputs: Axes
    outputs: Axes
    example: tuple[Tensor, ...]
    draw: Callable[[Shape, torch.Generator], tuple[Tensor, ...]]  # random inputs
    read: tuple[int, ...] = (0,)  # the outputs that a pipeline reads; others are measured nowhere
    call: type = field(default=object)  # the stand-in's class
    children: tuple[str, ...] = ()  # those of `module` that do the work, where it does more than this network
    channels: int | None = None  # so many of an output's channels are read, if not all
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of an output, all but the batch, where the tracer loses them
    rounds_tokens: bool = False  # what int8 costs is measured with the inputs of its linear layers in int8, too
    idle: tuple[str, ...] = ()  # those of `module` whose answer nobody reads, with all that is in them
    together: bool = False  # all that is read is measured as one: it is added to numbers of one size

    def stand_in(self, run: Run, rest: Any = None) -> Any:
        """What a pipeline takes for `module`, computed by `run`; what it does not do, `rest` does, or the module."""
        return self.call(self, run, self.module if rest is None else rest)

    def wanted(self, outputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Of all `outputs`, what a pipeline reads: what is measured."""
        read = [outputs[at][:, : self.channels] for at in self.read]
        return [torch.cat([output.flatten() for output in read])] if self.together else read

    def run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """torch's own answer."""
        answer = self.forward(*inputs)
        return answer if isinstance(answer, tuple) else (answer,)


class StandIn:
    """In a pipeline, a network whose work is done elsewhere. Whatever else it is asked, `rest` answers."""

    def __init__(self, component: Component, run: Run, rest: Any) -> None:
        self._component, self._run, self._rest = component, run, rest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rest, name)


class _Forward(nn.Module):
    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m
        self.train(m.training)  # the tracer leaves everything in this one's mode


# -- Text encoders ------------------------------------------------------------------------------------------------------


class _Text(_Forward):
    """Last hidden state and pooled text."""

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        return self.m(input_ids, return_dict=False)[:2]


class _TextByLayer(_Forward):
    """The same (or the projected text and the last hidden state), then the hidden state before and behind each layer."""

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        answer = self.m(input_ids, output_hidden_states=True)
        if "text_embeds" in answer:
            return (answer.text_embeds, answer.last_hidden_state, *answer.hidden_states)
        return (answer.last_hidden_state, answer.pooler_output, *answer.hidden_states)


class _TextStandIn(StandIn):
    def __call__(self, input_ids: Tensor, **_: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling
        from transformers.models.clip.modeling_clip import CLIPTextModelOutput

        named = dict(zip(self._component.outputs, self._run(input_ids), strict=True))
        layers = tuple(named.pop(name) for name in list(named) if name.startswith("hidden_states."))
        kind = CLIPTextModelOutput if "text_embeds" in named else BaseModelOutputWithPooling
        return kind(**named, hidden_states=layers or None)


def text_encoder(name: str, module: nn.Module, shape: Shape, by_layer: bool) -> Component:
    """CLIP's text encoder, with a projection or without; `by_layer` adds all hidden states to the outputs."""
    tokens = {0: "batch_size", 1: "sequence_length"}
    projected = type(module).__name__.endswith("WithProjection")
    outputs: Axes = {"text_embeds": {0: "batch_size"}} if projected else {}
    outputs["last_hidden_state"] = tokens
    if not projected:
        outputs["pooler_output"] = {0: "batch_size"}
    read: tuple[int, ...] = (0,)
    if by_layer:
        layers = module.config.num_hidden_layers
        outputs |= {f"hidden_states.{layer}": tokens for layer in range(layers + 1)}
        # The last but one, and of the second encoder the text as a whole.
        read = (0, layers + 1) if projected else (layers + 1,)

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randint(0, module.config.vocab_size, (shape.batch, shape.tokens), generator=generator),)

    return Component(
        name, module, _TextByLayer(module) if by_layer else _Text(module), {"input_ids": tokens}, outputs,
        (torch.zeros(shape.batch, shape.tokens, dtype=torch.int64),), draw, read, _TextStandIn)


# -- The denoiser -------------------------------------------------------------------------------------------------------


class _Unet(_Forward):
    def __init__(self, m: nn.Module) -> None:
        super().__init__(m)
        self.names = tuple(unet_inputs(m.config))

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.names, inputs))
        added = {name: named.pop(name) for name in ("text_embeds", "time_ids") if name in named}
        return self.m(**named, added_cond_kwargs=added or None, return_dict=False)[0]


class _UnetStandIn(StandIn):
    def __call__(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, timestep_cond: Tensor | None = None,
                 added_cond_kwargs: dict[str, Tensor] | None = None, **_: Any) -> tuple[Tensor, ...]:
        named = {"sample": sample, "timestep": timestep.to(torch.float32), "encoder_hidden_states": encoder_hidden_states,
                 "timestep_cond": timestep_cond, **(added_cond_kwargs or {})}
        return self._run(*(named[name] for name in self._component.inputs))


def unet_inputs(config: Any) -> Axes:
    """A U-Net's inputs: the usual three, and what its configuration adds."""
    inputs: Axes = {
        "sample": {0: "batch_size", 2: "height", 3: "width"},
        "timestep": {},
        "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
    }
    if config.time_cond_proj_dim is not None:
        inputs["timestep_cond"] = {0: "batch_size"}
    if config.addition_embed_type == "text_time":
        inputs |= {"text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"}}
    return inputs


def unet(module: nn.Module, shape: Shape) -> Component:
    """`UNet2DConditionModel`."""
    config = module.config
    inputs = unet_inputs(config)

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        b = shape.batch

        def normal(*dims: int) -> Tensor:
            return torch.randn(*dims, generator=generator)

        made = {
            "sample": lambda: normal(b, config.in_channels, shape.rows, shape.columns),
            "timestep": lambda: torch.tensor(321.0),
            "encoder_hidden_states": lambda: normal(b, shape.tokens, config.cross_attention_dim),
            "timestep_cond": lambda: normal(b, config.time_cond_proj_dim),
            "text_embeds": lambda: normal(b, pooled_width(config)),
            "time_ids": lambda: torch.randint(0, 1024, (b, TIME_IDS), generator=generator).float(),
        }
        return tuple(made[name]() for name in inputs)

    example = draw(shape, torch.Generator().manual_seed(0))
    return Component("unet", module, _Unet(module), inputs, {"out_sample": inputs["sample"]}, example, draw, call=_UnetStandIn)


def pooled_width(config: Any) -> int:
    """Features of the text as a whole, where a U-Net takes it."""
    return config.projection_class_embeddings_input_dim - TIME_IDS * config.addition_time_embed_dim


# -- The autoencoder ----------------------------------------------------------------------------------------------------


class _VaeDecoder(_Forward):
    def forward(self, latent_sample: Tensor) -> Tensor:
        return self.m.decode(latent_sample, return_dict=False)[0]


class _DecoderStandIn(StandIn):
    def decode(self, latents: Tensor, **_: Any) -> tuple[Tensor, ...]:
        return self._run(latents)


def vae_decoder(module: nn.Module, shape: Shape) -> Component:
    """The decoder's half of `AutoencoderKL` or `AutoencoderTiny`."""

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randn(shape.batch, module.config.latent_channels, shape.rows, shape.columns, generator=generator),)

    one = Shape(shape.rows, shape.columns, shape.tokens, batch=1)
    return Component(
        "vae_decoder", module, _VaeDecoder(module),
        {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        {"sample": {0: "batch_size", 2: "height", 3: "width"}},
        draw(one, torch.Generator().manual_seed(0)), draw, call=_DecoderStandIn, children=("post_quant_conv", "decoder"))


class _KlEncoder(_Forward):
    """Mean and logarithm of the variance of a picture's latents."""

    def forward(self, sample: Tensor) -> Tensor:
        return self.m.encode(sample, return_dict=False)[0].parameters


class _TinyEncoder(_Forward):
    def forward(self, sample: Tensor) -> Tensor:
        return self.m.encode(sample, return_dict=False)[0]


class _EncoderStandIn(StandIn):
    def encode(self, sample: Tensor, **_: Any) -> Any:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKLOutput, DiagonalGaussianDistribution
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput

        answer = self._run(sample)[0]
        if "latent_sample" in self._component.outputs:
            return AutoencoderTinyOutput(latents=answer)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(answer))


def vae_encoder(module: nn.Module, shape: Shape) -> Component:
    """The encoder's half: `AutoencoderKL` gives a mean and, behind it, a log variance; `AutoencoderTiny` the latents alone."""
    config = module.config
    tiny = type(module).__name__ == "AutoencoderTiny"
    name, channels = ("latent_sample", None) if tiny else ("latent_parameters", config.latent_channels)
    blocks = config.encoder_block_out_channels if tiny else config.block_out_channels
    factor = 2 ** (len(blocks) - 1)

    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        size = (shape.batch, config.in_channels, factor * shape.rows, factor * shape.columns)
        return (torch.rand(size, generator=generator) * 2 - 1,)

    one = Shape(shape.rows, shape.columns, shape.tokens, batch=1)
    return Component(
        "vae_encoder", module, (_TinyEncoder if tiny else _KlEncoder)(module),
        {"sample": {0: "batch_size", 2: "height", 3: "width"}},
        {name: {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        draw(one, torch.Generator().manual_seed(0)), draw, call=_EncoderStandIn, children=("encoder", "quant_conv"), channels=channels)
