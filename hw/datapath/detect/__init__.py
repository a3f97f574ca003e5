# SPDX-License-Identifier: Apache-2.0
"""Frames and states become codes, and codes that changed become events."""
