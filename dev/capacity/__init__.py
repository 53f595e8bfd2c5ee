"""What the deployment carries: `python -m dev.capacity` simulates it, and writes docs/capacity.md."""
