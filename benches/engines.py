"""The engines that easel is measured against, each behind one function: feed in, first output back.

`components.py` starts this file once an engine and leaves it running; `error.py` imports it. By hand:

    python benches/engines.py worker ort-fp32 unet MODELDIR/unet/model.onnx --size 512x512 --threads 2
    python benches/engines.py quantize MODELDIR/unet/model.onnx dynamic.onnx [--matmul-only]

A worker runs one pass and prints `{"ready_s": …}`; then each line on standard input makes it run one more and print its
milliseconds. It ends with its standard input. Needs numpy and, as used, onnxruntime, onnx (for `quantize`) and openvino.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Feed = dict[str, np.ndarray]
Pass = Callable[[Feed], np.ndarray]

COMPONENTS = ("text_encoder", "unet", "vae_decoder")


@dataclass(frozen=True)
class Engine:
    """A runtime, which file it reads (`fp32`, `int8`, or one that `quantize` makes) and what it is told."""

    runtime: str
    weights: str
    about: str
    settings: dict[str, str] = field(default_factory=dict)


ENGINES = {
    "ort-fp32": Engine("onnxruntime", "fp32", "ONNX Runtime, float32"),
    "ort-int8": Engine("onnxruntime", "int8", "ONNX Runtime, the int8 file as it comes: weights turned into float32 in every pass"),
    "ort-int8-folded": Engine(
        "onnxruntime", "int8", "ONNX Runtime, the int8 file turned into float32 when loaded", {"session.disable_quant_qdq": "1"}
    ),
    "ort-dynamic": Engine("onnxruntime", "dynamic", "ONNX Runtime, quantize_dynamic: int8 MatMul and Conv"),
    "ort-dynamic-matmul": Engine("onnxruntime", "dynamic-matmul", "ONNX Runtime, quantize_dynamic: int8 MatMul, float32 Conv"),
    "openvino-fp32": Engine("openvino", "fp32", "OpenVINO, float32", {"INFERENCE_PRECISION_HINT": "f32"}),
    "openvino-bf16": Engine("openvino", "fp32", "OpenVINO, bfloat16", {"INFERENCE_PRECISION_HINT": "bf16"}),
    "openvino-int8": Engine("openvino", "int8", "OpenVINO, the int8 file as it comes, float32", {"INFERENCE_PRECISION_HINT": "f32"}),
    "openvino-int8-bf16": Engine("openvino", "int8", "OpenVINO, the int8 file as it comes, bfloat16", {"INFERENCE_PRECISION_HINT": "bf16"}),
}


class EngineError(Exception):
    """An engine that cannot run, in one line."""


def read_json(path: Path) -> Any:
    """A JSON file, or an `EngineError` that names it."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: {error}") from error


def size(text: str) -> tuple[int, int]:
    """`512x512` as width and height; for argparse."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write WxH, such as 512x512")
    return int(width), int(height)


def count(text: str) -> int:
    """At least one; for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def vae_factor(model: Path) -> int:
    """Pixels per latent, each way."""
    config = read_json(model / "vae_decoder/config.json")
    tiny = config.get("_class_name") == "AutoencoderTiny"
    return 2 ** (len(config["decoder_block_out_channels" if tiny else "block_out_channels"]) - 1)


def latent_shape(model: Path, pixels: tuple[int, int]) -> tuple[int, int, int, int]:
    """`[1, c, h, w]` of a picture of this size."""
    factor = vae_factor(model)
    if any(side % factor for side in pixels):
        raise EngineError(f"{pixels[0]}x{pixels[1]} is no multiple of {factor}")
    return 1, read_json(model / "unet/config.json").get("in_channels", 4), pixels[1] // factor, pixels[0] // factor


def inputs(component: str, model: Path, pixels: tuple[int, int]) -> Feed:
    """What easel's own bench feeds a component, up to the noise: the same every time."""
    noise = np.random.default_rng(0)
    text = read_json(model / "text_encoder/config.json")
    if component == "text_encoder":
        return {"input_ids": noise.integers(0, text["vocab_size"], (1, text["max_position_embeddings"]))}
    latents = noise.standard_normal(latent_shape(model, pixels), np.float32)
    if component == "vae_decoder":
        return {"latent_sample": latents}
    width = read_json(model / "unet/config.json")["cross_attention_dim"]
    tokens = noise.standard_normal((1, text["max_position_embeddings"], width), np.float32)
    return {"sample": latents, "timestep": np.array(500), "encoder_hidden_states": tokens}


