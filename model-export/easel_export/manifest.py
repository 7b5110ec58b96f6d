"""`easel.json`: what an exported directory says about itself.

`defaults` is how easel paints when not told otherwise; `layers` and `check` are the
measurements behind the precision. No times and no paths: equal exports are equal bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from . import UsageError, __version__
from .checkpoint import Source
from .sensitivity import Choice

FORMAT = 1

# diffusers class -> easel's name of the scheduler.
SCHEDULERS = {
    "DDPMScheduler": "ddpm",
    "DDIMScheduler": "ddim",
    "EulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler-ancestral",
    "DPMSolverMultistepScheduler": "dpmpp-2m",
    "DPMSolverSDEScheduler": "dpmpp-sde",
    "LCMScheduler": "lcm",
    "UniPCMultistepScheduler": "unipc",
    "DEISMultistepScheduler": "deis",
    "HeunDiscreteScheduler": "heun",
    "LMSDiscreteScheduler": "lms",
    "KDPM2DiscreteScheduler": "kdpm2",
    "KDPM2AncestralDiscreteScheduler": "kdpm2-ancestral",
    "DPMSolverSinglestepScheduler": "dpmpp-2s",
    "TCDScheduler": "tcd",
    "PNDMScheduler": "pndm",
    "FlowMatchEulerDiscreteScheduler": "flow-euler",
}


def scheduler_name(config: dict[str, Any]) -> str | None:
    """easel's name of the configured scheduler, None where it has no equal."""
    name = SCHEDULERS.get(config.get("_class_name", ""))
    if name == "dpmpp-2s" and str(config.get("algorithm_type", "")).startswith("sde"):
        return "dpmpp-2s-sde"
    if name == "dpmpp-2m":
        if str(config.get("algorithm_type", "")).startswith("sde"):
            return None
        if config.get("use_karras_sigmas"):
            return "dpmpp-2m-karras"
    return name


def defaults(source: Source, size: int | None) -> dict[str, Any]:
    """Size, steps, guidance and scheduler: `--size`, then the source's own `easel.json`, then what its configurations say."""
    family = source.family
    config = source.configs[family.denoiser]
    sample = config.get("sample_size") or config.get("image_size") or family.sample_size
    height, width = sample if isinstance(sample, (list, tuple)) else (sample, sample)
    factor = source.vae_factor()
    values = {"width": width * factor, "height": height * factor}
    values |= family.defaults(source.configs)
    name = scheduler_name(source.configs["scheduler"])
    if name:
        values["scheduler"] = name
    values |= source.manifest.get("defaults", {})
    if size is not None:
        values |= {"width": size, "height": size}
    multiple = source.size_multiple()
    for key in ("width", "height"):
        if values[key] <= 0 or values[key] % multiple:
            raise UsageError(
                f"size {values[key]}: must be a positive multiple of {multiple} for this checkpoint; set --size")
    return values


def describe(source: Source, precision: str, size: int | None) -> dict[str, Any]:
    """The manifest but for measurements; unknown keys of the source's own (`latent_rgb_factors` …) are kept."""
    own = {key: value for key, value in source.manifest.items() if key not in ("layers", "quantization", "check")}
    return own | {
        "format": FORMAT,
        "precision": precision,
        "source": source.name,
        "defaults": defaults(source, size),
        "size_multiple": source.size_multiple(),
        "exporter": versions(),
    }


def measurements(choices: dict[str, Choice], check: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the layers and of the self-check."""
    measured: dict[str, Any] = {"check": rounded(check)}
    if choices:
        measured["layers"] = {
            name: {
                layer: {"stored": "float32" if layer in choice.kept else "int8", "error": rounded(error)}
                for layer, error in choice.errors.items()
            }
            for name, choice in choices.items()
        }
        measured["quantization"] = {
            name: {
                "target": c.target, "error": rounded(c.measured),
                "float_layers": len(c.kept), "int8_layers": len(c.quantized()),
            }
            for name, c in choices.items()
        }
    return measured


def versions() -> dict[str, str]:
    """Everything that decides the exported bytes."""
    packages = ("torch", "diffusers", "transformers", "tokenizers", "onnx", "onnxruntime")
    # The local part ("+cpu") is the machine's, not the release's.
    return {"easel_export": __version__} | {p: importlib.metadata.version(p).split("+")[0] for p in packages}


def rounded(value: Any) -> Any:
    """`value` with floats cut to three significant digits: measurements, not identities."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def write(manifest: dict[str, Any], path: Path) -> None:
    """Writes `manifest`; one line a leaf object, so that the layer table reads as a table."""
    path.write_text(_pretty(manifest) + "\n", encoding="utf-8")


def _pretty(value: Any, indent: int = 0) -> str:
    if isinstance(value, dict) and any(isinstance(v, (dict, list)) for v in value.values()):
        pad = "  " * (indent + 1)
        lines = [f"{pad}{json.dumps(k)}: {_pretty(v, indent + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * indent + "}"
    return json.dumps(value, ensure_ascii=False)
