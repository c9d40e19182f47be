"""The service over HTTP: what it answers, when the rule decides, whom it refuses, and what it counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.deploy import Policy
from dgpg.errors import ConfigError, DataError, DecisionError

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export and serve")
client = pytest.importorskip("tests.serve.asking")


def far(content: dict[str, Any], ranges: float, policy: Policy) -> dict[str, Any]:
    """The same with the vCPU of the first agent's job so many ranges above the largest."""
    one = policy.description["inputs"]["agent"][0]
    agent = [list(row) for row in content["agent"]]
    agent[0][0] = one["high"] + ranges * (one["high"] - one["low"])
    return {**content, "agent": agent}


# --- what it answers ------------------------------------------------------------------------------


def test_it_answers_what_the_policy_does(folder: Path) -> None:
    policy = Policy.load(folder)
    content = client.seen(policy, 6, 4)
    with client.asking(folder) as ask:
        told = ask.decide(content)
        assert told["action"] == policy.act(**content).tolist()
        assert told["by"] == ["policy"] * 6 and told["reason"] == [None] * 6 and told["outside"] == [0] * 6
        one = {name: x[2] for name, x in content.items()}
        named = {
            "agent": dict(zip(policy.features["agent"], one["agent"], strict=True)),
            "choices": {name: [row[n] for row in one["choices"]] for n, name in enumerate(policy.features["choices"])},
        }
        for way in (one, named):
            assert ask.decide(way) == {
                "action": told["action"][2], "by": "policy", "reason": None, "outside": 0.0,
                "export": policy.digest[:12],
            }  # fmt: skip
        masked = {**one, "mask": [False, False, True, False]}
        assert ask.decide(masked)["action"] == 2


def test_it_answers_plain_values_of_one_and_of_many(folder: Path) -> None:
    with client.asking(folder, far=1e9) as ask:
        policy, adapter = ask.service.current.policy, ask.service.current.adapter
        assert adapter is not None
        plain = json.loads(json.dumps(adapter.example))
        full = {"vcpu": 1, "memory_gib": 64, "price": 1.0}
        other = {**plain, "nodes": [full, *plain["nodes"], full]}
        nobody = {**plain, "nodes": [full]}
        actions = [int(policy.act(**adapter.features(one))) for one in (plain, other)]
        assert actions[1] in (1, 2), "the job of 2 vCPU fits on these alone"
        told = ask.decide({"plain": [plain, other, nobody]})
        assert told["action"] == [*actions, None]
        assert [ask.decide({"plain": one})["action"] for one in (plain, other, nobody)] == told["action"]


@pytest.mark.parametrize("mode", ["policy", "shadow"])
def test_who_may_do_nothing_is_counted_and_compared_nowhere(folder: Path, mode: str) -> None:
    with client.asking(folder, mode=mode) as ask:
        adapter = ask.service.current.adapter
        assert adapter is not None
        plain = json.loads(json.dumps(adapter.example))
        nobody = {
            **plain,
            "nodes": [{"vcpu": 1, "memory_gib": 64, "price": 99.0}, {"vcpu": 1, "memory_gib": 64, "price": 1}],
        }
        nothing = {"action": None, "by": None, "reason": "nothing is allowed", "outside": 0.0}
        told = ask.decide({"plain": nobody})
        assert {name: told[name] for name in nothing} == nothing
        told, alone = ask.decide({"plain": [nobody, plain, nobody]}), ask.decide({"plain": plain})
        for name, value in nothing.items():
            assert told[name] == [value, alone[name], value]
        assert ask.metric('dgpg_decisions_total{by="rule"}') + ask.metric('dgpg_decisions_total{by="policy"}') == 2
        assert len(ask.events("shadow")) == (2 if mode == "shadow" else 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "expected an object with either 'plain' or 'agent'"),
        ([], "expected an object with either 'plain' or 'agent'"),
        ({"plain": {}, "agent": []}, "expected an object with either"),
        ({"plain": []}, "plain: expected an object, or a list of 1 to 7"),
        ({"plain": "job"}, "plain: expected an object, or a list of 1 to 7"),
        ({"plain": {"job": 1}}, "nodes: expected a list of at least one node"),
        ({"plain": {}, "mask": []}, "request: unknown name 'mask'"),
        ({"agent": [1, 2]}, "choices: nothing is given"),
        ({"agent": [1.0], "mode": 1}, "request: unknown name 'mode'"),
        ({"agent": [[0.0] * 5] * 8, "choices": [[[0.0] * 18]] * 8}, "8 decisions in a request, at most 7"),
    ],
)
def test_a_mistake_is_one_message(folder: Path, content: Any, said: str) -> None:
    with client.asking(folder, max_rows=7) as ask:
        assert said in ask.decide(content, 422)["error"]
        bad = ask.client.post("/decide", content=b"{")
        assert bad.status_code == 422 and "the request is no JSON" in bad.json()["error"]


