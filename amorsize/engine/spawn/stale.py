"""Why a fresh interpreter cannot run what it was sent."""

from __future__ import annotations

FINAL, STALE, FOREIGN = 0, 1, 2
"""In `count` of a REFUSED message: an exception that the caller is to raise; the function is another one, which another
way to send it may help; a library holds something else, which no way helps."""


class Stale(Exception):
    """Tell that the function found or made here is not the caller's: why, and the lines of a traceback or nothing."""

    way = STALE


class Foreign(Stale):
    """Tell that a library that it uses holds here what it begins with, and not what the caller's program has set."""

    way = FOREIGN


def lines_of(error: BaseException) -> str:
    """Return which lines of the user's own an exception came through, as a traceback names them.

    Without `traceback`, which takes 5 ms to load: mostly, another way to send the function helps.
    """
    lines, step = "", error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        is_user_s = not step.tb_frame.f_globals.get("__name__", "").startswith(("amorsize.engine.", "importlib."))
        if is_user_s:
            lines += f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_name}\n'
        step = step.tb_next
    return lines
