"""Load a network by the path of a folder or file, or by name."""

from __future__ import annotations

from pathlib import Path

from dgpg.errors import DataError, unknown
from dgpg_traffic.network.capacities import rated
from dgpg_traffic.network.network import Network, weighed

from .gmns import DEMAND, LINK, NODE, read_gmns
from .names import file_like
from .tntp import NET, TRIPS, read_tntp
from .tntp import NODE as TNTP_NODE

_BUILTIN = Path(__file__).parent / "networks"
NAMES = ("braess", "grid")
"""Networks that the package brings along, TNTP files in `networks`."""


def load_network(
    name_or_path: str,
    *,
    toll_factor: float | None = None,
    distance_factor: float | None = None,
    standard_b: float | None = None,
) -> Network:
    """Load a network; its costs are time + toll_factor toll + distance_factor length.

    Args:
        name_or_path: a name of `NAMES`; the folder of one network; or, where a folder holds several in TNTP, one of
            them: FOLDER/PREFIX_net.tntp or FOLDER/PREFIX.
        toll_factor: units of time that one unit of toll counts as; None for what the files say, 0 if they do not.
        distance_factor: the same of a unit of length.
        standard_b: b of the delay function at true capacities, from which these follow; None for the files' own.

    Raises:
        DataError: the name is unknown, the folder holds no network or several, or a file is missing, malformed or
            not a usable network.
    """
    return weighed(rated(_read(name_or_path), standard_b), toll_factor, distance_factor)


def _read(name_or_path: str) -> Network:
    """The network as its files have it, costs of time alone."""
    if name_or_path in NAMES:
        return read_tntp(_BUILTIN / (name_or_path + NET))
    path = Path(name_or_path)
    if path.is_dir():
        return _load_folder(path)
    if path.name.lower() in (NODE, LINK, DEMAND):
        return read_gmns(path.parent)
    for suffix in (NET, TRIPS, TNTP_NODE):
        if path.name.lower().endswith(suffix):
            return read_tntp(path if suffix == NET else path.with_name(path.name[: -len(suffix)] + NET))
    if net := file_like(path.with_name(path.name + NET)):
        return read_tntp(net)
    if path.exists():
        raise DataError(f"{path}: not the file of a network, expected PREFIX{NET} or {LINK}: name one of these")
    if path.parent.is_dir() and (found := _candidates(path.parent)):
        raise DataError(f"{unknown('network', name_or_path, found)}")
    expected = f"or a folder of TNTP (PREFIX{NET}, PREFIX{TRIPS}) or GMNS files ({NODE}, {LINK}, {DEMAND})"
    raise DataError(f"{unknown('network', name_or_path, NAMES)}; {expected}")


def _load_folder(folder: Path) -> Network:
    found = _candidates(folder)
    if links := file_like(folder / LINK):
        found.append(str(links))
    if not found:
        expected = f"PREFIX{NET} and PREFIX{TRIPS} (TNTP) or {NODE}, {LINK} and {DEMAND} (GMNS)"
        raise DataError(f"{folder}: holds no network, expected {expected}: check the path")
    if len(found) > 1:
        raise DataError(f"{folder}: holds {len(found)} networks, expected one: name one of {', '.join(found)}")
    return _read(found[0])


def _candidates(folder: Path) -> list[str]:
    """Paths without the suffix of the TNTP networks in a folder."""
    nets = (path for path in sorted(folder.iterdir()) if path.name.lower().endswith(NET))
    return list(dict.fromkeys(str(path)[: -len(NET)] for path in nets))
