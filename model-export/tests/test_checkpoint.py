from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from easel_export import UsageError
from easel_export.checkpoint import choose_files, load, validate_index
from easel_export.layout import PROBES


def test_hub_files_are_the_full_precision_safetensors() -> None:
    files = [
        "model_index.json", "README.md", "v1-5.ckpt", "safety_checker/model.safetensors",
        "unet/config.json", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.bin", "tokenizer/merges.txt",
    ]
    assert sorted(choose_files(files)) == sorted([
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin", "tokenizer/merges.txt",
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
        validate_index({k: v for k, v in index.items() if v is not None})
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("unet", "in_channels", 9, "inpainting"),
        ("unet", "addition_embed_type", "text_time", "addition_embed_type"),
        ("unet", "time_cond_proj_dim", 256, "time_cond_proj_dim"),
        ("unet", "cross_attention_dim", 999, "hidden_size"),
    ],
)
def test_parts_that_do_not_fit_are_refused(source: Path, tmp_path: Path, part: str, key: str, value: object, words: str) -> None:
    broken = shutil.copytree(source, tmp_path / "broken")
    config = json.loads((broken / part / "config.json").read_text()) | {key: value}
    (broken / part / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=words):
        load(str(broken))


def test_the_random_tokenizer_covers_any_text(source: Path) -> None:
    tokenizer = load(str(source)).tokenizer
    for text in PROBES:
        ids = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == 77 and ids[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in ids
