"""What addresses and secrets must be to start with; the texts never show what they are."""

import ssl
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from config.keys import KeyRefused, KeyRing, Keys, parse_ring
from config.variables import KEYS, SettingsError

SHORTEST_PASSWORD = 12
# `guestguestguest` is long, too.
FEWEST_CHARACTERS = 6
# In minutes.
YEAR = 365 * 24 * 60
# In seconds.
DAY = 24 * 60 * 60
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))

# By setting: the schemes that are understood, and what the address looks like.
_FORMS = {
    "AMQP_URI": (("amqp", "amqps"), "amqp://user:password@host:5672/vhost"),
    "DATABASE_URL": (("mysql+pymysql",), "mysql+pymysql://user:password@host:3306/clinic"),
    "REDIS_URL": (("redis", "rediss"), "redis://:password@host:6379/0"),
    "AMQP_ADMIN_URL": (("http", "https"), "http://admin:password@host:15672"),
}


def check_addresses(addresses: Mapping[str, str], *, trust_local: bool) -> None:
    """:raises SettingsError: naming one that is set and cannot be used.

    :param trust_local: whether servers on this machine may keep the passwords they came with.
    """
    for name, address in addresses.items():
        if address:
            server = _split(name, address)
            if not (trust_local and server.hostname in LOOPBACK):
                _check_password(name, server)


def _split(name: str, address: str) -> SplitResult:
    schemes, form = _FORMS[name]
    unlike = SettingsError(f"{name} must look like {form}.")
    try:
        server, port = urlsplit(address), make_url(address).port
        usable = server.scheme in schemes and server.hostname and server.port == port
    except (ArgumentError, ValueError):
        # Their texts quote the address.
        raise unlike from None
    if not usable:
        raise unlike
    return server


def _check_password(name: str, server: SplitResult) -> None:
    password = unquote(server.password or "")
    if len(password) < SHORTEST_PASSWORD or len(set(password)) < FEWEST_CHARACTERS:
        raise SettingsError(
            f"{name} must carry a password of at least {SHORTEST_PASSWORD} characters, "
            f"{FEWEST_CHARACTERS} of them different. TRUST_LOCAL_SERVERS=true lets servers on "
            "this machine keep those that they came with."
        )


def checked_keys(rings: Mapping[str, str]) -> Keys:
    """The rings that are set; :raises SettingsError: naming the one that cannot be used."""
    parsed = {}
    for name in KEYS:
        if rings.get(name):
            try:
                parsed[name.removesuffix("_KEYS").lower()] = parse_ring(rings[name])
            except KeyRefused as refused:
                raise SettingsError(f"{name} {refused}.") from refused
    _check_apart(rings)
    if len(parsed.get("index", KeyRing()).ids) > 1:
        raise SettingsError(
            "INDEX_KEYS must hold one key: by another one nobody would be found any more."
        )
    return Keys(**parsed)


def _check_apart(rings: Mapping[str, str]) -> None:
    """Whoever holds a ring for one purpose must not thereby hold that of another.

    :raises SettingsError: when two rings share a secret.
    """
    holders: dict[str, str] = {}
    for name in KEYS:
        for part in filter(None, rings.get(name, "").split(",")):
            secret = part.strip().partition(":")[2]
            first = holders.setdefault(secret, name)
            if first != name:
                raise SettingsError(f"{first} and {name} must not share a secret.")


def reminders(text: str) -> tuple[int, ...]:
    """Minutes, the most first; :raises SettingsError: for what are no whole numbers above 0."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= YEAR for part in parts):
        raise SettingsError("REMINDER_MINUTES must be minutes, such as 1440,120, up to a year.")
    return tuple(sorted({int(part) for part in parts}, reverse=True))


def event_retries(text: str) -> tuple[int, ...]:
    """Seconds, the fewest first; :raises SettingsError: for what are no whole numbers above 0."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= DAY for part in parts):
        raise SettingsError("EVENT_RETRY_SECONDS must be seconds, such as 5,30,300, up to a day.")
    return tuple(sorted({int(part) for part in parts}))


def check_certificates(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as refused:  # ssl.SSLError is one
        raise SettingsError("TLS_CA_FILE must name a file with certificates (PEM).") from refused


def listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
