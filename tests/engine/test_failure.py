"""An exception survives its journey, or says what it was; what pickle refuses is named."""

from __future__ import annotations

import marshal
import signal
import sys
import threading
import traceback
import types
import weakref
from typing import Any

import pytest

from amorsize.engine import failure
from amorsize.engine.encoding import MARSHALLED, Refused, sendable
from amorsize.engine.finished import Finished
from amorsize.engine.message import RESULTS, Message
from amorsize.errors import ItemNotPicklable, RemoteError


class TwoArguments(Exception):
    """The classic: pickles, and cannot be rebuilt."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port}")


class ChangesItsType(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return ValueError, ("not the same",)


class ReprFails(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        raise RuntimeError("no pickle")

    def __repr__(self) -> str:
        raise RuntimeError("no name")


class NoRepr:
    """Is told from others by its place in memory alone."""


class Markup(str):
    __slots__ = ()


class ReprIsNoPlainText(Exception):
    def __repr__(self) -> str:
        return Markup("<b>x</b>")


class NotesFail(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # which makes it fail
        raise RuntimeError("no notes")


class StrFails(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


NO_TEXT: Any = ("file", 1, 1, 5)  # the last is to be the line's


class Refuses:
    def __reduce__(self) -> tuple[Any, ...]:
        raise RuntimeError("stays here")


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()


def travelled(error: BaseException) -> BaseException:
    """Return what the caller gets of an error that was raised in a worker."""
    try:
        raise error
    except BaseException as raised:
        return failure.unpack(marshal.loads(failure.pack(raised)))


@pytest.mark.parametrize(
    "error",
    [ValueError("x", 3), KeyError("k"), SystemExit(4), KeyboardInterrupt(), MemoryError(), OSError(2, "gone", "file")],
)
def test_an_exception_comes_back_as_itself(error: BaseException) -> None:
    back = travelled(error)
    assert type(back) is type(error)
    assert back.args == error.args


def test_the_workers_traceback_comes_along_as_a_note() -> None:
    (note,) = travelled(ValueError("x")).__notes__
    assert "Traceback (most recent call last)" in note
    assert "in travelled" in note


def fails_at(depth: int, error: BaseException) -> None:
    if depth:
        fails_at(depth - 1, error)
    if isinstance(error, KeyError):
        raise error
    raise error from error.__cause__


def misspelt() -> None:
    known_name = 1
    print(knwn_name + known_name)  # type: ignore[name-defined]  # noqa: F821


def told(error: BaseException) -> str:
    """Return the worker's traceback as the caller is told it."""
    text: str = failure.unpack(marshal.loads(failure.pack(error))).__dict__["__notes__"][-1]
    return text.removeprefix("amorsize: traceback in the worker:\n")


CAUSED = ValueError("caused")
CAUSED.__cause__ = KeyError("cause")
NOTED = ValueError("noted")
NOTED.add_note("in line 3")
SHOWN = [ValueError("a"), KeyError("b"), CAUSED, NOTED, ExceptionGroup("c", [ValueError(1)]), OSError(2, "gone", "d")]


@pytest.mark.parametrize("depth", [0, 2, 9])
@pytest.mark.parametrize("error", SHOWN, ids=repr)
def test_a_traceback_is_told_as_python_does_again_and_again(error: BaseException, depth: int) -> None:
    for _ in range(2):
        error.__traceback__ = None
        with pytest.raises(type(error)) as info:
            fails_at(depth, error)
        assert told(info.value) == "".join(traceback.format_exception(error))


def test_so_is_one_for_which_python_looks_into_the_frames() -> None:
    with pytest.raises(NameError) as info:
        misspelt()
    assert told(info.value) == "".join(traceback.format_exception(info.value))


def test_only_so_many_tracebacks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "_shown", {})
    for depth in range(2 * failure.MOST_SHOWN):
        with pytest.raises(ValueError, match="deep") as info:
            fails_at(depth % 70, ValueError("deep"))
        failure.pack(info.value)
    assert 0 < len(failure._shown) <= failure.MOST_SHOWN


