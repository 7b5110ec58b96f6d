"""`SHA256SUMS`: what each file of a directory was when it was written.

As `sha256sum` writes it, so that `sha256sum --check SHA256SUMS` reads it; `easel doctor` does, too.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write(directory: Path) -> None:
    """Lists all files of the directory with their SHA-256, in the order of their names."""
    files = {p.relative_to(directory).as_posix(): p for p in directory.rglob("*") if p.is_file() and p.name != NAME}
    lines = [f"{_sum(files[name])}  {name}\n" for name in sorted(files)]
    (directory / NAME).write_text("".join(lines), encoding="utf-8")


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):  # weights may be larger than the memory
            digest.update(part)
    return digest.hexdigest()
