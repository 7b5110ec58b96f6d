"""How far easel's networks are from the float32 ones in ONNX Runtime, on the same inputs.

    cargo build --release
    python benches/error.py --fp32 MODEL-fp32 --int8 MODEL-int8 --size 256x256

easel prints no network's output, but saves latents. Here it paints, without guidance, one step of a scheduler whose result *is*
the prediction: DDIM for a model that predicts v, on a schedule that ends in pure noise. Its last timestep T has alpha bar 0, so
clean latents = sqrt(0)·x - sqrt(1)·v, and the step after it is alpha bar 1: what is saved is -v, to the last bit. A schedule of
T + 1 timesteps with trailing spacing makes that one step at T, any T; the network does not know what its output is taken for.
easel then decodes those latents, which ONNX Runtime decodes as well.

The model that easel gets is a folder of links: the scheduler is the above, U-Net and decoder are of the directory to be judged,
the text encoder is the float32 one (`--own-text`: the judged one's, so that its error counts too). In the table, error is
|a - b| / |b| over the whole prediction (2-norms), b by ONNX Runtime from --fp32; PSNR is of 8-bit pictures of the same latents.

Needs onnxruntime, onnx, pillow and numpy (easel's .venv has them), openvino for engines of that name.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import components
import engines
from engines import ENGINES, EngineError, Feed

PROMPT = "a"
Row = tuple[str, float, float]  # name, relative error of the U-Net, PSNR of the decoder


def probe(folder: Path, model: Path, text: Path, timestep: int) -> Path:
    """A model directory that paints minus its own prediction at `timestep` in one step."""
    for name in ("unet", "vae_decoder", "tokenizer", "model_index.json", "easel.json"):
        if (model / name).exists():
            (folder / name).symlink_to((model / name).resolve())
    (folder / "text_encoder").symlink_to((text / "text_encoder").resolve())
    (folder / "scheduler").mkdir()
    scheduler = {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": timestep + 1,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "set_alpha_to_one": True,
        "clip_sample": False,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    }
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def easel(target: components.Target, noise: np.ndarray, args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and decoded picture, `[h, w, 3]` bytes."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        linked = folder / "model"
        linked.mkdir()
        probe(linked, target.model, target.model if args.own_text else args.fp32, args.timestep)
        np.save(folder / "noise.npy", noise)
        command = [str(target.binary), "paint", PROMPT, "--model", str(linked), "--size", f"{args.size[0]}x{args.size[1]}"]
        command += ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--threads", str(args.threads), "--quiet"]
        command += ["--latents", str(folder / "noise.npy"), "--save-latents", str(folder / "out.npy"), "--out", str(folder / "out.png")]
        ran = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if ran.returncode:
            raise EngineError(f"{target.name} ended with code {ran.returncode} (see above)")
        return -np.load(folder / "out.npy"), np.asarray(Image.open(folder / "out.png").convert("RGB"))


def once(name: str, component: str, feed: Feed, args: argparse.Namespace) -> np.ndarray:
    """One pass of an engine, which is let go afterwards."""
    return engines.open_pass(name, components.model_file(name, component, args), feed, args.threads)(feed)


def prompt_ids(model: Path) -> np.ndarray:
    """Of `PROMPT`. A letter by itself is always one token, so that this needs no tokenizer."""
    vocabulary = engines.read_json(model / "tokenizer/vocab.json")
    said = engines.read_json(model / "tokenizer/tokenizer_config.json")
    length = engines.read_json(model / "text_encoder/config.json")["max_position_embeddings"]
    special = (said.get(f"{kind}_token", "<|endoftext|>") for kind in ("bos", "eos", "pad"))
    begin, end, pad = (vocabulary[t["content"] if isinstance(t, dict) else t] for t in special)
    return np.array([[begin, vocabulary[f"{PROMPT}</w>"], end] + [pad] * (length - 3)])


def picture(latents: np.ndarray, model: Path, decode: Callable[[Feed], np.ndarray]) -> np.ndarray:
    """Of latents in the sampler's scale; rounded as easel and diffusers do."""
    feed = {"latent_sample": decoder_scale(latents, model)}
    planes = decode(feed)[0].transpose(1, 2, 0)
    return np.rint((planes / 2 + 0.5).clip(0, 1) * 255).astype(np.uint8)


