"""Airflow plugin: reports behind Airflow's login, and links from a task to its report and to MLflow."""

from html import escape
from pathlib import Path
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import requires_authenticated
from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from include.mlops.settings import load_settings

HEADERS = {
    # A report shows values out of landed files. Should one of them be a script, it runs in an origin of its own:
    # without the login cookie, which scripts of Airflow's origin can read, and without any network.
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-downloads; default-src 'none'; base-uri 'none'; form-action 'none'; "
        "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

app = FastAPI(dependencies=[Depends(requires_authenticated())], docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/reports/{path:path}", response_class=FileResponse)
def report(path: str) -> FileResponse:
    """One HTML report of those kept under the state folder."""
    folder: Path = load_settings().reports.resolve()
    try:
        file = (folder / path).resolve()
        found = file.is_relative_to(folder) and file.suffix == ".html" and file.is_file()
    except (OSError, ValueError):  # a name that no file can have
        found = False
    if not found:
        raise HTTPException(404, f"no report {path}; it may have been removed, run its task again to write it anew")
    return FileResponse(file, media_type="text/html", headers=HEADERS)


@app.exception_handler(401)
async def sign_in(request: Request, error: Any) -> Response:
    """What somebody sees who follows a link out of Slack and is not signed in."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": error.detail}, 401)
    login = get_auth_manager().get_url_login(next_url=request.url.path)
    page = (
        f'<!doctype html><title>Sign in</title><p><a href="{escape(login)}">Sign in to Airflow</a> to see the report.'
    )
    return HTMLResponse(page, 401)


class MlopsPlugin(AirflowPlugin):
    """Reports under `/mlops/reports/`; a link on each task that pushes its address as XCom."""

    name = "mlops"
    fastapi_apps = [{"app": app, "url_prefix": "/mlops", "name": "MLOps reports"}]  # noqa: RUF012 - Airflow's own form
    global_operator_extra_links = [  # noqa: RUF012
        XComOperatorLink(name="Report", xcom_key="report_url"),
        XComOperatorLink(name="MLflow", xcom_key="mlflow_url"),
    ]
