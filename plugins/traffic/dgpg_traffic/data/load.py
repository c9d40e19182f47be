"""Load a network by the path of a folder or file, or by name."""

from __future__ import annotations

from pathlib import Path

from dgpg.errors import DataError, unknown
from dgpg_traffic.network.network import Network

from .gmns import DEMAND, LINK, NODE, read_gmns
from .tntp import NET, TRIPS, read_tntp
from .tntp import NODE as TNTP_NODE

_BUILTIN = Path(__file__).parent / "networks"
NAMES = ("braess", "grid")
"""Networks that the package brings along, TNTP files in `networks`."""


def load_network(name_or_path: str) -> Network:
    """Load a network.

    Args:
        name_or_path: a name of `NAMES`; the folder of one network; or, where a folder holds several in TNTP, one of
            them: FOLDER/PREFIX_net.tntp or FOLDER/PREFIX.

    Raises:
        DataError: the name is unknown, the folder holds no network or several, or a file is missing, malformed or
            not a usable network.
    """
    if name_or_path in NAMES:
        return read_tntp(_BUILTIN / (name_or_path + NET))
    path = Path(name_or_path)
    if path.is_dir():
        return _load_folder(path)
    if path.name in (NODE, LINK, DEMAND):
        return read_gmns(path.parent)
    for suffix in (NET, TRIPS, TNTP_NODE):
        if path.name.endswith(suffix):
            return read_tntp(path.with_name(path.name.removesuffix(suffix) + NET))
    if path.with_name(path.name + NET).is_file():
        return read_tntp(path.with_name(path.name + NET))
    if path.exists():
        raise DataError(f"{path}: not the file of a network, expected PREFIX{NET} or {LINK}: name one of these")
    if path.parent.is_dir() and (found := _candidates(path.parent)):
        raise DataError(f"{unknown('network', name_or_path, found)}")
    expected = f"or a folder of TNTP (PREFIX{NET}, PREFIX{TRIPS}) or GMNS files ({NODE}, {LINK}, {DEMAND})"
    raise DataError(f"{unknown('network', name_or_path, NAMES)}; {expected}")


def _load_folder(folder: Path) -> Network:
    found = _candidates(folder)
    if (folder / LINK).is_file():
        found.append(str(folder / LINK))
    if not found:
        expected = f"PREFIX{NET} and PREFIX{TRIPS} (TNTP) or {NODE}, {LINK} and {DEMAND} (GMNS)"
        raise DataError(f"{folder}: holds no network, expected {expected}: check the path")
    if len(found) > 1:
        raise DataError(f"{folder}: holds {len(found)} networks, expected one: name one of {', '.join(found)}")
    return load_network(found[0])


def _candidates(folder: Path) -> list[str]:
    """Paths without the suffix of the TNTP networks in a folder."""
    return [str(path).removesuffix(NET) for path in sorted(folder.glob("*" + NET))]
