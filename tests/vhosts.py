"""A virtual host on the broker of all: nobody else sees what is there, and no broker starts for it.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy.engine import make_url


@contextmanager
def own_vhost(addresses: Mapping[str, str]) -> Iterator[str]:
    """Its address, for the broker's administrator."""
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("this broker is not ours to make virtual hosts on")
    name = f"test-{uuid.uuid4().hex[:8]}"
    url = make_url(addresses["AMQP_URI"]).set(database=name)
    made = f"/api/vhosts/{name}", f"/api/permissions/{name}/{url.username}"
    everything = dict.fromkeys(("configure", "write", "read"), ".*")
    with httpx.Client(base_url=addresses["AMQP_ADMIN_URL"], trust_env=False) as admin:
        for path, body in zip(made, ({}, everything), strict=True):
            admin.put(path, json=body).raise_for_status()
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            admin.delete(made[0]).raise_for_status()
