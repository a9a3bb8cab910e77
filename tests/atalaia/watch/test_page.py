"""The page in headless Chromium, at the width of a laptop and of a phone, with mouse and with keyboard alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import chromium
import msgspec
import pytest
import told
from atalaia.watch.web.app import make_app
from servicekit.http import serve
from servicekit.listening import bind

BROWSER = chromium.find()
pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason=f"the page is not tried: no browser, none of {', '.join(chromium.NAMES)} is installed",
)
READY = "document.documentElement.dataset.asked === 'yes'"
WIDTHS = pytest.mark.parametrize("width", [1366, 390])
MARKUP = "<img src=x onerror=\"document.title='pwned'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    """One for all tests here; each has a page of its own."""
    assert BROWSER is not None
    with chromium.Browser(BROWSER) as running:
        yield running


@contextlib.asynccontextmanager
async def opened(browser: chromium.Browser, reading: Any, width: int = 1366) -> AsyncIterator[chromium.Page]:
    """The page of a reading, loaded and drawn."""
    sock = bind("127.0.0.1", 0)
    port, stop = sock.getsockname()[1], asyncio.Event()
    serving = asyncio.create_task(serve(make_app(reading), "127.0.0.1", port, stop, sock=sock))
    try:
        async with browser.page() as page:
            await page.size(width, 850, phone=width < 600)
            await page.open(f"http://127.0.0.1:{port}/", READY)
            yield page
            assert page.errors == []
            assert all(
                url.startswith((f"http://127.0.0.1:{port}/", "data:"))
                for url in page.requests
                if url != "about:blank"
            )
    finally:
        stop.set()
        await serving


@WIDTHS
async def test_the_three_answers_are_in_sight(browser: chromium.Browser, drifting: Any, width: int) -> None:
    """Without scrolling, and never sideways: what is wrong, since when, and what was done; no other host is asked."""
    async with opened(browser, drifting, width) as page:
        assert await page.run("document.querySelector('h1').textContent") == (
            "The inputs origin and temp have changed: they no longer look like the rows that version 1 of m was trained and tested on."
        )
        answers = await page.run("document.getElementById('answers').innerText")
        assert "1970-01-01 06:00 UTC" in answers
        assert "Version 2 was refused on 1970-01-01 08:00" in answers
        assert await page.run(
            "document.getElementById('answers').getBoundingClientRect().bottom <= innerHeight"
        )
        assert await page.run("innerWidth") == width
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")
        outside = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.wide')).map((e) => e.tagName + '.' + e.className)"
        assert await page.run(outside) == []
        assert await page.run("document.title") == "Drift: m, Atalaia"


async def test_every_part_is_drawn(browser: chromium.Browser, drifting: Any) -> None:
    """Tiles by state, p-values, effects and distributions, quality, and the train of events."""
    async with opened(browser, drifting) as page:
        tiles = await page.run(
            "[...document.querySelectorAll('.tile')].map((t) => t.className + ' ' + t.querySelector('.name').textContent)"
        )
        assert tiles[:3] == ["tile drifted origin", "tile drifted temp", "tile steady input 00"]
        labels = await page.run(
            "[...document.querySelectorAll('svg[role=img]')].map((s) => s.getAttribute('aria-label'))"
        )
        for beginning in (
            "temp: p-value",
            "temp: effect",
            "temp: distribution functions",
            "origin: shares",
            "accuracy over event time",
        ):
            assert any(label.startswith(beginning) for label in labels), beginning
        assert await page.run("document.querySelectorAll('#quality-chart path.reference').length") > 0, (
            "estimated"
        )
        steps = await page.run(
            "[...document.querySelectorAll('.chain[open] .step b')].map((b) => b.textContent)"
        )
        assert steps == ["alert, v1", "training", "refused, v2", "installed, v1"]


async def test_the_keyboard_is_enough(browser: chromium.Browser, drifting: Any) -> None:
    """Tab goes in reading order from the skip link on; Enter on a tile shows its charts, and the focus stays."""
    async with opened(browser, drifting) as page:
        order = []
        for _ in range(5):
            await page.press("Tab")
            order.append(
                await page.run(
                    "document.activeElement.className + ' ' + document.activeElement.textContent.trim().split('▲')[0]"
                )
            )
        assert order[0] == "skip Skip to what is wrong now"
        assert order[1].strip() == "All steps"
        assert order[2:4] == ["tile drifted origin", "tile drifted temp"]
        assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", (
            "the focus is seen"
        )
        await page.press("Enter")
        chosen = "document.activeElement.getAttribute('aria-pressed') + ' ' + document.activeElement.querySelector('.name').textContent"
        assert await page.run(chosen) == "true input 00"
        assert await page.run("document.querySelector('.row').getAttribute('aria-label')") == "input 00"
        assert "No distribution" in await page.run("document.querySelector('.row').textContent")


ASKS = told.won(
    "waiting",
    9,
    waits_for="approval",
    reason="waiting for approval: better: accuracy 0.92 against the champion's 0.52",
)


@WIDTHS
async def test_a_persons_turn_is_in_sight(browser: chromium.Browser, drifting: Any, width: int) -> None:
    """A winner that waits is in the first line, in the tab's title, and with its commands on the first screen."""
    drifting.tell(ASKS)
    async with opened(browser, drifting, width) as page:
        assert (
            await page.run("document.getElementById('state').textContent")
            == "Drift: a winner waits for approval"
        )
        assert await page.run("document.title") == "Drift, your turn: m, Atalaia"
        codes = "[...document.querySelectorAll('#need code')].map((c) => c.textContent)"
        assert await page.run(codes) == [
            "atalaia approve m",
            'atalaia approve m --reason "..."',
            'atalaia refuse m --reason "..."',
        ]
        assert await page.run("document.getElementById('need').getBoundingClientRect().bottom <= innerHeight")
        above = "document.getElementById('need').getBoundingClientRect().bottom <= document.getElementById('answers').getBoundingClientRect().top"
        assert await page.run(above)
        whole = "[...document.querySelectorAll('#need code')].every((c) => c.scrollWidth <= c.clientWidth && c.getClientRects().length === 1)"
        assert await page.run(whole), "no command is broken or cut"
        await page.run("document.querySelector('#need code').focus()")
        assert await page.run("getSelection().toString()") == "atalaia approve m"
        await page.press("Tab")
        assert await page.run("document.activeElement.getAttribute('aria-label')") == "Copy atalaia approve m"
        await page.press("Enter")
        await page.until("['Copied', 'Selected'].includes(document.activeElement.textContent)")
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")
        drifting.tell(told.word(), told.won("promoted", 10), told.change("2", 10))
        await page.until("!document.querySelector('#need code')")
        assert (await page.run("document.getElementById('need').innerText")).startswith("For you to do")


