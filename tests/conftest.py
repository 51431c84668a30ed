"""One thread a process: pytest has a process a core, and threads that wait for one another would slow all of them."""

import os

# before torch is imported, here or in a process that a test starts
os.environ["OMP_NUM_THREADS"] = "1"
