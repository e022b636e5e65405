"""What a process of the local stack's Airflow loads as it starts: each reads `sql_alchemy_connect_args` from here."""

import importlib
import sys

CONNECT_ARGS = {"timeout": 5 if "api-server" in sys.argv else 60}
"""Seconds to wait for another's write to the sqlite file. The API server's event loop may wait for a write that only it
can end: then it gives up, and its caller asks again. An error of its database ends the scheduler, and nothing starts it
again, so it waits longer.
"""

LIBRARIES = ("pandas", "pyiceberg.catalog.sql", "xgboost", "mlflow.pyfunc", "pyspark.sql.connect.session")
"""Tasks are forked from the scheduler: what it has imported costs them nothing, else up to six seconds of CPU each.
Only what others wrote; the bundle's own code is read anew by each task.
"""

if "scheduler" in sys.argv:
    for library in LIBRARIES:
        importlib.import_module(library)
