"""One instance: machines, the graph of candidates, the pool of jobs and their clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError
from dgpg_cloud.clock import replay
from dgpg_cloud.config import Config
from dgpg_cloud.data import EC2_DEFAULT, MachineTable, load_jobs, load_machines
from dgpg_cloud.layout import able, choose, covering
from dgpg_cloud.layout import graph as draw_graph
from dgpg_cloud.misfits import foreign_models, models_advice, without_misfits
from dgpg_cloud.notes import replay_notes
from dgpg_cloud.replay import Fleet, Replay, in_use
from dgpg_cloud.workload import (
    FloatArray,
    IntArray,
    Pool,
    base_steps,
    fit_scale,
    offered_load,
    synthetic_pool,
    trace_pool,
)

BoolArray = NDArray[np.bool_]
LATE_STEPS = 10
"""Steps of waiting that make a job late, unless `wait_limit` says otherwise."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Everything that stays the same over episodes."""

    config: Config
    capacity: IntArray
    """`[M, R]`: milli-vCPU, MiB and, where any job asks for it, milli-GPU."""
    speed_permille: IntArray
    price: FloatArray
    """USD per hour, `[M]`."""
    graph: IntArray
    """The fixed graph: K distinct machines near each dispatcher, `[N, K]`."""
    candidates: IntArray
    """Machines each dispatcher may choose: those of the graph, or all of them with `everywhere`."""
    pool: Pool
    base_steps: IntArray
    """Whole steps of each pool row at speed 1, `[J]`."""
    allowed: BoolArray
    """May a job of this kind run on this machine (GPU model), `[kinds, M]`."""
    shape: IntArray
    """Distinct combinations of demand and kind, one number a pool row, `[J]`."""
    reach: BoolArray
    """Has the dispatcher a candidate that can run the shape, `[shapes, N]`."""
    hosts: IntArray
    """Dispatchers with a candidate that can run the shape, those first, `[shapes, N]`."""
    host_count: IntArray
    """How many they are, at least one, `[shapes]`."""
    notes: tuple[str, ...]
    rows: IntArray
    """Rows of the machine table, `[M]`."""
    replay: Replay | None = None
    """How a trace is played; None for synthetic jobs."""
    trained: Instance | None = None
    """What a policy was trained in, where it is evaluated elsewhere."""

    @property
    def slotted(self) -> IntArray:
        """Capacity and run slots, `[M, R + 1]`."""
        return _slotted(self.capacity, self.config)

    @property
    def unit(self) -> tuple[str, float]:
        """Unit that waits are told in, and what of it a step is: seconds of a trace, else steps."""
        return ("steps", 1.0) if self.replay is None else ("s", self.replay.step_s)

    @property
    def wait_limit(self) -> float:
        """Wait over which a job is late, in that unit."""
        return self.config.wait_limit or LATE_STEPS * self.unit[1]

    @property
    def mean_job(self) -> tuple[float, float]:
        """vCPU and steps of a job of the workload, or of that of the training, at which a policy knows them."""
        told, own = self.trained, self
        if told is not None and told.replay and self.replay and told.replay.step_s == self.replay.step_s:
            own = told
        first = own.pool.first
        return float(own.pool.demand[first:, 0].mean()) / 1000, float(own.base_steps[first:].mean())

    @property
    def fleet(self) -> Fleet:
        """The machines by speed."""
        return Fleet.of(self.slotted, self.speed_permille)

    @property
    def load(self) -> float:
        """Share of the bottleneck resource that jobs would hold if none waited."""
        if self.replay is not None:
            return float(in_use(self.replay, self.pool, self.fleet, self.config.horizon).max())
        return offered_load(
            self.pool, self.base_steps, self.slotted, self.speed_permille,
            self.config.workload.arrivals, self.config.num_agents,
        )  # fmt: skip


