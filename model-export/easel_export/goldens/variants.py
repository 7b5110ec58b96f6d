"""The tiny model as other exporters might have written it: `write` makes a model directory a variant.

Each computes what `fp32` does, but for those of rounded weights, whose own result by ONNX Runtime lies beside them
(`steps.npy`, `picture.png`).
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, version_converter

from easel_export import checkpoint as checkpoints
from easel_export import layout
from easel_export.networks import Component
from easel_export.goldens import pictures, quantized, texts, tools

TRACED_OPSETS = (14, 18, 20)
# opset -> the traced one that onnx's own converter takes it from
CONVERTED_OPSETS = {15: 14, 16: 14, 21: 20}
Models = dict[str, onnx.ModelProto]


def write(source: Path, folder: Path) -> None:
    """Makes all variants of the checkpoint `source` beside `folder / "fp32"`."""
    checkpoint = checkpoints.load(str(source))
    base = folder / "fp32"
    parts = {part.name: part for part in checkpoint.components()}
    plain = {name: trace(part) for name, part in parts.items()}
    for name, models in variants(parts, plain):
        save(base, folder / name, models)
    for name, models in [*tools.variants(plain), *texts.variants(parts, plain)]:
        save(base, folder / name, models)
    texts.mask_padding(folder / texts.PADDING)
    tools.save_as_diffusers(base, folder / "diffusers-onnx", as_diffusers(parts))
    rounded = [("bfloat16", {name: tools.bfloat16(model) for name, model in plain.items()})]
    for name, models in [*rounded, *quantized.variants(checkpoint, plain)]:
        save(base, folder / name, models)
        steps, picture = quantized.paint(checkpoint, folder / name)
        np.save(folder / name / "steps.npy", steps)
        picture.save(folder / name / "picture.png")


def write_diffusers(source: Path, out: Path) -> None:
    """Makes `diffusers-onnx` alone, of the checkpoint `source`."""
    checkpoint = checkpoints.load(str(source))
    parts = {part.name: part for part in checkpoint.components()}
    with tempfile.TemporaryDirectory() as scratch:
        layout.copy_parts(checkpoint.source, Path(scratch))
        tools.save_as_diffusers(Path(scratch), out, as_diffusers(parts))


def as_diffusers(parts: dict[str, Component]) -> Models:
    """What diffusers' own conversion script traces, but for the encoder, which draws there what nobody can draw again."""
    return {name: trace(each_timestep(part) if name == "unet" else part) for name, part in parts.items() if name != "vae_encoder"}


def write_inline(source: Path, folder: Path) -> None:
    """Makes `inline` alone: all networks of the checkpoint `source` as torch's exporter leaves them."""
    parts = checkpoints.load(str(source)).components()
    save(folder / "fp32", folder / "inline", {part.name: trace(part) for part in parts})


def variants(parts: dict[str, Component], plain: Models) -> Iterator[tuple[str, Models]]:
    """Name and networks; a network that is not named is the plain one."""
    static = {name: fixed(part) for name, part in parts.items()}
    yield "inline", plain
    yield "scattered", plain
    yield "fixed-axes", {name: trace(part) for name, part in static.items()}
    yield "fixed-batch-1", plain | {"unet": trace(static["unet"])}
    yield "fixed-batch-2", plain | {"unet": trace(batch_two(static["unet"]))}
    yield "fixed-batch-3", plain | {"unet": declare_batch(plain["unet"], 3)}

    traced = {opset: {name: trace(part, opset) for name, part in parts.items()} for opset in TRACED_OPSETS}
    for opset, models in traced.items():
        yield f"opset-{opset}", models
    for opset, origin in CONVERTED_OPSETS.items():
        yield f"opset-{opset}", {name: converted(model, opset) for name, model in traced[origin].items()}

    unet = parts["unet"]
    sample, _, text = unet.example
    # As early conversion scripts had it: one whole timestep for each of the batch.
    each = replace(unet, inputs=unet.inputs | {"timestep": {0: "batch_size"}}, example=(sample, torch.tensor([500, 500]), text))
    yield "timestep-batch", plain | {"unet": trace(each)}
    yield "timestep-int64", plain | {"unet": timestep(plain["unet"], TensorProto.INT64, [])}
    yield "timestep-rank-1", plain | {"unet": timestep(plain["unet"], TensorProto.FLOAT, [1])}
    yield "half", {name: trace(half(part)) for name, part in parts.items()}


