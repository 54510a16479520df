"""Workers that are fed: the caller hands out items and takes results in; it computes none itself."""
