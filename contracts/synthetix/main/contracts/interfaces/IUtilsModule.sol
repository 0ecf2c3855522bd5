// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.8.22 <0.9.0;

/// @title Nothing of it is called by the perps market
interface IUtilsModule {}
