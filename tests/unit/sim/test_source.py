"""Sources are taken as pinned, whole, and compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import ToolMissing
from agent.sim import source
from agent.sim.toolchain import Toolchain


def test_what_was_compiled_is_not_compiled_again(toolchain: Toolchain) -> None:
    first = toolchain.artifact(source.PROTOCOL, "PerpsAccountModule")
    said: list[str] = []
    again = source.artifact(toolchain.root, "PerpsAccountModule", said.append)
    assert (again, said) == (first, [])
    assert len(again.bytecode) > 20_000
    assert any(entry.get("name") == "getAvailableMargin" for entry in again.abi)


def test_modules_of_the_same_name_are_told_apart(toolchain: Toolchain) -> None:
    perps, spot = (
        {str(entry.get("name")) for entry in toolchain.artifact(source.PROTOCOL, name).abi}
        for name in ("MarketConfigurationModule", "SpotMarketConfigurationModule")
    )
    assert "getLiquidationParameters" in perps - spot
    assert "getMarketSkewScale" in spot - perps


def test_a_contract_that_is_not_compiled_is_missing_by_name(toolchain: Toolchain) -> None:
    with pytest.raises(ToolMissing, match="contract Nothing of synthetix"):
        toolchain.artifact(source.PROTOCOL, "Nothing")


def test_every_import_is_followed_and_one_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    packages, own = tmp_path / "packages", tmp_path / "own"
    (packages / "a" / "package" / "contracts").mkdir(parents=True)
    (own / "b" / "contracts").mkdir(parents=True)
    (packages / "a" / "package" / "contracts" / "One.sol").write_text(
        'import "./Two.sol";\nimport {X} from "@synthetixio/b/contracts/Three.sol";\n'
    )
    (packages / "a" / "package" / "contracts" / "Two.sol").write_text("// nothing\n")
    three = own / "b" / "contracts" / "Three.sol"
    three.write_text('import * as Y from "../../a/contracts/Two.sol";\n')
    root = "@synthetixio/a/contracts/One.sol"
    found = source.closure(packages, own, [root])
    assert sorted(found) == [root, "@synthetixio/a/contracts/Two.sol", "@synthetixio/b/contracts/Three.sol"]
    three.unlink()
    with pytest.raises(ToolMissing, match=r"the source @synthetixio/b/contracts/Three\.sol"):
        source.closure(packages, own, [root])


def test_our_stand_in_is_our_own_and_names_no_licence_but_ours() -> None:
    files = sorted(source.stand_in().rglob("*.sol"))
    assert len(files) >= 10
    assert all(path.read_text().startswith("// SPDX-License-Identifier: Apache-2.0\n") for path in files)
