"""*Model versions*: which version serves, is there a better one, and what became of those that were tried?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.board import MODEL, OF_THE_MODEL, TRAINED, board
from dashboards.look import (
    BLUE,
    GREEN,
    GREY,
    ONLY_SAID,
    ORANGE,
    RED,
    YELLOW,
    Panel,
    Query,
    lines,
    tile,
    words_of,
)
from dashboards.pipeline import DECISIONS

TAKEN = {"^taken up$": GREEN, "^refused$": RED, "^unreachable$": YELLOW, "^ended$": GREY}


def model_versions() -> Dashboard:
    """The dashboard."""
    of = f"{{{MODEL}}}"
    now: list[Panel] = [
        tile(
            "Version that serves",
            "By its number in the registry.",
            Query(f"max by (version) (atalaia_model_info{of})", "{{version}}"),
            unit="none", steps=ONLY_SAID, name=True, empty="none",
        ),
        tile(
            "It came to serve",
            "installed: the first one. promoted: it won against the one before. rolled_back: the one after it was "
            "taken back.",
            Query(f"max by (action) (atalaia_model_info{of})", "{{action}}"),
            unit="none", steps=ONLY_SAID, name=True, empty="none",
        ),
        tile(
            "Since",
            "When the predictors took it up, by the wall clock.",
            Query(f"1000 * max(atalaia_model_since_seconds{of})"),
            unit="dateTimeFromNow", steps=ONLY_SAID, empty="none",
        ),
        tile(
            "Last decision",
            "What the trainer decided last.",
            Query(f"max by (decision) (atalaia_training_info{of})", "{{decision}}"),
            unit="none", steps=ONLY_SAID, name=True, empty="none yet",
        ),
        tile(
            "Last challenger's gain",
            "In the project's metric, on rows that neither had seen: above 0 it was better.",
            Query(f"max(atalaia_challenge_gain{of})"),
            unit="none", steps=[(None, YELLOW), (1e-9, GREEN)], decimals=4, empty="no challenge yet",
        ),
        tile(
            "Its p-value",
            "Of the paired test. ATALAIA_PROMOTE_P_VALUE (0.05 by default) is the most that a promotion may have.",
            Query(f"max(atalaia_challenge_p_value{of})"),
            unit="none", steps=ONLY_SAID, decimals=4, empty="no challenge yet",
        ),
    ]  # fmt: skip
    against: list[Panel] = [
        lines(
            "Champion against challenger",
            "Figures of both in the last challenge, on the same unseen rows: solid blue the champion, solid orange the "
            "challenger. Log loss, MAE and RMSE shall be low, the others high.",
            [
                Query(f'max by (metric) (atalaia_challenge_metric{{{MODEL}, role="champion"}})', "champion {{metric}}", BLUE),
                Query(
                    f'max by (metric) (atalaia_challenge_metric{{{MODEL}, role="challenger"}})', "challenger {{metric}}",
                    ORANGE,
                ),
            ],
            unit="none", steps=True,
        ),
        lines(
            "Gain and p-value",
            "Of each challenge until the next.",
            [
                Query(f"max(atalaia_challenge_gain{of})", "gain", ORANGE),
                Query(f"max(atalaia_challenge_p_value{of})", "p-value", GREY, dashed=True),
            ],
            unit="none", steps=True,
        ),
        words_of(
            "The last decision",
            "What was decided, what asked for it, and between which versions.",
            f"max by (decision, trigger, champion, challenger) (atalaia_training_info{of})",
        ),
        lines(
            "Rows of the last decision",
            "Labelled and needed; once it has trained, how many it was fitted and compared on.",
            [Query(f"max by (rows) (atalaia_training_rows{of})", "{{rows}}")],
            unit="short", steps=True, at_least=0,
        ),
    ]  # fmt: skip
    history: list[Panel] = [
        lines(
            "Version that serves, and how it came to",
            "Workers that serve each version. During a change both are there; a version that was rolled back to says so.",
            [Query(f"sum by (version, action) (atalaia_model_info{of})", "version {{version}}, {{action}}")],
            unit="none", stacked=True, steps=True, at_least=0, colours={"rolled_back": RED},
        ),
        lines(
            "Promotions, refusals, failures",
            "Decisions of the trainer since it began.",
            [Query(f"sum by (decision) (atalaia_trainings_total {TRAINED})", "{{decision}}")],
            unit="short", steps=True, at_least=0, colours=DECISIONS,
        ),
        lines(
            "Versions taken up",
            "Attempts of the predictors to take up a version, since they began. refused: it could not be used, and the "
            "one before serves on.",
            [Query(f"sum by (result) (atalaia_model_swaps_total {OF_THE_MODEL})", "{{result}}")],
            unit="short", steps=True, at_least=0, colours=TAKEN,
        ),
        lines(
            "Rows by version",
            "Which version scored them.",
            [
                Query(
                    f"sum by (version) (rate(atalaia_rows_published_total[$__rate_interval]) {OF_THE_MODEL})",
                    "version {{version}}",
                )
            ],
            unit="rowsps", stacked=True, at_least=0,
        ),
    ]  # fmt: skip
    shadow: list[Panel] = [
        lines(
            "Challengers that shadow",
            "Attempts to let a challenger score the same rows unseen, and ends of it, since the predictors began.",
            [Query(f"sum by (result) (atalaia_shadow_swaps_total {OF_THE_MODEL})", "{{result}}")],
            unit="short", steps=True, at_least=0, colours=TAKEN, empty="none has shadowed",
        ),
        lines(
            "Rows scored unseen",
            "left out: the challenger is slower than the traffic, or Kafka is away. Callers wait for none of them.",
            [
                Query(
                    f"sum by (result) (rate(atalaia_shadow_rows_total[$__rate_interval]) {OF_THE_MODEL})",
                    "{{result}}",
                )
            ],
            unit="rowsps", at_least=0, empty="none has shadowed",
            colours={"^published$": GREEN, "^left out$": YELLOW, "^not scored$": RED},
        ),
    ]  # fmt: skip
    return board(
        "atalaia-model-versions",
        "Model versions",
        "Which version serves, is there a better one, and what became of those that were tried?",
        {
            "Which version serves, and is there a better one?": now,
            "How did the last challenger do?": against,
            "What became of those that were tried?": history,
            "Does one shadow?": shadow,
        },
    )
