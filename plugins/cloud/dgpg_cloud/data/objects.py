"""Objects of Kubernetes in JSON: documents one after another, lists, and what a watch prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgpg.errors import DataError

from .text import count

Numbered = list[tuple[int, dict[str, Any]]]
"""Objects, and their places in the file, from 1."""
_BLANK = re.compile(r"\s*")
IDENTITY = (("kind",), ("metadata", "namespace"), ("metadata", "name"), ("metadata", "uid"))
SECOND = len("2026-01-01T00:00:00")
EVENT_TIMES = ("firstTimestamp", "lastTimestamp", "eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp")
TIMES = (
    "creationTimestamp", "startTime", "startedAt", "finishedAt", "lastTransitionTime", "lastHeartbeatTime",
    "lastObservedTime", *EVENT_TIMES,
)  # fmt: skip
"""Fields that hold a time at which something has happened."""
COMMAND = "kubectl get pods,nodes,events -A -o json"


@dataclass(frozen=True)
class Objects:
    """What a file holds, each object in its last state."""

    path: Path
    items: Numbered

    def of(self, kind: str) -> Numbered:
        """Return the objects of a kind; DataError if there is none."""
        found = [(number, item) for number, item in self.items if item.get("kind") == kind]
        if not found:
            kinds = ", ".join(sorted({str(item.get("kind")) for _, item in self.items})) or "none"
            raise DataError(
                f"{self.path}: found no {kind} among {count(len(self.items), 'object')} ({kinds}), expected some: "
                f"write the file with {COMMAND}"
            )
        return found

    def events(self) -> dict[str, list[dict[str, Any]]]:
        """Return the events of each pod, by its uid or else its name; of either version of the API."""
        found: dict[str, list[dict[str, Any]]] = {}
        for _, item in self.items:
            about = mapped(item, "involvedObject") or mapped(item, "regarding")
            if item.get("kind") == "Event" and about.get("kind") == "Pod":
                found.setdefault(identity(about), []).append(item)
        return found

    @property
    def last(self) -> str:
        """The last time at which something has happened; "" if there is none."""
        return max((time for _, item in self.items for time in _happened(item)), default="")


def items_of(path: Path, text: str) -> Objects:
    """Return the objects of a file: of lists, alone, or as `kubectl get -w` prints them, one document after another.

    Of an object that stands in it several times the last state counts, at the place of the first.

    Raises:
        DataError: the text is no JSON.
    """
    found: dict[tuple[str, ...], tuple[int, dict[str, Any]]] = {}
    for number, item in enumerate(_all(path, text), start=1):
        if not isinstance(item, dict):
            continue
        key = tuple(str(at(item, *keys)) for keys in IDENTITY)
        key += () if at(item, *IDENTITY[-1]) else (str(number),)  # without a uid two of a name are two
        found[key] = (found.get(key, (number,))[0], item)
    return Objects(path, list(found.values()))


def _all(path: Path, text: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(), _after_blanks(text, 0)
    while place < len(text):
        try:
            content, end = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path}: not valid JSON ({error}): it may be truncated; write it again") from error
        place = _after_blanks(text, end)
        for item in content["items"] if isinstance(at(content, "items"), list) else [content]:
            yield item["object"] if isinstance(at(item, "object"), dict) and at(item, "type") else item


def _after_blanks(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return place if found is None else found.end()


def _happened(item: Any) -> Iterator[str]:
    if isinstance(item, list):
        for each in item:
            yield from _happened(each)
    elif isinstance(item, dict):
        for key, value in item.items():
            if isinstance(value, dict | list):
                yield from _happened(value)
            elif key in TIMES:
                yield moment(value)


def moments(event: dict[str, Any]) -> list[str]:
    """Return the times at which an event was seen; when it was written, if it says none."""
    told = [event.get(name) for name in EVENT_TIMES] + [at(event, "series", "lastObservedTime")]
    found = [time for time in map(moment, told) if time]
    return found or [time for time in (moment(at(event, "metadata", "creationTimestamp")),) if time]


def moment(value: Any) -> str:
    """Return a time to the second, so that texts are in the order of times; "" for none.

    >>> moment("2026-01-01T00:00:07.123456Z"), moment("2026-01-01T00:00:07Z"), moment(None)
    ('2026-01-01T00:00:07Z', '2026-01-01T00:00:07Z', '')
    """
    text = value if isinstance(value, str) else ""
    return f"{text[:SECOND]}Z" if text[SECOND:].startswith(".") and text.endswith("Z") else text


def identity(item: Any) -> str:
    """Return the uid of an object's metadata, or of a reference, or else its namespace and name."""
    return str(at(item, "uid") or f"{at(item, 'namespace') or ''}/{at(item, 'name') or ''}")


def at(item: Any, *keys: str) -> Any:
    """Return what lies under the keys, None where one is missing."""
    for key in keys:
        item = item.get(key) if isinstance(item, dict) else None
    return item


def mapped(item: Any, *keys: str) -> dict[str, Any]:
    """Return the object under the keys; without fields where there is none."""
    found = at(item, *keys)
    return found if isinstance(found, dict) else {}


def listed(item: Any, *keys: str) -> list[Any]:
    """Return the list under the keys; empty where there is none."""
    found = at(item, *keys)
    return found if isinstance(found, list) else []
