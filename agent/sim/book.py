"""The book the agent looks after: short options, liquidity, a perpetual that hedges them, and cash.

It starts close to delta neutral and far enough from liquidation, and it is placed so that somebody has to
act: left alone, its short puts are liquidated by a fall of a quarter.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agent.sim.anvil import MNEMONIC
from agent.sim.contract import Contract
from agent.sim.deploy.curie import Curie
from agent.sim.deploy.lyra import Lyra
from agent.sim.deploy.uniswap import Uniswap
from agent.sim.depth import (
    SHORT_CALL_BASE,
    SHORT_CALL_QUOTE,
    SHORT_PUT,
    Level,
    Strike,
    approve,
    fund,
    min_collateral_wad,
    mint_liquidity,
    open_option,
    open_perpetual,
    strike_at,
)
from agent.values.address import Address
from agent.values.fixed import WAD

BOOK_INDEX = 18  # which of anvil's development accounts holds the book
SHORTS = (
    Level(95, 14, SHORT_PUT, 12 * WAD, 82),
    Level(105, 14, SHORT_CALL_QUOTE, 8 * WAD, 118),
    Level(110, 28, SHORT_CALL_BASE, 6 * WAD, 118),
)
MARGIN_WAD = 8_000 * WAD
CASH_WAD = 60_000 * WAD  # in the wallet, not posted anywhere: the agent's means to survive a crash
SPOT_WAD = WAD  # of the asset, in the wallet
RANGE = (0.85, 1.15)
RANGE_SIDE_WAD = 10_000 * WAD
LOT_WAD = WAD // 100  # the hedge is rounded to whole hundredths
PBKDF2_ROUNDS = 20_000  # a public development key: no need to spend a second on it


@dataclass(frozen=True, slots=True)
class Book:
    """What was opened, by id."""

    account: Address
    option_ids: tuple[int, ...]
    liquidity_id: int


def seed_book(
    curie: Curie,
    lyra: Lyra,
    uniswap: Uniswap,
    owner: str,
    account: Address,
    strikes: list[Strike],
    spot_wad: int,
) -> Book:
    """Open everything, then hedge what is left of the delta with the perpetual."""
    fund(lyra, owner, account, 200_000 * WAD, 20 * WAD)
    approve(
        lyra.quote, account, lyra.option_market, curie.vault, uniswap.swap_router, uniswap.position_manager
    )
    approve(lyra.base, account, lyra.option_market, uniswap.swap_router, uniswap.position_manager)
    option_ids = [_open_short(lyra, account, strikes, level, spot_wad) for level in SHORTS]
    minted = mint_liquidity(uniswap, lyra, account, spot_wad, *RANGE, RANGE_SIDE_WAD)
    curie.vault.send(account, "deposit", lyra.quote.address, MARGIN_WAD)
    _set_balance(lyra.quote, owner, account, CASH_WAD)
    _set_balance(lyra.base, owner, account, SPOT_WAD)
    delta_wad = _option_delta_wad(lyra, account) + minted.base_wad + SPOT_WAD
    open_perpetual(curie, account, -delta_wad // LOT_WAD * LOT_WAD)
    return Book(account, tuple(option_ids), minted.token_id)


def _open_short(lyra: Lyra, account: str, strikes: list[Strike], level: Level, spot_wad: int) -> int:
    strike = strike_at(strikes, level.level_pct, level.days)
    flip_wad = spot_wad * level.spot_pct // 100
    collateral = min_collateral_wad(lyra, strike, level.option_type, level.size_wad, flip_wad)
    return open_option(lyra, account, strike, level.option_type, level.size_wad, collateral)


def _set_balance(token: Contract, owner: str, account: str, wanted_wad: int) -> None:
    """Exactly ``wanted_wad`` in the wallet; the owner of the test token may mint and burn."""
    held = token.integer("balanceOf", account)
    if held > wanted_wad:
        token.send(owner, "burn", account, held - wanted_wad)
    elif held < wanted_wad:
        token.send(owner, "mint", account, wanted_wad - held)


def _option_delta_wad(lyra: Lyra, account: str) -> int:
    """Delta of the options by the Greeks the market has just cached, asset collateral included."""
    deltas: dict[int, tuple[int, int]] = {}
    for board in lyra.viewer.records("getLiveBoards", lyra.option_market.address):
        for strike in cast(list[dict[str, object]], board["strikes"]):
            greeks = cast(dict[str, int], strike["cachedGreeks"])
            deltas[cast(int, strike["strikeId"])] = (greeks["callDelta"], greeks["putDelta"])
    total_wad = 0
    for position in lyra.option_token.records("getOwnerPositions", account):
        held = cast(dict[str, int], position)
        call_delta, put_delta = deltas[held["strikeId"]]
        delta = put_delta if held["optionType"] == SHORT_PUT else call_delta
        total_wad -= held["amount"] * delta // WAD
        if held["optionType"] == SHORT_CALL_BASE:
            total_wad += held["collateral"]
    return total_wad


def book_key() -> bytes:
    """The book's private key, derived from anvil's public development mnemonic. Worth nothing anywhere."""
    from eth_account.hdaccount import key_from_seed, seed_from_mnemonic  # slow to import, seldom needed

    seed = seed_from_mnemonic(MNEMONIC, passphrase="")
    return bytes(key_from_seed(seed, f"m/44'/60'/0'/0/{BOOK_INDEX}"))


def write_keystore(folder: Path, key: bytes | None = None) -> tuple[Path, Path]:
    """``key.json`` (keystore v3) and ``password`` for the agent, both mode 0600; their paths.

    The book's key, unless another is given.
    """
    from eth_account import Account  # slow to import, seldom needed

    password = secrets.token_urlsafe(24)
    keystore = Account.encrypt(key or book_key(), password, kdf="pbkdf2", iterations=PBKDF2_ROUNDS)
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "key.json", folder / "password")
    for path, text in zip(paths, (json.dumps(keystore), password), strict=True):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(text + "\n")
    return paths
