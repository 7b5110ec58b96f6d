"""The tiny model as ONNX Runtime's own quantizers write it, and what ONNX Runtime paints with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationDataReader, QuantType
from PIL import Image

from easel_export.checkpoint import Checkpoint
from easel_export.goldens import pictures

Models = dict[str, onnx.ModelProto]
Feed = dict[str, np.ndarray]
STEPS, GUIDANCE = 3, 4.0
# ConvInteger of ONNX Runtime takes unsigned weights only; its MatMulInteger takes both.
DYNAMIC: dict[str, dict[str, Any]] = {
    "text_encoder": dict(weight_type=QuantType.QInt8, per_channel=True),
    "unet": dict(weight_type=QuantType.QUInt8),
    "vae_decoder": dict(weight_type=QuantType.QUInt8),
}
_PER_CHANNEL = dict(activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
                    op_types_to_quantize=["Conv", "MatMul", "Gemm"])
STATIC: dict[str, dict[str, Any]] = {
    "text_encoder": dict(activation_type=QuantType.QInt8, weight_type=QuantType.QInt8),
    "unet": _PER_CHANNEL,
    "vae_decoder": _PER_CHANNEL,
}
# The first convolution: its input is the same to the last bit for everyone, so no activation is rounded to another level.
SHALLOW = "conv_in/Conv"


class Recorded(CalibrationDataReader):
    """Calls of a network, once."""

    def __init__(self, feeds: list[Feed]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def variants(checkpoint: Checkpoint, plain: Models) -> Iterator[tuple[str, Models]]:
    """Name and networks: `quantize_dynamic`, and `quantize_static` as QDQ; of everything, and of the text encoder and the
    first convolutions, whose result is less a matter of chance. For texts alone: there is no encoder among them."""
    plain = {name: plain[name] for name in DYNAMIC}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, model in plain.items():
            (folder / name).mkdir()
            onnx.save(model, folder / name / "model.onnx")
        calls: dict[str, list[Feed]] = {name: [] for name in plain}
        loop(checkpoint, {name: session(folder / name / "model.onnx", calls[name]) for name in plain})
        out = folder / "quantized.onnx"
        for suffix in ("", "-shallow"):
            dynamic, static = {}, {}
            for name, model in plain.items():
                source = folder / name / "model.onnx"
                nodes = [node.name for node in model.graph.node if node.name.endswith(SHALLOW)] if suffix else []
                only = {"nodes_to_quantize": nodes} if nodes else {}
                quantization.quantize_dynamic(source, out, **DYNAMIC[name], **only)
                dynamic[name] = onnx.load(out)
                quantization.quantize_static(source, out, Recorded(calls[name]), **STATIC[name], **only)
                static[name] = onnx.load(out)
            yield f"quantize-dynamic{suffix}", dynamic
            yield f"quantize-static{suffix}", static


def session(path: Path, calls: list[Feed] | None = None) -> Callable[..., np.ndarray]:
    """The network as a function; with `calls`, it writes its inputs down. Nothing is fused: the file is taken at its word."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    runner = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in runner.get_inputs()]

    def call(*inputs: np.ndarray) -> np.ndarray:
        feed = dict(zip(names, inputs, strict=True))
        if calls is not None:
            calls.append(feed)
        return runner.run(None, feed)[0]

    return call


def paint(checkpoint: Checkpoint, directory: Path) -> tuple[np.ndarray, Image.Image]:
    """Latents after each step and the picture, by ONNX Runtime."""
    return loop(checkpoint, {name: session(directory / name / "model.onnx") for name in DYNAMIC})


def loop(checkpoint: Checkpoint, engine: dict[str, Callable[..., Any]]) -> tuple[np.ndarray, Image.Image]:
    """DDIM, the halves of guidance one after the other: a dynamic quantizer looks at the range of all it is given, so a
    batch of both is another result."""
    tokenizer, config = checkpoint.tokenizer, checkpoint.scheduler.config
    scheduler = diffusers.DDIMScheduler.from_config(config)
    scheduler.set_timesteps(STEPS)

    def encode(text: str) -> np.ndarray:
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=tokenizer.model_max_length).input_ids
        return engine["text_encoder"](np.array([ids], np.int64))

    prompted, plain = encode(pictures.PROMPT), encode("")
    latents = torch.from_numpy(pictures.noise()[:1]) * scheduler.init_noise_sigma
    steps = []
    for timestep in scheduler.timesteps:
        call = lambda text: torch.from_numpy(engine["unet"](latents.numpy(), np.array(timestep, np.float32), text))  # noqa: B023, E731
        without, prediction = call(plain), call(prompted)
        prediction = without + GUIDANCE * (prediction - without)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
        steps.append(latents.numpy())
    decoded = engine["vae_decoder"]((latents / checkpoint.vae.config.scaling_factor).numpy())
    pixels = np.rint(np.clip(decoded[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    return np.concatenate(steps), Image.fromarray(pixels)
