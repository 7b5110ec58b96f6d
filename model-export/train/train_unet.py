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
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel

import scenes
import tokenizer as captions

WIDTH = 192  # of the text encoder
EMPTY = 0.1  # fraction of captions left out


class Bank:
    """Scenes with their latents, encoded once: encoding costs as much as a training step. Captions are worded anew at each draw."""

    def __init__(self, path: Path, size: int, tokens, vae, object_count: int, seed: int):
        self.tokens, self.object_count = tokens, object_count
        self.rng = random.Random(f"{seed}/captions")
        if not path.exists():
            rng = random.Random(f"{seed}/scenes")
            found, latents = [], []
            for _ in tqdm(range(0, size, 64), desc="encoding scenes"):
                batch = [scenes.sample(rng, object_count) for _ in range(64)]
                pictures = np.stack([np.asarray(scenes.render(scene, rng, object_count)) for scene in batch])
                x = torch.from_numpy(pictures).to(vae.device).permute(0, 3, 1, 2).float() / 127.5 - 1
                with torch.no_grad(), torch.autocast(vae.device.type, torch.bfloat16):
                    latents.append(vae.encode(x).latents.half().cpu() * vae.config.scaling_factor)
                found.extend(batch)
            torch.save({"scenes": found, "latents": torch.cat(latents)}, path)
        saved = torch.load(path, weights_only=False)
        self.scenes, self.latents = saved["scenes"], saved["latents"]

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents f32 [count, 4, 16, 16] of unit variance, token ids [count, 32]."""
        picks = [self.rng.randrange(len(self.scenes)) for _ in range(count)]
        texts = ["" if self.rng.random() < EMPTY else scenes.caption(self.scenes[i], self.rng, self.object_count) for i in picks]
        ids = self.tokens(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.latents[picks].float(), ids


def networks(tokens) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3, num_attention_heads=6,
        max_position_embeddings=captions.MAX_LENGTH, bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id, projection_dim=WIDTH,
    ))  # fmt: skip
    # CLIP starts its embeddings at 0.02; ours learn from nothing in little time, so they start where layer norm leaves them.
    torch.nn.init.normal_(text.text_model.embeddings.token_embedding.weight, std=0.2)
    unet = UNet2DConditionModel(
        sample_size=scenes.SIZE // 8, in_channels=4, out_channels=4, block_out_channels=(64, 128, 256), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=(2, 4, 8), norm_num_groups=16, use_linear_projection=True,
    )  # fmt: skip
    return text, unet


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
    )  # fmt: skip


def preview_factors(vae: AutoencoderTiny, latents: torch.Tensor, pictures: torch.Tensor) -> dict:
    """Least-squares map from a latent to the mean colour under it: easel's cheap preview while painting."""
    colours = torch.nn.functional.avg_pool2d(pictures, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    known = torch.cat([flat, torch.ones(len(flat), 1)], dim=1)
    solution = torch.linalg.lstsq(known, colours).solution
    return {"latent_rgb_factors": solution[:-1].tolist(), "latent_rgb_bias": solution[-1].tolist()}


def save(run: Path, tokens, vae, text, unet, name: str = "checkpoint") -> None:
    """A diffusers directory plus `easel.json`, as `easel_export --source` takes it."""
    out = run / name
    contiguous = copy.deepcopy(unet).to("cpu", memory_format=torch.contiguous_format)
    StableDiffusionPipeline(
        vae=vae, text_encoder=copy.deepcopy(text).cpu(), tokenizer=tokens, unet=contiguous, scheduler=scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(out)  # fmt: skip
    (out / "tokenizer" / "tokenizer.json").write_bytes((run / "tokenizer" / "tokenizer.json").read_bytes())
    rng = random.Random(11)
    some = [scenes.render(scenes.sample(rng, 104), rng, 104) for _ in range(64)]
    pictures = torch.stack([torch.from_numpy(np.asarray(p).transpose(2, 0, 1).copy()) for p in some]).float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pictures).latents * vae.config.scaling_factor
    manifest = {"format": 1, "defaults": {"width": scenes.SIZE, "height": scenes.SIZE, "steps": 16, "guidance": 3.0, "scheduler": "ddim"}}
    (out / "easel.json").write_text(json.dumps(manifest | preview_factors(vae, latents, pictures), indent=1))


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--run", type=Path, required=True)
    args.add_argument("--minutes", type=float, default=60, help="in all; the learning rate falls to its end by then")
    args.add_argument("--objects", type=int, default=104)
    args.add_argument("--scenes", type=int, default=16384, help="made and encoded once, then drawn from")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--lr", type=float, default=8e-4)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    tokens = captions.make(args.run / "tokenizer")
    vae = AutoencoderTiny.from_pretrained(args.run / "vae").eval().requires_grad_(False)
    encoder = copy.deepcopy(vae).to(device, memory_format=torch.channels_last)
    text, unet = (m.to(device) for m in networks(tokens))
    unet.to(memory_format=torch.channels_last)
    parameters = [*text.parameters(), *unet.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3)
    averaged = [p.detach().clone() for p in parameters]
    step, spent, state = 0, 0.0, args.run / "unet.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        text.load_state_dict(saved["text"]), unet.load_state_dict(saved["unet"]), optimizer.load_state_dict(saved["optimizer"])
        averaged, step, spent = saved["averaged"], saved["step"], saved["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes spent")
    alphas = scheduler().alphas_cumprod.to(device)
    bank = Bank(args.run / "scenes.pt", args.scenes, tokens, encoder, args.objects, args.seed)
    start, last, saved_at, average = time.time() - spent, time.time(), time.time(), None

    def averaged_weights():
        backup = [p.detach().clone() for p in parameters]
        for p, a in zip(parameters, averaged, strict=True):
            p.data.copy_(a)
        return backup

    while (fraction := (time.time() - start) / (args.minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (step + 1) / 100) * (1 - max(0.0, fraction - 0.4) / 0.6) + 1e-6
        clean, ids = (x.to(device) for x in bank.draw(args.batch))
        clean = clean.contiguous(memory_format=torch.channels_last)
        timestep = torch.randint(0, len(alphas), (len(clean),), device=device)
        signal, noise_level = alphas[timestep].sqrt()[:, None, None, None], (1 - alphas[timestep]).sqrt()[:, None, None, None]
        noise = torch.randn_like(clean)
        with torch.autocast(device, torch.bfloat16):
            context = text(ids.to(device)).last_hidden_state
            prediction = unet(signal * clean + noise_level * noise, timestep, context).sample.float()
        loss = (prediction - (signal * noise - noise_level * clean)).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step(), optimizer.zero_grad()
        step += 1
        decay = min(0.998, (step + 1) / (step + 20))
        torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - decay)
        average = loss.item() if average is None else average + 0.02 * (loss.item() - average)
        if time.time() - last > 30:
            last = time.time()
            print(f"step {step} {fraction:.1%} loss {average:.4f} {step * args.batch / (last - start):.1f} pictures/s", flush=True)
        if time.time() - saved_at > 180:
            saved_at = time.time()
            torch.save({"text": text.state_dict(), "unet": unet.state_dict(), "optimizer": optimizer.state_dict(),
                        "averaged": averaged, "step": step, "spent": time.time() - start}, state)  # fmt: skip
            backup = averaged_weights()
            save(args.run, tokens, vae, text, unet)
            for p, b in zip(parameters, backup, strict=True):
                p.data.copy_(b)
    averaged_weights()
    save(args.run, tokens, vae, text, unet)
    print(f"done: {args.run / 'checkpoint'}")


if __name__ == "__main__":
    main()
