"""Published architectures, and tiny ones that keep every kind of their blocks and shrink the widths.

Values are those of the published `config.json` files. The tiny ones have two pixels a latent each way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .networks import TIME_IDS

Options = dict[str, Any]
# A class of diffusers or transformers, and what it is made with.
Part = tuple[str, Options]

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


def _ddim(prediction: str = "epsilon") -> Part:
    return "DDIMScheduler", dict(_BETAS, clip_sample=False, set_alpha_to_one=False, prediction_type=prediction)


_LCM = ("LCMScheduler", dict(_BETAS, clip_sample=False, set_alpha_to_one=True))
_EULER_XL = ("EulerDiscreteScheduler", dict(_BETAS, timestep_spacing="leading"))
_EULER_TURBO = ("EulerDiscreteScheduler", dict(_BETAS, timestep_spacing="trailing"))
_ANCESTRAL_TURBO = ("EulerAncestralDiscreteScheduler", dict(_BETAS, timestep_spacing="trailing"))


@dataclass(frozen=True)
class Architecture:
    """All that a checkpoint is but its weights."""

    pipeline: str
    parts: dict[str, Part | None]  # the networks by their folders; None: the pipeline has room for it, and it is not there
    scheduler: Part
    index: Options = field(default_factory=dict)  # what `model_index.json` says beside the parts
    fast_t5: bool = False  # T5's tokenizer has a `tokenizer.json`, not a `spiece.model` alone

    def but(self, pipeline: str = "", scheduler: Part | None = None, **parts: Part | None) -> Architecture:
        """The same with other `parts`."""
        return replace(
            self, pipeline=pipeline or self.pipeline, scheduler=scheduler or self.scheduler, parts=self.parts | parts)


def _unet(options: Options) -> Part:
    return "UNet2DConditionModel", dict(in_channels=4, out_channels=4) | options


def _clip(options: Options, projected: bool = False) -> Part:
    return "CLIPTextModelWithProjection" if projected else "CLIPTextModel", options


def _kl(options: Options) -> Part:
    levels = len(options["block_out_channels"])
    return "AutoencoderKL", dict(
        latent_channels=4, down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels) | options


_SD15 = Architecture(
    "StableDiffusionPipeline", dict(text_encoder=_clip(_CLIP_L), unet=_unet(_UNET_15), vae=_kl(_KL)), _ddim())
_SD21 = _SD15.but(
    text_encoder=_clip(_CLIP_H), unet=_unet(_UNET_21), vae=_kl(dict(_KL, sample_size=768)), scheduler=_ddim("v_prediction"))
_SDXL = Architecture(
    "StableDiffusionXLPipeline",
    dict(text_encoder=_clip(_CLIP_L), text_encoder_2=_clip(_CLIP_BIG_G, True), unet=_unet(_UNET_XL), vae=_kl(_KL_XL)),
    _EULER_XL, dict(force_zeros_for_empty_prompt=True))
_TINY = _SD15.but(text_encoder=_clip(_CLIP_TINY), unet=_unet(_UNET_TINY_1), vae=_kl(_KL_TINY))
_TINY_TAESD = _TINY.but(vae=("AutoencoderTiny", _TAESD_TINY))
_TINY_21 = _TINY.but(text_encoder=_clip(dict(_CLIP_TINY, hidden_size=48, hidden_act="gelu")), unet=_unet(_UNET_TINY_2))
_TINY_XL = _SDXL.but(
    text_encoder=_clip(dict(_CLIP_TINY, hidden_size=16, num_attention_heads=2)),
    text_encoder_2=_clip(dict(_CLIP_TINY, hidden_act="gelu"), True),
    unet=_unet(_UNET_XL_TINY), vae=_kl(dict(_KL_TINY, scaling_factor=0.13025)))

ARCHITECTURES: dict[str, Architecture] = {
    "sd15": _SD15,
    "sd21": _SD21,
    "sd-turbo": _SD21.but(unet=_unet(dict(_UNET_21, sample_size=64)), scheduler=_EULER_TURBO),
    "lcm": _SD15.but("LatentConsistencyModelPipeline", _LCM, unet=_unet(dict(_UNET_15, sample_size=96, time_cond_proj_dim=256))),
    "sdxl": _SDXL,
    "sdxl-turbo": _SDXL.but(unet=_unet(dict(_UNET_XL, sample_size=64)), scheduler=_ANCESTRAL_TURBO),
    "ssd1b": _SDXL.but(unet=_unet(dict(
        _UNET_XL, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 2, 4),
        reverse_transformer_layers_per_block=((4, 4, 10), (2, 1, 1), 1)))),
    "vega": _SDXL.but(unet=_unet(dict(_UNET_XL, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 1, 2)))),
    "tiny": _TINY,
    "tiny-sd21": _TINY_21.but(scheduler=_ddim("v_prediction")),
    "tiny-taesd": _TINY_TAESD,
    "tiny-turbo": _TINY_21.but(scheduler=_EULER_TURBO),
    "tiny-lcm": _TINY.but("LatentConsistencyModelPipeline", _LCM, unet=_unet(dict(_UNET_TINY_1, time_cond_proj_dim=32))),
    "tiny-inpaint": _TINY.but("StableDiffusionInpaintPipeline", unet=_unet(dict(_UNET_TINY_1, in_channels=9))),
    "tiny-pix2pix": _TINY.but("StableDiffusionInstructPix2PixPipeline", unet=_unet(dict(_UNET_TINY_1, in_channels=8))),
    "tiny-sdxs": _TINY_TAESD.but(unet=_unet(dict(_THREE_LEVELS, **_ONE_BLOCK_MIDDLE)), scheduler=_EULER_TURBO),
    "tiny-bksdm": _TINY.but(unet=_unet(dict(_THREE_LEVELS, **_NO_MIDDLE))),
    "tiny-one-level": _TINY.but(unet=_unet(dict(
        _UNET_TINY_1, block_out_channels=(32,), down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",)))),
    "tiny-three-level": _TINY.but(unet=_unet(dict(_THREE_LEVELS, layers_per_block=2))),
    "tiny-sdxl": _TINY_XL,
    "tiny-sdxl-turbo": _TINY_XL.but(scheduler=_ANCESTRAL_TURBO),
    "tiny-sdxl-inpaint": _TINY_XL.but("StableDiffusionXLInpaintPipeline", unet=_unet(dict(_UNET_XL_TINY, in_channels=9))),
    "tiny-ssd1b": _TINY_XL.but(unet=_unet(dict(
        _UNET_XL_TINY, **_ONE_BLOCK_MIDDLE, transformer_layers_per_block=(1, 2, 2),
        reverse_transformer_layers_per_block=((2, 3), (2, 1), 1)))),
}

# -- Transformers -------------------------------------------------------------------------------------------------------

_T5_XXL = dict(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, vocab_size=32128, feed_forward_proj="gated-gelu",
               tie_word_embeddings=False)
# Heads of another width than the usual, and together wider than the model.
_T5_TINY = dict(_T5_XXL, d_model=64, d_kv=12, d_ff=96, num_layers=3, num_heads=6, vocab_size=512)


def _t5(options: Options) -> Part:
    return "T5EncoderModel", options


def _pixart(options: Options) -> Part:
    return "PixArtTransformer2DModel", dict(in_channels=4, out_channels=8, patch_size=2, use_additional_conditions=False) | options


def _kl_16(options: Options, scaling: float, shift: float) -> Part:
    """Stable Diffusion 3's and Flux's kind of autoencoder."""
    return _kl(options | dict(
        latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=scaling, shift_factor=shift))


# Linear betas, as in no other family.
_DPM = ("DPMSolverMultistepScheduler", dict(
    beta_start=0.0001, beta_end=0.02, beta_schedule="linear", algorithm_type="dpmsolver++", solver_order=2))
_DIT = dict(num_attention_heads=16, attention_head_dim=72, num_layers=28, cross_attention_dim=1152, caption_channels=4096)
# Widths that are no multiples of 32, as the published one's heads are not.
_DIT_TINY = dict(num_attention_heads=4, attention_head_dim=12, num_layers=3, cross_attention_dim=48, caption_channels=64, sample_size=16)
_PIXART = Architecture(
    "PixArtAlphaPipeline",
    dict(text_encoder=_t5(_T5_XXL), transformer=_pixart(dict(_DIT, sample_size=64)), vae=_kl(dict(_KL, scaling_factor=0.18215))), _DPM)
_PIXART_LARGE = dict(sample_size=128, use_additional_conditions=True)
_TINY_PIXART = _PIXART.but(text_encoder=_t5(_T5_TINY), transformer=_pixart(_DIT_TINY), vae=_kl(dict(_KL_TINY, scaling_factor=0.18215)))

_FLOW_3 = ("FlowMatchEulerDiscreteScheduler", dict(shift=3.0))
_MMDIT = dict(sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=24, num_attention_heads=24,
              attention_head_dim=64, joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048,
              pos_embed_max_size=192)
_MMDIT_35 = dict(_MMDIT, pos_embed_max_size=384, qk_norm="rms_norm", dual_attention_layers=tuple(range(13)))
_MMDIT_TINY = dict(_MMDIT, sample_size=16, num_layers=3, num_attention_heads=4, attention_head_dim=12, joint_attention_dim=64,
                   caption_projection_dim=48, pooled_projection_dim=48, pos_embed_max_size=24)
_MMDIT_35_TINY = dict(_MMDIT_TINY, qk_norm="rms_norm", dual_attention_layers=(0, 1))
_SD3 = Architecture(
    "StableDiffusion3Pipeline",
    dict(text_encoder=_clip(_CLIP_L, True), text_encoder_2=_clip(_CLIP_BIG_G, True), text_encoder_3=_t5(_T5_XXL),
         transformer=("SD3Transformer2DModel", _MMDIT), vae=_kl_16(dict(_KL, sample_size=1024), 1.5305, 0.0609)),
    _FLOW_3, fast_t5=True)
_TINY_SD3 = _SD3.but(
    text_encoder=_clip(dict(_CLIP_TINY, hidden_size=16, num_attention_heads=2, projection_dim=16), True),
    text_encoder_2=_clip(dict(_CLIP_TINY, hidden_act="gelu"), True), text_encoder_3=_t5(_T5_TINY),
    transformer=("SD3Transformer2DModel", _MMDIT_TINY), vae=_kl_16(_KL_TINY, 1.5305, 0.0609))

_FLOW_DEV = ("FlowMatchEulerDiscreteScheduler", dict(
    shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096))
_FLOW_SCHNELL = ("FlowMatchEulerDiscreteScheduler", dict(
    shift=1.0, use_dynamic_shifting=False, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096))
_FLUX = dict(patch_size=1, in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128, num_attention_heads=24,
             joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True, axes_dims_rope=(16, 56, 56))
_FLUX_CUT = dict(_FLUX, num_layers=2, num_single_layers=4)
_FLUX_TINY = dict(_FLUX, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=3,
                  joint_attention_dim=64, pooled_projection_dim=32, axes_dims_rope=(4, 6, 6))


def _flux(options: Options, guidance: bool) -> Part:
    return "FluxTransformer2DModel", dict(options, guidance_embeds=guidance)


_FLUX_DEV = Architecture(
    "FluxPipeline",
    dict(text_encoder=_clip(_CLIP_L), text_encoder_2=_t5(_T5_XXL), transformer=_flux(_FLUX, True),
         vae=_kl_16(dict(_KL, sample_size=1024), 0.3611, 0.1159)),
    _FLOW_DEV, fast_t5=True)
_TINY_FLUX = _FLUX_DEV.but(
    text_encoder=_clip(_CLIP_TINY), text_encoder_2=_t5(_T5_TINY), transformer=_flux(_FLUX_TINY, True),
    vae=_kl_16(_KL_TINY, 0.3611, 0.1159))

# Without an autoencoder, and with a flow whose levels are evenly spaced.
_FLOW_1 = ("FlowMatchEulerDiscreteScheduler", dict(shift=1.0))
_T5_LARGE = dict(_T5_XXL, d_model=1024, d_ff=2816, num_heads=16)
_MMJIT_TINY = dict(image_size=24, patch_size=4, txt_input_size=64, hidden_size=48, depth_double=3, txt_preamble_depth=1, num_heads=3,
                   head_dim=16, pca_channels=12)


def _minit2i(options: Options) -> Part:
    return "MiniT2IMMJiTModel", options


_MINIT2I = Architecture(
    "MiniT2ITextToImagePipeline", dict(text_encoder=_t5(_T5_LARGE), transformer=_minit2i({})), _FLOW_1, fast_t5=True)
_TINY_MINIT2I = _MINIT2I.but(text_encoder=_t5(_T5_TINY), transformer=_minit2i(_MMJIT_TINY))

ARCHITECTURES |= {
    "pixart-alpha-512": _PIXART,
    "pixart-alpha": _PIXART.but(transformer=_pixart(dict(_DIT, **_PIXART_LARGE))),
    "pixart-sigma": _PIXART.but(
        "PixArtSigmaPipeline", transformer=_pixart(dict(_DIT, sample_size=128)), vae=_kl(_KL_XL)),
    "sd3-medium": _SD3,
    "sd35-medium": _SD3.but(transformer=("SD3Transformer2DModel", _MMDIT_35)),
    "flux-dev": _FLUX_DEV,
    "flux-schnell": _FLUX_DEV.but(transformer=_flux(_FLUX, False), scheduler=_FLOW_SCHNELL),
    # A pass of the published widths; the published depth is eight times the work.
    "flux-cut": _FLUX_DEV.but(transformer=_flux(_FLUX_CUT, True)),
    "minit2i": _MINIT2I,
    "minit2i-student": _MINIT2I.but(transformer=_minit2i(dict(mean_flow=True))),
    "tiny-pixart": _TINY_PIXART,
    "tiny-pixart-1024": _TINY_PIXART.but(transformer=_pixart(dict(_DIT_TINY, **_PIXART_LARGE))),
    "tiny-pixart-sigma": _TINY_PIXART.but(
        "PixArtSigmaPipeline", transformer=_pixart(dict(_DIT_TINY, interpolation_scale=2)), vae=_kl(dict(_KL_TINY, scaling_factor=0.13025))),
    "tiny-sd3": _TINY_SD3,
    "tiny-sd3-no-t5": _TINY_SD3.but(text_encoder_3=None),
    "tiny-sd35": _TINY_SD3.but(transformer=("SD3Transformer2DModel", _MMDIT_35_TINY)),
    "tiny-flux": _TINY_FLUX,
    "tiny-flux-schnell": _TINY_FLUX.but(transformer=_flux(_FLUX_TINY, False), scheduler=_FLOW_SCHNELL),
    "tiny-taesd3": _TINY_SD3.but(text_encoder_3=None, vae=("AutoencoderTiny", dict(_TAESD_TINY, latent_channels=16))),
    "tiny-taef1": _TINY_FLUX.but(vae=("AutoencoderTiny", dict(_TAESD_TINY, latent_channels=16))),
    "tiny-minit2i": _TINY_MINIT2I,
    "tiny-minit2i-student": _TINY_MINIT2I.but(transformer=_minit2i(dict(_MMJIT_TINY, mean_flow=True))),
}
KINDS = tuple(ARCHITECTURES)
