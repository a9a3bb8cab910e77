"""Which version an installation lets serve, and what is said where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from atalaia.model.installing import prepare
from contracts.events import ModelChanged
from servicekit.errors import UserError
from summaries.profile import FieldSpec, Profile

SERVES = ModelChanged(
    model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="", effective_from=700,
    reason="",
)  # fmt: skip


class Registry:
    """Versions 1 to 3 of m, 3 with another field."""

    uri = "http://registry"

    def versions(self, _: str) -> list[str]:
        """As the real one."""
        return list("123")

    def tags(self, _: str, version: str) -> dict[str, str]:
        """As the real one."""
        return {"sha256": version * 64}

    def profile(self, _: str, version: str) -> Any:
        """As the real one."""
        names = ["a", "b"] if version == "3" else ["a"]
        return Profile.build(
            {name: [1.0, 2.0] for name in names}, [FieldSpec(name, "float32") for name in names],
            predictions=[1.0, 2.0], probabilities=None, target="y", classes=None, task="regression",
        ).to_dict()  # fmt: skip


def ask(events: list[ModelChanged], version: str, newest: int | None = None) -> ModelChanged | None:
    """The command, without its broker."""
    registry: Any = Registry()
    return prepare(events, "m", version, registry, "commit 1a2b", newest, 500)


def test_a_first_version_serves_from_the_windows_origin_on() -> None:
    """No predecessor, the registry's checksum, and the reason that was given."""
    event = ask([], "2")
    assert event is not None
    assert (event.version, event.previous_version, event.action) == ("2", None, "installed")
    assert (event.sha256, event.effective_from, event.reason) == ("2" * 64, 500, "commit 1a2b")


@pytest.mark.parametrize(("newest", "effective"), [(None, 701), (600, 701), (9000, 9000)])
def test_another_version_follows_the_one_that_serves(newest: int | None, effective: int) -> None:
    """It names its predecessor, and is effective from the newest row on, never before the change before."""
    event = ask([SERVES], "2", newest)
    assert event is not None
    assert (event.version, event.previous_version, event.effective_from) == ("2", "1", effective)


def test_an_installation_may_be_run_twice() -> None:
    """A version that serves already is left alone: a deployment's job can be started again."""
    assert ask([SERVES], "1") is None


@pytest.mark.parametrize(
    ("version", "said"),
    [("9", "has no version 9 of m"), ("3", "cannot take the place of version 1: b .* is new")],
)
def test_what_cannot_serve_is_one_line(version: str, said: str) -> None:
    """A version that nobody registered, and one whose fields callers do not send."""
    with pytest.raises(UserError, match=said) as error:
        ask([SERVES], version)
    assert "\n" not in str(error.value)
