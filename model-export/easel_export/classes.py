"""Networks and pipelines by the names of their classes: diffusers', and those that it lacks."""

from __future__ import annotations

from typing import Any


def find_class(name: str) -> Any:
    """The class of this name."""
    import diffusers

    from . import minit2i

    return getattr(minit2i, name) if name.startswith("MiniT2I") else getattr(diffusers, name)
