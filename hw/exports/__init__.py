# SPDX-License-Identifier: Apache-2.0
"""A design's facts in other people's formats; every text is made from the manifest alone."""
