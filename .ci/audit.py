"""Look up known vulnerabilities of pinned requirements; exit 1 when there are any.

Where the advisory service cannot be reached, or does not know a package, it says so and lets the check go on.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(requirements: str) -> int:
    """Audit the file; return the exit code."""
    audit = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"),
            *("--timeout", "10", "--format", "json", "--requirement", requirements),
        ],
        capture_output=True,
        text=True,
    )
    try:
        dependencies = json.loads(audit.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (audit.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"pip-audit: NOT checked, the advisory service cannot be used here ({last[:200]})")
        return 0
    found = [(package, advisory) for package in dependencies for advisory in package.get("vulns", [])]
    for package, advisory in found:
        mended = ", ".join(advisory["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {advisory['id']}, mended in {mended}")
    skipped = [package["skip_reason"] for package in dependencies if "skip_reason" in package]
    looked_up = len(dependencies) - len(skipped)
    print(f"pip-audit: {looked_up} packages looked up, {len(found)} known vulnerabilities")
    if skipped:
        print(f"pip-audit: {len(skipped)} packages NOT checked, as: {skipped[0][:200]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
