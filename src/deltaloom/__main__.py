# SPDX-License-Identifier: Apache-2.0
"""`python -m deltaloom`: the command line."""

from .cli import entry

if __name__ == "__main__":
    entry()
