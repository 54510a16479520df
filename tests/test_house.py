"""The house rules that no other tool holds: what is loaded, how large things are, what is public, what stands where."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import amorsize

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
HOME = Path.home()  # read before a fixture gives each test its own
PACKAGE = ROOT / "amorsize"
MODULES = sorted(PACKAGE.rglob("*.py"))

TOP_LEVEL = {"amorsize", "tests", "examples", "benchmarks", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}

HEAVY = """
    asyncio cloudpickle collections concurrent contextlib ctypes dataclasses datetime diskcache enum functools hashlib
    importlib.metadata inspect json logging multiprocessing numpy pathlib pickle platform platformdirs psutil random re
    shutil signal socket sqlite3 subprocess tempfile threading traceback typing uuid
"""
"""Modules that a fresh process must not pay for before its first results are back: 1 to 20 ms each."""

FLOW = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions_of(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def tracked_files() -> list[Path]:
    """Return the files that git knows; nothing is asked of files that belong to whoever works here."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# ---- what is loaded


FRESH = """
import sys
sys.path[:0] = {paths!r}
bare = set(sys.modules)
{body}
print(*sorted(set({heavy!r}) & (set(sys.modules) - bare)))
"""

TUNED = """
import work
results = work.triangle.pmap(range(3000, 7000), n_jobs=2, backend="process")
"""


def run_isolated(folder: Path, body: str) -> str:
    """Run `body` in a bare interpreter, without the site module (which may load anything); return what it printed."""
    script = FRESH.format(paths=[str(folder), str(ROOT), *sys.path], body=body, heavy=HEAVY.split())
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder with a module `work` that decorates one function."""
    (tmp_path / "work.py").write_text(
        "import amorsize\n\n@amorsize.parallelizable\ndef triangle(n):\n    return sum(range(n))\n"
    )
    return tmp_path


def test_importing_and_decorating_loads_nothing_heavy(work: Path) -> None:
    assert run_isolated(work, "import work") == ""


def test_the_plain_loop_of_a_fresh_process_loads_nothing_heavy(work: Path) -> None:
    assert (
        run_isolated(work, "import work\nassert work.triangle.pmap(range(50)) == [sum(range(n)) for n in range(50)]")
        == ""
    )


def test_a_short_call_of_a_fresh_process_loads_little_of_ours(work: Path) -> None:
    body = "import work\nwork.triangle.pmap(range(50))\n"
    ours = run_isolated(work, f"{body}print(*sorted(name for name in sys.modules if name.startswith('amorsize')))")
    slow_machine_s = {"amorsize.clocks"}  # looked at where the 50 items took longer than 1 ms
    assert set(ours.split()) - slow_machine_s == {
        f"amorsize{room}" for room in ("", ".api", ".footprint", ".inline", ".record", ".short")
    }


def test_few_items_of_a_fresh_process_load_what_tells_whether_they_are_long(work: Path) -> None:
    body = "import work\nwork.triangle.pmap(range(5))\n"
    ours = run_isolated(work, f"{body}print(*sorted(name for name in sys.modules if name.startswith('amorsize.')))")
    loaded = {name.removeprefix("amorsize.") for name in ours.split()}
    rooms = {"advice", "advice.ahead", "options", "store", "store.long", "store.where"}
    assert loaded == {"api", "footprint", "inline", "record", "short", *rooms}


def test_a_few_items_of_an_iterator_load_nothing_that_decides_or_starts(work: Path) -> None:
    body = "import work\nwork.triangle.pmap(iter(range(50)))\n"
    ours = run_isolated(work, f"{body}print(*sorted(name for name in sys.modules if name.startswith('amorsize.')))")
    rooms = {name.split(".")[1] for name in ours.split()}
    loop = {"api", "call", "footprint", "garbage", "inline", "record", "short", "stream"}
    rooms.discard("clocks")  # which a call of 1 ms loads, be it another program's fault
    assert rooms == {*loop, "engine", "feeding"}


@pytest.mark.needs_fork
def test_sqlite_is_loaded_only_where_a_store_may_be(work: Path) -> None:
    body = TUNED + "print('_sqlite3' in sys.modules)"
    assert run_isolated(work, body) == "False"
    assert run_isolated(work, body) == "True"


@pytest.mark.needs_fork
@pytest.mark.parametrize(
    "call",
    [
        "pmap(iter(range(3000, 7000)), isolate=True)",
        "pmap(range(3000, 7000), isolate=True, timeout=60)",
        "pmap(iter(range(3000, 7000)), backend='thread', n_jobs=2)",
    ],
    ids=["stream", "timeout", "threads"],
)
def test_what_feeds_workers_loads_nothing_heavy(work: Path, call: str) -> None:
    assert run_isolated(work, f"import work\nassert len(work.triangle.{call}) == 4000") == ""


@pytest.mark.needs_fork
def test_a_tuned_run_of_a_fresh_process_loads_nothing_heavy(work: Path) -> None:
    run_isolated(work, TUNED)
    loaded = run_isolated(work, TUNED)
    tuned = run_isolated(work, TUNED + "print(work.triangle.last_run.backend, work.triangle.last_run.n_sampled)")
    assert tuned.split("\n")[0] == "process 0"
    assert loaded == ""


def test_importing_and_decorating_opens_only_the_package_and_starts_nothing(work: Path) -> None:
    """Audit events tell of every open, process and socket; what Python's own import machinery lists is not counted."""
    watched = """
seen = []
def watch(event, arguments):
    if event == "open" and not str(arguments[0]).startswith(({package!r}, {work!r})):
        seen.append(arguments[0])
    elif event.split(".")[0] in ("subprocess", "socket", "sqlite3", "shutil", "tempfile", "signal") or event in (
        "os.fork", "os.posix_spawn", "os.system", "os.mkdir", "os.remove", "os.rename"
    ):
        seen.append(event)
sys.addaudithook(watch)
import work
print(seen)
"""
    assert run_isolated(work, watched.format(package=str(PACKAGE), work=str(work))) == "[]"


