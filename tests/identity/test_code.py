"""The opcodes that are known by heart are those of this Python."""

from __future__ import annotations

import sys

import pytest

from amorsize.identity import code
from amorsize.identity.code import code_facts


@pytest.mark.skipif(sys.version_info[:2] not in code._OPCODES, reason="this Python is asked, not known by heart")
def test_the_opcodes_known_by_heart_are_those_of_this_python() -> None:
    assert code._OPCODES[sys.version_info[:2]] == code._read_opcodes()


def test_a_code_object_says_what_it_loads_and_assigns() -> None:
    source = """
def f(x):
    global counted
    counted = loaded(x)
    x.attribute = 1
    def inner():
        import imported
        nonlocal x
        x = __name__
        deeper.y[0] = 1
"""
    namespace: dict[str, object] = {}
    exec(source, namespace)
    facts = code_facts(namespace["f"].__code__)  # type: ignore[attr-defined]  # it is a function
    assert facts.names == ("loaded", "counted", "attribute", "imported", "deeper", "y")
    assert facts.globals_read == {"loaded", "deeper", "__name__"}
    assert facts.globals_written == {"counted"}
    assert facts.written == {"counted", "attribute", "x"}
    assert facts.imports == {"imported"}
    assert facts.mutates


def test_constants_beyond_the_first_256_count_as_well() -> None:
    digests = set()
    for last in (1000.5, 2000.5):
        source = "[" + ", ".join(f"x + {at}.25" for at in range(300)) + f", x + {last}]"
        digests.add(code_facts(compile(source, "f.py", "eval")).digest)
    assert len(digests) == 2


def test_code_is_read_once() -> None:
    function = test_code_is_read_once
    assert code_facts(function.__code__) is code_facts(function.__code__)
