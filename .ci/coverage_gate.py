# SPDX-License-Identifier: Apache-2.0
"""Lines of the gate that its tests in C++ cover, without the files that need Envoy. Fails below the floor.

Called by: `make coverage-gate`. Needs g++ and gcov.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FLOOR = 94.0  # per cent; measured: 94.8, which varies a little with the threads
GATE = Path(__file__).resolve().parents[1] / "gate"
NEEDS_ENVOY = {"hooks.cc", "http_filter.cc", "http_restart.cc", "policy.cc", "upstream_socket.cc"}


def measure(folder: Path) -> dict[str, dict[int, int]]:
    """How often each line ran, by file name."""
    sources = [path for path in GATE.glob("*.cc") if path.name not in NEEDS_ENVOY]
    options = ["-std=c++20", "-O1", "--coverage", "-pthread", "-o", str(folder / "tests")]
    subprocess.run(["g++", *options, *map(str, [*sources, *(GATE / "test").glob("*.cc")])], check=True, cwd=folder)
    subprocess.run([folder / "tests"], check=True, cwd=folder)
    data = sorted(folder.glob("*.gcda"))
    gcov = ["gcov", "--json-format", "--stdout", *map(str, data)]
    output = subprocess.run(gcov, capture_output=True, text=True, check=True, cwd=folder).stdout
    lines: dict[str, dict[int, int]] = {}
    for unit in map(json.loads, output.splitlines()):
        for file in unit["files"]:
            path = Path(file["file"])
            if path.parent != GATE:
                continue
            counts = lines.setdefault(path.name, {})
            for line in file["lines"]:
                number = line["line_number"]
                counts[number] = max(counts.get(number, 0), line["count"])
    return lines


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder))
    total = covered = 0
    for name, counts in sorted(lines.items()):
        ran = sum(count > 0 for count in counts.values())
        missed = [number for number, count in sorted(counts.items()) if not count]
        print(f"{name:22} {ran:4} of {len(counts):4} lines", *(["  missing:", *missed] if missed else []))
        total += len(counts)
        covered += ran
    share = 100 * covered / total
    print(f"{share:.1f} % of {total} lines are covered; the floor is {FLOOR} %")
    return 0 if share >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
