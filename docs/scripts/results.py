"""Write the tables of docs/results from its JSON, and see that every figure said elsewhere is held by one.

    python docs/scripts/results.py            # write the tables, then check
    python docs/scripts/results.py --check    # check alone, as the tests and `make docs` do

A page asks for a table by two markers, `<!-- table NAME -->` and `<!-- end NAME -->`; what is between them is written
from docs/results/data/NAME.json, all its columns or those of `<!-- table NAME: column, column -->`. A figure is a
number with a decimal point, a thousands comma, or one of %, s, ms, x, times behind it. Each sentence or row of
README.md and of the pages of results that shows one, and each elsewhere in docs/ that links to results, has an entry
in docs/results/data/said.json: the sentence with `#` for its figures, the figures, the tables they are from, and under
`own` those that no table holds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "docs" / "results" / "data"
PLACES = re.compile(r"<!-- table (\S+?)(?:: (.*))? -->\n(?:.*\n)*?<!-- end \1 -->\n")
UNIT = r" ?%| (?:s|ms|times)\b|x\b"
FIGURE = re.compile(
    r"(?<![\w.#])[-+]?(?:\d+(?:,\d{3})*\.\d+(?:e-?\d+)?|\d+(?:,\d{3})+|\d+e-?\d+"
    rf"|\d+(?={UNIT}| (?:to|and|or) [-+]?[\d.]+ %))(?:{UNIT})?"
)
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.(\d+))?(?:e-?\d+)?")
CODE = re.compile(r"^```(?s:.*?)^```|^ {4}.*$|<!--(?s:.*?)-->", re.M)
NO_RESULTS = {"95 %", "3.11", "2602.20078", "2.0"}
"""The level of intervals, versions, a paper: numbers that look like figures and are no results."""


def pages() -> list[Path]:
    """Pages that may show a result."""
    docs = ROOT / "docs"
    return [ROOT / "README.md", *sorted(docs.glob("*.md")), *sorted((docs / "results").glob("*.md"))]


def data() -> dict[str, dict[str, Any]]:
    """Every table by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DATA.glob("*.json")) if path.stem != "said"}


def shown(value: Any) -> str:
    """A cell: text as it is, numbers to four digits, an interval behind its mean."""
    if isinstance(value, Mapping) and {"mean", "low", "high"} <= set(value):
        return f"{shown(value['mean'])} ({shown(value['low'])} to {shown(value['high'])})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(name: str, found: Mapping[str, Any], asked: str | None = None) -> str:
    """The table and where it is from, between its markers; the columns that are asked for, or all."""
    held = found["columns"]
    places = [held.index(column) for column in asked.split(", ")] if asked else range(len(held))
    columns = [held[at] for at in places]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(shown(row[at]) for at in places)} |" for row in found["rows"]]
    origin = f"[data](data/{name}.json), commit {found['commit'][:7]}"
    if found.get("transcribed"):
        origin += ", taken over from the page of that commit, not written by the script"
    body = "\n".join(line.replace("|  |", "| |") for line in lines)
    marker = f"{name}: {asked}" if asked else name
    return f"<!-- table {marker} -->\n{body}\n\n*{origin}.*\n<!-- end {name} -->\n"


def render(text: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A page with its tables written anew."""
    return PLACES.sub(lambda place: table(place[1], tables[place[1]], place[2]), text)


def sentences(text: str) -> Iterator[str]:
    """Sentences and rows of hand-written tables, without code and without the tables that are rendered."""
    plain = re.sub(r"\]\([^)]*\)", "]", CODE.sub(" ", PLACES.sub("\n", text)))
    plain = re.sub(r"`[^`]*`", lambda code: re.sub(r"\d", "", code[0]), plain)
    for block in re.split(r"\n\s*\n|\n(?=\s*- |\||#)", plain):
        yield from re.split(r"(?<=[.:]) (?=[A-Z*\[])", " ".join(block.split()))


def said(path: Path) -> list[dict[str, Any]]:
    """The sentences of a page that show figures."""
    return spoken(str(path.relative_to(ROOT)), path.read_text())


def spoken(name: str, text: str) -> list[dict[str, Any]]:
    """The same of a text, as the page of that name."""
    everything = name == "README.md" or "results" in name
    found = []
    kept = text if everything else "\n\n".join(b for b in re.split(r"\n\s*\n", text) if "(results" in b)
    for sentence in sentences(kept):
        numbers = [f for f in FIGURE.findall(sentence) if f not in NO_RESULTS]
        if numbers:
            holes = FIGURE.sub(lambda m: m[0] if m[0] in NO_RESULTS else "#", sentence)
            found.append({"page": name, "says": holes, "figures": numbers})
    return found


def holds(figure: str, cells: str) -> bool:
    """Whether a number of some cells is the figure, rounded to as many digits; a sign counts where it is said."""
    wanted = NUMBER.match(figure)
    assert wanted
    value, near = float(wanted[0].replace(",", "")), 0.5 * 10.0 ** -len(wanted[1] or "") + 1e-9
    if "e" in wanted[0]:  # not that of "times"
        near = 1e-3 * abs(value)
    numbers = [float(n[0].replace(",", "")) for n in NUMBER.finditer(cells)]
    signed = figure[0] in "+-"
    return any(abs((n if signed else abs(n)) - value) <= near for n in numbers)


def cells(found: Mapping[str, Any]) -> str:
    """All that a table shows."""
    return " ; ".join(shown(cell) for row in (found["columns"], *found["rows"]) for cell in row)


def unheld(entry: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Figures of an entry that neither its tables hold nor itself."""
    held = " ; ".join(cells(tables[name]) for name in entry["from"])
    return [f for f in entry["figures"] if f not in entry.get("own", ()) and not holds(f, held)]


def faults(pages: Mapping[str, list[dict[str, Any]]], tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is said on pages and held by no JSON, each with what to do."""
    ledger = json.loads((DATA / "said.json").read_text())
    entries = {(e["page"], e["says"], *e["figures"]): e for e in ledger}
    for page, sentences_of in pages.items():
        for one in sentences_of:
            entry = entries.get((page, one["says"], *one["figures"]))
            if entry is None:
                yield f"{page}: no JSON holds {one['figures']} of {one['says']!r}; measure, then add to said.json"
            elif lost := unheld(entry, tables):
                yield f"{page}: {lost} of {one['says']!r} are in none of {entry['from']}; correct them or name theirs"
    heard = {(e["page"], e["says"], *e["figures"]) for found in pages.values() for e in found}
    for key in entries.keys() - heard:
        yield f"{key[0]}: said.json holds {key[1]!r}, which the page does not say; take the entry out"


def main(check: bool) -> int:
    """Write unless only asked to check; 1 if something is wrong."""
    tables, wrong = data(), list[str]()
    for path in pages():
        text = path.read_text()
        new = render(text, tables)
        if new != text and check:
            wrong.append(f"{path.relative_to(ROOT)} is not current; run: python docs/scripts/results.py")
        elif new != text:
            path.write_text(new)
    wrong += faults({str(p.relative_to(ROOT)): said(p) for p in pages()}, tables)
    for fault in wrong:
        print(fault, file=sys.stderr)
    return bool(wrong)


def on_pre_build(config: Any) -> None:
    """The documentation's build fails on what `--check` finds (a hook of mkdocs)."""
    if main(check=True):
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
