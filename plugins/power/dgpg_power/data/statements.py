"""The text of a MATLAB or Octave file as statements: comments, continued lines, quotes, numbers. Nothing is run."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Iterator

from dgpg.errors import DataError

QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|(?i:inf|nan))", re.ASCII)
_GAP = re.compile(r"[ \t]*,[ \t]*|[ \t]+")
_PART = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|\w+|\.?[*/^]|[-+()]|[ \t]+|,|.")
_COMMENT, _OPEN, _CLOSE = "%#", ("%{", "#{"), ("%}", "#}")
_TURNED = re.compile(r"[\w)\]}'.\"]")
"""What a quote turns, or transposes, if it stands right behind."""
_NAMES = {"inf": math.inf, "nan": math.nan, "pi": math.pi}
_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip


def fault(where: str, line: int, problem: str) -> DataError:
    """The error for a line of a file."""
    return DataError(f"{where}:{line}: {problem}")


def code_lines(where: str, text: str) -> Iterator[tuple[int, str]]:
    """Lines of code with their numbers, without comments; a continued line keeps the number of its first.

    Raises:
        DataError: a quote or a block comment is not closed.
    """
    start, held, depth, opened = 0, "", 0, 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        mark = line.strip()
        if mark in _OPEN or (depth and mark in _CLOSE):
            opened = opened if depth else number
            depth += 1 if mark in _OPEN else -1
            continue
        code, goes_on = ("", bool(held)) if depth else _code(where, number, line)
        start, held = (start if held else number), held + code
        if goes_on:
            held += " "
        elif held.strip():
            yield start, held.strip()
            held = ""
        else:
            held = ""
    if depth:
        raise fault(where, opened, "a block comment is not closed, expected '%}' in a line of its own below it")
    if held.strip():
        yield start, held.strip()


def _code(where: str, number: int, line: str) -> tuple[str, bool]:
    """A line up to its comment, and whether it goes on in the next."""
    at = 0
    while at < len(line):
        if line[at] in _COMMENT:
            return line[:at], False
        if line.startswith("...", at):
            return line[:at], True
        if line[at] == '"' or (line[at] == "'" and not (at and _TURNED.match(line[at - 1]))):
            quoted = QUOTED.match(line, at)
            if quoted is None:
                raise fault(where, number, "a quote is not closed, expected another in the same line")
            at = quoted.end()
        else:
            at += 1
    return line, False


def masked(text: str) -> str:
    """The text with every quoted part overwritten, so that signs in it are no code."""
    found, at = list(text), 0
    while at < len(text):
        turned = text[at] == "'" and at > 0 and _TURNED.match(text[at - 1])
        quoted = None if text[at] not in "'\"" or turned else QUOTED.match(text, at)
        if quoted:
            found[at : quoted.end()] = "_" * len(quoted.group())
        at = quoted.end() if quoted else at + 1
    return "".join(found)


def statement_end(text: str) -> int:
    """Where the first statement of a line ends: at a semicolon or comma outside of quotes, or with the line."""
    return min((at for at in (masked(text).find(sign) for sign in ";,") if at >= 0), default=len(text))


def looks_like_number(text: str) -> bool:
    """Whether a text begins with a number."""
    return _NUMBER.match(text) is not None


def value_of(text: str) -> float | None:
    """The value of a number or of arithmetic with numbers, such as 1/10 or 2*pi; None for anything else."""
    if _NUMBER.fullmatch(text):
        return _float(text)
    plain = re.sub(r"(?<=[\d.])[dD](?=[+-]?\d)", "e", text).replace(".^", "^").replace(".*", "*").replace("./", "/")
    words = [part.group().lower() for part in _PART.finditer(plain) if re.match(r"[^\W\d]|_", part.group())]
    signs = plain.isascii() and re.fullmatch(r"[\w.+\-*/^() \t]+", plain) and not re.search(r"\*\*|//|\^.*\^", plain)
    if not signs or any(word not in _NAMES for word in words):
        return None
    try:
        return _evaluated(ast.parse(plain.replace("^", "**").strip(), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError):
        return None


def _float(token: str) -> float:
    return float(re.sub("[dD]", "e", token) if token[-1:].isdigit() else token)


def _evaluated(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.Name(id=name) if name.lower() in _NAMES:
            return _NAMES[name.lower()]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluated(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            value = _BINARY[type(op)](_evaluated(left), _evaluated(right))
            if isinstance(value, float):
                return value
    raise ValueError


def decimal_comma(row: str) -> bool:
    """Whether blanks divide the numbers of a row and all of its commas stand within digits, as in 0,5 for 0.5."""
    commas = row.strip(" \t,").count(",")
    return 0 < commas == len(re.findall(r"\d,(?=\d)", row)) < len(re.findall(r"\d[ \t]+(?=[-+.\d])", row))


def elements(row: str) -> list[str]:
    """The elements of a row of a matrix; a sign with space before and none behind begins another, as in MATLAB."""
    plain = [part for part in _GAP.split(row.strip(" \t,")) if part]
    if all(_NUMBER.fullmatch(part) for part in plain):
        return plain
    parts = [match.group() for match in _PART.finditer(row)]
    found, depth = [""], 0
    for at, part in enumerate(parts):
        depth += (part == "(") - (part == ")")
        if (part == "," or part.isspace()) and not depth:
            if part == "," or _ends(found[-1], parts[at + 1 :]):
                found.append("")
            continue
        found[-1] += part
    return [part for part in found if part]


def _ends(before: str, rest: list[str]) -> bool:
    """Whether a space after `before` ends an element."""
    if not before or before[-1] in "+-*/^(" or not rest:
        return bool(before) and not rest
    if rest[0] in ("+", "-"):
        return not (len(rest) > 1 and rest[1].isspace())
    return rest[0] not in ("*", "/", "^", ".*", "./", ".^", ",")
