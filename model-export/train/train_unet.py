"""Train the default model's text encoder and U-Net on latents of made scenes, and write a diffusers checkpoint.

v-prediction with zero terminal SNR (Lin et al., arXiv 2305.08891: without it flat backgrounds drift towards grey), 10 % of
captions empty for classifier-free guidance, an exponential moving average of the weights. Resumes from the run directory:
`train_vae.py --run DIR` first, then this with the same DIR, as often as one likes.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel

import scenes
import tokenizer as captions
from muon import Optimizer
from pool import keep, pixels, pool

WIDTH = 192  # of the text encoder
EMPTY = 0.1  # fraction of captions left out


class Bank:
    """The pool's scenes with their latents, encoded once: encoding costs as much as a training step. Captions are worded anew at each draw."""

    def __init__(self, run: Path, size: int, vae, object_count: int, seed: int):
        drawn = pool(run / "pool", size, object_count)
        self.scenes, self.object_count = drawn.scenes, object_count
        self.rng = random.Random(f"{seed}/captions")
        self.tokens = Tokenizer.from_file(str(run / "tokenizer" / "tokenizer.json"))
        path = run / f"latents-{size}.pt"
        if not path.exists():
            latents = []
            for at in tqdm(range(0, size, 64), desc="encoding scenes", unit_scale=64):
                x = pixels(drawn.pictures[at : at + 64]).to(vae.device)
                with torch.no_grad(), torch.autocast(vae.device.type, torch.bfloat16):
                    latents.append((vae.encode(x).latents * vae.config.scaling_factor).half().cpu())
            torch.save(torch.cat(latents), path)
        self.latents = torch.load(path)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents f32 [count, 8, 16, 16] of unit variance, token ids [count, 32]."""
        picks = [self.rng.randrange(len(self.scenes)) for _ in range(count)]
        texts = ["" if self.rng.random() < EMPTY else scenes.caption(self.scenes[i], self.rng, self.object_count) for i in picks]
        end = self.tokens.token_to_id(captions.EOS)
        ids = [e.ids[: captions.MAX_LENGTH] for e in self.tokens.encode_batch(texts)]
        ids = [i[:-1] + [end] * (captions.MAX_LENGTH - len(i) + 1) for i in ids]
        return self.latents[picks].float(), torch.tensor(ids)


def networks(tokens, channels: int) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3, num_attention_heads=6,
        max_position_embeddings=captions.MAX_LENGTH, bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id, projection_dim=WIDTH,
    ))  # fmt: skip
    # CLIP starts its embeddings at 0.02; ours learn from nothing in little time, so they start where layer norm leaves them.
    torch.nn.init.normal_(text.text_model.embeddings.token_embedding.weight, std=0.2)
    unet = UNet2DConditionModel(
        sample_size=scenes.SIZE // scenes.GRID, in_channels=channels, out_channels=channels, block_out_channels=(48, 128, 192), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=(2, 4, 6), norm_num_groups=16, use_linear_projection=True,
    )  # fmt: skip
    return text, unet


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
    )  # fmt: skip


def preview_factors(vae: AutoencoderTiny, latents: torch.Tensor, pictures: torch.Tensor) -> dict:
    """Least-squares map from a latent to the mean colour under it: easel's cheap preview while painting."""
    colours = torch.nn.functional.avg_pool2d(pictures, scenes.GRID).permute(0, 2, 3, 1).reshape(-1, 3)
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    known = torch.cat([flat, torch.ones(len(flat), 1)], dim=1)
    solution = torch.linalg.lstsq(known, colours).solution
    return {"latent_rgb_factors": solution[:-1].tolist(), "latent_rgb_bias": solution[-1].tolist()}


