// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Where GMX v2 keeps each number: a hash of its name and of what it belongs to
library GmxKeys {
    function at(string memory name) internal pure returns (bytes32) {
        return keccak256(abi.encode(name));
    }

    function at(string memory name, address a) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), a));
    }

    function at(string memory name, address a, address b) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), a, b));
    }

    function at(string memory name, address a, address b, address c) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), a, b, c));
    }

    function at(string memory name, address a, bool flag) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), a, flag));
    }

    function at(string memory name, address a, address b, bool flag) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), a, b, flag));
    }

    function at(string memory name, string memory kind, address a, bool flag) internal pure returns (bytes32) {
        return keccak256(abi.encode(at(name), at(kind), a, flag));
    }
}
