# SPDX-License-Identifier: Apache-2.0
"""All benchmarks but the soak, one after the other; ends with 1 when a bound was missed."""

import sys

from bench import apply, autoscaler, coldstart, containers, fill, gate, gateway, sandbox, sharing, standby, step


def main() -> int:
    results = []
    for measure in (
        autoscaler.main,
        coldstart.main,
        step.main,
        standby.main,
        containers.main,
        sandbox.main,
        apply.main,
        gateway.main,
        sharing.main,
        gate.main,
        fill.main,
    ):
        figures = measure()
        figures.show()
        results.append(figures.held)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
