"""Which nonce the next errand of an account gets. The chain decides; the journal only contradicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.errors import DeepReorg, LaneBusy, ReadUnpinned
from agent.tx.errand import Errand


@dataclass(frozen=True, slots=True)
class Claim:
    """A nonce, and who stands at it now."""

    nonce: int
    standing: Errand | None = None


def claim(
    chain_nonce: int,
    live: Sequence[Errand],
    final: Sequence[Errand],
    head: int,
    is_gapped: Callable[[Errand], bool],
) -> Claim:
    """The account's next unused nonce on chain, if nothing of ours stands against using it.

    ``live`` are the errands that have not ended, ``final`` the newest that ended mined (or nothing).
    A drifted counter cannot arise, for none is kept; errands far above the chain's nonce (``is_gapped``) are
    passed by. Raises LaneBusy while the chain has not caught up with one that was mined, or an open one may
    still be reached; ReadUnpinned when the node is behind what we saw final; DeepReorg when what was final
    is gone.
    """
    standing = None
    for errand in live:
        if errand.is_open and errand.nonce == chain_nonce:
            standing = errand
        elif is_gapped(errand):
            continue
        elif errand.is_open or chain_nonce <= errand.nonce:
            raise LaneBusy(address=errand.account, nonce=errand.nonce, intent_id=errand.intent_id)
    check_final(chain_nonce, final, head)
    return Claim(chain_nonce, standing)


def check_final(chain_nonce: int, final: Sequence[Errand], head: int) -> None:
    """That what was mined for good still is. Raises ReadUnpinned or DeepReorg."""
    for errand in final:
        if errand.inclusion is None or chain_nonce > errand.nonce:
            continue
        number = errand.inclusion.block_number
        if head < number:
            raise ReadUnpinned(block=number, reason=f"the node is at block {head}, behind our last one")
        raise DeepReorg(tx_hash=errand.inclusion.tx_hash, number=number)
