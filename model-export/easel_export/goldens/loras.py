"""Golden LoRAs: `python -m easel_export.goldens.loras [--out DIR]`. Needs the package `peft`, which diffusers merges them with.

A LoRA of a few layers in each way that trainers name and cut them, for two tiny checkpoints, and what diffusers' `load_lora_weights`
and `fuse_lora` add to the weights with it:

| file | holds |
|---|---|
| `STYLE.safetensors` | the LoRA |
| `STYLE.added.safetensors` | by network and weight, what is added at a scale of 0.7 |
| `networks.json` | for each checkpoint all its weights that have rows, and their shapes; for each style, its checkpoint |
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from easel_export.random_checkpoint import build

OUT = Path(__file__).parents[3] / "tests" / "goldens" / "import" / "loras"
SCALE = 0.7
RANK = 2
ALPHA = 1.5
Tensors = dict[str, torch.Tensor]
# Of each checkpoint: network, layer.
ATTENTION = "attentions.0.transformer_blocks.0"
PLAIN = {
    "tiny": [
        ("unet", f"down_blocks.0.{ATTENTION}.attn1.to_q"), ("unet", f"up_blocks.1.{ATTENTION}.attn2.to_out.0"),
        ("unet", f"mid_block.{ATTENTION}.attn1.to_k"), ("text_encoder", "text_model.encoder.layers.1.self_attn.v_proj"),
        ("text_encoder", "text_model.encoder.layers.0.self_attn.out_proj")],
    "tiny-sdxl": [
        ("unet", f"down_blocks.1.{ATTENTION}.attn1.to_q"), ("unet", f"up_blocks.0.{ATTENTION}.attn2.to_out.0"),
        ("text_encoder", "text_model.encoder.layers.1.self_attn.out_proj"),
        ("text_encoder_2", "text_model.encoder.layers.0.self_attn.out_proj")],
}
CONVOLUTIONS = [
    ("unet", "down_blocks.0.resnets.0.conv1"), ("unet", "down_blocks.0.attentions.0.proj_in"), ("unet", "down_blocks.1.resnets.0.conv_shortcut"),
    ("unet", f"down_blocks.0.{ATTENTION}.ff.net.2")]
# Of SDXL's U-Net in diffusers' names and in its authors'.
AUTHORS = {
    f"down_blocks.1.{ATTENTION}.attn1.to_q": "input_blocks.3.1.transformer_blocks.0.attn1.to_q",
    f"mid_block.{ATTENTION}.attn2.to_k": "middle_block.1.transformer_blocks.0.attn2.to_k",
    f"up_blocks.0.{ATTENTION}.attn2.to_out.0": "output_blocks.0.1.transformer_blocks.0.attn2.to_out.0",
    f"up_blocks.1.{ATTENTION}.attn1.to_v": "output_blocks.2.1.transformer_blocks.0.attn1.to_v",
}
KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}


def kohya(network: str, layer: str, part: str, xl: bool) -> str:
    prefix = "lora_te1" if xl and network == "text_encoder" else KOHYA[network]
    part = {"down": "lora_down.weight", "up": "lora_up.weight"}.get(part, part)
    return f"{prefix}_{AUTHORS.get(layer, layer).replace('.', '_') if xl else layer.replace('.', '_')}.{part}"


def peft(network: str, layer: str, part: str, _: bool) -> str:
    part = {"down": "lora_A.weight", "up": "lora_B.weight"}[part]
    return f"base_model.model.{layer}.{part}"


def diffusers(network: str, layer: str, part: str, _: bool) -> str:
    part = {"down": "lora_A.weight", "up": "lora_B.weight"}[part]
    return f"{network}.{layer}.{part}"


def dotted(network: str, layer: str, part: str, _: bool) -> str:
    return f"{network}.{layer}.{'lora' if network == 'unet' else 'lora_linear_layer'}.{part}.weight"


def processor(network: str, layer: str, part: str, _: bool) -> str:
    """The names of diffusers 0.13 to 0.19."""
    at, name = layer.removesuffix(".0").rsplit(".", 1)
    if network == "unet":
        return f"unet.{at}.processor.{name}_lora.{part}.weight"
    name = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}[name]
    return f"{network}.{at}.{name}_lora.{part}.weight"


Name = Callable[[str, str, str, bool], str]
# Checkpoint, layers, names, with an alpha.
STYLES: dict[str, tuple[str, list[tuple[str, str]], Name, bool]] = {
    "kohya": ("tiny", PLAIN["tiny"], kohya, True),
    "kohya-convolutions": ("tiny", CONVOLUTIONS, kohya, True),
    "kohya-xl": ("tiny-sdxl", PLAIN["tiny-sdxl"][2:] + [("unet", layer) for layer in AUTHORS], kohya, True),
    "peft": ("tiny", [pair for pair in PLAIN["tiny"] if pair[0] == "unet"], peft, False),
    "diffusers": ("tiny", PLAIN["tiny"] + CONVOLUTIONS[:1], diffusers, False),
    "diffusers-xl": ("tiny-sdxl", PLAIN["tiny-sdxl"], diffusers, False),
    "diffusers-dotted": ("tiny", PLAIN["tiny"], dotted, False),
    "diffusers-processor": ("tiny", PLAIN["tiny"], processor, False),
}


def lora(pipeline: Any, layers: list[tuple[str, str]], name: Name, alpha: bool, xl: bool) -> Tensors:
    """Random matrices for the layers."""
    tensors: Tensors = {}
    for network, layer in layers:
        weight = getattr(pipeline, network).get_submodule(layer).weight
        kernel = weight.shape[2:]
        tensors[name(network, layer, "down", xl)] = torch.randn(RANK, *weight.shape[1:]) / 4
        tensors[name(network, layer, "up", xl)] = torch.randn(weight.shape[0], RANK, *(1 for _ in kernel)) / 4
        if alpha:
            tensors[name(network, layer, "alpha", xl)] = torch.tensor(ALPHA)
    return tensors


def added(pipeline: Any, tensors: Tensors, style: str) -> Tensors:
    """What diffusers adds to the weights."""
    networks = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    before = {f"{name}.{key}": value.clone() for name, part in networks.items() for key, value in part.state_dict().items()}
    if style == "peft":
        # As PEFT saves the adapter of one network, which diffusers takes with the network's name before it.
        tensors = {key.replace("base_model.model.", "unet."): value for key, value in tensors.items()}
    pipeline.load_lora_weights(dict(tensors))
    pipeline.fuse_lora(lora_scale=SCALE)
    pipeline.unload_lora_weights()
    after = {f"{name}.{key}": value for name, part in networks.items() for key, value in part.state_dict().items()}
    assert set(before) == set(after)
    changes = {key: (after[key].double() - value.double()).float() for key, value in before.items()}
    return {key: value for key, value in changes.items() if value.abs().max() > 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    networks: dict[str, Any] = {}
    with TemporaryDirectory() as scratch:
        for style, (kind, layers, name, alpha) in STYLES.items():
            torch.manual_seed(len(style))
            pipeline = build(kind, Path(scratch) / style)
            tensors = lora(pipeline, layers, name, alpha, kind == "tiny-sdxl")
            changes = added(pipeline, tensors, style)
            expected = {f"{network}.{layer}.weight" for network, layer in layers}
            assert set(changes) == expected, (style, set(changes) ^ expected)
            save_file(tensors, out / f"{style}.safetensors")
            save_file(changes, out / f"{style}.added.safetensors")
            networks[kind] = {
                folder: {key: list(value.shape) for key, value in part.state_dict().items() if value.ndim > 1 and key.endswith(".weight")}
                for folder, part in pipeline.components.items() if isinstance(part, torch.nn.Module) and folder != "vae"}
    styles = {style: kind for style, (kind, *_) in STYLES.items()}
    text = json.dumps({"networks": networks, "scale": SCALE, "styles": styles}, separators=(",", ":")).replace("],", "],\n")
    (out / "networks.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