async def test_figures_are_there_for_who_wants_them(browser: chromium.Browser, drifting: Any) -> None:
    """Which rows trained, the comparison and the guardrails are tables behind a step: Enter opens them, news leaves them open."""
    drifting.tell(ASKS)
    async with opened(browser, drifting) as page:
        assert await page.run("document.querySelectorAll('.evidence').length") == 1
        assert not await page.run("document.querySelector('.evidence').open")
        await page.run("document.querySelector('.evidence summary').focus()")
        await page.press("Enter")
        heads = "[...document.querySelectorAll('.evidence h3')].map((h) => h.textContent)"
        assert await page.run(heads) == [
            "Version 2 against version 1", "Which rows trained it", "What it must not make worse", "How it was made",
        ]  # fmt: skip
        assert "✓ since the change" in await page.run("document.querySelector('.evidence').textContent")
        drifting.tell(told.word(approved=False, reason="unfair"))
        await page.until("document.querySelector('.chain').textContent.includes('By Ana: unfair')")
        assert await page.run("document.querySelector('.evidence').open")


async def test_rows_that_are_waited_for_are_drawn(browser: chromium.Browser, made: Any) -> None:
    """How many labelled rows there are of those that are wanted is a bar with its words, in the first line too."""
    made.tell(
        told.installed(), told.window(1), told.window(3, ("temp",)), told.alert("drift", 3),
        told.decision("waiting", 3, "waiting: 143 of about 400 labelled rows", waits_for="rows", rows={"labelled": 143, "needed": 400}),
    )  # fmt: skip
    async with opened(browser, made) as page:
        bar = "(() => { const p = document.querySelector('#need progress'); return [p.value, p.max, p.getAttribute('aria-label')] })()"
        assert await page.run(bar) == [143, 400, "143 of 400 labelled rows"]
        assert await page.run("document.querySelectorAll('.chain progress').length") == 1


