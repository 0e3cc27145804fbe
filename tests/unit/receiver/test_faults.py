"""Faults on demand: the next requests go wrong as ordered, then all is well again."""

import asyncio
import time

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout

from logship.receiver import server

GOOD = {"name": "pageview", "url": "https://example.com/", "domain": "example.com"}


async def order(api, **wish):
    async with api.session.post(api.running.url + "/faults", json=wish) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("mode", ["400", "404", "429", "500", "503"])
async def test_a_status_for_the_next_requests(api, mode):
    """Two requests fail and are not recorded, the third is."""
    await order(api, mode=mode, count=2, retry_after=7)
    answers = [await api.post(GOOD) for _ in range(3)]
    assert [answer.status for answer in answers] == [int(mode), int(mode), 202]
    assert answers[0].headers["Retry-After"] == "7"
    assert len(await api.events()) == 1


async def test_a_redirect_to_https(api):
    """307, with the place to go."""
    await order(api, mode="redirect")
    async with api.session.post(api.running.url + "/api/event", json=GOOD, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"][:8]) == (307, "https://")


@pytest.mark.parametrize(("mode", "recorded"), [("reset", 0), ("lost", 1)])
async def test_a_cut_connection(api, mode, recorded):
    """The connection ends without an answer, before or after the event was recorded."""
    await order(api, mode=mode)
    with pytest.raises(ClientConnectionError):
        await api.post(GOOD)
    assert len(await api.events()) == recorded


async def test_a_slow_answer(api):
    """The answer comes as usual, later."""
    await order(api, mode="slow", delay=0.2)
    started = time.monotonic()
    assert (await api.post(GOOD)).status == 202
    assert time.monotonic() - started >= 0.2


async def test_a_hanging_request_does_not_hold_up_the_end():
    """No answer comes, and the receiver stops promptly all the same."""
    started = time.monotonic()
    async with ClientSession(timeout=ClientTimeout(total=200)) as session:
        async with server.serve(port=0) as running:
            await (await session.post(running.url + "/faults", json={"mode": "hang"})).read()
            hanging = asyncio.create_task(session.post(running.url + "/api/event", json=GOOD))
            done, _ = await asyncio.wait({hanging}, timeout=0.1)
            assert not done
        with pytest.raises(ClientConnectionError):
            await hanging
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    "wish", [{"mode": "teapot"}, {}, {"mode": "500", "count": "many"}, {"mode": "slow", "delay": "long"}]
)
async def test_an_unknown_wish_is_refused(api, wish):
    """What cannot be done is said, and no fault is armed."""
    status, body = await order(api, **wish)
    assert status == 400
    assert body["error"]
    assert (await api.post(GOOD)).status == 202


async def test_a_count_of_zero_ends_it(api):
    """An order can be taken back, and what is pending can be seen."""
    await order(api, mode="500", count=5)
    assert (await api.get("/faults"))["fault"] == {"mode": "500", "count": 5}
    await order(api, count=0)
    assert (await api.get("/faults"))["fault"] is None
    assert (await api.post(GOOD)).status == 202


async def test_a_web_page_cannot_order_faults(api):
    """What a browser may send across origins unasked is refused."""
    async with api.session.post(api.running.url + "/faults", data='{"mode": "500"}') as answer:
        assert answer.status == 403
    assert (await api.post(GOOD)).status == 202
