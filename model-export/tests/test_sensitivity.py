"""Which layers stay float: the estimate is what trying each layer gives, and the target is kept by measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from easel_export import checkpoint as checkpoints
from easel_export.goldens import weights
from easel_export.painting import paint, recorded, scene
from easel_export.quantize import MIN_WEIGHTS, candidates, part_of
from easel_export.random_checkpoint import build
from easel_export.sensitivity import Replay, choose, estimate, measure, replay, singles


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2))
    # One outlier a row: every other weight of the layer rounds to nothing.
    net[1].weight.data[:, 0] = 1000.0
    return net.requires_grad_(False)


def _rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Replay:
    def run() -> Iterator[list[Tensor]]:
        for row in x.split(1):
            yield [function(row)]

    return run


def test_the_sensitive_layer_is_kept_and_weights_come_back() -> None:
    net = _network()
    before = [p.clone() for p in net.parameters()]
    x = torch.randn(8, 64)
    layers = candidates(net)
    assert set(layers) == {"0", "1"}, f"fewer than {MIN_WEIGHTS} weights stay float"
    # Only what the small weights of layer 1 contribute.
    run = _rows(lambda x: net[1](net[0](x)) - 1000 * net[0](x)[:, :1], x)
    choice = choose(layers, run, run, 0.05, 0.6)
    assert choice.kept == {"1"}
    assert choice.measured <= 0.05 < choice.errors["1"]
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))
    assert not any(p.requires_grad or p.grad is not None for p in net.parameters())


def test_no_more_than_the_share_is_kept() -> None:
    net = _network()
    run = _rows(net, torch.randn(8, 64))
    choice = choose(candidates(net), run, run, 0.0, 0.5)
    assert len(choice.kept) == 1 and choice.measured > 0


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae_decoder"])
def test_the_estimate_is_what_trying_each_layer_gives(source: Path, part: str) -> None:
    checkpoint = checkpoints.load(str(source))
    components = checkpoint.components()
    runs, calls = recorded(components)
    paint(checkpoint, scene(checkpoint, 2, (16, 16), 2, 4.0), runs)
    component = next(c for c in components if c.name == part)
    layers = candidates(part_of(component.module, component.children))
    run = replay(component, calls[part].inputs)
    with torch.no_grad():
        reference = [torch.cat([answers[0].flatten() for answers in run()])]
    estimated = estimate(layers, replay(component, singles(component.inputs, calls[part].inputs)))
    tried = {name: measure(layers, [name], run, reference) for name in layers}
    ratios = np.array([estimated[name] / tried[name] for name in layers])
    assert 0.9 < np.exp(np.log(ratios).mean()) < 1.1 and (0.5 < ratios).all() and (ratios < 2).all()


@pytest.mark.parametrize("kind", ["tiny-pixart", "tiny-flux"])
def test_inputs_that_are_rounded_are_part_of_it(kind: str, tmp_path: Path) -> None:
    """Also of a layer that is given channels a hundred times larger than the others."""
    pipeline = build(kind, tmp_path)
    weights.fill(pipeline)
    before, after = (pipeline.transformer.get_submodule(f"transformer_blocks.1.ff.{name}") for name in ("net.0.proj", "net.2"))
    before.weight.data[3] *= 100
    after.weight.data[:, 3] /= 100
    pipeline.save_pretrained(tmp_path)
    checkpoint = checkpoints.load(str(tmp_path))
    components = checkpoint.components()
    runs, calls = recorded(components)
    paint(checkpoint, scene(checkpoint, 2, (16, 16), 2, 4.0), runs)
    for component in components:
        if not component.rounds_tokens:
            continue
        layers = candidates(component.module)
        made = calls[component.name].inputs
        run = replay(component, made)
        with torch.no_grad():
            reference = [torch.cat([answers[0].flatten() for answers in run()])]
        single = replay(component, singles(component.inputs, made))
        with_inputs, without = (estimate(layers, single, tokens) for tokens in (True, False))
        tried = {name: measure(layers, [name], run, reference, True) for name in layers}
        ratios = np.array([with_inputs[name] / tried[name] for name in layers])
        assert 0.8 < np.exp(np.log(ratios).mean()) < 1.25 and (0.4 < ratios).all() and (ratios < 2.5).all(), ratios
        assert all(with_inputs[name] >= without[name] for name in layers)
        if component.name == "transformer":
            assert with_inputs["transformer_blocks.1.ff.net.2"] > 2 * without["transformer_blocks.1.ff.net.2"]


def test_singles_are_spread_and_come_again() -> None:
    axes = {"x": {0: "batch_size"}, "t": {}}
    calls = [(torch.arange(4.0).reshape(4, 1) + 10 * call, torch.tensor(float(call))) for call in range(3)]
    assert [float(x) for x, _ in singles(axes, calls, 4)] == [0, 3, 12, 21]
    assert [float(t) for _, t in singles(axes, calls, 4)] == [0, 0, 1, 2]
    assert [float(x) for x, _ in singles(axes, calls[:1], 8)] == [0, 0, 1, 1, 2, 2, 3, 3]
