"""What a store keeps of functions: its rows as records, and those as text."""

from __future__ import annotations

from _blake2 import blake2b

from amorsize.calibration.profile import Profile
from amorsize.planning.words import span
from amorsize.records import Record
from amorsize.report.text import age, describe_profile, describe_run, named, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from amorsize.records import Facts

SHORT_ID = 8
"""Characters of an id in a list: two of 1,000 records share them in one store of 8,000, and `show` takes more."""

_KIND = "profile"


class Kept(Record):
    """What is kept of one function, with one kind of input, on one machine.

    Attributes:
        id: short name of the key, 32 hexadecimal digits; their beginning will do where that is unique.
        key: of its row.
        function: `module:qualname`, as the row says: foreign text.
        input: the kind of input, foreign text too.
        machine: for people, foreign text too.
        profile: its statistics.
    """

    id: str
    key: str
    function: str
    input: str
    machine: str
    profile: Profile

    @property
    def function_digest(self) -> str:
        """Which code it was measured with."""
        return self.key.split(":")[1]

    @property
    def machine_digest(self) -> str:
        """Where it was measured."""
        return self.key.split(":")[2]


def kept_in(entries: Iterable[tuple[str, Facts]]) -> list[Kept]:
    """Return the profiles among a store's rows, sorted by name; rows that are none are left out."""
    found = [kept for key, facts in entries if (kept := _kept(key, facts)) is not None]
    return sorted(found, key=lambda kept: (kept.function, kept.input, kept.machine, kept.key))


def _kept(key: str, facts: Facts) -> Kept | None:
    kind, *digests = key.split(":")
    profile = Profile.from_facts(facts)
    names = [facts.get(label) for label in ("function", "input", "machine")]
    if kind != _KIND or len(digests) != 3 or profile is None:
        return None
    function, kind_of_input, machine = [name if isinstance(name, str) else "?" for name in names]
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return Kept(id=digest, key=key, function=function, input=kind_of_input, machine=machine, profile=profile)


def list_kept(kept: Sequence[Kept], machine_digest: str, now_s: float) -> list[str]:
    """Return a table with a line for each record.

    Args:
        kept: the records.
        machine_digest: of this machine.
        now_s: seconds since 1970.
    """
    head = ("KEY", "FUNCTION", "INPUT", "MACHINE", "ITEMS", "AN ITEM", "SEEN", "LAST RUN")
    rows = [
        (
            each.id[:SHORT_ID],
            each.function,
            each.input,
            "here" if each.machine_digest == machine_digest else each.machine,
            f"{each.profile.item.weight:,.0f}",
            span(each.profile.item.mean),
            age(now_s - each.profile.updated_s),
            describe_run(each.profile.runs[-1]) if each.profile.runs else "-",
        )
        for each in kept
    ]
    return table(head, rows) if rows else []


def describe_kept(kept: Kept, machine_digest: str, now_s: float) -> list[str]:
    """Tell everything about one record; arguments as for `list_kept`."""
    where = "this one: " if kept.machine_digest == machine_digest else "another one: "
    labels = [
        ("key", kept.id),
        ("function", kept.function),
        ("input", kept.input),
        ("machine", where + kept.machine),
    ]
    return [*named(labels), "", *describe_profile(kept.profile, now_s)]
