"""The machines again, as simpy processes over plain objects: an independent judge of `dgpg_cloud.dynamics`.

Time is counted in ticks, so that what happens in the same step has an order. A step begins with the releases
(tick 0); then come rounds of placing (odd ticks) and starting (even ticks). A step has one round, the warm
start of an episode several.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import simpy

STEP = 1 << 16
"""Ticks of a step: enough for every round of a warm start."""


@dataclass
class Job:
    """What it asks for, run slot included; where and when it ran, once it did."""

    demand: tuple[int, ...]
    base_steps: int
    arrival: int = 0
    machine: int | None = None
    start: int | None = None
    finish: int | None = None


@dataclass(frozen=True)
class Request:
    """A dispatcher sends its next job, if one has come, to a machine."""

    dispatcher: int
    machine: int


@dataclass
class Machine:
    """Runs what waits in its line strictly in order."""

    clock: simpy.Environment
    number: int
    free: list[int]
    speed_permille: int
    queue_places: int
    line: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bell = self.clock.event()
        self.clock.process(self.serve())

    def ring(self) -> None:
        if not self.bell.triggered:
            self.bell.succeed()

    def offer(self, job: Job) -> bool:
        if len(self.line) == self.queue_places:
            return False
        job.machine = self.number
        self.line.append(job)
        self.ring()
        return True

    def fits(self, job: Job) -> bool:
        return all(asked <= free for asked, free in zip(job.demand, self.free, strict=True))

    def serve(self) -> Iterator[simpy.Event]:
        while True:
            yield self.bell
            self.bell = self.clock.event()
            yield self.clock.timeout(2 - self.clock.now % 2)  # after what else is placed in this round
            while self.line and self.fits(self.line[0]):
                self.clock.process(self.run(self.line.pop(0)))
                yield self.clock.timeout(0)  # the job takes what it asked for before the next is looked at

    def run(self, job: Job) -> Iterator[simpy.Event]:
        self.free = [free - asked for free, asked in zip(self.free, job.demand, strict=True)]
        job.start = self.clock.now // STEP
        # ceil(base * 1000 / speed), one thousandth of a base step at a time
        steps, rest = divmod(job.base_steps * 1000, self.speed_permille)
        job.finish = job.start + steps + (rest > 0)
        yield self.clock.timeout(job.finish * STEP - self.clock.now)
        self.free = [free + asked for free, asked in zip(self.free, job.demand, strict=True)]
        self.ring()


def simulate(
    capacity: Sequence[Sequence[int]],
    speed_permille: Sequence[int],
    queue_places: int,
    lists: Sequence[Sequence[Job]],
    requests: Mapping[tuple[int, int], Sequence[Request]],
    steps: int,
) -> list[tuple[tuple[int, int], Request, bool]]:
    """Play `steps` steps of one environment; what happens to the jobs is written on them.

    Args:
        capacity: of each machine, run slots last.
        speed_permille: of each machine.
        queue_places: jobs that can wait at a machine.
        lists: the jobs of each dispatcher by arrival; it sends them in this order, a refused one again.
        requests: by step and round, in the order in which they reach the machines.
        steps: how many.

    Returns:
        When each job was sent, and whether the machine took it.
    """
    clock = simpy.Environment()
    machines = [
        Machine(clock, m, list(has), speed, queue_places)
        for m, (has, speed) in enumerate(zip(capacity, speed_permille, strict=True))
    ]
    ahead = [list(jobs) for jobs in lists]
    answers = []

    def dispatch() -> Iterator[simpy.Event]:
        for (step, turn), batch in sorted(requests.items()):
            yield clock.timeout(step * STEP + 2 * turn + 1 - clock.now)
            for request in batch:
                own = ahead[request.dispatcher]
                if own and own[0].arrival <= step:
                    taken = machines[request.machine].offer(own[0])
                    answers.append(((step, turn), request, taken))
                    del own[:taken]

    clock.process(dispatch())
    clock.run(until=steps * STEP)
    return answers
