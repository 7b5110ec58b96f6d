"""Train an encoder for an autoencoder of which only the decoder was kept: it writes `vae_encoder/` beside an exported model.

The default model was published for texts alone, without its encoder. The decoder says what the encoder has to do: give the latents from which
it makes the picture again. Those are not quite settled by that, and the U-Net knows only the ones that it was trained on; so part of
what is learned is pictures whose latents are known: those that the model paints itself, encoded back.

Loss: as in `train_vae.py`, through the frozen decoder, and L1 between the latents of painted pictures and those found. A quarter of the crops are
blends of two, in other colours: what users bring is no scene of ours. Resumes from the run directory.

A model that is trained anew has its encoder from `train_vae.py`, and `easel_export` writes it with the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import AutoencoderTiny, DDIMScheduler
from onnx import numpy_helper
from tqdm import tqdm
from transformers import CLIPTokenizer

import scenes
from easel_export import check, checksums, export, manifest, quantize, sensitivity
from easel_export.networks import Shape, vae_encoder
from easel_export.painting import relative_error
from muon import Optimizer
from pool import keep, pixels, pool
from train_vae import NOISE, autoencoder, crops, gradients

STEPS, GUIDANCE = 6, 2.0  # of painted pictures
WHOLE = 4  # of them in a batch
TARGET, MAX_FLOAT = 0.02, 0.1  # as `easel_export` has them


def frozen(model: Path) -> AutoencoderTiny:
    """The autoencoder of an exported `model`: its decoder with the weights of the file, its encoder untrained."""
    vae = autoencoder()
    config = json.loads((model / "vae_decoder" / "config.json").read_text())
    names = [name for name in ("encoder_block_out_channels", "num_encoder_blocks", "num_decoder_blocks", "latent_channels") if name in config]
    if any(list(np.atleast_1d(vae.config[name])) != list(np.atleast_1d(config[name])) for name in names):
        raise SystemExit(f"{model}: its autoencoder is not the one that `train_vae.py` makes")
    vae.register_to_config(scaling_factor=config["scaling_factor"])
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(model / "vae_decoder" / "model.onnx").graph.initializer}
    for name, parameter in vae.decoder.named_parameters():
        name = f"decoder.{name}"
        value = stored[name] if name in stored else quantize.dequantize(stored[f"{name}_q"], stored[f"{name}_scale"], 0)
        parameter.data.copy_(torch.tensor(value))
    vae.decoder.requires_grad_(False)
    return vae


@torch.no_grad()
def painted(model: Path, count: int, object_count: int, seed: int) -> torch.Tensor:
    """Latents [count, 8, 16, 16] of pictures that `model` paints, as its decoder takes them."""
    text, unet = (check.ort_run(model / name / "model.onnx") for name in ("text_encoder", "unet"))
    tokens = CLIPTokenizer.from_pretrained(model / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(model / "scheduler")
    rng, generator = random.Random(f"{seed}/painted"), torch.Generator().manual_seed(seed)

    def encode(texts: list[str]) -> torch.Tensor:
        ids = tokens(texts, padding="max_length", truncation=True, max_length=tokens.model_max_length, return_tensors="pt").input_ids
        return text(ids)[0]

    found = []
    for start in tqdm(range(0, count, 16), desc="painting", unit_scale=16):
        some = min(16, count - start)
        prompts = [scenes.caption(scenes.sample(rng, object_count), rng, object_count) for _ in range(some)]
        told = torch.cat([encode([""] * some), encode(prompts)])
        scheduler.set_timesteps(STEPS)
        z = torch.randn(some, 8, 16, 16, generator=generator) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            plain, prompted = unet(torch.cat([z, z]), t.float(), told)[0].chunk(2)
            z = scheduler.step(plain + GUIDANCE * (prompted - plain), t, z).prev_sample
        found.append(z)
    return torch.cat(found)


def strange(x: torch.Tensor) -> torch.Tensor:
    """Blends of two pictures, in other colours."""
    share = torch.rand(len(x), 1, 1, 1)
    mixed = share * x + (1 - share) * x.roll(1, 0).flip(-1)
    return (mixed * (0.5 + torch.rand(len(x), 3, 1, 1)) + 0.6 * (torch.rand(len(x), 3, 1, 1) - 0.5)).clamp(-1, 1)


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """dB, picture by picture; of values in [-1, 1]."""
    return -10 * torch.log10(((a.clamp(-1, 1) - b) / 2).square().mean(dim=(1, 2, 3)).clamp_min(1e-10))


@torch.no_grad()
def measure(vae: AutoencoderTiny, pictures: np.ndarray, latents: torch.Tensor) -> str:
    """How near pictures and known latents come back."""
    vae.eval()
    x = pixels(pictures)
    found = torch.cat([psnr(vae.decode(vae.encode(part).latents).sample, part) for part in x.split(16)])
    parts = latents.split(16)
    back = torch.cat([vae.encode(vae.decode(z).sample.clamp(-1, 1)).latents for z in parts])
    encoded = torch.cat([vae.encode(part).latents for part in x.split(16)])
    vae.train()
    return (f"held-out scenes {found.mean():.2f} dB (worst {found.min():.2f}), painted latents come back with a relative error of "
            f"{relative_error([back], [latents]):.3f}; standard deviation of latents {encoded.std():.3f}, of painted ones {latents.std():.3f}")


def write(vae: AutoencoderTiny, model: Path, pictures: np.ndarray) -> None:
    """Adds `vae_encoder/` to `model`: int8 by the layer test, compared with torch, in `easel.json` and `SHA256SUMS`."""
    vae.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
    component = vae_encoder(vae, Shape(8, 12, 0))
    calls = [(part,) for part in pixels(pictures).split(4)]
    want = [component.run(*call)[0] for call in calls]
    layers = quantize.candidates(quantize.part_of(vae, component.children))
    run, single = (sensitivity.replay(component, c) for c in (calls, sensitivity.singles(component.inputs, calls)))
    choice = sensitivity.choose(layers, run, single, TARGET, MAX_FLOAT)
    storage = dict.fromkeys(choice.quantized(), "int8")
    out = model / "vae_encoder"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        export.rewrite(component, export.trace(component, Path(scratch)), out, storage)
    shutil.copyfile(model / "vae_decoder" / "config.json", out / "config.json")
    quantize.round_weights(vae, storage)
    engine = check.ort_run(out / "model.onnx")
    got = [engine(*call)[0] for call in calls]
    same = relative_error(got, [component.run(*call)[0] for call in calls])
    cost = relative_error([torch.cat(got)], [torch.cat(want)])
    print(f"vae_encoder: {same:.1e} from torch with the same weights, {cost:.1e} from float32")
    assert same <= check.EXPORT_LIMIT and cost <= check.PRECISION_LIMITS["int8"]
    measured = manifest.measurements({"vae_encoder": choice}, {"vae_encoder": {"export_error": same, "precision_error": cost}})
    content = json.loads((model / "easel.json").read_text())
    for key, value in measured.items():
        content.setdefault(key, {}).update(value)
    manifest.write(content, model / "easel.json")
    # What was not listed before was not exported: the model card, which may be worded anew.
    sums = model / checksums.NAME
    listed = {line.split("  ", 1)[1] for line in sums.read_text().splitlines()}
    checksums.write(model)
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if (name := line.split("  ", 1)[1].strip()) in listed or name.startswith(out.name)))


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, default=Path(__file__).parents[2] / "models" / "pocket")
    args.add_argument("--run", type=Path, required=True, help="run directory: checkpoints in, checkpoints out")
    args.add_argument("--minutes", type=float, default=15)
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--scenes", type=int, default=6144)
    args.add_argument("--painted", type=int, default=1056, help="pictures that the model paints, nine a second on one core")
    args.add_argument("--batch", type=int, default=32)
    args.add_argument("--lr", type=float, default=2e-3)
    args.add_argument("--seed", type=int, default=3)
    args = args.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    known = args.run / f"painted-{args.painted}.pt"
    vae = frozen(args.model)
    if not known.exists():
        torch.save(painted(args.model, args.painted, args.objects, args.seed) / vae.config.scaling_factor, known)
    # The last ones are for the measurement.
    latents, kept = torch.load(known).split([args.painted - 32, 32])
    with torch.no_grad():
        made = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in latents.split(16)])
    pictures = pool(args.run / "pool", args.scenes, args.objects, seed=args.seed).pictures
    held_out = pool(args.run / "pool", 256, args.objects, train=False, seed=args.seed).pictures
    vae = vae.to(memory_format=torch.channels_last)
    optimizer = Optimizer([vae.encoder], args.lr, outer=("layers.0.",))
    step, spent, state = 0, 0.0, args.run / "encoder.pt"
    if state.exists():
        saved = torch.load(state)
        vae.encoder.load_state_dict(saved["model"]), optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes spent")
    rng = np.random.default_rng([args.seed, step])
    start, told, average = time.time() - spent, time.time(), None
    while (fraction := (time.time() - start) / (args.minutes * 60)) < 1:
        factor = min(1.0, (step + 1) / 50) * (1 - fraction) ** 0.75 + 1e-3
        x = crops(pictures, args.batch, rng)
        x[: args.batch // 4] = strange(x[: args.batch // 4])
        some = torch.from_numpy(rng.integers(len(latents), size=WHOLE))
        x = x.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            z = vae.encode(x).latents
            y = vae.decode(z + NOISE * torch.randn_like(z)).sample
            back = vae.encode(made[some].to(memory_format=torch.channels_last)).latents
        y, z, back = y.float(), z.float(), back.float()
        edges = sum((a - b).abs().mean() for a, b in zip(gradients(x), gradients(y), strict=True))
        apart = (back - latents[some]).abs().mean()
        loss = (x - y).abs().mean() + 0.5 * edges + 0.2 * apart + 0.01 * (z.square().mean() - 1).relu()
        loss.backward()
        optimizer.step(factor)
        step += 1
        found = psnr(y[args.batch // 4 :].detach(), x[args.batch // 4 :]).mean().item()
        average = found if average is None else average + 0.02 * (found - average)
        if time.time() - told > 30:
            told = time.time()
            print(f"step {step} {fraction:.0%} PSNR {average:.2f} dB, loss {loss:.4f}, latents apart {apart:.3f}", flush=True)
            keep(state, {"model": vae.encoder.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent": time.time() - start})
    print(measure(vae, held_out, kept))
    # Calibrated on what it was trained with, measured on what it was not.
    write(vae, args.model, pictures[:64])
    print("in int8:", measure(vae, held_out, kept))


if __name__ == "__main__":
    main()
