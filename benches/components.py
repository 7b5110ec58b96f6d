"""One network of a model in easel and in other engines, in turns.

    cargo build --release
    python benches/components.py --fp32 MODEL-fp32 --int8 MODEL-int8 --component unet --size 512x512

Each engine is a process of its own that stays loaded. In a round each runs its passes while all others wait; a round's time is
the median of them, and a ratio is taken within a round, so that a slow moment of the machine hits both sides. easel takes part
by `easel bench --repeat PASSES`, which loads anew in every round; neither that nor its first pass is timed. Other engines get
the same: a first pass untimed. Inputs are noise that is the same every time.

`--easel [NAME=]PATH[:MODELDIR]`, as often as there are builds or directories to compare; MODELDIR is --int8 unless given.
`others` is the share of all processors that processes other than these used meanwhile: above a few percent, measure
again, or say `--others 5`: an engine then waits for quiet, and repeats its turn in a round if others disturbed it.

Needs onnxruntime, onnx and numpy (easel's own .venv has them) and, for its engines, openvino:

    python -m venv bench-venv && bench-venv/bin/pip install onnxruntime==1.24.4 onnx==1.19.1 openvino numpy

Engines:
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import engines
from engines import ENGINES, EngineError

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "target/bench-cache"
SPARE_MIB = 1024  # left to the machine


class Worker:
    """An engine's process."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.peak_mib = self.rss_mib = 0.0
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.ready_s: float = json.loads(self._line())["ready_s"]
        except BaseException:
            self.close()
            raise

    def _line(self) -> str:
        line = self.child.stdout.readline()
        if not line:
            code = self.child.wait()
            why = "killed, perhaps for want of memory: run fewer --engines at once" if code < 0 else "see above"
            raise EngineError(f"{self.name} ended with code {code} ({why})")
        return line

    def round(self, passes: int) -> list[float]:
        """Milliseconds of each pass."""
        times = []
        for _ in range(passes):
            with contextlib.suppress(BrokenPipeError):  # _line says more
                self.child.stdin.write("\n")
                self.child.stdin.flush()
            times.append(float(self._line()))
        self.peak_mib = engines.memory_mib(self.child.pid, "VmHWM")
        self.rss_mib = engines.memory_mib(self.child.pid, "VmRSS")
        return times

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends the process."""
        self.child.kill()
        self.child.wait()


class Target(NamedTuple):
    """`[NAME=]PATH[:MODELDIR]`."""

    name: str
    binary: Path
    model: Path

    @classmethod
    def parse(cls, text: str, default_model: Path) -> Target:
        """Checks that both are there."""
        name, named, rest = text.partition("=")
        binary, _, model = (rest if named else text).partition(":")
        target = cls(name if named else "easel", Path(binary).resolve(), Path(model) if model else default_model)
        for path in target[1:]:
            if not path.exists():
                raise EngineError(f"--easel {text}: {path} not found")
        return target


class Easel:
    """One build of easel with one model directory."""

    rss_mib = None  # easel says its peak only

    def __init__(self, target: Target, args: argparse.Namespace) -> None:
        pixels = f"{args.size[0]}x{args.size[1]}"
        self.name, self.peak_mib = target.name, 0.0
        self.command = [str(target.binary), "bench", "--model", str(target.model), "--component", args.component, "--size", pixels]
        self.command += ["--threads", str(args.threads), "--json", "--repeat"]

    def round(self, passes: int) -> list[float]:
        """Fastest, median and slowest pass: `bench` prints no more of them."""
        ran = subprocess.run([*self.command, str(passes)], stdout=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            raise EngineError(f"{self.name} ended with code {ran.returncode} (see above)")
        said = json.loads(ran.stdout)
        self.peak_mib = max(self.peak_mib, said["peak_rss_mib"])
        return [said["min_ms"], said["median_ms"], said["max_ms"]]

    def close(self) -> None:
        """Nothing stays behind."""


def model_file(name: str, component: str, args: argparse.Namespace) -> Path:
    """What one of `ENGINES` reads; made first if it has to be."""
    weights = ENGINES[name].weights
    if weights.startswith("dynamic"):
        return dynamic_file(component, weights, args)
    return (args.int8 if weights == "int8" else args.fp32) / component / "model.onnx"


def dynamic_file(component: str, weights: str, args: argparse.Namespace) -> Path:
    """What `quantize_dynamic` makes of the fp32 file, kept in --cache until that file changes."""
    source = args.fp32 / component / "model.onnx"
    target = args.cache / f"{component}-{weights}.onnx"
    stamp = target.with_suffix(".json")
    key = json.dumps([str(source.resolve()), source.stat().st_size, source.stat().st_mtime_ns, metadata.version("onnxruntime")])
    if not (target.is_file() and stamp.is_file() and stamp.read_text() == key):
        say(f"making {target}")
        command = [sys.executable, engines.__file__, "quantize", str(source), str(target)]
        command += ["--matmul-only"] if weights == "dynamic-matmul" else []
        ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            raise EngineError(f"quantize_dynamic failed: {(ran.stderr.strip().splitlines() or ['killed'])[-1]}")
        stamp.write_text(key)
    return target


def start(name: str, args: argparse.Namespace) -> Worker:
    """Starts one of `ENGINES`."""
    file = model_file(name, args.component, args)
    check_memory(name, file)
    say(f"loading {name}")
    command = [sys.executable, engines.__file__, "worker", name, args.component, str(file), "--model", str(args.fp32)]
    command += ["--size", f"{args.size[0]}x{args.size[1]}", "--threads", str(args.threads)]
    return Worker(name, command)


def check_memory(name: str, file: Path) -> None:
    """Refuses to load what would push others out: engines keep up to two copies of the weights while loading."""
    weights = sum(f.stat().st_size for f in file.parent.glob(f"{file.name}*")) / 2**20
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    available = next(int(row[1]) for row in rows if row[0] == "MemAvailable:") / 1024
    if 2.2 * weights + SPARE_MIB > available:
        raise EngineError(f"{name}: {available:.0f} MiB are available, too few beside the engines already loaded: run fewer --engines at once")


def busy_seconds() -> float:
    """Processor time that the whole machine has used, and that its host took from it."""
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # not idle, not waiting for disks


def own_seconds(workers: list[Worker]) -> float:
    """Of that, what this program, its workers and the easel processes used."""
    return sum(os.times()[:4]) + sum(worker.cpu_seconds() for worker in workers)


def others_share(workers: list[Worker], during: Callable[[], None]) -> float:
    """The share of all processors that others used meanwhile, 0 to 1."""
    clock, busy, own = time.perf_counter(), busy_seconds(), own_seconds(workers)
    during()
    busy, own = busy_seconds() - busy, own_seconds(workers) - own
    return max(0.0, busy - own) / (time.perf_counter() - clock) / os.cpu_count()


def quiet(workers: list[Worker], args: argparse.Namespace, deadline: float) -> bool:
    """Waits until others use at most --others percent for two seconds; whether that came in time."""
    while (share := others_share(workers, lambda: time.sleep(2))) > args.others / 100:
        if time.monotonic() > deadline:
            return False
        say(f"round: waiting, others use {share:.0%} of the processors")
    return True


def too_busy(args: argparse.Namespace) -> EngineError:
    """No round in all that time."""
    return EngineError(f"others used more than {args.others:g} % all along: measure later, or give more --patience")


def turn(target: Worker | Easel, workers: list[Worker], args: argparse.Namespace, deadline: float) -> tuple[list[float], float] | None:
    """Times of one target and the share of others, repeated while that is too much; nothing when time is up."""
    times: list[float] = []
    while args.others is None or quiet(workers, args, deadline):
        others = others_share(workers, lambda: times.extend(target.round(args.passes)))
        if args.others is None or others <= args.others / 100:
            return times, others
        say(f"{target.name}: {statistics.median(times):.1f} ms, but others used {others:.0%}: once more", keep=True)
        times.clear()
        if time.monotonic() > deadline:
            break
    return None


def measure(targets: list[Worker | Easel], args: argparse.Namespace, deadline: float) -> Iterator[dict[str, Any]]:
    """Round after round: the times of each target, and the largest share of others in a turn."""
    workers = [t for t in targets if isinstance(t, Worker)]
    for number in range(1, args.rounds + 1):
        times, shares = {}, []
        for target in targets:
            say(f"round {number} of {args.rounds}: {target.name}")
            took = turn(target, workers, args, deadline)
            if took is None:
                if number == 1:
                    raise too_busy(args)
                say(f"round {number} of {args.rounds}: time is up", keep=True)
                return
            times[target.name], others = took
            shares.append(others)
        medians = ", ".join(f"{name} {statistics.median(t):.1f}" for name, t in times.items())
        say(f"round {number} of {args.rounds}: {medians} ms; others {max(shares):.0%}", keep=True)
        yield {"ms": times, "others": max(shares)}


def summary(targets: list[Worker | Easel], rounds: list[dict[str, Any]], base: str) -> dict[str, dict[str, Any]]:
    """A row for each engine."""
    rows = {}
    for target in targets:
        medians = [statistics.median(r["ms"][target.name]) for r in rounds]
        ratios = [m / statistics.median(r["ms"][base]) for m, r in zip(medians, rounds, strict=True)]
        rows[target.name] = {
            "median_ms": statistics.median(medians),
            "min_ms": min(min(r["ms"][target.name]) for r in rounds),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "peak_mib": target.peak_mib,
            "rss_mib": target.rss_mib,
        }
    return rows


def table(rows: dict[str, dict[str, Any]], base: str) -> str:
    """The rows as markdown."""
    lines = [f"| | median, ms | fastest, ms | ÷ {base} (range) | peak, MiB | loaded, MiB |", "|---|---|---|---|---|---|"]
    for name, r in rows.items():
        low, high = r["ratio_range"]
        now = "" if r["rss_mib"] is None else f"{r['rss_mib']:.0f}"
        lines.append(f"| {name} | {r['median_ms']:.1f} | {r['min_ms']:.1f} | {r['ratio']:.2f} ({low:.2f}–{high:.2f}) | {r['peak_mib']:.0f} | {now} |")
    return "\n".join(lines)


def versions(names: list[str]) -> str:
    """Of the runtimes in use."""
    return ", ".join(f"{used} {metadata.version(used)}" for used in sorted({ENGINES[n].runtime for n in names}))


def say(text: str, keep: bool = False) -> None:
    """Progress: one line that is written over on a terminal; elsewhere only what is to be kept."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\n" if keep else "", file=sys.stderr, flush=True)
    elif keep or not text.startswith("round"):
        print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    about = (__doc__ or "") + "".join(f"\n    {name:20}{engine.about}" for name, engine in ENGINES.items())
    args = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--fp32", type=Path, required=True, metavar="DIR", help="model directory in float32")
    args.add_argument("--int8", type=Path, required=True, metavar="DIR", help="the same model in int8")
    args.add_argument("--component", choices=engines.COMPONENTS, default="unet")
    args.add_argument("--size", type=engines.size, default=(512, 512), metavar="WxH", help="pixels of the picture (default 512x512)")
    args.add_argument("--threads", type=engines.count, default=2)
    args.add_argument("--rounds", type=engines.count, default=5)
    args.add_argument("--passes", type=engines.count, default=3, help="timed passes of an engine in a round (default 3)")
    args.add_argument("--engines", nargs="*", default=["ort-fp32", "ort-dynamic"], choices=ENGINES, metavar="ENGINE")
    args.add_argument("--easel", action="append", metavar="TARGET", help="[NAME=]PATH[:MODELDIR] (default target/release/easel)")
    args.add_argument("--no-easel", action="store_true", help="the other engines alone")
    args.add_argument("--base", default="ort-fp32", help="what the ratios are to (default ort-fp32)")
    args.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="where files made from --fp32 are kept")
    args.add_argument("--others", type=float, metavar="PERCENT", help="wait while others use more; a turn in which they did is made once more")
    args.add_argument("--patience", type=float, default=600, metavar="S", help="how long to try; then what there is counts (default 600)")
    args.add_argument("--json", action="store_true", help="JSON with every round instead of the table")
    return args.parse_args()


