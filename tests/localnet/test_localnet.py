"""The local chain holds what it promises, told by the protocols' own contracts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import cast

import pytest

from agent.errors import ConfigInvalid, ReadReverted, TransactionReverted
from agent.sim import depth
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.book import CASH_WAD, MARGIN_WAD, SHORTS, book_key, write_keystore
from agent.sim.contract import Chain
from agent.sim.deploy.curie import MAX_UINT
from agent.sim.deploy.lyra import BASE_KEY
from agent.sim.localnet import Localnet, LocalnetOptions, attach, running
from agent.sim.node import quantity
from agent.sim.toolchain import Toolchain
from agent.values.fixed import WAD
from agent.venues.deployments import load

LIQUIDATED, ACTIVE = 3, 1


def _positions(net: Localnet, account: str) -> list[dict[str, int]]:
    return cast(list[dict[str, int]], net.lyra.option_token.records("getOwnerPositions", account))


def _can_liquidate(net: Localnet, position: dict[str, int], spot_wad: int) -> bool:
    strike, board = net.lyra.option_market.call("getStrikeAndBoard", position["strikeId"])
    strike, board = cast(dict[str, int], strike), cast(dict[str, int], board)
    return net.lyra.option_token.truth(
        "canLiquidate", position, board["expiry"], strike["strikePrice"], spot_wad
    )


def test_the_book_is_seen_by_lyras_own_viewer(localnet: Localnet) -> None:
    markets = localnet.lyra.viewer.records("getOwnerPositions", localnet.book.account)
    seen = cast(list[dict[str, int]], markets[0]["positions"])
    assert [p["positionId"] for p in seen] == list(localnet.book.option_ids)
    assert [(p["optionType"], p["amount"], p["state"]) for p in seen] == [
        (short.option_type, short.size_wad, ACTIVE) for short in SHORTS
    ]


def test_the_book_margin_on_curie_is_its_deposit_less_the_cost_of_the_hedge(localnet: Localnet) -> None:
    curie, account = localnet.curie, localnet.book.account
    value = curie.clearing_house.integer("getAccountValue", account)
    size = curie.account_balance.integer("getTakerPositionSize", account, curie.base.address)
    requirement = curie.account_balance.integer("getMarginRequirementForLiquidation", account)
    assert size < 0
    assert MARGIN_WAD - 50 * WAD < value < MARGIN_WAD
    assert requirement < value / 5


def _liquidity(net: Localnet) -> tuple[int, int]:
    """What the book's liquidity holds now, in base and quote: an eth_call of taking all of it out."""
    manager = net.uniswap.position_manager
    position = manager.record("positions", net.book.liquidity_id)
    out = manager.call(
        "decreaseLiquidity",
        {
            "tokenId": net.book.liquidity_id,
            "liquidity": position["liquidity"],
            "amount0Min": 0,
            "amount1Min": 0,
            "deadline": MAX_UINT,
        },
        sender=net.book.account,
    )
    amount0, amount1 = cast(list[int], out)
    return (amount0, amount1) if position["token0"] == net.lyra.base.address else (amount1, amount0)


