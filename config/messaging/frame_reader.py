"""Reads as many frames as are there with one system call; py-amqp itself takes three for each."""

import ssl
from struct import unpack_from
from typing import Any

from amqp.exceptions import UnexpectedFrame

Frame = tuple[int, int, bytes]

# What TLS decrypts at once, and more than most messages have.
AT_ONCE = 16 * 1024
# Type, channel and size come before a frame's content, and one octet after it.
_BEFORE, _AFTER = 7, 1
_END = 0xCE


class FrameReader:
    """Stands in for ``read_frame`` of ``transport``, whose socket is connected already.

    :param frame_max: as agreed upon. Twice as much is let pass: the broker adds to headers, however
        large they are, and what it delivers must not end whoever it is for.
    """

    def __init__(self, transport: Any, *, frame_max: int) -> None:
        self._transport = transport
        self._most = 2 * frame_max
        self._receive = transport.sock.recv
        self._read = b""
        self._at = 0

    @property
    def ahead(self) -> bool:
        """Whether there is a frame that needs no waiting for."""
        return len(self._read) - self._at >= self._size()

    def read_frame(self) -> Frame:
        """:raises TimeoutError: what has come so far is kept."""
        while len(self._read) - self._at < (size := self._size()):
            self._take_more(at_least=size - (len(self._read) - self._at))
        begin, self._at = self._at, self._at + size
        kind, channel = unpack_from(">BH", self._read, begin)
        if self._read[self._at - 1] != _END:
            raise UnexpectedFrame("a frame did not end where it should")
        content, end = begin + _BEFORE, self._at - _AFTER
        return kind, channel, self._read[content:end]

    def _size(self) -> int:
        """Of the next frame, as far as that is known."""
        if len(self._read) - self._at < _BEFORE:
            return _BEFORE + _AFTER
        _, _, length = unpack_from(">BHI", self._read, self._at)
        return int(_BEFORE + length + _AFTER)

    def _take_more(self, *, at_least: int) -> None:
        if at_least > self._most:
            # Waiting for it would need as much memory as that number says: up to 4 GB.
            raise UnexpectedFrame("a frame is larger than any may be")
        try:
            came = self._receive(max(at_least, AT_ONCE))
        except OSError as failure:
            # Else as it was: who writes may have ended it.
            if not _only_late(failure):
                self._transport.connected = False
            raise
        if not came:
            self._transport.connected = False
            raise OSError("the server closed the connection")
        self._read, self._at = self._read[self._at:] + came, 0


def _only_late(failure: OSError) -> bool:
    """gevent's TLS raises no TimeoutError."""
    late = isinstance(failure, TimeoutError | BlockingIOError | ssl.SSLWantReadError)
    return late or isinstance(failure, ssl.SSLError) and "timed out" in str(failure)


def read_ahead(transport: Any, *, frame_max: int) -> FrameReader:
    """From now on, ``transport`` reads with one of these."""
    reader = FrameReader(transport, frame_max=frame_max)
    transport.read_frame = reader.read_frame
    return reader
