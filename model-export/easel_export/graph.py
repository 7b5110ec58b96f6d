"""Graphs as torch's tracer leaves them, made ready for weights that are stored another way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .networks import Component

# Constants above it are kept like weights.
INLINE_BYTES = 1024
# A weight as the checkpoint has it -> as the graph wants it.
View = Callable[[np.ndarray], np.ndarray]


def fold_identities(graph: onnx.GraphProto) -> None:
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


def lift_constants(graph: onnx.GraphProto) -> None:
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


def declare_sizes(component: Component, graph: onnx.GraphProto) -> None:
    """Writes the sizes of outputs that the component knows into what the graph says of them."""
    for value in graph.output:
        dims = value.type.tensor_type.shape.dim[1:]
        for dim, size in zip(dims, component.sizes.get(value.name, ())):
            dim.dim_value = size


def take_parameters(component: Component, graph: onnx.GraphProto) -> dict[str, View]:
    """Turns inputs that are parameters into initializers without values; how the graph sees each of them.

    What a node only transposes or unsqueezes is stored so, as the tracer does where it has the weights.
    """
    given = {i.name: i for i in graph.input if i.name not in component.inputs}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    constants = {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant"}
    views: dict[str, View] = {name: lambda value: value for name in given}
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


def layer_weights(
    component: Component, graph: onnx.GraphProto, initializers: dict[str, TensorProto]
) -> dict[str, tuple[str, int]]:
    """Initializer -> (layer, axis of its output channels), for each weight of a known layer.

    A layer is believed only when the shapes agree, transposed or not.
    """
    layers = dict(component.module.named_modules())
    # What computes an attention of diffusers is called past torch, and the tracer does not name it.
    silent = {name.replace(".processor.", "."): name for name in layers if ".processor." in name}
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
            path = silent.get(path, path)
        shape = tuple(getattr(getattr(layers.get(path), "weight", None), "shape", ()))
        if (shape if axis == 0 else shape[::-1]) == tuple(tensor.dims):
            found[tensor.name] = (path, axis)
    return found