def test_the_book_holds_liquidity_around_spot_and_its_cash(localnet: Localnet) -> None:
    manager = localnet.uniswap.position_manager
    assert manager.at("ownerOf", localnet.book.liquidity_id) == localnet.book.account
    base, quote = _liquidity(localnet)
    assert min(base * localnet.spot_wad() // WAD, quote) > 8_000 * WAD
    assert base * localnet.spot_wad() // WAD + quote < 20_000 * WAD
    assert localnet.lyra.quote.integer("balanceOf", localnet.book.account) == CASH_WAD


def test_the_book_starts_nearly_delta_neutral(localnet: Localnet) -> None:
    deltas: dict[int, tuple[int, int]] = {}
    for board in localnet.lyra.viewer.records("getLiveBoards", localnet.lyra.option_market.address):
        for strike in cast(list[dict[str, object]], board["strikes"]):
            greeks = cast(dict[str, int], strike["cachedGreeks"])
            deltas[cast(int, strike["strikeId"])] = (greeks["callDelta"], greeks["putDelta"])
    account = localnet.book.account
    net_wad = localnet.lyra.base.integer("balanceOf", account) + _liquidity(localnet)[0]
    for held in _positions(localnet, account):
        call, put = deltas[held["strikeId"]]
        net_wad -= held["amount"] * (put if held["optionType"] == depth.SHORT_PUT else call) // WAD
        if held["optionType"] == depth.SHORT_CALL_BASE:
            net_wad += held["collateral"]
    base = localnet.curie.base.address
    net_wad += localnet.curie.account_balance.integer("getTakerPositionSize", account, base)
    assert abs(net_wad) < WAD // 10


def test_nothing_of_the_book_is_near_liquidation_at_the_start(localnet: Localnet) -> None:
    spot = localnet.spot_wad()
    for position in _positions(localnet, localnet.book.account):
        for percent in range(85, 116):
            assert not _can_liquidate(localnet, position, spot * percent // 100)


def test_an_eth_call_of_open_position_at_the_blocks_time_quotes_the_executed_cost(chain: Localnet) -> None:
    strike = depth.strike_at(list(chain.strikes), 95, 14)
    trade = {
        "strikeId": strike.strike_id,
        "positionId": 0,
        "iterations": 1,
        "optionType": depth.LONG_PUT,
        "amount": 3 * WAD,
        "setCollateralTo": 0,
        "minTotalCost": 0,
        "maxTotalCost": MAX_UINT,
    }
    market, quote, account = chain.lyra.option_market, chain.lyra.quote, chain.book.account
    at_s = chain.node.now_s() + 12
    tx = {"from": account, "to": market.address, "data": "0x" + market.encode("openPosition", trade).hex()}
    answer = str(chain.node.request("eth_call", tx, "latest", {}, {"time": hex(at_s)}))
    quoted_id, quoted_cost, _ = [int(answer[2 + 64 * word : 66 + 64 * word], 16) for word in range(3)]
    before = quote.integer("balanceOf", account)
    receipt = market.send(account, "openPosition", trade)
    trade_event = market.events(receipt.logs, "Trade")[0]
    assert chain.node.now_s() == at_s
    assert trade_event["positionId"] == quoted_id
    assert cast(dict[str, int], trade_event["trade"])["totalCost"] == quoted_cost > 0
    assert before - quote.integer("balanceOf", account) == quoted_cost


def test_a_quarter_off_the_spot_gets_the_untended_puts_liquidated(chain: Localnet) -> None:
    chain.set_spot(chain.spot_wad() * 75 // 100)
    put_id = chain.book.option_ids[0]
    put = next(p for p in _positions(chain, chain.book.account) if p["positionId"] == put_id)
    assert put["optionType"] == depth.SHORT_PUT
    assert _can_liquidate(chain, put, chain.spot_wad())
    receipt = chain.lyra.option_market.send(
        chain.roles["liquidator"], "liquidatePosition", put_id, chain.roles["liquidator"]
    )
    updates = chain.lyra.option_token.events(receipt.logs, "PositionUpdated")
    assert [cast(dict[str, int], update["position"])["state"] for update in updates] == [LIQUIDATED]
    assert put_id not in [p["positionId"] for p in _positions(chain, chain.book.account)]
    trade = chain.lyra.option_market.events(receipt.logs, "Trade")[0]
    assert cast(dict[str, int], trade["liquidation"])["liquidatorFee"] > 0


def test_the_cash_of_the_book_outlasts_a_fall_of_45_percent(localnet: Localnet) -> None:
    spot_wad = localnet.spot_wad() * 55 // 100
    needed_wad = 0
    for held in _positions(localnet, localnet.book.account):
        if held["optionType"] == depth.SHORT_CALL_BASE:
            continue  # its collateral is the asset itself, and a fall helps it
        strike = next(s for s in localnet.strikes if s.strike_id == held["strikeId"])
        minimum_wad = depth.min_collateral_wad(
            localnet.lyra, strike, held["optionType"], held["amount"], spot_wad
        )
        needed_wad += max(minimum_wad * 12 // 10 - held["collateral"], 0)
    assert WAD < needed_wad < CASH_WAD * 6 // 10  # the rest pays for the hedge's margin and costs


def test_a_refresh_ends_the_staleness_of_lyras_greeks(chain: Localnet) -> None:
    cache, spot_wad = chain.lyra.greek_cache, chain.spot_wad() * 93 // 100
    assert not cache.truth("isGlobalCacheStale", chain.spot_wad())
    chain.set_spot(spot_wad)
    assert cache.truth("isGlobalCacheStale", spot_wad)
    chain.refresh()
    assert not cache.truth("isGlobalCacheStale", spot_wad)


def test_healthy_positions_refuse_their_liquidator_by_name(chain: Localnet) -> None:
    liquidator = chain.roles["liquidator"]
    with pytest.raises(TransactionReverted, match="PositionNotLiquidatable"):
        chain.lyra.option_market.send(liquidator, "liquidatePosition", chain.book.option_ids[0], liquidator)
    with pytest.raises(ReadReverted, match="CH_EAV"):
        chain.curie.clearing_house.call(
            "liquidate(address,address)", chain.book.account, chain.curie.base.address, sender=liquidator
        )


def test_weak_longs_on_curie_fall_to_the_protocols_own_liquidation(chain: Localnet) -> None:
    house, base = chain.curie.clearing_house, chain.curie.base.address
    weak, liquidator = chain.roles["curie_trader_1"], chain.roles["liquidator"]
    target_wad = chain.spot_wad() * 85 // 100
    chain.set_spot(target_wad)
    for _ in range(4):  # the arbitrageur sells the pool down, at most 1000 ticks a block
        depth.open_perpetual(chain.curie, chain.roles["arbitrageur"], -250 * WAD)
    chain.node.warp(1800)
    receipt = house.send(liquidator, "liquidate", weak, base)
    liquidated = house.events(receipt.logs, "PositionLiquidated")
    assert [event["trader"] for event in liquidated] == [weak]


def test_the_oracles_of_all_venues_move_together(chain: Localnet) -> None:
    chain.set_spot(2100 * WAD)
    assert chain.spot_wad() == 2100 * WAD
    market = chain.lyra.option_market.address
    assert chain.lyra.synthetix_adapter.integer("getSpotPriceForMarket", market) == 2100 * WAD
    assert chain.curie.base.integer("getIndexPrice", 0) == 2100 * WAD


def test_blocks_are_twelve_seconds_apart_whatever_the_wall_clock_says(chain: Localnet) -> None:
    before_s = chain.node.now_s()
    chain.node.mine()
    chain.node.mine()
    assert chain.node.now_s() - before_s == 24


def test_a_hand_mined_block_orders_by_tip(chain: Localnet) -> None:
    chain.node.set_automine(on=False)
    quote, target = chain.lyra.quote, chain.roles["keeper"]
    slow = quote.submit(chain.roles["liquidator"], "transfer", target, 1, tip_wei=1, gas=100_000)
    fast = quote.submit(chain.roles["arbitrageur"], "transfer", target, 1, tip_wei=10**9, gas=100_000)
    chain.node.mine()
    order = [quantity(chain.node.receipt(tx)["transactionIndex"]) for tx in (fast, slow)]
    assert order == [0, 1]


def test_the_manifest_is_a_deployment_the_agent_can_load(localnet: Localnet, tmp_path: Path) -> None:
    localnet.write(tmp_path)
    deployment = load(tmp_path / "deployment.json")
    assert deployment.model_copy(update={"manifests": {}}) == localnet.deployment()
    assert set(deployment.manifests) == set(deployment.venues)
    for address in (deployment.executor, deployment.curie and deployment.curie.vault):
        assert len(str(localnet.node.request("eth_getCode", address, "latest"))) > 1000


def test_another_process_can_attach_by_the_manifest(
    localnet: Localnet, toolchain: Toolchain, tmp_path: Path
) -> None:
    localnet.write(tmp_path)
    attached = attach(tmp_path / "localnet.json", toolchain)
    assert attached.spot_wad() == localnet.spot_wad()
    assert (attached.book, attached.strikes, attached.roles) == (
        localnet.book,
        localnet.strikes,
        localnet.roles,
    )
    assert {type(strike.strike_wad) for strike in attached.strikes} == {int}  # beyond 64 bits
    attached.node.close()
    with pytest.raises(ConfigInvalid, match=r"nowhere\.json"):
        attach(tmp_path / "nowhere.json", toolchain)


def test_a_kept_chain_comes_back_the_same_and_sooner(toolchain: Toolchain, tmp_path: Path) -> None:
    taken_s, blocks, books = [], [], []
    for _ in range(2):
        began = time.monotonic()
        with running(toolchain, LocalnetOptions(spot_wad=1500 * WAD), cache=tmp_path) as net:
            taken_s.append(time.monotonic() - began)
            blocks.append(
                {key: net.node.block()[key] for key in ("number", "hash", "stateRoot", "timestamp")}
            )
            books.append((net.book, _positions(net, net.book.account)))
            assert net.spot_wad() == 1500 * WAD
            before_s = net.node.now_s()
            net.node.mine()
            assert net.node.now_s() - before_s == 12
    assert blocks[0] == blocks[1]
    assert books[0] == books[1]
    assert taken_s[0] < 10
    assert taken_s[1] < taken_s[0] / 1.5  # a third to a fifth on an idle machine


def test_two_builds_give_the_same_block_hash(toolchain: Toolchain, tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        with running(toolchain, cache=tmp_path / name) as net:
            hashes.append(net.node.block()["hash"])
    assert hashes[0] == hashes[1]


def test_a_fork_of_the_chain_has_the_book_and_leaves_the_base_alone(
    localnet: Localnet, toolchain: Toolchain
) -> None:
    base_block = localnet.node.block_number()
    options = AnvilOptions(chain_id=31338, fork_url=localnet.url, interval_s=12)
    with Anvil(toolchain.anvil, options) as node:
        assert node.chain_id() == 31338
        fork_chain = Chain(node)
        rates = fork_chain.at("rates", localnet.lyra.exchange_rates.address, localnet.lyra.exchange_rates.abi)
        call = localnet.spot_calls(1234 * WAD)[1]
        fork_chain.send(localnet.roles["owner"], call.target, call.data, call.label)
        assert rates.integer("rates", BASE_KEY) == 1234 * WAD
        assert node.now_s() == localnet.node.now_s() + 12
        token = localnet.lyra.option_token
        held = fork_chain.at("token", token.address, token.abi).records(
            "getOwnerPositions", localnet.book.account
        )
        assert held == _positions(localnet, localnet.book.account)
    assert localnet.spot_wad() == 2000 * WAD
    assert localnet.node.block_number() == base_block


def test_the_books_key_file_opens_with_its_password_and_is_private(
    localnet: Localnet, tmp_path: Path
) -> None:
    from eth_account import Account

    keystore, password = write_keystore(tmp_path)
    key = Account.decrypt(json.loads(keystore.read_text()), password.read_text().strip())
    assert bytes(key) == book_key()
    assert Account.from_key(key).address == localnet.book.account
    assert [path.stat().st_mode & 0o777 for path in (keystore, password)] == [0o600, 0o600]
