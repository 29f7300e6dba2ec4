"""What a driver sets may have to wait, with all behind it; and questions of ours on its own connection."""

import asyncio
import json

import pytest

from gateway.relay.overrides import Override
from tests.fakes.chromium import PING, PONG, Wire, frame, soon
from tests.relay.rig import Rig, until

SET = b'{"id":%d,"method":"Emulation.setTimezoneOverride","params":{"timezoneId":"UTC"},"sessionId":"S"}'
INFO = b'{"id":9,"method":"Gateway.info"}'
INFORMED = b'{"id":9,"result":{"sessionId":"7"}}'


async def test_what_is_set_is_shown_and_passed_on(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    await client.say(SET % 1, b"next")
    assert await browser.messages(2) == [SET % 1, b"next"]
    [(override, _)] = visit.noted
    assert override == Override("S", "Emulation.setTimezoneOverride", {"timezoneId": "UTC"}, len(SET % 1))


async def test_it_waits_with_all_behind_it(rig: Rig) -> None:
    """Only control frames do not, and nothing is noted twice or out of order."""
    client, browser, visit = await rig.connect()
    visit.waits = True
    await client.send(
        *(client.frame(message) for message in (b"before", SET % 1, b"between", SET % 2, INFO, b"last")),
        client.frame(b"now", PING),
        client.frame(b"x" * 100_000),
    )
    assert (await client.read()).opcode == PONG
    assert await browser.message() == b"before"
    await until(lambda: len(visit.noted) == 1)
    leg = visit.noted[0][1]
    leg.go_on()
    assert await browser.messages(2) == [SET % 1, b"between"]
    assert len(visit.noted) == 2
    assert visit.performed == []
    leg.go_on()
    assert await browser.messages(2) == [SET % 2, b"last"]
    assert await client.message() == INFORMED
    assert await browser.message() == b"x" * 100_000
    leg.go_on()  # nothing waits any more
    visit.waits = False
    await client.say(b"and on")
    assert await browser.message() == b"and on"
    assert [override.size for override, _ in visit.noted] == [len(SET % 1)] * 2


async def test_letting_a_target_go_waits_too(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    go = b'{"id":1,"method":"Runtime.runIfWaitingForDebugger","sessionId":"S"}'
    await client.say(go)
    assert await browser.message() == go
    visit.waits = True
    await client.say(go, INFO, b"behind")
    await until(lambda: len(visit.letting) == 2)
    assert visit.performed == []
    visit.letting[1].go_on()
    assert await browser.messages(2) == [go, b"behind"]
    assert await client.message() == INFORMED


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_client_that_goes_meanwhile_has_said_all(rig: Rig, abrupt: bool) -> None:
    client, browser, visit = await rig.connect()
    visit.waits = True
    await client.say(SET % 1, b"between", SET % 2, INFO, b"last")
    await until(lambda: len(visit.noted) == 1)
    if abrupt:
        client.writer.close()
    else:
        await client.say_close()
    assert await browser.messages(4) == [SET % 1, b"between", SET % 2, b"last"]
    assert await browser.close_frame() == (1000, "")
    assert len(visit.performed) == 1
    visit.noted[0][1].go_on()  # too late for anything
    browser.drop()
    await visit.ended()


async def test_an_eviction_meanwhile(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    visit.waits = True
    await client.say(SET % 1, b"last")
    await until(lambda: len(visit.noted) == 1)
    visit.evict()
    assert await client.close_frame() == (4000, "stopped")
    assert await browser.messages(2) == [SET % 1, b"last"]
    client.drop()
    browser.drop()
    await visit.ended()


# --- questions ---


async def asked(browser: Wire) -> int:
    """The id of our next question."""
    message = json.loads(await browser.message())
    assert message["method"] == "Target.getTargetInfo"
    assert message["sessionId"] == "S"
    return int(message["id"])


def answered(number: int) -> bytes:
    return frame(b'{"id":%d,"result":{"n":%d},"sessionId":"S"}' % (number, number))


async def test_questions_among_the_clients_own(rig: Rig) -> None:
    client, browser, visit = await rig.connect()
    await browser.send(frame(b"event")[:4])  # the client's stream is in the middle of a frame
    await until(lambda: not visit.browser._frames.idle)
    first = visit.browser.ask("Target.getTargetInfo", session="S")
    second = visit.browser.ask("Target.getTargetInfo", session="S")
    numbers = [await asked(browser), await asked(browser)]
    await client.say(b"client's")
    assert await browser.message() == b"client's"
    reply = answered(numbers[1])
    await browser.send(frame(b"event")[4:], frame(b"its answer"), reply[:10])
    assert await client.messages(2) == [b"event", b"its answer"]
    await browser.send(reply[10:], frame(b"more"))
    assert await client.message() == b"more"
    assert await soon(second) == {"n": numbers[1]}
    assert not first.done()
    await browser.send(frame(b'{"id":%d,"error":{"code":-32001}}' % numbers[0]), frame(b"last"))
    assert await soon(first) is None
    assert await client.message() == b"last"
    await client.say(INFO)
    assert await client.message() == INFORMED  # put in where the stream stands on a boundary, as before


async def test_a_question_nobody_waits_for_any_more(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    visit.browser.ask("Target.getTargetInfo", session="S").cancel()
    number = await asked(browser)
    await browser.send(answered(number), frame(b"next"))
    assert await client.message() == b"next"


async def test_questions_behind_the_clients_end(plain: Rig) -> None:
    """Nobody reads what else Chromium says; only behind all of it the answer is found."""
    client, browser, visit = await plain.connect()
    await browser.send(frame(b"x" * 100_000)[:50_000])
    client.reset()
    await soon(visit.left.wait())
    question = visit.browser.ask("Target.getTargetInfo", session="S")
    number = await asked(browser)
    await browser.send(frame(b"x" * 100_000)[50_000:], frame(b"event"), answered(number))
    assert await soon(question) == {"n": number}
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_a_question_behind_half_a_message_of_the_clients(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    await client.send(client.frame(b"y" * 100_000)[:50_000])
    await until(lambda: visit.noted == [] and browser.reader._buffer != b"")  # type: ignore[attr-defined]
    client.reset()
    await soon(visit.left.wait())
    question = visit.browser.ask("Target.getTargetInfo", session="S")
    garbage = await browser.message()
    assert len(garbage) == 100_000
    assert not garbage.endswith(b"y")
    await browser.send(answered(await asked(browser)))
    assert await soon(question)
    assert await browser.close_frame() == (1000, "")
    browser.drop()
    await visit.ended()


async def test_a_question_that_cannot_be_answered(plain: Rig) -> None:
    client, browser, visit = await plain.connect()
    question = visit.browser.ask("Target.getTargetInfo")
    await asyncio.sleep(0)
    browser.drop()
    assert await soon(question) is None
    assert await soon(visit.browser.ask("Target.getTargetInfo")) is None
    visit.evict()
    client.drop()
    await visit.ended()
