"""All settings, read once from environment variables prefixed ``ATALAIA_``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from servicekit.budget import alpha_of
from servicekit.errors import UserError


class Settings(BaseSettings):
    """Every setting of every service; a project's ``service.env`` gives those that belong to it."""

    model_config = SettingsConfigDict(env_prefix="ATALAIA_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="bootstrap servers, host:port, comma separated")
    kafka_security_protocol: str = Field(
        "PLAINTEXT",
        pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$",
        description="how Kafka is spoken to: PLAINTEXT, SSL (TLS), SASL_SSL (TLS and a login), SASL_PLAINTEXT (a login alone)",
    )
    kafka_sasl_mechanism: str = Field(
        "SCRAM-SHA-512",
        pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$",
        description="how a login is made: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN",
    )
    kafka_username: str = Field("", description="name of the login")
    kafka_password_file: Path | None = Field(
        None, description="file with the password of the login, read at the start"
    )
    kafka_ca_file: Path | None = Field(
        None,
        description="certificates (PEM) that vouch for the brokers'; without it those that the system trusts",
    )
    kafka_certificate_file: Path | None = Field(
        None, description="a client's own certificate (PEM), where brokers ask for one"
    )
    kafka_key_file: Path | None = Field(
        None, description="its key (PEM, without a password); without it the certificate's file has it too"
    )
    mlflow: str = Field("http://127.0.0.1:5000", description="MLflow tracking and registry server")
    host: str = Field("127.0.0.1", description="address the HTTP servers bind")
    predictor_port: int = Field(8000, description="port of the predictor")
    workers: int = Field(
        1, gt=0, description="processes of the predictor; more than one have a supervisor and share its port"
    )
    feedback_port: int = Field(8001, description="port of feedback")
    drift_monitor_port: int = Field(8002, description="port of the drift-monitor")
    trainer_port: int = Field(8003, description="port of the trainer")
    watch_port: int = Field(8004, description="port of the page of `atalaia watch --web`")
    model: str = Field(
        "model", description="name of the registered model this deployment serves and retrains"
    )
    project: Path = Field(
        Path("."), description="folder of the ML project the trainer clones (dvc.yaml inside)"
    )
    data_dir: Path = Field(Path(".atalaia"), description="where services keep clones and local state")
    dvc_remote: str = Field(
        "",
        description="where the trainer pushes snapshots and what was made of them: a folder, or an address DVC knows. "
        "Empty: dvc-remote in the data folder",
    )
    git_remote: str = Field(
        "",
        description="where the trainer pushes each run's branch: a folder or an address of a git repository. "
        "Empty: git/<model>.git in the data folder, made when it is needed",
    )
    partitions: int = Field(12, description="partitions of the partitioned topics; fixed when they are made")
    event_time_required: bool = Field(False, description="refuse predictions without event_time")
    window_ms: int = Field(3_600_000, gt=0, description="size of a window, milliseconds of event time")
    step_ms: int = Field(0, ge=0, description="distance of window starts; 0: window_ms (tumbling)")
    grace_ms: int = Field(
        300_000,
        ge=0,
        description="how long after its end a window still takes rows; "
        "covers clocks that are allowed to be ahead (five minutes)",
    )
    keep_windows: int = Field(
        200, gt=0, description="decided windows whose counts are kept, to be judged again or accepted"
    )
    window_origin_ms: int = Field(0, description="event time that window starts are counted from")
    min_rows: int = Field(100, gt=0, description="fewer rows in a window: insufficient data")
    false_alarms: str = Field(
        "1 per 1000 windows",
        description="how many alarms may come while nothing changes: `1 per 1000 windows`, `1 a month`, …",
    )
    scales: str = Field(
        "1,2",
        pattern=r"^1(,[1-9]\d*)*$",
        description="a window is judged alone and with those before it, so many in all",
    )
    max_widening: int = Field(
        1, gt=0, description="a window with too few rows may take in those before it, so many in all"
    )
    window_rows: int = Field(
        0,
        ge=0,
        description="windows of rows, for little traffic: a window is judged with those since the last that was, once they "
        "hold so many rows; ATALAIA_MAX_WIDENING limits how many windows. 0: each window is judged",
    )
    correction: str = Field("bh", pattern="^(bh|bonferroni|none)$", description="bh, bonferroni or none")
    min_effect: float = Field(
        0.05, ge=0, description="smallest effect (D or Cramer's V) that counts as drift"
    )
    alert_windows: int = Field(1, gt=0, description="drifted windows in a row that raise an alert")
    recovered_windows: int = Field(3, gt=0, description="quiet windows in a row that close an alert")
    concept_detector: str = Field(
        "adwin",
        pattern="^(adwin|page-hinkley|ddm|eddm|hddm-a|hddm-w|none)$",
        description="what judges the errors of labelled rows: adwin, page-hinkley, or for right and wrong only ddm, "
        "eddm, hddm-a, hddm-w; or none",
    )
    concept_delta: float = Field(
        0.002, gt=0, lt=1, description="confidence of adwin, hddm-a and hddm-w: smaller is less sensitive"
    )
    quality_drop: float = Field(
        0.0,
        ge=0,
        description="by how much a window may be worse than the version's held-out rows were, in units of the metric, "
        "before a quality alert comes; 0: there are none",
    )
    quality_metric: str = Field(
        "",
        description="what quality alerts go by: `accuracy`, `log_loss`, `auc`, `mae`, … as in quality reports; empty: "
        "accuracy, of numbers mae",
    )
    label_horizon_ms: int = Field(
        30 * 86_400_000, gt=0, description="a prediction older than this expires unlabelled"
    )
    min_labelled: int = Field(
        30, gt=0, description="fewer labelled rows in a window of quality: insufficient data"
    )
    segments: str = Field(
        "",
        description="features by whose values quality is told too, separated by commas: `carrier,origin`",
    )
    segment_values: int = Field(
        50, gt=0, description="values of such a feature that are told apart; the rest are `(other)`"
    )
    join_memory_mb: int = Field(
        128,
        ge=16,
        description="memory of feedback's state on disk: cache and write buffers of all partitions together, MiB",
    )
    advertised_url: str = Field(
        "",
        description="where other replicas reach this feedback service; default: http://, its host (where that is any address: "
        "the machine's name) and its port",
    )
    label_complete: float = Field(
        0.95, gt=0, le=1, description="coverage that makes a window fit for training"
    )
    min_train_rows: int = Field(
        200,
        gt=0,
        description="labelled rows since the change point a training needs at least; by the champion's learning curve it may be up "
        "to ten times as many",
    )
    min_class_rows: int = Field(
        0,
        ge=0,
        description="labelled rows of each class since the change point that a training needs; 0: not asked",
    )
    min_gain: float = Field(0.0, ge=0, description="gain on the project's metric a challenger must exceed")
    promote_p_value: float = Field(
        0.05,
        ge=0.0001,
        lt=1,
        description="paired test's p-value a promotion needs; 0.0001 is the least that its 9,999 draws can give",
    )
    candidate_confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="how sure the held-out rows must be that another selection of rows is better, before not all rows train",
    )
    span_ms: int = Field(
        86_400_000,
        gt=0,
        description="rows within so much event time share their luck, milliseconds: a challenge and a review compare sums of such "
        "spans, by default of a day",
    )
    train_every_ms: int = Field(
        0, ge=0, description="train once in so many milliseconds of event time, drift or not; 0: never"
    )
    max_recall_loss: float = Field(
        0.9,
        ge=0,
        le=1,
        description="share of the champion's recall of a class that a challenger may lose (beyond chance)",
    )
    max_latency_ratio: float = Field(
        5.0, gt=0, description="how many times the champion's time a challenger may take to answer"
    )
    max_size_ratio: float = Field(
        10.0, gt=0, description="how many times the champion's bytes a challenger's ONNX may have"
    )
    training_pause_ms: int = Field(
        0,
        ge=0,
        description="how long after a training, or after a rollback, alerts and schedule begin no other, milliseconds of event time",
    )
    promotion: str = Field(
        "automatic",
        pattern="^(automatic|approve)$",
        description="automatic: a challenger that wins serves; approve: once a person has said so with `atalaia approve`",
    )
    shadow_rows: int = Field(
        0,
        ge=0,
        description="labelled rows of live traffic on which a challenger that won must win again, unseen, before it serves; 0: none",
    )
    shadow_timeout_ms: int = Field(
        30 * 86_400_000,
        gt=0,
        description="how long a shadow period may last that does not get its labelled rows, milliseconds of event time; then the "
        "run has failed",
    )
    rollback: str = Field(
        "automatic",
        pattern="^(automatic|off)$",
        description="automatic: a promoted version that does worse than its predecessor is rolled back; off: it is only said",
    )
    review_rows: int = Field(
        2_000, gt=0, description="labelled rows that a promoted version has served when its review ends"
    )
    review_confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="how sure a review must be, over all its looks, that a promoted version is worse",
    )
    training_attempts: int = Field(
        3,
        gt=0,
        description="how often a training that fails is tried on the same rows; then again when they have grown by a quarter",
    )
    training_timeout_s: float = Field(
        3_600, gt=0, description="how long a training may take, seconds; then it is ended, and has failed"
    )
    acknowledge: str = Field(
        "kafka",
        pattern="^(kafka|accept)$",
        description="kafka: a prediction is answered once Kafka or the spool's disk has it; accept: once it is handed over. "
        "Then what is not acknowledged yet is lost where the process is killed (16 MB at the most), and answers are "
        "a round trip faster",
    )
    spool_after_ms: int = Field(
        1_000,
        gt=0,
        description="how long Kafka may take for a prediction before the spool on disk takes over",
    )
    spool_max_bytes: int = Field(
        1_073_741_824,
        gt=0,
        description="what a worker's spool may hold; beyond it requests are refused (503)",
    )
    max_body_bytes: int = Field(8_000_000, gt=0, description="larger request bodies are refused (413)")

    @property
    def alpha(self) -> float:
        """The share of quiet windows that may alarm."""
        return alpha_of(self.false_alarms, self.step_ms or self.window_ms)

    @property
    def window_scales(self) -> tuple[int, ...]:
        """``scales`` as numbers."""
        return tuple(map(int, self.scales.split(",")))

    @property
    def kafka_is_encrypted(self) -> bool:
        """Whether Kafka is spoken to by TLS."""
        return self.kafka_security_protocol.endswith("SSL")

    @property
    def kafka_has_login(self) -> bool:
        """Whether Kafka is given a name and a password."""
        return self.kafka_security_protocol.startswith("SASL")

    @model_validator(mode="after")
    def _understood(self) -> Settings:
        """Said when the settings are read, not when the first window is over."""
        _ = self.alpha
        if list(self.window_scales) != sorted(set(self.window_scales)):
            raise ValueError(f"scales begin with 1 and rise, unlike {self.scales}")
        if self.window_rows and self.max_widening == 1:
            raise ValueError(
                "windows of rows (window_rows) need max_widening: how many windows they may span at most"
            )
        return self

    @field_validator(
        "kafka_password_file", "kafka_ca_file", "kafka_certificate_file", "kafka_key_file", mode="before"
    )
    @classmethod
    def _named(cls, path: Any) -> Any:
        """An empty variable names no file, not even the folder that it would be."""
        return path or None

    @model_validator(mode="after")
    def _let_in(self) -> Settings:
        """What is given beside a protocol that does not use it would be thought to protect."""
        protocol = f"ATALAIA_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
        if self.kafka_has_login and not (self.kafka_username and self.kafka_password_file):
            raise ValueError(f"{protocol} needs ATALAIA_KAFKA_USERNAME and ATALAIA_KAFKA_PASSWORD_FILE")
        unused: set[str] = set()
        if not self.kafka_has_login:
            unused |= {"kafka_username", "kafka_password_file", "kafka_sasl_mechanism"}
        if not self.kafka_is_encrypted:
            unused |= {"kafka_ca_file", "kafka_certificate_file", "kafka_key_file"}
        for name in sorted(unused & self.model_fields_set):
            if getattr(self, name):
                raise ValueError(f"{protocol} does not use ATALAIA_{name.upper()}, but it is given")
        if self.kafka_key_file and not self.kafka_certificate_file:
            raise ValueError("ATALAIA_KAFKA_KEY_FILE needs ATALAIA_KAFKA_CERTIFICATE_FILE")
        return self


def read_settings(**given: object) -> Settings:
    """The settings of the environment, ``given`` ones before them; raises :class:`UserError` naming what is wrong."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "ATALAIA_" + "_".join(map(str, first["loc"])).upper() if first["loc"] else "A setting"
        said = str(first["msg"]).removeprefix("Value error, ")
        got = f" (it is {first['input']!r})" if first["loc"] else ""
        raise UserError(
            f"{name} cannot be used: {said}{got}. docs/settings.md says what each means."
        ) from None
