# SPDX-License-Identifier: Apache-2.0
"""Means over a layer's units: its units go through their cell in several turns."""
