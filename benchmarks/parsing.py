"""Parsing the DAG files, which Airflow does every few seconds: with 1, 10 and 100 models, against as many empty DAGs.

Each file is parsed and serialised in a forked process, as Airflow's DAG processor does it; the times of the four files
are added. The bare files import `airflow.sdk` alone and make as many DAGs, each with one empty task.

    python benchmarks/parsing.py --models 1 10 100 --repeat 5
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import peers
from include.mlops.settings import ROOT

BARE, OURS = "as many empty DAGs", "the DAG files"
DAGS = ROOT / "dags"
EMPTY = """from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

for number in range({number}):
    with DAG(f"{name}_{{number}}", schedule=None):
        EmptyOperator(task_id="nothing")
"""


def set_up(state: Path, models: int) -> dict[str, Any]:
    """The example's feature groups with so many models, each a copy of `flight_delay`; and the bare files."""
    specs = state / "specs"
    shutil.copytree(ROOT / "include" / "feature_groups", specs / "feature_groups")
    (specs / "models").mkdir()
    text = (ROOT / "include" / "models" / "flight_delay.yaml").read_text()
    for number in range(models):
        name = f"model_{number:03}"
        (specs / "models" / f"{name}.yaml").write_text(text.replace("name: flight_delay", f"name: {name}"))
    groups = sum(1 for _ in specs.glob("feature_groups/*/feature_group.yaml"))
    made = {"ingest": groups, "models": 3 * models, "operations": 4, "broken_specs": 0}
    (state / "bare").mkdir()
    for name, number in made.items():
        (state / "bare" / f"{name}.py").write_text(EMPTY.format(name=name, number=number))
    return {"dags": sum(made.values()), "specs": str(specs)}


def _parsed(state: Path, folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    home = state / "airflow"
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "MLOPS_SPECS": told["specs"],
        "MLOPS_STATE": str(state),
    }
    sys.path.insert(0, str(folder.parent))  # the bundle's root
    files = {file.stem: _in_a_fork(file, folder.parent) for file in sorted(folder.glob("*.py"))}
    assert sum(one["dags"] for one in files.values()) == told["dags"], files
    totals = {name: sum(one[name] for one in files.values()) for name in ("seconds", "cpu")}
    return {**totals, "files": files}


def _in_a_fork(file: Path, bundle: Path) -> dict[str, Any]:
    import structlog
    from airflow.dag_processing import processor

    log = structlog.get_logger()
    processor._pre_import_airflow_modules(str(file), log)
    reading, writing = os.pipe()
    begun = time.perf_counter()
    child = os.fork()  # whose CPU time begins at zero
    if not child:
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
        request = processor.DagFileParseRequest(file=str(file), bundle_path=bundle, bundle_name="bundle")
        found = processor._parse_file(request, log)
        assert found
        assert not found.import_errors, found.import_errors
        answer = {"dags": len(found.serialized_dags), "seconds": time.perf_counter() - begun}
        answer["cpu"] = time.process_time()
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer_of_child:
        told = answer_of_child.read()
    os.waitpid(child, 0)
    answered: dict[str, Any] = json.loads(told)
    return answered


def bare(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    return _parsed(state, state / "bare", told)


def ours(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    return _parsed(state, DAGS, told)


PEERS: dict[str, peers.Peer] = {BARE: bare, OURS: ours}


def main() -> None:
    parser = peers.arguments(__doc__ or "")
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100])
    options = parser.parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    results: dict[int, Any] = {}
    for models in options.models:
        with peers.state_folder() as folder:
            told = set_up(Path(folder), models)
            runs = results[models] = peers.compare(__file__, list(PEERS), options, Path(folder), told)
        peers.show(f"Parsing {told['dags']} DAGs of {models} model(s)", runs, BARE)
        cpu = {name: statistics.median(one["cpu"] for one in found) for name, found in runs.items()}
        print(
            f"CPU seconds, ratio {cpu[OURS] / cpu[BARE]:.2f}: {', '.join(f'{n} {one:.2f}' for n, one in cpu.items())}"
        )
        for name in runs[OURS][0]["files"]:
            spent = statistics.median(one["files"][name]["cpu"] for one in runs[OURS])
            print(f"  dags/{name}.py {1000 * spent:.0f} ms of CPU")
    fewest, most = min(results), max(results)
    if most > fewest:
        of_most, of_fewest = (
            {name: statistics.median(one["cpu"] for one in found) for name, found in results[number].items()}
            for number in (most, fewest)
        )
        each = {name: 1000 * (of_most[name] - of_fewest[name]) / (most - fewest) for name in of_most}
        print(f"\nCPU for each model more: {', '.join(f'{name} {value:.1f} ms' for name, value in each.items())}")
    peers.keep(options, {"results": results})


if __name__ == "__main__":
    main()
