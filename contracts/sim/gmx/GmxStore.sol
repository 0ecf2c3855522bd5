// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The local chain's stand-in for GMX v2's DataStore: numbers and sets under hashed keys
contract GmxStore {
    mapping(bytes32 key => uint256) public getUint;
    mapping(bytes32 key => int256) public getInt;
    mapping(bytes32 key => bool) public getBool;
    mapping(bytes32 key => address) public getAddress;
    mapping(bytes32 key => bytes32) public getBytes32;
    mapping(address writer => bool) public isWriter;
    mapping(bytes32 set => bytes32[]) private members;
    mapping(bytes32 set => mapping(bytes32 member => uint256 place)) private places; // from 1

    error NotWriter(address caller);

    constructor() {
        isWriter[msg.sender] = true;
    }

    modifier onlyWriter() {
        if (!isWriter[msg.sender]) revert NotWriter(msg.sender);
        _;
    }

    function allow(address writer) external onlyWriter {
        isWriter[writer] = true;
    }

    function setUint(bytes32 key, uint256 value) external onlyWriter {
        getUint[key] = value;
    }

    /// @notice Many at once, for whoever sets a market up.
    function setUints(bytes32[] calldata keys, uint256[] calldata values) external onlyWriter {
        for (uint256 i; i < keys.length; i++) {
            getUint[keys[i]] = values[i];
        }
    }

    function setInt(bytes32 key, int256 value) external onlyWriter {
        getInt[key] = value;
    }

    function setBool(bytes32 key, bool value) external onlyWriter {
        getBool[key] = value;
    }

    function setAddress(bytes32 key, address value) external onlyWriter {
        getAddress[key] = value;
    }

    function setBytes32(bytes32 key, bytes32 value) external onlyWriter {
        getBytes32[key] = value;
    }

    function addBytes32(bytes32 set, bytes32 member) external onlyWriter {
        if (places[set][member] != 0) return;
        members[set].push(member);
        places[set][member] = members[set].length;
    }

    function removeBytes32(bytes32 set, bytes32 member) external onlyWriter {
        uint256 place = places[set][member];
        if (place == 0) return;
        bytes32 last = members[set][members[set].length - 1];
        members[set][place - 1] = last;
        places[set][last] = place;
        members[set].pop();
        delete places[set][member];
    }

    function containsBytes32(bytes32 set, bytes32 member) external view returns (bool) {
        return places[set][member] != 0;
    }

    function getBytes32Count(bytes32 set) external view returns (uint256) {
        return members[set].length;
    }

    function getBytes32ValuesAt(bytes32 set, uint256 start, uint256 end)
        external
        view
        returns (bytes32[] memory found)
    {
        uint256 count = members[set].length;
        if (end > count) end = count;
        if (start >= end) return found;
        found = new bytes32[](end - start);
        for (uint256 i = start; i < end; i++) {
            found[i - start] = members[set][i];
        }
    }
}
