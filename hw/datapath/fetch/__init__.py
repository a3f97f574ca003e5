# SPDX-License-Identifier: Apache-2.0
"""The program, its passes over event lists, and the weights of every event."""
