"""What the last runs found: docs/benchmarks.json, from which page and picture are made."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.figures import Figures

FILE = "benchmarks.json"


def load(folder: Path) -> dict[str, Any]:
    """``speed``, as tests/bench/speed.py measures it, and ``sizes`` by how many were stored."""
    file = folder / FILE
    if not file.exists():
        return {"sizes": {}}
    found: dict[str, Any] = json.loads(file.read_text())
    if "speed" in found:
        for kind in ("peak", "half"):
            found["speed"][kind] = {
                name: [Figures(**each) for each in rounds]
                for name, rounds in found["speed"][kind].items()
            }
    return found


def save(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, default=_told)
    (folder / FILE).write_text(f"{text}\n")


def _told(figures: object) -> dict[str, Any]:
    if not isinstance(figures, Figures):
        raise TypeError(type(figures).__name__)
    return {name: _rounded(value) for name, value in asdict(figures).items()}


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, 3)
