from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from easel_export import UsageError
from easel_export.checkpoint import choose_files, load, open_source
from easel_export.families import recognise
from easel_export.layout import PROBES
from easel_export.manifest import defaults
from easel_export.random_checkpoint import build_hollow


def test_hub_files_are_the_full_precision_safetensors() -> None:
    files = [
        "model_index.json", "README.md", "v1-5.ckpt", "safety_checker/model.safetensors",
        "unet/config.json", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.bin", "tokenizer/merges.txt",
        "text_encoder_2/model-00001-of-00002.safetensors", "text_encoder_2/model.safetensors.index.json",
    ]
    assert sorted(choose_files(files)) == sorted([
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin", "tokenizer/merges.txt",
        "text_encoder_2/model-00001-of-00002.safetensors", "text_encoder_2/model.safetensors.index.json",
    ])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}, ["text_encoder_2", "CLIPTextModelWithProjection"]),
        ({"controlnet": ["diffusers", "ControlNetModel"]}, ["controlnet", "ControlNetModel"]),
        ({"unet": None, "transformer": ["diffusers", "PixArtTransformer2DModel"]}, ["PixArtTransformer2DModel"]),
        ({"vae": ["diffusers", "VQModel"]}, ["VQModel", "AutoencoderKL"]),
        ({"text_encoder": ["transformers", "T5EncoderModel"]}, ["T5EncoderModel", "CLIPTextModel"]),
        ({"vae": [None, None]}, ["vae", "missing"]),
    ],
)
def test_other_families_are_refused_by_name(source: Path, change: dict, words: list[str]) -> None:
    index = json.loads((source / "model_index.json").read_text()) | change
    with pytest.raises(UsageError) as error:
        recognise({k: v for k, v in index.items() if v is not None})
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("unet", "in_channels", 5, "in_channels is 5.*inpainting"),
        ("unet", "out_channels", 8, "out_channels is 8"),
        ("unet", "addition_embed_type", "text_time", "addition_embed_type"),
        ("unet", "class_embed_type", "projection", "class_embed_type"),
        ("unet", "cross_attention_dim", 999, "hidden_size"),
    ],
)
def test_parts_that_do_not_fit_are_refused(source: Path, tmp_path: Path, part: str, key: str, value: object, words: str) -> None:
    broken = shutil.copytree(source, tmp_path / "broken")
    config = json.loads((broken / part / "config.json").read_text()) | {key: value}
    (broken / part / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=words):
        open_source(str(broken))


@pytest.mark.parametrize(("kind", "channels", "pipeline"), [
    ("tiny", 9, "StableDiffusionInpaintPipeline"), ("tiny", 8, "StableDiffusionInstructPix2PixPipeline"),
    ("tiny-lcm", 9, "StableDiffusionInpaintPipeline"), ("tiny-sdxl", 9, "StableDiffusionXLInpaintPipeline"),
])
def test_unets_that_see_a_picture_have_pipelines_of_their_own(kind: str, channels: int, pipeline: str, tmp_path: Path) -> None:
    build_hollow(kind, tmp_path)
    path = tmp_path / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_channels": channels}))
    source = open_source(str(tmp_path))
    assert source.family.pipeline(source.configs) == pipeline


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("unet", "addition_embed_type", None, "text_time"),
        ("unet", "cross_attention_dim", 32, r"hidden_size 16 \+ 32"),
        # The refiner's five sizes.
        ("unet", "projection_class_embeddings_input_dim", 32 + 8 * 5, "refiner"),
        ("text_encoder_2", "projection_dim", 64, "projection_class_embeddings_input_dim"),
        ("vae", "_class_name", "VQModel", "VQModel"),
    ],
)
def test_parts_of_sdxl_that_do_not_fit_are_refused(tmp_path: Path, part: str, key: str, value: object, words: str) -> None:
    build_hollow("tiny-sdxl", tmp_path)
    path = tmp_path / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UsageError, match=words):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "steps", "guidance"),
    [("tiny", 20, 7.5), ("tiny-sdxl", 20, 5.0), ("tiny-lcm", 4, 8.5), ("tiny-turbo", 4, 1.0), ("tiny-sdxl-turbo", 4, 1.0)],
)
def test_defaults_are_what_the_checkpoint_says_of_itself(tmp_path: Path, kind: str, steps: int, guidance: float) -> None:
    build_hollow(kind, tmp_path)
    values = defaults(open_source(str(tmp_path)), None)
    assert (values["steps"], values["guidance"]) == (steps, guidance)
    assert values["width"] == values["height"] == 32


def test_the_second_tokenizer_pads_with_exclamation_marks(tmp_path: Path) -> None:
    build_hollow("tiny-sdxl", tmp_path)
    first, second = (CLIPTokenizer.from_pretrained(tmp_path / name)("a fox!", padding="max_length").input_ids
                     for name in ("tokenizer", "tokenizer_2"))
    assert second[-1] == 0 and first[-1] != 0
    assert second.index(0) < len(first) - first[::-1].index(first[-1]) and first != second


def test_the_random_tokenizer_covers_any_text(source: Path) -> None:
    tokenizer = load(str(source)).tokenizer
    for text in PROBES:
        ids = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == 77 and ids[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in ids
