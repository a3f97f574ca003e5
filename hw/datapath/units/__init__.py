# SPDX-License-Identifier: Apache-2.0
"""Pre-activations become states, and states leave as outputs."""
