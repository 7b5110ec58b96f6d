"""Checkpoints with random weights and real structure, for benchmarks and tests.

The tokenizer is a small one of our own in CLIP's format: its vocabulary is shorter than
the embedding table, which costs a benchmark nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .architectures import ARCHITECTURES, Architecture
from .hollow import Parameters

_TOKENS = 77
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
    import torch

    torch.manual_seed(seed)
    pipeline = _assemble(ARCHITECTURES[kind], directory)
    pipeline.save_pretrained(directory)
    return pipeline


def build_hollow(kind: str, directory: Path, seed: int = 0) -> Parameters:
    """Saves all of architecture `kind` in `directory` but its weights; returns those: the same bits on every machine."""
    from accelerate import init_empty_weights

    from .goldens import weights

    with init_empty_weights(include_buffers=False):
        pipeline = _assemble(ARCHITECTURES[kind], directory)
    pipeline.save_config(directory)
    for name, part in pipeline.components.items():
        if hasattr(part, "state_dict"):  # a network: diffusers' or transformers'
            (part.save_config if hasattr(part, "save_config") else part.config.save_pretrained)(directory / name)
        elif part is not None:
            part.save_pretrained(directory / name)
    prefix = f"{seed}." if seed else ""
    return lambda origin, name, shape: weights.parameter(name, shape, f"{prefix}{origin}.{name}")


def _assemble(of: Architecture, directory: Path) -> Any:
    """The pipeline; its tokenizers' files are in `directory`."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    def tokenizer(name: str, **options: Any) -> tuple[Any, dict[str, Any]]:
        from transformers import CLIPTokenizer

        bos, eos = write_tokenizer(directory / name)
        files = (str(directory / name / file) for file in ("vocab.json", "merges.txt"))
        return CLIPTokenizer(*files, model_max_length=_TOKENS, **options), dict(
            max_position_embeddings=_TOKENS, bos_token_id=bos, eos_token_id=eos, pad_token_id=eos)

    tokens, ids = tokenizer("tokenizer")
    parts: dict[str, Any] = {}
    if of.text_2 is None:
        parts |= dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    parts |= dict(
        vae=_vae(of.vae_class, of.vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(**of.text, **ids)),
        tokenizer=tokens,
        unet=diffusers.UNet2DConditionModel(**dict(in_channels=4, out_channels=4) | of.unet),
        scheduler=getattr(diffusers, of.scheduler[0])(**of.scheduler[1]),
    )
    if of.text_2 is not None:
        # As published: padded with "!", id 0, and with the id 2 of old configurations, for which the end is the largest id.
        tokens, ids = tokenizer("tokenizer_2", pad_token="!")
        ids |= dict(eos_token_id=2, pad_token_id=0)
        parts |= dict(tokenizer_2=tokens, text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**of.text_2, **ids)))
    return getattr(diffusers, of.pipeline)(**parts, **of.index)


def _vae(class_name: str, options: dict[str, Any]) -> Any:
    import diffusers

    if class_name == "AutoencoderTiny":
        return diffusers.AutoencoderTiny(**options)
    levels = len(options["block_out_channels"])
    return diffusers.AutoencoderKL(
        **options, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