# --- when the rule decides ------------------------------------------------------------------------


def test_far_outside_the_training_the_rule_decides(folder: Path) -> None:
    with client.asking(folder, far=2.0) as ask:
        policy, adapter = ask.service.current.policy, ask.service.current.adapter
        assert adapter is not None
        content = client.seen(policy, 40, 4)
        rows, _ = policy.rows(**content)
        ruled = adapter.rules["least-requested"](rows).argmax(-1).tolist()
        chosen = policy.act(**content).tolist()
        assert ruled != chosen
        assert ask.decide(far(content, 1.9, policy))["by"] == ["policy"] * 40
        told = ask.decide(far(content, 2.1, policy))
        assert told["by"] == ["rule"] + ["policy"] * 39
        assert told["reason"][0] == "far outside" and told["outside"][0] == pytest.approx(2.1, abs=1e-3)
        assert told["action"] == [ruled[0], *chosen[1:]]
        assert ask.metric('dgpg_decisions_total{by="rule"}') == 1
        assert ask.metric('dgpg_decisions_total{by="policy"}') == 79
        assert ask.metric('dgpg_fallbacks_total{reason="far outside"}') == 1
        assert ask.metric("dgpg_outside_total") == 2


def test_what_is_not_allowed_is_not_far_outside(folder: Path) -> None:
    with client.asking(folder) as ask:
        content = client.seen(ask.service.current.policy, 1, 3)
        content["choices"][0][1] = [1e6] * 18
        assert ask.decide(content)["by"] == ["rule"]
        assert ask.decide({**content, "mask": [[True, False, True]]})["by"] == ["policy"]


def test_where_the_policy_fails_the_rule_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client.asking(folder, rule="best-fit with price") as ask:
        loaded = ask.service.current
        content = client.seen(loaded.policy, 5, 4)
        monkeypatch.setattr(loaded.policy, "run", lambda *_: 1 / 0)
        told = ask.decide(content)
        assert loaded.adapter is not None
        rows, _ = loaded.policy.rows(**content)
        assert told["action"] == loaded.adapter.rules["best-fit with price"](rows).argmax(-1).tolist()
        assert told["by"] == ["rule"] * 5 and told["reason"] == ["failed"] * 5
        assert "division by zero" in ask.events("failed")[0]["error"]


def test_without_a_rule_it_says_that_it_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgpg.serve.service.adapter", lambda _: None)
    with client.asking(folder) as ask:
        content = client.seen(ask.service.current.policy, 1, 4)
        assert ask.decide(far(content, 9.0, ask.service.current.policy))["by"] == ["policy"]
        monkeypatch.setattr(ask.service.current.policy, "run", lambda *_: 1 / 0)
        assert "has no rule to stand in" in ask.decide(content, 503)["error"]
        assert "knows features alone" in ask.decide({"plain": {}}, 422)["error"]
        ask.client.get("/healthz").raise_for_status()
    with pytest.raises(ConfigError, match="shadow mode serves a rule"):
        client.Asking(folder, mode="shadow")


