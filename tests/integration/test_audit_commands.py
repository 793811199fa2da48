"""`clinic audit` in both modes: heads that are kept elsewhere, and faults that are named."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from config.audit.chain import Entry
from config.audit.trail import Trail
from config.command import main
from config.database import connect
from config.keys import fresh, parse_ring
from config.migration import upgrade
from config.programs import catalogue
from config.settings import KEYS
from tests.systems import plain_environ
from tests.waiting import PATIENCE

OTHER_RING = "2031:abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Site:
    """A place with two chains, of five and three rows, and the ``clinic`` command for it."""

    url: URL
    ring: str
    environ: dict[str, str]
    options: tuple[str, ...]

    def run(self, *arguments: str, **environ: str) -> Result:
        argv = ["audit", *arguments, *self.options]
        return CliRunner().invoke(main, argv, env={**self.environ, **environ})

    def heads(self, folder: Path) -> str:
        shown = self.run("heads")
        assert shown.exit_code == 0, shown.output
        file = folder / "heads.jsonl"
        file.write_text(shown.stdout)
        return str(file)

    def change(self, statement: str) -> None:
        """As somebody would who has the database's own password."""
        engine = connect(self.address)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def record(self, entries: int) -> None:
        trail = Trail(self.address, parse_ring(self.ring))
        for _ in range(entries):
            entry = Entry(actor_role="staff", action="get", outcome="200", correlation_id="c")
            trail.record(entry, seconds=PATIENCE)
        trail.close()

    @property
    def address(self) -> str:
        return self.url.render_as_string(hide_password=False)


@pytest.fixture(params=["real", "embedded"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "embedded":
        yield embedded_site(tmp_path)
        return
    rings = fresh(KEYS)
    addresses = request.getfixturevalue("addresses")
    base = make_url(addresses["DATABASE_URL"])
    base = base.set(database=f"{base.database}_{uuid.uuid4().hex[:8]}")
    url = base.set(database=f"{base.database}_audit")
    given = {**addresses, "DATABASE_URL": base.render_as_string(hide_password=False)}
    environ = plain_environ(**given, AUDIT_KEYS=rings["AUDIT_KEYS"])
    made = filled(Site(url, rings["AUDIT_KEYS"], environ, ()))
    yield made
    made.change(f"DROP DATABASE `{url.database}`")


def embedded_site(folder: Path) -> Site:
    rings = fresh(KEYS)
    keys = "".join(f"{name}={ring}\n" for name, ring in rings.items())
    (folder / "keys.env").write_text(keys)
    url = URL.create("sqlite", database=str(folder / "audit.sqlite3"))
    environ = plain_environ(DATA_DIR=str(folder))
    return filled(Site(url, rings["AUDIT_KEYS"], environ, ("--embedded",)))


def filled(site: Site) -> Site:
    upgrade(scripts=catalogue().databases["audit"], url=site.url)
    for entries in (5, 3):
        site.record(entries)
    return site


def test_a_whole_trail_verifies(site: Site, tmp_path: Path) -> None:
    verified = site.run("verify", "--heads", site.heads(tmp_path))
    assert verified.exit_code == 0, verified.output
    assert verified.stdout == "8 rows in 2 chains, 2 heads: nothing was changed or taken away.\n"


def test_the_heads_are_the_newest_rows_of_the_chains(site: Site) -> None:
    heads = [json.loads(line) for line in site.run("heads").stdout.splitlines()]
    assert [head["number"] for head in heads] == [5, 3]
    assert all(set(head) == {"chain", "number", "mac"} for head in heads)


SWAP = (
    "UPDATE audit SET position = 100 WHERE position = 2",
    "UPDATE audit SET position = 2 WHERE position = 3",
    "UPDATE audit SET position = 3 WHERE position = 100",
)


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["UPDATE audit SET outcome = '404' WHERE position = 3"], "position 3, .* 3: edited"),
        (["UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE position = 7"],
         "position 7, .* 2: edited"),
        (["DELETE FROM audit WHERE position = 3"], "position 4, .* 3: missing number"),
        (SWAP, "position 3, .* 2: reordered"),
        (["DELETE FROM audit WHERE position = 5"], "position 6, .* 1: first row's witness missing"),
        (["UPDATE audit SET key_id = '9' WHERE position = 1"],
         "position 1, .* 1: AUDIT_KEYS lacks the key '9' that sealed it"),
    ],
    ids=["edited", "predated", "deleted", "reordered", "cut before another chain", "key"],
)
def test_the_first_bad_row_is_named_with_what_to_do(
    site: Site, statements: list[str], named: str
) -> None:
    for statement in statements:
        site.change(statement)
    verified = site.run("verify")
    assert verified.exit_code == 1
    assert matches(named, verified.stdout)
    assert "faults: 1." in verified.stderr and "What to do" in verified.stderr


