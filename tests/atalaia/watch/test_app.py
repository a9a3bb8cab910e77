"""The page over HTTP: what it serves, to whom, and that its files ask nobody else."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import told
from atalaia.watch.web.app import STATIC, make_app


def client(reading: Any, host: str = "127.0.0.1", model: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(reading, host, model))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_the_view_answers_with_everything(drifting: Any) -> None:
    """One answer holds the reading, the models and the view of one."""
    answer = (await client(drifting).get("/api/v1.0/view")).json()
    assert answer["watching"]["words"] == "Following kafka.example:9092."
    assert answer["models"] == [{"model": "m", "tone": "alarm", "state": "Drift"}]
    assert answer["view"]["headline"]["now"].startswith("The inputs origin and temp have changed")


async def test_what_has_not_changed_is_not_sent_again(drifting: Any) -> None:
    """The ETag answers 304 until a record, or the state of the reading, brings something new."""
    page = client(drifting)
    tag = (await page.get("/api/v1.0/view")).headers["ETag"]
    assert (await page.get("/api/v1.0/view", headers={"If-None-Match": tag})).status_code == 304
    drifting.lose()
    again = await page.get("/api/v1.0/view", headers={"If-None-Match": tag})
    assert again.status_code == 200
    assert again.json()["watching"]["state"] == "away"
    assert again.json()["view"] is not None, "what was read stays"


async def test_silence_is_news(made: Any) -> None:
    """Nothing comes and nothing is sent again, until that nothing comes has to be said."""
    heard = int(made._clock() * 1000)
    for event in (told.installed(), told.window(1)):
        made.memories.take(event, heard)
    page = client(made)
    first = await page.get("/api/v1.0/view")
    assert first.json()["models"] == [{"model": "m", "tone": "good", "state": "Steady"}]
    made._clock = lambda: heard / 1000 + 3 * 3_600 + 1
    again = await page.get("/api/v1.0/view", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert again.json()["models"] == [{"model": "m", "tone": "wait", "state": "No reports"}]
    assert again.json()["view"]["headline"]["state"] == "No reports"
    said = {fact["value"]: (fact["state"], fact["tone"]) for fact in again.json()["view"]["facts"]}
    assert said["0 of 3 drifted"] == ("last known: they look as they should", "none")


async def test_a_model_may_be_asked_for(drifting: Any) -> None:
    """By the query or by the command; one that the topics do not name is said."""
    drifting.tell(told.window(1, model="other"))
    assert (await client(drifting).get("/api/v1.0/view?model=other")).json()["view"]["model"] == "other"
    assert (await client(drifting, model="other").get("/api/v1.0/view")).json()["view"]["model"] == "other"
    answer = (await client(drifting).get("/api/v1.0/view", params={"model": "ünknown"})).json()
    assert (answer["missing"], answer["view"]) == ("ünknown", None)


async def test_before_there_are_topics_there_is_an_answer(made: Any) -> None:
    """With nothing read there is no view, and no error."""
    made._is("empty")
    answer = (await client(made).get("/api/v1.0/view")).json()
    assert (answer["view"], answer["models"]) == (None, [])
    assert "none of the topics yet" in answer["watching"]["words"]


async def test_only_own_scripts_may_run(made: Any) -> None:
    """Page, files and figures carry a policy without inline scripts, and no type may be guessed."""
    page = client(made)
    for path in ("/", "/static/watch.js", "/static/watch.css", "/api/v1.0/view"):
        answer = await page.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_on_loopback_it_answers_to_this_machine_only(made: Any) -> None:
    """A name that another site points at this machine is refused; bound to more it answers to any."""
    assert (await client(made).get("/", headers={"Host": "evil.example"})).status_code == 400
    assert (await client(made).get("/", headers={"Host": "localhost:8004"})).status_code == 200
    assert (await client(made, host="0.0.0.0").get("/", headers={"Host": "watch.example"})).status_code == 200


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_files_name_no_other_host_and_write_no_markup(path: Any) -> None:
    """Nothing is loaded from elsewhere, and no script makes markup of text."""
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|[\"'(]//", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)


def ratio(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""

    def light(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out(theme: str) -> None:
    """Text has a contrast of 4.5 on page and cards, what is drawn one of 3, in both themes (WCAG AA)."""
    blocks = re.findall(r":root \{(.*?)\n\s*\}", (STATIC / "watch.css").read_text(encoding="utf-8"), re.S)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", blocks[0] if theme == "light" else blocks[1]))
    for paper in ("paper", "card"):
        for ink in ("ink", "faint", "alarm-ink", "good-ink", "wait-ink"):
            assert ratio(found[ink], found[paper]) >= 4.5, (ink, paper)
        for mark in ("served", "frozen", "alarm", "good", "wait", "edge"):
            assert ratio(found[mark], found[paper]) >= 3, (mark, paper)
