# SPDX-License-Identifier: Apache-2.0
"""Cycles and area from the configuration, without simulation or synthesis."""
