"""replies.py: answers to our questions are taken out of Chromium's stream, wherever it is cut; nothing else is."""

import json
from itertools import pairwise

import pytest

from gateway.relay.encoding import CLOSE, PING
from gateway.relay.frames import BrowserFrames
from gateway.relay.replies import FIRST_ID, MARK, Replies, question
from tests.relay.test_frames import frame

OURS = [{"id": -1_070_000_000, "result": {"targetInfo": {"targetId": "T"}}}, {"id": -1_069_999_999, "error": {}}]
BIG = {"id": -1_000_000_123, "result": {"url": "data:," + "x" * 70_000}}


def said(message: object) -> bytes:
    return frame(json.dumps(message, separators=(",", ":")).encode())


# Frames before, among and behind ours, and some that look like ours for a moment.
OTHERS = [
    frame(b'{"method":"Page.event"}'),
    frame(b'{"id":-10'),
    frame(b""),
    frame(b"{"),
    frame(b"beat", PING),
    frame(b'{"id":-1}'),
    frame(b"y" * 300),
]


def test_questions_have_numbers_of_their_own() -> None:
    first, message = question("Target.getTargetInfo", {}, None)
    second, with_session = question("Target.getTargetInfo", {"a": 1}, "S")
    assert FIRST_ID <= first < second < -1_000_000_000
    assert json.loads(message) == {"id": first, "method": "Target.getTargetInfo", "params": {}}
    assert json.loads(with_session)["sessionId"] == "S"
    assert f'{{"id":{second}'.encode().startswith(MARK)


def test_taken_out_wherever_the_stream_is_cut() -> None:
    parts = [OTHERS[0], said(OURS[0]), *OTHERS[2:5], said(OURS[1]), said(OURS[0]), OTHERS[5], OTHERS[6]]
    stream = b"".join(parts)
    rest = b"".join(part for part in parts if part not in (said(OURS[0]), said(OURS[1])))
    for cut in range(len(stream) + 1):
        replies = Replies(BrowserFrames())
        outputs = [replies.feed(piece) for piece in (stream[:cut], stream[cut:])]
        assert b"".join(passed for passed, _ in outputs) + replies.rest() == rest
        assert [message for _, found in outputs for message in found] == [OURS[0], OURS[1], OURS[0]]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_taken_out_of_a_trickle(size: int) -> None:
    stream = OTHERS[6] + said(BIG) + said(OURS[0]) + frame(b"z" * 70_000) + frame(b"", CLOSE)
    replies, passed, got = Replies(BrowserFrames()), b"", []
    for start, end in pairwise([*range(0, len(stream), size), len(stream)]):
        more, found = replies.feed(stream[start:end])
        passed += more
        got += found
    assert passed + replies.rest() == OTHERS[6] + frame(b"z" * 70_000) + frame(b"", CLOSE)
    assert got == [BIG, OURS[0]]


def test_begun_in_the_middle_of_a_frame() -> None:
    """What was under way when the question was asked is passed on, wherever it was."""
    for before in (frame(b'{"id":-1070000000}'), frame(b"w" * 300), frame(b"v" * 70_000), frame(b"u", form=127)):
        for done in [*range(1, 12), len(before) - 1]:
            frames = BrowserFrames()
            frames.feed(before[:done])
            replies = Replies(frames)
            stream = before[done:] + said(OURS[0]) + OTHERS[0]
            for cut in (0, 1, 2, 3, 9, 11):
                again = Replies(frames)
                outputs = [again.feed(piece) for piece in (stream[:cut], stream[cut:])]
                assert b"".join(passed for passed, _ in outputs) == before[done:] + OTHERS[0], (len(before), done, cut)
                assert outputs[0][1] + outputs[1][1] == [OURS[0]]
            assert replies.feed(stream) == (before[done:] + OTHERS[0], [OURS[0]])


def test_what_was_kept_in_vain_is_passed_on() -> None:
    replies = Replies(BrowserFrames())
    begun = said(OURS[0])[:20]
    assert replies.feed(OTHERS[0] + begun) == (OTHERS[0], [])
    assert replies.rest() == begun
    assert replies.rest() == b""
