"""The committed golden data is what diffusers computes, from weights that are the same bits everywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from easel_export.goldens import pictures, pipelines, texts, weights


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


@torch.no_grad()
def test_embeddings_of_short_plain_prompts_are_diffusers(tmp_path: Path) -> None:
    """Those of the golden texts: the rules for long and weighted ones begin where diffusers ends."""
    pipeline, _ = pipelines.checkpoint("tiny-sdxl", tmp_path)
    case = texts.Case("tiny-sdxl", "any", negative="a blue cat")
    own = pipeline.encode_prompt(case.prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True,
                                 negative_prompt=case.negative)
    assert all(torch.equal(a, b) for a, b in zip(own, texts.embeddings(pipeline, case).values(), strict=True))
    own = pipeline.encode_prompt(case.prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False, clip_skip=1)
    skipped = texts.embeddings(pipeline, dataclasses.replace(case, clip_skip=1))
    assert torch.equal(own[0], skipped["prompt_embeds"]) and not torch.equal(own[0], texts.embeddings(pipeline, case)["prompt_embeds"])


def test_prompts_are_cut_into_runs_and_chunks(tmp_path: Path) -> None:
    assert texts.runs("a (red:1.3) house and (three trees:0.7)") == [("a ", 1.0), ("red", 1.3), (" house and ", 1.0), ("three trees", 0.7)]
    pipeline, _ = pipelines.checkpoint("tiny", tmp_path)
    found = texts.chunks(pipeline.tokenizer, f"(a:1.5) {texts.LONG}")
    assert [len(ids) for ids, _ in found] == [len(weights) for _, weights in found] == [77, 77]
    assert found[0][1][:3] == [1.0, 1.5, 1.0] and found[1][0][-1] == pipeline.tokenizer.pad_token_id