async def test_a_rollback_has_its_sign_in_the_legends(browser: chromium.Browser, drifting: Any) -> None:
    """The mark of a rollback is explained where one is drawn, and not where none is; a review's brings the labels first."""
    explained = "document.getElementById('quality').innerText.includes('rollback')"
    async with opened(browser, drifting) as page:
        assert not await page.run(explained)
        worse = told.look(10, "rolled_back")
        drifting.tell(
            told.change("2", 9), worse, told.change("1", 10, "rolled_back", "2", reason=worse.reason)
        )
        await page.until("document.getElementById('state').textContent === 'Rolled back by itself'")
        assert await page.run(explained)
        parts = "[...document.querySelectorAll('main section:not([hidden])')].map((s) => s.id)"
        assert await page.run(parts) == ["headline", "quality", "features", "drift", "trail"]


async def test_no_line_joins_two_versions(browser: chromium.Browser, made: Any) -> None:
    """Quality is a line for each version in turn, and the moment since when it is so is drawn where no other mark is."""
    lines = "document.querySelectorAll('#quality-chart svg[role=img] path.live').length"
    since = "document.querySelectorAll('#quality-chart svg[role=img] .rule-since').length"
    made.tell(
        told.installed(), *(told.window(at, ("temp",) if at > 2 else ()) for at in range(1, 5)), told.alert("drift", 3, since=2),
        *(told.quality(at, 0.8) for at in range(1, 5)),
    )  # fmt: skip
    async with opened(browser, made) as page:
        assert (await page.run(lines), await page.run(since)) == (1, 1)
        assert "since when it is so" in await page.run("document.getElementById('quality').innerText")
        made.tell(told.change("2", 4), *(told.quality(at, 0.9, version="2") for at in (5, 6)))
        await page.until(f"{lines} === 2")


async def test_figures_say_how_good_they_are(browser: chromium.Browser, made: Any) -> None:
    """A figure at a glance has its state as a sign, in words and in its colour; how far the data go stands beside the broker."""
    made.tell(
        told.installed(),
        told.window(1, ("temp",)),
        *(told.quality(at, 0.9 if at < 5 else 0.5) for at in range(1, 6)),
    )
    async with opened(browser, made) as page:
        told_of = "[...document.querySelectorAll('#facts li')].map((li) => `${li.className}: ${li.querySelector('.is')?.textContent ?? ''}`)"
        assert await page.run(told_of) == [
            ": ", "alarm: ▲ they look different", "wait: △ worse: was 0.9 in the 4 windows before",
        ]  # fmt: skip
        assert await page.run("document.getElementById('watching').textContent") == (
            "Following kafka.example:9092. Newest window to 1970-01-01 05:00 UTC."
        )


async def test_windows_that_are_worse_than_promised_are_triangles(
    browser: chromium.Browser, drifting: Any
) -> None:
    """Where an alert of quality is open the chart says which windows it is about, by their form and in words."""
    drifting.tell(told.concept(9, quality_alert_id="q", quality_state="drift", quality_since=6 * told.HOUR))
    async with opened(browser, drifting) as page:
        hits = "[...document.querySelectorAll('#quality-chart svg[role=img] .dot.hit title')].map((t) => t.textContent)"
        found = await page.run(hits)
        assert len(found) == 3
        assert all(words.endswith("worse than promised") for words in found)
        assert "worse than promised, by an alert" in await page.run(
            "document.getElementById('quality').innerText"
        )


async def test_labels_come_first_where_they_say_what_is_wrong(
    browser: chromium.Browser, drifting: Any
) -> None:
    """While the alert is of errors or of quality their charts stand before the features, in the order of Tab too."""
    parts = "[...document.querySelectorAll('main section:not([hidden])')].map((s) => s.id)"
    async with opened(browser, drifting) as page:
        assert await page.run(parts) == ["headline", "features", "drift", "quality", "trail"]
        await page.run("document.querySelectorAll('.tile')[1].focus()")
        drifting.tell(
            told.alert(
                "drift",
                10,
                (),
                alert_id="q",
                kind="quality",
                reason="ok -> drift: accuracy 0.7, 0.8 promised",
            )
        )
        await page.until("document.getElementById('state').textContent.startsWith('Worse predictions')")
        assert await page.run(parts) == ["headline", "quality", "features", "drift", "trail"]
        assert await page.run("document.activeElement.querySelector('.name').textContent") == "temp"


