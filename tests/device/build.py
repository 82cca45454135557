# SPDX-License-Identifier: Apache-2.0
"""Builds device_check.cpp with the emulated kernels of csrc/cuda: ``python tests/device/build.py FOLDER [MODE...]`` prints a
program for each of the modes fast, asan and race (all three where none is named). To look into a report by hand::

    EMU_SEED=3 gdb --args FOLDER/device_check-fast 1 3 "knn cosine"

The first argument of the program is the number of seeds, the second the first of them, the others choose cases by name.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/emu"))
from modes import MODES, Builder  # noqa: E402

KERNELS = ROOT / "csrc/cuda"
# An epilogue of the test's own.
DEVICE = [Path(__file__).parent / "nearest_of_documents.cu"]
# The check, and the CPU's code for stores, which it compares with.
HOST = [
    Path(__file__).parent / "device_check.cpp",
    *(ROOT / "csrc/cpu/codec" / f"{name}.cpp" for name in ("codecs", "lvq_codec", "pq_codec", "rabitq_codec")),
    *(ROOT / "csrc/cpu/distance" / f"tiles_{kind}.cpp" for kind in ("lvq", "pq", "rabitq")),
]


def build(folder: Path, mode: str, kernels: Path = KERNELS) -> Path:
    builder = Builder(folder, [ROOT / "csrc"])
    return builder.program("device_check", mode, [*sorted(kernels.rglob("*.cu")), *DEVICE], HOST)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or MODES:
        print(build(Path(sys.argv[1]), wanted))
