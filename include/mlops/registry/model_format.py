"""A model folder in MLflow's format that anyone can load: the model file, its signature, and the code that reads it.

Nothing in it is pickled. `mlflow.pyfunc` finds the loader that travels along; `mlflow.xgboost` finds the booster.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from include.mlops.settings import ROOT

MODEL_FILE = "model.ubj"
EXAMPLES = ("input_example.json", "serving_input_example.json")
ANY = "any"
_LOADER = "include.mlops.learner.served"
_CODE = tuple(
    f"include/mlops/{name}"
    for name in (
        "__init__.py",
        "errors.py",
        *(f"learner/{m}.py" for m in ("__init__", "encoding", "predict", "served")),
        *(f"spec/{m}.py" for m in ("__init__", "tasks")),
    )
)
_PACKAGES = ("mlflow", "xgboost", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class ModelArtifact:
    """A model file with what a reader must know: MLflow types of the columns that it takes, in order, and of those
    that it gives, and a few rows.

    The type `any` is for whole numbers and booleans with gaps: a data frame holds them as something else, and MLflow
    refuses that under their own type.
    """

    content: bytes
    columns: Mapping[str, str]
    outputs: Mapping[str, str]
    example: Sequence[Mapping[str, Any]]


def write(folder: Path, artifact: ModelArtifact, model_id: str, run_id: str) -> None:
    """Fill `folder`."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.models.utils import _save_example
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    (folder / MODEL_FILE).write_bytes(artifact.content)
    for name in ("include/__init__.py", *_CODE):
        target = folder / "code" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    (folder / "requirements.txt").write_text("".join(f"{name}=={version(name)}\n" for name in _PACKAGES))
    environment = {
        "python": platform.python_version(),
        "build_dependencies": [],
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "python_env.yaml").write_text(json.dumps(environment))  # JSON is YAML

    anything = AnyType()  # type: ignore[no-untyped-call]
    model = Model(run_id=run_id, model_id=model_id, model_uuid=model_id)
    model.signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(anything if kind == ANY else kind, name, required=False)
                for name, kind in artifact.columns.items()
            ]
        ),
        outputs=Schema([ColSpec(kind, name) for name, kind in artifact.outputs.items()]),
    )
    _save_example(model, _frame(artifact), str(folder))
    pyfunc.add_to_model(model, loader_module=_LOADER, data=MODEL_FILE, code="code", python_env="python_env.yaml")
    model.add_flavor(
        "xgboost",
        xgb_version=version("xgboost"),
        data=MODEL_FILE,
        model_class="xgboost.core.Booster",
        model_format="ubj",
        code="code",
    )
    model.save(str(folder / "MLmodel"))


def without_rows(example: Any) -> Any:
    """An example as MLflow writes it, its rows left out."""
    if not isinstance(example, dict):
        return example
    return {name: [] if name == "data" else without_rows(value) for name, value in example.items()}


def _frame(artifact: ModelArtifact) -> Any:
    import pandas as pd

    frame = pd.DataFrame([dict(row) for row in artifact.example], columns=list(artifact.columns))
    numbers = [name for name, kind in artifact.columns.items() if kind == "double"]
    return frame.astype(dict.fromkeys(numbers, "float64"))
