"""For authors of loaders: text files and tables that name what is wrong with them, and results kept.

`text` reads; `cache` keeps arrays on disk (`from dgpg.files import cache`); `memory` keeps parts for each device and
solutions for each context.
"""

from dgpg.files import cache
from dgpg.files.memory import CONTEXTS, PerDevice, Recall
from dgpg.files.text import LIMIT, RowError, Rows, csv_cells, csv_rows, number, read_text, whole, wrong

__all__ = [
    "CONTEXTS",
    "LIMIT",
    "PerDevice",
    "Recall",
    "RowError",
    "Rows",
    "cache",
    "csv_cells",
    "csv_rows",
    "number",
    "read_text",
    "whole",
    "wrong",
]
