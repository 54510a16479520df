"""Figures as people read them: three units of time, thousands with commas, two digits that matter."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Write seconds in the unit that fits: `12 us`, `0.35 ms`, `1.8 s`."""
    if seconds >= 0.1:
        return _short(seconds) + " s"
    if seconds >= 1e-4:
        return _short(seconds * 1e3) + " ms"
    return _short(seconds * 1e6) + " us"


def items(n_items: int) -> str:
    """Write a number of items: `1 item`, `1,000 items`."""
    return "1 item" if n_items == 1 else f"{n_items:,} items"


def workers(backend: str, n_jobs: int) -> str:
    """Write who computes as the subject of a sentence: `1 process takes`, `4 processes take`, `64 threads take`."""
    if n_jobs == 1:
        return f"1 {backend} takes"
    return f"{n_jobs} threads take" if backend == "thread" else f"{n_jobs} processes take"


def _short(figure: float) -> str:
    return f"{figure:.2g}" if figure < 9.95 else f"{figure:,.0f}"
