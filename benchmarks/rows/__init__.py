"""The questions that are asked, one module for each kind; each answers with rows."""
