"""A batch in parts: the result is the same, bit for bit, whoever holds which part."""

import itertools
import threading
from collections.abc import Callable, Sequence
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Decision, Observation
from dgpg.learning import Task, Trainer, shards
from dgpg.learning.grounds import Together
from dgpg.learning.losses import explained_variance
from dgpg.learning.shards import Shard, Shards, environments, mean, variance
from dgpg.learning.train import of_before

from ..training import NAMES, same, state

TIMED = ("wall_s", "share_rollout", "share_guidance", "share_update")


# --- shards --------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 40))
def test_every_environment_is_in_one_shard_and_shards_are_equal_but_for_one(count: int, more: int) -> None:
    parts = [environments(number, count, count + more) for number in range(count)]
    assert list(itertools.chain(*parts)) == list(range(count + more))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_sums_are_of_all_shards_in_their_order() -> None:
    heard: list[list[float]] = []

    def exchange(own: list[Tensor]) -> list[Tensor]:
        heard.append([float(x) for x in own])
        return [torch.tensor(100.0), *own]  # another process holds the shard before these

    def work(shard: Shard, number: int) -> tuple[float, list[float]]:
        return float(shard.total(torch.tensor(float(number)))), [float(x) for x in shard.every(torch.tensor(-number))]

    found = Shards(4, range(1, 4), exchange).each(work, [1, 2, 3])
    assert found == [(106.0, [100.0, -1.0, -2.0, -3.0])] * 3 and heard == [[1, 2, 3], [-1, -2, -3]]
    assert Shards(2, range(1, 2), exchange).each(work, [7]) == [(107.0, [100.0, -7.0])]


