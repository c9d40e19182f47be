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
    "mask": "true where a choice is allowed",
    "noise": "decides the draw: uniform on [0, 1) for choices, standard normal otherwise; unused by `greedy`",
}


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
        *(f"| `{name}` | {_shape(shape)} | {INPUTS[name]} |" for name, shape in told["arrays"].items()),
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
        f'Policy.load("DIR").act({", ".join(f"{name}=..." for name in told["arrays"] if name != "noise")})',
        "```",
        "",
        f"{told['compared']['decisions']:,} decisions were compared with torch before this was written: choices are "
        f"the same, numbers differ by {told['compared']['largest_difference']:.1e} at most.",
    ]
    return "\n".join(lines) + "\n"


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
