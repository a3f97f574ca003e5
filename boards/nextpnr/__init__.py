# SPDX-License-Identifier: Apache-2.0
"""What the families of Yosys and nextpnr share: running both, results kept, reports read."""
