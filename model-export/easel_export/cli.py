"""The command line: arguments, exit codes, and a directory that appears whole or not at all."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import ExportError, UsageError, checksums, directory

RANDOM_KINDS = (
    "sd15", "sd21", "sd-turbo", "lcm", "sdxl", "sdxl-turbo", "ssd1b", "vega",
    "tiny", "tiny-sd21", "tiny-taesd", "tiny-turbo", "tiny-lcm", "tiny-inpaint", "tiny-pix2pix",
    "tiny-sdxs", "tiny-bksdm", "tiny-one-level", "tiny-three-level",
    "tiny-sdxl", "tiny-sdxl-turbo", "tiny-sdxl-inpaint", "tiny-ssd1b",
    "pixart-alpha-512", "pixart-alpha", "pixart-sigma", "sd3-medium", "sd35-medium", "flux-dev", "flux-schnell", "flux-cut",
    "minit2i", "minit2i-student", "tiny-pixart", "tiny-pixart-1024", "tiny-pixart-sigma", "tiny-sd3", "tiny-sd3-no-t5", "tiny-sd35",
    "tiny-flux", "tiny-flux-schnell", "tiny-taesd3", "tiny-taef1",
    "tiny-minit2i", "tiny-minit2i-student",
)


# In an adapter's place, one of random weights.
RANDOM, RANDOM_PLUS = "random", "random-plus"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:  # one line, without the usage block
        raise UsageError(f"{message}; see python -m easel_export --help")


def parser() -> argparse.ArgumentParser:
    p = _Parser(
        prog="python -m easel_export",
        description="Turns a diffusers checkpoint into a model directory for easel: Stable Diffusion, SDXL, SD3, Flux, PixArt, MiniT2I.",
        epilog="Exit codes: 0 done, 2 the call or the source is wrong, 1 it failed.",
    )
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--source", metavar="DIR|HUB_ID",
                        help="diffusers checkpoint of Stable Diffusion, Stable Diffusion XL, Stable Diffusion 3, Flux, PixArt or MiniT2I type")
    source.add_argument("--random", choices=RANDOM_KINDS, metavar="KIND",
                        help="make a checkpoint of this architecture with random weights: " + ", ".join(RANDOM_KINDS))
    p.add_argument("--out", type=Path, metavar="DIR",
                   help="where to write; with --random the default is test-models/KIND[-PRECISION]")
    p.add_argument("--precision", choices=("fp32", "fp16", "int8"),
                   help="how weights are stored; without it --random writes the diffusers checkpoint")
    p.add_argument("--component", action="append", default=[], metavar="NAME",
                   help="export this network alone, which easel can time; may be given again; implies --unmeasured")
    p.add_argument("--unet-only", dest="component", action="append_const", const="unet", help="the same as --component unet")
    p.add_argument("--unmeasured", action="store_true",
                   help="one weight in memory at a time, for very large checkpoints: int8 takes every layer, nothing is checked")
    p.add_argument("--size", type=int, metavar="N", help="default picture size in pixels, N x N (other sizes work, too)")
    p.add_argument("--force", action="store_true", help="replace --out when it already is a model directory")
    p.add_argument("--seed", type=int, default=0, help="of --random's weights (default 0)")
    added = p.add_argument_group("adapters")
    added.add_argument("--controlnet", action="append", default=[], metavar="DIR",
                       help="a diffusers ControlNet checkpoint whose network is exported, too, and whose answers the U-Net adds; "
                            "may be given again; with --random, the word random makes one")
    added.add_argument("--ip-adapter", metavar="FILE|DIR",
                       help="an IP-Adapter, plain or Plus, in its authors' format: a picture as a prompt; with --random, the words "
                            "random and random-plus make one")
    added.add_argument("--image-encoder", type=Path, metavar="DIR",
                       help="CLIP's image encoder for it, as transformers saves it (default: image_encoder/ where it is published)")
    int8 = p.add_argument_group("int8")
    int8.add_argument("--target-error", type=float, default=0.02, metavar="E",
                      help="relative output error a component may have; sensitive layers stay float32 for it (default 0.02)")
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
    _refuse_wrong(options)
    out = options.out.expanduser().absolute()
    directory.refuse_unsafe(out, options.force, options.source)
    quiet()
    # Late: torch takes seconds, `--help` and a wrong call should not.
    from . import random_checkpoint

    with directory.new_directory(out) as fresh:
        if options.random is None:
            _export(options, options.source, fresh)
        elif options.precision is None:
            random_checkpoint.build(options.random, fresh, options.seed)
            _random_adapters(options, fresh)
        else:
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
                source = Path(scratch) / f"random-{options.random}"
                weights = None
                if options.unmeasured:
                    weights = random_checkpoint.build_hollow(options.random, source, options.seed)
                else:
                    random_checkpoint.build(options.random, source, options.seed)
                _random_adapters(options, source)
                _export(options, str(source), fresh, weights)
        checksums.write(fresh)
    print(f"wrote {options.out}")


def _refuse_wrong(options: argparse.Namespace) -> None:
    """Refuses what cannot be meant, and fills in what follows from the rest."""
    if options.random is None:
        for flag in ("out", "precision"):
            if getattr(options, flag) is None:
                raise UsageError(f"--source needs --{flag}; see python -m easel_export --help")
    elif options.out is None:
        options.out = Path("test-models") / "-".join(filter(None, (options.random, options.precision)))
    options.unmeasured |= bool(options.component)
    if options.unmeasured and options.precision is None:
        raise UsageError(f"{'--component' if options.component else '--unmeasured'}: is for exports; add --precision")
    if not options.target_error >= 0 or not 0 <= options.max_float <= 1:
        raise UsageError("--target-error must be at least 0, --max-float between 0 and 1")
    if RANDOM in options.controlnet and options.random is None:
        raise UsageError(f"--controlnet {RANDOM}: is for --random; name a diffusers ControlNet checkpoint")
    if options.precision is None and set(options.controlnet) - {RANDOM}:
        raise UsageError("--controlnet: is for exports; add --precision")
    if options.ip_adapter in (RANDOM, RANDOM_PLUS) and options.random is None:
        raise UsageError(f"--ip-adapter {options.ip_adapter}: is for --random; name an IP-Adapter's file")
    if options.precision is None and options.ip_adapter not in (None, RANDOM, RANDOM_PLUS):
        raise UsageError("--ip-adapter: is for exports; add --precision")
    if options.image_encoder and options.ip_adapter in (None, RANDOM, RANDOM_PLUS):
        raise UsageError("--image-encoder: belongs to an --ip-adapter that is there")
    if options.size is not None and not 1 <= options.size <= 8192:
        raise UsageError(f"--size {options.size}: must be between 1 and 8192 pixels")


def _random_adapters(options: argparse.Namespace, checkpoint: Path) -> None:
    """Makes the adapters that are to be random, and names where they are."""
    from . import random_adapters

    hollow = options.unmeasured and options.precision is not None
    for number, given in enumerate(options.controlnet):
        if given == RANDOM:
            options.controlnet[number] = random_adapters.add_controlnet(checkpoint, number, options.seed, hollow)
    if options.ip_adapter in (RANDOM, RANDOM_PLUS):
        plus = options.ip_adapter == RANDOM_PLUS
        options.ip_adapter = random_adapters.add_ip_adapter(checkpoint, plus, options.seed, hollow)


def _export(options: argparse.Namespace, source: str, out: Path, weights: Any = None) -> None:
    """Exports `source`; `weights` are those of a source that has none in its files."""
    from . import checkpoint, convert, hollow, ip_adapter
    from .adapters import Adapters

    picture = ip_adapter.find(Path(options.ip_adapter).expanduser(), options.image_encoder) if options.ip_adapter else None
    adapters = Adapters(tuple(Path(path).expanduser() for path in options.controlnet), picture)
    if options.unmeasured:
        components = tuple(dict.fromkeys(options.component))
        opened = checkpoint.open_source(source, components, adapters)
        weights = weights or hollow.safetensors(opened)
        hollow.export_source(opened, out, options.precision, options.size, weights, components)
    else:
        convert.export_checkpoint(
            source, out, convert.Request(options.precision, options.size, options.target_error, options.max_float, adapters))


def quiet() -> None:
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
