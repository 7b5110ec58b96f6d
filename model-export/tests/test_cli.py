"""Wrong calls: one line, the right exit code, nothing written, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from easel_export.architectures import KINDS
from easel_export.cli import RANDOM_KINDS, main
from easel_export.directory import new_directory


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ([], "--source"),
        (["--source", "nowhere", "--out", "x"], "--precision"),
        (["--source", "no/such/dir", "--out", "OUT", "--precision", "int8"], "no/such/dir"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "int4"], "int4"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--size", "17"], "multiple of 4"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--size", "0"], "--size"),
        (["--source", "SOURCE", "--out", "SOURCE/out", "--precision", "fp32"], "overlaps"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "int8", "--target-error", "nan"], "--target-error"),
        (["--source", "EMPTY", "--out", "OUT", "--precision", "int8"], "model_index.json"),
        (["--random", "sdxl", "--out", "OUT", "--unet-only"], "--precision"),
        (["--random", "tiny", "--out", "OUT", "--precision", "fp32", "--component", "text_encoder_2"], "unet, vae_decoder"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--controlnet", "random"], "--random"),
        (["--random", "tiny", "--out", "OUT", "--controlnet", "SOURCE"], "--precision"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--ip-adapter", "random-plus"], "--random"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--ip-adapter", "no/such/file"], "no/such/file"),
        (["--source", "SOURCE", "--out", "OUT", "--precision", "fp32", "--image-encoder", "SOURCE"], "--ip-adapter"),
    ],
)
def test_wrong_calls(call: list[str], words: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    places = {"SOURCE": str(source), "OUT": str(tmp_path / "out"), "EMPTY": str(tmp_path / "empty")}
    for mark, place in places.items():
        call = [argument.replace(mark, place) for argument in call]
    assert main(call) == 2
    error = capsys.readouterr().err
    assert error.startswith("easel_export: ") and error.count("\n") == 1 and words in error
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_help_lists_every_random_kind() -> None:
    assert RANDOM_KINDS == KINDS


def test_force_replaces_model_directories_only(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    call = ["--random", "tiny", "--out", str(out)]
    assert main(call) == 0
    assert main(call) == 2 and "--force" in capsys.readouterr().err
    (out / "stale").touch()
    assert main([*call, "--force"]) == 0 and not (out / "stale").exists()
    (out / "model_index.json").unlink()
    assert main([*call, "--force"]) == 2 and "not a model directory" in capsys.readouterr().err
    assert (out / "unet").exists() and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_old_directory(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(RuntimeError), new_directory(out) as fresh:
        (fresh / "new").touch()
        raise RuntimeError
    assert [p.name for p in out.iterdir()] == ["old"] and [p.name for p in tmp_path.iterdir()] == ["out"]
