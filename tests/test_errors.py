"""Messages a user can act on."""

import pytest

from dgpg import errors


def test_unknown_names_the_nearest_first() -> None:
    message = errors.unknown("domain", "clod", ["power", "cloud"])
    assert message == "unknown domain 'clod': did you mean 'cloud'? Valid: cloud, power"


def test_unknown_without_a_near_name_or_any_name() -> None:
    assert errors.unknown("domain", "zzz", ["cloud"]) == "unknown domain 'zzz': Valid: cloud"
    assert errors.unknown("domain", "zzz", []) == "unknown domain 'zzz': Valid: none"


@pytest.mark.parametrize("name", ["ConfigError", "PluginError", "DataError", "RunError", "DivergenceError"])
def test_every_error_is_caught_as_one(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.DgpgError)