@torch.no_grad()
def trace(part: Component, opset: int = 17) -> onnx.ModelProto:
    """torch's TorchScript exporter, nothing rewritten."""
    axes = {name: dynamic for name, dynamic in (part.inputs | part.outputs).items() if dynamic}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        torch.onnx.export(
            part.forward, part.example, str(path), dynamo=False, opset_version=opset,
            input_names=list(part.inputs), output_names=list(part.outputs), dynamic_axes=axes)
        return onnx.load(path)


def fixed(part: Component) -> Component:
    """No dynamic axes: the golden pictures' size, batch 1."""
    rows, columns = pictures.LATENT[2:]
    if part.name == "vae_encoder":  # which is given pixels
        rows, columns = 2 * rows, 2 * columns
    example = tuple(
        value if value.ndim == 0 else value[:1, :, :1, :1].repeat(1, 1, rows, columns) if value.ndim == 4 else value[:1]
        for value in part.example)
    return replace(part, inputs=dict.fromkeys(part.inputs, {}), outputs=dict.fromkeys(part.outputs, {}), example=example)


def each_timestep(unet: Component) -> Component:
    """`unet` as diffusers' own conversion script traces it: a timestep for each of the batch."""
    sample, _, text = unet.example
    inputs = unet.inputs | {"timestep": {0: "batch_size"}}
    return replace(unet, inputs=inputs, example=(sample, torch.tensor([500.0, 500.0]), text))


def batch_two(part: Component) -> Component:
    """`part` for both halves of guidance at once."""
    return replace(part, example=tuple(torch.cat([value] * 2) if value.ndim else value for value in part.example))


def half(part: Component) -> Component:
    """Weights, inputs and outputs in float16."""
    example = tuple(value.half() if value.is_floating_point() else value for value in part.example)
    return replace(part, forward=copy.deepcopy(part.forward).half(), example=example)


def declare_batch(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Writes `size` over the name of the batch axis."""
    model = copy.deepcopy(model)
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == "batch_size":
                dim.dim_value = size
    return model


def timestep(model: onnx.ModelProto, element: int, shape: list[int]) -> onnx.ModelProto:
    """The timestep declared with another type and rank, as it is when traced with such an example."""
    model = copy.deepcopy(model)
    graph = model.graph
    at = next(i for i, value in enumerate(graph.input) if value.name == "timestep")
    graph.input[at].CopyFrom(helper.make_tensor_value_info("timestep", element, shape))
    for node in graph.node:
        node.input[:] = ["timestep_scalar" if name == "timestep" else name for name in node.input]
    graph.node.insert(0, helper.make_node("Cast", ["timestep"], ["timestep_float"], to=TensorProto.FLOAT))
    if shape:
        graph.node.insert(1, helper.make_node("Squeeze", ["timestep_float"], ["timestep_scalar"]))
    else:
        graph.node[0].output[0] = "timestep_scalar"
    return model


def converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """onnx's version converter."""
    model = version_converter.convert_version(model, opset)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]
    return model


def save(base: Path, out: Path, models: Models) -> None:
    """A model directory of `models` and all that is no network from `base`. Without an encoder, it is for texts alone."""
    ignored = ["model.onnx*", "easel.json", "SHA256SUMS", *{"vae_encoder"}.difference(models)]
    shutil.copytree(base, out, ignore=shutil.ignore_patterns(*ignored))
    for name, model in models.items():
        path = out / name / "model.onnx"
        if out.name == "scattered":
            onnx.save(copy.deepcopy(model), path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=256)
        else:
            onnx.save(model, path)
        if out.name != "disordered":  # which the checker refuses, and ONNX Runtime takes
            onnx.checker.check_model(str(path))

