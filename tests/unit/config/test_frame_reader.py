"""Frames come out as they were sent, however the bytes come in."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import UnexpectedFrame

from config.messaging.frame_reader import FrameReader, read_ahead

FRAME_MAX = 4096
FRAMES = [(1, 1, b"method"), (2, 1, b"header"), (3, 1, b"x" * 300), (8, 0, b"")]


def sent(*frames: tuple[int, int, bytes]) -> bytes:
    return b"".join(
        pack(">BHI", kind, channel, len(content)) + content + b"\xce"
        for kind, channel, content in frames
    )


class Socket:
    """Gives these pieces one by one, and raises those that are errors; ``asked`` how often."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.pieces = [*pieces]
        self.asked = 0

    def recv(self, size: int) -> bytes:
        self.asked += 1
        piece = self.pieces.pop(0)
        if isinstance(piece, OSError):
            raise piece
        return piece


def transport(*pieces: bytes | OSError) -> Any:
    return SimpleNamespace(sock=Socket(*pieces), connected=True)


def reader_of(opened: Any) -> FrameReader:
    return FrameReader(opened, frame_max=FRAME_MAX)


def test_all_that_is_there_is_taken_at_once() -> None:
    opened = transport(sent(*FRAMES))
    read_ahead(opened, frame_max=FRAME_MAX)
    assert [opened.read_frame() for _ in FRAMES] == FRAMES
    assert opened.sock.asked == 1


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13, 100])
def test_frames_may_come_in_pieces_of_any_size(size: int) -> None:
    whole = sent(*FRAMES)
    pieces = (whole[at:][:size] for at in range(0, len(whole), size))
    reader = reader_of(transport(*pieces))
    assert [reader.read_frame() for _ in FRAMES] == FRAMES


@pytest.mark.parametrize("cut", range(1, len(sent(FRAMES[0]))))
def test_what_came_before_the_time_was_up_is_kept(cut: int) -> None:
    whole = sent(FRAMES[0])
    reader = reader_of(transport(whole[:cut], TimeoutError(), whole[cut:]))
    with pytest.raises(TimeoutError):
        reader.read_frame()
    assert reader.read_frame() == FRAMES[0]


def test_it_is_known_whether_the_next_frame_is_there() -> None:
    whole = sent(*FRAMES[:2])
    reader = reader_of(transport(whole[:-1], whole[-1:]))
    assert not reader.ahead
    reader.read_frame()
    assert not reader.ahead
    reader.read_frame()
    assert not reader.ahead
    reader = reader_of(transport(whole))
    reader.read_frame()
    assert reader.ahead


@pytest.mark.parametrize("end", [b"", ConnectionResetError()])
def test_a_connection_that_ends_is_no_longer_connected(end: Any) -> None:
    opened = transport(sent(FRAMES[0])[:-1], end)
    with pytest.raises(OSError):
        reader_of(opened).read_frame()
    assert not opened.connected


def test_a_connection_on_which_nothing_came_in_time_is_connected_still() -> None:
    opened = transport(TimeoutError())
    with pytest.raises(TimeoutError):
        reader_of(opened).read_frame()
    assert opened.connected


def test_that_nothing_came_in_time_connects_nothing_that_a_writer_found_ended() -> None:
    opened = transport(TimeoutError())
    opened.connected = False
    with pytest.raises(TimeoutError):
        reader_of(opened).read_frame()
    assert not opened.connected


def test_a_frame_may_be_as_large_as_was_agreed_and_what_the_broker_adds() -> None:
    large = (2, 1, b"x" * (FRAME_MAX + 200))
    whole = sent(large)
    reader = reader_of(transport(whole[:10], whole[10:]))
    assert reader.read_frame() == large


def test_a_frame_larger_than_any_may_be_is_refused_and_not_waited_for() -> None:
    opened = transport(pack(">BHI", 3, 1, 2**32 - 1) + b"x")
    with pytest.raises(UnexpectedFrame):
        reader_of(opened).read_frame()
    assert opened.sock.asked == 1


def test_a_frame_that_does_not_end_where_it_should_is_refused() -> None:
    with pytest.raises(UnexpectedFrame):
        reader_of(transport(sent(FRAMES[0])[:-1] + b"\x00")).read_frame()
