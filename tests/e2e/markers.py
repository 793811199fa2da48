"""Words that occur nowhere else, and the search for them in whatever form they may be kept."""

import base64
import json
from collections.abc import Iterable, Iterator
from random import SystemRandom
from urllib.parse import quote, quote_plus

from tests.e2e.desk import unique

Content = tuple[str, bytes]
_random = SystemRandom()


class Markers:
    """Makes the words of one run. All begin alike, so that one search finds each of them.

    A beginning with an umlaut and a capital is written differently wherever text is encoded.
    """

    def __init__(self) -> None:
        self._beginning = f"Zq\u00fc{unique()}"
        self._plain = f"Zq{unique()}"
        # As one would dial them in London. Few: each is looked for by itself.
        self.numbers = [f"207{_random.randrange(10**7):07d}" for _ in range(5)]
        self.made = 0

    def word(self) -> str:
        self.made += 1
        return f"{self._beginning}{self.made}q"

    def ascii(self) -> str:
        """For where only ASCII goes: headers, the addresses of e-mails."""
        self.made += 1
        return f"{self._plain}{self.made}q"

    def number(self) -> str:
        """A valid London number."""
        return f"+44{_random.choice(self.numbers)}"

    def patterns(self) -> dict[bytes, str]:
        """What to look for: the bytes, and the form in which they hold a marker."""
        words = {self._beginning, self._plain, *self.numbers}
        return {sought: form for word in words for form, sought in forms(word)}


def forms(word: str) -> Iterator[tuple[str, bytes]]:
    for case, text in (("", word), ("lower case ", word.lower()), ("upper case ", word.upper())):
        yield f"{case}text", text.encode()
        yield f"{case}UTF-16", text.encode("utf-16-le")
        yield f"{case}Latin-1", text.encode("latin-1")
        yield f"{case}JSON", json.dumps(text)[1:-1].encode()
        yield f"{case}URL", quote(text).encode()
        yield f"{case}URL in lower case", quote_plus(text).lower().encode()
        yield f"{case}hex", text.encode().hex().encode()
        yield f"{case}HEX", text.encode().hex().upper().encode()
        for inside in base64_forms(text.encode()):
            yield f"{case}base64", inside


def base64_forms(content: bytes) -> Iterator[bytes]:
    """Of ``content`` somewhere inside a longer text: three alignments, without the edges."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + content)
        first, last = (8 * before + 5) // 6, (8 * (before + len(content))) // 6
        yield encoded[first:last]
        yield encoded[first:last].translate(bytes.maketrans(b"+/", b"-_"))


def hits(markers: Markers, contents: Iterable[Content]) -> list[str]:
    """Where a marker is, and in which form; the marker itself is not told."""
    patterns = markers.patterns()
    return [
        f"{where}: {form}"
        for where, content in contents
        for sought, form in patterns.items()
        if sought in content
    ]
