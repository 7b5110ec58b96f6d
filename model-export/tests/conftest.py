"""Checkpoints and exports are made once a run; the tests read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from easel_export.cli import main

# Tiny networks: a second thread would only wait for the first.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="session")
def source(root: Path) -> Path:
    """A tiny Stable Diffusion 1.x checkpoint with a manifest of its own."""
    out = root / "source"
    assert main(["--random", "tiny", "--out", str(out)]) == 0
    (out / "easel.json").write_text(
        '{"format": 1, "defaults": {"steps": 3, "guidance": 4.0, "width": 16, "height": 16},'
        ' "latent_rgb_factors": [[1, 2, 3]], "latent_rgb_bias": [0, 0, 0]}'
    )
    return out


@pytest.fixture(scope="session")
def exported(root: Path, source: Path) -> dict[str, Path]:
    """`source` in every precision."""
    outs = {}
    for precision in ("fp32", "fp16", "int8"):
        outs[precision] = root / precision
        assert main(["--source", str(source), "--out", str(outs[precision]), "--precision", precision]) == 0
    return outs
