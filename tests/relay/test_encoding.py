import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.relay.encoding import CLOSE, PONG, encode, encode_close, encode_masked, parse_close
from tests.relay.test_frames import frame, oracle


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_encoded_frames_are_what_the_oracle_reads(size: int) -> None:
    payload = os.urandom(size)
    [text] = oracle(encode(payload), mask=False)
    [sent] = oracle(encode_masked(payload), mask=True)
    assert text.frame == sent.frame == Frame(Opcode.TEXT, payload)
    assert encode(payload) == frame(payload)
    assert oracle(encode(payload[:125], PONG), mask=False)[0].frame == Frame(Opcode.PONG, payload[:125])


@given(code=st.sampled_from([1000, 1001, 1009, 4000, 4999]), reason=st.text(min_size=25, max_size=160))
@example(code=4000, reason="x" * 123)
@example(code=4000, reason="x" * 124)
@example(code=4000, reason="x" * 122 + "é")
@example(code=4000, reason="x" * 120 + "\N{GRINNING FACE}")
def test_a_close_reason_is_cut_between_characters(code: int, reason: str) -> None:
    [parsed] = oracle(encode_close(code, reason), mask=False)
    assert parsed.frame.opcode == CLOSE
    close = Close.parse(bytes(parsed.frame.data))
    assert close.code == code
    assert parse_close(bytes(parsed.frame.data)) == (code, close.reason)
    assert reason.startswith(close.reason)
    kept = len(close.reason.encode())
    assert kept <= 123
    assert close.reason == reason or kept + len(reason[len(close.reason)].encode()) > 123


def test_close_payloads_of_every_length() -> None:
    assert parse_close(b"") == (1005, "")
    assert encode_close(1005, "not sent") == b"\x88\x00"
    assert parse_close(b"\x03") == (1002, "")
    assert parse_close(b"\x0f\xa0") == (4000, "")
    assert parse_close(b"\x03\xe8\xff") == (1000, "\ufffd")
    assert parse_close(encode_close(4000, "\ud800 stopped")[2:]) == (4000, "? stopped")
