"""Where the venue lives on one chain: this part of a deployment file."""

from __future__ import annotations

from agent.venues.record import AddressField, Record


class ExampleDeployment(Record):
    """One market; ``asset`` is our name for its underlying."""

    perps: AddressField
    token: AddressField
    asset: str
