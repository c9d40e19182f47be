"""What splits do to flows, as the model is told: what the environment does, less what incidents change."""

import pytest
import torch

from dgpg_traffic.mapping import FlowMapping

from .made import environment, random_splits


@pytest.mark.parametrize("name", ["braess", "grid"])
@pytest.mark.parametrize("chance", [0.0, 0.5])
def test_the_mapping_says_what_the_environment_does_but_for_incidents(name: str, chance: float) -> None:
    env = environment(network=name, agents_per_pair=2, incidents={"probability": chance})
    decision, mapping, draw = env.reset(), FlowMapping(env.instance), torch.Generator().manual_seed(0)
    for _ in range(4):
        actions = random_splits(env, draw)
        state, step = mapping.state(actions, decision.context), env.step(actions)
        assert torch.equal(state[..., -1], env.roads.links.capacity.expand(3, -1))
        assert torch.equal(state, step.state) == (chance == 0)
        decision = step.decision


def test_a_slope_is_demand_on_the_links_of_a_route() -> None:
    env = environment(2, network="grid", demand={"scale": 0.5})  # all below capacity
    context, links = env.reset().context, env.instance.routes.links
    splits = random_splits(env, torch.Generator().manual_seed(0)).double().requires_grad_()
    price = torch.arange(1.0, 77).double()
    flow = FlowMapping(env.instance).state(splits, context)[..., 0]
    (slope,) = torch.autograd.grad((flow * price).sum(), splits)
    for n, k in ((0, 0), (1, 1), (9, 0)):
        expected = sum(float(price[link]) for link in links[n, k] if link >= 0)
        torch.testing.assert_close(slope[:, n, k], context["demand"][:, n].double() * expected)
    assert (slope[:, ~env.roads.incidence.exists] == 0).all()


def test_types_follow_the_splits() -> None:
    env = environment()
    context, mapping = env.reset().context, FlowMapping(env.instance)
    for dtype in (torch.float32, torch.float64):
        assert mapping.state(torch.full((3, 1, 3), 1 / 3, dtype=dtype), context).dtype == dtype