def test_in_shadow_mode_the_rule_serves_and_the_policy_is_compared(folder: Path) -> None:
    with client.asking(folder, mode="shadow") as ask:
        policy, adapter = ask.service.current.policy, ask.service.current.adapter
        assert adapter is not None
        content = client.seen(policy, 30, 4)
        rows, _ = policy.rows(**content)
        ruled, chosen = adapter.rules["least-requested"](rows).argmax(-1), policy.act(**content)
        told = ask.decide(content)
        assert told["action"] == ruled.tolist() and told["reason"] == ["shadow"] * 30
        cost, at = adapter.cost(rows), np.arange(30)  # type: ignore[attr-defined]
        more = cost[at, chosen] - cost[at, ruled]
        events = ask.events("shadow")
        assert [one["policy"] for one in events] == chosen.tolist()
        assert [one["difference"] for one in events] == pytest.approx(more.tolist())
        assert ask.metric('dgpg_shadow_total{same="no"}') == (ruled != chosen).sum() > 0
        assert ask.metric("dgpg_shadow_cost_difference") == pytest.approx(more.sum())


def test_a_rule_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown rule 'best': did you mean 'best-fit'"):
        client.Asking(folder, rule="best")


# --- whom it refuses ------------------------------------------------------------------------------


def test_who_has_no_token_gets_nothing(folder: Path) -> None:
    with client.asking(folder, token="secret") as ask:
        content = client.seen(ask.service.current.policy, 1, 2)
        for headers in (
            {},
            {"Authorization": "Bearer secre"},
            {"Authorization": "secret"},
            {"Authorization": "Bearer "},
        ):
            assert "Bearer TOKEN" in ask.decide(content, 401, headers=headers)["error"]
            assert ask.client.get("/metrics", headers=headers).status_code == 401
        assert ask.client.get("/docs").status_code == 401
        assert ask.client.get("/healthz").status_code == 200
        for word in ("Bearer", "bearer", "BEARER"):
            ask.decide(content, headers={"Authorization": f"{word} secret"})


def test_what_is_too_large_is_not_read(folder: Path) -> None:
    with client.asking(folder, max_bytes=2000) as ask:
        assert "larger than 2000 bytes" in ask.decide(client.seen(ask.service.current.policy, 9, 9), 413)["error"]
        told = ask.client.post("/decide", content=iter([b" " * 1500, b" " * 1500]))  # in parts, without a length
        assert told.status_code == 413
        assert ask.client.get("/healthz").status_code == 200


def test_unknown_paths_are_counted_as_one(folder: Path) -> None:
    with client.asking(folder) as ask:
        for n in range(3):
            assert ask.client.get(f"/other/{n}").status_code == 404
        assert ask.metric('dgpg_request_seconds_count{path="other",status="404"}') == 3


