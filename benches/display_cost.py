"""What the display takes of painting: boards that differ in their panel alone, in turns.

    cargo build --release --workspace
    python benches/display_cost.py [--size 512x512] [--steps 12] [--rounds 9]

Each board is a daemon with the default model and a broker of its own machine's. In a round each paints the same prompt once
while the others wait; a ratio is taken within a round, so that a slow moment of the machine hits both sides. The time is from
`painting` to `done`, as the broker gives them out. A panel of 16x16 pixels stands for none. The simulator's PNG file is more
work than what a screen gets: each frame is compressed and written to a file.

Needs Mosquitto: apt-get install mosquitto mosquitto-clients
"""

import argparse
import json
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOARD = """[board]
name = '{name}'
[model]
dir = '{model}'
[panel]
kind = 'png'
width = {width}
height = {height}
[history]
pictures = 1
[broker]
host = '127.0.0.1'
port = {port}
device = '{name}'
discovery = false
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Board:
    """A daemon, and an ear on what it answers."""

    def __init__(self, easel: Path, folder: Path, port: int, panel: tuple[int, int]) -> None:
        self.name, self.port = "x".join(map(str, panel)), port
        state = folder / self.name
        state.mkdir()
        width, height = panel
        model = ROOT / "models/pocket"
        (state / "board.toml").write_text(BOARD.format(name=self.name, model=model, width=width, height=height, port=port))
        self.ear = subprocess.Popen(
            ["mosquitto_sub", "-p", str(port), "-F", "%U %p", "-t", f"easel/{self.name}/response", "-t", f"easel/{self.name}/availability"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.daemon = subprocess.Popen([easel, "serve", "--board", state / "board.toml", "--state", state], stderr=subprocess.DEVNULL)
        while self._hear()[1] != "online":
            pass

    def _hear(self) -> tuple[float, str]:
        when, text = self.ear.stdout.readline().rstrip("\n").split(" ", 1)
        return float(when), text

    def paint(self, order: dict, number: int) -> float:
        """Seconds from `painting` to `done`."""
        text = json.dumps({**order, "id": str(number)})
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", f"easel/{self.name}/paint", "-m", text], check=True)
        begun = 0.0
        while True:
            when, text = self._hear()
            match json.loads(text)["status"]:
                case "painting":
                    begun = when
                case "done":
                    return when - begun
                case "queued":
                    pass
                case _:
                    raise SystemExit(f"{self.name}: {text}")

    def close(self) -> None:
        for process in (self.daemon, self.ear):
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--easel", type=Path, default=ROOT / "target/release/easel")
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    order = {"prompt": "a red house by the sea", "size": arguments.size, "steps": arguments.steps, "seed": 1}
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        configuration = Path(folder) / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        broker = subprocess.Popen(["mosquitto", "-c", configuration], stderr=subprocess.DEVNULL)
        time.sleep(1)
        boards = [Board(arguments.easel, Path(folder), port, panel) for panel in [(16, 16), (320, 240), (800, 480)]]
        try:
            measure(boards, order, arguments.rounds)
        finally:
            for board in boards:
                board.close()
            broker.terminate()
            broker.wait()


def measure(boards: list[Board], order: dict, rounds: int) -> None:
    first = boards[0]
    ratios: dict[str, list[float]] = {board.name: [] for board in boards[1:]}
    for number in range(rounds + 1):
        # Each is first as often as last.
        turns = boards if number % 2 == 0 else boards[::-1]
        seconds = {board.name: board.paint(order, number) for board in turns}
        if number == 0:
            continue  # loads the model
        print("  ".join(f"{name} {time:.2f} s" for name, time in sorted(seconds.items())), flush=True)
        for name, found in ratios.items():
            found.append(seconds[name] / seconds[first.name])
    for name, found in ratios.items():
        print(f"{name} / {first.name}: median {statistics.median(found):.3f}, {min(found):.3f} to {max(found):.3f}, {len(found)} rounds")


if __name__ == "__main__":
    main()
