"""Every benchmark, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

NAMES = ("timing", "engine", "sync", "lag", "rest", "keeper", "ledger", "admin")


def main() -> int:
    """Run each in a process of its own; return 1 if one missed a target."""
    status = 0
    for name in NAMES:
        if find_spec(f"benchmarks.{name}") is None:
            continue
        print(f"== {name}", flush=True)
        status |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    return min(status, 1)


if __name__ == "__main__":
    sys.exit(main())
