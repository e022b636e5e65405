"""The plugin in Airflow's own web application: reports for those who are signed in, harmless whatever they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
REPORT = "<!doctype html><script>document.title = 'drawn'</script><h1>Drift</h1>"


@pytest.fixture(scope="module")
def client(metadata: None) -> Iterator[Any]:
    """Airflow's API server with the users vera, a viewer, and otto, an operator."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).write_text(
        json.dumps(dict.fromkeys(("vera", "otto"), "secret"))
    )
    with TestClient(create_app(apps="core"), base_url="http://localhost:8080") as client:
        yield client


@pytest.fixture(scope="module")
def token(client: Any) -> str:
    answer = client.post("/auth/token", json={"username": "vera", "password": "secret"})
    return str(answer.json()["access_token"])


@pytest.fixture
def signed_in(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(autouse=True)
def _reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    folder = tmp_path / "reports" / "drift" / "flight_delay"
    folder.mkdir(parents=True)
    (folder / "2013-04-05.html").write_text(REPORT)
    (folder / "2013-04-05.json").write_text("{}")
    (folder / "ledger.html").symlink_to(tmp_path / "ledger.db")
    (tmp_path / "ledger.db").write_text("secret")
    (tmp_path / "outside.html").write_text("secret")


def test_the_plugin_is_loaded_without_errors(client: Any, signed_in: dict[str, str]) -> None:
    from airflow import plugins_manager

    assert plugins_manager.get_import_errors() == {}
    assert [plugin.name for plugin in plugins_manager._get_plugins()[0] if plugin.name == "mlops"] == ["mlops"]


def test_a_report_is_shown_to_who_is_signed_in(client: Any, signed_in: dict[str, str]) -> None:
    answer = client.get("/mlops/reports/drift/flight_delay/2013-04-05.html", headers=signed_in)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text == REPORT


def test_the_cookie_of_the_web_interface_is_enough(client: Any, token: str) -> None:
    answer = client.get("/mlops/reports/drift/flight_delay/2013-04-05.html", headers={"Cookie": f"_token={token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["reports/drift/flight_delay/2013-04-05.html", "reports/none.html", "reports/"])
def test_nobody_else_sees_whether_a_report_is_there(client: Any, path: str) -> None:
    for headers in ({}, {"Cookie": "_token=forged"}, {"Authorization": "Bearer forged"}):
        answer = client.get(f"/mlops/{path}", headers=headers)

        assert answer.status_code in (401, 403)
        assert "Drift" not in answer.text


def test_who_follows_a_link_out_of_slack_is_led_to_the_sign_in_page_and_back(client: Any) -> None:
    path = "/mlops/reports/drift/flight_delay/2013-04-05.html"
    answer = client.get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 401
    assert 'href="/auth/login?next=%2Fmlops%2Freports%2Fdrift%2Fflight_delay%2F2013-04-05.html"' in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "drift/flight_delay/2013-04-06.html",
        "drift/flight_delay/2013-04-05.json",
        "drift/flight_delay/ledger.html",
        "drift/flight_delay",
        "",
        "%2e%2e/outside.html",
        "drift/%2e%2e/%2e%2e/outside.html",
        "..%2foutside.html",
        "%2fetc%2fpasswd",
        "drift/a%00b.html",
        f"{'x' * 5000}.html",
    ],
)
def test_nothing_but_a_report_is_served(client: Any, signed_in: dict[str, str], path: str) -> None:
    answer = client.get(f"/mlops/reports/{path}", headers=signed_in)

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_script_in_a_report_runs_in_an_origin_of_its_own_and_reaches_no_network(
    client: Any, signed_in: dict[str, str]
) -> None:
    headers = client.get("/mlops/reports/drift/flight_delay/2013-04-05.html", headers=signed_in).headers

    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert "allow-scripts" in rules["sandbox"], "Evidently draws its charts by script"
    assert "allow-same-origin" not in rules["sandbox"], "the login cookie is readable by script"
    assert "connect-src" not in rules
    assert headers["x-content-type-options"] == "nosniff"
    assert "private" in headers["cache-control"]


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
def test_the_plugin_does_not_describe_itself(client: Any, signed_in: dict[str, str], path: str) -> None:
    assert client.get(f"/mlops/{path}", headers=signed_in).status_code == 404


def test_a_task_links_to_the_report_and_the_model_that_it_names() -> None:
    from airflow import plugins_manager

    links = {link.name: link.xcom_key for link in plugins_manager.get_global_operator_extra_links()}

    assert {"Report": "report_url", "MLflow": "mlflow_url"}.items() <= links.items()


class TestTheTriggerForm:
    """What the API answers to the form of a run by hand; a wrong field is refused before any task runs."""

    def test_a_key_that_is_no_day_is_refused(self, client: Any, operator: dict[str, str]) -> None:
        answer = _trigger(client, operator, "ingest_flight_outcomes", partition_key="April")

        assert answer.status_code == 400
        assert "does not match the timetable's key_format" in answer.text

    @pytest.mark.parametrize(
        ("dag_id", "conf"),
        [
            ("bulk", {"what": "flight_outcoms"}),
            ("bulk", {"from": "yesterday"}),
            ("bulk", {"version": "two"}),
            ("retrain_flight_delay", {"as_of": "2013-4-5"}),
        ],
    )
    def test_a_value_that_no_run_can_use_is_refused(
        self, client: Any, operator: dict[str, str], dag_id: str, conf: dict[str, str]
    ) -> None:
        answer = _trigger(client, operator, dag_id, conf=conf)

        assert answer.status_code == 400
        assert next(iter(conf)) in answer.text

    def test_a_retraining_by_hand_is_taken_without_a_key(self, client: Any, operator: dict[str, str]) -> None:
        conf = {"as_of": "2013-04-05", "reason": "a test"}

        answer = _trigger(client, operator, "retrain_flight_delay", conf=conf)

        assert answer.status_code == 200
        assert answer.json()["partition_key"] is None


@pytest.fixture(scope="module")
def operator(client: Any) -> dict[str, str]:
    answer = client.post("/auth/token", json={"username": "otto", "password": "secret"})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _trigger(client: Any, headers: dict[str, str], dag_id: str, **body: Any) -> Any:
    return client.post(f"/api/v2/dags/{dag_id}/dagRuns", headers=headers, json={"logical_date": None, **body})
