"""easel beside ONNX Runtime: the same model directory, prompt, noise, steps and guidance, in turns, one process a picture.

    cargo build --release && .venv/bin/python benches/beside_onnxruntime.py [--model models/pocket] [--rounds 7] [--threads 2]

Each round paints once with either (A B A B …), so that a slow moment of the machine hits both. Times are of the process's own
stages; `wall` and peak memory (`ru_maxrss`) are what the operating system counts for the whole process. The two pictures are
compared at the end. The ONNX Runtime side is this file too (`--engine`): numpy and onnxruntime alone, no torch, DDIM written out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
STAGES = ("load", "text", "denoise", "decode", "wall", "MiB")


def onnxruntime_picture(args) -> None:
    """Paints `args.latents` with ONNX Runtime; prints the stages as JSON."""
    begun = time.perf_counter()
    import onnxruntime
    from tokenizers import Tokenizer

    def session(part: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = args.threads, 3
        return onnxruntime.InferenceSession(str(args.model / part / "model.onnx"), options, ["CPUExecutionProvider"])

    text, unet, vae = (session(part) for part in ("text_encoder", "unet", "vae_decoder"))
    tokens = Tokenizer.from_file(str(args.model / "tokenizer/tokenizer.json"))
    length = json.loads((args.model / "text_encoder/config.json").read_text())["max_position_embeddings"]
    defaults = json.loads((args.model / "easel.json").read_text())["defaults"]
    alphas = alphas_cumprod(json.loads((args.model / "scheduler/scheduler_config.json").read_text()))
    vae_config = json.loads((args.model / "vae_decoder/config.json").read_text())
    loaded = time.perf_counter()

    end = tokens.token_to_id("<|endoftext|>")
    ids = [tokens.encode(t).ids[:length] for t in ("", args.prompt)]
    context = text.run(None, {"input_ids": np.array([i[:-1] + [end] * (length - len(i) + 1) for i in ids], np.int64)})[0]
    encoded = time.perf_counter()

    steps, scale = defaults["steps"], defaults["guidance"]
    latents = np.load(args.latents)
    timesteps = np.round(np.arange(len(alphas), 0, -len(alphas) / steps)).astype(np.int64) - 1  # trailing
    for at, t in enumerate(timesteps):
        kind = np.float32 if unet.get_inputs()[1].type == "tensor(float)" else np.int64
        feed = {"sample": np.concatenate([latents, latents]), "timestep": np.array(t, kind), "encoder_hidden_states": context}
        plain, prompted = np.split(unet.run(None, feed)[0], 2)
        v = plain + scale * (prompted - plain)
        alpha, after = alphas[t], alphas[timesteps[at + 1]] if at + 1 < steps else 1.0
        clean = np.sqrt(alpha) * latents - np.sqrt(1 - alpha) * v
        noise = np.sqrt(alpha) * v + np.sqrt(1 - alpha) * latents
        latents = (np.sqrt(after) * clean + np.sqrt(1 - after) * noise).astype(np.float32)
    denoised = time.perf_counter()

    picture = vae.run(None, {"latent_sample": latents / np.float32(vae_config["scaling_factor"])})[0][0]
    decoded = time.perf_counter()
    np.save(args.engine, np.rint((picture.transpose(1, 2, 0) / 2 + 0.5).clip(0, 1) * 255).astype(np.uint8))
    stamps = [begun, loaded, encoded, denoised, decoded]
    print(json.dumps(dict(zip(STAGES, (1e3 * (b - a) for a, b in zip(stamps, stamps[1:])), strict=False))))


def alphas_cumprod(config: dict) -> np.ndarray:
    """Of a scaled-linear v-prediction schedule, rescaled to zero terminal SNR (arXiv 2305.08891, algorithm 1) if it says so."""
    known = config["beta_schedule"] == "scaled_linear" and config["prediction_type"] == "v_prediction" and config["timestep_spacing"] == "trailing"
    if not known or config["_class_name"] != "DDIMScheduler":
        raise SystemExit("beside_onnxruntime.py: only DDIM with scaled-linear betas, v-prediction and trailing spacing is written out here")
    count = config["num_train_timesteps"]
    alphas = np.cumprod(1 - np.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, count) ** 2)
    if config["rescale_betas_zero_snr"]:
        root = np.sqrt(alphas)
        alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return alphas


def timed(command: list[str]) -> tuple[str, float, float]:
    """Standard output, wall milliseconds and peak MiB of one child process."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return out, 1e3 * (time.perf_counter() - begun), usage.ru_maxrss / 1024


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", type=Path, default=ROOT / "models/pocket")
    args.add_argument("--prompt", default="three red apples on a blue background")
    args.add_argument("--rounds", type=int, default=7)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--latents", type=Path, help=argparse.SUPPRESS)
    args.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.engine:
        return onnxruntime_picture(args)
    from PIL import Image

    config = json.loads((args.model / "unet/config.json").read_text())
    side = config["sample_size"]
    results: dict[str, list[dict]] = {"easel": [], "ONNX Runtime": []}
    with tempfile.TemporaryDirectory() as folder:
        noise, ours, theirs = (Path(folder) / n for n in ("noise.npy", "easel.png", "onnxruntime.npy"))
        np.save(noise, np.random.default_rng(1).standard_normal((1, config["in_channels"], side, side), np.float32))
        common = ["--model", str(args.model), "--threads", str(args.threads), "--latents", str(noise)]
        commands = {
            "easel": [str(ROOT / "target/release/easel"), "paint", args.prompt, *common, "--out", str(ours), "--json", "--quiet"],
            "ONNX Runtime": [sys.executable, __file__, "--prompt", args.prompt, *common, "--engine", str(theirs)],
        }
        for number in range(args.rounds + 1):
            for name, command in commands.items():
                out, wall, peak = timed(command)
                said = json.loads(out)
                if number:  # the first round warms the page cache
                    results[name].append(said.get("timings_ms", said) | {"wall": wall, "MiB": peak})
        a, b = np.asarray(Image.open(ours).convert("RGB"), np.float64), np.load(theirs).astype(np.float64)
        quality = -10 * np.log10(max(((a - b) ** 2).mean(), 1e-3) / 255**2)
    print(f"{args.rounds} rounds in turns, {args.threads} threads, medians; milliseconds, MiB\n")
    print(f"| | {' | '.join(STAGES)} |\n|---|{'---|' * len(STAGES)}")
    for name, rounds in results.items():
        print(f"| {name} | {' | '.join(f'{statistics.median(r[s] for r in rounds):.0f}' for s in STAGES)} |")
    ratios = [statistics.median(x[s] / y[s] for x, y in zip(*results.values(), strict=True)) for s in STAGES]
    print(f"| easel ÷ ONNX Runtime | {' | '.join(f'{r:.2f}' for r in ratios)} |")
    print(f"\nThe two pictures differ by {quality:.1f} dB PSNR.")


if __name__ == "__main__":
    main()
