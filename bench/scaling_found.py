"""What was found of some workers in one drive, and figures of one of them against two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from results import Figure, at_least, at_most, seen

SAME_WORK = 1.25  # what a row may cost two workers, of what it costs one


@dataclass
class Found:
    """``rate``, rows/s of all workers; by worker ``rows`` and ``cpu`` seconds; ``brokers``, seconds of all of them in ``wall``.

    ``others``: share of a core that none of ours had. ``lost``, ``twice``: rows that went in and are not in what came out, or
    more than once; ``refused``: requests not answered with 200, None where there are none.
    """

    rate: float
    rows: list[int]
    cpu: list[float]
    brokers: float
    wall: float
    others: float
    lost: int = 0
    twice: int = 0
    refused: int | None = None
    records: float = 0.0  # rows a record

    @property
    def cost(self) -> float:
        """Microseconds of a worker's processor time a row."""
        return 1e6 * sum(self.cpu) / max(1, sum(self.rows))

    @property
    def broker_cost(self) -> float:
        """Microseconds of the brokers' processor time a row, what they use at rest included."""
        return 1e6 * self.brokers / max(1, sum(self.rows))

    @property
    def broker_share(self) -> float:
        """Share of a core that all brokers together had."""
        return self.brokers / self.wall

    @property
    def had(self) -> float:
        """Share of a core that each worker had, on average."""
        return sum(self.cpu) / len(self.cpu) / self.wall

    @property
    def least_share(self) -> float:
        """Of the rows, what the worker with the fewest had."""
        return min(self.rows) / max(1, sum(self.rows))


def compared(what: str, one: Sequence[Found], two: Sequence[Found], limited: bool) -> list[Figure]:
    """Figures of the rounds' medians; each round's two belong together.

    Goals are of what does not hang on how many cores there are: the cost of a row; and, where each worker has a fixed
    share of a core, of the rate.
    """

    def middle(each: Sequence[Found], name: str) -> float:
        return float(median(getattr(found, name) for found in each))

    rate = float(median(b.rate / a.rate for a, b in zip(one, two, strict=True)))
    cost = float(median(b.cost / a.cost for a, b in zip(one, two, strict=True)))
    both = [*one, *two]
    figures = [
        seen(f"{what}: one", middle(one, "rate"), "rows/s"),
        seen(f"{what}: two", middle(two, "rate"), "rows/s", middle(one, "rate")),
        at_least(f"{what}: two to one", rate, "ratio", 1.8) if limited else seen(f"{what}: two to one", rate, "ratio"),
        seen(f"{what}: one, a row", middle(one, "cost"), "µs of a core"),
        seen(f"{what}: two, a row", middle(two, "cost"), "µs of a core", middle(one, "cost")),
        at_most(f"{what}: a row's cost, two to one", cost, "ratio", SAME_WORK),
        seen(f"{what}: brokers, a row, one", middle(one, "broker_cost"), "µs of a core"),
        seen(f"{what}: brokers, a row, two", middle(two, "broker_cost"), "µs of a core"),
        seen(f"{what}: brokers, one", middle(one, "broker_share"), "share of a core"),
        seen(f"{what}: brokers, two", middle(two, "broker_share"), "share of a core"),
        seen(f"{what}: one had", middle(one, "had"), "share of a core"),
        seen(f"{what}: each of two had", middle(two, "had"), "share of a core", middle(one, "had")),
        seen(f"{what}: rows that the lesser of two had", middle(two, "least_share"), "share"),
        seen(f"{what}: other programs", float(median(f.others for f in both)), "share of a core"),
    ]  # fmt: skip
    if any(found.records for found in both):
        figures.append(seen(f"{what}: rows a record, one", middle(one, "records"), "rows"))
    figures.append(at_most(f"{what}: lost", sum(f.lost for f in both), "rows", 0))
    figures.append(at_most(f"{what}: twice", sum(f.twice for f in both), "rows", 0))
    refused = [f.refused for f in both if f.refused is not None]
    if refused:
        figures.append(at_most(f"{what}: refused", sum(refused), "requests", 0))
    return figures


def line(what: str, count: int, found: Found) -> str:
    """A line for people."""
    shares = ", ".join(f"{rows / max(1, sum(found.rows)):.2f}" for rows in found.rows)
    return (
        f"{what:>45}, {count}: {found.rate:10,.0f} rows/s  {found.cost:7.2f} µs a row  brokers {found.broker_cost:7.2f} µs"
        f"  had {found.had:.2f}  shares {shares}  others {found.others:.2f}  lost {found.lost}  twice {found.twice}"
    )
