"""Workers that are fresh interpreters: launched by us, told by name or by code what to run, kept warm between calls."""
