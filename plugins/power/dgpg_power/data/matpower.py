"""MATPOWER case files (`.m`, format version 2), read as data: nothing in the file is run.

Format: R. D. Zimmerman and C. E. Murillo-Sánchez, "MATPOWER User's Manual", appendix B.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import read_text
from dgpg_power.config import Flow

from .case import Case, Matrix
from .statements import (
    QUOTED,
    code_lines,
    decimal_comma,
    elements,
    fault,
    looks_like_number,
    masked,
    statement_end,
    value_of,
)

_ASSIGNMENT = re.compile(r"([A-Za-z]\w*)\.([\w.]+)\s*=\s*(.*)", re.DOTALL)
_FUNCTION = re.compile(r"function\s+(?:\[?\s*(\w+)\s*\]?\s*=\s*)?(\w+)\s*(?:\([\w\s,~]*\))?\s*")
_IDLE = re.compile(r"end|endfunction|return|define_constants|\w+\s*=\s*struct\s*(?:\(\s*\))?|", re.DOTALL)
_PGLIB = "pglib_opf_"
"""PGLib's optima are of a DC approximation of its own, and the functions of its files begin like this."""
_FIRST = re.compile(r"^\s*function\s*\[\s*baseMVA\s*,|^\s*bus\s*=\s*\[", re.MULTILINE)
"""What a file of MATPOWER's format 1 has."""
_CLOSING = {"[": "]", "{": "}"}
_READ = ("version", "baseMVA", "bus", "gen", "branch", "gencost", "gen_name", "gentype", "genfuel")
_UNIT = ("name", "type", "fuel")
"""Columns that mpc.gen_name may have."""
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
    turned: bool = False  # transposed


class _Lines:
    """Lines of code, of which what is left of one can be put back."""

    def __init__(self, where: str, text: str) -> None:
        self.rest, self.held = code_lines(where, text), list[tuple[int, str]]()

    def back(self, number: int, text: str) -> None:
        if text := text.lstrip("; \t,"):
            self.held.append((number, text))

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return self

    def __next__(self) -> tuple[int, str]:
        return self.held.pop() if self.held else next(self.rest)


def read_matpower(path: Path) -> Case:
    """Read a case file; DataError names the file and line of the first fault."""
    where, text = str(path), _text(path)
    if not _TRACE.search(text):
        expected = "expected a .m file that sets mpc.bus, mpc.gen, mpc.branch and mpc.gencost"
        old = "a case of MATPOWER's format 1" if _FIRST.search(text) else "not a MATPOWER case"
        remedy = "save it again with savecase" if _FIRST.search(text) else "name one"
        raise DataError(f"{where}: this is {old}, {expected}: {remedy}")
    fields, function = _fields(where, _Lines(where, text))
    if (version := _scalar(where, fields, "version")) not in ("2", ""):
        raise fault(where, fields["version"].line, f"mpc.version is '{version}', expected '2': save the case again")
    bus, gen, branch, gencost = (_matrix(where, fields, name) for name in ("bus", "gen", "branch", "gencost"))
    names, kinds = _units(where, fields, len(gen))
    notes = [f"mpc.{name} is ignored" for name in fields if name not in (*_READ, *_NO_MATTER, "dcline")]
    if "dcline" in fields:
        count = len(fields["dcline"].rows)
        notes.append(f"{count} DC {'line' if count == 1 else 'lines'} (mpc.dcline) ignored")
    flow: Flow = "pglib" if function.startswith(_PGLIB) else "matpower"
    branch = _padded(branch)
    return Case(where, path.stem, _base(where, fields), bus, gen, branch, gencost, names, kinds, flow, tuple(notes))


def _text(path: Path) -> str:
    """The text of a file, UTF-8 or, where it is a case all the same, Latin-1: names of old cases have accents."""
    try:
        return read_text(path)
    except DataError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        text = path.read_bytes().decode("latin-1")
        if not _TRACE.search(text) or re.search("[\0-\b\x0e-\x1f]", text):
            raise
        return text


def _padded(branch: Matrix) -> Matrix:
    """Branches of 11 columns, as older files have them, without angle limits."""
    lengths = [len(row) for row in branch.rows]
    if not lengths or max(lengths) > 11:
        return branch
    return replace(branch, rows=tuple((*row, 0.0, 0.0) if len(row) == 11 else row for row in branch.rows))


def _fields(where: str, lines: _Lines) -> tuple[dict[str, _Field], str]:
    """What the file sets, and the name of its function."""
    fields, function, owner = dict[str, _Field](), "", ""
    for number, text in lines:
        if match := _FUNCTION.match(text):
            owner, function = match.group(1) or owner, match.group(2)
            rest = text[match.end() :]
            if rest[:1] not in ("", ";", ","):
                raise _no_statement(where, number, text, fields)
            lines.back(number, rest)
            continue
        if _IDLE.fullmatch(text[: statement_end(text)].strip()):
            lines.back(number, text[statement_end(text) :])
            continue
        assigned = _ASSIGNMENT.fullmatch(text)
        if assigned is None:
            raise _no_statement(where, number, text, fields)
        owner = owner or assigned.group(1)
        name, value = assigned.group(2), assigned.group(3)
        if assigned.group(1) != owner:
            found = f"{assigned.group(1)}.{name} is no field of {owner}, which the case is"
            raise fault(where, number, f"{found}, expected {owner}.{name}: rename it")
        if name in fields:
            raise fault(where, number, f"mpc.{name} is set again, first in line {fields[name].line}: remove one")
        if not value.strip("; ,"):
            raise fault(where, number, f"mpc.{name} is set to nothing, expected a value or '[' in this line: add it")
        if value[:1] in _CLOSING:
            fields[name] = _block(where, name, number, value, lines)
        else:
            end = statement_end(value)
            fields[name] = _Field(number, "", ((number, value[:end].strip()),))
            lines.back(number, value[end:])
    return fields, function


