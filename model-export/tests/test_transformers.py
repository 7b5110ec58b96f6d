"""Diffusion transformers and T5."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import onnx
import pytest
import torch

from easel_export import UsageError, t5_tokenizer
from easel_export.architectures import ARCHITECTURES
from easel_export.check import ort_run
from easel_export.checkpoint import load, open_source
from easel_export.cli import main
from easel_export.diffusion_transformers import PixArt, SD3
from easel_export.goldens import weights
from easel_export.goldens.prompts import prompts
from easel_export.networks import Shape
from easel_export.painting import relative_error
from easel_export.random_checkpoint import build

LAYERS = [f"hidden_states.{layer}" for layer in range(3)]
T5 = (["input_ids"], ["last_hidden_state"])
BY_LAYER = (["input_ids"], ["text_embeds", "last_hidden_state", *LAYERS])
SEEN = ["hidden_states", "encoder_hidden_states"]
NAMES = {
    "tiny-pixart-1024": {
        "text_encoder": (["input_ids", "attention_mask"], ["last_hidden_state"]),
        "transformer": ([*SEEN, "encoder_attention_mask", "timestep", "resolution", "aspect_ratio"], ["out_hidden_states"]),
    },
    "tiny-sd35": {
        "text_encoder": BY_LAYER, "text_encoder_2": BY_LAYER, "text_encoder_3": T5,
        "transformer": ([*SEEN, "pooled_projections", "timestep"], ["out_hidden_states"]),
    },
    "tiny-flux": {
        "text_encoder": (["input_ids"], ["last_hidden_state", "pooler_output"]), "text_encoder_2": T5,
        "transformer": ([*SEEN, "pooled_projections", "timestep", "img_ids", "txt_ids", "guidance"], ["out_hidden_states"]),
    },
}


@pytest.fixture(scope="module", params=NAMES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A kind, and its checkpoint, whose weights show everything."""
    out = tmp_path_factory.mktemp("checkpoints") / request.param
    pipeline = build(request.param, out)
    weights.fill(pipeline)
    pipeline.save_pretrained(out)
    return request.param, out


@torch.no_grad()
def test_a_file_computes_what_torch_does_at_other_sizes(checkpoint: tuple[str, Path], tmp_path: Path) -> None:
    """Also where one weight at a time was in memory."""
    kind, source = checkpoint
    out = tmp_path / "out"
    assert main(["--source", str(source), "--unmeasured", "--precision", "fp32", "--out", str(out)]) == 0
    generator = torch.Generator().manual_seed(2)
    for component in load(str(source)).components():
        if component.name not in NAMES[kind]:
            continue
        graph = onnx.load(out / component.name / "model.onnx", load_external_data=False).graph
        assert ([i.name for i in graph.input], [o.name for o in graph.output]) == NAMES[kind][component.name]
        run = ort_run(out / component.name / "model.onnx")
        for shape in (Shape(20, 12, 40, batch=3), Shape(4, 22, 9, batch=1)):
            given = component.draw(shape, generator)
            got, want = run(*given), component.run(*given)
            assert all(relative_error([g], [w]) <= 1e-5 for g, w in zip(got, want, strict=True))
        # Each input shows: of positions and masks all but the first are other ones, the rest is larger.
        for at, value in enumerate(given):
            changed = value * 1.5 if value.dtype == torch.float32 else torch.cat([value[:1], 1 - value[1:].flip(0)]) \
                if value.shape[0] > 1 else torch.cat([value[:, :4], (value[:, 4:] + 1) % 2], dim=1)
            other = [changed if i == at else v for i, v in enumerate(given)]
            # The hidden states of some layers are before what changed; of positions, a common shift is none.
            assert max(relative_error([a], [b]) for a, b in zip(run(*other), got)) > 1e-3, list(component.inputs)[at]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tiny-pixart", "tiny-pixart-1024", "tiny-pixart-sigma"])
