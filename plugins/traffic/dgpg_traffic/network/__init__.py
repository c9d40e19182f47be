"""Links and zones, paths through them, the routes that agents split over, and travel times (BPR)."""

from dgpg_traffic.network.network import Network

__all__ = ["Network"]