def _no_statement(where: str, number: int, text: str, fields: dict[str, _Field]) -> DataError:
    """The error for a line that sets nothing: rows that an earlier statement does not enclose, or code."""
    if fields and (text[0] in "[]{}" or looks_like_number(text)):
        name, field = list(fields.items())[-1]
        problem = f"line {number} continues mpc.{name} outside of brackets, {text[:40]!r}"
        return fault(where, field.line, f"{problem}, expected 'mpc.{name} = [' above its rows and '];' below them")
    problem = f"found the code {text[:40]!r}, which is not run, expected 'mpc.name = numbers;'"
    return fault(where, number, f"{problem}: save the case with savecase in MATPOWER")


def _block(where: str, name: str, number: int, value: str, lines: _Lines) -> _Field:
    """The rows from the opening bracket, which `value` starts with, to the closing one."""
    opener, at, rest = value[0], number, value[1:]
    rows: list[tuple[int, str]] = []
    while True:
        code = masked(rest)
        end = code.find(_CLOSING[opener])
        body = code if end < 0 else code[:end]
        if "=" in body:
            break
        if "[" in body or "{" in body:
            raise fault(where, at, f"mpc.{name}: found a bracket within its brackets, expected rows of numbers or text")
        first = 0
        for piece in body.split(";"):
            if piece.strip(" \t,"):
                rows.append((at, rest[first : first + len(piece)]))
            first += len(piece) + 1
        if end >= 0:
            tail = rest[end + 1 :]
            turned = tail.startswith(("'", ".'"))
            tail = tail.removeprefix(".").removeprefix("'").strip() if turned else tail.strip()
            if tail[:1] not in ("", ";", ","):
                raise fault(
                    where, at, f"mpc.{name}: found {tail.rstrip('; ')[:40]!r} behind '{_CLOSING[opener]}', expected ';'"
                )
            lines.back(at, tail)
            return _Field(number, opener, tuple(rows), turned)
        at, rest = next(lines, (0, "="))
    raise fault(where, number, f"mpc.{name} is not closed, expected '{_CLOSING[opener]};' below its rows")


def _matrix(where: str, fields: dict[str, _Field], name: str) -> Matrix:
    field = fields.get(name)
    if field is None:
        raise DataError(f"{where}: no mpc.{name}, expected a case with mpc.bus, mpc.gen, mpc.branch and mpc.gencost")
    if field.opener != "[":
        raise fault(where, field.line, f"mpc.{name}: expected rows of numbers in [ ]: correct it")
    rows, numbered = [], [line for line, _ in field.rows]
    for row, (line, text) in enumerate(field.rows, start=1):
        if decimal_comma(text):
            advice = "write points in numbers, or commas between all of them"
            raise fault(where, line, f"mpc.{name} row {row}: commas within numbers and blanks between them: {advice}")
        values = [(part, value_of(part)) for part in elements(text)]
        for part, found in values:
            if found is None:
                raise fault(where, line, f"mpc.{name} row {row}: found {part!r}, expected a number")
        rows.append(tuple(found for _, found in values if found is not None))
    if field.turned:
        if len({len(row) for row in rows}) > 1:
            raise fault(where, field.line, f"mpc.{name}: rows differ in length, expected one for what is transposed")
        rows = list(zip(*rows, strict=True))
        numbered = [field.line] * len(rows)
    return Matrix(where, f"mpc.{name}", tuple(rows), tuple(numbered), field.line)


def _scalar(where: str, fields: dict[str, _Field], name: str) -> str:
    """The text of a scalar, without quotes; "" where it is not set."""
    field = fields.get(name)
    if field is not None and field.opener and len(field.rows) != 1:
        raise fault(where, field.line, f"mpc.{name}: expected one value: correct it")
    return field.rows[0][1].strip("'\" \t") if field else ""


def _base(where: str, fields: dict[str, _Field]) -> float:
    text = _scalar(where, fields, "baseMVA")
    value = value_of(text)
    if value is None or not 0 < value < math.inf:
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
            cells = [[_unquoted(quoted) for quoted in QUOTED.findall(text)] for _, text in field.rows]
            if len(cells) == 1 and len(cells[0]) == count and (field.turned or count > len(_UNIT)):
                cells = [[cell] for cell in cells[0]]
            if len(cells) != count or not all(cells):
                expected = f"{count} rows of quoted text, one a row of mpc.gen"
                raise fault(where, field.line, f"mpc.{name} has {len(cells)} rows, expected {expected}")
            columns[name] = cells
    names = tuple(row[0] for row in columns.get("gen_name", []))
    for row, name in enumerate(names):
        if name in names[:row]:
            line = fields["gen_name"].rows[min(row, len(fields["gen_name"].rows) - 1)][0]
            raise fault(where, line, f"mpc.gen_name row {row + 1}: '{name}' occurs twice, expected distinct names")
    words = [
        [word for key, column in columns.items() for word in column[row][key == "gen_name" :]] for row in range(count)
    ]
    kinds = tuple(next((_KIND[word.lower()] for word in row if word.lower() in _KIND), "thermal") for row in words)
    return names, kinds
