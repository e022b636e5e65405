"""What `spark-submit` starts of a job elsewhere; the bundle lies unpacked beside it, under `bundle`.

Nothing but the standard library: the bundle is found by this file alone.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

BUNDLE = "bundle"
SECRET = "MLOPS_JOB_SECRET"  # noqa: S105 - the variable that names it

if __name__ == "__main__":
    sys.path.insert(0, str(Path(BUNDLE).absolute()))
    runpy.run_module("include.mlops.compute.job_driver", run_name="__main__")
