"""*Model versions*: which version serves, is there a better one, and what became of those that were tried?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.answers import VERSION
from dashboards.board import OF_THE_MODEL, ROLLED_BACK, TRAINED, board
from dashboards.look import (
    ANY_WAITS,
    BLUE,
    GREEN,
    GREY,
    MODEL,
    NUMBERED,
    ONLY_SAID,
    ORANGE,
    RED,
    SAID_OR_BACK,
    SERVES,
    YELLOW,
    Column,
    Panel,
    Query,
    is_up,
    lines,
    named,
    on_the_right,
    or_none,
    reworded,
    rows,
    states,
    tile,
)
from dashboards.pipeline import DECISIONS, last_decision

BACK = {"rolled_back": "back by a rollback"}  # of the version that serves again: it was not itself taken back
TRIED = {"0": ("tried", GREY), "1": ("chosen", ORANGE)}
VERDICTS = {"^undecided$": GREY, "^kept$": GREEN, "^rolled back$": YELLOW}
REVIEW = named(
    reworded(
        reworded(
            f'2 * max by (version, verdict) (atalaia_review_info{{{MODEL}, verdict="rolled_back"}}) '
            f"or max by (version, verdict) (atalaia_review_info{{{MODEL}}})",
            "verdict",
            ROLLED_BACK,
        ),
        "version",
        NUMBERED,
    ),
    "verdict",
    "none yet",
)
CHALLENGE = f'max by (metric) (atalaia_challenge_metric{{{{{MODEL}, role="{{role}}"}}}})'
TAKEN = {"^taken up$": GREEN, "^refused$": RED, "^unreachable$": YELLOW, "^ended$": GREY}


def model_versions() -> Dashboard:
    """The dashboard."""
    of = f"{{{MODEL}}}"
    waits = f"max by (waits_for, challenger) (atalaia_pending_since_seconds{of})"
    waits_said = reworded(
        reworded(waits, "challenger", {"(.+)": "version $1, "}),
        "waits_for",
        {"shadow": "in shadow", "approval": "for approval"},
    )
    now: list[Panel] = [
        tile(
            "It came to serve",
            "installed: the first one. promoted: it won against the one before. back by a rollback: the one "
            "after it was taken back.",
            Query(named(reworded(f"max by (action) ({VERSION})", "action", BACK), "action"), "{{action}}"),
            unit="none", steps=SAID_OR_BACK, name=True, span=5,
        ),
        tile(
            "Serves since",
            "When model-events said that it serves, after a rollback anew; of a version that no event names, when it was taken up.",
            Query(f"1000 * max(atalaia_model_since_seconds{of})"),
            unit="dateTimeAsIso", steps=ONLY_SAID, empty="none", span=5,
        ),
        tile(
            "Its review",
            "What looks at the version that serves, once it was promoted, say of it: undecided yet, kept, or rolled back, worse than the one before it.",
            Query(REVIEW, "{{version}} {{verdict}}"),
            unit="none", steps=SAID_OR_BACK, name=True, span=4,
        ),
        tile(
            "Challenger that waits",
            "In shadow: for labelled rows that it has scored unseen. For approval: for a person's yes or no; `atalaia approve` shows the "
            "evidence. No other training begins meanwhile.",
            Query(or_none(waits_said, "waits_for", is_up("trainer"), "none"), "{{challenger}}{{waits_for}}"),
            unit="none", steps=ANY_WAITS, name=True,
        ),
        tile(
            "Gain when tried",
            "Of the newest challenge, be it of one that waits: in the project's metric, on rows that neither had seen: above 0 it was better.",
            Query(f"max by (challenger) (atalaia_challenge_gain{of})", "version {{challenger}}"),
            unit="none", steps=[(-1e9, BLUE)], decimals=4, with_name=True, empty="no challenge yet", span=3,
        ),
        tile(
            "p when tried",
            "Of the paired test of the newest challenge. ATALAIA_PROMOTE_P_VALUE (0.05 by default) is the most that a promotion may have.",
            Query(f"max by (challenger) (atalaia_challenge_p_value{of})", "version {{challenger}}"),
            unit="none", steps=ONLY_SAID, decimals=4, with_name=True, empty="no challenge yet", span=3,
        ),
    ]  # fmt: skip
    against: list[Panel] = [
        lines(
            "Champion against challenger, when tried",
            "The chosen metric of both in the last challenge, on the same unseen rows. Log loss, MAE and RMSE shall be low, "
            "the others high.",
            [
                Query(f'max(atalaia_challenge_metric{{{MODEL}, role="champion", metric="$metric"}})', "champion", BLUE),
                Query(f'max(atalaia_challenge_metric{{{MODEL}, role="challenger", metric="$metric"}})', "challenger", ORANGE),
            ],
            unit="none", steps=True,
        ),
        on_the_right(
            lines(
                "Gain and p-value",
                "Of each challenge until the next. The gain has the axis on the left, the p-value the one on the right.",
                [
                    Query(f"max(atalaia_challenge_gain{of})", "gain", ORANGE),
                    Query(f"max(atalaia_challenge_p_value{of})", "p-value", GREY, dashed=True),
                ],
                unit="none", steps=True,
            ),
            "B",
        ),
        last_decision(),
        rows(
            "Figures of the last challenge",
            "Both versions, on the same unseen rows.",
            {
                "champion": Column(CHALLENGE.format(role="champion"), decimals=4),
                "challenger": Column(CHALLENGE.format(role="challenger"), decimals=4),
            },
            "metric",
        ),
    ]  # fmt: skip
    made: list[Panel] = [
        states(
            "Candidates chosen",
            "Selections of rows that a training tries; the one that is best on the held-out rows becomes the challenger.",
            [Query(f"max by (candidate) (atalaia_candidate_chosen{of})", "{{candidate}}")],
            TRIED, span=8,
        ),
        rows(
            "Candidates of the last training",
            "How many rows each was trained on, the metric that is picked above on the held-out rows, and which was chosen.",
            {
                "chosen": Column(f"max by (candidate) (atalaia_candidate_chosen{of})", words=TRIED),
                "rows": Column(f"max by (candidate) (atalaia_candidate_rows{of})", decimals=0),
                "metric": Column(
                    f'max by (candidate) (atalaia_candidate_metric{{{MODEL}, metric="$metric"}})', decimals=4
                ),
            },
            "candidate", worst="metric", span=8,
        ),
        lines(
            "Rows of the last decision",
            "Labelled and needed; once it has trained, how many it was fitted and compared on.",
            [Query(f"max by (rows) (atalaia_training_rows{of})", "{{rows}}")],
            unit="short", steps=True, at_least=0, span=8,
        ),
    ]  # fmt: skip
    held: list[Panel] = [
        lines(
            "Gain over its predecessor",
            "Of the promoted version, on labelled rows that it has served and its predecessor is asked about again; dashed "
            "the interval. It is rolled back where all of it lies below 0.",
            [
                Query(f'max(atalaia_review_gain{{{MODEL}, end="high"}})', "high", GREY, dashed=True),
                Query(f'max(atalaia_review_gain{{{MODEL}, end="gain"}})', "gain", BLUE),
                Query(f'max(atalaia_review_gain{{{MODEL}, end="low"}})', "low", GREY, dashed=True),
            ],
            unit="none", steps=True,
        ),
        lines(
            "Looks at promotions",
            "Since the trainer began, by what they say. rolled back: worse beyond doubt, and taken back by itself unless "
            "ATALAIA_ROLLBACK is off.",
            [
                Query(
                    reworded(f"sum by (verdict) (atalaia_promotion_reviews_total {TRAINED})", "verdict", ROLLED_BACK),
                    "{{verdict}}",
                )
            ],
            unit="short", steps=True, at_least=0, usual=2, decimals=0, colours=VERDICTS,
        ),
        lines(
            "Rows of the review",
            "Labelled rows that the promoted version has served, and how many end the review.",
            [
                Query(f'max(atalaia_review_rows{{{MODEL}, rows="served"}})', "served", BLUE),
                Query(f'max(atalaia_review_rows{{{MODEL}, rows="needed"}})', "needed", GREY, dashed=True),
            ],
            unit="short", steps=True, at_least=0,
        ),
        lines(
            "Chance of error spent",
            "Each look may err with a part of what all together may (1 - ATALAIA_REVIEW_CONFIDENCE).",
            [
                Query(f'max(atalaia_review_alpha{{{MODEL}, alpha="spent"}})', "spent", BLUE),
                Query(f'max(atalaia_review_alpha{{{MODEL}, alpha="allowed"}})', "allowed", GREY, dashed=True),
            ],
            unit="percentunit", steps=True, at_least=0, usual=0.05,
        ),
    ]  # fmt: skip
    history: list[Panel] = [
        states(
            "Version that serves, and how it came to",
            "During a change both are there. Yellow: it serves again because its successor was taken back.",
            [Query(VERSION, "version {{version}}, {{action}}")],
            SERVES, height=6,
        ),
        lines(
            "Promotions, refusals, failures",
            "Decisions of the trainer since it began, of each kind from its first on.",
            [Query(f'sum by (decision) (atalaia_trainings_total{{decision!~"waiting|started"}} {TRAINED}) > 0', "{{decision}}")],
            unit="short", steps=True, at_least=0, usual=2, decimals=0, height=6, colours=DECISIONS,
        ),
        lines(
            "Versions taken up",
            "Attempts of the predictors to take up a version, since they began. refused: it could not be used, and the "
            "one before serves on.",
            [Query(f"sum by (result) (atalaia_model_swaps_total {OF_THE_MODEL})", "{{result}}")],
            unit="short", steps=True, at_least=0, usual=2, decimals=0, height=6, colours=TAKEN,
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
            unit="rowsps", stacked=True, at_least=0, by_name=True, usual=1, height=6,
        ),
    ]  # fmt: skip
    shadow: list[Panel] = [
        lines(
            "Waiting for so long",
            "By the wall clock, since a challenger has won: for its shadow period, then for a person.",
            [Query(f"time() - {waits}", "{{waits_for}}: version {{challenger}}")],
            unit="s", at_least=0, usual=60, empty="nothing waits", colours={"^approval.*": YELLOW, "^shadow.*": ORANGE},
        ),
        lines(
            "Rows of the shadow period",
            "Labelled rows of live traffic that the challenger has scored unseen, and how many it needs.",
            [
                Query(f'max(atalaia_shadow_period_rows{{{MODEL}, rows="labelled"}})', "labelled", ORANGE),
                Query(f'max(atalaia_shadow_period_rows{{{MODEL}, rows="needed"}})', "needed", GREY, dashed=True),
            ],
            unit="short", steps=True, at_least=0, empty="none shadows",
        ),
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
            "What became of those that were tried?": history,
            "How did the last challenger do?": against,
            "Did the promotion hold?": held,
            "Which rows was it trained on?": made,
            "Does one shadow, or wait for a person?": shadow,
        },
        {"metric": f"label_values(atalaia_challenge_metric{of}, metric)"},
        closed=(
            "Did the promotion hold?",
            "Which rows was it trained on?",
            "Does one shadow, or wait for a person?",
        ),
    )
