# SPDX-License-Identifier: Apache-2.0
"""From frames to outputs; the folders in alphabetical order are the order of the data."""
