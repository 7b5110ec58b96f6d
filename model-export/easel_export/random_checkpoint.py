"""Checkpoints with random weights and real structure, for benchmarks and tests.

The architectures are the published ones (`unet/config.json` and its siblings of Stable
Diffusion 1.5 and 2.1); the `tiny` ones keep every kind of block and shrink the widths.
The tokenizer is a small one of our own in CLIP's format: its vocabulary is shorter than
the embedding table, which costs a benchmark nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
               vocab_size=49408, projection_dim=768, hidden_act="quick_gelu")
_CLIP_H = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
               vocab_size=49408, projection_dim=512, hidden_act="gelu")
_CLIP_TINY = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  vocab_size=1024, projection_dim=32, hidden_act="quick_gelu")
_KL = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512)
_KL_TINY = dict(block_out_channels=(16, 32), layers_per_block=1, sample_size=32, norm_num_groups=8)
_UNET = dict(block_out_channels=(320, 640, 1280, 1280), layers_per_block=2)
_UNET_TINY = dict(
    block_out_channels=(32, 64), layers_per_block=1, sample_size=16, norm_num_groups=8,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
_EPSILON = dict(prediction_type="epsilon")
_V = dict(prediction_type="v_prediction")

# kind -> (text encoder, VAE class, VAE, U-Net, scheduler)
ARCHITECTURES: dict[str, tuple[dict, str, dict, dict, dict]] = {
    "sd15": (_CLIP_L, "AutoencoderKL", _KL,
             dict(_UNET, sample_size=64, cross_attention_dim=768, attention_head_dim=8), _EPSILON),
    "sd21": (_CLIP_H, "AutoencoderKL", dict(_KL, sample_size=768),
             dict(_UNET, sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
                  use_linear_projection=True), _V),
    "tiny": (_CLIP_TINY, "AutoencoderKL", _KL_TINY,
             dict(_UNET_TINY, cross_attention_dim=32, attention_head_dim=4), _EPSILON),
    "tiny-sd21": (dict(_CLIP_TINY, hidden_size=48, hidden_act="gelu"), "AutoencoderKL", _KL_TINY,
                  dict(_UNET_TINY, cross_attention_dim=48, attention_head_dim=(2, 4),
                       use_linear_projection=True), _V),
    "tiny-taesd": (_CLIP_TINY, "AutoencoderTiny",
                   dict(encoder_block_out_channels=(16, 16), decoder_block_out_channels=(16, 16),
                        num_encoder_blocks=(1, 2), num_decoder_blocks=(2, 1)),
                   dict(_UNET_TINY, cross_attention_dim=32, attention_head_dim=4), _EPSILON),
}
KINDS = tuple(ARCHITECTURES)

_WORDS = """a an the and of on in with red green blue yellow white black big small old new sky sea tree
house cat dog bird fish apple flower mountain river night day painting photo light background""".split()


def write_tokenizer(directory: Path) -> tuple[int, int]:
    """Writes `vocab.json` + `merges.txt` in CLIP's format; returns the BOS and EOS ids."""
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    symbols = list(bytes_to_unicode().values())
    vocab = symbols + [s + "</w>" for s in symbols]
    merges: dict[tuple[str, str], None] = {}
    for word in _WORDS:
        letters = [*word[:-1], word[-1] + "</w>"]
        left = letters[0]
        for right in letters[1:]:
            merges.setdefault((left, right))
            left += right
    vocab += [a + b for a, b in merges]
    bos, eos = len(vocab), len(vocab) + 1
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    directory.mkdir(parents=True, exist_ok=True)
    ids = {token: i for i, token in enumerate(vocab)}
    (directory / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return bos, eos


def build(kind: str, directory: Path, seed: int = 0) -> Any:
    """Makes architecture `kind` with random weights, saves it in `directory`, returns the pipeline."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    text, vae_class, vae, unet, scheduler = ARCHITECTURES[kind]
    torch.manual_seed(seed)
    max_length = 77
    bos, eos = write_tokenizer(directory / "tokenizer")
    tokenizer = CLIPTokenizer(
        str(directory / "tokenizer" / "vocab.json"), str(directory / "tokenizer" / "merges.txt"),
        model_max_length=max_length,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=_vae(vae_class, vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(
            **text, max_position_embeddings=max_length, bos_token_id=bos, eos_token_id=eos, pad_token_id=eos)),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(in_channels=4, out_channels=4, **unet),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            clip_sample=False, set_alpha_to_one=False, **scheduler),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.save_pretrained(directory)
    return pipeline


def _vae(class_name: str, options: dict[str, Any]) -> Any:
    import diffusers

    if class_name == "AutoencoderTiny":
        return diffusers.AutoencoderTiny(**options)
    levels = len(options["block_out_channels"])
    return diffusers.AutoencoderKL(
        **options, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
