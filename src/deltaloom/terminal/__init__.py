# SPDX-License-Identifier: Apache-2.0
"""What the verbs share: options, tables, progress, output files."""
