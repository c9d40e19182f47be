"""MATPOWER case files (`.m`, format version 2), read as data: nothing in the file is run.

Format: R. D. Zimmerman and C. E. Murillo-Sánchez, "MATPOWER User's Manual", appendix B.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import read_text
from dgpg_power.config import Flow

from .case import Case, Matrix

_QUOTED = r"""'(?:[^']|'')*'|"[^"]*\""""
_CODE = re.compile(rf"""(?:{_QUOTED}|[^%'"])*""")
_ASSIGNMENT = re.compile(r"([A-Za-z]\w*)\.([\w.]+)\s*=\s*(.*)", re.DOTALL)
_PGLIB = re.compile(r"^\s*function\s+\w+\s*=\s*pglib_opf_", re.MULTILINE)
"""PGLib's optima are of a DC approximation of its own, and its files know each other by this name."""
_IDLE = re.compile(r"function\s+\w+\s*=\s*\w+\s*|end|endfunction|return|", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|[+-]?(?:Inf|inf)|NaN|nan")
_CLOSING = {"[": "]", "{": "}"}
_READ = ("version", "baseMVA", "bus", "gen", "branch", "gencost", "gen_name", "gentype", "genfuel")
_NO_MATTER = ("areas", "bus_name")
_TRACE = re.compile(r"\.(?:version|baseMVA|bus|gen|branch|gencost)\b\s*=")
"""What a case has, however damaged, and a table or a text has not."""

# By the type of the unit (MATPOWER's gentype or the second column of gen_name), or else by its fuel.
_KIND = {
    **{"wind": "wind", "wt": "wind", "ws": "wind", "pv": "pv", "solar": "pv", "rtpv": "rtpv", "csp": "csp"},
    **{"hydro": "hydro", "hy": "hydro", "ror": "hydro", "storage": "storage", "ess": "storage", "ps": "storage"},
}


@dataclass(frozen=True)
class _Field:
    """The right-hand side of one assignment: a line of code, or the rows of a matrix or of a cell array."""

    line: int
    opener: str  # "[", "{" or "" for a scalar
    rows: tuple[tuple[int, str], ...]


def read_matpower(path: Path) -> Case:
    """Read a case file; DataError names the file and line of the first fault."""
    where, text = str(path), read_text(path)
    if not _TRACE.search(text):
        expected = "expected a .m file that sets mpc.bus, mpc.gen, mpc.branch and mpc.gencost"
        raise DataError(f"{where}: this is not a MATPOWER case, {expected}: name one")
    fields = _fields(where, _lines(where, text))
    if (version := _scalar(where, fields, "version")) not in ("2", ""):
        raise _wrong(where, fields["version"].line, f"mpc.version is '{version}', expected '2': save the case again")
    bus, gen, branch, gencost = (_matrix(where, fields, name) for name in ("bus", "gen", "branch", "gencost"))
    names, kinds = _units(where, fields, len(gen))
    notes = [f"mpc.{name} is ignored" for name in fields if name not in (*_READ, *_NO_MATTER, "dcline")]
    if "dcline" in fields:
        count = len(fields["dcline"].rows)
        notes.append(f"{count} DC {'line' if count == 1 else 'lines'} (mpc.dcline) ignored")
    flow: Flow = "pglib" if _PGLIB.search(text) else "matpower"
    return Case(where, path.stem, _base(where, fields), bus, gen, branch, gencost, names, kinds, flow, tuple(notes))


def _wrong(where: str, line: int, problem: str) -> DataError:
    return DataError(f"{where}:{line}: {problem}")


def _lines(where: str, text: str) -> Iterator[tuple[int, str]]:
    """Lines of code with their numbers, without comments; a continued line keeps the number of its first."""
    start, held, comment = 0, "", False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() in ("%{", "%}"):
            comment = line.strip() == "%{"
            continue
        match = _CODE.match("" if comment else line)
        code = match.group() if match else ""
        code, dots, _ = code.partition("...")
        if not (comment or dots) and line[len(code) : len(code) + 1] in ("'", '"'):
            raise _wrong(where, number, "a quote is not closed, expected another in the same line")
        start, held = (start if held else number), held + code
        if dots:
            held += " "
        elif held.strip():
            yield start, held.strip()
            held = ""
        else:
            held = ""
    if held.strip():
        yield start, held.strip()


def _fields(where: str, lines: Iterator[tuple[int, str]]) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    for number, text in lines:
        if _IDLE.fullmatch(text.rstrip("; ")):
            continue
        match = _ASSIGNMENT.fullmatch(text)
        if match is None:
            raise _no_statement(where, number, text, fields)
        name, value = match.group(2), match.group(3)
        if name in fields:
            raise _wrong(where, number, f"mpc.{name} is set again, first in line {fields[name].line}: remove one")
        if not value.strip("; "):
            raise _wrong(where, number, f"mpc.{name} is set to nothing, expected a value or '[' in this line: add it")
        if value[:1] in _CLOSING:
            fields[name] = _block(where, name, number, value, lines)
        else:
            fields[name] = _Field(number, "", ((number, value.rstrip("; ")),))
    return fields


def _no_statement(where: str, number: int, text: str, fields: dict[str, _Field]) -> DataError:
    """The error for a line that sets nothing: rows that an earlier statement does not enclose, or code."""
    if fields and (text[0] in "[]{}" or _NUMBER.match(text)):
        name, field = list(fields.items())[-1]
        problem = f"line {number} continues mpc.{name} outside of brackets, {text[:40]!r}"
        return _wrong(where, field.line, f"{problem}, expected 'mpc.{name} = [' above its rows and '];' below them")
    problem = f"found the code {text[:40]!r}, which is not run, expected 'mpc.name = numbers;'"
    return _wrong(where, number, f"{problem}: save the case with savecase in MATPOWER")


def _block(where: str, name: str, number: int, value: str, lines: Iterator[tuple[int, str]]) -> _Field:
    """The rows from the opening bracket, which `value` starts with, to the closing one."""
    opener, at, rest = value[0], number, value[1:]
    rows: list[tuple[int, str]] = []
    while True:
        masked = re.sub(_QUOTED, lambda quoted: "_" * len(quoted.group()), rest)
        end = masked.find(_CLOSING[opener])
        body = masked if end < 0 else masked[:end]
        if "=" in body:
            break
        first = 0
        for piece in body.split(";"):
            if piece.strip(" \t,"):
                rows.append((at, rest[first : first + len(piece)]))
            first += len(piece) + 1
        if end >= 0:
            if tail := rest[end + 1 :].strip("; \t"):
                raise _wrong(where, at, f"mpc.{name}: found {tail[:40]!r} behind '{_CLOSING[opener]}', expected ';'")
            return _Field(number, opener, tuple(rows))
        at, rest = next(lines, (0, "="))
    raise _wrong(where, number, f"mpc.{name} is not closed, expected '{_CLOSING[opener]};' below its rows")


def _matrix(where: str, fields: dict[str, _Field], name: str) -> Matrix:
    field = fields.get(name)
    if field is None:
        raise DataError(f"{where}: no mpc.{name}, expected a case with mpc.bus, mpc.gen, mpc.branch and mpc.gencost")
    if field.opener != "[":
        raise _wrong(where, field.line, f"mpc.{name}: expected rows of numbers in [ ]: correct it")
    rows = []
    for row, (line, text) in enumerate(field.rows, start=1):
        tokens = text.replace(",", " ").split()
        for token in tokens:
            if not _NUMBER.fullmatch(token):
                raise _wrong(where, line, f"mpc.{name} row {row}: found {token!r}, expected a number")
        rows.append(tuple(_float(token) for token in tokens))
    return Matrix(where, f"mpc.{name}", tuple(rows), tuple(line for line, _ in field.rows), field.line)


def _float(token: str) -> float:
    return float(token.replace("D", "e").replace("d", "e"))


def _scalar(where: str, fields: dict[str, _Field], name: str) -> str:
    """The text of a scalar, without quotes; "" where it is not set."""
    field = fields.get(name)
    if field is not None and field.opener:
        raise _wrong(where, field.line, f"mpc.{name}: expected one value: correct it")
    return field.rows[0][1].strip("'\"") if field else ""


def _base(where: str, fields: dict[str, _Field]) -> float:
    text = _scalar(where, fields, "baseMVA")
    value = _float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 < value < math.inf:
        line = f":{fields['baseMVA'].line}" if "baseMVA" in fields else ""
        raise DataError(
            f"{where}{line}: mpc.baseMVA: found {text!r}, expected a number above 0, such as 100: correct it"
        )
    return value


def _unquoted(text: str) -> str:
    """What is between quotes; two of them within are one."""
    return text[1:-1].replace(2 * text[0], text[0])


def _units(where: str, fields: dict[str, _Field], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and kinds of the rows of mpc.gen, empty where the file has none."""
    columns: dict[str, list[list[str]]] = {}
    for name in ("gentype", "genfuel", "gen_name"):
        if field := fields.get(name):
            cells = [[_unquoted(quoted) for quoted in re.findall(_QUOTED, text)] for _, text in field.rows]
            if len(cells) != count or not all(cells):
                expected = f"{count} rows of quoted text, one a row of mpc.gen"
                raise _wrong(where, field.line, f"mpc.{name} has {len(cells)} rows, expected {expected}")
            columns[name] = cells
    names = tuple(row[0] for row in columns.get("gen_name", []))
    for row, name in enumerate(names):
        if name in names[:row]:
            line = fields["gen_name"].rows[row][0]
            raise _wrong(where, line, f"mpc.gen_name row {row + 1}: '{name}' occurs twice, expected distinct names")
    words = [
        [word for key, column in columns.items() for word in column[row][key == "gen_name" :]] for row in range(count)
    ]
    kinds = tuple(next((_KIND[word.lower()] for word in row if word.lower() in _KIND), "thermal") for row in words)
    return names, kinds
