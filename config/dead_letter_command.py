"""``clinic dead-letters``: what nothing could be done with, looked at, sent again or dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from config.settings import Settings, SettingsError, beside_stack

if TYPE_CHECKING:
    from config.messaging.letters import Letter, Letters

WHERE = (
    "Start `make stack` first, with the same DATA_DIR, or set AMQP_URI to the address that `clinic "
    "setup` wrote into operator.env. (`make run` keeps its dead letters in its own process, until "
    "it ends; its log names each.)"
)
NOT_THERE = "There is no dead letter {}: `clinic dead-letters list` shows which there are."
ONE_OR_ALL = "Name one letter by its id, or say --all."

everything = click.option("--all", "every", is_flag=True, help="All that there are now.")


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at messages that nothing could be done with; send events again, or drop them."""


@dead_letters.command("list")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), show_default=True)
def list_letters(limit: int) -> None:
    """Print a line for each, the oldest first: id, time, queue, reason."""
    with _letters() as (letters, _):
        waiting = len(letters)
        for letter in islice(letters, limit):
            click.echo(letter.summary)
    if waiting > limit:
        click.echo(f"... and {waiting - limit} more; --limit shows more of them.")
    if not waiting:
        click.echo("There are no dead letters.")


@dead_letters.command()
@click.argument("number", metavar="ID")
def show(number: str) -> None:
    """Print one: an event whole, of a call what is known about it."""
    with _letters() as (letters, _):
        letter = _found(letters, number)
        click.echo(f"{letter.summary}\n{letter.content}")


@dead_letters.command()
@click.argument("number", metavar="ID", required=False)
@everything
def replay(number: str | None, every: bool) -> None:
    """Send events to their queues again, as if for the first time.

    First mend what their handler failed for. One that was handled already has no second effect: its
    id is kept for EVENT_DAYS, and longer than any letter while those are limited to 30 days.
    """
    from config.messaging.letters import NotReplayed

    left = 0
    with _letters() as (letters, settings):
        seconds = settings.event_retry_seconds[0]
        for letter in _chosen(letters, number, every):
            try:
                listening = letters.replay(letter, seconds=seconds)
            except NotReplayed as refused:
                click.echo(str(refused), err=True)
                left += 1
                continue
            when = f"in {seconds} s" if listening else "when its program runs"
            click.echo(f"{letter.id}: handled again {when}, by {letter.queue}")
    if left:
        raise SystemExit(1)


@dead_letters.command()
@click.argument("number", metavar="ID", required=False)
@everything
def drop(number: str | None, every: bool) -> None:
    """Remove letters for good."""
    with _letters() as (letters, _):
        for letter in _chosen(letters, number, every):
            letters.drop(letter)
            click.echo(f"{letter.id}: dropped")


def _chosen(
    letters: "Letters", number: str | None, every: bool
) -> "Iterator[Letter]":
    if (number is None) is not every:
        raise click.UsageError(ONE_OR_ALL)
    if number is not None:
        yield _found(letters, number)
        return
    # No more than there were: one that is sent again may be back before the end.
    yield from islice(letters, len(letters))


def _found(letters: "Letters", number: str) -> "Letter":
    for letter in letters:
        if letter.id == number:
            return letter
    raise click.ClickException(NOT_THERE.format(number))


@contextmanager
def _letters() -> "Iterator[tuple[Letters, Settings]]":
    try:
        settings = beside_stack(("AMQP_URI",))
    except SettingsError as refused:
        raise click.ClickException(f"{refused} {WHERE}") from refused
    from amqp.exceptions import AccessRefused, NotFound

    from config.messaging.dead_letters import NOT_TAKEN
    from config.messaging.letters import opened

    try:
        with opened(settings.amqp_uri, ca_file=settings.tls_ca_file) as letters:
            yield letters, settings
    except AccessRefused as refused:
        raise click.ClickException(
            "AMQP_URI: the broker refuses this user. Take the address that `clinic setup` wrote "
            "last into operator.env, and the programs' EVENT_RETRY_SECONDS."
        ) from refused
    except NotFound as missing:
        raise click.ClickException(
            "The broker is not prepared for dead letters: run `clinic topology` first, with the "
            "programs' EVENT_RETRY_SECONDS."
        ) from missing
    except NOT_TAKEN as failure:
        raise click.ClickException(
            f"AMQP_URI: the broker does not answer ({type(failure).__name__}): is it up? What was "
            "neither dropped nor sent again is still there."
        ) from failure
