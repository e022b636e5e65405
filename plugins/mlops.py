"""Airflow plugin: reports behind Airflow's login, and links from a task to its report and to MLflow."""

from pathlib import Path

from airflow.api_fastapi.core_api.security import requires_authenticated
from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

from include.mlops.settings import load_settings

app = FastAPI(dependencies=[Depends(requires_authenticated())], docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/reports/{path:path}", response_class=FileResponse)
def report(path: str) -> FileResponse:
    """One HTML report of those kept under the state folder."""
    folder: Path = load_settings().reports.resolve()
    file = (folder / path).resolve()
    if not file.is_relative_to(folder) or file.suffix != ".html" or not file.is_file():
        raise HTTPException(404, f"no report {path}; it may have been removed, run its task again to write it anew")
    return FileResponse(file, media_type="text/html")


class MlopsPlugin(AirflowPlugin):
    name = "mlops"
    fastapi_apps = [{"app": app, "url_prefix": "/mlops", "name": "MLOps reports"}]  # noqa: RUF012 - Airflow's own form
    global_operator_extra_links = [  # noqa: RUF012
        XComOperatorLink(name="Report", xcom_key="report_url"),
        XComOperatorLink(name="MLflow", xcom_key="mlflow_url"),
    ]
