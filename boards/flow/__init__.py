# SPDX-License-Identifier: Apache-2.0
"""From a network to a bitstream and its report, for any board."""
