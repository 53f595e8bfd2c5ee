"""How fast the API is: `python -m dev.benchmark` measures it beside a speed limit and a peer, in one run."""