@pytest.mark.parametrize("held", [1, 3])
def test_a_sum_of_many_numbers_is_said_in_pieces(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a process holds no more than a piece of what all others say; each number is the same to the last bit."""
    monkeypatch.setattr(shards, "PIECE", 4)
    said: list[int] = []

    def exchange(own: list[Tensor]) -> list[Tensor]:
        said.append(own[0].numel())
        return [torch.full_like(own[0], 0.3), *own]

    parts = [torch.rand(2, 5, generator=torch.Generator().manual_seed(n)) for n in range(held)]
    found = Shards(held + 1, range(1, held + 1), exchange).each(lambda shard, x: shard.total(x), parts)
    whole = torch.full((2, 5), 0.3)
    for part in parts:
        whole = whole + part
    assert said == [4, 4, 2] and all(torch.equal(one, whole) for one in found)


def test_shards_of_a_process_take_turns_and_act_once() -> None:
    order: list[tuple[str, int]] = []

    def work(shard: Shard, number: int) -> str:
        order.append(("before", number))
        done = shard.once(lambda: order.append(("act", number)) or "done")
        order.append(("after", number))
        return done

    assert Shards(3).each(work, range(3)) == ["done"] * 3
    phases = [[("before", n) for n in range(3)], [("act", 0)], [("after", n) for n in range(3)]]
    assert order == list(itertools.chain(*phases))


@pytest.mark.parametrize("when", ["before", "after", "exchange"])
def test_what_goes_wrong_in_one_shard_ends_all(when: str) -> None:
    def exchange(own: list[Tensor]) -> list[Tensor]:
        if when == "exchange":
            raise OSError("planted")
        return own

    def work(shard: Shard, number: int) -> None:
        if when == "before" and number == 1:
            raise OSError("planted")
        shard.total(torch.zeros(()))
        if when == "after" and number == 1:
            raise OSError("planted")
        shard.total(torch.zeros(()))

    with pytest.raises(OSError, match="planted"):
        Shards(3, exchange=exchange).each(work, range(3))


@pytest.mark.parametrize("asks", [(2, 1, 1), (1, 1, 2), (1, 2, 1)])
def test_shards_that_do_not_ask_alike_are_told(asks: tuple[int, ...]) -> None:
    def work(shard: Shard, count: int) -> None:
        for _ in range(count):
            shard.total(torch.zeros(()))

    with pytest.raises(AssertionError, match="was done where another asked on"):
        Shards(3).each(work, asks)


@given(st.integers(0, 99), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_moments_of_parts_are_those_of_the_whole(seed: int, sizes: list[int]) -> None:
    x = 5 + torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    parts = x.split(sizes)
    for found in Shards(len(sizes)).each(lambda shard, part: mean(part, (0,), shard), parts):
        torch.testing.assert_close(found[0], x.mean(0))
    for found in Shards(len(sizes)).each(lambda shard, part: variance(part, (0, 1), shard), parts):
        torch.testing.assert_close(found[0, 0], x.var())
    of_all = explained_variance(0.5 * x, x)
    for found in Shards(len(sizes)).each(lambda shard, part: explained_variance(0.5 * part, part, shard), parts):
        torch.testing.assert_close(found, of_all)


# --- processes that share them -------------------------------------------------------------------


def processes(size: int, work: Callable[[int, Callable[[list[Tensor]], list[Tensor]]], Any]) -> list[Any]:
    """`work(rank, exchange)` of several processes, which are threads here: only tensors pass between them."""
    meeting, said, found = threading.Barrier(size), [None] * size, [None] * size
    wrong: list[BaseException] = []

    def one(rank: int) -> None:
        def exchange(own: list[Tensor]) -> list[Tensor]:
            said[rank] = [x.clone() for x in own]
            meeting.wait(60)
            heard = list(itertools.chain(*said))
            meeting.wait(60)
            return heard

        try:
            found[rank] = work(rank, exchange)
        except BaseException as error:
            wrong.append(error)
            meeting.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return found


def trained(
    toy: ModuleType, name: str, shards: int, size: int, *, envs: int = 4, begin: Any = None, iterations: int = 2,
    idle: Sequence[int] = (), together: bool = False, **settings: Any,
) -> tuple[dict[str, Any], list[dict[str, float]]]:  # fmt: skip
    """The state of all shards, and the metrics, after some iterations in so many processes."""
    one = toy.trainer(name, num_envs=envs, seed=3, **settings)
    config = one.config.model_copy(update={"train": one.config.train.model_copy(update={"shards": shards})})

    def work(rank: int, exchange: Any) -> tuple[Trainer, list[dict[str, float]]]:
        mine = range(rank * shards // size, (rank + 1) * shards // size)
        parts = [environments(number, shards, envs) for number in mine]
        if together:
            parts = [range(parts[0].start, parts[-1].stop)]
        first, *more = ((toy.Parted if together else toy.Env)(len(part), 3 + part.start) for part in parts)
        for number, env in zip(mine, (first, *more), strict=not together):
            env.open_share = 0.0 if number in idle else 0.5
        task = Task(first, one.task.model, one.task.mapping, tuple(more))
        trainer = Trainer(config, one.algorithm, task, Shards(shards, mine, exchange))
        if begin is not None:
            trainer.load_state_dict(deepcopy(begin))
        return trainer, without_times([trainer.iterate() for _ in range(iterations)])

    found = processes(size, work)
    saved = found[0][0].state_dict()
    saved["shards"] = [part for trainer, _ in found for part in trainer.state_dict()["shards"]]
    assert all(lines == found[0][1] for _, lines in found)
    return saved, found[0][1]


def without_times(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in NAMES),
        ("dg-pg", {"parameters": "independent"}),
        ("dg-pg", {"coordination": {"rounds": 2}}),
        ("dg-pg", {"estimator": "control_variate"}),
        ("dg-pg", {"estimator": "potential_based", "normalise": "agent"}),
        ("dg-pg", {"idle": [0, 3]}),
        ("dg-pg", {"idle": [0, 3], "coordination": {"rounds": 1}}),
        ("dg-pg", {"envs": 7}),
    ],
)
def test_the_result_is_the_same_for_any_number_of_processes(
    toy: ModuleType, name: str, settings: dict[str, Any]
) -> None:
    alone, log = trained(toy, name, 4, 1, **settings)
    saved, lines = trained(toy, name, 4, 4, **settings)
    assert same(saved, alone) and lines == log


@pytest.mark.parametrize("kind", ["toy_box", "toy_simplex"])
def test_so_it_is_for_continuous_actions(request: pytest.FixtureRequest, kind: str) -> None:
    toy = request.getfixturevalue(kind)
    alone, log = trained(toy, "dg-pg", 4, 1)
    saved, lines = trained(toy, "dg-pg", 4, 4)
    assert same(saved, alone) and lines == log


def test_sums_in_another_order_would_not_be(toy: ModuleType) -> None:
    """What all of this is for: other shards are another sum."""
    assert not same(trained(toy, "dg-pg", 4, 1)[0]["actor"], trained(toy, "dg-pg", 2, 1)[0]["actor"])


def test_a_run_goes_on_with_another_number_of_processes(toy: ModuleType) -> None:
    whole, log = trained(toy, "dg-pg", 4, 1, iterations=4)
    first, before = trained(toy, "dg-pg", 4, 4, iterations=2)
    for size in (1, 2):
        last, after = trained(toy, "dg-pg", 4, size, iterations=2, begin=first)
        assert same(last, whole) and before + after == log


def test_a_learning_step_is_that_of_the_whole_batch(toy: ModuleType) -> None:
    """In one minibatch of one epoch shards change the order of sums and nothing else."""
    settings = {"minibatches": 1, "epochs": 1, "blocks": {"use": False}}
    one, four = (trained(toy, "dg-pg", shards, 1, iterations=1, **settings) for shards in (1, 4))
    for name, weights in one[0]["actor"].items():
        torch.testing.assert_close(four[0]["actor"][name], weights, rtol=1e-3, atol=1e-4)
    for name, value in one[1][0].items():
        assert four[1][0][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_a_state_from_before_there_were_shards(toy: ModuleType) -> None:
    first, other = toy.trainer("dg-pg"), toy.trainer("dg-pg")
    first.iterate()
    now = state(first)
    (part,) = now.pop("shards")
    old = now | {name: part[name] for name in ("env", "streams", "shuffle")} | {"blocks": now["blocks"] | part["seen"]}
    assert same(of_before(state(first)), state(first))
    other.load_state_dict(old)
    first.iterate(), other.iterate()
    assert same(state(first), state(other))


# --- one batch for all shards of a process -------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"envs": 7}, {"coordination": {"rounds": 2}}, {"parameters": "independent"}])
def test_shards_in_one_batch_are_shards_apart(toy: ModuleType, settings: dict[str, Any]) -> None:
    """States of the batch are saved apart, so that any number of processes goes on from them."""
    alone, log = trained(toy, "dg-pg", 4, 4, iterations=3, **settings)
    for size in (1, 2):
        first, before = trained(toy, "dg-pg", 4, size, together=True, iterations=2, **settings)
        last, after = trained(toy, "dg-pg", 4, 1, together=size == 2, begin=first, iterations=1, **settings)
        assert same(last, alone) and before + after == log


def test_a_part_of_a_batch_lies_where_a_tensor_of_its_own_would() -> None:
    """Products of matrices that lie elsewhere may differ in the last bit."""
    x = torch.arange(70.0).view(7, 10)

    class Still:
        def reset(self) -> Decision:
            return Decision(Observation(x, x, x > 0, x), {"all": x})

    parts = Together(Still(), [2, 2, 3]).reset()  # type: ignore[arg-type]
    found = [part.context["all"] for part in parts]
    assert torch.equal(torch.cat(found), x) and all(part.data_ptr() % 64 == 0 for part in found)
