"""Road networks: TNTP and GMNS files, and two built in."""

from .load import NAMES, load_network
from .tntp import read_flow

__all__ = ["NAMES", "load_network", "read_flow"]
