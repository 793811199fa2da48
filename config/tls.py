"""How the servers prove who they are: by certificates that we trust, made out to their names.

Said to each driver in full, because by themselves they check less: PyMySQL nothing, py-amqp no
name. ``ca_file`` (PEM) holds the certificates that are trusted; without it the machine's own are.
"""

import ssl
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url


def broker_options(uri: str, ca_file: str | None) -> dict[str, Any] | None:
    """kombu's ``ssl``, Nameko's ``AMQP_SSL``, for the broker at ``uri``; none for ``amqp://``."""
    address = urlsplit(uri)
    if address.scheme != "amqps":
        return None
    options = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": address.hostname}
    return options | ({"ca_certs": ca_file} if ca_file else {})


def database_address(url: URL, ca_file: str | None) -> URL:
    """``url`` as SQLAlchemy's PyMySQL takes it: with ``ca_file``, nothing is spoken but TLS."""
    if ca_file is None:
        return url
    return _insisting(url, {"ssl_ca": ca_file, "ssl_check_hostname": "true"})


def redis_address(url: str, ca_file: str | None) -> str:
    """``url`` as redis-py takes it, which verifies with the machine's own certificates as well.

    For trusting ``ca_file`` alone, its connections need the context that is made below.
    """
    if not url.startswith("rediss://"):
        return url
    trusted = {"ssl_ca_certs": ca_file} if ca_file else {}
    return _insisting(make_url(url), trusted).render_as_string(hide_password=False)


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """For clients that take one; it verifies certificate and name."""
    return ssl.create_default_context(cafile=ca_file)


def _insisting(url: URL, options: dict[str, str]) -> URL:
    """An address may say how it is verified; what it says gives way."""
    rest = {name: value for name, value in url.query.items() if not name.startswith("ssl")}
    return url.set(query={**rest, **options})
