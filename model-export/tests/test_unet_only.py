"""U-Nets that are exported by themselves: the file computes what torch does, also for Stable Diffusion XL."""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path

import diffusers
import numpy as np
import onnx
import pytest
import torch

from easel_export import unet_only
from easel_export.check import ort_function
from easel_export.cli import main
from easel_export.export import TIME_IDS, unet_component
from easel_export.loop import relative_error


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of an SDXL checkpoint that are looked at."""
    out = tmp_path_factory.mktemp("sdxl")
    source = unet_only.random("tiny-sdxl")
    unet = diffusers.UNet2DConditionModel.from_config(source.configs["unet"])
    for name, tensor in unet.named_parameters():
        tensor.data = torch.from_numpy(source.parameters(name, tuple(tensor.shape)))
    # In several files, as large ones are.
    unet.save_pretrained(out / "unet", max_shard_size="3MB")
    assert len(list((out / "unet").glob("*.safetensors"))) > 1
    for part, file in (("vae", "config.json"), ("scheduler", "scheduler_config.json")):
        (out / part).mkdir()
        (out / part / file).write_text(json.dumps(source.configs[part]))
    return out


def inputs(unet: diffusers.UNet2DConditionModel) -> tuple[torch.Tensor, ...]:
    """Of shapes that nothing was traced at: batch 3, taller, a short text."""
    example = unet_component(unet, (20, 12), 40).example
    generator = torch.Generator().manual_seed(2)
    drawn = [torch.randn(3, *e.shape[1:], generator=generator) if e.ndim else torch.tensor(321.0) for e in example]
    drawn[4] = torch.tensor([[160.0, 96, 0, 0, 160, 96], [512, 512, 8, 16, 160, 96], [64, 96, 0, 0, 320, 192]])
    assert drawn[4].shape[1] == TIME_IDS
    return tuple(drawn)


@torch.no_grad()
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("fp16", 5e-3), ("int8", 5e-2)])
def test_the_file_computes_what_torch_does(checkpoint: Path, tmp_path: Path, precision: str, limit: float) -> None:
    out = tmp_path / "out"
    assert main(["--source", str(checkpoint), "--unet-only", "--precision", precision, "--out", str(out)]) == 0
    unet = diffusers.UNet2DConditionModel.from_pretrained(checkpoint / "unet").eval()
    given = inputs(unet)
    want = unet_component(unet, (8, 8), 77).forward(*given)
    got = ort_function(out / "unet" / "model.onnx")(*given)
    assert want.std() > 1e-2 and relative_error(got, want) <= limit
    # Each of the extra inputs shows.
    for at in (3, 4):
        other = [value * 1.5 if i == at else value for i, value in enumerate(given)]
        assert relative_error(ort_function(out / "unet" / "model.onnx")(*other), got) > 1e-3


def test_random_weights_are_those_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    for name, call in (("random", ["--random", "tiny-sdxl"]), ("source", ["--source", str(checkpoint), "--unet-only"])):
        assert main([*call, "--precision", "int8", "--out", str(tmp_path / name)]) == 0
    files = ["unet/model.onnx", "unet/model.onnx_data", "vae_decoder/config.json", "scheduler/scheduler_config.json"]
    assert filecmp.cmpfiles(tmp_path / "random", tmp_path / "source", files, shallow=False) == (files, [], [])
    manifest = json.loads((tmp_path / "random" / "easel.json").read_text())
    assert manifest["defaults"] == {"width": 32, "height": 32} and manifest["size_multiple"] == 8


def test_weights_lie_as_in_other_exports(tmp_path: Path) -> None:
    assert main(["--random", "tiny-sdxl", "--precision", "int8", "--out", str(tmp_path / "out")]) == 0
    graph = onnx.load(tmp_path / "out" / "unet" / "model.onnx", load_external_data=False).graph
    assert [i.name for i in graph.input] == ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"]
    made = {output: node for node in graph.node for output in node.output}
    stored = {t.name: t for t in graph.initializer}
    # No weight is turned over while the network runs.
    turned = [n.name for n in graph.node if n.op_type == "Transpose" and n.input[0] in stored]
    assert not turned
    products = [n for n in graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    weights = [n for n in products if any(i in made and made[i].op_type == "DequantizeLinear" for i in n.input)]
    int8 = sum(int(np.prod(t.dims)) for t in stored.values() if t.data_type == onnx.TensorProto.INT8)
    every = sum(int(np.prod(t.dims)) for t in stored.values() if t.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.FLOAT))
    assert len(weights) > 100 and int8 > 0.98 * every


def test_the_published_architecture_has_the_published_size() -> None:
    """Stability AI name 2.6 billion parameters; diffusers counts 2,567,463,684."""
    unet = unet_only.hollow(unet_only.random("sdxl").configs["unet"])
    assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (lambda p: next((p / "unet").glob("*-00001-*.safetensors")).unlink(), 1, "safetensors"),
        (lambda p: (p / "vae" / "config.json").unlink(), 2, "vae/config.json"),
        (lambda p: change(p / "unet" / "config.json", cross_attention_dim=64), 1, "attn2.to_k.weight"),
        (lambda p: change(p / "unet" / "config.json", addition_embed_type="image"), 2, "addition_embed_type"),
        (lambda p: change(p / "unet" / "config.json", _class_name="SD3Transformer2DModel"), 2, "SD3Transformer2DModel"),
    ],
)
def test_what_does_not_fit_is_named(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture, break_it, code: int, words: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    break_it(broken)
    assert main(["--source", str(broken), "--unet-only", "--precision", "fp32", "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
