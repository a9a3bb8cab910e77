"""Which version a rollback by hand brings back, and what is said where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from atalaia.model.rollback import Rollback, move_alias, prepare
from contracts.events import ModelChanged
from servicekit.errors import UserError
from summaries.profile import FieldSpec, Profile


def profile(*names: str) -> dict[str, Any]:
    """Of numbers called so."""
    return Profile.build(
        {name: [1.0, 2.0] for name in names}, [FieldSpec(name, "float32") for name in names],
        predictions=[1.0, 2.0], probabilities=None, target="y", classes=None, task="regression",
    ).to_dict()  # fmt: skip


class Registry:
    """Versions 1 to 4 of m, 4 with another field; or away."""

    uri = "http://registry"

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.alias: str | None = None

    def versions(self, _: str) -> list[str]:
        """As the real one."""
        self._answer()
        return list("1234")

    def tags(self, _: str, version: str) -> dict[str, str]:
        """As the real one."""
        return {"sha256": version * 64}

    def profile(self, _: str, version: str) -> Any:
        """As the real one."""
        return profile("a", "b") if version == "4" else profile("a")

    def set_champion(self, _: str, version: str) -> None:
        """As the real one."""
        self._answer()
        self.alias = version

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("no route")


def change(version: str, previous: str | None, at: int, action: Any = "promoted") -> ModelChanged:
    """Said on model-events."""
    return ModelChanged(
        model="m", version=version, previous_version=previous, action=action, artifact_uri=f"uri {version}",
        sha256=version * 3, effective_from=at, reason="",
    )  # fmt: skip


FIRST = change("1", None, 0, "installed")
SECOND = change("2", "1", 700)
THIRD = change("3", "2", 900)
BACK = change("2", "3", 950, "rolled_back")


def ask(
    events: list[ModelChanged], to: str = "", *, newest: int | None = None, away: bool = False
) -> Rollback:
    """The command, without its broker."""
    registry: Any = Registry(away=away)
    return prepare(events, to, registry, "complaints", newest)


@pytest.mark.parametrize(
    ("events", "to", "version", "artifact"),
    [
        ([FIRST, SECOND], "", "1", ("uri 1", "111")),
        ([SECOND], "", "1", ("models:/m/1", "1" * 64)),  # the first one is compacted away
        ([FIRST, SECOND, THIRD], "1", "1", ("uri 1", "111")),
        ([FIRST, SECOND, THIRD, BACK], "3", "3", ("uri 3", "333")),
    ],
)
def test_an_earlier_version_comes_back(
    events: list[ModelChanged], to: str, version: str, artifact: tuple[str, str]
) -> None:
    """The predecessor or the one asked for, with its artifact, named after the one it replaces."""
    event = ask(events, to).event
    assert (event.version, event.previous_version, event.action) == (
        version, events[-1].version, "rolled_back",
    )  # fmt: skip
    assert (event.artifact_uri, event.sha256, event.reason) == (*artifact, "complaints")


@pytest.mark.parametrize(("newest", "effective"), [(None, 901), (5, 901), (7000, 7000)])
def test_it_is_effective_after_the_change_that_it_takes_back(newest: int | None, effective: int) -> None:
    """From the newest row on; without rows, or with older ones, a millisecond after the change before."""
    assert ask([SECOND, THIRD], newest=newest).event.effective_from == effective


@pytest.mark.parametrize(
    ("events", "to", "said"),
    [
        ([FIRST], "", "version 1 of m serves and has no predecessor on model-events: say with --to"),
        ([SECOND, THIRD, BACK], "", "version 2 of m serves after a rollback from version 3: say with --to"),
        ([FIRST, SECOND], "2", "version 2 of m serves already"),
        ([FIRST, SECOND], "9", "has no version 9 of m: it has 1, 2, 3, 4"),
        ([FIRST, SECOND], "4", r"version 4 of m cannot take the place of version 2: b \(float32\) is new"),
    ],
)
def test_what_cannot_come_back_is_one_line(events: list[ModelChanged], to: str, said: str) -> None:
    """No predecessor, one that serves, one that nobody knows, one that the predictor would refuse."""
    with pytest.raises(UserError, match=said) as error:
        ask(events, to)
    assert "\n" not in str(error.value)


def test_a_registry_that_is_away_stops_no_rollback_to_what_has_served() -> None:
    """What model-events name is known; another version is asked for in vain, and the line says so."""
    found = ask([SECOND, THIRD], "1", away=True)
    assert (found.event.version, found.event.sha256) == ("1", "")  # any: nobody knows its checksum
    assert (
        found.away
        == "the registry at http://registry (ATALAIA_MLFLOW) does not give the versions of m: no route"
    )
    with pytest.raises(UserError, match="does not give the versions of m: no route"):
        ask([SECOND, THIRD], "4", away=True)


@pytest.mark.parametrize("away", [False, True])
def test_the_alias_follows_or_the_reason_is_given(away: bool) -> None:
    """It names the version that came back, unless the registry does not answer."""
    registry: Any = Registry(away=away)
    said = move_alias(registry, BACK)
    assert (registry.alias, said is None) == ((None, False) if away else ("2", True))
