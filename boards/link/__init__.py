# SPDX-License-Identifier: Apache-2.0
"""Two byte streams, one each way, that lose nothing over a line that may: the board's end."""
