"""Tables in Parquet, through pyarrow (extra `parquet`), as the rows of a CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dgpg.errors import DataError

from .screen import Raw

MAGIC = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Tell whether a file starts as Parquet does; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def parquet_raw(path: Path) -> Raw:
    """Return the rows of a Parquet table as text, numbered from 1; times are dates, lists are divided by bars.

    Raises:
        DataError: pyarrow is missing, or cannot read the file.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs pyarrow: pip install 'dgpg-plugin-cloud[parquet]', or write the table as CSV"
        ) from error
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: pyarrow cannot read this Parquet file ({error}): write it again") from error
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    cells = [list(row) for row in zip(*columns, strict=True)]
    return Raw(path, tuple(name.strip() for name in table.column_names), cells, list(range(1, len(cells) + 1)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "|".join(_text(each) for each in value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