@torch.no_grad()
def save(run: Path, tokens, vae, text, unet, averaged: list[torch.Tensor], object_count: int) -> None:
    """The averaged weights as a diffusers directory plus `easel.json`, as `easel_export --source` takes it."""
    out = run / "checkpoint"
    text, unet = copy.deepcopy(text), copy.deepcopy(unet)
    for p, a in zip([*text.parameters(), *unet.parameters()], averaged, strict=True):
        p.copy_(a)
    unet = unet.to("cpu", memory_format=torch.contiguous_format)
    StableDiffusionPipeline(
        vae=vae, text_encoder=text.cpu(), tokenizer=tokens, unet=unet, scheduler=scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(out)  # fmt: skip
    (out / "tokenizer" / "tokenizer.json").write_bytes((run / "tokenizer" / "tokenizer.json").read_bytes())
    rng = random.Random(11)
    some = np.stack([np.asarray(scenes.render(scenes.sample(rng, object_count), rng, object_count)) for _ in range(64)])
    pictures = pixels(some)
    latents = vae.encode(pictures).latents * vae.config.scaling_factor
    manifest = {"format": 1, "defaults": {"width": scenes.SIZE, "height": scenes.SIZE, "steps": 10, "guidance": 2.0, "scheduler": "ddim"},
                "calibration_prompts": [scenes.caption(scenes.sample(rng, object_count), rng, object_count) for _ in range(4)]}  # fmt: skip
    (out / "easel.json").write_text(json.dumps(manifest | preview_factors(vae, latents, pictures), indent=1))


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--run", type=Path, required=True)
    args.add_argument("--minutes", type=float, default=60, help="in all; the learning rate falls to its end by then")
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--scenes", type=int, default=32768, help="the pool that train_vae.py made")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--lr", type=float, default=1.5e-3)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    tokens = captions.make(args.run / "tokenizer")
    vae = AutoencoderTiny.from_pretrained(args.run / "vae").eval().requires_grad_(False)
    encoder = copy.deepcopy(vae).to(device, memory_format=torch.channels_last)
    text, unet = (m.to(device) for m in networks(tokens, vae.config.latent_channels))
    unet.to(memory_format=torch.channels_last)
    parameters = [*text.parameters(), *unet.parameters()]
    optimizer = Optimizer([text, unet], args.lr, outer=("embedding", "conv_in.", "conv_out."), weight_decay=0.01)
    averaged = [p.detach().clone() for p in parameters]
    step, spent, state = 0, 0.0, args.run / "unet.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        text.load_state_dict(saved["text"]), unet.load_state_dict(saved["unet"]), optimizer.load_state_dict(saved["optimizer"])
        averaged, step, spent = saved["averaged"], saved["step"], saved["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes spent")
    alphas = scheduler().alphas_cumprod.to(device)
    bank = Bank(args.run, args.scenes, encoder, args.objects, args.seed)
    start, told, saved_at, average = time.time() - spent, time.time(), time.time(), None
    began = step
    while (fraction := (time.time() - start) / (args.minutes * 60)) < 1:
        factor = min(1.0, (step + 1) / 50) * (1 - max(0.0, fraction - 0.35) / 0.65) + 1e-3
        clean, ids = (x.to(device) for x in bank.draw(args.batch))
        clean = clean.contiguous(memory_format=torch.channels_last)
        timestep = torch.randint(0, len(alphas), (len(clean),), device=device)
        signal, noise_level = alphas[timestep].sqrt()[:, None, None, None], (1 - alphas[timestep]).sqrt()[:, None, None, None]
        noise = torch.randn_like(clean)
        with torch.autocast(device, torch.bfloat16):
            context = text(ids).last_hidden_state
            prediction = unet(signal * clean + noise_level * noise, timestep, context).sample.float()
        loss = (prediction - (signal * noise - noise_level * clean)).square().mean()
        loss.backward()
        optimizer.step(factor)
        step += 1
        decay = min(0.998, (step + 1) / (step + 20))
        torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - decay)
        average = loss.item() if average is None else average + 0.02 * (loss.item() - average)
        if time.time() - told > 30:
            told = time.time()
            rate = (step - began) * args.batch / (told - start - spent)
            print(f"step {step} {fraction:.1%} loss {average:.4f} {rate:.1f} pictures/s", flush=True)
        if time.time() - saved_at > 300:
            saved_at = time.time()
            keep(state, {"text": text.state_dict(), "unet": unet.state_dict(), "optimizer": optimizer.state_dict(),
                         "averaged": averaged, "step": step, "spent": time.time() - start})  # fmt: skip
            save(args.run, tokens, vae, text, unet, averaged, args.objects)
    save(args.run, tokens, vae, text, unet, averaged, args.objects)
    print(f"done: {args.run / 'checkpoint'}")


if __name__ == "__main__":
    main()
