"""What a program sets in a library that a function uses is seen; what the library's own code keeps is not."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from amorsize.identity.foreign import foreign, otherwise
from amorsize.identity.values import value_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOP = """
from . import config
from .config import options

n_calls, hook, nothing = 0, None, float("nan")

class Cart:
    rate, n_made = 1, 0
    def __init__(self, n):
        self.n = n
        self.rank = Cart.n_made
        Cart.n_made += 1
    @property
    def total(self):
        return self.n * config.TAX * self.rate

def price(n):
    global n_calls
    n_calls += 1
    return Cart(n).total * options.rates.tax, nothing

def hooked(n):
    return hook(n)
"""

CONFIG = """
TAX = 1

class Options:
    def __init__(self):
        self.rates = self
        self.tax = 1

options = Options()
"""


def imported_anew() -> Any:
    """Import the package as a fresh interpreter would."""
    for name in ("shop", "shop.config"):
        sys.modules.pop(name, None)
    return importlib.import_module("shop")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    package = tmp_path / "site-packages" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SHOP)
    (package / "config.py").write_text(CONFIG)
    monkeypatch.syspath_prepend(package.parent)
    yield imported_anew()
    del sys.modules["shop"], sys.modules["shop.config"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("config.TAX = 2", "shop.config.TAX"),
        ("config.TAX = [2]", "shop.config.TAX"),
        ("options.tax = 2", "shop.options.rates.tax"),
        ("Cart.rate = 2", "shop.Cart.rate"),
        ("Cart.total = property(MINE)", "shop.Cart.total"),
        ("hook = MINE", "shop.hook"),
        ("price = MINE", "shop.price"),
        ("pass", None),
    ],
)
def test_what_the_program_has_set_is_named(shop: Any, change: str, name: str | None) -> None:
    def priced(n: int) -> Any:
        return shop.hooked(n), shop.price(n)

    price = shop.price
    vars(shop)["MINE"] = lambda cart: cart
    exec(change, vars(shop))
    held = [foreign(func) for func in ((priced,) if change.startswith(("hook", "price")) else (priced, price))]
    imported_anew()
    assert [otherwise(each) for each in held] == [name] * len(held)


def test_what_methods_of_items_use_is_seen(shop: Any) -> None:
    def total(cart: Any) -> Any:
        return cart.total

    shop.config.TAX = 2
    held = foreign(total, (shop.Cart,))
    imported_anew()
    assert otherwise(held) == "shop.config.TAX"


def test_what_the_code_that_is_read_assigns_itself_does_not_count(shop: Any) -> None:
    shop.price(1)
    held = foreign(shop.price)
    imported_anew()
    assert otherwise(held) is None


@pytest.mark.parametrize("name", ["time.time", "json.dumps"])
def test_code_of_the_program_in_the_place_of_the_standard_library_s_is_seen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(n: int) -> Any:
        return json.dumps(n), time.time(), sys.stdout, sys.path

    assert otherwise(foreign(work)) is None
    with monkeypatch.context() as patched:
        patched.setattr(name, lambda *_: 0.0)
        held = foreign(work)
    assert otherwise(held) == name


PANDAS = """
from .config import _global_config

class Frame:
    def show(self):
        return _global_config["display"]["columns"]

def set_option(name, value):
    group, _, name = name.partition(".")
    if name == "callback" and value is None:
        raise ValueError(name)
    _global_config[group][name] = value
"""

PANDAS_CONFIG = """
_global_config = {"display": {"columns": 0, "callback": 1}, "io": {"excel": {"xls": {"reader": "auto"}}}}
"""


@pytest.fixture
def pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    package = tmp_path / "site-packages" / "pandas"
    (package / "_config").mkdir(parents=True)
    (package / "__init__.py").write_text(PANDAS.replace(".config", "._config"))
    (package / "_config" / "__init__.py").write_text("from .config import _global_config\n")
    (package / "_config" / "config.py").write_text(PANDAS_CONFIG)
    monkeypatch.syspath_prepend(package.parent)
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pandas"}
    for name in before:
        del sys.modules[name]
    yield importlib.import_module("pandas")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize("module", ["pandas._config", "pandas._config.config"])
def test_options_of_pandas_are_set_as_they_are_in_a_notebook(pandas: Any, module: str) -> None:
    options = pandas._global_config
    options["display"] |= {"columns": 20, "callback": "mine"}
    held = ((module, "_global_config", value_token(options)),)
    options["display"] |= {"columns": 0, "callback": 1}
    assert otherwise(held) is None
    assert options == {
        "display": {"columns": 20, "callback": "mine"},
        "io": {"excel": {"xls": {"reader": "auto"}}},
    }


def test_an_option_of_pandas_that_cannot_be_set_is_named(pandas: Any) -> None:
    options = pandas._global_config
    options["display"]["callback"] = None
    held = (("pandas._config.config", "_global_config", value_token(options)),)
    options["display"]["callback"] = 1
    assert otherwise(held) == "pandas._config.config._global_config"
    options["display"]["callback"] = print
    held = (("pandas._config.config", "_global_config", value_token(options)),)
    options["display"]["callback"] = 1
    assert otherwise(held) == "pandas._config.config._global_config"


MATPLOTLIB = """
class RcParams(dict):
    def __setitem__(self, name, value):
        if value == "an array":
            raise ValueError(value)
        dict.__setitem__(self, name, value)

rcParamsDefault = RcParams(backend="agg", colour="red", size=[1.0, 2.0], grid=False)
rcParams = RcParams(rcParamsDefault)

def plot():
    return rcParams["colour"]
"""


@pytest.fixture
def matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "matplotlib.py").write_text(MATPLOTLIB)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    yield importlib.import_module("matplotlib")
    del sys.modules["matplotlib"]


def test_matplotlib_draws_as_it_does_for_the_caller(matplotlib: Any) -> None:
    def draw(n: int) -> Any:
        return n, matplotlib.plot()

    settings = matplotlib.rcParams
    settings.update(backend="notebook", size=[3.0, 4.0], grid=True)
    held = foreign(draw)
    assert held == (("matplotlib", "rcParams", ("style", (("grid", True), ("size", (3.0, 4.0))))),)
    settings.update(matplotlib.rcParamsDefault, colour="blue")
    assert otherwise(held) is None
    assert settings == {"backend": "agg", "colour": "red", "size": [3.0, 4.0], "grid": True}


def test_a_style_that_no_text_says_is_named(matplotlib: Any) -> None:
    matplotlib.rcParams.update(colour="an array")
    held = foreign(matplotlib.plot)
    matplotlib.rcParams.update(colour="red")
    assert otherwise(held) == "matplotlib.rcParams"


def test_a_module_that_cannot_be_imported_again_is_not_compared() -> None:
    assert otherwise((("no_such_module", "TAX", 1),)) is None
