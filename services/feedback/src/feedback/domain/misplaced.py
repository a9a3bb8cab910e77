"""Labels on ``ground-truth`` in a partition that is not their prediction's: another client's partitioner put them there.

They cannot be joined where they lie. Whoever reads them publishes them once more where they belong, under a header that
names the record they came from, and only then goes on; after a crash it may publish them twice, and the reader there
takes them once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

from contracts.events import GroundTruthReceived

from feedback.domain.ids import is_prediction_id
from feedback.domain.partitions import LENGTH, partitions_of
from feedback.domain.splitting import events_of

HEADER = "atalaia_rerouted_from"
_ORIGIN = re.compile(rb"([0-9]{1,5}(?:\.[0-9]{1,3})?)/([0-9]{1,18})")


def split_misplaced(
    event: GroundTruthReceived, partition: int, partitions: int
) -> tuple[GroundTruthReceived | None, list[tuple[int, GroundTruthReceived]]]:
    """What of a record stays in its partition, and what goes where; both keep the order of the labels.

    A label whose id is malformed stays: it belongs nowhere, and the join says so. Where all stay, the event itself
    does; None where none does. A partition that many labels go to gets several events, each below Kafka's limit.
    """
    ids = event.prediction_id
    where = _partitions(ids, partition, partitions)
    away = [i for i, own in enumerate(where) if own != partition and is_prediction_id(ids[i])]
    if not away:
        return event, []
    targets: dict[int, list[int]] = {}
    for i in away:
        targets.setdefault(where[i], []).append(i)
    gone = set(away)
    here = [i for i in range(len(ids)) if i not in gone]
    stays = next(events_of(event, event.upload_id, here)) if here else None
    parts = [
        (target, part)
        for target, rows in sorted(targets.items())
        for part in events_of(event, event.upload_id, rows)
    ]
    return stays, parts


def all_placed(events: Sequence[GroundTruthReceived], partition: int, partitions: int) -> bool:
    """Whether no label of records that were read in a partition belongs elsewhere: one look for all of them."""
    ids = [text[:LENGTH] for event in events for text in event.prediction_id]
    try:
        return bool((partitions_of(ids, partitions) == partition).all())
    except ValueError:  # a malformed id among them
        return False


def _partitions(ids: Sequence[str], here: int, partitions: int) -> list[int]:
    try:
        return partitions_of([text[:LENGTH] for text in ids], partitions).tolist()  # type: ignore[no-any-return]
    except ValueError:  # a malformed id among them
        good = [is_prediction_id(text) for text in ids]
        found = iter(partitions_of([text[:LENGTH] for text in compress(ids, good)], partitions).tolist())
        return [next(found) if is_good else here for is_good in good]


def origin(partition: int, offset: int, part: int = 0) -> bytes:
    """What ``HEADER`` says of a record's ``part``-th event for one partition.

    >>> origin(3, 1071), origin(3, 1071, 1)
    (b'3/1071', b'3.1/1071')
    """
    return b"%d.%d/%d" % (partition, part, offset) if part else b"%d/%d" % (partition, offset)


def origin_of(headers: Iterable[tuple[str, bytes | None]] | None) -> bytes | None:
    """Where a record was re-routed from; None where it was not."""
    return next((value for name, value in headers or () if name == HEADER), None)


class Rerouted:
    """Which re-routed records a partition has had, so that one that was published twice is taken once.

    For each partition that labels came from (and each part, where a record made several events) it remembers the
    highest offset. That suffices because one reader re-routes a partition in the order of its offsets and goes on only
    once Kafka has what it published: :func:`feedback.produces.ground_truth.reroute` returns then.

    It is part of a partition's state and goes where that goes, ``dict(rerouted.highest)`` as JSON. Where state is
    rebuilt by reading records again, what is remembered must be as of the first of them.

    >>> rerouted = Rerouted()
    >>> [rerouted.is_new(header) for header in (b"3/5", b"3/6", b"3/5", b"4/5", b"3.1/6")]
    [True, True, False, True, True]
    >>> Rerouted(rerouted.highest).is_new(b"3/6")
    False
    """

    def __init__(self, highest: Mapping[str, int] | None = None) -> None:
        self.highest: dict[str, int] = dict(highest or {})

    def is_new(self, header: bytes) -> bool:
        """Whether the record of this header has not come before; from now on it has.

        A header that is none of ours says nothing: the record is new.
        """
        found = _ORIGIN.fullmatch(header)
        if found is None:
            return True
        lane, offset = found[1].decode(), int(found[2])
        if offset <= self.highest.get(lane, -1):
            return False
        self.highest[lane] = offset
        return True
