"""The page that lies beside an exported policy, for whoever gets the folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLE = "# A policy for "
MEANINGS = {
    "choice": "the number of the choice, from 0",
    "numbers": "numbers in the units below, within each agent's own bounds (`policy.json` has them by agent)",
    "split": "shares of one unit, zero where a choice is not allowed",
}
ENDS = (("low", min), ("high", max))
INPUTS = {
    "index": "which agent, from 0",
    "agent": "its features",
    "choices": "features of each of its choices",
    "mask": "true where a choice is allowed, at least one in a row",
    "block": "blocks of the state that each choice touches, from 0",
    "here": "coordinates of those blocks if nobody acted",
    "value": "what the choice adds to them",
    "last": "the agent's last `announced`",
    "heard": "sums of what all agents have `said`, on those blocks",
    "turn": "number of the round",
    "noise": "decides the draw: uniform on [0, 1) for choices, standard normal otherwise; unused by `greedy`",
}


CONTEXT = "what the model looks at in this step, as the environment has it"


def page(told: Mapping[str, Any]) -> str:
    """Markdown."""
    action = told["action"]
    lines = [
        f"{TITLE}{told['domain']}",
        "",
        f"Trained by dgpg ({told['algorithm']}, iteration {told['iteration']}) for {told['agents']} agents. "
        "`policy.onnx` opens with onnxruntime and nothing else; this page and `policy.json` say what is also in its "
        "metadata (`dgpg`). Ranges are those of episodes of the instance that it was trained in.",
        "",
        f"An action is {MEANINGS[action['kind']]}.",
        "",
        "| input | type and shape | what |",
        "|---|---|---|",
        *(f"| `{name}` | {_shape(shape)} | {INPUTS.get(name, CONTEXT)} |" for name, shape in told["arrays"].items()),
        "",
        "R is the number of agents that decide, K the number of choices. Outputs: "
        + ", ".join(map(_code, told["outputs"]))
        + ".",
        "",
    ]
    for name, features in told["inputs"].items():
        lines += [f"## `{name}`", "", "| | name | unit | range | what |", "|---|---|---|---|---|"]
        lines += [f"| {n} | {_feature(one)} |" for n, one in enumerate(features)]
        lines.append("")
    lines += ["## The action", "", "| | name | unit | least | most | what |", "|---|---|---|---|---|---|"]
    lines += [f"| {n} | {_number(action, n)} |" for n in range(len(action["names"]))]
    lines += _speaking(told)
    lines += [
        "",
        "An environment may narrow it further in a step (by ramps, say), and features are as it makes them: deviations "
        "and shares are of scales of the instance that the policy was trained in"
        + (
            ". `policy.json` has them (`plain`), for the `deploy` functions of the domain's plugin."
            if "plain" in told
            else ", which are not in this folder."
        ),
        "",
        "## In Python",
        "",
        "```python",
        "from dgpg.deploy import Policy  # pip install 'dgpg[deploy]'",
        "",
        _call(told),
        "```",
        "",
        f"{told['compared']['decisions']:,} decisions were compared with torch before this was written: choices are "
        f"the same, numbers differ by {told['compared']['largest_difference']:.1e} at most.",
    ]
    return "\n".join(lines) + "\n"


def _call(told: Mapping[str, Any]) -> str:
    if told["rounds"]:
        return 'Policy.load("DIR").announce(agent=..., choices=..., mask=..., places=...)  # then hear, decide'
    return f'Policy.load("DIR").act({", ".join(f"{name}=..." for name in told["arrays"] if name != "noise")})'


def _speaking(told: Mapping[str, Any]) -> list[str]:
    """The protocol between agents, where they speak."""
    rounds = told["rounds"]
    if not rounds:
        return []
    again = rounds["count"] - 1
    return [
        "",
        "## How agents speak",
        "",
        f"Within a step there are {rounds['count']} rounds; all have heard one before any speaks in the next.",
        "",
        "1. Each asks `announce.onnx` with what it sees and with what its choices do: `block`, the numbers of the "
        f"{rounds['blocks']} blocks of the state that each touches, `here`, their {rounds['coordinates']} coordinates "
        "if nobody acted, `value`, what the choice adds to them. It keeps `announced` and sends `said`.",
        "2. Somebody adds up, block by block, what all have `said`, and sends each agent the sums of the blocks that "
        "its choices touch: `heard`, its own part included.",
        "3. Each asks `hear.onnx` with the same, its `last` announcement and what it `heard`; then 2 again. This is "
        f"done {again} time{'s' * (again != 1)}." + (" `turn` counts, from 1." if "turn" in told["arrays"] else ""),
        "4. Each asks `policy.onnx` with what it heard last, and acts.",
        "",
        "`dgpg.deploy.totals` adds up; `dgpg.deploy.agree` does all of it where the agents are one process.",
    ]


def _number(action: Mapping[str, Any], n: int) -> str:
    one = action["names"][n]
    ends = [f"{pick(own[n] for own in action[end]):g}" if action.get(end) else "" for end, pick in ENDS]
    return f"{one['name']} | {one['unit']} | {' | '.join(ends)} | {one['meaning']}"


def _code(name: str) -> str:
    return f"`{name}`"


def _shape(shape: Sequence[Any]) -> str:
    return f"{shape[0]} [{', '.join(map(str, shape[1:]))}]"


def _feature(one: Mapping[str, Any]) -> str:
    return f"{one['name']} | {one['unit']} | {one['low']:.4g} to {one['high']:.4g} | {one['meaning']}"
