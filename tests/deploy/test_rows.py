"""What is given as arrays by somebody who is wrong in every way that numpy knows: one message, no warning beside it."""

from typing import Any

import numpy as np
import pytest

from dgpg.deploy.plain import number
from dgpg.deploy.rows import Reader
from dgpg.errors import DecisionError

READER = Reader(
    {
        "arrays": {
            "agent": ["float32", "R", 2],
            "choices": ["float32", "R", "K", 1],
            "mask": ["bool", "R", "K"],
            "index": ["int64", "R"],
        },
        "inputs": {"agent": [{"name": "level"}, {"name": "load"}], "choices": [{"name": "price"}]},
        "agents": 3,
    }
)
GOOD: dict[str, Any] = {"agent": [1.0, 2.0], "choices": [[1.0], [2.0]], "mask": None, "index": 0}


class Refuses:
    """Raises whatever it likes when numpy asks."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("not now")


def test_one_agent_and_many() -> None:
    rows, one = READER.rows(**GOOD)
    assert one and rows["index"].tolist() == [0] and rows["mask"].tolist() == [[True, True]]
    many, one = READER.rows([[1, 2]] * 2, np.ones((2, 3, 1), np.float16), np.eye(2, 3), np.array([2, 0], np.uint8))
    assert not one and many["index"].tolist() == [2, 0] and many["index"].dtype == np.int64
    assert all(x.dtype == np.float32 for x in (many["agent"], many["choices"])) and many["mask"].dtype == bool


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *(
            ({"index": index}, f"index: expected which agent decides, whole numbers from 0 to 2, got {told}")
            for index, told in (
                (-1, "-1"), (3, "3"), (2**70, "1180591620717411303424"), (0.0, "0.0"), (float("nan"), "nan"),
                ("x", "'x'"), ([[1], [1, 2]], r"\[\[1\], \[1, 2\]\]"), ({}, "{}"), (True, "True"),
                (np.uint64(2**63), "np.uint64"),
                (10**5000, "a int that is too long to write"), (np.array([0, -5]), r"\[0, -5\]"), (Refuses(), "<"),
            )
        ),
        *(
            ({"mask": mask}, "mask: expected true or false for each choice")
            for mask in (True, 1, "yes", [2, 0], [None, True], {"a": 1}, [float("nan"), 1], [10**400, 1], Refuses())
        ),
        ({"mask": [0, 0]}, "mask: nothing is allowed in row 0"),
        ({"agent": Refuses()}, "agent: not an array of numbers"),
        ({"agent": [1e39, 0]}, "agent: 'level' of row 0 is inf, expected a finite number"),
        ({"agent": {"level": 0, "load": -1e300}}, "agent: 'load' of row 0 is -inf"),
        ({"agent": [10**400, 0]}, "agent: not an array of numbers"),
        ({"agent": {"level": 0, "\ud800": 0}}, "agent: load missing; \ud800 unknown"),
        ({"choices": {"price": [1, 10**400]}}, "choices: 'price': not an array of numbers"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DecisionError, match=said):
        READER.rows(**{**GOOD, **change})


def test_large_numbers_are_numbers() -> None:
    rows, _ = READER.rows(**{**GOOD, "agent": [2**63, 3e38]})
    assert np.isfinite(rows["agent"]).all()


def test_numbers_that_nobody_can_write_are_told() -> None:
    with pytest.raises(DecisionError, match=r"job.vcpu: expected a number, got a int that is too long to write"):
        number({"vcpu": 10**5000}, "job", "vcpu")
