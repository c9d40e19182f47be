"""Moments of agents that speak: what each knew, heard and did in torch, for files to be held against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import Environment, contract, random
from dgpg.export.speaking import Announce, Hear, Settle, Turn, known
from dgpg.learning.rounds import Team


@dataclass(frozen=True)
class Moments:
    """Agents that act, a row each, of several moments."""

    rows: dict[str, Tensor]
    """What each knows before anyone speaks, `[R, ...]`."""
    moment: Tensor
    """Which one a row is of; those of one hear each other, `[R]`."""
    logs: Tensor
    """log pi(k) after the last round, as training computes it for all together, `[R, K]`."""
    blocks: int
    """G."""

    def heard(self, said: Tensor) -> Tensor:
        """Sums of what is `said` `[R, K, P, m + 1]`, where an agent's choices touch them."""
        at = self.rows["block"] + self.moment[:, None, None] * self.blocks
        total = said.new_zeros((int(self.moment.max()) + 1) * self.blocks, said.shape[-1])
        return total.index_add(0, at.flatten(), said.flatten(0, 2))[at]


@torch.no_grad()
def moments(turn: Turn, team: Team, env: Environment, least: int, seed: int) -> Moments:
    """Episodes of the policy, at least so many rows."""
    assert team.rounds is not None
    chance, parts, count = random.generator(random.derive(seed, "export")), list[Moments](), 0
    decision, blocks, begun = env.reset(), 0, 0
    while count < least:
        active = decision.observation.active.flatten().cpu()
        rows = {name: x[active] for name, x in known(turn, team, decision).items()}
        moment = torch.arange(begun, begun + env.num_envs).repeat_interleave(env.num_agents)[active]
        noise = torch.rand(env.num_envs, env.num_agents, generator=chance).to(decision.observation.mask.device)
        policy = team.policy(decision)
        blocks = contract.choosing(team.rounds.mapping).base_state(decision.context).shape[1]
        parts.append(Moments(rows, moment, policy.flatten(0, 1).cpu()[active], blocks))
        count, begun = count + int(active.sum()), begun + env.num_envs
        decision = env.step(team.kind.to_env(team.kind.sample(policy, noise))).decision
    joined = {name: torch.cat([part.rows[name] for part in parts]) for name in parts[0].rows}
    moment, logs = (torch.cat([getattr(part, name) for part in parts]) for name in ("moment", "logs"))
    return Moments(joined, moment, logs, blocks)


@torch.no_grad()
def spoken(announce: Announce, hear: Hear, settle: Settle, found: Moments, seed: int) -> dict[str, dict[str, Tensor]]:
    """Inputs of each of the three along the rounds of some moments, by the name of the input,
    `[R, ...]`; `hear`'s of all turns."""
    chance = random.generator(random.derive(seed, "noise"))
    parts, count = list[dict[str, Tensor]](), announce.count
    announced, said = announce(**found.rows)
    for turn in range(1, count + 1):
        told = {"last": announced, "heard": found.heard(said)}
        if announce.descends:
            told["turn"] = torch.full((len(announced),), turn)
        parts.append({**found.rows, **told})
        announced, said = hear(**parts[-1])
    last = {**parts[-1], "noise": torch.rand(len(found.moment), generator=chance)}
    turns = parts[: max(count - 1, 1)]  # with one round nobody is asked again; the file is there all the same
    heard = {name: torch.cat([part[name] for part in turns]) for name in turns[0]}
    return {"announce": found.rows, "hear": heard, "policy": last}
