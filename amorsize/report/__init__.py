"""Show it: decisions, reports and the machine, for people and for `--json`."""
