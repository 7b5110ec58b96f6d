"""ControlNets: the files compute what torch does, a U-Net that is added nothing is the plain one, and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch

from easel_export.adapters import Adapters
from easel_export.check import ort_run
from easel_export.checkpoint import load
from easel_export.cli import main
from easel_export.conditioned import skips
from easel_export.networks import Shape
from easel_export.painting import relative_error

SIDES = [f"down_block_res_sample_{at}" for at in range(4)]
ADDED = [f"down_block_additional_residual_{at}" for at in range(4)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with two ControlNets in folders of it."""
    out = tmp_path_factory.mktemp("controlnet") / "source"
    assert main(["--random", "tiny", "--controlnet", "random", "--controlnet", "random", "--out", str(out)]) == 0
    return out


def nets(checkpoint: Path) -> list[str]:
    return ["--controlnet", str(checkpoint / "controlnet"), "--controlnet", str(checkpoint / "controlnet_1")]


@torch.no_grad()
def test_files_compute_what_torch_does(checkpoint: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain"
    call = ["--source", str(checkpoint), "--unmeasured", "--precision", "fp32"]
    assert main([*call, *nets(checkpoint), "--out", str(out)]) == 0
    generator = torch.Generator().manual_seed(2)
    loaded = load(str(checkpoint), Adapters((checkpoint / "controlnet", checkpoint / "controlnet_1")))
    components = {component.name: component for component in loaded.components()}
    for name in ("unet", "controlnet", "controlnet_1"):
        # Of three pictures, taller, a short text: nothing was traced so.
        given = components[name].draw(Shape(20, 12, 40, batch=3), generator)
        got, want = ort_run(out / name / "model.onnx")(*given), components[name].run(*given)
        for g, w in zip(got, want, strict=True):
            assert w.std() > 1e-2 and relative_error([g], [w]) <= 1e-5
    graph = onnx.load(out / "controlnet" / "model.onnx", load_external_data=False).graph
    assert [i.name for i in graph.input] == ["sample", "timestep", "encoder_hidden_states", "controlnet_cond", "conditioning_scale"]
    assert [o.name for o in graph.output] == [*SIDES, "mid_block_res_sample"]

    # Nothing added is the plain U-Net, and each residual meets one Add.
    assert main([*call, "--unet-only", "--out", str(plain)]) == 0
    graph = onnx.load(out / "unet" / "model.onnx", load_external_data=False).graph
    assert [i.name for i in graph.input][3:] == [*ADDED, "mid_block_additional_residual"]
    for name in (*ADDED, "mid_block_additional_residual"):
        assert [node.op_type for node in graph.node if name in node.input] == ["Add"]
    usual = components["unet"].draw(Shape(8, 12, 77), generator)[:3]
    zeros = [torch.zeros(2, channels, 8 >> level, 12 >> level) for channels, level in skips(loaded.unet.config)]
    assert torch.equal(ort_run(out / "unet/model.onnx")(*usual, *zeros)[0], ort_run(plain / "unet/model.onnx")(*usual)[0])


def test_pictures_of_two_nets_pass_the_self_check(checkpoint: Path, tmp_path: Path) -> None:
    assert main(["--source", str(checkpoint), *nets(checkpoint), "--precision", "int8", "--out", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "easel.json").read_text())
    assert set(manifest["check"]) == {"text_encoder", "unet", "vae_decoder", "vae_encoder", "controlnet", "controlnet_1", "picture"}
    assert all(row["error"] <= row["target"] for row in manifest["quantization"].values())


def test_one_network_alone_of_stable_diffusion_xl(tmp_path: Path) -> None:
    call = ["--random", "tiny-sdxl", "--controlnet", "random", "--component", "controlnet", "--precision", "int8"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"controlnet", "vae_decoder", "scheduler"}
    graph = onnx.load(tmp_path / "out" / "controlnet" / "model.onnx", load_external_data=False).graph
    assert [i.name for i in graph.input][2:5] == ["encoder_hidden_states", "text_embeds", "time_ids"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(block_out_channels=[32, 96]), "[32, 96]"),
        (dict(layers_per_block=2), "layers"),
        (dict(cross_attention_dim=48), "cross_attention_dim is 48"),
        (dict(addition_embed_type="text_time"), "addition_embed_type"),
        (dict(conditioning_embedding_out_channels=[16, 32, 96]), "4 pixels"),
        (dict(global_pool_conditions=True), "global_pool_conditions"),
        (dict(_class_name="ControlNetUnionModel"), "ControlNetUnionModel"),
        (None, "no such directory"),
    ],
)
def test_one_that_does_not_fit_is_refused_before_its_weights_are_read(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture, change: dict | None, words: str
) -> None:
    net = tmp_path / "net"
    if change is not None:
        shutil.copytree(checkpoint / "controlnet", net, ignore=shutil.ignore_patterns("*.safetensors"))
        config = json.loads((net / "config.json").read_text())
        (net / "config.json").write_text(json.dumps(config | change))
    call = ["--source", str(checkpoint), "--controlnet", str(net), "--precision", "fp32", "--out", str(tmp_path / "out")]
    assert main(call) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("easel_export:")]
    assert len(said) == 1 and words in said[0] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tiny-inpaint", "tiny-pix2pix"])
def test_none_is_for_a_unet_that_sees_a_picture(kind: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    call = ["--random", kind, "--controlnet", str(checkpoint / "controlnet"), "--precision", "fp32", "--out", str(tmp_path / "out")]
    assert main(call) == 2 and "latents alone; this one's in_channels is" in capsys.readouterr().err
