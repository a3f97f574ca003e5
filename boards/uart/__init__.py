# SPDX-License-Identifier: Apache-2.0
"""The serial bridge to the bus: line, protocol, commands."""