def run(args: argparse.Namespace) -> None:
    """Loads, measures, prints."""
    for model in (args.fp32, args.int8):
        if not (model / args.component / "model.onnx").is_file():
            raise EngineError(f"{model}: has no {args.component}/model.onnx: make one with python -m easel_export")
    wanted = [] if args.no_easel else args.easel or [str(ROOT / "target/release/easel")]
    targets: list[Worker | Easel] = [Easel(Target.parse(text, args.int8), args) for text in wanted]
    names = [t.name for t in targets] + args.engines
    if len(set(names)) < len(names) or args.base not in names:
        raise EngineError(f"engines are {', '.join(names)}: each needs a name of its own, and --base {args.base} must be among them")
    try:
        deadline = time.monotonic() + args.patience
        if args.others is not None and not quiet([], args, deadline):  # before memory is taken
            raise too_busy(args)
        targets += [start(name, args) for name in args.engines]
        rounds = list(measure(targets, args, deadline))
    finally:
        for target in targets:
            target.close()
    rows, others = summary(targets, rounds, args.base), max(r["others"] for r in rounds)
    pixels = f"{args.size[0]}x{args.size[1]}"
    if args.json:
        what = {"component": args.component, "size": pixels, "threads": args.threads, "passes": args.passes, "base": args.base}
        print(json.dumps(what | {"others": others, "versions": versions(args.engines), "engines": rows, "rounds": rounds}))
        return
    what = f"{args.component}, {pixels}, {args.threads} threads, {len(rounds)} rounds of {args.passes} passes in turns"
    print(f"{what}; others at most {others:.0%}; {platform.machine()}, {versions(args.engines)}\n\n{table(rows, args.base)}")


def main() -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong call."""
    try:
        run(parse())
    except EngineError as error:
        print(f"components.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
