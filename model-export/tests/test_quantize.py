from __future__ import annotations

import numpy as np
import pytest

from easel_export.quantize import dequantize, quantize


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
