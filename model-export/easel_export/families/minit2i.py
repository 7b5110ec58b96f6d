"""MiniT2I, teacher and student: T5's encoder reads the prompt, and a transformer that attends to it paints pixels. There is no
autoencoder; the networks are in `easel_export/minit2i.py`.

A checkpoint is a directory with the published `transformer/`, T5's `text_encoder/` and `tokenizer/` (FLAN-T5 large), and a
`model_index.json` of the class `MiniT2ITextToImagePipeline`. The student is published for JAX alone: `easel_export/minit2i_jax.py`
makes such a `transformer/` of it.
"""

from __future__ import annotations

from typing import Any

from ..diffusion_transformers import minit2i
from ..minit2i import SCHEDULER
from ..t5 import text_encoder
from .family import T5, Configs, Family, Part, require_text


def validate(configs: Configs) -> None:
    """The transformer projects T5's features."""
    require_text(configs, "txt_input_size", "text_encoder")


def defaults(configs: Configs) -> dict[str, Any]:
    """Those with which the authors measure."""
    student = configs["transformer"].get("mean_flow")
    return {"steps": 4, "guidance": 12.0} if student else {"steps": 100, "guidance": 6.0}


FAMILY = Family(
    title="MiniT2I",
    parts=(
        Part("text_encoder", "text_encoder", T5, lambda m, s: text_encoder("text_encoder", m, s, True)),
        Part("transformer", "transformer", ("MiniT2IMMJiTModel",), minit2i),
    ),
    pipeline=lambda configs: "MiniT2ITextToImagePipeline",
    validate=validate,
    defaults=defaults,
    denoiser="transformer",
    cells=lambda configs: configs["transformer"].get("patch_size", 16),
    sample_size=512,
    scheduler=SCHEDULER,
)
