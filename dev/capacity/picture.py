"""The curves of docs/capacity.md."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from dev.capacity.simulation import Outcome

# So that the same figures are the same file, and its words are words.
mpl.rcParams |= {"svg.hashsalt": "capacity", "svg.fonttype": "none"}

Curve = list[tuple[float, Outcome]]


def draw(path: Path, curves: dict[str, Curve]) -> None:
    """Draw how long answers take, and how many requests are refused, by how many arrive a second."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    waits, refusals = figure.subplots(2, sharex=True)
    for name, curve in curves.items():
        rates = [rate for rate, _ in curve]
        outcomes = [outcome for _, outcome in curve]
        waits.semilogx(
            rates, [1000 * outcome.percentile(0.99) for outcome in outcomes], marker=".", label=name
        )
        refused = [(outcome.throttled + outcome.refused) / outcome.arrived for outcome in outcomes]
        refusals.semilogx(rates, [100 * part for part in refused], marker=".", label=name)
    waits.set(ylim=(0, None), ylabel="p99 of an answer by the API, ms")
    refusals.set(xlabel="requests a second at the shop", ylabel="refused of those that reach the API, %")
    for axes in (waits, refusals):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    waits.legend()
    figure.savefig(path, metadata={"Date": None})
