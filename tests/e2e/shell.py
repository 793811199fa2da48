"""`nameko shell` on the real system, as somebody would type into it."""

import subprocess
from collections.abc import Mapping

from tests.systems import clinic

SECONDS = 120


def in_shell(commands: str, *, environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        clinic("shell"),
        env=dict(environ),
        input=commands,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
