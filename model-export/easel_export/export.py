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
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor
from torch import Tensor, nn

from . import ExportError, __version__
from .checkpoint import Checkpoint
from .quantize import quantize

OPSET = 17
DATA_FILE = "model.onnx_data"
INLINE_BYTES = 1024
ALIGN, PAGE_ALIGN, PAGE_FROM = 64, 4096, 1 << 20
# Of SDXL (arXiv 2307.01952): height and width of the original, top and left of the crop, height and width aimed at.
TIME_IDS = 6

# A parameter's name -> its values, float32.
Weights = Callable[[str], np.ndarray]


@dataclass
class Component:
    """One network to export. Input and output names are optimum's."""

    name: str
    module: nn.Module  # whose layer names the manifest uses
    forward: nn.Module  # positional tensors in, tensors out; holds `module` as `m`
    inputs: dict[str, dict[int, str]]  # name -> dynamic axes
    outputs: dict[str, dict[int, str]]
    example: tuple[Tensor, ...]


class _Text(nn.Module):
    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        return self.m(input_ids, return_dict=False)[:2]


class _Unet(_Text):
    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        return self.m(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class _UnetXl(_Text):
    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, text_embeds: Tensor, time_ids: Tensor
    ) -> Tensor:
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.m(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]


class _VaeDecoder(_Text):
    def forward(self, latent_sample: Tensor) -> Tensor:
        return self.m.decode(latent_sample, return_dict=False)[0]


def components(checkpoint: Checkpoint) -> list[Component]:
    """The three networks, with inputs at which to trace them."""
    text, unet, vae = checkpoint.text_encoder, checkpoint.unet, checkpoint.vae
    length = text.config.max_position_embeddings
    # Even on every level; small, as the trace does not depend on it. Not square, to catch a mix-up.
    cells = checkpoint.size_multiple() // checkpoint.vae_factor
    h, w = max(8, cells), max(8, cells) + cells
    channels = unet.config.in_channels
    return [
        Component(
            "text_encoder", text, _Text(text),
            {"input_ids": {0: "batch_size", 1: "sequence_length"}},
            {"last_hidden_state": {0: "batch_size", 1: "sequence_length"}, "pooler_output": {0: "batch_size"}},
            (torch.zeros(2, length, dtype=torch.int64),),
        ),
        unet_component(unet, (h, w), length),
        Component(
            "vae_decoder", vae, _VaeDecoder(vae),
            {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
            {"sample": {0: "batch_size", 2: "height", 3: "width"}},
            (torch.randn(1, channels, h, w),),
        ),
    ]


def unet_component(unet: nn.Module, latent: tuple[int, int], length: int) -> Component:
    """The denoiser, to be traced at `latent` (height, width) cells and `length` tokens of text."""
    config = unet.config
    latent_axes = {0: "batch_size", 2: "height", 3: "width"}
    inputs = {"sample": latent_axes, "timestep": {}, "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"}}
    text = torch.randn(2, length, config.cross_attention_dim)
    example = (torch.randn(2, config.in_channels, *latent), torch.tensor(500.0), text)
    forward = _Unet(unet)
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - TIME_IDS * config.addition_time_embed_dim
        inputs |= {"text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"}}
        example += (torch.randn(2, pooled), torch.randn(2, TIME_IDS))
        forward = _UnetXl(unet)
    return Component("unet", unet, forward, inputs, {"out_sample": latent_axes}, example)


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
    _fold_identities(graph)
    _lift_constants(graph)
    views = _take_parameters(component, graph) if parameters else {}
    initializers = {t.name: t for t in graph.initializer}
    weights = _layer_weights(component, graph, initializers)
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


def _fold_identities(graph: onnx.GraphProto) -> None:
    """Removes `Identity` of an initializer: the tracer's way of sharing equal tensors."""
    initializers = {t.name for t in graph.initializer}
    outputs = {o.name for o in graph.output}
    alias: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] not in outputs:
            source = alias.get(node.input[0], node.input[0])
            if source in initializers:
                alias[node.output[0]] = source
                continue
        kept.append(node)
    for node in kept:
        for slot, name in enumerate(node.input):
            node.input[slot] = alias.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)


def _lift_constants(graph: onnx.GraphProto) -> None:
    """Turns large `Constant` nodes into initializers, so that they are mapped like weights."""
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None and len(value.raw_data) > INLINE_BYTES:
            value.name = node.output[0]
            graph.initializer.append(value)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _take_parameters(component: Component, graph: onnx.GraphProto) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Turns inputs that are parameters into initializers without values; how the graph sees each of them.

    What a node only transposes or unsqueezes is stored so, as the tracer does where it has the weights.
    """
    given = {i.name: i for i in graph.input if i.name not in component.inputs}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    constants = {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant"}
    views: dict[str, Callable[[np.ndarray], np.ndarray]] = {name: lambda value: value for name in given}
    alias: dict[str, str] = {}
    for name in given:
        match users.get(name, []):
            case [node] if node.op_type == "Transpose":
                axes = tuple(node.attribute[0].ints)
                views[name] = lambda value, axes=axes: value.transpose(axes)
            case [node] if node.op_type == "Unsqueeze" and node.input[1] in constants:
                axes = tuple(numpy_helper.to_array(constants[node.input[1]]))
                views[name] = lambda value, axes=axes: np.expand_dims(value, axes)
            case _:
                continue
        alias[node.output[0]] = name
    kept = [node for node in graph.node if node.output[0] not in alias]
    for node in kept:
        for slot, name in enumerate(node.input):
            node.input[slot] = alias.get(name, name)
    inputs = [i for i in graph.input if i.name not in given]
    for name, value in given.items():
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        shape = views[name](np.broadcast_to(np.float32(0), dims)).shape
        graph.initializer.append(TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape))
    del graph.node[:], graph.input[:]
    graph.node.extend(kept)
    graph.input.extend(inputs)
    return views


def module_path(node_name: str) -> str:
    """The torch module that a traced node came from: "/m/mid/net/net.0/MatMul" -> "mid.net.0".

    The tracer repeats a container before its child ("net", then "net.0"); the child is enough.
    """
    parts = node_name.strip("/").split("/")[:-1]
    if parts and parts[0] == "m":
        parts = parts[1:]
    path = [p for p, following in zip(parts, [*parts[1:], ""]) if not following.startswith(p + ".")]
    return ".".join(path)


def _layer_weights(
    component: Component, graph: onnx.GraphProto, initializers: dict[str, TensorProto]
) -> dict[str, tuple[str, int]]:
    """Initializer -> (layer, axis of its output channels), for each weight of a known layer.

    A layer is believed only when the shapes agree, transposed or not.
    """
    layers = dict(component.module.named_modules())
    found: dict[str, tuple[str, int]] = {}
    for node in graph.node:
        # (slot of the weight, axis of its output channels)
        place = {"Conv": (1, 0), "MatMul": (1, 1), "Gemm": (1, 1), "Gather": (0, 0)}.get(node.op_type)
        if place is None or node.input[place[0]] not in initializers:
            continue
        slot, axis = place
        if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
            axis = 0
        tensor = initializers[node.input[slot]]
        path = tensor.name.removeprefix("m.").removesuffix(".weight")
        if path not in layers:
            path = module_path(node.name)
        shape = tuple(getattr(getattr(layers.get(path), "weight", None), "shape", ()))
        if (shape if axis == 0 else shape[::-1]) == tuple(tensor.dims):
            found[tensor.name] = (path, axis)
    return found
