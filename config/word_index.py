"""Whose text has which words, without the words: how what is sealed is found again."""

from collections.abc import Set
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from config.encryption import vault_of


class WordIndex:
    """A table of (word, whose): ``owner`` names the column that says whose.

    :param purpose: equal words of two purposes have nothing in common.
    """

    def __init__(self, session: Session, table: Any, *, owner: str, purpose: str) -> None:
        self._session = session
        self._table = table
        self._owner = owner
        self._whose = getattr(table, owner)
        self._purpose = purpose

    def keep(self, owner_id: int, words: Set[str]) -> None:
        """From now on these are the words of ``owner_id``, and no others."""
        wanted = self._blind(words)
        mine = select(self._table.word).where(self._whose == owner_id)
        known = set(self._session.scalars(mine))
        if known - wanted:
            gone = self._table.word.in_(known - wanted)
            self._session.execute(delete(self._table).where(self._whose == owner_id, gone))
        self._session.add_all(
            self._table(word=word, **{self._owner: owner_id}) for word in sorted(wanted - known)
        )

    def owners(self, words: Set[str], *, after: int) -> Select[Any]:
        """The ids above ``after`` of those who have all of ``words``."""
        wanted = self._blind(words)
        return (
            select(self._whose)
            .where(self._table.word.in_(wanted), self._whose > after)
            .group_by(self._whose)
            .having(func.count() == len(wanted))
        )

    def _blind(self, words: Set[str]) -> set[str]:
        vault = vault_of(self._session)
        return {vault.index(self._purpose, word) for word in words}
