"""How is it kept? One dictionary of facts per key, on disk; what the facts mean is not known here."""
