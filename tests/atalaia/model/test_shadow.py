"""What may be announced as challenger, and who then shadows by the topics."""

from __future__ import annotations

from typing import Any

import pytest
from atalaia.model.shadow import begin, end
from atalaia.model.standing import Said, Standing, one_of
from contracts.events import ChallengerChanged, ModelChanged
from servicekit.errors import UserError
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec, Profile

NOW = 1_764_150_000_000


def profile(*names: str) -> dict[str, Any]:
    """Of numbers called so."""
    return Profile.build(
        {name: [1.0, 2.0] for name in names}, [FieldSpec(name, "float32") for name in names],
        predictions=[1.0, 2.0], probabilities=None, target="y", classes=None, task="regression",
    ).to_dict()  # fmt: skip


PROFILES: dict[str, Any] = {
    "1": profile("a"), "2": profile("a"), "3": profile("a", "b"), "4": {}, "5": {"schema_version": 99},
}  # fmt: skip


class Registry:
    """Versions 1 to 5: 3 has another field, 4 cannot be fetched, 5's profile is none."""

    uri = "http://registry"

    def __init__(self, champion: str | None = None) -> None:
        self._champion = champion

    def champion(self, _: str) -> str | None:
        """The alias."""
        return self._champion

    def versions(self, model: str) -> list[str]:
        """All of m."""
        return list(PROFILES) if model == "m" else []

    def profile(self, _: str, version: str) -> Any:
        """As the real one."""
        return PROFILES[version]

    def bundle(self, model: str, version: str) -> ModelBundle:
        """As the real one."""
        if version == "4":
            raise ConnectionError("no route")
        return ModelBundle(
            model, version, b"", version * 64, f"models:/{model}/{version}", PROFILES[version], []
        )


def serving(version: str) -> Said[ModelChanged]:
    """Said on model-events."""
    return Said(
        ModelChanged(
            model="m", version=version, previous_version=None, action="promoted", artifact_uri="", sha256="",
            effective_from=0, reason="",
        ), NOW,
    )  # fmt: skip


def announced(version: str | None) -> Said[ChallengerChanged]:
    """Said on challengers."""
    return Said(
        ChallengerChanged(
            model="m", version=version, artifact_uri="", sha256="", effective_from=NOW, reason=""
        ), NOW,
    )  # fmt: skip


def ask(standing: Standing, version: str, champion: str | None = None) -> ChallengerChanged:
    """The command, without its broker."""
    registry: Any = Registry(champion)
    return begin(standing, version, registry, NOW, "to see", "me")


@pytest.mark.parametrize(
    "standing",
    [
        Standing("m", serving("1")),
        Standing("m", serving("1"), announced(None)),
        Standing("m", serving("1"), announced("5")),
        Standing("m", serving("1"), announced("1")),
        Standing("m"),
    ],
)
def test_a_version_that_could_serve_is_announced(standing: Standing) -> None:
    """With its artifact and checksum; instead of another, after one, or before any version serves."""
    assert ask(standing, "2") == ChallengerChanged(
        model="m", version="2", artifact_uri="models:/m/2", sha256="2" * 64, effective_from=NOW, reason="to see",
        announced_by="me",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("standing", "version", "champion", "said"),
    [
        (Standing("m", serving("2")), "2", None, "version 2 of m serves: it cannot shadow itself"),
        (Standing("m"), "2", "2", "version 2 of m serves: it cannot shadow itself"),
        (
            Standing("m", serving("1"), announced("2")),
            "2",
            None,
            "shadows already, since 2025-11-26 09:40 UTC",
        ),
        (Standing("m", serving("1")), "9", None, "has no version 9 of m: it has 1, 2, 3, 4, 5"),
        (Standing("q"), "9", None, "has no version 9 of q: it has no version of it"),
        (Standing("m", serving("1")), "3", None, r"cannot shadow version 1: b \(float32\) is new"),
        (Standing("m"), "3", "1", r"cannot shadow version 1: b \(float32\) is new"),
        (Standing("m", serving("1")), "4", None, "does not give version 4 of m: no route"),
        (Standing("m"), "5", None, "does not give a readable profile of m version 5"),
        (Standing("m", serving("5")), "2", None, "does not give a readable profile of m version 5"),
    ],
)
def test_what_cannot_shadow_is_one_line(
    standing: Standing, version: str, champion: str | None, said: str
) -> None:
    """The version that serves or shadows, an unknown or incompatible one, one the registry does not give."""
    with pytest.raises(UserError, match=said):
        ask(standing, version, champion)


def test_stopping_needs_an_announcement() -> None:
    """Who is announced is stopped, even one that serves by now; where none is, that is said."""
    for version in ("1", "2"):
        event = end(Standing("m", serving("1"), announced(version)), NOW, "enough", "")
        assert (event.version, event.sha256, event.reason) == (None, "", "enough")
    for standing in (Standing("m", serving("1")), Standing("m", serving("1"), announced(None))):
        with pytest.raises(UserError, match="no version of m shadows: there is nothing to stop"):
            end(standing, NOW, "", "")


@pytest.mark.parametrize(("version", "shadows"), [("2", "2"), ("1", None), (None, None)])
def test_who_serves_does_not_shadow(version: str | None, shadows: str | None) -> None:
    """The topics say so as the predictor does: the one announced last, unless it serves."""
    assert Standing("m", serving("1"), announced(version)).shadows == shadows


def test_the_model_is_asked_for_or_known() -> None:
    """The one asked for, the settings', the only one there is; of several none is guessed."""
    assert one_of(["a", "b"], "q", "a") == "q"
    assert one_of(["a", "b"], "", "a") == "a"
    assert one_of(["b"], "", "a") == "b"
    assert one_of([], "", "a") == "a"
    with pytest.raises(UserError, match="no version of a serves; say --model with one of b, c"):
        one_of(["b", "c"], "", "a")
