"""A batch in fixed parts, so that what is learned does not depend on how many processes share the work.

Floats that are added in another order give another sum. Environments therefore belong to S logical shards, and
everything about a shard is computed by itself, from tensors whose shapes depend on nothing else. Only sums over all
shards pass between them, and these are added up in the order of shards, whoever holds which.

Learning is written as if a shard were all there is, and asks `Shard.total` where a sum must be of all of them (as
`psum` does in JAX). A process that holds several shards runs them in turn, from one such question to the next.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")
X = TypeVar("X")

PIECE = 2**20
"""Numbers of a message, at most."""

Exchange = Callable[[list[Tensor]], list[Tensor]]
"""Tensors of the shards that a process holds, one each and alike in shape, to those of all shards in their order."""


class Shard(Protocol):
    """What the work on one shard may ask of the others. All shards must ask the same questions in the same order."""

    def every(self, x: Tensor) -> list[Tensor]:
        """What each shard has to say, of any shape that is the same for all, in their order."""
        ...

    def total(self, x: Tensor) -> Tensor:
        """Sum of what each shard has to say, any shape; nobody may change it."""
        ...

    def once(self, act: Callable[[], R]) -> R:
        """Act when all shards of this process have come so far, once for them all: they share networks."""
        ...

    def within(self, x: X, act: Callable[[list[X]], Sequence[R]]) -> R:
        """Its own of what `act` makes of what each shard of this process says: they may share environments."""
        ...


class Whole:
    """The only shard there is."""

    def every(self, x: Tensor) -> list[Tensor]:
        """Itself, any shape."""
        return [x]

    def total(self, x: Tensor) -> Tensor:
        """Itself, any shape."""
        return x

    def once(self, act: Callable[[], R]) -> R:
        """Act."""
        return act()

    def within(self, x: X, act: Callable[[list[X]], Sequence[R]]) -> R:
        """Act on it alone."""
        return act([x])[0]


WHOLE = Whole()


def environments(number: int, count: int, envs: int) -> range:
    """Those that belong to shard `number` of `count`: equal parts, of which the first are longer by one if need be."""
    size, longer = divmod(envs, count)
    first = number * size + min(number, longer)
    return range(first, first + size + (number < longer))


def mean(x: Tensor, dims: tuple[int, ...], shard: Shard = WHOLE) -> Tensor:
    """Mean, of any shape, over dimensions that are kept with size one, of which the shards have parts."""
    count = math.prod(x.shape[dim] for dim in dims)
    return shard.total(x.sum(dims, keepdim=True)) / shard.total(torch.tensor(float(count))).item()


def variance(x: Tensor, dims: tuple[int, ...], shard: Shard = WHOLE) -> Tensor:
    """Unbiased, any shape, over such dimensions; NaN of a single number."""
    count = shard.total(torch.tensor(float(math.prod(x.shape[dim] for dim in dims)))).item()
    double = x.double()
    square = shard.total((double - mean(double, dims, shard)).square().sum(dims, keepdim=True))
    return (square / (count - 1) if count > 1 else square * math.nan).to(x.dtype)


class Shards:
    """The shards that this process holds.

    Args:
        count: S.
        mine: numbers of those that this process holds; all of them by default.
        exchange: how it hears of the others.
    """

    def __init__(self, count: int, mine: range | None = None, exchange: Exchange = list) -> None:
        self.count, self.mine, self.exchange = count, range(count) if mine is None else mine, exchange

    def each(self, work: Callable[..., R], *columns: Sequence[Any]) -> list[R]:
        """`work(shard, *row)` of each shard, where `columns` have a row for each shard of this process.

        Of several shards one works at a time: until it asks for a sum, or is done, and then the next.
        """
        rows = list(zip(*columns, strict=True))
        assert len(rows) == len(self.mine)
        if len(rows) == 1:
            return [work(_Alone(self.exchange), *rows[0])]
        return _Turns(len(rows), self.exchange).play(work, rows)


class _Alone(Whole):
    """The only shard of this process."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def every(self, x: Tensor) -> list[Tensor]:
        return self._exchange([x])

    def total(self, x: Tensor) -> Tensor:
        return _total([x], self._exchange)


