# SPDX-License-Identifier: Apache-2.0
"""deltaloom: trained recurrent networks as verified delta-RNN accelerators."""

__version__ = "0.1.0"
