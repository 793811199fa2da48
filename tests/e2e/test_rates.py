"""A thousand requests at once, and four workers who let two hundred of them through."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.desk import eventually
from tests.e2e.gateways import gateway_alone
from tests.systems import System

QUOTA, WORKERS, REQUESTS, CONNECTIONS = 200, 4, 1000, 50
SETTINGS = {"RATE_LIMIT_PER_MINUTE": str(QUOTA), "GATEWAY_WORKERS": str(WORKERS)}


@pytest.fixture(scope="module")
def limited(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    folder, redis = tmp_path_factory.mktemp("limited"), addresses["REDIS_URL"]
    with gateway_alone(
        folder, addresses, name="limited", REDIS_URL=redis, **SETTINGS
    ) as system:
        yield system


@pytest.fixture(scope="module")
def alone(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Its workers find no Redis to count in."""
    folder = tmp_path_factory.mktemp("alone")
    with gateway_alone(folder, addresses, name="limited_alone", **SETTINGS) as system:
        yield system


def all_at_once(system: System, path: str, headers: dict[str, str]) -> Counter[int]:
    """The statuses of a thousand requests on many connections, so of all workers."""
    address = urlsplit(system.url).netloc

    def told(_: int) -> list[int]:
        statuses = []
        for _ in range(REQUESTS // CONNECTIONS):
            connection = HTTPConnection(address, timeout=20)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.getheader("RateLimit-Policy") == f'"default";q={QUOTA};w=60'
            if answer.status == 429:
                assert 1 <= int(answer.getheader("Retry-After") or 0) <= 60
            statuses.append(answer.status)
            connection.close()
        return statuses

    with ThreadPoolExecutor(CONNECTIONS) as crowd:
        return Counter(status for each in crowd.map(told, range(CONNECTIONS)) for status in each)


def a_session(system: System) -> dict[str, str]:
    login = {"email": system.environ["ADMIN_EMAIL"], "password": system.environ["ADMIN_PASSWORD"]}
    with system.caller() as nobody:
        answer = eventually(
            lambda: told if (told := nobody.post("/auth/login", json=login)).is_success else None,
            seconds=60, what="the administrator",
        )
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def let_through(statuses: Counter[int], expected: int) -> int:
    assert statuses.keys() == {expected, 429} and statuses.total() == REQUESTS
    return statuses[expected]


def test_one_account_gets_its_quota_whatever_worker_it_meets(limited: System) -> None:
    statuses = all_at_once(limited, "/me", a_session(limited))
    assert QUOTA * 0.98 <= let_through(statuses, 200) <= QUOTA * 1.02
    # Another session of the same account has none left.
    with httpx.Client(base_url=limited.url, headers=a_session(limited), trust_env=False) as again:
        assert again.get("/me").status_code == 429


def test_one_address_gets_its_quota_whatever_worker_it_meets(limited: System) -> None:
    statuses = all_at_once(limited, "/nowhere", {})
    assert QUOTA * 0.98 <= let_through(statuses, 404) <= QUOTA * 1.02


def test_without_redis_no_worker_lets_more_through_than_it_would_alone(alone: System) -> None:
    statuses = all_at_once(alone, "/nowhere", {})
    assert QUOTA <= let_through(statuses, 404) <= WORKERS * QUOTA
