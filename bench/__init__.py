"""Measured figures and how to repeat them: groups of figures, a table, RESULTS.md and results.json."""
