"""A local server that answers every request after 5 ms, in a process of its own.

It prints its port and serves until its stdin ends, so it never outlives who started it.
"""

from __future__ import annotations

import asyncio
import sys

ANSWER_S = 0.005


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        asked = (await reader.readuntil(b"\r\n\r\n")).split(maxsplit=2)
        await asyncio.sleep(ANSWER_S)
        body = b"page " + asked[1]
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # whoever asked has been ended meanwhile
    finally:
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def serve() -> None:
    """Serve until stdin ends."""
    asyncio.run(_serve())