def test_a_note_of_the_users_own_comes_along() -> None:
    error = ValueError("x")
    error.add_note("while parsing line 7")
    assert "while parsing line 7" in travelled(error).__notes__


@pytest.mark.fault("R4")
@pytest.mark.parametrize(
    "error", [KeyError(NoRepr()), ValueError("x", [NoRepr()]), ExceptionGroup("x", [KeyError(NoRepr())])]
)
def test_an_exception_that_names_an_object_without_a_repr_comes_back_as_itself(error: Exception) -> None:
    back = travelled(error)
    assert type(back) is type(error)
    assert len(back.args) == len(error.args)


@pytest.mark.fault("R4")
@pytest.mark.parametrize(
    "error",
    [ReprIsNoPlainText("x"), NotesFail("x"), StrFails("x"), SyntaxError("x", NO_TEXT)],
    ids=lambda e: type(e).__name__,
)
def test_an_exception_that_cannot_be_printed_comes_back_as_itself(error: Exception) -> None:
    back = travelled(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert "in travelled" in back.__dict__["__notes__"][-1]


class Prefixed(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(f"pre {message}")


class HoldsALock(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


@pytest.mark.fault("R4")
def test_an_exception_whose_init_takes_other_arguments_comes_back_as_itself() -> None:
    back = travelled(TwoArguments("localhost", 80))
    assert (type(back), str(back)) == (TwoArguments, "localhost:80")


class NotThere(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)
        self.wanted = path


class Coded(Exception):
    __slots__ = ("code", "lock")

    def __init__(self, code: int) -> None:
        super().__init__("failed")
        self.code = code
        self.lock = threading.Lock()


@pytest.mark.fault("R4")
def test_what_an_exception_keeps_beside_its_attributes_comes_along() -> None:
    gone, coded = travelled(NotThere("file")), travelled(Coded(7))
    assert isinstance(gone, NotThere)
    assert isinstance(coded, Coded)
    assert (gone.errno, gone.filename, gone.wanted, gone.args) == (2, "file", "file", (2, "not there"))
    assert str(gone) == "[Errno 2] not there: 'file'"
    assert (coded.code, str(coded)) == (7, "failed")


@pytest.mark.fault("R4")
def test_an_exception_whose_init_changes_its_message_keeps_it() -> None:
    assert str(travelled(Prefixed("x"))) == "pre x"


def test_causes_come_along() -> None:
    error = ValueError("outer")
    error.__cause__ = KeyError("middle")
    error.__cause__.__context__ = HoldsALock("inner")
    back = travelled(error)
    assert isinstance(back.__cause__, KeyError)
    assert isinstance(back.__cause__.__context__, RemoteError)
    assert back.__cause__.__context__.text == "HoldsALock('inner')"


class Frozen(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("frozen")


@pytest.mark.parametrize("cause", [None, KeyError("inner")])
def test_a_frozen_exception_keeps_what_it_came_from(cause: Exception | None) -> None:
    error = Frozen("outer")
    BaseException.__setattr__(error, "__cause__", cause)
    back = travelled(error)
    assert (type(back), back.args, repr(back.__cause__)) == (Frozen, ("outer",), repr(cause))


def test_a_context_that_was_hidden_stays_hidden() -> None:
    error = ValueError("outer")
    error.__context__ = KeyError("inner")
    error.__suppress_context__ = True
    back = travelled(error)
    assert back.__context__ is None
    try:
        raise LookupError("the caller's own")
    except LookupError:
        with pytest.raises(ValueError, match="outer"):
            raise back  # noqa: B904  # as a call raises it there
    shown = "".join(traceback.format_exception(back))
    assert "During handling" not in shown.replace(back.__notes__[-1], "")


def test_a_chain_without_end_is_cut() -> None:
    error, other = ValueError("one"), ValueError("two")
    error.__cause__, other.__cause__ = other, error
    assert str(travelled(error)) == "one"


@pytest.mark.fault("R4")
def test_a_class_that_only_the_worker_has_becomes_a_remote_error() -> None:
    module = types.ModuleType("only_in_the_worker")
    sys.modules[module.__name__] = module
    exec("class Odd(Exception): pass", module.__dict__)
    error: Exception = module.__dict__["Odd"]("x")
    packed = failure.pack(error)
    del sys.modules[module.__name__]
    back = failure.unpack(marshal.loads(packed))
    assert isinstance(back, RemoteError)
    assert (back.type_name, back.text) == ("Odd", "Odd('x')")
    assert "only_in_the_worker" in str(back)


def test_what_a_call_inside_the_item_had_finished_does_not_travel() -> None:
    error = ValueError("x")
    error.__dict__["finished"] = Finished([(0, [bytes(1000)])])
    assert len(failure.pack(error)) < 1000
    assert not hasattr(travelled(error), "finished")


@pytest.mark.fault("R4")
@pytest.mark.parametrize("error", [ChangesItsType("it"), ReprFails()])
def test_an_exception_with_a_reduce_of_its_own_that_fails_comes_back_as_itself(error: Exception) -> None:
    back = travelled(error)
    assert (type(back), back.args) == (type(error), error.args)


SAID: weakref.WeakKeyDictionary[Exception, str] = weakref.WeakKeyDictionary()


class KeptInC(Exception):
    """As pydantic's: what it says is in none of its attributes, and it is made anew with other `args`."""

    def __init__(self, said: str) -> None:
        SAID[self] = said

    def __str__(self) -> str:
        return SAID.get(self, "")

    def __reduce__(self) -> tuple[object, ...]:
        return KeptInC, (str(self),)


def kept_in_c(said: str) -> Exception:
    error = KeptInC(said)
    error.args = ()
    return error


@pytest.mark.fault("R4")
def test_an_exception_that_keeps_in_c_what_it_says_comes_back_as_itself() -> None:
    back = travelled(kept_in_c("1 validation error"))
    assert (type(back), str(back), back.args) == (KeptInC, "1 validation error", ())


class CannotBeShown(HoldsALock):
    def __repr__(self) -> str:
        raise RuntimeError("no name")


@pytest.mark.fault("R4")
@pytest.mark.parametrize("error", [HoldsALock("it"), CannotBeShown("it")])
def test_an_exception_that_cannot_be_rebuilt_becomes_a_remote_error(error: Exception) -> None:
    back = travelled(error)
    assert isinstance(back, RemoteError)
    assert back.type_name == type(error).__qualname__
    assert "in travelled" in back.traceback_text
    assert type(error).__qualname__ in back.text


def test_an_exception_group_comes_back_whole() -> None:
    back = travelled(ExceptionGroup("both", [ValueError(1), KeyError(2)]))
    assert isinstance(back, ExceptionGroup)
    assert [type(inner) for inner in back.exceptions] == [ValueError, KeyError]


@pytest.mark.fault("R4")
def test_a_group_keeps_exceptions_whose_init_takes_other_arguments() -> None:
    back = travelled(
        ExceptionGroup("all", [TwoArguments("a", 1), ExceptionGroup("some", [NotThere("file"), ValueError(2)])])
    )
    assert isinstance(back, ExceptionGroup)
    first, rest = back.exceptions
    assert (type(first), str(first)) == (TwoArguments, "a:1")
    assert isinstance(rest, ExceptionGroup)
    assert [str(inner) for inner in rest.exceptions] == ["[Errno 2] not there: 'file'", "2"]


@pytest.mark.fault("R3")
@pytest.mark.parametrize(
    ("value", "path", "type_name"),
    [
        (threading.Lock(), "result", "_thread.lock"),
        ({"a": [1, (2, threading.Lock())]}, "result['a'][1][1]", "_thread.lock"),
        ({1, Refuses()}, "result{...}", f"{__name__}.Refuses"),
        ([ValueError, lambda: None], "result[1]", "function"),
    ],
)
def test_the_innermost_culprit_is_named(value: object, path: str, type_name: str) -> None:
    assert failure.culprit(value, "result") == (path, type_name)


@pytest.mark.fault("R3")
def test_an_attribute_that_cannot_be_pickled_is_named() -> None:
    class Local:
        pass

    error = ValueError()
    error.__dict__["lock"] = threading.Lock()
    assert failure.culprit(error, "result") == ("result.lock", "_thread.lock")
    assert failure.culprit([Local], "result")[0] == "result[0]"


def test_a_value_that_contains_itself_is_searched_only_so_deep() -> None:
    knot: list[object] = [threading.Lock()]
    knot[:0] = [knot]
    path, _ = failure.culprit(knot, "result")
    assert path.startswith("result[")


@pytest.mark.fault("R3")
def test_the_first_result_that_cannot_be_pickled_is_blamed() -> None:
    results = ["fine", Refuses(), threading.Lock()]
    cause = RuntimeError("stays here")
    index, error = failure.not_picklable("result", results, start=104, cause=cause)
    assert isinstance(error, ItemNotPicklable)
    assert index == 105
    assert (error.index, error.path) == (105, "result")
    assert error.type_name == f"{__name__}.Refuses"
    assert "item 105" in str(error)
    assert "RuntimeError: stays here" in str(error)
    assert error.__cause__ is cause


def test_what_is_raised_without_a_word_is_told_by_its_type() -> None:
    _, error = failure.not_picklable("result", [Refuses()], start=0, cause=NotImplementedError())
    assert "(NotImplementedError: )" in str(error)


def test_where_memory_runs_out_that_is_what_is_told_with_its_item() -> None:
    cause = MemoryError()
    assert failure.not_picklable("result", [1, Refuses()], start=104, cause=cause) == (105, cause)
    assert cause.__notes__ == ["amorsize: raised when the result of item 105 was to be pickled"]
    message = Message(RESULTS, 12, 3, 0.0, MARSHALLED, b"", [])
    assert failure.not_rebuilt("result", message, cause) is cause
    assert cause.__notes__[1:] == [
        "amorsize: raised when the results of items 12 to 14 were to be rebuilt in this process"
    ]


def test_a_cause_keeps_the_frames_of_the_user_and_none_of_ours() -> None:
    with pytest.raises(Refused) as caught:
        sendable([Refuses()])
    _, error = failure.not_picklable("result", [Refuses()], start=0, cause=caught.value.why)
    assert error.__cause__ is caught.value.why
    assert [frame.name for frame in traceback.extract_tb(caught.value.why.__traceback__)] == ["__reduce__"]


@pytest.mark.fault("R3")
def test_results_that_cannot_be_rebuilt_name_their_items() -> None:
    error = failure.not_rebuilt("result", Message(RESULTS, 12, 3, 0.0, MARSHALLED, b"", []), ValueError("bad state"))
    assert isinstance(error, ItemNotPicklable)
    assert error.index == 12
    assert "items 12 to 14" in str(error)
    assert "bad state" in str(error)


@pytest.mark.fault("R1")
def test_a_death_names_signal_items_and_the_likely_cause() -> None:
    died = failure.worker_died(13, 15, (None, signal.SIGKILL))
    assert (died.first, died.stop, died.signal, died.exitcode) == (13, 15, signal.SIGKILL, None)
    assert "SIGKILL" in str(died)
    assert "items 13 to 14" in str(died)
    assert "memory" in str(died)


@pytest.mark.fault("R1")
def test_a_death_by_a_real_time_signal_is_named_too() -> None:
    if not hasattr(signal, "SIGRTMIN"):
        pytest.skip("no real-time signals")
    number = signal.SIGRTMIN + 1
    assert str(int(number)) in str(failure.worker_died(0, 1, (None, int(number))))


@pytest.mark.fault("R1")
def test_a_death_by_exit_names_the_code() -> None:
    died = failure.worker_died(3, 4, (7, None))
    assert (died.exitcode, died.signal) == (7, None)
    assert "exit code 7 in item 3" in str(died)


@pytest.mark.fault("R1")
def test_a_death_whose_status_somebody_else_took_says_so() -> None:
    died = failure.worker_died(3, 4, (None, None))
    assert (died.exitcode, died.signal) == (None, None)
    assert "taken by somebody else" in str(died)


@pytest.mark.fault("R1")
def test_a_death_between_two_items_blames_none() -> None:
    died = failure.worker_died(4, 4, (1, None))
    assert (died.first, died.stop) == (None, None)
