"""How long a process of the local stack's Airflow waits for another's write to its sqlite file; Airflow itself reads it
(`sql_alchemy_connect_args`).
"""

import sys

CONNECT_ARGS = {"timeout": 5 if "api-server" in sys.argv else 60}
"""Seconds. The API server's event loop may wait for a write that ends with its own help only: then it gives up, and its
caller asks again. The scheduler ends with an error of its database, and nothing starts it again, so it waits longer.
"""
