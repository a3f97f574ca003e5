# SPDX-License-Identifier: Apache-2.0
"""Gowin's LittleBee and Arora families: devices, clocks, synthesis, place and route."""
