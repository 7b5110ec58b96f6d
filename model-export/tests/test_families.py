"""Every family and shape of network: the files compute what torch does, whole and one network at a time."""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from easel_export import convert
from easel_export.architectures import ARCHITECTURES, KINDS
from easel_export.check import ort_run
from easel_export.checkpoint import load
from easel_export.cli import main
from easel_export.families import FAMILIES
from easel_export.goldens import weights
from easel_export.hollow import build
from easel_export.networks import Shape
from easel_export.painting import relative_error
from easel_export.random_checkpoint import build as build_checkpoint

# Of transformers those that `goldens.pipelines` does not export.
TINY = [kind for kind in KINDS if kind.startswith("tiny") and ("unet" in ARCHITECTURES[kind].parts or "-tae" in kind)]
TEXT = ["last_hidden_state", "pooler_output"]
LAYERS = [f"hidden_states.{layer}" for layer in range(3)]
XL = {
    "text_encoder": (["input_ids"], [*TEXT, *LAYERS]),
    "text_encoder_2": (["input_ids"], ["text_embeds", "last_hidden_state", *LAYERS]),
    "unet": (["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"], ["out_sample"]),
    "vae_decoder": (["latent_sample"], ["sample"]),
    "vae_encoder": (["sample"], ["latent_parameters"]),
}
LCM = {
    "text_encoder": (["input_ids"], TEXT),
    "unet": (["sample", "timestep", "encoder_hidden_states", "timestep_cond"], ["out_sample"]),
    "vae_decoder": (["latent_sample"], ["sample"]),
    "vae_encoder": (["sample"], ["latent_parameters"]),
}


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole SDXL checkpoint, its U-Net in several files as large ones are, with the weights of `build_hollow`."""
    out = tmp_path_factory.mktemp("sdxl") / "random-tiny-sdxl"
    pipeline = build_checkpoint("tiny-sdxl", out)
    weights.fill(pipeline)
    pipeline.save_pretrained(out, max_shard_size="3MB")
    shutil.rmtree(out / "unet")
    pipeline.unet.save_pretrained(out / "unet", max_shard_size="3MB")
    assert len(list((out / "unet").glob("*.safetensors"))) > 1
    return out


@pytest.mark.parametrize("kind", TINY)
def test_every_tiny_kind_exports_and_its_pictures_pass_the_self_check(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["--random", kind, "--precision", "int8", "--size", "32", "--out", str(out)]) == 0
    manifest = json.loads((out / "easel.json").read_text())
    family = next(f for start, f in FAMILIES.items() if ARCHITECTURES[kind].pipeline.startswith(start))
    family = family.without(lambda name: not ARCHITECTURES[kind].parts.get(name))
    parts = [part.name for part in family.parts]
    assert set(manifest["check"]) == {*parts, "picture"} and list(manifest["layers"]) == parts
    assert all(row["error"] <= row["target"] for row in manifest["quantization"].values())
    for name, classes in family.tokenizers.items():
        assert (out / name / ("vocab.json" if "CLIPTokenizer" in classes else "spiece.model")).exists()


@pytest.mark.parametrize(("kind", "wanted"), [("tiny-sdxl", XL), ("tiny-lcm", LCM)])
def test_names_are_optimums(kind: str, wanted: dict, tmp_path: Path) -> None:
    assert main(["--random", kind, "--precision", "fp32", "--unmeasured", "--out", str(tmp_path / "out")]) == 0
    for part, names in wanted.items():
        graph = onnx.load(tmp_path / "out" / part / "model.onnx", load_external_data=False).graph
        assert ([i.name for i in graph.input], [o.name for o in graph.output]) == names
    if kind == "tiny-sdxl":
        axes = [d.dim_param or d.dim_value for d in onnx.load(tmp_path / "out/text_encoder_2/model.onnx").graph.output[0].type.tensor_type.shape.dim]
        assert axes == ["batch_size", 32]


@torch.no_grad()
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("fp16", 5e-3), ("int8", 5e-2)])
def test_files_of_one_weight_at_a_time_compute_what_torch_does(sdxl: Path, tmp_path: Path, precision: str, limit: float) -> None:
    out = tmp_path / "out"
    assert main(["--source", str(sdxl), "--unmeasured", "--precision", precision, "--out", str(out)]) == 0
    generator = torch.Generator().manual_seed(2)
    for component in load(str(sdxl)).components():
        # Of a shape that nothing was traced at: batch 3, taller, a short text.
        given = component.draw(Shape(20, 12, 40, batch=3), generator)
        run = ort_run(out / component.name / "model.onnx")
        got, want = run(*given), component.run(*given)
        assert len(got) == len(component.outputs)
        for g, w in zip(got, want, strict=True):
            assert w.std() > 1e-2 and relative_error([g], [w]) <= limit
        # Each input shows.
        for at, value in enumerate(given):
            other = [(v.flip(1) if v.dtype == torch.int64 else v * 1.5) if i == at else v for i, v in enumerate(given)]
            assert max(relative_error([a], [b]) for a, b in zip(run(*other), got)) > 1e-3, list(component.inputs)[at]


def test_random_weights_are_those_of_the_checkpoint(sdxl: Path, tmp_path: Path) -> None:
    for name, call in (("random", ["--random", "tiny-sdxl"]), ("source", ["--source", str(sdxl)])):
        assert main([*call, "--unet-only", "--precision", "int8", "--out", str(tmp_path / name)]) == 0
    files = ["model_index.json", "easel.json", "unet/model.onnx", "unet/model.onnx_data", "vae_decoder/config.json",
             "scheduler/scheduler_config.json"]
    assert filecmp.cmpfiles(tmp_path / "random", tmp_path / "source", files, shallow=False) == (files, [], [])
    assert {p.name for p in (tmp_path / "random").iterdir()} == {
        "model_index.json", "easel.json", "SHA256SUMS", "unet", "vae_decoder", "scheduler"}
    manifest = json.loads((tmp_path / "random" / "easel.json").read_text())
    assert manifest["defaults"]["width"] == 32 and manifest["size_multiple"] == 8


def test_several_components_bring_what_belongs_to_them(tmp_path: Path) -> None:
    call = ["--random", "tiny-sdxl", "--component", "text_encoder_2", "--component", "vae_decoder", "--precision", "fp16"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"text_encoder_2", "tokenizer_2", "vae_decoder", "scheduler"}
    index = json.loads((tmp_path / "out" / "model_index.json").read_text())
    assert {key for key, value in index.items() if isinstance(value, list)} == {"text_encoder_2", "tokenizer_2", "vae", "scheduler"}


def test_weights_lie_as_in_other_exports(tmp_path: Path) -> None:
    assert main(["--random", "tiny-sdxl", "--unet-only", "--precision", "int8", "--out", str(tmp_path / "out")]) == 0
    graph = onnx.load(tmp_path / "out" / "unet" / "model.onnx", load_external_data=False).graph
    made = {output: node for node in graph.node for output in node.output}
    stored = {t.name: t for t in graph.initializer}
    # No weight is turned over while the network runs.
    turned = [n.name for n in graph.node if n.op_type == "Transpose" and n.input[0] in stored]
    assert not turned
    products = [n for n in graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    weighted = [n for n in products if any(i in made and made[i].op_type == "DequantizeLinear" for i in n.input)]
    int8 = sum(int(np.prod(t.dims)) for t in stored.values() if t.data_type == onnx.TensorProto.INT8)
    every = sum(int(np.prod(t.dims)) for t in stored.values() if t.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.FLOAT))
    assert len(weighted) > 100 and int8 > 0.98 * every


# Stability AI name 2.6 billion parameters, Segmind 1.3 and 0.74; diffusers counts 2,567,463,684 in the first.
@pytest.mark.parametrize(("kind", "billions"), [("sdxl", 2.567463684), ("ssd1b", 1.33), ("vega", 0.745), ("sd15", 0.86), ("lcm", 0.86)])
def test_published_architectures_have_the_published_sizes(kind: str, billions: float) -> None:
    options = dict(in_channels=4, out_channels=4) | ARCHITECTURES[kind].parts["unet"][1]
    unet = build("unet", {"_class_name": "UNet2DConditionModel", **options}, ("UNet2DConditionModel",))
    assert sum(p.numel() for p in unet.parameters()) / 1e9 == pytest.approx(billions, abs=1e-9 if kind == "sdxl" else 0.005)


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (lambda p: next((p / "unet").glob("*-00001-*.safetensors")).unlink(), 1, "safetensors"),
        (lambda p: (p / "vae" / "config.json").unlink(), 2, "vae/config.json"),
        (lambda p: change(p / "unet" / "config.json", layers_per_block=2), 1, "has no weight"),
        (lambda p: change(p / "unet" / "config.json", block_out_channels=[32, 64]), 2, "unet/config.json"),
        (lambda p: change(p / "unet" / "config.json", addition_embed_type="image"), 2, "addition_embed_type"),
        (lambda p: change(p / "unet" / "config.json", _class_name="SD3Transformer2DModel"), 2, "SD3Transformer2DModel"),
    ],
)
def test_what_does_not_fit_is_named(sdxl: Path, tmp_path: Path, capsys: pytest.CaptureFixture, break_it, code: int, words: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(sdxl, broken)
    break_it(broken)
    assert main(["--source", str(broken), "--unet-only", "--precision", "fp32", "--out", str(tmp_path / "out")]) == code
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("easel_export:")]
    assert len(said) == 1 and words in said[0] and not (tmp_path / "out").exists()


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_large_networks_are_traced_without_their_weights_and_still_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "TRACED_HOLLOW", 0)
    out = tmp_path / "out"
    assert main(["--random", "tiny-sdxl", "--precision", "int8", "--out", str(out)]) == 0
    assert json.loads((out / "easel.json").read_text())["check"]["picture"]["export_psnr_db"] > 60
