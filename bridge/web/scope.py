"""The part of the board that a screen with a limited token sees; everything else never leaves the process."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bridge.web.board import Board
from bridge.web.feed import Change, Kind
from bridge.web.settings import ScreenToken


class Scope:
    """What one reader with a limited token sees. It remembers whom it shows, so each reader has one of its own."""

    def __init__(self, token: ScreenToken, boards: Iterable[Board]) -> None:
        self._token = token
        self._boards = {board.name: board for board in boards if not token.pbxs or board.name in token.pbxs}
        self._by_user = bool(token.groups or token.departments)
        self._members = {
            (name, group): frozenset(board.members(group))
            for name, board in self._boards.items()
            for group in token.groups
        }
        self._shown: set[tuple[str, str]] = set()

    @property
    def boards(self) -> tuple[Board, ...]:
        """The boards of which something is shown."""
        return tuple(self._boards.values())

    def part(self, board: Board) -> str:
        """What of the board is shown, as in a snapshot."""
        shown = [dn for dn in board.numbers if self._shows(board, dn)]
        self._shown.update((board.name, dn) for dn in shown)
        return board.part(shown, self._token.groups if self._by_user else board.groups)

    def __call__(self, change: Change) -> Iterator[Change]:
        """What of a change is shown: users may come into sight by it, or get out of it."""
        board = self._boards.get(change.pbx)
        if board is None:
            return
        if change.kind is Kind.USER:
            yield from self._user(board, change, change.key)
        elif change.kind is Kind.CALL and (board.name, change.key) in self._shown:
            yield change
        elif change.kind is Kind.GROUP and (not self._by_user or change.key in self._token.groups):
            yield change
            yield from self._moved(board, change)

    def _moved(self, board: Board, change: Change) -> Iterator[Change]:
        if not self._by_user:
            return
        place = (board.name, change.key)
        before, after = self._members[place], frozenset(board.members(change.key))
        self._members[place] = after
        for dn in sorted(before ^ after):
            yield from self._user(board, change, dn)

    def _user(self, board: Board, change: Change, dn: str) -> Iterator[Change]:
        place = (board.name, dn)
        if self._shows(board, dn):
            self._shown.add(place)
            yield replace(change, kind=Kind.USER, key=dn, value=board.text_of(dn))
        elif place in self._shown:
            self._shown.remove(place)
            yield replace(change, kind=Kind.USER, key=dn, value="null")

    def _shows(self, board: Board, dn: str) -> bool:
        user = board.shown(dn)
        if user is None or not self._by_user:
            return user is not None
        in_group = any(dn in self._members[board.name, group] for group in self._token.groups)
        return in_group or user.department in self._token.departments
