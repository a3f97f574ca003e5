# SPDX-License-Identifier: Apache-2.0
"""The cell unit: from the gates' pre-activations to the next state, one unit a cycle."""
