// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Everything that a view can do to whoever asks it, chosen by the last digit of the subject
contract Moody {
    error Never(uint256 subject, bytes padding);

    uint256 public written = 7;

    function ask(uint256 subject) external view returns (uint256, uint256, int256) {
        uint256 mood = subject % 10;
        if (mood == 1) revert();
        if (mood == 2) revert("not now");
        if (mood == 3) revert Never(subject, new bytes(5000));
        assembly {
            if eq(mood, 4) { invalid() }
            if eq(mood, 5) { return(0, 32) }
            if eq(mood, 6) { stop() }
            if eq(mood, 7) {
                for { let i := 0 } lt(i, 300) { i := add(i, 1) } { mstore(mul(32, i), add(subject, i)) }
                return(0, 9600)
            }
            if eq(mood, 8) { for {} 1 {} { pop(keccak256(0, 64)) } }
        }
        return (subject, uint256(keccak256(abi.encode(subject))), -int256(subject));
    }

    /// @notice Two subjects and a constant: a column with two holes.
    function pair(address first, uint256 fixed_, address second) external pure returns (uint256) {
        return uint160(first) + fixed_ + uint160(second);
    }

    /// @notice 1 if whoever asks left it gas enough, else 2: never a revert.
    function hungry(uint256 rounds) external view returns (uint256) {
        try this.burn(rounds) returns (uint256) {
            return 1;
        } catch {
            return 2;
        }
    }

    function burn(uint256 rounds) external pure returns (uint256 found) {
        for (uint256 i; i < rounds; ++i) {
            assembly {
                mstore(0, xor(found, i))
                found := keccak256(0, 32)
            }
        }
    }

    /// @notice Not a view: whoever asks must find it undone.
    function write() external returns (uint256) {
        return ++written;
    }

    function asker() external view returns (address) {
        return msg.sender;
    }

    function blob(uint256 size) external pure returns (bytes memory) {
        return new bytes(size);
    }
}
