from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from easel_export.quantize import MIN_WEIGHTS, candidates, choose, dequantize, quantize


@pytest.mark.parametrize(("shape", "axis"), [((5, 7), 0), ((5, 7), 1), ((4, 3, 3, 3), 0)])
def test_error_is_at_most_half_a_step(shape: tuple[int, ...], axis: int) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    q, scale = quantize(weight, axis)
    assert q.dtype == np.int8 and scale.shape == (shape[axis],)
    step = np.moveaxis(np.broadcast_to(scale, (*np.delete(shape, axis), shape[axis])), -1, axis)
    assert (np.abs(dequantize(q, scale, axis) - weight) <= step * 0.5001).all()


def test_range_is_symmetric_and_extremes_are_exact() -> None:
    q, scale = quantize(np.array([[-2.0, 1.0], [0.5, 3.0]], np.float32), 0)
    assert q.min() == -127 and q.max() == 127
    np.testing.assert_allclose(dequantize(q, scale, 0)[[0, 1], [0, 1]], [-2.0, 3.0], rtol=1e-6)


def test_zero_and_denormal_channels_become_zero() -> None:
    q, scale = quantize(np.array([[0.0, 0.0], [1e-40, -1e-40]], np.float32), 0)
    assert not q.any() and (scale == 1).all()


def test_transposed_weights_quantize_alike() -> None:
    weight = np.random.default_rng(1).normal(size=(6, 9)).astype(np.float32)
    q, scale = quantize(weight, 0)
    q_t, scale_t = quantize(weight.T, 1)
    assert (q.T == q_t).all() and (scale == scale_t).all()


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2))
    # One outlier a row: every other weight of the layer rounds to nothing.
    net[1].weight.data[:, 0] = 1000.0
    return net.requires_grad_(False)


def test_the_sensitive_layer_is_kept_and_weights_come_back() -> None:
    net = _network()
    before = [p.clone() for p in net.parameters()]
    x = torch.randn(8, 64)
    x[:, :] -= net[0](x)[:, :1]
    layers = candidates(net)
    assert set(layers) == {"0", "1"}, f"fewer than {MIN_WEIGHTS} weights stay float"
    # Only what the small weights of layer 1 contribute.
    choice = choose("net", layers, lambda: net[1](net[0](x)) - 1000 * net[0](x)[:, :1], 0.05, 0.6)
    assert choice.kept == {"1"}
    assert choice.measured <= 0.05 < choice.errors["1"]
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))


def test_no_more_than_the_share_is_kept() -> None:
    net = _network()
    x = torch.randn(8, 64)
    choice = choose("net", candidates(net), lambda: net(x), 0.0, 0.5)
    assert len(choice.kept) == 1 and choice.measured > 0
