"""`python -m include.mlops`."""

from __future__ import annotations

from include.mlops.cli.main import app

app(prog_name="python -m include.mlops")
