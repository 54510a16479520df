"""What runs in a measured process: it is told what to map, maps it with its peer, and says how long that took.

    stdin    workload n_items n_steps          stdout    seconds digest

The first call is cold: it pays for the peer's imports and start. Later ones are warm. The end of stdin is the end.
"""

from __future__ import annotations

import sys
from time import perf_counter

from benchmarks.peers import open_peer
from benchmarks.workloads import FUNCTIONS, digest, items_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.peers import Peer


def serve(peer_name: str) -> None:
    """Answer the calls on stdin with one peer, until stdin ends."""
    peer: Peer | None = None
    for line in sys.stdin:
        workload, n_items, n_steps = line.split()
        func, items = FUNCTIONS[workload], items_of(int(n_items), int(n_steps))
        began_s = perf_counter()
        if peer is None:
            peer = open_peer(peer_name)
        results = peer.map(func, items)
        seconds = perf_counter() - began_s
        sys.stdout.write(f"{seconds!r} {digest(results)}\n")
        sys.stdout.flush()
        del results  # freeing them is no part of the next call
    if peer is not None:
        peer.close()
