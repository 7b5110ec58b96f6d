"""Published architectures, and tiny ones that keep every kind of their blocks and shrink the widths.

Values are those of the published `config.json` files. The tiny ones have two pixels a latent each way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .networks import TIME_IDS

Options = dict[str, Any]

_CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
               vocab_size=49408, projection_dim=768, hidden_act="quick_gelu")
_CLIP_H = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
               vocab_size=49408, projection_dim=512, hidden_act="gelu")
_CLIP_BIG_G = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
                   vocab_size=49408, projection_dim=1280, hidden_act="gelu")
_CLIP_TINY = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  vocab_size=1024, projection_dim=32, hidden_act="quick_gelu")
_KL = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512)
_KL_XL = dict(_KL, sample_size=1024, scaling_factor=0.13025)
_KL_TINY = dict(block_out_channels=(16, 32), layers_per_block=1, sample_size=32, norm_num_groups=8)
_TAESD_TINY = dict(encoder_block_out_channels=(16, 16), decoder_block_out_channels=(16, 16),
                   num_encoder_blocks=(1, 2), num_decoder_blocks=(2, 1))

_UNET = dict(block_out_channels=(320, 640, 1280, 1280), layers_per_block=2)
_UNET_15 = dict(_UNET, sample_size=64, cross_attention_dim=768, attention_head_dim=8)
_UNET_21 = dict(_UNET, sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True)
_UNET_TINY = dict(
    block_out_channels=(32, 64), layers_per_block=1, sample_size=16, norm_num_groups=8,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
_UNET_TINY_1 = dict(_UNET_TINY, cross_attention_dim=32, attention_head_dim=4)
_UNET_TINY_2 = dict(_UNET_TINY, cross_attention_dim=48, attention_head_dim=(2, 4), use_linear_projection=True)
_THREE_LEVELS = dict(
    _UNET_TINY_1, block_out_channels=(32, 64, 64),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
)
_XL = dict(
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    addition_embed_type="text_time", use_linear_projection=True,
)
_UNET_XL = dict(
    _XL, sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20), cross_attention_dim=2048, addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
)
_UNET_XL_TINY = dict(
    _XL, sample_size=16, block_out_channels=(32, 64, 64), layers_per_block=1, transformer_layers_per_block=(1, 2, 3),
    attention_head_dim=(2, 4, 4), cross_attention_dim=48, addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=32 + 8 * TIME_IDS, norm_num_groups=8,
)
# The middle keeps one of its residual blocks (diffusers' `UNetMidBlock2D`), or there is none.
_ONE_BLOCK_MIDDLE = dict(mid_block_type="UNetMidBlock2D")
_NO_MIDDLE = dict(mid_block_type=None)

_BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)


def _ddim(prediction: str = "epsilon") -> tuple[str, Options]:
    return "DDIMScheduler", dict(_BETAS, clip_sample=False, set_alpha_to_one=False, prediction_type=prediction)


_LCM = ("LCMScheduler", dict(_BETAS, clip_sample=False, set_alpha_to_one=True))
_EULER_XL = ("EulerDiscreteScheduler", dict(_BETAS, timestep_spacing="leading"))
_EULER_TURBO = ("EulerDiscreteScheduler", dict(_BETAS, timestep_spacing="trailing"))
_ANCESTRAL_TURBO = ("EulerAncestralDiscreteScheduler", dict(_BETAS, timestep_spacing="trailing"))


@dataclass(frozen=True)
class Architecture:
    """All that a checkpoint is but its weights."""

    text: Options
    unet: Options
    vae: Options
    scheduler: tuple[str, Options]
    vae_class: str = "AutoencoderKL"
    text_2: Options | None = None  # of Stable Diffusion XL
    pipeline: str = "StableDiffusionPipeline"
    index: Options = field(default_factory=dict)  # what `model_index.json` says beside the parts


_SD15 = Architecture(_CLIP_L, _UNET_15, _KL, _ddim())
_SD21 = Architecture(_CLIP_H, _UNET_21, dict(_KL, sample_size=768), _ddim("v_prediction"))
_SDXL = Architecture(_CLIP_L, _UNET_XL, _KL_XL, _EULER_XL, text_2=_CLIP_BIG_G, pipeline="StableDiffusionXLPipeline",
                     index=dict(force_zeros_for_empty_prompt=True))
_TINY = Architecture(_CLIP_TINY, _UNET_TINY_1, _KL_TINY, _ddim())
_TINY_TAESD = replace(_TINY, vae=_TAESD_TINY, vae_class="AutoencoderTiny")
_TINY_21 = replace(_TINY, text=dict(_CLIP_TINY, hidden_size=48, hidden_act="gelu"), unet=_UNET_TINY_2)
_TINY_XL = replace(_SDXL, text=dict(_CLIP_TINY, hidden_size=16, num_attention_heads=2), text_2=dict(_CLIP_TINY, hidden_act="gelu"),
                   unet=_UNET_XL_TINY, vae=dict(_KL_TINY, scaling_factor=0.13025))

ARCHITECTURES: dict[str, Architecture] = {
    "sd15": _SD15,
    "sd21": _SD21,
    "sd-turbo": replace(_SD21, unet=dict(_UNET_21, sample_size=64), scheduler=_EULER_TURBO),
    "lcm": replace(_SD15, unet=dict(_UNET_15, sample_size=96, time_cond_proj_dim=256), scheduler=_LCM,
                   pipeline="LatentConsistencyModelPipeline"),
    "sdxl": _SDXL,
    "sdxl-turbo": replace(_SDXL, unet=dict(_UNET_XL, sample_size=64), scheduler=_ANCESTRAL_TURBO),
    "ssd1b": replace(_SDXL, unet=dict(
        _UNET_XL, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 2, 4),
        reverse_transformer_layers_per_block=((4, 4, 10), (2, 1, 1), 1))),
    "vega": replace(_SDXL, unet=dict(_UNET_XL, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 1, 2))),
    "tiny": _TINY,
    "tiny-sd21": replace(_TINY_21, scheduler=_ddim("v_prediction")),
    "tiny-taesd": _TINY_TAESD,
    "tiny-turbo": replace(_TINY_21, scheduler=_EULER_TURBO),
    "tiny-lcm": replace(_TINY, unet=dict(_UNET_TINY_1, time_cond_proj_dim=32), scheduler=_LCM,
                        pipeline="LatentConsistencyModelPipeline"),
    "tiny-inpaint": replace(_TINY, unet=dict(_UNET_TINY_1, in_channels=9), pipeline="StableDiffusionInpaintPipeline"),
    "tiny-pix2pix": replace(_TINY, unet=dict(_UNET_TINY_1, in_channels=8), pipeline="StableDiffusionInstructPix2PixPipeline"),
    "tiny-sdxs": replace(_TINY_TAESD, unet=dict(_THREE_LEVELS, **_ONE_BLOCK_MIDDLE), scheduler=_EULER_TURBO),
    "tiny-bksdm": replace(_TINY, unet=dict(_THREE_LEVELS, **_NO_MIDDLE)),
    "tiny-one-level": replace(_TINY, unet=dict(
        _UNET_TINY_1, block_out_channels=(32,), down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",))),
    "tiny-three-level": replace(_TINY, unet=dict(_THREE_LEVELS, layers_per_block=2)),
    "tiny-sdxl": _TINY_XL,
    "tiny-sdxl-turbo": replace(_TINY_XL, scheduler=_ANCESTRAL_TURBO),
    "tiny-sdxl-inpaint": replace(_TINY_XL, unet=dict(_UNET_XL_TINY, in_channels=9), pipeline="StableDiffusionXLInpaintPipeline"),
    "tiny-ssd1b": replace(_TINY_XL, unet=dict(
        _UNET_XL_TINY, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 2, 2),
        reverse_transformer_layers_per_block=((2, 3), (2, 1), 1))),
}
KINDS = tuple(ARCHITECTURES)