@lru_cache(maxsize=8)
def build(config: Config) -> Instance:
    """The instance of a configuration; the environment, the model and the mapping share it."""
    if config.everywhere:
        own = build(config.model_copy(update={"everywhere": False}))
        whole = np.tile(np.arange(config.machine_count), (config.num_agents, 1))
        return replace(own, config=config, candidates=whole)
    rng = np.random.default_rng(config.seed)
    file = config.machines.file
    table = EC2_DEFAULT if file is None else load_machines(file, config.machines.bad_rows, config.machines.units)
    pool, lines, notes = _jobs(config, table)
    notes += (*table.notes, _drawn(config, table)) if config.machines.file else ()
    shapes, shape = _shapes(pool)
    fits = _fits(shapes, table, pool)
    _refuse_impossible(fits, shape, shapes, lines, config, pool, table)
    kept = None if config.trained is None else build(config.trained)
    rows = _machines(rng, config, fits, kept)
    machines, fits = table.take(rows), fits[:, rows]
    graph = _candidates(rng, config, rows, fits, kept)
    reach: BoolArray = np.asarray(fits[:, graph].any(-1))
    capacity = _capacity(machines, pool)
    permille = np.maximum((machines.speed * 1000).round().astype(np.int64), 1)
    slotted = _slotted(capacity, config)
    played, steps = _clock(config, pool, slotted, permille, kept)
    if played is not None:
        notes += replay_notes(config, pool, played, Fleet.of(slotted, permille))
        notes += [] if kept is None else _kept_notes(played, rows, kept)
    return Instance(
        config=config,
        capacity=capacity,
        speed_permille=permille,
        price=machines.price,
        graph=graph,
        candidates=graph,
        rows=rows,
        pool=pool,
        base_steps=steps,
        allowed=_allowed(machines, pool),
        shape=shape,
        reach=reach,
        hosts=np.argsort(~reach, axis=1, kind="stable"),
        host_count=reach.sum(1),
        notes=tuple(notes),
        replay=played,
        trained=kept,
    )


def _machines(rng: np.random.Generator, config: Config, fits: BoolArray, kept: Instance | None) -> IntArray:
    """Rows of the machine table: those of the training, where they are of the same table."""
    if kept is None or not config.same_machines(kept.config):
        return choose(rng, config.machine_count, fits, config.machines.file is not None)
    return able(kept.rows, fits)


def _candidates(
    rng: np.random.Generator, config: Config, rows: IntArray, fits: BoolArray, kept: Instance | None
) -> IntArray:
    """The graph: that of the training, where it is of the same machines and as large."""
    size = (config.num_agents, min(config.candidates, config.machine_count))
    if kept is None or kept.graph.shape != size or not config.same_machines(kept.config):
        return draw_graph(rng, config, fits)
    return covering(rng, kept.graph, fits)


def _drawn(config: Config, table: MachineTable) -> str:
    count, total = config.machine_count, len(table)
    if count == total:
        return f"all {total} machines of {table.source}"
    return f"{count} machines drawn from the {total} of {table.source}" + (", some several times" * (count > total))


def _kept_notes(played: Replay, rows: IntArray, kept: Instance) -> list[str]:
    """What an evaluation has of its training."""
    before = kept.replay
    assert before is not None
    same = [
        *(["the seconds of a step"] if played.step_s == before.step_s else []),
        *(["the pace"] if played.pace == before.pace else []),
    ]
    moved = int((rows != kept.rows).sum()) if len(rows) == len(kept.rows) else len(rows)
    machines = "the machines" if not moved else f"{len(rows) - moved} of {len(rows)} machines"
    return [f"kept from the training: {', '.join([*same, machines])}"]


def _clock(
    config: Config, pool: Pool, capacity: IntArray, permille: IntArray, kept: Instance | None
) -> tuple[Replay | None, IntArray]:
    """How a trace is played, and the steps of each row."""
    if pool.submit is not None:
        played = replay(config, pool, Fleet.of(capacity, permille), None if kept is None else kept.replay)
        return played, played.base_steps
    scale = fit_scale(pool, config.workload, capacity, permille, config.num_agents)
    return None, base_steps(pool.duration, scale, config.workload.longest)


