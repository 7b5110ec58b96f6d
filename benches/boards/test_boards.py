"""The page says what the script computes, and the script computes from what the networks are."""

from __future__ import annotations

import json
import sys
from contextlib import chdir
from math import prod
from pathlib import Path

import onnx
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import count  # noqa: E402
import figures  # noqa: E402
import predict  # noqa: E402

POCKET = count.ROOT / "models/pocket"


def test_the_page_is_what_is_computed():
    page = predict.PAGE.read_text()
    assert predict.written(page) == page, "run benches/boards/predict.py --write"


def test_a_page_without_its_markers_is_refused():
    with pytest.raises(SystemExit, match="predictions"):
        predict.written("# Performance\n")


def test_the_default_models_counts_are_those_of_its_networks():
    work = count.pocket()
    assert work == predict.WORK["pocket"]
    tokens = json.loads((POCKET / "text_encoder/config.json").read_text())["max_position_embeddings"]
    width = json.loads((POCKET / "unet/config.json").read_text())["cross_attention_dim"]
    latents = [1, 4, 16, 16]
    given = {"input_ids": [1, tokens], "sample": latents, "latent_sample": latents, "encoder_hidden_states": [1, tokens, width], "timestep": []}
    for component, counted in work.items():
        constant, attention = onnx_products(POCKET / component / "model.onnx", given)
        assert constant == sum(counted.get(f"{kind}_mac", 0) for kind in ("pixel_int8", "window_int8", "window_int16")), component
        assert attention == counted.get("attention_qk_mac", 0) + counted.get("attention_pv_mac", 0), component


def onnx_products(file: Path, given: dict[str, list[int]]) -> tuple[int, int]:
    """Multiply-accumulates of an ONNX file: with constant weights, and of two tensors that are computed."""
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    model = onnx.load(file, load_external_data=False)
    for declared in model.graph.input:
        axes = declared.type.tensor_type.shape.dim
        for axis, size in zip(axes, given[declared.name] or [1] * len(axes), strict=True):
            axis.Clear()
            axis.dim_value = size
    with chdir(file.parent):  # small constants may be in a file beside it
        graph = SymbolicShapeInference.infer_shapes(model, auto_merge=True).graph
    shapes = {v.name: [axis.dim_value for axis in v.type.tensor_type.shape.dim] for v in [*graph.value_info, *graph.output, *graph.input]}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    stored = {tensor.name for tensor in graph.initializer}

    def is_weight(name: str) -> bool:
        while name not in stored:
            maker = makers.get(name)
            if maker is None or maker.op_type not in ("DequantizeLinear", "Transpose"):
                return False
            name = maker.input[0]
        return True

    constant = attention = 0
    for node in graph.node:
        if node.op_type == "Conv":
            constant += prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            products = prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
            if is_weight(node.input[1]):
                constant += products
            else:
                attention += products
    return constant, attention


def test_stable_diffusions_products_are_those_that_easel_explains():
    # docs/benchmarks.md, "Where the milliseconds go", GMAC.
    unet = predict.WORK["sd15"]["unet"]
    assert round((unet["window_int8_mac"] + unet["window_int16_mac"]) / 1e9, 1) == 200.2
    assert round(unet["pixel_int8_mac"] / 1e9, 1) == 75.5 + 41.1 + 21.8
    assert round((unet["attention_qk_mac"] + unet["attention_pv_mac"]) / 1e9, 1) == 63.0


def test_a_board_is_never_faster_than_what_limits_it():
    for model in predict.MODELS:
        work = predict.WORK[model.name][predict.denoiser(model)]
        for board in figures.BOARDS:
            for streamed in (False, True):
                best, worst = (predict.seconds(board, work, 2, streamed, which)[0] for which in (0, 1))
                assert best <= worst
                peak = figures.CORES[board.core].int8[0] * board.ghz * 1e9 * figures.CORES_OF_A_BOARD
                assert best > 2 * predict.products(work) / peak
                if streamed:
                    assert best >= work["weights"] / (board.card * 1e6)


def test_numbers_have_two_figures_and_a_unit_that_suits():
    assert [predict.number(value) for value in (0.1234, 1.26, 9.96, 12.3, 1234)] == ["0.12", "1.3", "10", "12", "1200"]
    assert predict.span(0.01, 0.0104) == "10 ms"
    assert predict.span(1.0, 2.0) == "1–2 s"
    assert predict.span(100, 240) == "1.7–4 min"
    assert predict.span(3600, 7200) == "1–2 h"
