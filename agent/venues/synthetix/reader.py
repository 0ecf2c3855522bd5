"""Which calls read an address's accounts: three rounds of them.

First the markets, the protocol's terms and how many account tokens the address holds; then the tokens'
numbers and what keepers cost; then each account. What has no getter is read from storage.
"""

from __future__ import annotations

from agent.chain.question import Question, ask
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.deployments import SynthetixDeployment
from agent.venues.synthetix import storage
from agent.venues.synthetix.decode import (
    cost_of,
    keeper_of,
    margin_of,
    market_of,
    order_of,
    require_agreement,
    token_of,
)
from agent.venues.synthetix.fragment import (
    DEFAULT_TOLERANCE,
    ERC20,
    FLAG,
    LIQUIDATE,
    PERPS_PRICE,
    SELL,
    SETTLEMENT,
    SPOT_PRICE,
    STRATEGY_ID,
    SYNTHETIX,
    USD_ID,
    Key,
    Replies,
)
from agent.venues.synthetix.state import SynthetixState


def read(synthetix: SynthetixDeployment, account: Address, block: Block) -> Reading[SynthetixState]:
    """The accounts at ``block``. Raises ReadReverted, DecodeMismatch or ContractMismatch."""
    first = yield from ask(_first(synthetix, account))
    second = yield from ask(_second(synthetix, account, first))
    held = range(first[("held", "")].integer)
    ids = tuple(second[("account", index)].integer for index in held)
    third = yield from ask(_third(synthetix, ids))
    markets = tuple(market_of(market.id, market.asset, first) for market in synthetix.markets)
    keeper = keeper_of(first, second)
    orders = {key: order_of(third[("order", key)], markets, block.timestamp_s) for key in ids}
    replies = {**first, **third}
    margins = tuple(margin_of(synthetix, key, markets, keeper, block, replies, orders[key]) for key in ids)
    for margin in margins:
        require_agreement(margin, third)
    return SynthetixState(
        usd_token=token_of(synthetix, first),
        at_s=block.timestamp_s,
        markets=markets,
        margins=margins,
        orders=tuple(order for order in orders.values() if order is not None),
        allowance_wad=first[("allowance", "")].integer,
        settlement_cost_wad=cost_of(second[("cost", (SETTLEMENT, 0))]),
    )


def token_questions(synthetix: SynthetixDeployment) -> dict[Key, Question]:
    """What `token_of` needs."""
    token = Address(synthetix.usd_token)
    return {
        ("symbol", ""): Question(token, ERC20["symbol"]),
        ("decimals", ""): Question(token, ERC20["decimals"]),
    }