class _Abandoned(Exception):
    """Another shard's work failed."""


class _Turns:
    """Shards of one process that take turns, in threads of which only one is ever awake."""

    def __init__(self, count: int, exchange: Exchange) -> None:
        self._exchange = exchange
        self._turn = [threading.Semaphore(0) for _ in range(count)]
        self._said: list[Any] = [None] * count
        self._at_work = list(range(count))
        self._meetings = 0
        self._answer: Any = None
        self._error: BaseException | None = None

    def play(self, work: Callable[..., R], rows: Sequence[tuple[Any, ...]]) -> list[R]:
        found: list[Any] = [None] * len(rows)

        def one(at: int) -> None:
            self._turn[at].acquire()
            try:
                if self._error is None:
                    found[at] = work(_Member(self, at), *rows[at])
            except _Abandoned:
                pass
            except BaseException as error:  # of a plugin, perhaps; it is raised again below
                self._error = self._error or error
            self._pass_on(at)
            self._at_work.remove(at)

        threads = [threading.Thread(target=one, args=(at,), daemon=True) for at in range(len(rows))]
        for thread in threads:
            thread.start()
        self._turn[0].release()
        try:
            for thread in threads:
                thread.join()
        except BaseException as stop:  # told to stop at once
            self._error = stop
            raise
        if self._error is not None:
            raise self._error
        return found

    def meet(self, at: int, said: Any, use: Callable[[list[Any]], R]) -> R:
        """Wait until every shard has said its part; the last one makes an answer of all parts."""
        self._said[at], meetings = said, self._meetings
        if at == len(self._turn) - 1 and self._error is None:
            try:
                if len(self._at_work) == len(self._turn):
                    self._answer, self._meetings = use(list(self._said)), meetings + 1
            except BaseException as error:
                self._error = error
        self._pass_on(at)
        self._turn[at].acquire()
        if self._error is None and self._meetings == meetings:
            self._error = AssertionError("a shard was done where another asked on")
        if self._error is not None:
            raise _Abandoned
        answer: R = self._answer
        return answer

    def every(self, parts: list[Tensor]) -> list[Tensor]:
        return self._exchange(parts)

    def total(self, parts: list[Tensor]) -> Tensor:
        return _total(parts, self._exchange)

    def _pass_on(self, at: int) -> None:
        """To the next one that is still at work, in a ring."""
        later = [one for one in self._at_work if one > at]
        self._turn[(later or self._at_work)[0]].release()


class _Member:
    """A shard among others of its process."""

    def __init__(self, turns: _Turns, at: int) -> None:
        self._turns, self._at = turns, at

    def every(self, x: Tensor) -> list[Tensor]:
        return self._turns.meet(self._at, x, self._turns.every)

    def total(self, x: Tensor) -> Tensor:
        return self._turns.meet(self._at, x, self._turns.total)

    def once(self, act: Callable[[], R]) -> R:
        done: R = self._turns.meet(self._at, act, lambda acts: acts[0]())
        return done

    def within(self, x: X, act: Callable[[list[X]], Sequence[R]]) -> R:
        return self._turns.meet(self._at, x, act)[self._at]


def _total(parts: list[Tensor], exchange: Exchange) -> Tensor:
    """Sum over all shards, of `parts` held here; in pieces, so that nobody holds millions of numbers of all."""
    if parts[0].numel() <= PIECE:
        return reduce(torch.add, exchange(parts))
    pieces = zip(*(torch.split(part.flatten(), PIECE) for part in parts), strict=True)
    return torch.cat([reduce(torch.add, exchange(list(piece))) for piece in pieces]).view(parts[0].shape)