def decoder_scale(latents: np.ndarray, model: Path) -> np.ndarray:
    """From the sampler's scale."""
    config = engines.read_json(model / "vae_decoder/config.json")
    return latents / np.float32(config.get("scaling_factor") or 1) + np.float32(config.get("shift_factor") or 0)


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """Relative, of the whole."""
    ours, reference = ours.astype(np.float64), reference.astype(np.float64)
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def psnr(ours: np.ndarray, reference: np.ndarray) -> float:
    """Of bytes, dB; 99 when equal."""
    square = ((ours.astype(np.float64) - reference) ** 2).mean()
    return float(10 * np.log10(255**2 / square)) if square else 99.0


def measure(args: argparse.Namespace) -> tuple[list[Row], dict[str, float]]:
    """The table, and how far apart the values of the reference are (which says whether errors mean much)."""
    targets = [components.Target.parse(text, args.int8) for text in args.easel]
    noise = np.random.default_rng(args.seed).standard_normal(engines.latent_shape(args.fp32, args.size), np.float32)
    components.say("text_encoder: ort-fp32")
    text = once("ort-fp32", "text_encoder", {"input_ids": prompt_ids(args.fp32)}, args)
    feed = {"sample": noise, "timestep": np.array(args.timestep), "encoder_hidden_states": text}
    components.say("unet: ort-fp32")
    reference = once("ort-fp32", "unet", feed, args)
    latents = -reference
    scaled = {"latent_sample": decoder_scale(latents, args.fp32)}
    components.say("vae_decoder: ort-fp32")
    decode = engines.open_pass("ort-fp32", components.model_file("ort-fp32", "vae_decoder", args), scaled, args.threads)
    wanted = picture(latents, args.fp32, decode)

    rows = []
    for target in targets:
        components.say(f"painting: {target.name}")
        prediction, painted = easel(target, noise, args)
        same_latents = picture(-prediction, args.fp32, decode)
        rows.append((target.name, error(prediction, reference), psnr(painted, same_latents)))
    del decode
    for name in args.engines:
        components.say(f"unet, vae_decoder: {name}")
        prediction = once(name, "unet", feed, args)
        painted = picture(latents, args.fp32, lambda given, name=name: once(name, "vae_decoder", given, args))
        rows.append((name, error(prediction, reference), psnr(painted, wanted)))
    return rows, {"prediction_std": float(reference.std()), "picture_std": float(wanted.std())}


def table(rows: list[Row]) -> str:
    """As markdown."""
    lines = ["| | U-Net, relative error | decoder, PSNR, dB |", "|---|---|---|"]
    lines += [f"| {name} | {unet:.2e} | {'equal' if vae == 99 else f'{vae:.1f}'} |" for name, unet, vae in rows]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """The command line."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--fp32", type=Path, required=True, metavar="DIR", help="model directory in float32: the reference")
    args.add_argument("--int8", type=Path, required=True, metavar="DIR", help="the same model in int8")
    args.add_argument("--size", type=engines.size, default=(256, 256), metavar="WxH", help="pixels of the picture (default 256x256)")
    args.add_argument("--timestep", type=engines.count, default=500, help="at which the U-Net predicts (default 500)")
    args.add_argument("--seed", type=int, default=0, help="of the noise")
    args.add_argument("--threads", type=engines.count, default=2)
    args.add_argument("--own-text", action="store_true", help="easel uses the text encoder of the directory that it is given")
    args.add_argument("--engines", nargs="*", default=["ort-dynamic"], choices=ENGINES, metavar="ENGINE",
                      help=f"compared as well, of {' '.join(ENGINES)} (default ort-dynamic)")
    args.add_argument("--easel", action="append", metavar="TARGET",
                      help="[NAME=]PATH[:MODELDIR], as of components.py (default target/release/easel with --int8, then with --fp32)")
    args.add_argument("--cache", type=Path, default=components.CACHE, metavar="DIR", help="where files made from --fp32 are kept")
    args.add_argument("--json", action="store_true", help="JSON instead of the table")
    args = args.parse_args()
    if args.easel is None:
        binary = components.ROOT / "target/release/easel"
        args.easel = [f"easel, int8={binary}:{args.int8}", f"easel, fp32={binary}:{args.fp32}"]
    return args


def main() -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong call."""
    args = parse()
    try:
        rows, scale = measure(args)
    except EngineError as failed:
        print(f"error.py: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps({"rows": {name: {"unet_error": unet, "vae_psnr": vae} for name, unet, vae in rows}, **scale}))
        return 0
    print(f"{args.size[0]}x{args.size[1]}, timestep {args.timestep}; the reference prediction has standard deviation "
          f"{scale['prediction_std']:.3g}, its picture {scale['picture_std']:.3g} of 255\n\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