def _jobs(config: Config, table: MachineTable) -> tuple[Pool, IntArray, list[str]]:
    """The pool, the line of the trace that each row came from (0 for synthetic jobs), and the loader's notes."""
    work = config.workload
    if work.trace is None:
        pool = synthetic_pool(config.seed)
        return pool, np.zeros(len(pool.kind), np.int64), []
    jobs = load_jobs(work.trace, work.memory_per_vcpu * 1024, work.bad_rows, work.units)
    jobs = without_misfits(jobs, table) if work.bad_rows == "skip" else jobs
    return trace_pool(jobs, work), jobs.line[: jobs.part(0, work.end).stop], list(jobs.notes)


def _shapes(pool: Pool) -> tuple[IntArray, IntArray]:
    """Distinct rows (demand, kind), and for each pool row which it is."""
    table = np.concatenate([pool.demand, pool.kind[:, None]], 1)
    shapes, inverse = np.unique(table, axis=0, return_inverse=True)
    return shapes, inverse.reshape(-1)


def _capacity(machines: MachineTable, pool: Pool) -> IntArray:
    columns = (machines.vcpu_milli, machines.memory_mib, machines.gpu_milli)
    return np.stack(columns[: pool.demand.shape[1]], 1).astype(np.int64)


def _slotted(capacity: IntArray, config: Config) -> IntArray:
    """Capacity `[M, R]` and run slots, `[M, R + 1]`."""
    return np.concatenate([capacity, np.full((len(capacity), 1), config.run_slots)], 1)


def _allowed(machines: MachineTable, pool: Pool) -> BoolArray:
    models = np.array(machines.gpu_model)
    return np.stack([np.isin(models, kind) if kind else np.ones(len(models), bool) for kind in pool.gpu_models])


def _fits(shapes: IntArray, machines: MachineTable, pool: Pool) -> BoolArray:
    """Which machine can run which shape when empty, `[shapes, M]`."""
    capacity = _capacity(machines, pool)
    fits: BoolArray = _allowed(machines, pool)[shapes[:, -1]]
    for r in range(capacity.shape[1]):
        fits = fits & (shapes[:, r, None] <= capacity[None, :, r])
    return fits


def _refuse_impossible(
    fits: BoolArray, shape: IntArray, shapes: IntArray, lines: IntArray, config: Config, pool: Pool, table: MachineTable
) -> None:
    impossible = np.asarray(~fits.any(1))[shape]
    if not impossible.any():
        return
    row = int(np.argmax(impossible))
    vcpu, memory, *gpu = shapes[shape[row], :-1]
    models = pool.gpu_models[shapes[shape[row], -1]]
    asks = f"{vcpu / 1000:g} vCPU, {memory / 1024:g} GiB" + (f", {gpu[0] / 1000:g} GPU" if gpu else "")
    asks += f" of model {' or '.join(models)}" if models and gpu else f" on {' or '.join(models)}" if models else ""
    where = f"line {lines[row]} " if config.workload.trace else ""
    asked = [pool.gpu_models[kind] for kind in np.unique(shapes[shape[impossible], -1])]
    foreign = [kind for kind in asked if foreign_models(kind, table)]
    advice = models_advice(foreign, table, bool(gpu)) if foreign else "Use larger machines (machines.file)"
    raise DataError(
        f"{config.workload.trace or 'synthetic jobs'}: {int(impossible.sum())} of {len(shape)} jobs fit on no machine "
        f"of {config.machines.file or 'the built-in EC2 table'}; the first is {where}({asks}). "
        f"{advice}" + (", or leave these jobs out (workload.bad_rows=skip)" if config.workload.trace else "")
    )
