"""The trained network as the scorers see it: a torch module, its labels, its dtype."""

from sktrim.network._network import Network
from sktrim.network._resolve import resolve_network

__all__ = ["Network", "resolve_network"]
