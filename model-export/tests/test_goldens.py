"""The committed golden data is what diffusers computes, from weights that are the same bits everywhere."""

from __future__ import annotations

import numpy as np

from easel_export.goldens import pictures, pipelines, weights


def test_weights_are_exact_and_spread_evenly() -> None:
    values = weights.uniform("unet.conv_in.weight", 4096)
    assert values.dtype == np.float32 and -1 <= values.min() < -0.99 and 0.99 < values.max() < 1
    assert abs(float(values.mean())) < 0.05
    # Whole multiples of 2^-23: nothing was rounded on the way.
    assert np.array_equal(np.rint(values.astype(np.float64) * 2**23), values.astype(np.float64) * 2**23)
    assert not np.array_equal(values, weights.uniform("unet.conv_in.bias", 4096))


def test_golden_pictures_are_what_diffusers_paints() -> None:
    assert pipelines.check() == []


def test_a_difference_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(pictures, "cases", lambda: [pictures.Case("ddim", "euler")])
    problems = pipelines.check(("tiny",))
    assert len(problems) == 2 and "other cases" in problems[0] and "tiny/ddim" in problems[1]
