"""The events that cross a wire. A docstring begins with the topics that carry its type.

All are columnar: a field documented ``[N]`` holds one entry a row. Times are integer milliseconds since
1970-01-01 UTC, event time unless the name says otherwise. The JSON Schemas under ``schemas/`` and the
AsyncAPI document are generated from these types, so a reader in any language needs nothing of ours.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Value = float | int | str | bool | None
Vector = list[float] | None
Label = float | int | str | bool


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False, forbid_unknown_fields=False):
    """Base of all events. Unknown fields are ignored, so that a producer may add some."""


class PredictionsMade(Event, frozen=True):
    """Topics ``predictions`` and ``shadow-predictions``: one scored batch of N rows. Key: ``batch_id``.

    On ``predictions`` the answers that callers were given; on ``shadow-predictions`` those of a challenger,
    ``version``, to the same rows under the same ``batch_id``, so in the partition of that number too. No caller waits
    for these: of a batch they may be missing.

    Row i has the opaque id ``f"{batch_id}.{i}"``. A feature that is a vector (an embedding, an image row after row)
    has its column in ``vectors`` and not in ``features``; a text is a feature like any other.
    """

    batch_id: str
    model: str
    version: str
    event_time: list[int]
    features: dict[str, list[Value]]
    predictions: list[Label]
    probabilities: dict[str, list[float]] | None = None
    vectors: dict[str, list[Vector]] | None = None


class GroundTruthReceived(Event, frozen=True):
    """Topic ``ground-truth``: labels of one upload that belong to one partition.

    Sent to the partition that murmur2 of the ``batch_id`` in each ``prediction_id`` gives.
    ``label_time`` is the moment the truth became known.
    """

    upload_id: str
    prediction_id: list[str]
    truth: list[Label]
    label_time: list[int]


class OutcomesJoined(Event, frozen=True):
    """Topic ``outcomes``: predictions with their truth. The training log.

    ``corrected_from [N]`` is null for a first label, else the truth it replaces.
    ``revision [N]`` is 0 for a first label and grows by one a correction.
    """

    model: str
    version: str
    prediction_id: list[str]
    event_time: list[int]
    label_time: list[int]
    features: dict[str, list[Value]]
    predictions: list[Label]
    probabilities: dict[str, list[float]] | None
    truth: list[Label]
    corrected_from: list[Label | None]
    revision: list[int]
    vectors: dict[str, list[Vector]] | None = None


class PaneCounted(Event, frozen=True):
    """Topic ``panes`` (internal, compacted): cumulative counts of one pane of one source partition.

    Key: ``model/version/partition/pane_start/epoch``; in the partition of ``panes`` that has the source partition's
    number. Of a pane's records the one of the highest ``epoch`` holds, and of these that of the highest
    ``last_offset``. ``counts[feature]`` are the counts of the reference's cells, packed as ``summaries.counts.pack``
    does; ``last_offset`` is the last of the source partition that is in them.

    Rows that came when their window was over are in no pane but in a record of their own, key suffix ``/late``:
    it belongs to the pane that was the newest when they came, and ``late`` is how many there were.
    """

    model: str
    version: str
    partition: int
    epoch: int
    pane_start: int
    pane_end: int
    rows: int
    counts: dict[str, bytes]
    unseen: dict[str, dict[str, int]]
    last_offset: int
    late: int = 0


class ProgressMade(Event, frozen=True):
    """Topic ``progress`` (internal, compacted): how far the monitor's workers have counted ``predictions``.

    - ``claimed``, key ``claimed/partition``: a worker takes a partition. The record's own offset is its ``epoch``:
      what any other worker says of the partition afterwards is void.
    - ``counted``, key ``counted/partition/epoch``: all records before ``offsets[partition]`` are counted, the
      partition's clock stands at ``clocks[model]``, and ``panes`` says it all before its offset ``panes``.
    - ``ended``, key ``ended/model/why``: the log ended at ``offsets`` after an event time of ``clocks[model]`` had been
      seen, or a person has said that nothing before it will come. A partition counted that far stands there too.
    """

    what: Literal["claimed", "counted", "ended"]
    worker: str
    partition: int | None = None
    epoch: int | None = None
    offsets: dict[str, int] = {}
    clocks: dict[str, int] = {}
    panes: int = 0


class FeatureShape(Event, frozen=True):
    """What a plot of one feature needs: an ECDF at ``x`` (numeric) or shares by category ``x``."""

    kind: Literal["numeric", "categorical"]
    x: list[float | str]
    reference: list[float]
    live: list[float]


class FeatureDrift(Event, frozen=True):
    """One feature's test of a window against the reference.

    ``test``, ``statistic``, ``p_value``, ``psi`` and the other distances are of the window itself, uncorrected.
    ``p_adjusted`` is what decides: it comes from the more powerful test ``by`` over the last ``scale`` windows,
    after the correction across features and the shares of the false-alarm budget. ``effect`` is over these
    windows too; of a share of missing values that changed it is the difference of the shares.
    """

    test: Literal["ks", "chi2"]
    statistic: float
    p_value: float
    p_adjusted: float
    effect: float
    effect_name: Literal["D", "cramers_v"]
    drifted: bool
    missing: int
    psi: float
    shape: FeatureShape | None = None
    by: Literal["", "anderson_darling", "chi2", "missing"] = ""
    scale: int = 1
    jensen_shannon: float | None = None
    wasserstein: float | None = None


class WindowTested(Event, frozen=True):
    """Topic ``drift-reports``: one window of one model version against its reference. Key: ``model``.

    ``alert_id`` names the alert that is open after this window, if one is. ``serving``: this version served
    when the window was decided, and its report is the window's last. Records older than this field lack it;
    of those the last one of a window is the serving version's.

    The window has drifted where ``p_value`` is at most ``alpha``, the share of quiet windows that may alarm, and an
    effect reaches ``min_effect``. ``question``: a ``single`` feature changed, or all ``joint``ly; ``scale``: seen in
    so many windows, this one the last. ``concept``: a report as of this window's end comes on ``concept-reports``.
    ``reference``: the alert whose span was accepted as the reference of this window; null: the version's profile is.
    """

    model: str
    version: str
    window_start: int
    window_end: int
    final: bool
    rows: int
    late_rows: int
    status: Literal["ok", "drift", "insufficient data"]
    state: Literal["ok", "warning", "drift", "recovered"]
    alert_id: str | None
    alpha: float
    correction: str
    min_effect: float
    features: dict[str, FeatureDrift]
    serving: bool = True
    p_value: float = 1.0
    question: Literal["single", "joint"] = "single"
    scale: int = 1
    concept: bool = False
    reference: str | None = None


class ConceptTested(Event, frozen=True):
    """Topic ``concept-reports``: the serving version's errors by what was labelled before ``as_of``. Key: ``model``.

    One record a boundary: the first labels with ``label_time < as_of``, in order of ``label_time``, went through the
    version's detector. ``rows``: how many of this version so far; ``error``: the mean error (1 for a wrong class, or
    the absolute error) of those that this boundary brought, null without any. ``alert_id`` names the real alert that
    is open after it, ``since`` where its world began. ``offsets`` (partition -> offset) is how far ``outcomes`` was
    taken in: a restart takes in the same. ``quality_alert_id`` names the quality alert that is open as of then, with its
    ``quality_state`` and since when windows are worse than promised.
    """

    model: str
    version: str
    as_of: int
    detector: str
    rows: int
    error: float | None
    state: Literal["ok", "warning", "drift", "recovered"]
    alert_id: str | None
    since: int | None
    offsets: dict[str, int]
    quality_alert_id: str | None = None
    quality_state: Literal["ok", "warning", "drift", "recovered"] = "ok"
    quality_since: int | None = None


class AlertChanged(Event, frozen=True):
    """Topic ``drift-alerts``: a state change of one (model, version, kind). Key: ``model``.

    ``since`` is the event time from which the world looks different; ``offsets`` (partition -> offset) only
    locate the evidence: of a virtual alert up to where it reaches in ``predictions``, of a real one where the rows
    of the new world begin in ``outcomes``.
    """

    alert_id: str
    model: str
    version: str
    kind: Literal["virtual", "real", "quality"]
    state: Literal["ok", "warning", "drift", "recovered"]
    previous: Literal["ok", "warning", "drift", "recovered"]
    since: int
    window_start: int
    window_end: int
    features: dict[str, FeatureDrift]
    offsets: dict[str, int]
    reason: str


class ReferenceAccepted(Event, frozen=True):
    """Topic ``references``: what an alert saw is how the world is now, without a new model. Key: ``model``.

    The rows of ``version`` from ``since`` to ``until``, counted over the profile's cells as in ``panes`` and added up
    in ``counts``, are the reference of its windows that end after ``effective_from``, itself a window's end. They
    travel along, so that a replay needs nothing else. Of an alert's events the first holds. How features go together
    is not in counts: windows are judged by each feature alone from then on. ``accepted_by``: whoever says so.
    """

    model: str
    version: str
    alert_id: str
    since: int
    until: int
    effective_from: int
    rows: int
    counts: dict[str, tuple[list[int], list[int]]]
    reason: str
    accepted_by: str = ""


class SegmentQuality(Event, frozen=True):
    """Quality of the rows of a window with one value of a feature. Fields as in :class:`QualityReported`."""

    predicted: int
    labelled: int
    coverage: float
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    estimated: dict[str, float] = {}
    status: Literal["ok", "insufficient data"] = "ok"


class QualityReported(Event, frozen=True):
    """Topic ``quality-reports``: quality of one window of prediction time, by what is known at ``as_of``.

    Counts labels with ``label_time < as_of`` only, so a replay gives the same figures. ``revision`` numbers
    the reports of one window. Key: ``model``.

    ``intervals``: 95% confidence intervals of ``metrics``, where there are any. ``errors``: by how much a metric that
    comes from a histogram may be off. ``classes``: precision, recall, F1 and rows of each class. ``estimated``: what the
    metrics are expected to be by the calibrated probabilities of all predicted rows, labelled or not.
    ``label_delay``: quantiles of the delay in milliseconds, ``p50`` to ``p99``, within 1%. ``segments``: the same by
    the values of named features. ``status``: fewer than ``ATALAIA_MIN_LABELLED`` labelled rows are insufficient data.
    """

    model: str
    version: str
    window_start: int
    window_end: int
    as_of: int
    revision: int
    final: bool
    predicted: int
    labelled: int
    coverage: float
    label_delay_mean: float | None
    metrics: dict[str, float]
    confusion: dict[str, dict[str, int]] | None
    intervals: dict[str, tuple[float, float]] = {}
    errors: dict[str, float] = {}
    classes: dict[str, dict[str, float]] = {}
    estimated: dict[str, float] = {}
    label_delay: dict[str, float] = {}
    segments: dict[str, dict[str, SegmentQuality]] = {}
    status: Literal["ok", "insufficient data"] = "ok"


class LabelsReported(Event, frozen=True):
    """Topic ``label-reports``: quality of what became known in one window of label time, whenever it was predicted.

    Rows of one version whose ``label_time`` lies in [``window_start``, ``window_end``). A correction counts where it was
    made: it takes the row from the window that had it before and adds it here; ``corrections`` were made in
    this window, whatever became of their rows later. ``revision`` numbers the reports of one window: labels that were uploaded late make another. Figures
    as in :class:`QualityReported`. Key: ``model``.
    """

    model: str
    version: str
    window_start: int
    window_end: int
    as_of: int
    revision: int
    labelled: int
    corrections: int
    label_delay_mean: float | None
    label_delay: dict[str, float]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    errors: dict[str, float]
    confusion: dict[str, dict[str, int]] | None
    status: Literal["ok", "insufficient data"]


class QualityPaneCounted(Event, frozen=True):
    """Topic ``quality-panes`` (internal, compacted): cumulative quality of one pane of one partition.

    Key: ``model/version/partition/by/pane_start/feature/epoch``; in the partition of ``quality-panes`` that has the
    number of the joined partition. A pane is a piece of prediction time or of label time, says ``by``. ``cells`` are the
    packed counts by value of ``feature``; where that is empty there is one cell, of all rows. Of a pane's records the
    one of the highest ``epoch`` holds, and of these that of the highest ``positions``: they name by topic the next
    record to be read, and what comes of records before them is in it.
    """

    model: str
    version: str
    partition: int
    epoch: int
    by: Literal["prediction", "label"]
    pane_start: int
    feature: str
    positions: dict[str, int]
    cells: dict[str, bytes]


class JoinProgressed(Event, frozen=True):
    """Topic ``join-progress`` (internal, compacted): how far feedback's workers have joined.

    - ``claimed``, key ``claimed/partition``: a worker takes a partition of ``predictions`` and ``ground-truth``. The
      record's own offset is its ``epoch``: what any other worker says of the partition afterwards is void. ``address`` is
      where this one answers HTTP.
    - ``joined``, key ``joined/partition/epoch``: what comes of all records before ``positions`` (by topic) is counted and
      published; ``outcomes`` may hold more, from its position on. ``counts`` are the join's, ``clocks`` the newest event
      time by model, and ``panes`` the offset in ``quality-panes`` behind what says it all. ``needed``: what the state is
      made of begins at these offsets, and what is over by boundary ``decided`` is given up in it. ``rerouted``: of labels that lay in another partition, the offset there of the
      last that was taken, by partition.
    - ``decided``, key ``decided``: quality as of boundary ``decided`` is published.
    """

    what: Literal["claimed", "joined", "decided"]
    worker: str
    address: str = ""
    partition: int | None = None
    epoch: int | None = None
    positions: dict[str, int] = {}
    needed: dict[str, int] = {}
    rerouted: dict[str, int] = {}
    clocks: dict[str, int] = {}
    counts: dict[str, int] = {}
    panes: int = 0
    decided: int | None = None


class ModelChanged(Event, frozen=True):
    """Topic ``model-events`` (compacted): the version that serves. Key: ``model``. The truth about it."""

    model: str
    version: str
    previous_version: str | None
    action: Literal["installed", "promoted", "rolled_back"]
    artifact_uri: str
    sha256: str
    effective_from: int
    reason: str


class ChallengerChanged(Event, frozen=True):
    """Topic ``challengers`` (compacted): the version that shadows the one that serves. Key: ``model``.

    The last record of a model holds: ``version`` scores the same rows unseen, and null says that none does; then
    ``artifact_uri`` and ``sha256`` are empty. A version that serves shadows nobody: ``model-events`` is the truth about
    that. ``effective_from`` is the moment of the announcement by the wall clock, because a predictor heeds it at once,
    whatever event time its rows are of. ``announced_by``: whoever says so.
    """

    model: str
    version: str | None
    artifact_uri: str
    sha256: str
    effective_from: int
    reason: str
    announced_by: str = ""


class TrainingRequested(Event, frozen=True):
    """Topic ``training-requests``: somebody asks for a training, whether or not anything drifted. Key: ``model``.

    ``since``: from where on rows are held out and count as new; null: from the end of what the version that serves was
    trained and chosen on, which no earlier ``since`` undercuts. Of a request's events the first holds. ``requested_by``: whoever asks.
    """

    request_id: str
    model: str
    since: int | None
    reason: str
    requested_by: str = ""


class GuardrailSeen(msgspec.Struct, frozen=True):
    """What was seen of something that a challenger must not do, and the limit: not held, it is not promoted."""

    seen: float
    limit: float
    held: bool


class CandidateTried(msgspec.Struct, frozen=True):
    """A selection of rows that a training tried: how many, from when on (null: all), with what half-life of their
    weights in milliseconds (null: all weigh the same), and its metrics on the holdout."""

    rows: int
    since: int | None
    half_life_ms: int | None
    metrics: dict[str, float]


class TrainingDecided(Event, frozen=True):
    """Topic ``training-runs``: every decision of the trainer, with its reasons. Key: ``model``.

    ``alert_id`` is what asked for it: an alert, a request, or a period of the schedule, as ``trigger`` says (null: an alert of
    before there were others); ``answers`` are all that were open and that this decision answers. ``guardrails``: of a
    challenge, by name, the share of the champion's recall that each class loses (``recall of ...``), how many times
    slower it answers (``latency``) and larger it is (``size``).

    ``waits_for`` says of ``waiting`` what for: labelled ``rows``, a ``shadow`` period on live traffic, or a person's
    ``approval``. ``classes``: labelled rows by class since the change. ``candidates`` are the selections of rows that were
    tried, by name, and ``chosen`` the best of them, which is the challenger. ``unlabelled``: rows of the time up to ``until``
    that have no label; ``duplicates``: rows that were kept from training because the holdout has equal ones. ``attempt``
    counts from 1; ``seconds`` by step: ``snapshot``, ``train``, ``register``, ``judge``. ``champion_since``: from which event
    time on the champion serves, as ``model-events`` had it when the run began.
    """

    run_id: str
    model: str
    alert_id: str
    as_of: int
    decision: Literal["started", "waiting", "refused", "promoted", "failed"]
    reason: str
    since: int
    until: int | None
    rows: dict[str, int]
    champion_version: str
    challenger_version: str | None
    metrics: dict[str, dict[str, float]]
    gain: float | None
    p_value: float | None
    mlflow_run_id: str | None
    dvc_revision: str | None
    data_sha256: str | None
    guardrails: dict[str, GuardrailSeen] = {}
    trigger: Literal["virtual", "real", "quality", "schedule", "manual"] | None = None
    answers: list[str] = []
    waits_for: Literal["rows", "shadow", "approval"] | None = None
    classes: dict[str, int] = {}
    candidates: dict[str, CandidateTried] = {}
    chosen: str | None = None
    unlabelled: int | None = None
    duplicates: int | None = None
    attempt: int | None = None
    seconds: dict[str, float] = {}
    champion_since: int | None = None


class ChallengerReviewed(Event, frozen=True):
    """Topic ``approvals``: a person's word on a challenger that has won and waits for it. Key: ``model``.

    ``run_id`` is that of its decision on ``training-runs``, ``version`` the challenger's. Of a run's events the first holds.
    ``reviewed_by``: whoever says so.
    """

    run_id: str
    model: str
    version: str
    approved: bool
    reason: str
    reviewed_by: str = ""


class PromotionReviewed(Event, frozen=True):
    """Topic ``promotion-reviews``: a promoted version against its predecessor on rows it has served since. Key: ``model``.

    One record a look, as of a boundary: the predecessor is re-scored on the ``rows`` that ``version`` served and whose labels
    are known. ``metrics`` of ``promoted`` and ``predecessor``; ``gain`` in ``metric``, positive where the promoted one is better,
    with an interval from ``low`` to ``high`` of the ``confidence`` that this look may claim. ``verdict``: ``rolled_back`` where it is
    worse beyond doubt, ``kept`` where it has been looked at long enough, else ``undecided``.
    """

    model: str
    version: str
    previous_version: str
    as_of: int
    look: int
    rows: int
    metric: str
    metrics: dict[str, dict[str, float]]
    gain: float
    low: float
    high: float
    confidence: float
    verdict: Literal["undecided", "kept", "rolled_back"]
    reason: str