async def test_what_is_new_appears_and_the_focus_stays(browser: chromium.Browser, drifting: Any) -> None:
    """The page asks by itself; a promotion changes its first line while a tile keeps the focus."""
    async with opened(browser, drifting) as page:
        await page.run("document.querySelectorAll('.tile')[1].focus()")
        drifting.tell(told.decision("promoted", 10, "better", "3"), told.change("3", 10))
        await page.until(
            "document.getElementById('state').textContent === 'Replaced, not judged yet: under review'"
        )
        assert await page.run("document.activeElement.querySelector('.name').textContent") == "temp"
        assert "Promoted 1970-01-01 10:00 UTC" in await page.run(
            "document.getElementById('answers').textContent"
        )
        drifting.lose()
        await page.until(
            "document.getElementById('watching').textContent.startsWith('No Kafka broker answers')"
        )


@WIDTHS
async def test_names_and_reasons_are_text(browser: chromium.Browser, made: Any, width: int) -> None:
    """Markup in names, categories and reasons is shown as it is written, and runs nothing; long names fit."""
    long = "a_very_long_feature_name_" * 6
    features = {name: told.feature(0.5, drifted=True) for name in (MARKUP, long)}
    made.tell(
        named(told.installed()), named(told.window(1, features=features, status="drift")),
        named(told.alert("drift", 1, features=features)), named(told.decision("refused", 2, MARKUP, MARKUP)), named(told.quality(1, 0.7)),
    )  # fmt: skip
    async with opened(browser, made, width) as page:
        assert await page.run("document.querySelectorAll('main img').length") == 0
        assert "pwned" not in (await page.run("document.title")).split(":")[0]
        assert MARKUP in await page.run(
            "document.querySelector('.tile .name').textContent + document.querySelectorAll('.tile .name')[1].textContent"
        )
        assert MARKUP in await page.run("document.querySelector('.steps').textContent")
        assert await page.run("document.documentElement.scrollWidth <= innerWidth")


def named(event: Any) -> Any:
    """The same event of a model whose name is markup."""
    return msgspec.structs.replace(event, model=MARKUP)


async def test_before_anything_was_read_one_line_says_so(browser: chromium.Browser, made: Any) -> None:
    """With no topics there is one clear sentence and nothing else; the first record fills the page."""
    made._is("empty")
    async with opened(browser, made, 390) as page:
        assert await page.run("document.querySelector('h1').textContent") == "No model has reported yet."
        assert "none of the topics yet" in await page.run("document.getElementById('also').textContent")
        assert (
            await page.run("[...document.querySelectorAll('main section')].filter((s) => !s.hidden).length")
            == 1
        )
        made.tell(told.installed(), told.window(1))
        await page.until("document.getElementById('state').textContent === 'Steady'")


async def test_without_a_broker_the_page_says_so(browser: chromium.Browser, made: Any) -> None:
    """Where nothing was read and no broker answers, that is the headline."""
    made._ready = False
    made.lose()
    async with opened(browser, made) as page:
        assert await page.run("document.getElementById('state').textContent") == "No broker"
        assert "No Kafka broker answers at kafka.example:9092" in await page.run(
            "document.querySelector('h1').textContent"
        )


async def test_dark_is_dark_and_motion_may_be_reduced(browser: chromium.Browser, drifting: Any) -> None:
    """The page follows the system's colour scheme, and moves nothing where that is asked for."""
    async with opened(browser, drifting) as page:
        paper = "getComputedStyle(document.body).backgroundColor"
        light = await page.run(paper)
        await page.prefer(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
        assert (light, await page.run(paper)) == ("rgb(251, 250, 247)", "rgb(18, 22, 29)")
        assert await page.run("getComputedStyle(document.querySelector('.tile')).transitionDuration") == "0s"
        assert await page.run("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


async def test_several_models_can_be_chosen_from(browser: chromium.Browser, drifting: Any) -> None:
    """Where the topics name several models there is a choice, the one in trouble first."""
    drifting.tell(told.window(1, model="other"))
    async with opened(browser, drifting) as page:
        assert await page.run("[...document.getElementById('model').options].map((o) => o.text)") == [
            "m (drift)",
            "other (steady)",
        ]
        await page.run(
            "{ const s = document.getElementById('model'); s.value = 'other'; s.dispatchEvent(new Event('change')) }"
        )
        await page.until("document.querySelector('h1').textContent.includes('other version 1')")
        assert await page.run("location.search") == "?model=other"
