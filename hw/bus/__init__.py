# SPDX-License-Identifier: Apache-2.0
"""The buses around the datapath: AXI4-Lite registers, counters, image loader, sequence buffer."""
