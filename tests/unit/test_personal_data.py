"""The record of processing names every column there is, and no other."""

import re
from pathlib import Path

import pytest

from config.encryption import SEALED
from config.programs import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "personal-data.md").read_text()


def listed(database: str) -> dict[str, str]:
    """What the page says of each column of the database."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        if database in title.split(", "):
            found |= dict(re.findall(r"^\| `([a-z_.]+)` \|(.*)\|$", text, re.MULTILINE))
    return found


@pytest.mark.parametrize("database", catalogue().databases)
def test_every_column_of_a_database_is_listed_and_none_that_it_does_not_have(database: str) -> None:
    tables = catalogue().tables(database).sorted_tables
    columns = {f"{table.name}.{column.name}" for table in tables for column in table.columns}
    assert listed(database).keys() == columns


@pytest.mark.parametrize("database", catalogue().databases)
def test_what_is_said_to_be_sealed_is(database: str) -> None:
    tables = catalogue().tables(database).sorted_tables
    sealed = {
        f"{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if column.info.get(SEALED)
    }
    assert {name for name, said in listed(database).items() if "| sealed |" in said} == sealed


@pytest.mark.parametrize("database", catalogue().databases)
def test_everything_is_said_of_a_column(database: str) -> None:
    for name, said in listed(database).items():
        what, personal, _, kept, why = (cell.strip() for cell in said.split("|"))
        assert what and personal and kept and why, name
