"""Train the default model's autoencoder: `AutoencoderTiny`, factor 8, four latent channels.

Why not `AutoencoderKL`: its group norms wipe out what a flat ground is made of (in a group of two channels only the order of
the two survives), and pictures of these scenes are mostly flat ground. The tiny one has no norms, and decodes faster on a board.

It sees 64×64 crops around the glyphs (a convolutional autoencoder learns nothing more from flat ground).
Loss: L1 + L1 on image gradients (edges stay crisp). Noise on the latents while training makes neighbours in latent space
decode alike, as the sampling of a variational encoder does. Resumes from the run directory.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch.utils.data import DataLoader, IterableDataset

import scenes

CROP = 64
NOISE = 0.05  # standard deviation of the noise on latents of unit variance


class Crops(IterableDataset):
    """Endless random crops, float32 [3, 64, 64] in [-1, 1]."""

    def __init__(self, object_count: int, seed: int):
        self.object_count, self.seed = object_count, seed

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed}/{info.id if info else 0}")
        while True:
            scene = scenes.sample(rng, self.object_count)
            picture = np.asarray(scenes.render(scene, rng, self.object_count), dtype=np.float32)
            for _ in range(2):
                x, y = (rng.randrange(0, scenes.SIZE - CROP + 1) for _ in range(2))
                yield torch.from_numpy(picture[y : y + CROP, x : x + CROP].transpose(2, 0, 1) / 127.5 - 1)


def autoencoder() -> AutoencoderTiny:
    channels = (48,) * 4
    model = AutoencoderTiny(
        encoder_block_out_channels=channels, decoder_block_out_channels=channels,
        num_encoder_blocks=(0, 1, 2, 2), num_decoder_blocks=(2, 2, 1, 0), latent_channels=4,
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
    args.add_argument("--batch", type=int, default=24)
    args.add_argument("--lr", type=float, default=1.5e-3)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    model = autoencoder().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    step, spent, state = 0, 0.0, args.run / "vae.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        model.load_state_dict(saved["model"]), optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes spent")
    loader = iter(DataLoader(Crops(args.objects, args.seed + step), batch_size=args.batch, num_workers=1, prefetch_factor=8))
    start, last, average = time.time() - spent, time.time(), None
    while (fraction := (time.time() - start) / (args.minutes * 60)) < 1:
        # The decay follows the clock, so that whatever time there is ends in a fine-tuned model.
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (step + 1) / 100) * (1 - fraction) ** 0.75 + 1e-6
        x = next(loader).to(device, memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            z = model.encode(x).latents
            y = model.decode(z + NOISE * torch.randn_like(z)).sample
        y, z = y.float(), z.float()
        edges = sum((a - b).abs().mean() for a, b in zip(gradients(x), gradients(y), strict=True))
        error = (x - y).abs().mean()
        # Latents stay near unit variance: this is what the noise above is measured against.
        loss = error + 0.5 * edges + 0.01 * (z.square().mean() - 1).relu()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(), optimizer.zero_grad()
        step += 1
        psnr = -10 * torch.log10(((x - y) / 2).square().mean()).item()
        average = psnr if average is None else average + 0.02 * (psnr - average)
        if step % 100 == 0 or time.time() - last > 60:
            print(f"step {step} {fraction:.0%} PSNR {average:.2f} dB, l1 {error:.4f}, latent std {z.std():.2f}", flush=True)
        if time.time() - last > 60:
            last = time.time()
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent": time.time() - start}, state)
    # The factor that gives latents unit variance, measured as Stable Diffusion's was.
    model.eval()
    rng, latents = random.Random(7), []
    with torch.no_grad():
        for _ in range(64):
            scene = scenes.sample(rng, args.objects)
            x = torch.from_numpy(np.asarray(scenes.render(scene, rng, args.objects), dtype=np.float32).transpose(2, 0, 1).copy()) / 127.5 - 1
            latents.append(model.encode(x[None].to(device)).latents)
    std, mean = torch.cat(latents).std().item(), torch.cat(latents).mean(dim=(0, 2, 3)).tolist()
    model.register_to_config(scaling_factor=round(1 / std, 5))
    print(f"scaling factor {1 / std:.4f}, means {mean}")
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.run / "vae")


if __name__ == "__main__":
    main()
