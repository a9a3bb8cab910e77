"""What live data are compared with: a version's profile, or the live span that a person has accepted since."""

from __future__ import annotations

import logging
from dataclasses import replace

from contracts.events import ReferenceAccepted
from summaries.counts import from_sparse
from summaries.profile import Field, Profile

log = logging.getLogger(__name__)


def accepted_profile(profile: Profile, event: ReferenceAccepted) -> Profile:
    """``profile`` with the accepted counts over its own cells; raises ``ValueError`` where they do not fit.

    How the features go together cannot be told from counts of each: there is no joint law any more.
    """
    names = set(profile.monitored())
    if event.counts.keys() != names:
        raise ValueError(f"counts of {sorted(event.counts)}, monitored are {sorted(names)}")
    return replace(
        profile,
        rows=event.rows,
        features=[_counted(field, event) for field in profile.features],
        outputs=[_counted(field, event) for field in profile.outputs],
        joint=None,
    )


def _counted(field: Field, event: ReferenceAccepted) -> Field:
    counted = {}
    for name, known in field.references.items():
        counts = counted[name] = from_sparse(event.counts[name], known.size)
        if counts.sum() != event.rows or not event.rows:
            raise ValueError(f"{name}: {counts.sum()} values counted of {event.rows} rows")
    return field.counted(counted)


class References:
    """What was accepted, by version. An acceptance holds for the windows that end after it is effective."""

    def __init__(self) -> None:
        self._accepted: dict[str, list[ReferenceAccepted]] = {}
        self._profiles: dict[str, Profile | None] = {}  # by alert; None: its counts do not fit the profile

    def accepted(self, event: ReferenceAccepted) -> None:
        """Take one up; of an alert's the first holds."""
        of_version = self._accepted.setdefault(event.version, [])
        if all(known.alert_id != event.alert_id for known in of_version):
            of_version.append(event)
            # The sort is stable: of two from one moment on the later published one holds.
            of_version.sort(key=lambda known: known.effective_from)

    def at(self, version: str, end: int) -> ReferenceAccepted | None:
        """What was accepted for the window that ends at ``end``; None: the profile is the reference."""
        usable = [
            known
            for known in self._accepted.get(version, [])
            if known.effective_from < end and self._profiles.get(known.alert_id, ...) is not None
        ]
        return usable[-1] if usable else None

    def unknown(self, version: str, end: int) -> bool:
        """Whether :meth:`fit` must be asked before what was accepted can be relied on."""
        return any(
            known.effective_from < end and known.alert_id not in self._profiles
            for known in self._accepted.get(version, [])
        )

    def fit(self, version: str, end: int, profile: Profile) -> None:
        """Find out what of the accepted fits the version's profile; what does not is passed over."""
        for known in self._accepted.get(version, []):
            if known.effective_from < end and known.alert_id not in self._profiles:
                try:
                    self._profiles[known.alert_id] = accepted_profile(profile, known)
                except ValueError as error:
                    self._profiles[known.alert_id] = None
                    log.warning(
                        "what was accepted of alert %s is passed over, %s version %s: %s",
                        known.alert_id, known.model, version, error,
                    )  # fmt: skip

    def profile(self, version: str, end: int, profile: Profile) -> Profile:
        """What a window is judged against."""
        known = self.at(version, end)
        found = self._profiles.get(known.alert_id) if known is not None else None
        return found or profile
