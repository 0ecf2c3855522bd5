"""What was made of answers last, kept for as long as the answers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Shelf:
    """One thing by each name, with what it was made of. Whoever owns it decides how long it is kept.

    Only for what is made of nothing but its key: then nobody can tell it from one that is made anew.
    """

    __slots__ = ("_things",)

    def __init__(self) -> None:
        self._things: dict[str, tuple[object, object]] = {}

    def get(self, name: str, key: object, make: Callable[[], T]) -> T:
        """What ``make`` gives; the one from before where ``key`` equals that one's."""
        kept = self._things.get(name)
        if kept is not None and kept[0] == key:
            return cast(T, kept[1])
        made = make()
        self._things[name] = (key, made)
        return made
