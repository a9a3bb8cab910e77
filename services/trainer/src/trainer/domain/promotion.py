"""Whether a challenger that won may still serve: what it beat must serve, and nobody may have taken it back."""

from __future__ import annotations

from collections.abc import Collection

from contracts.events import ModelChanged


def superseded(
    serving: ModelChanged,
    champion: str,
    challenger: str | None,
    served: Collection[str],
    since: int | None = None,
) -> str | None:
    """Why a run against ``champion`` promotes nothing any more; None where ``challenger`` may serve, or does.

    ``challenger`` is None before one is registered, ``served`` are all versions that ``model-events`` named. A
    challenger that served before and does not now was promoted by this run, and rolled back since. That topic is
    compacted: who served meanwhile may be forgotten. So a champion that does not serve ``since`` (event time, ms; None: not
    known) when it did as the run began has been replaced, and has come back.

    >>> now = ModelChanged(model="m", version="1", previous_version="3", action="rolled_back", artifact_uri="",
    ...     sha256="", effective_from=0, reason="too many complaints")
    >>> superseded(now, "1", "3", {"1", "3"})
    'version 1 serves now: version 3 was promoted and rolled back (too many complaints)'
    >>> superseded(now, "2", "4", {"1", "2", "3"})
    'version 1 serves now, not version 2 that was challenged'
    >>> superseded(now, "1", "4", {"1", "3"}, since=0) is None
    True
    >>> superseded(now, "1", "4", {"1", "3"}, since=-5)
    'version 1 serves again: others have served since it was challenged (too many complaints)'
    """
    now = f"version {serving.version} serves now"
    if serving.version == challenger:
        return None
    if challenger in served:
        why = f" ({serving.reason})" if serving.action == "rolled_back" and serving.reason else ""
        return f"{now}: version {challenger} was promoted and rolled back{why}"
    if serving.version != champion:
        return f"{now}, not version {champion} that was challenged"
    if since is not None and serving.effective_from != since:
        why = f" ({serving.reason})" if serving.reason else ""
        return f"version {champion} serves again: others have served since it was challenged{why}"
    return None
