// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    AddressKeyValue,
    Bytes32ArrayKeyValue,
    Bytes32KeyValue,
    BoolKeyValue,
    BytesKeyValue,
    EventLogData,
    IntKeyValue,
    StringKeyValue,
    UintKeyValue
} from "../GmxTypes.sol";

/// @title Fills an event's named items
library GmxItems {
    function addresses(EventLogData memory data, uint256 count) internal pure {
        data.addressItems.items = new AddressKeyValue[](count);
    }

    function uints(EventLogData memory data, uint256 count) internal pure {
        data.uintItems.items = new UintKeyValue[](count);
    }

    function ints(EventLogData memory data, uint256 count) internal pure {
        data.intItems.items = new IntKeyValue[](count);
    }

    function put(EventLogData memory data, uint256 place, string memory key, address value) internal pure {
        data.addressItems.items[place] = AddressKeyValue(key, value);
    }

    function put(EventLogData memory data, uint256 place, string memory key, uint256 value) internal pure {
        data.uintItems.items[place] = UintKeyValue(key, value);
    }

    function put(EventLogData memory data, uint256 place, string memory key, int256 value) internal pure {
        data.intItems.items[place] = IntKeyValue(key, value);
    }

    function flag(EventLogData memory data, string memory key, bool value) internal pure {
        data.boolItems.items = new BoolKeyValue[](1);
        data.boolItems.items[0] = BoolKeyValue(key, value);
    }

    function word(EventLogData memory data, string memory key, bytes32 value) internal pure {
        data.bytes32Items.items = new Bytes32KeyValue[](1);
        data.bytes32Items.items[0] = Bytes32KeyValue(key, value);
    }

    function words(EventLogData memory data, string memory a, bytes32 x, string memory b, bytes32 y)
        internal
        pure
    {
        data.bytes32Items.items = new Bytes32KeyValue[](2);
        data.bytes32Items.items[0] = Bytes32KeyValue(a, x);
        data.bytes32Items.items[1] = Bytes32KeyValue(b, y);
    }

    function list(EventLogData memory data, string memory key, bytes32[] memory value) internal pure {
        data.bytes32Items.arrayItems = new Bytes32ArrayKeyValue[](1);
        data.bytes32Items.arrayItems[0] = Bytes32ArrayKeyValue(key, value);
    }

    function raw(EventLogData memory data, string memory key, bytes memory value) internal pure {
        data.bytesItems.items = new BytesKeyValue[](1);
        data.bytesItems.items[0] = BytesKeyValue(key, value);
    }

    function text(EventLogData memory data, string memory key, string memory value) internal pure {
        data.stringItems.items = new StringKeyValue[](1);
        data.stringItems.items[0] = StringKeyValue(key, value);
    }
}
