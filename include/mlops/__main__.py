"""`python -m include.mlops`."""

from __future__ import annotations

from include.mlops.cli import app

app(prog_name="python -m include.mlops")
