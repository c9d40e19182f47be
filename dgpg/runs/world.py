"""The processes of one training, as PyTorch's launcher (`torchrun`) starts them: who holds what, and what they say.

Each runs the same command. The first one, rank 0, alone writes and speaks; the others hold shards and agree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from dgpg.errors import ConfigError, DgpgError, Elsewhere, RunError
from dgpg.learning.shards import Shards

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""How long a process waits for what another says while that one is alive: an iteration may be long."""


class Lost(RunError):
    """Another process of the training is gone."""


class World:
    """One process, which is all there is."""

    rank = 0
    size = 1
    echo = 0.0
    """Seconds in which a signal may come twice, see `dgpg.runs.interruption`."""
    again = False
    """Whether the launcher has started this training again, after a process was lost."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def held(self, count: int) -> range:
        """Which of `count` shards this process holds.

        Raises:
            ConfigError: they cannot be shared alike.
        """
        if count % self.size:
            raise ConfigError(
                f"{self.size} processes cannot share train.shards = {count} alike: a training begins with "
                f"--set train.shards={self.size} or a multiple, and goes on with as many processes as divide that"
            )
        each = count // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def shards(self, count: int) -> Shards:
        """Those of this process, and how they hear of the others."""
        return Shards(count, self.held(count), self.exchange)

    def exchange(self, own: list[Tensor]) -> list[Tensor]:
        """Tensors of the shards held here, of one shape, to those of all shards in their order."""
        return own

    def objects(self, own: T) -> list[T]:
        """What each process says, in the order of ranks."""
        return [own]

    def gathered(self, own: T) -> list[T]:
        """In rank 0 what each process says, in the order of ranks; nothing elsewhere."""
        return [own]

    def spread(self, own: T) -> T:
        """What rank 0 says."""
        return own

    def most(self, own: int) -> int:
        """The largest of what each process says."""
        return max(self.objects(own))

    def together(self, act: Callable[[], T]) -> T:
        """Act in every process; if it goes wrong in any, it has in all.

        Raises:
            DgpgError: of this process, or (as a RunError) of another with its rank.
            Elsewhere: rank 0 says it.
        """
        found, mine = None, None
        try:
            found = act()
        except DgpgError as error:
            mine = error
        said = self.objects(None if mine is None else str(mine))
        wrong = {rank: text for rank, text in enumerate(said) if text is not None}
        if not wrong:
            return found  # type: ignore[return-value]
        if not self.leads:
            raise Elsewhere
        if mine is not None:
            raise mine
        raise RunError("\n".join(f"process {rank}: {text}" for rank, text in wrong.items()))

    def first(self, act: Callable[[], T]) -> T:
        """Act in rank 0 alone; all have what it returned, or fail if it does."""
        return self.spread(self.together(lambda: act() if self.leads else None))  # type: ignore[return-value]

    def alike(self, facts: Mapping[str, str]) -> None:
        """Refuse processes that are about to train something else than rank 0.

        Raises:
            RunError: naming who differs in what.
            Elsewhere: rank 0 says it.
        """
        first, *others = self.objects(dict(facts))
        lines = [
            f"process {rank}: {name} is {one.get(name, 'nothing')}, of process 0 {first.get(name, 'nothing')}"
            for rank, one in enumerate(others, 1)
            for name in sorted(first.keys() | one.keys())
            if one.get(name) != first.get(name)
        ]
        if lines:
            raise RunError("processes differ:\n" + "\n".join(lines)) if self.leads else Elsewhere


class _Joined(World):
    """One process of several."""

    echo = 2.0

    def __init__(self, rank: int, size: int, again: bool) -> None:
        self.rank, self.size, self.again = rank, size, again

    def exchange(self, own: list[Tensor]) -> list[Tensor]:
        """By way of the processor's memory: messages are small."""
        mine = torch.stack([one.detach().cpu() for one in own])
        heard = [torch.empty_like(mine) for _ in range(self.size)]
        with _heard():
            torch.distributed.all_gather(heard, mine)
        device = own[0].device
        return [one.to(device) for part in heard for one in part.unbind()]

    def objects(self, own: T) -> list[T]:
        """Anything that can be pickled."""
        said: list[Any] = [None] * self.size
        with _heard():
            torch.distributed.all_gather_object(said, own)
        return said

    def gathered(self, own: T) -> list[T]:
        """Anything that can be pickled."""
        said: list[Any] | None = [None] * self.size if self.leads else None
        with _heard():
            torch.distributed.gather_object(own, said)
        return said or []

    def spread(self, own: T) -> T:
        """Anything that can be pickled."""
        said = [own]
        with _heard():
            torch.distributed.broadcast_object_list(said)
        return said[0]


@contextmanager
def _heard() -> Iterator[None]:
    """What a broken connection means.

    Raises:
        Lost: instead of an error of the transport.
    """
    try:
        yield
    except RuntimeError as error:  # gloo has no class of its own
        reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
        raise Lost(f"another process of this training is gone ({reason}); what it said may tell why") from None


@contextmanager
def joined(environ: Mapping[str, str] = os.environ) -> Iterator[World]:
    """The world that the launcher's variables speak of; one process where there are none.

    Raises:
        ConfigError: variables are missing, or the processes do not find each other.
    """
    size = int(environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environ]
    if missing:
        raise ConfigError(f"WORLD_SIZE is {size}, so {', '.join(missing)} must be set too; start with torchrun")
    from torch.distributed.rendezvous import rendezvous  # not in every build of torch

    from dgpg.runs.heartbeat import watching

    rank = int(environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        store, rank, size = next(rendezvous("env://", rank, size))
        torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (RuntimeError, OSError) as error:
        place = f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"process {rank} does not find the others at {place} ({reason})") from None
    try:
        with watching(store, rank, size):
            yield _Joined(rank, size, int(environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0)
    finally:
        torch.distributed.destroy_process_group()


def ordered(parts: Sequence[Sequence[T]]) -> list[T]:
    """Of the shards of each process, those of all."""
    return [one for part in parts for one in part]
