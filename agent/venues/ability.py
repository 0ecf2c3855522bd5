"""What we can do at a venue, as the venue itself declares it: for `evenkeel venues` and the README."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ability:
    """Each is what the tests hold to, no more.

    ``reads``: what of an account is read. ``margin``: the margin model, "" where the venue has no margin.
    ``flip_exact``: the model's liquidation price is the contract's own, to the last unit it can see.
    ``writes``: the actions it can write, as people call them. ``bytecode``: what the tests run against
    ("npm: ..." and "compiled: ..." are the protocol's own contracts); "" for stand-ins only.
    """

    reads: str
    margin: str
    flip_exact: bool
    writes: tuple[str, ...]
    bytecode: str

    @property
    def is_tested_on_real_bytecode(self) -> bool:
        return bool(self.bytecode)
