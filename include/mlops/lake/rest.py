"""An Iceberg REST catalog, whose tables are read and written by Arrow whatever the server recommends to Python."""

from __future__ import annotations

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io import ARROW_FILE_IO, PY_IO_IMPL, FileIO
from pyiceberg.typedef import EMPTY_DICT, Properties


class ArrowRestCatalog(RestCatalog):
    """Some servers name fsspec, which signs requests remotely, and which is not installed."""

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return super()._load_file_io({**properties, PY_IO_IMPL: ARROW_FILE_IO}, location)