# ---- how large things are


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_has_at_most_300_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 300


def test_a_function_has_at_most_40_lines_beside_its_docstring() -> None:
    long = []
    for module in MODULES:
        for function in functions_of(module):
            first = function.body[0]
            documented = ast.get_docstring(function) is not None
            told = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
            n_lines = (function.end_lineno or function.lineno) - function.lineno + 1 - told
            if n_lines > 40:
                long.append(f"{module.relative_to(ROOT)}:{function.lineno} {function.name}: {n_lines}")
    assert long == []


def depth_of(node: ast.AST) -> int:
    """Return how deep control flow is nested below a node; an `elif` is as deep as its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth_of(child) + (isinstance(child, FLOW) and not is_elif))
    return deepest


def test_control_flow_is_nested_at_most_three_deep() -> None:
    deep = [
        f"{module.relative_to(ROOT)}:{function.lineno} {function.name}: {depth_of(function)}"
        for module in MODULES
        for function in functions_of(module)
        if depth_of(function) > 3
    ]
    assert deep == []


# ---- what is public


def test_all_is_sorted_and_exactly_the_public_names() -> None:
    public = {
        name
        for name in dir(amorsize)
        if not name.startswith("_") and name != "TYPE_CHECKING" and not isinstance(getattr(amorsize, name), ModuleType)
    }
    assert amorsize.__all__ == sorted(public)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        amorsize.nonsense  # noqa: B018 - the attribute access is what is tested


NEED_WORKERS = ("ItemNotPicklable", "RemoteError", "WorkerDied")


@pytest.mark.parametrize("name", sorted(set(amorsize.__all__) - set(NEED_WORKERS)))
def test_a_public_name_has_a_docstring_with_an_example_that_works(name: str) -> None:
    run_examples(name, getattr(amorsize, name))


@pytest.mark.needs_fork
@pytest.mark.parametrize("name", NEED_WORKERS)
def test_an_error_of_workers_has_a_docstring_with_an_example_that_works(name: str) -> None:
    run_examples(name, getattr(amorsize, name))


@pytest.mark.parametrize("name", ["pmap", "pstarmap", "options", "explain", "forget"])
def test_a_method_of_a_decorated_function_has_a_docstring_with_an_example_that_works(name: str) -> None:
    score = amorsize.parallelizable(lambda x: x * x)
    power = amorsize.parallelizable(lambda base, exponent: base**exponent)
    run_examples(name, getattr(score, name), score=score, power=power)


def run_examples(name: str, documented: object, **known: object) -> None:
    """Run the examples of a docstring as a reader would who has imported the public names and made what is `known`."""
    known |= {public: getattr(amorsize, public) for public in amorsize.__all__}
    for example in doctest.DocTestFinder(recurse=False).find(documented, name, module=False, globs=known):
        assert example.examples, f"amorsize.{name} has no example"
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0


def test_every_module_says_what_it_is() -> None:
    silent = [str(module.relative_to(ROOT)) for module in MODULES if not ast.get_docstring(tree_of(module))]
    assert silent == []


# ---- what is written where


def test_only_options_reads_the_environment_variables_of_amorsize() -> None:
    readers = [
        str(module.relative_to(PACKAGE))
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and re.fullmatch("AMORSIZE_[A-Z_]+", str(node.value))
    ]
    assert set(readers) <= {"options.py"}


def test_a_wide_except_raises_again_or_says_what_it_protects() -> None:
    silent = []
    for module in MODULES:
        lines = module.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("everything", "BaseException", "Exception") and "  # " not in lines[node.lineno - 1]:
                silent.append(f"{module.relative_to(ROOT)}:{node.lineno}")
    assert silent == []


def test_the_version_is_written_in_one_place() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in described["project"]
    assert described["tool"]["hatch"]["version"]["path"] == "amorsize/__init__.py"


def test_the_installed_version_is_the_package_s_own() -> None:
    try:
        installed = importlib.metadata.version("amorsize")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("amorsize is not installed here, only on the path")
    assert installed == amorsize.__version__


def test_every_module_can_be_imported_on_its_own() -> None:
    """On every platform, also where fcntl, resource and os.fork are missing."""
    for module in MODULES:
        parts = module.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            importlib.import_module(".".join(part for part in parts if part != "__init__"))


def test_the_top_level_holds_only_what_it_should() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_no_file_names_a_path_of_this_machine() -> None:
    here = {f"{path}/".encode() for path in (ROOT, HOME, sys.prefix) if str(path) not in ("/", "/usr")}
    naming = [file.name for file in tracked_files() if any(path in file.read_bytes() for path in here)]
    assert naming == []