def _first(synthetix: SynthetixDeployment, account: Address) -> dict[Key, Question]:
    perps, spot = Address(synthetix.perps_market), Address(synthetix.spot_market)
    usd, tokens = Address(synthetix.usd_token), Address(synthetix.account_token)
    interest = storage.single_slot("InterestRate")
    asked: dict[Key, Question] = {
        ("held", ""): Question(tokens, SYNTHETIX["balanceOf"], (account,)),
        ("guards", ""): Question(perps, SYNTHETIX["getKeeperRewardGuards"]),
        ("collateral ratio", ""): Question(perps, SYNTHETIX["getCollateralLiquidateRewardRatio"]),
        ("cost node", ""): Question(perps, SYNTHETIX["getKeeperCostNodeId"]),
        ("flagged", ""): Question(perps, SYNTHETIX["flaggedAccounts"]),
        ("interest", ""): storage.word(perps, interest + storage.ACCRUED, "interestAccrued"),
        ("interest rate", ""): storage.word(perps, interest + storage.RATE, "interestRate"),
        ("interest time", ""): storage.word(perps, interest + storage.RATE_TIME, "lastTimestamp"),
        ("allowance", ""): Question(usd, ERC20["allowance"], (account, perps)),
        **token_questions(synthetix),
    }
    for market in synthetix.markets:
        key, base = market.id, storage.market_slot(market.id)
        asked |= {
            ("price", key): Question(perps, SYNTHETIX[PERPS_PRICE], (key,)),
            ("size", key): Question(perps, SYNTHETIX["size"], (key,)),
            ("max size", key): Question(perps, SYNTHETIX["getMaxMarketSize"], (key,)),
            ("funding terms", key): Question(perps, SYNTHETIX["getFundingParameters"], (key,)),
            ("margin terms", key): Question(perps, SYNTHETIX["getLiquidationParameters"], (key,)),
            ("limit terms", key): Question(perps, SYNTHETIX["getMaxLiquidationParameters"], (key,)),
            ("fees", key): Question(perps, SYNTHETIX["getOrderFees"], (key,)),
            ("locked", key): Question(perps, SYNTHETIX["getLockedOiRatio"], (key,)),
            ("strategy", key): Question(perps, SYNTHETIX["getSettlementStrategy"], (key, STRATEGY_ID)),
            ("skew", key): storage.word(perps, base + storage.SKEW, "skew"),
            ("rate", key): storage.word(perps, base + storage.FUNDING_RATE, "lastFundingRate"),
            ("value", key): storage.word(perps, base + storage.FUNDING_VALUE, "lastFundingValue"),
            ("time", key): storage.word(perps, base + storage.FUNDING_TIME, "lastFundingTime"),
        }
    for synth in synthetix.collaterals:
        key = synth.id
        asked |= {
            ("synth price", key): Question(spot, SYNTHETIX[SPOT_PRICE], (key, SELL, DEFAULT_TOLERANCE)),
            ("synth scale", key): Question(spot, SYNTHETIX["getMarketSkewScale"], (key,)),
            ("synth terms", key): Question(perps, SYNTHETIX["getCollateralConfigurationFull"], (key,)),
        }
    return asked


def _second(synthetix: SynthetixDeployment, account: Address, first: Replies) -> dict[Key, Question]:
    tokens, oracle = Address(synthetix.account_token), Address(synthetix.oracle_manager)
    asked: dict[Key, Question] = {
        ("account", index): Question(tokens, SYNTHETIX["tokenOfOwnerByIndex"], (account, index))
        for index in range(first[("held", "")].integer)
    }
    (node,) = first[("cost node", "")].outputs
    kinds = [
        (SETTLEMENT, 0),
        (LIQUIDATE, 0),
        *((FLAG, feeds) for feeds in range(len(synthetix.markets) + len(synthetix.collaterals) + 1)),
    ]
    for kind, feeds in kinds:
        asked[("cost", (kind, feeds))] = Question(
            oracle, SYNTHETIX["processWithRuntime"], (node, *_runtime(kind, feeds))
        )
    return asked


def _runtime(kind: int, feeds: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """What the market tells its oracle node of a keeper's work: ``KeeperCosts._processWithRuntime``."""
    keys = tuple(name.ljust(32, b"\0") for name in (b"numberOfUpdatedFeeds", b"executionKind", b"", b""))
    return keys, tuple(value.to_bytes(32, "big") for value in (feeds, kind, 0, 0))


def _third(synthetix: SynthetixDeployment, ids: tuple[int, ...]) -> dict[Key, Question]:
    perps = Address(synthetix.perps_market)
    asked: dict[Key, Question] = {}
    for key in ids:
        asked |= {
            ("debt", key): Question(perps, SYNTHETIX["debt"], (key,)),
            ("collaterals", key): Question(perps, SYNTHETIX["getAccountCollateralIds"], (key,)),
            ("positions", key): Question(perps, SYNTHETIX["getAccountOpenPositions"], (key,)),
            ("order", key): Question(perps, SYNTHETIX["getOrder"], (key,)),
            ("available", key): Question(perps, SYNTHETIX["getAvailableMargin"], (key,)),
            ("required", key): Question(perps, SYNTHETIX["getRequiredMargins"], (key,)),
        }
        for collateral in (USD_ID, *(synth.id for synth in synthetix.collaterals)):
            question = Question(perps, SYNTHETIX["getCollateralAmount"], (key, collateral))
            asked[("amount", (key, collateral))] = question
        for market in synthetix.markets:
            slot = storage.position_slot(market.id, key)
            for index, name in enumerate(("size", "entry", "interest")):
                asked[(name, (key, market.id))] = storage.word(perps, slot + index, f"position.{name}")
    return asked
