"""IP-Adapters: the files compute what torch does, a picture of no weight changes nothing, and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from easel_export.adapters import Adapters
from easel_export.check import ort_run
from easel_export.checkpoint import load
from easel_export.cli import main
from easel_export.ip_adapter import find
from easel_export.networks import Shape
from easel_export.painting import relative_error


@pytest.fixture(scope="module", params=["random", "random-plus"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with an adapter in a folder of it, plain and "Plus"."""
    out = tmp_path_factory.mktemp(request.param) / "source"
    assert main(["--random", "tiny", "--ip-adapter", request.param, "--out", str(out)]) == 0
    return out


@torch.no_grad()
def test_files_compute_what_torch_does(checkpoint: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain"
    call = ["--source", str(checkpoint), "--unmeasured", "--precision", "fp32"]
    assert main([*call, "--ip-adapter", str(checkpoint / "ip_adapter"), "--out", str(out)]) == 0
    prompt = find(checkpoint / "ip_adapter", None)
    components = {component.name: component for component in load(str(checkpoint), Adapters(picture=prompt)).components()}
    generator = torch.Generator().manual_seed(2)
    for name in ("unet", "image_encoder"):
        given = components[name].draw(Shape(20, 12, 40, batch=3), generator)
        run = ort_run(out / name / "model.onnx")
        got, want = run(*given), components[name].run(*given)
        assert want[0].std() > 1e-2 and relative_error(list(got), list(want)) <= 1e-5
        # Each input shows.
        for at, value in enumerate(given):
            other = [v * 1.5 if i == at else v for i, v in enumerate(given)]
            assert relative_error(list(run(*other)), list(got)) > 1e-4, list(components[name].inputs)[at]

    # The vectors of the picture are a number in both files.
    rows = [prompt.width] if not prompt.plus else [17, prompt.width]
    axes = lambda value: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]  # noqa: E731
    graphs = {name: onnx.load(out / name / "model.onnx", load_external_data=False).graph for name in ("unet", "image_encoder")}
    assert axes(graphs["image_encoder"].output[0]) == ["batch_size", *rows]
    inputs = {i.name: axes(i) for i in graphs["unet"].input}
    assert inputs["image_embeds"] == ["batch_size", prompt.rows, prompt.width] and inputs["ip_adapter_scale"] == []
    assert json.loads((out / "feature_extractor" / "preprocessor_config.json").read_text())["size"] == {"shortest_edge": 32}

    # Without weight, the picture changes nothing.
    assert main([*call, "--unet-only", "--out", str(plain)]) == 0
    usual = components["unet"].draw(Shape(8, 12, 77), generator)[:3]
    nothing = (torch.zeros(2, prompt.rows, prompt.width), torch.tensor(0.0))
    assert torch.equal(ort_run(out / "unet/model.onnx")(*usual, *nothing)[0], ort_run(plain / "unet/model.onnx")(*usual)[0])


def test_pictures_pass_the_self_check(checkpoint: Path, tmp_path: Path) -> None:
    call = ["--source", str(checkpoint), "--ip-adapter", str(checkpoint / "ip_adapter"), "--precision", "int8"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "easel.json").read_text())
    assert set(manifest["check"]) == {"text_encoder", "unet", "vae_decoder", "vae_encoder", "image_encoder", "picture"}
    assert all(row["error"] <= row["target"] for row in manifest["quantization"].values())
    # The adapter's own layers are quantized like the others.
    stored = manifest["layers"]["unet"]
    assert any(".to_k_ip." in name for name in stored) and any(name.startswith("encoder_hid_proj.") for name in stored)


def test_the_older_format_is_read(checkpoint: Path, tmp_path: Path) -> None:
    file = next((checkpoint / "ip_adapter").glob("*.safetensors"))
    prompt = find(file, None)
    torch.save(prompt.state(), tmp_path / "ip-adapter.bin")
    older = find(tmp_path / "ip-adapter.bin", checkpoint / "ip_adapter" / "image_encoder")
    assert older.plus == prompt.plus
    for part, tensors in prompt.state().items():
        assert tensors and all(torch.equal(tensors[name], tensor) for name, tensor in older.state()[part].items())


def test_both_kinds_of_adapters_at_once(tmp_path: Path) -> None:
    call = ["--random", "tiny-sdxl", "--controlnet", "random", "--ip-adapter", "random", "--component", "unet", "--precision", "fp16"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    graph = onnx.load(tmp_path / "out" / "unet" / "model.onnx", load_external_data=False).graph
    names = [i.name for i in graph.input]
    assert names[:5] == ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"]
    assert names[-3:] == ["mid_block_additional_residual", "image_embeds", "ip_adapter_scale"]


def wider(file: Path) -> None:
    """An adapter for another U-Net."""
    tensors = load_file(file)
    for name in [name for name in tensors if name.startswith(("image_proj.proj.", "image_proj.proj_out."))]:
        tensors[name] = torch.cat([tensors[name]] * 2)
    save_file(tensors, file)


def full(file: Path) -> None:
    save_file({"image_proj.proj.3.weight": torch.zeros(2)}, file)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (wider, "features, the U-Net attends to 32"),
        (full, "neither a plain IP-Adapter nor a Plus"),
        (lambda file: file.write_bytes(b"nothing"), "cannot be read"),
        (lambda file: file.unlink(), "name one file"),
        (lambda file: shutil.rmtree(file.parent / "image_encoder"), "--image-encoder"),
        (lambda file: change(file.parent / "image_encoder" / "config.json", projection_dim=40, hidden_size=40), "gives 40"),
    ],
)
def test_one_that_does_not_fit_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture, break_it, words: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(checkpoint / "ip_adapter", folder)
    break_it(next(folder.glob("*.safetensors")))
    call = ["--source", str(checkpoint), "--ip-adapter", str(folder), "--precision", "fp32", "--out", str(tmp_path / "out")]
    assert main(call) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("easel_export:")]
    assert len(said) == 1 and words in said[0] and not (tmp_path / "out").exists()


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
