# SPDX-License-Identifier: Apache-2.0
"""Finding external programs and running them."""
