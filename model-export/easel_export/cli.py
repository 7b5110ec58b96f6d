"""The command line, and the one order in which an export happens."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import ExportError, UsageError

# Above it, calibration and self-check run on small latents, or the layer test takes hours.
BIG_UNET = 200_000_000
RANDOM_KINDS = ("sd15", "sd21", "tiny", "tiny-sd21", "tiny-taesd")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:  # one line, without the usage block
        raise UsageError(f"{message}; see python -m easel_export --help")


def parser() -> argparse.ArgumentParser:
    p = _Parser(
        prog="python -m easel_export",
        description="Turns a diffusers Stable Diffusion checkpoint into a model directory for easel.",
        epilog="Exit codes: 0 done, 2 the call or the source is wrong, 1 it failed.",
    )
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--source", metavar="DIR|HUB_ID", help="diffusers checkpoint, Stable Diffusion 1.x or 2.x type")
    source.add_argument("--random", choices=RANDOM_KINDS, help="make a checkpoint of this architecture with random weights")
    p.add_argument("--out", type=Path, metavar="DIR", help="where to write; with --random the default is test-models/KIND[-PRECISION]")
    p.add_argument("--precision", choices=("fp32", "fp16", "int8"), help="how weights are stored; without it --random writes the diffusers checkpoint itself")
    p.add_argument("--size", type=int, metavar="N", help="default picture size in pixels, N x N (any other works, too)")
    p.add_argument("--force", action="store_true", help="replace --out when it already is a model directory")
    p.add_argument("--seed", type=int, default=0, help="of --random's weights (default 0)")
    int8 = p.add_argument_group("int8")
    int8.add_argument("--target-error", type=float, default=0.02, metavar="E",
                      help="relative output error allowed for a component; sensitive layers stay float32 to reach it (default 0.02)")
    int8.add_argument("--max-float", type=float, default=0.1, metavar="SHARE",
                      help="largest share of a component's weights that may stay float32 for it (default 0.1)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    try:
        with contextlib.suppress(ValueError):  # not the main thread: no signals there
            signal.signal(signal.SIGTERM, _interrupt)
        _run(parser().parse_args(arguments))
        return 0
    except UsageError as error:
        return _fail(str(error), 2)
    except ExportError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; nothing was written", 1)
    except MemoryError:
        return _fail("out of memory", 1)
    except OSError as error:
        return _fail(str(error), 1)


def _interrupt(*_: Any) -> None:
    """A polite kill cleans up like Ctrl-C does."""
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    print(f"easel_export: {message}", file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> None:
    if options.random is None:
        for flag in ("out", "precision"):
            if getattr(options, flag) is None:
                raise UsageError(f"--source needs --{flag}; see python -m easel_export --help")
    elif options.out is None:
        options.out = Path("test-models") / "-".join(filter(None, (options.random, options.precision)))
    if options.target_error < 0 or not 0 <= options.max_float <= 1:
        raise UsageError("--target-error must be at least 0, --max-float between 0 and 1")
    if options.size is not None and not 1 <= options.size <= 8192:
        raise UsageError(f"--size {options.size}: must be between 1 and 8192 pixels")
    out = options.out.expanduser().absolute()
    refuse_unsafe(out, options.force, options.source)
    _quiet()

    with new_directory(out) as fresh:
        if options.random is None:
            export_checkpoint(options.source, fresh, options)
        elif options.precision is None:
            from .random_checkpoint import build

            build(options.random, fresh, options.seed)
        else:
            from .random_checkpoint import build

            with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
                source = Path(scratch) / f"random-{options.random}"
                build(options.random, source, options.seed)
                export_checkpoint(str(source), fresh, options)
    print(f"wrote {options.out}")


def export_checkpoint(source: str, out: Path, options: argparse.Namespace) -> None:
    """Exports `source` into the empty directory `out`: the whole way, stage by stage."""
    import torch
    from tqdm import tqdm

    from . import check, checkpoint as checkpoints, export, layout, loop, manifest, quantize

    checkpoint = checkpoints.load(source)
    values = manifest.defaults(checkpoint, options.size)
    scene = calibration(checkpoint, values)
    engine, calls = loop.recording(loop.torch_engine(checkpoint))
    pictures = loop.paint(engine, checkpoint, scene)

    parts = export.components(checkpoint)
    choices: dict[str, quantize.Choice] = {}
    if options.precision == "int8":
        for part in parts:
            layers = quantize.candidates(decoder_side(part.module))
            run = replay(part, calls[part.name])
            choices[part.name] = quantize.choose(part.name, layers, run, options.target_error, options.max_float)

    layout.copy_parts(checkpoint, out)
    for part in tqdm(parts, desc="exporting", unit="component"):
        storage = {"*": "float16"} if options.precision == "fp16" else {}
        if part.name in choices:
            storage = {layer: "int8" for layer in choices[part.name].quantized()}
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            traced = export.trace(part, Path(scratch))
            export.rewrite(part, traced, out / part.name, storage)
        quantize.round_weights(part.module, storage)

    with torch.no_grad():
        report = check.check(checkpoint, out, options.precision, calls, pictures, scene)
    content = manifest.build(checkpoint, options.precision, options.size, choices, report)
    manifest.write(content, out / "easel.json")


def calibration(checkpoint: Any, values: dict[str, Any]) -> Any:
    """The scene for calibration and self-check, sized to the model.

    Small models: four prompts at the default size, eight steps. Big ones: one prompt on latents
    of 16 x 16 cells, two steps; weights see fewer activations, but every kind of them.
    """
    from . import loop

    weights = sum(p.numel() for p in checkpoint.unet.parameters())
    cells = checkpoint.size_multiple() // checkpoint.vae_factor
    if weights > BIG_UNET:
        side = max(16, cells)
        return loop.scene(checkpoint, 1, (side, side), 2, values["guidance"])
    # Whole multiples only: the traced graph halves evenly on every level.
    sides = (max(1, min(values[k] // checkpoint.vae_factor, 64) // cells) * cells for k in ("height", "width"))
    return loop.scene(checkpoint, 4, tuple(sides), 8, values["guidance"])


def decoder_side(module: Any) -> Any:
    """`module` without the half that is not exported: an autoencoder's encoder."""
    import torch

    if not hasattr(module, "decoder"):
        return module
    # Same names as in the whole, as the tracer sees them.
    half = torch.nn.Module()
    for name in ("post_quant_conv", "decoder"):
        if isinstance(getattr(module, name, None), torch.nn.Module):
            half.add_module(name, getattr(module, name))
    return half


def replay(part: Any, calls: Any) -> Any:
    """The component's outputs on its calibration calls, as one tensor."""
    import torch

    @torch.no_grad()
    def run() -> Any:
        outputs = (part.forward(*inputs) for inputs in calls.inputs)
        return torch.cat([o[0] if isinstance(o, tuple) else o for o in outputs])

    return run


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


def _quiet() -> None:
    """Keeps third-party chatter off the terminal; errors still come as exceptions."""
    import logging

    warnings.filterwarnings("ignore")
    logging.getLogger("optimum").setLevel(logging.ERROR)
    for line in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
        os.environ.setdefault(line, "error")
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
