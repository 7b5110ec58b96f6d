"""torch to ONNX, and the weights' second life: named, int8 or fp16, laid out for mapping.

`trace` runs torch's TorchScript exporter into a scratch directory. `rewrite` then walks the
graph in execution order and writes `model.onnx` (the graph and small tensors) and
`model.onnx_data` (the large ones). One tensor is in memory at a time: also of a network that is traced
without its weights, which then come by name from wherever they are.

Layout of `model.onnx_data`: tensors in the order in which the graph first uses them, so that
streaming them is one sequential read; each starts on a multiple of 64 bytes (a cache line and
the widest vector), those of 1 MiB and more on a page.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from . import ExportError, __version__
from .graph import INLINE_BYTES, declare_sizes, fold_identities, layer_weights, lift_constants, take_parameters
from .networks import Component
from .quantize import quantize

OPSET = 17
DATA_FILE = "model.onnx_data"
ALIGN, PAGE_ALIGN, PAGE_FROM = 64, 4096, 1 << 20
# A parameter's name -> its values, float32.
Weights = Callable[[str], np.ndarray]


def _rms_norm(x: torch.Tensor, shape: tuple[int, ...], weight: torch.Tensor | None = None, eps: float | None = None) -> torch.Tensor:
    """`torch.rms_norm` (arXiv 1910.07467) in operators that opset 17 has."""
    axes = tuple(range(-len(shape), 0))
    epsilon = torch.finfo(x.dtype).eps if eps is None else eps
    normed = x / torch.sqrt((x * x).mean(axes, keepdim=True) + epsilon)
    return normed if weight is None else normed * weight


@torch.no_grad()
def trace(component: Component, directory: Path, weights: bool = True) -> Path:
    """Writes the plain float32 graph of `component` into the scratch `directory`.

    Without `weights`, its parameters are inputs of the graph, by their names.
    """
    path = directory / "traced.onnx"
    axes = {k: v for k, v in (component.inputs | component.outputs).items() if v}
    options: dict[str, bool] = {}
    if not weights:
        # Constants would be folded, and equal ones merged, by values that are not there.
        options = dict(export_params=False, keep_initializers_as_inputs=True, do_constant_folding=False)
    try:
        with mock.patch.object(torch, "rms_norm", _rms_norm):
            torch.onnx.export(
                component.forward, component.example, str(path), dynamo=False, opset_version=OPSET,
                input_names=list(component.inputs), output_names=list(component.outputs), dynamic_axes=axes, **options,
            )
    except Exception as error:  # the tracer raises whatever the model's code raises
        raise ExportError(f"{component.name}: cannot be traced: {str(error).strip().splitlines()[0]}") from error
    return path


def rewrite(
    component: Component, traced: Path, out: Path, storage: dict[str, str], parameters: Weights | None = None
) -> int:
    """Rewrites `traced` into the directory `out`; returns the bytes of weights written.

    `storage` maps a layer's name to "int8" or "float16"; what it lacks stays float32. `parameters` has the values of a
    component that was traced without its weights.
    """
    model = onnx.load(traced, load_external_data=False)
    graph = model.graph
    fold_identities(graph)
    lift_constants(graph)
    declare_sizes(component, graph)
    views = take_parameters(component, graph) if parameters else {}
    initializers = {t.name: t for t in graph.initializer}
    weights = layer_weights(component, graph, initializers)
    missing = set(storage) - {layer for layer, _ in weights.values()}
    if missing:
        raise ExportError(
            f"{component.name}: no weight found in the graph for {sorted(missing)[0]}; this is a bug of easel_export")

    out.mkdir(parents=True, exist_ok=True)
    nodes, placed, written = [], {}, 0
    stored: list[TensorProto] = []
    with open(out / DATA_FILE, "wb") as data:
        for node in graph.node:
            for slot, name in enumerate(node.input):
                if name not in initializers:
                    continue
                if name not in placed:
                    tensor = initializers[name]
                    if name in views:
                        value = views[name](parameters(name))
                    else:
                        _load_bytes(tensor, traced.parent)
                        value = numpy_helper.to_array(tensor)
                    layer, axis = weights.get(name, (None, 0))
                    label = f"{layer}.weight" if layer else name.removeprefix("m.")
                    tensors, extra, placed[name] = _store(value, label, storage, layer, axis)
                    nodes.extend(extra)
                    for t in tensors:
                        written += _place(t, data)
                        stored.append(t)
                    initializers[name] = TensorProto()  # free it
                node.input[slot] = placed[name]
            nodes.append(node)
        data.flush()
        os.fsync(data.fileno())
        empty = data.tell() == 0
    if empty:
        (out / DATA_FILE).unlink()

    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(stored)
    graph.name = component.name
    model.producer_name, model.producer_version = "easel_export", __version__
    with open(out / "model.onnx", "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
        file.flush()
        os.fsync(file.fileno())
    try:
        onnx.checker.check_model(str(out / "model.onnx"))
    except onnx.checker.ValidationError as error:
        line = str(error).splitlines()[0]
        raise ExportError(f"{component.name}: the rewritten graph is not valid: {line}") from error
    return written


def _load_bytes(tensor: TensorProto, directory: Path) -> None:
    """Brings an external tensor's bytes into `raw_data`; inline ones stay."""
    if tensor.data_location == TensorProto.EXTERNAL:
        load_external_data_for_tensor(tensor, str(directory))
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _store(
    value: np.ndarray, label: str, storage: dict[str, str], layer: str | None, axis: int
) -> tuple[list[TensorProto], list[onnx.NodeProto], str]:
    """Tensors to write for one initializer, nodes that make float32 of them, and the value's name."""
    kind = storage.get(layer or "", "float32")
    if layer and not np.isfinite(value).all():
        raise ExportError(f"{label}: has weights that are not finite; the checkpoint is broken")
    if kind == "float32":
        return [_tensor(label, value)], [], label
    if kind == "float16":
        if np.abs(value).max() > np.finfo(np.float16).max:
            raise ExportError(f"{label}: has weights too large for float16; use fp32 or int8")
        half = f"{label}_f16"
        node = helper.make_node("Cast", [half], [label], name=f"{label}/Cast", to=TensorProto.FLOAT)
        return [_tensor(half, value.astype(np.float16))], [node], label
    q, scale = quantize(value, axis)
    names = [f"{label}_q", f"{label}_scale"]
    node = helper.make_node("DequantizeLinear", names, [label], name=f"{label}/DequantizeLinear", axis=axis)
    return [_tensor(names[0], q), _tensor(names[1], scale)], [node], label


def _tensor(name: str, value: np.ndarray) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def _place(tensor: TensorProto, data: BinaryIO) -> int:
    """Moves a large tensor's bytes to `data`, aligned; returns the tensor's bytes."""
    raw = tensor.raw_data
    if len(raw) <= INLINE_BYTES:
        return len(raw)
    align = PAGE_ALIGN if len(raw) >= PAGE_FROM else ALIGN
    data.write(b"\0" * (-data.tell() % align))
    offset = data.tell()
    data.write(raw)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", offset), ("length", len(raw))):
        tensor.external_data.add(key=key, value=str(value))
    return len(raw)
