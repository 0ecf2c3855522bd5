"""What a signer shows of itself: its address."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from agent.values.address import Address

T = TypeVar("T")


def veiled(cls: type[T]) -> type[T]:
    """A class whose instances show their address and nothing else, and are neither copied nor stored."""
    cls.__repr__ = _shown  # type: ignore[method-assign]
    cls.__reduce__ = _refused  # type: ignore[method-assign, assignment]
    return cls


def _shown(self: object) -> str:
    address: Address | None = getattr(self, "address", None)
    return f"{type(self).__name__}({address or 'closed'})"


def _refused(_self: object) -> NoReturn:
    raise TypeError("a signer is not copied or stored")
