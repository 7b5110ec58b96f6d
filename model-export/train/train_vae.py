"""Train the default model's autoencoder: `AutoencoderTiny`, factor 8, eight latent channels.

Why not `AutoencoderKL`: its group norms wipe out what a flat ground is made of (in a group of two channels only the order of
the two survives), and pictures of these scenes are mostly flat ground. The tiny one has no norms, and decodes faster on a board.

It sees 64×64 crops around the glyphs (a convolutional autoencoder learns nothing more from flat ground).
Loss: L1 + L1 on image gradients (edges stay crisp). Noise on the latents while training makes neighbours in latent space
decode alike, as the sampling of a variational encoder does. Resumes from the run directory.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

import scenes
from muon import Optimizer
from pool import keep, pixels, pool

CROP = 64
LATENT_CHANNELS = 8
NOISE = 0.05  # standard deviation of the noise on latents of unit variance


def crops(pictures: np.ndarray, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Random crops, float32 [count, 3, 64, 64] in [-1, 1]: of four tries each, the one with most to see."""
    made = np.empty((count, CROP, CROP, 3), np.uint8)
    for i in range(count):
        picture = pictures[rng.integers(len(pictures))]
        corners = rng.integers(0, scenes.SIZE - CROP + 1, (4, 2))
        tries = [picture[y : y + CROP, x : x + CROP] for x, y in corners]
        made[i] = max(tries, key=lambda t: t[::4, ::4].std())
    return pixels(made)


def autoencoder() -> AutoencoderTiny:
    channels = (48,) * 4
    model = AutoencoderTiny(
        encoder_block_out_channels=channels, decoder_block_out_channels=channels,
        num_encoder_blocks=(0, 0, 3, 5), num_decoder_blocks=(6, 3, 1, 0), latent_channels=LATENT_CHANNELS,
    )  # fmt: skip
    # torch's default start is three times too small for layers without norms: signals die on the way, and so do gradients.
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    for block in model.modules():
        if isinstance(block, AutoencoderTinyBlock):
            block.conv[-1].weight.data.mul_(0.2)
    model.encoder.layers[-1].weight.data.mul_(0.5)
    model.decoder.layers[-1].weight.data.mul_(0.1)
    return model


def gradients(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--run", type=Path, required=True, help="run directory: checkpoints in, checkpoints out")
    args.add_argument("--minutes", type=float, default=20)
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--scenes", type=int, default=32768)
    args.add_argument("--batch", type=int, default=32)
    args.add_argument("--lr", type=float, default=2e-3)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    model = autoencoder().to(device, memory_format=torch.channels_last)
    optimizer = Optimizer([model], args.lr, outer=("encoder.layers.0.", f"decoder.layers.{len(model.decoder.layers) - 1}."))
    step, spent, state = 0, 0.0, args.run / "vae.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        model.load_state_dict(saved["model"]), optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes spent")
    pictures = pool(args.run / "pool", args.scenes, args.objects).pictures
    rng = np.random.default_rng([args.seed, step])
    start, told, average = time.time() - spent, time.time(), None
    while (fraction := (time.time() - start) / (args.minutes * 60)) < 1:
        # The decay follows the clock, so that whatever time there is ends in a fine-tuned model.
        factor = min(1.0, (step + 1) / 50) * (1 - fraction) ** 0.75 + 1e-3
        x = crops(pictures, args.batch, rng).to(device, memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            z = model.encode(x).latents
            y = model.decode(z + NOISE * torch.randn_like(z)).sample
        y, z = y.float(), z.float()
        edges = sum((a - b).abs().mean() for a, b in zip(gradients(x), gradients(y), strict=True))
        # Latents stay near unit variance: this is what the noise above is measured against.
        loss = (x - y).abs().mean() + 0.5 * edges + 0.01 * (z.square().mean() - 1).relu()
        loss.backward()
        optimizer.step(factor)
        step += 1
        psnr = -10 * torch.log10(((x - y) / 2).square().mean()).item()
        average = psnr if average is None else average + 0.02 * (psnr - average)
        if time.time() - told > 20:
            told = time.time()
            print(f"step {step} {fraction:.0%} PSNR {average:.2f} dB, loss {loss:.4f}, latent std {z.std():.2f}", flush=True)
            keep(state, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent": time.time() - start})
    # The factor that gives latents unit variance, measured as Stable Diffusion's was.
    model.eval()
    with torch.no_grad():
        some = pixels(pictures[:256]).to(device)
        latents = [model.encode(part).latents for part in some.split(32)]
    std, mean = torch.cat(latents).std().item(), torch.cat(latents).mean(dim=(0, 2, 3)).tolist()
    model.register_to_config(scaling_factor=round(1 / std, 5))
    print(f"scaling factor {1 / std:.4f}, means {mean}")
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.run / "vae")


if __name__ == "__main__":
    main()
