"""Items that wait: for a clock, and for a local server. The number that goes with them is the server's port."""

from __future__ import annotations

import time
from http.client import HTTPConnection

from benchmarks.workloads.task import Task

WAIT_S = 0.005


def sleep_5ms(item: int) -> int:
    """Wait for 5 ms."""
    time.sleep(WAIT_S)
    return item


def http_local(item: tuple[int, int]) -> str:
    """Ask the server at a port for a page; it answers after 5 ms."""
    port, number = item
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{number}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


TASKS = {
    "sleep_5ms": Task(sleep_5ms, lambda n_items, _: range(n_items)),
    "http_local": Task(http_local, lambda n_items, port: [(port, number) for number in range(n_items)]),
}
