"""How fast the API is: `python -m dev.benchmark` measures it beside a speed limit and a peer, in one run."""

Figures = dict[str, dict[str, float]]
"""The rows of a table by what was measured, each with its figures by column."""
