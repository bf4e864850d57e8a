"""What apps write and how they are looked into: logs, shells, metrics.

Live, everything comes from the streamer, the one process that may read pods: the api signs a grant for each call, and the
streamer checks the pod's labels itself. Past lines come from a ``LogStore``. A line is named by its pod, its time and its
number among that pod's lines of the same time; the two sources agree on that, so that their seam has neither gap nor
repetition. Tables: ``log_chunks``, ``log_positions``.
"""
