"""Large requests are read and written beside the loop, with the same answers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from predictor.consumes.http import inference_protocol, predict
from predictor.consumes.http.beside import beside
from predictor_models import PERSON, people, serving

ROW = PERSON | {"income": 1.0}
DATATYPES = {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES"}
TENSORS = [
    {"name": name, "datatype": DATATYPES[type(value)], "shape": [1], "data": [value]}
    for name, value in ROW.items()
]
GOOD: dict[str, Any] = {
    "/api/v1.0/predict/": {"features": ROW},
    "/api/v1.0/predict/batch": {"rows": [ROW]},
    "/v2/models/m/infer": {"inputs": TENSORS},
}


@pytest.mark.parametrize("route", GOOD)
@pytest.mark.parametrize("large", [True, False])
async def test_a_large_request_is_checked_in_another_thread(
    monkeypatch: pytest.MonkeyPatch, route: str, large: bool
) -> None:
    """The loop is left to others; a small request is not worth it. What is wrong is answered in either way."""
    asked: list[threading.Thread] = []
    for module in (predict, inference_protocol):
        check = module.check

        def watched(*args: Any, check: Any = check, **kwargs: Any) -> Any:
            asked.append(threading.current_thread())
            return check(*args, **kwargs)

        monkeypatch.setattr(module, "check", watched)
        monkeypatch.setattr(module, "LARGE_BYTES", 10 if large else 10_000)
    app, _ = serving(people())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        slow = {"event_time": 1e12, "parameters": {}} if "v2" in route else {"event_time": 1e12}
        assert (await client.post(route, json=GOOD[route] | slow)).status_code == 200
        assert (await client.post(route, json={})).status_code == 422
    (thread,) = asked
    assert (thread is not threading.current_thread()) == large


async def test_they_are_worked_on_one_at_a_time_while_the_loop_goes_on() -> None:
    """The second begins once the first has ended; what it raises is raised where it is awaited."""
    begun, end = threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        assert end.wait(10)
        return "first"

    def second() -> None:
        raise LookupError("after the first" if end.is_set() else "before it")

    one, two = asyncio.create_task(beside(first)), asyncio.create_task(beside(second))
    assert await asyncio.to_thread(begun.wait, 10)
    done, _ = await asyncio.wait({two}, timeout=0.2)
    assert not done
    end.set()
    assert await one == "first"
    with pytest.raises(LookupError, match="after the first"):
        await two
