# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation: what needs statistics over the units of a layer, before the cells."""
