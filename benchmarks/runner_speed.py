"""Measure the runner's budgets, side by side in one run, and print each figure beside its limit.

1. Cold: `mnist-edge predict` on one picture as a whole process against `python -c "import onnxruntime, PIL.Image"`, in
   turns: at most 1.25 times the time, and for a 28×28 picture at most 15 MB more memory at its peak.
2. Warm: `Recognizer.predict` on a 28×28 array against the bare `session.run`: at most 2 times.
3. Many: `mnist-edge predict` on a folder of 28×28 PNG files, as a whole process, against opening and decoding them with
   Pillow: at most 4 times.
4. Light: the wheel with its models at most 1 MB, and no requirement but onnxruntime, Pillow, numpy and click.

    python benchmarks/runner_speed.py [--repeats 15] [--pictures 10000]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path

import numpy as np
from PIL import Image

from mnist_edge import Recognizer
from mnist_edge.formats.onnx.runner import open_session
from mnist_edge.training.datasets.registry import load_test_data
from mnist_edge.types import AnyArray

ROOT = Path(__file__).parent.parent
COLD_BAR, MEMORY_BAR, WARM_BAR, MANY_BAR, WHEEL_BAR = 1.25, 15.0, 2.0, 4.0, 1_000_000
RUNNER_PACKAGES = {"click", "numpy", "onnxruntime", "pillow"}

BARE = [sys.executable, "-c", "import onnxruntime, PIL.Image"]
PREDICT = [str(Path(sys.executable).parent / "mnist-edge"), "predict", "--model", "mlp"]
DECODE = (
    "import os, sys\n"
    "from PIL import Image\n"
    "for name in sorted(os.listdir(sys.argv[1])):\n"
    "    with Image.open(os.path.join(sys.argv[1], name)) as picture:\n"
    "        picture.load()"
)
LAUNCHER = (
    "import os, sys, time\n"
    "nothing = os.open(os.devnull, os.O_WRONLY)\n"
    "start = time.perf_counter()\n"
    "actions = [(os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]\n"
    "child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)\n"
    "_, status, usage = os.wait4(child, 0)\n"
    "print(time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status))"
)
CALLS = 300
"""Calls that are timed at once, where one takes microseconds."""


def run(command: Sequence[str]) -> tuple[float, float]:
    """Return seconds and peak memory in MB of a whole process, with its bytecode cached as after an installation.

    A small process starts it and measures: Linux counts what the parent held as the child's peak.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-ISc", LAUNCHER, *command], env=environment, capture_output=True, text=True, check=True
    )
    elapsed, memory, code = map(float, done.stdout.split())
    if code not in {0, 3}:  # 3: an answer is uncertain
        raise RuntimeError(f"{command} ended with {code}: {done.stderr}")
    return elapsed, memory / 1024


def cold(picture: Path, repeats: int) -> tuple[float, float]:
    """Return how many times as long one answer takes as the imports alone, and how many MB more: medians, in turns."""
    run([*PREDICT, str(picture)])
    pairs = [(run(BARE), run([*PREDICT, str(picture)])) for _ in range(repeats)]
    bare, ours = (tuple(map(statistics.median, zip(*column, strict=True))) for column in zip(*pairs, strict=True))
    return ours[0] / bare[0], ours[1] - bare[1]


def warm(array: AnyArray, repeats: int) -> float:
    """Return how many times as long `Recognizer.predict` takes as `session.run`: the median of `repeats` turns."""
    recognizer = Recognizer("mlp")
    session = open_session(recognizer.artifact.bundle.data)
    images = (array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)).reshape(1, 1, 28, 28)

    def bare() -> object:
        return session.run(None, {"image": images})

    def ours() -> object:
        return recognizer.predict(array)

    return statistics.median(seconds(ours) / seconds(bare) for _ in range(repeats))


def seconds(work: Callable[[], object]) -> float:
    """Return how long `CALLS` calls of `work` take."""
    start = time.perf_counter()
    for _ in range(CALLS):
        work()
    return time.perf_counter() - start


def many(folder: Path, repeats: int, jobs: int = 1) -> float:
    """Return how many times as long reading a folder takes as decoding it: the median of `repeats` turns."""
    ours = [*PREDICT, "--jobs", str(jobs), str(folder)]
    bare = [sys.executable, "-c", DECODE, str(folder)]
    return statistics.median(run(ours)[0] / run(bare)[0] for _ in range(repeats))


def digits(count: int) -> AnyArray:
    """Return the first of MNIST's test images, uint8 `[count, 28, 28]`."""
    return (load_test_data("mnist", ROOT / "data").images[:count, 0] * 255).round().byte().numpy()


def wheel_size() -> int:
    """Return the bytes of the wheel of this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        return next(Path(folder).glob("*.whl")).stat().st_size


def requirements() -> set[str]:
    """Return the names of the packages that `pip install mnist-edge` requires."""
    lines = [line for line in requires("mnist-edge") or [] if "extra ==" not in line]
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in lines}


def main() -> int:
    """Print the figures; return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description="Measure the runner's budgets.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--pictures", type=int, default=10_000)
    arguments = parser.parse_args()
    missed = False

    def report(what: str, figure: float, bar: float, unit: str = "×") -> None:
        nonlocal missed
        missed |= figure > bar
        print(f"{what:<64}{figure:>10,.2f} {unit:<3} bar {bar:,.2f}{'' if figure <= bar else '  MISSED'}", flush=True)

    pixels = digits(arguments.pictures)
    first = pixels[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, digit in enumerate(pixels):
            Image.fromarray(digit).save(folder / f"{number:05}.png")
        small, large = folder / "00000.png", ROOT / "examples" / "seven.png"
        time_small, memory_small = cold(small, arguments.repeats)
        time_large, memory_large = cold(large, arguments.repeats)
        report("cold: a 28×28 picture against the imports alone", time_small, COLD_BAR)
        report("cold: a 300×260 picture against the imports alone", time_large, COLD_BAR)
        report("cold: a 28×28 picture, more memory than the imports alone", memory_small, MEMORY_BAR, "MB")
        report("cold: a 300×260 picture, more memory than the imports alone", memory_large, MEMORY_BAR, "MB")
        report(
            "warm: a float32 array against session.run", warm(first / np.float32(255), 10 * arguments.repeats), WARM_BAR
        )
        report("warm: a uint8 array against session.run", warm(first, 10 * arguments.repeats), WARM_BAR)
        report(f"many: {len(pixels):,} PNG files against decoding them", many(folder, 3), MANY_BAR)
        print(f"{'many: the same with --jobs 2':<64}{many(folder, 3, jobs=2):>10,.2f} ×")
    report("light: the wheel with its models", wheel_size() / 1000, WHEEL_BAR / 1000, "kB")
    required = requirements()
    print(f"light: it requires {', '.join(sorted(required))}")
    return int(missed or required != RUNNER_PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