@pytest.mark.parametrize("change", ["at = 'junk'", "at = 7", "number = 'x'"])
def test_what_no_program_can_have_written_is_named_too(tmp_path: Path, change: str) -> None:
    """SQLite takes values of any type."""
    site = embedded_site(tmp_path)
    site.change(f"UPDATE audit SET {change} WHERE position = 3")
    verified = site.run("verify")
    assert verified.exit_code == 1
    assert "position 3" in verified.stdout and "edited" in verified.stdout


def matches(pattern: str, shown: str) -> bool:
    (line,) = shown.splitlines()
    before, _, after = pattern.partition(" .* ")
    return line.startswith(before) and line.endswith(f"number {after}")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM audit WHERE position = 8", "number 3: tail cut; it went on to at least 3"),
        ("DELETE FROM audit WHERE position > 5", "chain removed; it had at least 3 rows"),
    ],
    ids=["tail cut", "chain removed"],
)
def test_what_was_taken_from_the_end_is_named_with_the_kept_heads(
    site: Site, tmp_path: Path, statement: str, said: str
) -> None:
    kept = site.heads(tmp_path)
    site.change(statement)
    assert site.run("verify").exit_code == 0, "nothing within the database shows it"
    verified = site.run("verify", "--heads", kept)
    assert verified.exit_code == 1
    assert said in verified.stdout


@pytest.mark.parametrize(
    "line",
    [
        '{{"level": "INFO", "logger": "audit", "message": "head", {head}, "time": "now"}}',
        'gateway | {{"message": "head", {head}}}',
    ],
    ids=["log line", "with a name before it"],
)
def test_heads_are_read_from_log_lines_too(site: Site, tmp_path: Path, line: str) -> None:
    newest = site.run("heads").stdout.splitlines()[-1]
    log = tmp_path / "log"
    others = ['{"message": "request"}', "not JSON", "[]", '{"chain": 1, "number": 2, "mac": 3}']
    log.write_text("\n".join([*others, line.format(head=newest[1:-1])]))
    assert ", 1 heads:" in site.run("verify", "--heads", str(log)).stdout
    site.change("DELETE FROM audit WHERE position > 5")
    assert site.run("verify", "--heads", str(log)).exit_code == 1


def test_a_file_without_heads_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    refused = site.run("verify", "--heads", str(tmp_path / "empty"))
    assert refused.exit_code == 1
    assert "There are no heads in" in refused.stderr


def test_the_key_that_is_lacking_is_named(site: Site, tmp_path: Path) -> None:
    keys = tmp_path / "keys.env"
    if keys.exists():
        keys.write_text(keys.read_text().replace(site.ring, OTHER_RING))
    verified = site.run("verify", AUDIT_KEYS=OTHER_RING)
    assert verified.exit_code == 1
    assert "AUDIT_KEYS lacks the key '1'" in verified.stdout


def test_a_long_trail_is_read_in_batches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.audit.reader.BATCH", 3)
    monkeypatch.setattr("config.audit.commands.WORD_EVERY", 0.0)
    verified = site.run("verify")
    assert verified.stderr.splitlines() == [f"{rows} rows verified ..." for rows in (3, 6, 8)]
    assert verified.exit_code == 0


# Refusals


def refusal(*arguments: str, **environ: str) -> str:
    refused = CliRunner().invoke(main, ["audit", *arguments], env=plain_environ(**environ))
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    return line


def test_a_folder_without_a_trail_is_named_and_gets_no_keys(tmp_path: Path) -> None:
    said = refusal("verify", "--embedded", DATA_DIR=str(tmp_path))
    assert str(tmp_path) in said and "DATA_DIR" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["verify", "heads"])
def test_a_database_that_does_not_answer_is_named_without_its_password(command: str) -> None:
    said = refusal(
        command,
        TRUST_LOCAL_SERVERS="true",
        DATABASE_URL="mysql+pymysql://u:Kq7-vxR2mZp9@127.0.0.1:1/clinic",
        **fresh(("AUDIT_KEYS",)),
    )
    assert "127.0.0.1:1/clinic_audit" in said and "2003" in said
    assert "Kq7-vxR2mZp9" not in said


def test_a_missing_setting_is_named() -> None:
    assert "DATABASE_URL must be set" in refusal("heads", **fresh(("AUDIT_KEYS",)))
    assert "AUDIT_KEYS must be set" in refusal("heads", DATABASE_URL="mysql+pymysql://h/c")
