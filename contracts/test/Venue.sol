// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title A venue that does what it is told, well or badly
contract Venue {
    int256 public position;
    int256 public equity = 1000e18;
    uint256 public maintenance = 100e18;
    uint256 public received;
    uint256 public bought;
    mapping(bytes32 => uint256) public marks;

    error Refused(uint256 amount);

    function trade(address, bool isLong, uint256 amount) external payable {
        if (amount > 1e30) revert Refused(amount);
        position += isLong ? int256(amount) : -int256(amount);
        bought += amount;
        received += msg.value;
    }

    function mark(bytes32 id) external {
        ++marks[id];
    }

    function setEquity(int256 value) external {
        equity = value;
    }

    function setMaintenance(uint256 value) external {
        maintenance = value;
    }

    /// @return Three words, of which checks pick one.
    function quote() external view returns (int256, uint256, int256) {
        return (position, maintenance, equity);
    }

    function sweep(uint256[] calldata amounts, address to) external {
        for (uint256 i; i < amounts.length; ++i) {
            ++marks[bytes32(uint256(uint160(to)))];
        }
    }

    function echo(int256 value) external pure returns (int256) {
        return value;
    }

    function short() external pure {
        assembly {
            return(0, 31)
        }
    }

    function burn() external pure {
        while (true) {}
    }

    function bomb() external pure {
        assembly {
            revert(0, 100000)
        }
    }

    function flood() external pure {
        assembly {
            return(0, 1000000)
        }
    }
}

/// @title Calls a target with prepared calldata whenever it is touched, and passes a failure on
contract Reenterer {
    address public target;
    bytes public payload;
    uint256 public touched;

    function prepare(address target_, bytes calldata payload_) external {
        (target, payload) = (target_, payload_);
    }

    /// @dev Call something as this contract.
    function relay(address to, bytes calldata data) external {
        _pass(to, data);
    }

    function touch() external {
        ++touched;
        if (target != address(0)) _pass(target, payload);
    }

    function _pass(address to, bytes memory data) private {
        (bool ok, bytes memory reason) = to.call(data);
        if (!ok) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    receive() external payable {
        this.touch();
    }
}
