"""Large arrays of an export are packed, and come back as they were."""

import json
from typing import Any

import numpy as np
import pytest

from dgpg.deploy import packed, unpacked
from dgpg.errors import DataError

ROUTES = np.where(np.arange(60_000).reshape(100, 6, 100) % 100 < 20, np.arange(60_000).reshape(100, 6, 100) % 500, -1)


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12).reshape(3, 4),
        np.arange(-5000, 5000),
        np.array([-(2**40), 2**40] * 600),
        np.full(2000, 200),
        ROUTES,
        np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32),
    ],
    ids=str,
)
def test_arrays_come_back(x: np.ndarray) -> None:
    found = unpacked(json.loads(json.dumps(packed(x))), x.dtype.type)
    assert found.dtype == x.dtype and found.shape == x.shape and (found == x).all()


def test_few_numbers_stay_to_be_read_and_many_take_little() -> None:
    assert packed(np.array([[1, -1]])) == [[1, -1]]
    assert len(json.dumps(packed(ROUTES))) < 0.1 * len(json.dumps(ROUTES.tolist()))


@pytest.mark.parametrize(
    "change", [{"zlib": "AAAA"}, {"zlib": "?"}, {"shape": [7]}, {"type": "much"}, {"zlib": None}], ids=str
)
def test_damage_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="an array that cannot be read"):
        unpacked({**packed(ROUTES), **change}, np.int64)
