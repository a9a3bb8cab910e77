"""Reviews are what people say of challengers that wait for them, and what the trainer says of its own promotions."""

from __future__ import annotations

from contracts.events import ChallengerReviewed, PromotionReviewed


class Approvals:
    """A person's word on a run; of several the first holds."""

    def __init__(self) -> None:
        self._by_run: dict[str, ChallengerReviewed] = {}

    def reviewed(self, event: ChallengerReviewed) -> None:
        """Take in a yes or no."""
        self._by_run.setdefault(event.run_id, event)

    def of(self, run_id: str) -> ChallengerReviewed | None:
        """What was said of a run's challenger."""
        return self._by_run.get(run_id)


class Reviews:
    """Looks at promoted versions, in order."""

    def __init__(self) -> None:
        self._looks: dict[tuple[str, int], PromotionReviewed] = {}

    def looked(self, event: PromotionReviewed) -> None:
        """Take in a look; one that was published twice says the same."""
        self._looks.setdefault((event.version, event.as_of), event)

    def of(self, version: str) -> list[PromotionReviewed]:
        """All looks at a version, oldest first."""
        return sorted((e for (v, _), e in self._looks.items() if v == version), key=lambda e: e.as_of)
