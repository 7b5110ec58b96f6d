"""Output directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import UsageError


def refuse_unsafe(out: Path, force: bool, source: str | None) -> None:
    """Refuses an `out` whose replacement would lose something."""
    if source is not None and Path(source).is_dir():
        inside = Path(source).resolve()
        if out.resolve() == inside or inside in out.resolve().parents or out.resolve() in inside.parents:
            raise UsageError(f"--out {out}: overlaps --source; name another directory")
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a directory")
    if not any(out.iterdir()):
        return
    if not force:
        raise UsageError(f"--out {out}: not empty; add --force to replace it")
    # --force with a mistyped path must not empty a home directory.
    if not (out / "model_index.json").exists():
        raise UsageError(f"--out {out}: not empty and not a model directory; --force replaces only those")


@contextlib.contextmanager
def new_directory(out: Path) -> Iterator[Path]:
    """A scratch directory that becomes `out` in one rename when the block ends well, else vanishes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        yield fresh
        fresh.chmod(0o755)  # mkdtemp's is private
        old = None
        if out.exists():
            old = fresh.with_name(fresh.name + ".old")
            out.rename(old)
        try:
            fresh.rename(out)
        except OSError:
            if old is not None:
                old.rename(out)
            raise
        if old is not None:
            shutil.rmtree(old)
        handle = os.open(out.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
