"""What the README says is so."""

import re
from pathlib import Path

from config.settings import table
from gateway.routes import ROUTES
from schemas.events import NAMES

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_table_of_settings_is_the_one_that_the_program_prints() -> None:
    assert table() in README


def test_each_route_is_named() -> None:
    for route in ROUTES:
        path = re.sub("<[^>]*>", "{id}", route.path)
        assert re.search(rf"`{route.method} {re.escape(path)}[`?]", README), (route.method, path)


def test_each_event_is_named() -> None:
    for name in {name for names in NAMES.values() for name in names}:
        assert f"`{name}`" in README