def open_pass(name: str, file: Path, feed: Feed, threads: int) -> Pass:
    """Loads `file` into an engine for inputs of `feed`'s shapes. The function that runs it takes feeds of these shapes only."""
    if not file.is_file():
        raise EngineError(f"{file}: no such file")
    engine = ENGINES[name]
    try:
        return {"onnxruntime": _onnxruntime, "openvino": _openvino}[engine.runtime](file, feed, threads, engine.settings)
    except ImportError as error:
        raise EngineError(f"{name}: {error}: pip install {engine.runtime}") from error
    except Exception as error:  # each engine has exceptions of its own
        raise EngineError(f"{name}: {file}: {str(error).strip().splitlines()[0]}") from error


def _onnxruntime(file: Path, feed: Feed, threads: int, settings: dict[str, str]) -> Pass:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    for key, value in settings.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
    kinds = {i.name: kinds[i.type] for i in session.get_inputs()}
    first = session.get_outputs()[0].name
    return lambda given: session.run([first], {k: v.astype(kinds[k]) for k, v in given.items()})[0]


def _openvino(file: Path, feed: Feed, threads: int, settings: dict[str, str]) -> Pass:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape({name: list(value.shape) for name, value in feed.items()})
    told = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **settings}
    compiled = core.compile_model(model, "CPU", told)
    kinds = {name: i.get_element_type().to_dtype() for i in compiled.inputs for name in i.names}
    request = compiled.create_infer_request()

    def run(given: Feed) -> np.ndarray:
        request.infer({k: v.astype(kinds[k]) for k, v in given.items()})
        return request.get_output_tensor(0).data.copy()

    return run


def quantize(source: Path, target: Path, matmul_only: bool) -> None:
    """ONNX Runtime's `quantize_dynamic`: int8 weights, one scale per output channel where it can; inputs measured in each pass."""
    from onnxruntime import quantization

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".quantize-", dir=target.parent) as folder:
        made = Path(folder) / target.name  # data in its `.data`: both move when whole
        quantization.quantize_dynamic(
            source,
            made,
            op_types_to_quantize=["MatMul", "Gemm"] if matmul_only else None,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            use_external_data_format=True,
        )
        for file in sorted(made.parent.glob(f"{target.name}.*")):
            file.replace(target.parent / file.name)
        made.replace(target)


def memory_mib(pid: int | str, key: str) -> float:
    """`VmHWM` (peak) or `VmRSS` (now) of a process, MiB."""
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


def work(args: argparse.Namespace) -> None:
    """Runs passes as told by standard input."""
    begun = time.perf_counter()
    feed = inputs(args.component, args.file.parents[1] if args.model is None else args.model, args.size)
    run = open_pass(args.engine, args.file, feed, args.threads)
    run(feed)
    print(json.dumps({"ready_s": time.perf_counter() - begun}), flush=True)
    for _ in sys.stdin:
        clock = time.perf_counter()
        run(feed)
        print(1e3 * (time.perf_counter() - clock), flush=True)


def main() -> int:
    """The two commands in the text above."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = args.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker")
    worker.add_argument("engine", choices=ENGINES)
    worker.add_argument("component", choices=COMPONENTS)
    worker.add_argument("file", type=Path)
    worker.add_argument("--model", type=Path, help="model directory whose configurations to read (default: the file's)")
    worker.add_argument("--size", type=size, default=(512, 512), metavar="WxH")
    worker.add_argument("--threads", type=count, default=2)
    maker = commands.add_parser("quantize")
    maker.add_argument("source", type=Path)
    maker.add_argument("target", type=Path)
    maker.add_argument("--matmul-only", action="store_true")
    args = args.parse_args()
    try:
        if args.command == "worker":
            work(args)
        else:
            quantize(args.source, args.target, args.matmul_only)
    except EngineError as error:
        print(f"engines.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
