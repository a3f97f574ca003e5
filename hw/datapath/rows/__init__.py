# SPDX-License-Identifier: Apache-2.0
"""The accumulators: sums join M, are rescaled, and add up to pre-activations."""
