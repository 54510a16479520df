"""The whole contract of a backend."""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # before the imports: signals, named pipes and limits are those of POSIX

from amorsize.testing.around import Around
from amorsize.testing.deaths import Deaths
from amorsize.testing.endings import Endings
from amorsize.testing.failures import Failures
from amorsize.testing.results import Results
from amorsize.testing.settings import Settings
from amorsize.testing.streams import Streams


class BackendContract(Results, Failures, Deaths, Settings, Streams, Around, Endings):
    """What every backend does, as pytest tests; subclass it, and give `options` and `cannot_occur`.

    It is written against what is public: `pmap`, `pimap`, `pstarmap`, options, errors, `last_run`. Its name does not
    begin with Test, so that pytest collects the subclasses only; theirs must.

    Example:
        >>> class TestProcesses(BackendContract):
        ...     options = {"backend": "process"}
    """
