"""The tiny model as tools that rewrite ONNX files leave it: ONNX Runtime's optimizers, converters, editors. Each computes what the plain
networks do, within rounding.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

Models = dict[str, onnx.ModelProto]
LEVELS = {
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def variants(plain: Models) -> Iterator[tuple[str, Models]]:
    """Name and networks."""
    for level in LEVELS:
        yield f"runtime-{level}", {name: optimized(model, level) for name, model in plain.items()}
    yield "runtime-transformers", {
        "text_encoder": fused(plain["text_encoder"], "clip"),
        "unet": fused(plain["unet"], "bert"),
        "vae_decoder": optimized(plain["vae_decoder"], "extended"),
        "vae_encoder": optimized(plain["vae_encoder"], "extended"),
    }
    yield "disordered", {name: disordered(model) for name, model in plain.items()}
    yield "functions", {name: with_functions(model) for name, model in plain.items()}


def optimized(model: onnx.ModelProto, level: str) -> onnx.ModelProto:
    """What a session on the CPU saves."""
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch) / "model.onnx", Path(scratch) / "optimized.onnx"
        onnx.save(model, source)
        options = ort.SessionOptions()
        options.graph_optimization_level = LEVELS[level]
        options.optimized_model_filepath = str(out)
        options.log_severity_level = 3
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        return onnx.load(out)


def fused(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """What `onnxruntime.transformers.optimizer` makes of it."""
    from onnxruntime.transformers import optimizer

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "model.onnx"
        onnx.save(model, source)
        made = optimizer.optimize_model(str(source), model_type=kind, num_heads=0, hidden_size=0, opt_level=0)
        made.save_model_to_file(str(source))
        return onnx.load(source)


def disordered(model: onnx.ModelProto) -> onnx.ModelProto:
    """Nodes in no order and with names that mean nothing, outputs that are left out, casts of inputs at the end."""
    model = copy.deepcopy(model)
    graph = model.graph
    first = graph.input[0]
    for node in graph.node:
        node.input[:] = ["input_again" if name == first.name else name for name in node.input]
        if node.op_type == "LayerNormalization":
            node.output.extend(["", ""])
    element = first.type.tensor_type.elem_type
    graph.node.append(helper.make_node("Cast", [first.name], ["input_again"], to=element))
    nodes = sorted(graph.node, key=lambda node: node.output[0], reverse=True)
    values = [value for node in nodes for value in node.output if value]
    for node, value in zip(nodes, values, strict=False):
        node.name = value  # of some other node
    nodes[0].name = nodes[1].name
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def with_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """SiLU and layer normalization as functions of the model's own, one within another, with attributes and defaults."""
    model = copy.deepcopy(model)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("pkg.local", 1)]
    gate = helper.make_function("pkg.local", "gate", ["x"], ["s"], [helper.make_node("Sigmoid", ["x"], ["s"])], opsets)
    silu = helper.make_function("pkg.local", "silu", ["x"], ["y"], [
        helper.make_node("gate", ["x"], ["s"], domain="pkg.local"), helper.make_node("Mul", ["x", "s"], ["y"])], opsets)
    norm = helper.make_node("LayerNormalization", ["x", "scale", "shift"], ["y"])
    for name, kind in (("epsilon", onnx.AttributeProto.FLOAT), ("axis", onnx.AttributeProto.INT)):
        attribute = norm.attribute.add()
        attribute.name, attribute.ref_attr_name, attribute.type = name, name, kind
    normalize = helper.make_function(
        "pkg.local", "normalize", ["x", "scale", "shift"], ["y"], [norm], opsets, ["epsilon"],
        [helper.make_attribute("axis", -1)])
    writers = {output: node for node in model.graph.node for output in node.output}
    gone = set()
    for node in model.graph.node:
        other = writers.get(node.input[1]) if node.op_type == "Mul" else None
        if other is not None and other.op_type == "Sigmoid" and other.input[0] == node.input[0]:
            gone.add(other.output[0])
            node.op_type, node.domain = "silu", "pkg.local"
            del node.input[1]
        elif node.op_type == "LayerNormalization":
            node.op_type, node.domain = "normalize", "pkg.local"
            kept = [attribute for attribute in node.attribute if attribute.name == "epsilon"]
            del node.attribute[:]
            node.attribute.extend(kept)
    nodes = [node for node in model.graph.node if node.output[0] not in gone]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.functions.extend([silu, normalize, gate])
    model.opset_import.append(helper.make_opsetid("pkg.local", 1))
    return model


def bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large weights as bfloat16, with a `Cast` to float behind each."""
    model = copy.deepcopy(model)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= 256:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            bits = values.view(np.uint32)
            # To the nearest, to even between two.
            rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
            name = tensor.name
            tensor.CopyFrom(TensorProto(
                name=f"{name}.bfloat16", dims=tensor.dims, data_type=TensorProto.BFLOAT16, raw_data=rounded.tobytes()))
            casts.append(helper.make_node("Cast", [f"{name}.bfloat16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def save_as_diffusers(base: Path, out: Path, models: Models) -> None:
    """The layout of diffusers' own conversion script: no configurations of networks, weights in `weights.pb`, ids of 32 bits, axes of
    all inputs but the text's width dynamic, a timestep for each of the batch."""
    ignore = shutil.ignore_patterns("model.onnx*", "easel.json", "config.json", "SHA256SUMS", "vae_encoder")
    shutil.copytree(base, out, ignore=ignore)
    index = json.loads((out / "model_index.json").read_text())
    index["_class_name"] = "OnnxStableDiffusionPipeline"
    index |= {name: ["diffusers", "OnnxRuntimeModel"] for name in ("text_encoder", "unet", "vae_decoder", "vae_encoder")}
    (out / "model_index.json").write_text(json.dumps(index, indent=2))
    scheduler = out / "scheduler" / "scheduler_config.json"
    config = json.loads(scheduler.read_text()) | {"_class_name": "PNDMScheduler", "skip_prk_steps": True}
    scheduler.write_text(json.dumps(config, indent=2))
    for name, model in models.items():
        model = copy.deepcopy(model)
        graph = model.graph
        first = graph.input[0]
        if first.name == "input_ids":
            first.type.tensor_type.elem_type = TensorProto.INT32
            for node in graph.node:
                node.input[:] = ["ids_of_64_bits" if value == "input_ids" else value for value in node.input]
            graph.node.insert(0, helper.make_node("Cast", ["input_ids"], ["ids_of_64_bits"], to=TensorProto.INT64))
        else:
            for at, axis in enumerate(("batch", "channels", "height", "width")):
                first.type.tensor_type.shape.dim[at].dim_param = axis
        external = {"save_as_external_data": True, "location": "weights.pb", "size_threshold": 256} if name == "unet" else {}
        onnx.save(model, out / name / "model.onnx", **external)
