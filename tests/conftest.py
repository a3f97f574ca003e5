# SPDX-License-Identifier: Apache-2.0
"""For all tests: one thread per process for NumPy's products, before NumPy is imported.

They are small, tests run in several processes, and threads that wait for a busy core made the
golden model five times slower.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
