"""The conformance kit on this domain, each of its models, and instances where the checks once found mistakes."""

import pytest

from dgpg import checks
from dgpg.domain import registry
from dgpg.testing import DomainTests

from .traced import uneven

MODEL_CHECKS = [
    check for check in checks.CHECKS if check.function.__module__ in ("dgpg.checks.model", "dgpg.checks.reference")
]


class TestCloud(DomainTests):
    domain = "cloud"


@pytest.mark.parametrize("name", registry.models_of("cloud"))
def test_every_registered_model(name):
    if name == "cloud.fluid-cvx":
        pytest.importorskip("cvxpylayers", reason="cloud.fluid-cvx needs the extra convex")
    subject = checks.subject("cloud", {}, name)
    failed = [one.message for one in (checks.examine(check, subject) for check in MODEL_CHECKS) if one.status == "fail"]
    assert not failed, "\n".join(failed)


CROWDED = {"num_agents": 8, "horizon": 16, "machines": {"queue_places": 1}}


@pytest.mark.parametrize("check", [checks.state_is_sum, checks.influence_is_effect], ids=lambda check: check.__name__)
def test_a_job_that_a_full_queue_refuses_was_asked_for_all_the_same(check):
    check(checks.subject("cloud", CROWDED))


@pytest.mark.parametrize("model", ["demand", "fluid"])
def test_jobs_without_a_free_candidate_are_in_no_total(model):
    checks.conservation(checks.subject("cloud", {**CROWDED, "candidates": 1}, model))


def test_a_load_out_of_reach_names_every_setting_that_changes_it():
    checks.edge_values(checks.subject("cloud", {"num_agents": 8}))


def test_a_batch_comes_apart_whatever_there_is_in_it(tmp_path):
    """Numbers of agents that fill no register of the processor, full queues, jobs that run before the episode."""
    checks.parts(checks.subject("cloud", {"num_agents": 31}))
    checks.parts(checks.subject("cloud", CROWDED))
    checks.parts(checks.subject("cloud", uneven(tmp_path).config.model_dump(mode="json")))
