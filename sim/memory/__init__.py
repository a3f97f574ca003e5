# SPDX-License-Identifier: Apache-2.0
"""An SDRAM for simulators, and what is run against it."""
