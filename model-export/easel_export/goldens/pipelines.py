"""Whole pictures by diffusers, and the same models as ONNX: `python -m easel_export.goldens.pipelines` fills `test-models/`.

Each model has random weights and real structure (down, mid and up blocks, cross-attention, group norms, mid-block attention in
the VAE). `optimum-*` are written by optimum's own exporter and not touched; the others by `easel_export`. Beside each lie the
initial noise, the final latents of several schedulers and the decoded picture, as diffusers makes them from the same noise.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionPipeline

from easel_export import random_checkpoint

ROOT = Path(__file__).parents[3] / "test-models"
PROMPT, STEPS, GUIDANCE = "a red house and three trees", 6, 4.0
KINDS = ("tiny", "tiny-sd21", "tiny-taesd")
SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "dpmpp-2m": DPMSolverMultistepScheduler}


def reference(pipeline, folder: Path) -> None:
    """The noise that easel is given, and what diffusers makes of it."""
    unet = pipeline.unet.config
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(1, unet.in_channels, unet.sample_size, unet.sample_size, generator=generator)
    np.save(folder / "noise.npy", noise.numpy())
    stored = pipeline.scheduler.config
    for name, scheduler in SCHEDULERS.items():
        pipeline.scheduler = scheduler.from_config(stored)
        options = dict(num_inference_steps=STEPS, guidance_scale=GUIDANCE, latents=noise.clone())
        latents = pipeline(PROMPT, output_type="latent", **options).images
        np.save(folder / f"{name}.npy", latents.numpy())
        pipeline(PROMPT, **options).images[0].save(folder / f"{name}.png")
    pipeline.scheduler = type(pipeline.scheduler).from_config(stored)


def main() -> None:
    """Makes every model; what an earlier run finished stays."""
    for kind in KINDS:
        folder = ROOT / kind
        if (folder / "complete").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        checkpoint = folder / "checkpoint"
        random_checkpoint.build(kind, checkpoint)
        # From disk: diffusers treats a scheduler's options that were never written down as "not given" when it changes its class.
        pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None)
        pipeline.set_progress_bar_config(disable=True)
        reference(pipeline, folder)
        for precision in ("fp32", "fp16", "int8"):
            run("-m", "easel_export", "--source", str(checkpoint), "--out", str(folder / precision), "--precision", precision)
        if kind != "tiny-taesd":
            run("-m", "optimum.exporters.onnx", "--model", str(checkpoint), "--task", "text-to-image", str(folder / "optimum"))
        (folder / "complete").touch()
        print(f"made {folder.relative_to(ROOT.parent)}", flush=True)


def run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


if __name__ == "__main__":
    main()