@pytest.mark.parametrize("size", [(16, 16), (8, 12), (24, 6)])
def test_positions_in_the_graph_are_diffusers(kind: str, size: tuple[int, int]) -> None:
    """At the configured size, below and above."""
    import diffusers

    name, options = ARCHITECTURES[kind].parts["transformer"]
    module = getattr(diffusers, name)(**options).eval()
    generator = torch.Generator().manual_seed(1)
    latents, text = torch.randn(2, 4, *size, generator=generator), torch.randn(2, 7, 64, generator=generator)
    mask = torch.tensor([[1] * 7, [1, 1, 0, 0, 0, 0, 0]])
    sizes = {"resolution": torch.tensor([[64.0, 32.0]] * 2), "aspect_ratio": torch.tensor([[2.0]] * 2)}
    timestep = torch.tensor([999.0, 12.5])
    wanted = module(latents, text, timestep=timestep, added_cond_kwargs=sizes, encoder_attention_mask=mask, return_dict=False)[0]
    found = PixArt(module)(latents, text, mask, timestep, *sizes.values())
    assert relative_error([found], [wanted]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (8, 14), (34, 6)])
def test_positions_of_two_tables_are_those_of_one(separable: bool, size: tuple[int, int]) -> None:
    import diffusers

    name, options = ARCHITECTURES["tiny-sd3"].parts["transformer"]
    module = getattr(diffusers, name)(**options).eval()
    if not separable:
        module.pos_embed.pos_embed.view(-1)[5] += 1
    forward = SD3(module)
    assert forward.separable == separable
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(2, *dims, generator=generator) for dims in ((16, *size), (7, 64), (48,))]
    given = (*drawn, torch.tensor([999.0, 12.5]))
    assert torch.equal(forward(*given), module(*given, return_dict=False)[0])


@pytest.mark.parametrize(
    ("kind", "folder", "change", "words"),
    [
        ("tiny-pixart-1024", "transformer", {"caption_channels": 32}, "caption_channels is 32, d_model of text_encoder"),
        ("tiny-pixart-1024", "transformer", {"in_channels": 16}, "in_channels is 16"),
        ("tiny-sd35", "transformer", {"pooled_projection_dim": 7}, "pooled_projection_dim is 7.*48"),
        ("tiny-sd35", "text_encoder_3", {"d_model": 32}, "joint_attention_dim is 64.*32"),
        ("tiny-flux", "transformer", {"in_channels": 32}, "in_channels is 32.*64"),
        ("tiny-flux", "transformer", {"axes_dims_rope": [4, 6, 8]}, "axes_dims_rope make 18"),
        ("tiny-flux", "transformer", {"_class_name": "SD3Transformer2DModel"}, "is a SD3Transformer2DModel"),
    ],
)
def test_parts_that_do_not_fit_are_refused(checkpoint: tuple[str, Path], kind: str, folder: str, change: dict, words: str) -> None:
    if checkpoint[0] != kind:
        return
    path = checkpoint[1] / folder / "config.json"
    kept = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(kept) | change))
        with pytest.raises(UsageError, match=words):
            open_source(str(checkpoint[1]))
    finally:
        path.write_text(kept)


def test_adapters_are_refused(checkpoint: tuple[str, Path], tmp_path: Path) -> None:
    assert main(["--source", str(checkpoint[1]), "--controlnet", str(tmp_path), "--precision", "fp32", "--out", str(tmp_path / "o")]) == 2


def test_both_tokenizers_of_a_file_agree(tmp_path: Path) -> None:
    slow, fast = (t5_tokenizer.load(tmp_path / name, name == "fast") for name in ("slow", "fast"))
    assert (slow.pad_token_id, slow.eos_token_id, slow.unk_token_id) == (0, 1, 2)
    assert slow.convert_tokens_to_ids("<extra_id_0>") == len(slow) - 1
    for prompt in ("", "a red cat, 3 fish", "  two  spaces ", "½ ² ﬁsh", "漢字 🦊"):
        assert slow(prompt).input_ids == fast(prompt).input_ids, prompt
    # A letter below a heap of marks is looked up as a whole by the one, mark by mark by the other.
    apart = [p for p in prompts() if slow(p).input_ids != fast(p).input_ids]
    assert len(apart) == 1 and sum(map(unicodedata.combining, apart[0])) > 1000
