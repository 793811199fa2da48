"""Asks PyPI whether a pinned version has a known vulnerability; one that has fails the run.

pip-audit calls a package that PyPI did not answer for "skipped" and ends well, as a mirror without
PyPI's JSON interface makes it do for every package. Here that is said aloud, and is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMMAND = [
    sys.executable, "-m", "pip_audit", "--requirement", str(HERE / "constraints.txt"),
    "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json",
]


def main() -> int:
    # The exit code tells a vulnerability from a lost connection no better than this.
    asked = subprocess.run(COMMAND, capture_output=True, text=True)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (asked.stderr.strip() or "it printed nothing").splitlines()[-1]
        return could_not_ask(f"for any package: {reason}")
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    unanswered = [each for each in packages if "skip_reason" in each]
    found = [(each, known) for each in packages for known in each.get("vulns", ())]
    for package, known in found:
        fixed = ", ".join(known["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {known['id']}, mended in {fixed}")
    if unanswered:
        why = unanswered[0]["skip_reason"]
        could_not_ask(f"for {len(unanswered)} of {len(packages)} packages: {why}")
    print(f"{len(packages) - len(unanswered)} packages asked for, {len(found)} vulnerabilities")
    return 1 if found else 0


def could_not_ask(about: str) -> int:
    bar = "!" * 78
    print(f"{bar}\nKNOWN VULNERABILITIES COULD NOT BE ASKED {about}\n{bar}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
