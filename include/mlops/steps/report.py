"""HTML reports, kept under `settings.reports` and written so that a half-written page is never seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.mlops.settings import Settings

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def write_report(settings: Settings, template: str, path: str, **values: Any) -> str:
    """Render `template` to `path` (relative to the reports folder) and return `path`."""
    return keep(settings, path, _TEMPLATES.get_template(template).render(**values))


def keep(settings: Settings, path: str, html: str) -> str:
    target = settings.reports / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(html, encoding="utf-8")
    part.replace(target)
    return path
