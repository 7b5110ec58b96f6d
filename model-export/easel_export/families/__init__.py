"""The families of models that easel paints with, one description each, and which of them a checkpoint belongs to.

To add one: a module like `sd.py`, and a line in `FAMILIES`.
"""

from __future__ import annotations

from typing import Any

from .. import UsageError
from . import flux, minit2i, pixart, sd, sd3, sdxl
from .family import Configs, Family, Part, halvings, pixels_per_latent

# What the name of a diffusers pipeline begins with -> its family; the first that fits.
FAMILIES: dict[str, Family] = {
    "StableDiffusionXL": sdxl.FAMILY, "StableDiffusion3": sd3.FAMILY, "Flux": flux.FAMILY,
    "PixArtAlpha": pixart.ALPHA, "PixArtSigma": pixart.SIGMA, "MiniT2I": minit2i.FAMILY, "": sd.FAMILY}

# Present in many checkpoints, no part of text to image.
IGNORED = {"safety_checker", "feature_extractor", "image_encoder", "requires_safety_checker"}

__all__ = ["FAMILIES", "Configs", "Family", "Part", "halvings", "pixels_per_latent", "recognise"]


def recognise(index: dict[str, Any], alone: bool = False) -> Family:
    """The family of a `model_index.json`, without what is optional and not there. What easel cannot run is refused here, by the name
    of the part.

    Every part must be there, or, where single networks are exported, `alone`, what says how large pictures are.
    """
    pipeline = index.get("_class_name", "unnamed pipeline")
    parts = {key: value[1] for key, value in index.items() if isinstance(value, list) and len(value) == 2 and value[1] is not None}
    family = next(family for start, family in FAMILIES.items() if pipeline.startswith(start)).without(lambda name: name not in parts)
    # Any scheduler: one that cannot be painted with fails there, by name.
    known: dict[str, tuple[str, ...] | None] = {"scheduler": None}
    known |= family.tokenizers
    known |= {part.origin: part.classes for part in family.parts}
    needed = ("scheduler", *family.always) if alone else tuple(known)
    ends = f"easel_export takes {' and '.join(sorted({f.title for f in FAMILIES.values()}))} type text-to-image checkpoints"
    for key, name in parts.items():
        if key not in known and key not in IGNORED:
            raise UsageError(f"{pipeline}: component `{key}` ({name}) is not supported; {ends}")
    for key, classes in known.items():
        if key not in parts:
            if key in needed:
                raise UsageError(f"{pipeline}: component `{key}` is missing; {ends}")
        elif classes is not None and parts[key] not in classes:
            raise UsageError(f"{pipeline}: `{key}` is a {parts[key]}, only {' or '.join(sorted(classes))} is supported; {ends}")
    return family
