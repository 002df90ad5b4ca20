"""Turn a run into statistics, gates, a verdict and its pages."""

import os

# Products of small matrices, ten thousands of them: threads of BLAS mostly wait for each other,
# on a busy machine seven times as long as one thread works. It is asked once, when numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
