"""Find the functions with the most branches in Python's own standard library, and watch amorsize learn.

    python examples/stdlib_complexity.py

Every .py file of the standard library of the Python that runs this is parsed: by a plain loop, by a first `pmap`, and
by a second one. Run the script twice: in the second process even the first `pmap` samples nothing, because what the
first process learned is kept.
"""

import ast
import subprocess
import sys
import sysconfig
import warnings
from heapq import nlargest
from pathlib import Path
from time import perf_counter

from amorsize import parallelizable

LIBRARY = Path(sysconfig.get_path("stdlib"))

BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.BoolOp, ast.comprehension,
    ast.match_case,
)  # fmt: skip

LEAVES = (ast.Name, ast.Constant, ast.expr_context)  # half of all nodes, and nothing branches below them

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@parallelizable
def most_branched(path: str) -> list[tuple[int, str]]:
    """Return the ten functions with the most branches in a file, as (branches, "file:line name")."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError):  # Python's own tests contain files that are wrong on purpose
        return []
    found: list[tuple[int, str]] = []
    count_branches(tree, "", str(Path(path).relative_to(LIBRARY)), found)
    return nlargest(10, found)


def count_branches(node: ast.AST, prefix: str, file: str, found: list[tuple[int, str]]) -> int:
    """Return the number of branches below a node; append those of each function to `found`."""
    n_branches = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, LEAVES):
            continue
        inner = f"{prefix}{child.name}." if isinstance(child, (*FUNCTIONS, ast.ClassDef)) else prefix
        n_inside = count_branches(child, inner, file, found)
        if isinstance(child, FUNCTIONS):
            found.append((n_inside, f"{file}:{child.lineno} {inner[:-1]}"))
        n_branches += n_inside + isinstance(child, BRANCHES)
    return n_branches


def main() -> None:
    warnings.simplefilter("ignore")  # of what old code in the library does
    files = sorted(str(path) for path in LIBRARY.rglob("*.py") if "site-packages" not in path.parts)
    n_bytes = sum(len(Path(path).read_bytes()) for path in files)  # all are in memory now: the disk plays no part below
    print(f"{len(files):,} files, {n_bytes / 1e6:.1f} MB: the standard library of Python {sys.version.split()[0]}\n")

    began = perf_counter()
    by_first = most_branched.pmap(files)
    first_s, first = perf_counter() - began, most_branched.last_run

    began = perf_counter()
    by_loop = [most_branched(path) for path in files]
    loop_s = perf_counter() - began

    began = perf_counter()
    by_tuned = most_branched.pmap(files)
    tuned_s, tuned = perf_counter() - began, most_branched.last_run

    assert by_loop == by_first == by_tuned
    assert first is not None
    assert tuned is not None
    print("branches  function")
    for n_branches, function in nlargest(10, (each for of_file in by_loop for each in of_file)):
        print(f"{n_branches:8}  {function}")

    known = "known from an earlier process" if first.n_sampled == 0 else f"{first.n_sampled} of its items were timed"
    print(f"\nplain loop  {loop_s:6.2f} s")
    print(f"first run   {first_s:6.2f} s   gain {loop_s / first_s:.2f}   n_sampled == {first.n_sampled} ({known})")
    print(f"tuned run   {tuned_s:6.2f} s   gain {loop_s / tuned_s:.2f}   n_sampled == {tuned.n_sampled}")
    print(f"\nplan        {tuned.backend}, n_jobs={tuned.n_jobs}, chunksize={tuned.chunksize}")
    print(f"why         {tuned.reason}")
    store = subprocess.run([sys.executable, "-m", "amorsize", "cache", "path"], capture_output=True, text=True)
    print(f"store       {store.stdout.strip() or 'off'}")


if __name__ == "__main__":
    main()