def test_the_page_has_an_example_of_each_way_that_works(folder: Path) -> None:
    with client.asking(folder) as ask:
        told = ask.client.get("/openapi.json").json()
        examples = told["paths"]["/decide"]["post"]["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {"plain values", "features by name"}
        for example in examples.values():
            assert ask.decide(example["value"])["action"] in (0, 1)


def test_agents_that_speak_are_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(folder)
    policy.description = {**policy.description, "rounds": {"count": 1}}
    monkeypatch.setattr(Policy, "load", lambda _: policy)
    with pytest.raises(DataError, match="its agents speak before they act, and a request is one agent"):
        client.Asking(folder)


# --- what breaks ----------------------------------------------------------------------------------


def strict(answer: Any) -> Any:
    """JSON as other languages read it."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(answer.content, parse_constant=refuse)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "the request is no JSON"),
        (b"\x1f\x8b\x08", "the request is no JSON"),
        (b'{"plain": "\xff"}', "the request is no JSON"),
        (b"[" * 200_000, "too deep to read"),
        (b'{"plain":' * 100_000, "too deep to read"),
        (b'{"plain": {"\\ud800": 1}}', "plain: unknown name '\\ud800'"),
        (b'{"agent": [1e39, 0, 0, 0, 0], "choices": []}', "'job vCPU' of row 0 is inf"),
        (b'{"plain": {"job": {"vcpu": ' + b"9" * 5000 + b"}}}", "the request is no JSON"),
        (b'{"agent": [' + b"9" * 400 + b"]}", "agent: not an array of numbers"),
    ],
)
def test_bytes_of_all_kinds_are_told_of_in_one_message(folder: Path, sent: bytes, said: str) -> None:
    with client.asking(folder) as ask:
        answer = ask.client.post("/decide", content=sent)
        assert answer.status_code == 422 and said in strict(answer)["error"]
        assert ask.decide(client.seen(ask.service.current.policy, 1, 2))["by"] == ["policy"]


def test_what_is_compressed_or_not_there_is_told_in_the_same_words(folder: Path) -> None:
    with client.asking(folder) as ask:
        packed = ask.client.post("/decide", content=b"x", headers={"Content-Encoding": "gzip"})
        assert packed.status_code == 415 and "gzip is not read" in packed.json()["error"]
        lost, wrong = ask.client.post("/other"), ask.client.get("/decide")
        assert lost.status_code == 404 and lost.json()["error"] == "POST /other: not found; /docs has what there is"
        assert wrong.status_code == 405 and "GET /decide: method not allowed" in wrong.json()["error"]


@pytest.mark.parametrize("value", [1e30, 3e38, -3e38])
def test_numbers_at_the_end_of_all_numbers_have_an_answer_that_is_json(folder: Path, value: float) -> None:
    with client.asking(folder) as ask, np.errstate(all="ignore"):
        mask = [[False, True, True]]
        content = {"agent": [[value] * 5], "choices": [[[value] * 18] * 3], "mask": mask}
        told = strict(ask.client.post("/decide", json=content))
        assert told["by"] == ["rule"] and told["outside"] == [1e9] and told["action"][0] in (1, 2)
        adapter = ask.service.current.adapter
        assert adapter is not None
        for load in (1e30, 1e308):
            assert ask.decide({"plain": {**adapter.example, "load": load}})["reason"] == "far outside"


def test_a_rule_without_an_answer_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client.asking(folder) as ask:
        loaded = ask.service.current
        object.__setattr__(loaded, "rule", lambda rows: np.full((len(rows["agent"]), 1), np.nan))
        monkeypatch.setitem(loaded.__dict__, "choosing", False)
        monkeypatch.setattr(loaded.policy, "run", lambda *_: 1 / 0)
        told = ask.decide(client.seen(loaded.policy, 2, 3), 503)
        assert "the rule none that is a number" in told["error"]


def test_what_breaks_is_one_message_and_the_log_says_how(folder: Path) -> None:
    with client.asking(folder) as ask:
        content = client.seen(ask.service.current.policy, 1, 2)
        ranges = ask.service.current.ranges
        object.__setattr__(ask.service.current, "ranges", None)
        assert ask.decide(content, 500) == {"error": "the service broke on this request; its log says how"}
        (event,) = ask.events("broken")
        assert event["path"] == "/decide" and "NoneType" in event["error"] and "Traceback" in event["trace"]
        object.__setattr__(ask.service.current, "ranges", ranges)
        ask.decide(content)
        assert ask.metric('dgpg_request_seconds_count{path="/decide",status="500"}') == 1


def test_nobody_who_asks_suffers_from_a_log_that_cannot_be_written(folder: Path) -> None:
    with client.asking(folder, mode="shadow") as ask:
        content = client.seen(ask.service.current.policy, 3, 4)
        told = ask.decide(content)
        ask.out.close()
        assert ask.decide(content) == told


# --- a new export ---------------------------------------------------------------------------------


def test_errors_of_features_are_those_of_the_policy(folder: Path) -> None:
    with client.asking(folder) as ask:
        content = client.seen(ask.service.current.policy, 1, 2)
        content["agent"][0][0] = float("nan")
        with pytest.raises(DecisionError) as error:
            ask.service.current.policy.act(**content)
        told = ask.client.post("/decide", content=json.dumps(content))
        assert told.status_code == 422 and told.json()["error"] == str(error.value)
