"""What runs in a measured process: it is told what to map, maps it with its peer, and says how long that took.

    stdin    workload n_items number chunksize      stdout    seconds digest n_results predicted_s parts
                                                           or failed why

The first call is cold: it pays for the peer's imports and start. Later ones are warm. The end of stdin is the end. What
a mapped function prints goes to stderr.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

from benchmarks.peers import open_peer
from benchmarks.workloads import digest, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.peers import Peer


def serve(peer_name: str, n_jobs: str, *folders: str) -> None:
    """Answer the calls on stdin with one peer, until stdin ends.

    Args:
        peer_name: its name in `peers`.
        n_jobs: workers; 0 for what its documentation recommends.
        folders: where more modules are found.
    """
    sys.path[1:1] = folders
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer: Peer | None = None
    for line in sys.stdin:
        try:
            workload, n_items, number, chunksize = line.split()
            task = load(workload)
            items = task.items(int(n_items), int(number))
            began_s = perf_counter()
            if peer is None:
                peer = open_peer(peer_name, int(n_jobs) or None)
            results = peer.map(task.func, items, int(chunksize) or None)
            seconds = perf_counter() - began_s
            told = getattr(peer, "predicted_s", None), getattr(peer, "parts", None)
            answers.write(f"{seconds!r} {digest(results)} {len(results)} {told[0]!r} {told[1]!r}\n")
            del results, items  # freeing them is no part of the next call
        except Exception as error:  # whatever a peer or a function raises becomes a row of the table
            answers.write(f"failed {type(error).__name__}: {' '.join(str(error).split())[:200]}\n")
        answers.flush()
    if peer is not None:
        peer.close()
