"""Redispatch of three units on a test grid of Grid2Op, guided by the DC model of `dgpg_power`; and the way back."""

from functools import lru_cache

import grid2op
import numpy as np
import pandapower
import torch
from grid2op.Agent import BaseAgent
from gymnasium import spaces
from pandapower.converter.pypower import to_ppc

from dgpg.bridges.simulators import Simulation, Simulators, View, Workers
from dgpg.deploy import Policy
from dgpg.domain import Feature, Names, Settings, numbered
from dgpg_power import config as power
from dgpg_power.data.branch import branch_physics
from dgpg_power.dynamics import dispatch
from dgpg_power.models.potentials import CostPotential
from dgpg_power.network import Network, validate
from dgpg_power.system import made_of

GRID, DAYS, DAY, HORIZON = "educ_case14_redisp", 7, 288, 12  # its days and their steps of five minutes; an hour
OVERLOAD, UNSERVED = 500.0, 1000.0
"""$ per MWh beyond a line's limit; $ per MWh of load in what is left of an hour when the grid collapses."""


@lru_cache
def power_system():
    """The grid as `dgpg_power` knows grids, of Grid2Op's own data; reactances are in the file behind them."""
    grid = grid2op.make(GRID, test=True)
    case = to_ppc(pandapower.from_json(f"{grid.get_path_env()}/grid.json"), init="flat")
    bus, line, u = case["bus"].real, case["branch"].real[:, :13], grid.gen_redispatchable
    physics, none = branch_physics(line, case["baseMVA"], "matpower"), np.zeros(u.sum())
    limit = np.sqrt(3) * bus[grid.line_or_to_subid, 9] * grid.get_thermal_limit() / 1e3  # kV and A to MVA
    network = Network(
        name=GRID, base_mva=case["baseMVA"], bus_number=np.arange(len(bus)), area=np.ones(len(bus)), load=bus[:, 2],
        line_from=grid.line_or_to_subid, line_to=grid.line_ex_to_subid, susceptance=physics.susceptance,
        resistance=line[:, 2], shift_flow=physics.shift_flow, flow_min=-limit, flow_max=limit,
        unit_bus=grid.gen_to_subid[u], unit_name=tuple(grid.name_gen[u]), unit_kind=tuple(grid.gen_type[u]),
        unit_min=grid.gen_pmin[u], unit_max=grid.gen_pmax[u], ramp=12 * grid.gen_max_ramp_up[u], cost_constant=none,
        cost_linear=grid.gen_cost_per_MW[u], cost_quadratic=none, kink=none[:, None], kink_slope=none[:, None],
    )  # fmt: skip
    return made_of(power.Config(prices=power.Prices(overload=OVERLOAD)), validate(network))


def known(obs):
    """What the model may look at, MW: forecasts of the next step; losses and outputs of units as metered."""
    load, _, plan = (forecast[1] for forecast in obs.get_forecast_arrays()[:3])
    u, now = obs.gen_redispatchable, obs.gen_p[obs.gen_redispatchable]
    load = np.bincount(obs.load_to_subid, load, obs.n_sub) - np.bincount(obs.gen_to_subid, plan * ~u, obs.n_sub)
    high = np.minimum(now + obs.gen_max_ramp_up[u], obs.gen_pmax[u])
    low = np.minimum(np.maximum(now - obs.gen_max_ramp_down[u], obs.gen_pmin[u]), high)
    demand = load.sum() + obs.gen_p.sum() - obs.load_p.sum()
    return {"load": load, "demand": demand, "low": low, "high": high, "available": high, "plan": plan[u]}


def seen(obs):
    """Features of each unit `[N, F]`."""
    told, most, u = known(obs), obs.gen_pmax[obs.gen_redispatchable], obs.gen_redispatchable
    own = np.stack([obs.gen_p[u], told["plan"]], -1) / most[:, None]
    everybody = [told["demand"] / most.sum(), *np.sign(obs.p_or) * obs.rho]
    return np.concatenate([own, np.tile(everybody, (len(own), 1))], -1)


