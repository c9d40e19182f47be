"""Complete states of a run, the two newest of them: written whole, read back only if they are what they say."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from dgpg.errors import DivergenceError, RunError
from dgpg.runs.atomic import write_atomic

KEEP = 2
"""Checkpoints kept; one is enough to resume, the one before is for a disk that lied."""
LEARNED = ("actor", "critic", "actor_optimiser", "critic_optimiser", "normaliser", "blocks")
"""Parts of a state that hold what was learned; all of their numbers are finite, as is what was seen in shards."""


class Damage(Exception):
    """Why a file is no checkpoint."""


class Checkpoints:
    """iteration-NNNNNN.pt in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        """Files that `load` had to pass over, and why."""

    def save(self, iteration: int, state: Mapping[str, Any]) -> None:
        """A complete state; then those beyond KEEP go, and those of work that is done again.

        Raises:
            DivergenceError: it holds numbers that are not finite, so that `load` would refuse it.
        """
        if (name := _not_finite(state)) is not None:
            raise DivergenceError(f"iteration {iteration}: {name} holds numbers that are not finite")
        target = self.folder / f"iteration-{iteration:06d}.pt"
        whole = io.BytesIO()  # torch.save straight to a full disk hides the reason
        torch.save(dict(state), whole)
        write_atomic(target, lambda file: file.write(whole.getbuffer()))
        saved = self.saved()
        done = saved.index(target)
        for old in (*saved[:done], *saved[done + KEEP :]):
            with suppress(OSError):
                old.unlink()

    def saved(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("iteration-*.pt"), reverse=True)

    def load(self, device: torch.device) -> dict[str, Any]:
        """The newest one that reads back whole.

        Raises:
            RunError: none is complete, or the newest complete one holds numbers that are not finite.
        """
        self.damaged = []
        for file in self.saved():
            try:
                state = _read(file, device)
            except Damage as error:
                self.damaged.append(f"{file.name} cannot be read: {error}")
                continue
            if (name := _not_finite(state)) is not None:
                raise RunError(
                    f"{file}: {name} holds numbers that are not finite, so there is no policy to use; "
                    "start again in a new folder with a lower train.actor_lr"
                )
            return state
        detail = f" ({'; '.join(self.damaged)})" if self.damaged else ""
        raise RunError(f"{self.folder.parent} has no complete checkpoint{detail}; start it again in a new folder")


def _read(file: Path, device: torch.device) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:  # torch.load leaves the checksums alone
            if bad := archive.testzip():
                raise Damage(f"checksum of {bad} is wrong")
        state = torch.load(file, map_location=device, weights_only=True)
    except Damage:
        raise
    except pickle.UnpicklingError:  # torch advises to load it without this guard: that would run its code
        raise Damage("it holds other things than tensors, numbers and text, so dgpg did not write it") from None
    except Exception as error:  # a damaged file fails in many ways; the one before may be whole
        raise Damage((str(error) or repr(error)).splitlines()[0]) from None
    if not isinstance(state, dict) or not isinstance(state.get("counters"), dict):
        raise Damage("it holds no state of a run")
    return state


def _not_finite(state: Mapping[str, Any]) -> str | None:
    """The first part of what was learned that holds numbers that are not finite."""
    parts = {part: state.get(part) for part in LEARNED}
    parts["shards"] = [one.get("seen") for one in state.get("shards", ())]
    tensors = (pair for part, value in parts.items() for pair in _tensors(value, part))
    bad = (name for name, tensor in tensors if tensor.is_floating_point() and not bool(tensor.isfinite().all()))
    return next(bad, None)


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _tensors(inner, f"{name}.{index}")
