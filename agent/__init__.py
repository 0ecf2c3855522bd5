"""Evenkeel: keeps a derivatives book delta-neutral and away from liquidation, on chain."""

__version__ = "0.1.0"