def redispatch(space, obs, wanted):
    """The action of Grid2Op towards outputs `[N]`, MW, as far as ramps allow; what is asked adds up, to the plan."""
    told, u, move = known(obs), obs.gen_redispatchable, np.zeros(obs.n_gen, np.float32)
    left = np.clip(wanted, told["low"], told["high"]) - told["plan"] - obs.target_dispatch[u]
    move[u] = np.clip(left, -obs.gen_max_ramp_down[u], obs.gen_max_ramp_up[u])
    return space({"redispatch": move})


class Hour:
    """Some hour of some day."""

    def __init__(self, seed):
        self.grid = grid2op.make(GRID, test=True)

    def reset(self, seed):
        chance = np.random.default_rng(seed)
        when = {"time serie id": int(chance.integers(DAYS)), "init ts": int(chance.integers(1, DAY - HORIZON))}
        self.obs, self.left, self.cost, self.over = self.grid.reset(seed=seed, options=when), HORIZON, 0.0, False

    def step(self, action):
        obs, _, self.over, _ = self.grid.step(redispatch(self.grid.action_space, self.obs, action[:, 0]))
        beyond = np.hypot(obs.p_or, obs.q_or) * (1 - 1 / np.maximum(obs.rho, 1))
        self.cost = obs.gen_p @ obs.gen_cost_per_MW + OVERLOAD * beyond.sum()
        self.cost += self.over * self.left * UNSERVED * self.obs.load_p.sum()  # the grid collapsed
        self.obs, self.left = self.obs if self.over else obs, self.left - 1


def read(hour, _):
    output = hour.obs.gen_p[hour.obs.gen_redispatchable, None]
    return View(seen(hour.obs), known(hour.obs), hour.cost, state=output, terminated=hour.over)


class Automaton:
    """State `[B, N, 1]`, MW: outputs as Grid2Op balances them, what is missing shared by ramps."""

    def state(self, actions, context):
        share = torch.as_tensor(np.array(power_system().network.ramp)).to(actions).expand(actions.shape[:2])
        return dispatch(actions[..., 0], share, context["low"], context["high"], context["demand"]).unsqueeze(-1)


class Agent(BaseAgent):
    """What `dgpg export` wrote of a run, as Grid2Op has agents."""

    def __init__(self, action_space, folder):
        super().__init__(action_space)
        self.policy = Policy.load(folder)

    def act(self, observation, reward, done=False):
        agent = seen(observation).astype(np.float32)
        return redispatch(self.action_space, observation, self.policy.act(agent, index=np.arange(len(agent)))[:, 0])


class Config(Settings):
    workers: Workers = Workers()


class Domain:
    """Redispatch of units on a test grid of Grid2Op."""

    api_version, Config = 1, Config

    def make_env(self, config, num_envs, device, seed):
        network = power_system().network
        bounds = (np.array(end, np.float32)[:, None] for end in (network.unit_min, network.unit_max))
        hour = Simulation(Hour, read, spaces.Box(*bounds), self.names(config), HORIZON, "$ per hour")
        return Simulators(hour, num_envs, device, seed, Automaton(), config.workers)

    def training(self, algorithm):
        guided = {"parameters": "independent", "distribution": "mean", "alpha": {"start": 1.0, "end": 1.0}}
        steps = {"actor_lr": 1e-2, "epochs": 4, "minibatches": 4, "entropy": 0.0}
        return {"iterations": 12, "train": guided | steps} if algorithm == "dg-pg" else {}

    def analytical_model(self, config):
        return CostPotential(power_system())

    def agent_mapping(self, config):
        return Automaton()

    def names(self, config):
        own = (Feature("output", "of its most"), Feature("plan", "of its most"), Feature("demand", "of all their most"))
        return Names(agent=(*own, *numbered("loading of line", 20)), action=(Feature("output", "MW"),))


domain = Domain()
