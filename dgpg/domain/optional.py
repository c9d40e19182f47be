"""What a domain may have beside the four members that are required of it, each for one purpose; none needs another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dgpg.domain.names import Names
from dgpg.domain.protocols import Baseline, Policy


@runtime_checkable
class SupportsBaselines(Protocol):
    """A domain that brings rules to compare with."""

    def baselines(self, config: Any) -> Sequence[Baseline]:
        """Rules of both groups of information."""
        ...


@runtime_checkable
class SupportsSmall(Protocol):
    """A domain that names a small instance of itself for quick checks."""

    @property
    def small(self) -> Mapping[str, Any]:
        """Settings that differ from the defaults: few agents, a short horizon."""
        ...


@runtime_checkable
class SupportsDeterminism(Protocol):
    """A domain that says whether anything in it is random; without it, something is."""

    @property
    def deterministic(self) -> bool:
        """True if another seed gives the same numbers."""
        ...


@runtime_checkable
class SupportsTraining(Protocol):
    """A domain that was tuned: how each algorithm trains on it unless the user says otherwise."""

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Fields of `RunConfig` (iterations, num_envs, train); empty for what the algorithm brings itself."""
        ...


@runtime_checkable
class SupportsViews(Protocol):
    """A domain with settings that change what agents see and nothing else: runs that differ in them compare."""

    @property
    def views(self) -> Sequence[str]:
        """Names of fields of `Config`."""
        ...


@runtime_checkable
class SupportsTransfer(Protocol):
    """A domain whose instance says what features mean, by scales say: a policy elsewhere must be told what to keep."""

    def transfer(self, trained: Any, wished: Any) -> Any:
        """Settings `wished`, seen by agents as under `trained`: both of the domain's `Config`, as is the result.

        `trained` are those of a run, `wished` the same with some fields changed. The result holds all that is kept; it
        is `wished` itself where `trained` says nothing about it. Of equal settings, it gives the same numbers.
        """
        ...


@runtime_checkable
class SupportsEpisodes(Protocol):
    """A domain whose episodes are of what was recorded, and that is so much and no more."""

    def episodes(self, config: Any) -> int | None:
        """How many first episodes of neighbouring seeds share nothing that was recorded; None where each is drawn."""
        ...

    def begins(self, config: Any, seed: int, count: int) -> Sequence[int]:
        """When in the recording the first episodes of `seed`, `seed` + 1, ... begin: neighbours are alike."""
        ...


@runtime_checkable
class SupportsParts(Protocol):
    """An environment that goes on to the last bit whatever batch it is in (measures aside): shards of a training that
    one process holds are then a single batch of it, which costs them one step instead of one each.

    The check `parts` looks whether it is so. Whole numbers are, as are sums along an environment's own dimensions and
    logarithms; matrix products and sigmoids are not.
    """

    def apart(self, state: Mapping[str, Any], sizes: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """What batches of `sizes` environments, one after the other, would have saved of those of a `state_dict`."""
        ...

    def joined(self, states: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What a single batch of all their environments would have saved, so that it goes on as they would."""
        ...


@runtime_checkable
class SupportsDescription(Protocol):
    """A domain that can say what it made of its configuration and files."""

    def describe(self, config: Any) -> Sequence[str]:
        """Lines a user should read before a run: sizes, what was skipped or estimated."""
        ...


@runtime_checkable
class SupportsNames(Protocol):
    """A domain that says what each number is that its agents see and do: figures, exports and services use it."""

    def names(self, config: Any) -> Names:
        """Of features of an agent, of a choice, and of an action, in their order."""
        ...


@runtime_checkable
class SupportsAgentNames(Protocol):
    """A domain whose agents have names, of units or of pairs say: bridges call them so."""

    def agent_names(self, config: Any) -> Sequence[str]:
        """Of agents, N, each only once."""
        ...


@runtime_checkable
class SupportsPlain(Protocol):
    """A domain whose plugin turns an operator's plain values into features without an environment: `dgpg.deploy`."""

    def plain(self, config: Any) -> Mapping[str, Any]:
        """What that needs of the instance beside names: scales, prices, limits, as JSON; an export holds it."""
        ...


@runtime_checkable
class SupportsJudge(Protocol):
    """A domain with an independent simulator to replay policies in: more exact than its environment, other code."""

    def judge(
        self, config: Any, policies: Mapping[str, Policy], episodes: int, seed: int
    ) -> Sequence[Mapping[str, float | str]]:
        """One row a policy, on the CPU: first `name`, its key in `policies`, then measures named with their unit.

        Episodes are the first of those that `dgpg.measuring.play` draws from `seed`, at most `episodes` of them.
        """
        ...


@runtime_checkable
class SupportsFigures(Protocol):
    """A domain that draws what policies do, for people who know the system."""

    def figures(self, config: Any, policies: Mapping[str, Policy], folder: Path, seed: int) -> Sequence[Path]:
        """Files drawn into `folder`, on the CPU, of the trained policy (the first) and the domain's rules.

        An evaluation hands on the rules in the order of its table, those of the policy's own information first and of
        these the cheapest, and last the policy before its training, as `untrained`. Episodes are the first of those
        that `dgpg.measuring.play` draws from `seed`. matplotlib is installed when this is called: import it within.
        `dgpg.showing.blank` and `save` give a figure and reproducible SVG, `dgpg.showing.maps.moving` one that moves on
        the page of a run.
        """
        ...


@runtime_checkable
class SupportsCalibration(Protocol):
    """A domain that fits unknown parameters of its analytical model to what the real system logged."""

    def calibrate(
        self, config: Any, data: Path, out: Path | None, iterations: int
    ) -> Sequence[Mapping[str, float | str]]:
        """One row a parameter: `parameter`, `unit`, `start`, `fitted` and `note`, empty where there is nothing to say.

        `data` is the log, in a format of the domain's. The fitted model goes to `out`, in a form that the domain's
        configuration can name; None writes nothing. `iterations` bounds the steps of the fit.
        """
        ...
