"""Which layers may have int8 weights.

What a layer alone costs is estimated, for all layers together: the relative error e_i of the network's output on the
calibration calls, with layer i alone in int8. Rounding is a small change D of the weights, so the output changes by J D, J being
its derivative. For signs r drawn at random, the mean of <r, J D>^2 is |J D|^2, and <r, J D> = <J^T r, D>: one backward
pass gives it for every layer. The rounding errors of two output channels are independent; so each channel's product is squared by itself
and the squares are added, which leaves little to chance: a few passes do. (Trying each layer takes a pass for each.)

Transformers have channels that are many times larger than the others, and what is rounded to int8 while a picture is painted, one scale
a token, loses the others beside them. So their linear layers are measured with their inputs rounded, too; the products of the tokens'
rounding errors with their derivatives are squared and added in the same way.

Independent errors add in squares, so the network with all layers in int8 is near sqrt(sum e_i^2). Layers are taken back to
float32, the largest e_i^2 per weight first, until the error *measured* with all the rest quantized is at most the target, or
until the float layers would hold more than a given share of the weights.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .networks import Axes, Component
from .painting import relative_error
from .quantize import int8_round, int8_round_tokens, quantize

# Backward passes.
PASSES = 8

# The outputs that count, call by call.
Replay = Callable[[], Iterator[list[Tensor]]]


@dataclass
class Choice:
    """The outcome for one component."""

    errors: dict[str, float]  # layer -> relative output error with it alone in int8, estimated
    kept: set[str]  # layers that stay float32
    measured: float  # relative output error with all others in int8
    target: float

    def quantized(self) -> set[str]:
        """Layers that become int8."""
        return set(self.errors) - self.kept


def replay(component: Component, calls: list[tuple[Tensor, ...]]) -> Replay:
    """The component's outputs for the inputs `calls`."""

    def run() -> Iterator[list[Tensor]]:
        for inputs in calls:
            yield component.wanted(component.run(*inputs))

    return run


def singles(inputs: Axes, calls: list[tuple[Tensor, ...]], count: int = PASSES) -> list[tuple[Tensor, ...]]:
    """`count` of all that `calls` have in their batches, evenly spaced, each a call by itself: a backward pass of one needs
    little memory. Where there are fewer, they come again, and meet other signs."""
    each = [axes.get(0) == "batch_size" for axes in inputs.values()]  # others are the same for all of a batch
    rows = [
        tuple(value[row : row + 1] if of_batch else value for value, of_batch in zip(call, each, strict=True))
        for call in calls for row in range(call[0].shape[0])]
    return [rows[at * len(rows) // count] for at in range(count)]


def choose(layers: dict[str, nn.Module], run: Replay, single: Replay, target: float, max_float: float,
           tokens: bool = False) -> Choice:
    """Picks those of `layers` that stay float, and leaves all as they were.

    `run` replays all calibration calls, `single` some of one input each. `target` is the relative error allowed for the whole,
    `max_float` the largest share of weights that may stay float for it; `tokens`: what linear layers are given is rounded, too.
    """
    reference = _outputs(run)
    errors = estimate(layers, single, tokens)
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    worst_first = sorted(layers, key=lambda n: (-(errors[n] ** 2) / sizes[n], n))
    budget = max_float * sum(sizes.values())

    kept: set[str] = set()
    while True:
        quantized = [n for n in layers if n not in kept]
        measured = measure(layers, quantized, run, reference, tokens)
        if measured <= target:
            break
        # Drop as much predicted error as is measured too much, at least one layer a round.
        left = sum(errors[n] ** 2 for n in quantized)
        goal = left * (target / measured) ** 2
        added = False
        for name in worst_first:
            if name in kept or sum(sizes[k] for k in kept) + sizes[name] > budget:
                continue
            if added and left <= goal:
                break
            kept.add(name)
            left -= errors[name] ** 2
            added = True
        if not added:
            break
    return Choice(errors, kept, measured, target)


@torch.no_grad()
def measure(layers: dict[str, nn.Module], names: Iterable[str], run: Replay, reference: list[Tensor], tokens: bool = False) -> float:
    """The relative error with the layers `names` in int8."""
    saved = {name: layers[name].weight.data for name in names}

    def rounded(_layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (int8_round_tokens(given[0]), *given[1:])

    hooks = [layer.register_forward_pre_hook(rounded) for layer in _linear(layers, saved, tokens).values()]
    try:
        for name, weight in saved.items():
            layers[name].weight.data = int8_round(weight)
        return relative_error(_outputs(run), reference)
    finally:
        for hook in hooks:
            hook.remove()
        for name, weight in saved.items():
            layers[name].weight.data = weight


def _linear(layers: dict[str, nn.Module], names: Iterable[str], tokens: bool) -> dict[str, nn.Module]:
    """Those of `names` whose inputs are rounded."""
    return {name: layers[name] for name in names if tokens and isinstance(layers[name], nn.Linear)}


def estimate(layers: dict[str, nn.Module], single: Replay, tokens: bool = False) -> dict[str, float]:
    """The relative error with each layer alone in int8: see above."""
    squares = dict.fromkeys(layers, 0.0)
    norms = [float(output.double().norm().clamp_min(1e-30)) for output in _outputs(single)]
    generator = torch.Generator().manual_seed(0)
    with _watched(layers, squares, tokens), torch.enable_grad():
        for outputs in single():
            signs = [torch.randint(0, 2, o.shape, generator=generator) * 2.0 - 1 for o in outputs]
            torch.autograd.backward(outputs, [sign / norm for sign, norm in zip(signs, norms)])
    return {name: math.sqrt(square) for name, square in squares.items()}


@contextlib.contextmanager
def _watched(layers: dict[str, nn.Module], squares: dict[str, float], tokens: bool) -> Iterator[None]:
    """Within it, a backward pass adds each layer's <J^T r, D>^2, summed over output channels, and with `tokens` that of its inputs,
    summed over tokens; no gradient is kept."""

    rounded: dict[str, tuple[Tensor, Tensor]] = {}  # int8 and scales: a quarter of the weights' memory

    def add(name: str) -> Callable[[Tensor], None]:
        def hook(weight: Tensor) -> None:
            if name not in rounded:
                rounded[name] = tuple(torch.from_numpy(part) for part in quantize(weight.detach().numpy(), 0))
            q, scale = rounded[name]
            change = torch.addcmul(-weight.detach(), q.float(), scale.reshape(-1, *[1] * (weight.ndim - 1)))
            channels = change.mul_(weight.grad).flatten(1).sum(1)
            squares[name] += float(channels.double().square().sum())
            weight.grad = None

        return hook

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
        def hook(_layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # A view of its own: others may be given the same, and each shall see its own derivative.
            x = given[0].view_as(given[0]) if given[0].requires_grad else given[0].detach().requires_grad_()
            change = int8_round_tokens(x.detach()) - x.detach()

            def add_tokens(gradient: Tensor) -> None:
                squares[name] += float((gradient * change).sum(-1).double().square().sum())

            x.register_hook(add_tokens)
            return (x, *given[1:])

        return hook

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in _linear(layers, layers, tokens).items()]
    try:
        for name, layer in layers.items():
            layer.weight.requires_grad_(True)
            hooks.append(layer.weight.register_post_accumulate_grad_hook(add(name)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer in layers.values():
            layer.weight.requires_grad_(False)


@torch.no_grad()
def _outputs(run: Replay) -> list[Tensor]:
    """Of each output, the values of all inputs, flat."""
    return [torch.cat([one.flatten() for one in column]) for column in zip(*run())]
