"""The written directories: layout, standard ONNX, alignment, manifest, and the second engine."""

from __future__ import annotations

import filecmp
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from easel_export.checkpoint import load
from easel_export.cli import main
from easel_export.export import DATA_FILE, PAGE_ALIGN, PAGE_FROM
from easel_export.graph import module_path
from easel_export.goldens import pictures_in
from easel_export.painting import drawn, paint, psnr, scene
from easel_export.check import ort_run, ort_runs

PARTS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")


def _graph(directory: Path, part: str, weights: bool = False) -> onnx.GraphProto:
    return onnx.load(directory / part / "model.onnx", load_external_data=weights).graph


def test_layout_is_optimums(exported: dict[str, Path]) -> None:
    for out in exported.values():
        files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
        assert {"model_index.json", "easel.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json"} <= files
        for part in PARTS:
            assert {f"{part}/model.onnx", f"{part}/{DATA_FILE}", f"{part}/config.json"} <= files
        assert not [f for f in files if "safetensors" in f]


def test_checksums_are_of_all_files(exported: dict[str, Path]) -> None:
    for out in exported.values():
        lines = [line.split("  ", 1) for line in (out / "SHA256SUMS").read_text().splitlines()]
        files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert {name for _, name in lines} == files - {"SHA256SUMS"}
        for digest, name in lines:
            assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_names_and_axes_are_optimums(exported: dict[str, Path]) -> None:
    def names(values: list) -> dict[str, list]:
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    text, unet, decoder, encoder = (_graph(exported["int8"], part) for part in PARTS)
    assert names(text.input) == {"input_ids": ["batch_size", "sequence_length"]}
    assert list(names(text.output)) == ["last_hidden_state", "pooler_output"]
    assert names(unet.input) == {
        "sample": ["batch_size", 4, "height", "width"],
        "timestep": [],
        "encoder_hidden_states": ["batch_size", "sequence_length", 32],
    }
    assert list(names(unet.output)) == ["out_sample"]
    assert list(names(decoder.input)) == ["latent_sample"] and list(names(decoder.output)) == ["sample"]
    assert names(encoder.input) == {"sample": ["batch_size", 3, "height", "width"]}
    assert names(encoder.output) == {"latent_parameters": ["batch_size", 8, "latent_height", "latent_width"]}


def test_large_weights_are_external_aligned_and_in_order_of_use(exported: dict[str, Path]) -> None:
    for out in exported.values():
        for part in PARTS:
            size, end = (out / part / DATA_FILE).stat().st_size, 0
            for tensor in _graph(out, part).initializer:
                if tensor.data_location != TensorProto.EXTERNAL:
                    assert len(tensor.raw_data) <= 1024
                    continue
                entry = {e.key: e.value for e in tensor.external_data}
                offset, length = int(entry["offset"]), int(entry["length"])
                assert entry["location"] == DATA_FILE
                assert offset % (PAGE_ALIGN if length >= PAGE_FROM else 64) == 0
                assert end <= offset and offset + length <= size
                end = offset + length
            assert end == size


def test_int8_is_per_output_channel_dequantize_linear(exported: dict[str, Path]) -> None:
    table = json.loads((exported["int8"] / "easel.json").read_text())["layers"]
    for part in PARTS:
        graph = _graph(exported["int8"], part, weights=True)
        values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        float_values = {t.name: numpy_helper.to_array(t) for t in _graph(exported["fp32"], part, weights=True).initializer}
        users = {name: node for node in graph.node for name in node.input}
        seen = set()
        for node in (n for n in graph.node if n.op_type == "DequantizeLinear"):
            q, scale = (values[i] for i in node.input)
            axis = node.attribute[0].i
            user = users[node.output[0]]
            assert q.dtype == np.int8 and q.min() >= -127 and scale.shape == (q.shape[axis],)
            trans_b = any(a.name == "transB" and a.i for a in user.attribute)
            assert axis == (1 if user.op_type == "MatMul" or (user.op_type == "Gemm" and not trans_b) else 0)
            step = scale.reshape([-1 if i == axis else 1 for i in range(q.ndim)])
            assert (np.abs(q * step - float_values[node.output[0]]) <= 0.5001 * step).all()
            seen.add(node.output[0].removesuffix(".weight"))
        assert seen == {name for name, row in table[part].items() if row["stored"] == "int8"}
        # The parts that carry the size are covered.
        stored = sum(v.size for v in values.values() if v.dtype == np.int8)
        assert stored > 0.9 * sum(v.size for v in float_values.values() if v.dtype == np.float32 and v.size >= 1024)


