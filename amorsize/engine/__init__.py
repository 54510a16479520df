"""Do it: run a function over items, in the caller alone or with workers beside it."""
