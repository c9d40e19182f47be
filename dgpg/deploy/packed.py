"""Large arrays inside JSON: compressed bytes as text, a tenth of the numbers written out."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError

MANY = 1000
"""Numbers from which on an array is packed; fewer stay for people to read."""


def packed(x: NDArray[Any]) -> Any:
    """An array as plain values: numbers in lists, or `{"type", "shape", "zlib"}` with base64 where they are many.

    Whole numbers take as few bytes as they need; bytes are little-endian, the last dimension runs first.
    """
    if x.size < MANY:
        return x.tolist()
    if x.dtype.kind == "i":
        x = x.astype(np.promote_types(np.min_scalar_type(x.min()), np.min_scalar_type(x.max())))
    x = np.ascontiguousarray(x.astype(x.dtype.newbyteorder("<")))
    text = base64.b64encode(zlib.compress(x.tobytes(), 9)).decode()
    return {"type": x.dtype.name, "shape": list(x.shape), "zlib": text}


def unpacked(told: Any, kind: type[np.generic]) -> NDArray[Any]:
    """The array of `packed`, in a type of the reader's.

    Raises:
        DataError: it is damaged.
    """
    if not isinstance(told, Mapping):
        return np.array(told, kind)
    try:
        raw = zlib.decompress(base64.b64decode(told["zlib"]))
        x = np.frombuffer(raw, np.dtype(told["type"]).newbyteorder("<")).reshape(told["shape"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"plain: an array that cannot be read ({error}); export the run again") from None
    return x.astype(kind)
