"""Golden names of checkpoints in one file: `python -m easel_export.goldens.single_files [--out DIR]`.

Small checkpoints of Stable Diffusion 1.x, 2.x and XL, and what their tensors are called, and how they are cut, in the format of their
authors (CompVis, Stability AI, OpenCLIP). The names are written down here from those programs' own modules; that diffusers' loader of
single files makes the very same checkpoint of them is checked before anything is written.

`single-files.json` has for each kind `configs`, what diffusers and transformers saved, and `tensors`: the original name, what was done
(`same`, `rows`: several one below the other, `transposed`, `pixel`: a matrix as a convolution of one pixel), and of which weights.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as theirs
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

OUT = Path(__file__).parents[3] / "tests" / "goldens" / "import"
Tensors = dict[str, torch.Tensor]
# Original name, what was done, of which weights.
Row = tuple[str, str, list[str]]

_TEXT = dict(intermediate_size=64, num_hidden_layers=2, vocab_size=512, max_position_embeddings=77)
_UNET = dict(layers_per_block=1, in_channels=4, out_channels=4)
_XL = dict(
    _UNET, addition_embed_type="text_time", use_linear_projection=True, cross_attention_dim=128, addition_time_embed_dim=32,
    projection_class_embeddings_input_dim=96 + 32 * 6, block_out_channels=(64, 128), attention_head_dim=(1, 2),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), sample_size=128)
_TWO = dict(
    block_out_channels=(64, 128), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
_ENCODERS_XL = dict(
    text_encoder=(False, dict(_TEXT, hidden_size=64, num_attention_heads=1, projection_dim=64, hidden_act="quick_gelu")),
    text_encoder_2=(True, dict(_TEXT, hidden_size=64, num_attention_heads=1, projection_dim=96, hidden_act="gelu")))
KINDS: dict[str, dict[str, Any]] = {
    "sd1": dict(
        unet=dict(
            _UNET, layers_per_block=2, cross_attention_dim=64, attention_head_dim=8, block_out_channels=(32, 64, 64), sample_size=64,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")),
        text_encoder=(False, dict(_TEXT, hidden_size=64, num_attention_heads=1, projection_dim=64, hidden_act="quick_gelu"))),
    "sd2": dict(
        unet=dict(_UNET, **_TWO, cross_attention_dim=128, attention_head_dim=(1, 2), use_linear_projection=True, sample_size=64),
        text_encoder=(False, dict(_TEXT, hidden_size=128, num_attention_heads=2, projection_dim=128, hidden_act="gelu"))),
    "sdxl": dict(unet=dict(_XL, transformer_layers_per_block=(1, 3)), **_ENCODERS_XL),
    "ssd": dict(
        unet=dict(
            _XL, transformer_layers_per_block=(1, 1), reverse_transformer_layers_per_block=((2, 1), 1), mid_block_type="UNetMidBlock2D"),
        **_ENCODERS_XL),
}
_VAE = dict(
    block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=32, latent_channels=4, in_channels=3, out_channels=3,
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
_RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection"}
_OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


def unet_rows(names: list[str], per_level: int, levels: int) -> Iterator[Row]:
    """The U-Net of CompVis' `openaimodel.py`: its parts are appended to one list each way."""
    fixed = {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    attends = {int(match[1]) for name in names if (match := re.match(r"up_blocks\.(\d+)\.attentions", name))}
    for name in names:
        layer, kind = name.rsplit(".", 1)
        if layer in fixed:
            yield f"{fixed[layer]}.{kind}", "same", [name]
        elif match := re.match(r"(down|up|mid)_blocks?(?:\.(\d+))?\.(\w+)\.(\d+)\.(.*)", layer):
            way, level, what, number, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
            each = per_level + 1
            at = {
                "down": f"input_blocks.{1 + level * each + (number if what != 'downsamplers' else per_level)}",
                "up": f"output_blocks.{level * each + (number if what != 'upsamplers' else per_level)}",
                "mid": "middle_block"}[way]
            part = {"resnets": 0, "attentions": 1, "downsamplers": 0, "upsamplers": 2 if level in attends else 1}[what]
            if way == "mid":
                part = 2 * number + (what == "attentions")
            if what == "resnets":
                rest = _RESIDUAL[rest]
            elif what == "downsamplers":
                rest = "op"
            yield f"{at}.{part}.{rest}.{kind}", "same", [name]
        else:
            raise ValueError(name)


def vae_rows(names: list[str], levels: int) -> Iterator[Row]:
    """The autoencoder of `model.py` in CompVis' latent diffusion."""
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for name in names:
        layer, kind = name.rsplit(".", 1)
        done = "same"
        if match := re.match(r"(\w+)\.mid_block\.attentions\.0\.(.*)", layer):
            theirs_ = f"{match[1]}.mid.attn_1.{attention[match[2]]}"
            done = "pixel" if kind == "weight" and match[2] != "group_norm" else done
        elif match := re.match(r"(\w+)\.mid_block\.resnets\.(\d)\.(.*)", layer):
            theirs_ = f"{match[1]}.mid.block_{int(match[2]) + 1}.{match[3]}"
        elif match := re.match(r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.(.*)", layer):
            theirs_ = f"encoder.down.{match[1]}.block.{match[2]}.{match[3]}"
        elif match := re.match(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.conv", layer):
            theirs_ = f"encoder.down.{match[1]}.downsample.conv"
        elif match := re.match(r"decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.*)", layer):
            theirs_ = f"decoder.up.{levels - 1 - int(match[1])}.block.{match[2]}.{match[3]}"
        elif match := re.match(r"decoder\.up_blocks\.(\d+)\.upsamplers\.0\.conv", layer):
            theirs_ = f"decoder.up.{levels - 1 - int(match[1])}.upsample.conv"
        else:
            theirs_ = layer.replace("conv_norm_out", "norm_out")
        yield f"{theirs_.replace('conv_shortcut', 'nin_shortcut')}.{kind}", done, [name]


def open_clip_rows(names: list[str]) -> Iterator[Row]:
    """OpenCLIP's `transformer.py`: queries, keys and values are one layer."""
    for name in names:
        if match := re.match(r"text_model\.encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", name):
            at, layer, kind = f"transformer.resblocks.{match[1]}", match[2], match[3]
            if layer in _OPEN_CLIP:
                yield f"{at}.{_OPEN_CLIP[layer]}.{kind}", "same", [name]
            elif layer == "self_attn.q_proj":
                yield f"{at}.attn.in_proj_{kind}", "rows", [name.replace("q_proj", f"{part}_proj") for part in "qkv"]
        elif name == "text_projection.weight":
            yield "text_projection", "transposed", [name]
        elif name == "text_model.embeddings.position_embedding.weight":
            yield "positional_embedding", "same", [name]
        else:
            new = name.replace("text_model.embeddings.", "").replace("text_model.final_layer_norm", "ln_final")
            yield new, "same", [name]


def original(row: Row, weights: Tensors) -> torch.Tensor:
    """The tensor of a row."""
    parts = [weights[name] for name in row[2]]
    return {
        "same": lambda: parts[0], "rows": lambda: torch.cat(parts), "transposed": lambda: parts[0].T,
        "pixel": lambda: parts[0][:, :, None, None]}[row[1]]().contiguous()


def make(kind: str) -> dict[str, Any]:
    """A kind's golden data."""
    torch.manual_seed(0)
    about = KINDS[kind]
    unet = UNet2DConditionModel(**about["unet"])
    xl = "text_encoder_2" in about
    vae = AutoencoderKL(**_VAE, scaling_factor=0.13025 if xl else 0.18215, sample_size=8 * about["unet"]["sample_size"])
    networks: dict[str, Any] = {"unet": unet, "vae": vae}
    for name in ("text_encoder", "text_encoder_2"):
        if name in about:
            projected, options = about[name]
            networks[name] = (CLIPTextModelWithProjection if projected else CLIPTextModel)(CLIPTextConfig(**options))
    weights = {name: {key: value for key, value in network.state_dict().items() if "position_ids" not in key}
               for name, network in networks.items()}
    per_level, levels = about["unet"]["layers_per_block"], len(about["unet"]["block_out_channels"])
    prefixes = {
        "unet": "model.diffusion_model.", "vae": "first_stage_model.",
        "text_encoder": "conditioner.embedders.0.transformer." if xl else f"cond_stage_model.{'model' if kind == 'sd2' else 'transformer'}.",
        "text_encoder_2": "conditioner.embedders.1.model."}
    rows: list[tuple[str, str, list[str]]] = []
    file: Tensors = {}
    for name, own in weights.items():
        names = sorted(own)
        of = {
            "unet": lambda: unet_rows(names, per_level, levels), "vae": lambda: vae_rows(names, 2),
            "text_encoder": lambda: open_clip_rows(names) if kind == "sd2" else ((key, "same", [key]) for key in names),
            "text_encoder_2": lambda: open_clip_rows(names)}[name]
        for row in of():
            key = prefixes[name] + row[0]
            assert key not in file, key
            file[key] = original(row, own)
            rows.append((key, row[1], [f"{name}/{part}" for part in row[2]]))
    check(kind, file, networks, weights)
    shapes = {f"{name}/{key}": list(value.shape) for name, own in weights.items() for key, value in own.items()}
    configs = {name: network.config.to_diff_dict() if hasattr(network.config, "to_diff_dict") else dict(network.config)
               for name, network in networks.items()}
    return {"configs": configs, "shapes": shapes, "tensors": rows}


def check(kind: str, file: Tensors, networks: dict[str, Any], weights: dict[str, Tensors]) -> None:
    """diffusers makes the same weights of the file."""
    made = {
        "unet": theirs.convert_ldm_unet_checkpoint(dict(file), dict(networks["unet"].config)),
        "vae": theirs.convert_ldm_vae_checkpoint(dict(file), dict(networks["vae"].config))}
    if kind == "sd2":
        made["text_encoder"] = theirs.convert_open_clip_checkpoint(networks["text_encoder"], dict(file))
    elif "text_encoder_2" in networks:
        made["text_encoder"] = theirs.convert_ldm_clip_checkpoint(dict(file), remove_prefix="conditioner.embedders.0.transformer.")
        made["text_encoder_2"] = theirs.convert_open_clip_checkpoint(
            networks["text_encoder_2"], dict(file), prefix="conditioner.embedders.1.model.")
    else:
        made["text_encoder"] = theirs.convert_ldm_clip_checkpoint(dict(file), remove_prefix="cond_stage_model.transformer.")
    for name, own in weights.items():
        found = made[name]
        # The pruned kind's middle is one that diffusers' loader takes for another; its blocks are the same.
        assert set(found) == set(own), (kind, name, set(found) ^ set(own))
        for key, value in own.items():
            assert torch.equal(found[key].reshape(value.shape), value), (kind, name, key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    made = {kind: make(kind) for kind in KINDS}
    text = json.dumps(made, separators=(",", ":"), sort_keys=True).replace('],["', '],\n["')
    (out / "single-files.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