def test_manifest_keeps_the_sources_and_adds_measurements(exported: dict[str, Path]) -> None:
    manifest = json.loads((exported["int8"] / "easel.json").read_text())
    assert manifest["format"] == 1 and manifest["precision"] == "int8"
    assert manifest["defaults"] == {"width": 16, "height": 16, "steps": 3, "guidance": 4.0, "scheduler": "ddim"}
    assert manifest["latent_rgb_factors"] == [[1, 2, 3]] and manifest["size_multiple"] == 4
    assert set(manifest["check"]) == {*PARTS, "picture"}
    assert all(0 < row["error"] < 1 for part in manifest["layers"].values() for row in part.values())
    assert "layers" not in json.loads((exported["fp32"] / "easel.json").read_text())


def test_two_runs_give_equal_bytes(exported: dict[str, Path], source: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["--source", str(source), "--out", str(again), "--precision", "int8"]) == 0
    files = [p.relative_to(again) for p in again.rglob("*") if p.is_file()]
    assert filecmp.cmpfiles(again, exported["int8"], files, shallow=False) == (files, [], [])


def test_a_sensitive_layer_stays_float(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "strict"
    call = ["--source", str(source), "--out", str(out), "--precision", "int8", "--target-error", "0.005"]
    assert main(call) == 0
    manifest = json.loads((out / "easel.json").read_text())
    assert manifest["quantization"]["unet"]["float_layers"] > 0
    kept = [n for n, row in manifest["layers"]["unet"].items() if row["stored"] == "float32"]
    types = {t.name: t.data_type for t in _graph(out, "unet").initializer}
    assert all(types[f"{name}.weight"] == TensorProto.FLOAT for name in kept)


@pytest.mark.parametrize("kind", ["tiny-sd21", "tiny-taesd"])
def test_other_architectures_paint_like_torch(kind: str, tmp_path: Path) -> None:
    assert main(["--random", kind, "--out", str(tmp_path / "source")]) == 0
    assert main(["--source", str(tmp_path / "source"), "--out", str(tmp_path / "out"), "--precision", "fp32"]) == 0
    checkpoint = load(str(tmp_path / "source"))
    # Twice the traced size, wide, a batch of one, without guidance: only the axes are shared.
    fixed = scene(checkpoint, 1, (32, 48), 3, 1.0, seed=7)
    want = paint(checkpoint, fixed)
    got = paint(checkpoint, fixed, ort_runs(tmp_path / "out", list(PARTS)))
    assert want.std() > 1e-3 and psnr(got, want) > 60


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tiny", "tiny-taesd"])
def test_an_encoder_begins_pictures_like_torchs(kind: str, tmp_path: Path) -> None:
    assert main(["--random", kind, "--out", str(tmp_path / "source")]) == 0
    call = ["--source", str(tmp_path / "source"), "--component", "vae_encoder", "--precision", "fp32"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    checkpoint = load(str(tmp_path / "source"))
    pipeline = pictures_in.adapted(checkpoint.pipeline, pictures_in.Case(kind, "any", image="any"))
    # Latents: a decoder of random weights may make any of them black.
    call = dict(prompt="a tree", image=drawn(1, 24, 40), strength=0.3, num_inference_steps=4, output_type="latent")
    want = pipeline(**call, generator=torch.Generator().manual_seed(1)).images
    encoder = next(part for part in checkpoint.components() if part.name == "vae_encoder")
    pipeline.vae = encoder.stand_in(ort_run(tmp_path / "out" / "vae_encoder" / "model.onnx"))
    assert psnr(pipeline(**call, generator=torch.Generator().manual_seed(1)).images, want) > 60 and want.std() > 1e-3


def test_of_an_encoder_the_mean_is_measured(source: Path) -> None:
    encoder = next(part for part in load(str(source)).components() if part.name == "vae_encoder")
    answer = encoder.run(*encoder.example)
    assert [value.shape[1] for value in answer] == [8]
    assert len(encoder.wanted(answer)) == 1 and torch.equal(encoder.wanted(answer)[0], answer[0][:, :4])


def test_a_deviating_file_fails_the_self_check(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    import easel_export.check as check

    honest = check.ort_run
    monkeypatch.setattr(check, "ort_run", lambda path: lambda *inputs: tuple(o * 1.001 for o in honest(path)(*inputs)))
    out = tmp_path / "out"
    assert main(["--source", str(source), "--out", str(out), "--precision", "fp32"]) == 1
    assert "self-check failed" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_nan_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from easel_export.random_checkpoint import build

    pipeline = build("tiny", tmp_path / "source")
    pipeline.unet.conv_in.weight.data[0] = torch.nan
    pipeline.save_pretrained(tmp_path / "source")
    assert main(["--source", str(tmp_path / "source"), "--out", str(tmp_path / "out"), "--precision", "fp32"]) == 1
    assert "conv_in.weight" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_module_path_drops_repeated_containers() -> None:
    assert module_path("/m/mid/net/net.0/proj/MatMul") == "mid.net.0.proj"
    assert module_path("/m/conv_in/Conv") == "conv_in"
