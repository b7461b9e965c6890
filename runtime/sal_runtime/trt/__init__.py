"""TensorRT: which library is here, and engines built, described beside themselves, checked, kept and inspected.

``tensorrt`` 10 and 11 (Jetson, data centre, desktop) and ``tensorrt_rtx`` (desktop RTX) go through the same code over
one imported module. Nothing here runs an engine: that is :mod:`sal_runtime.backends.tensorrt_backend`.

Only names that exist in 10.3, 10.13, 10.16, 11.4 and in RTX 1.7 are used, or those of one of them behind a question; a
test holds the code against the recorded interfaces. Enumerations were renumbered in 11, so that a flag is always
written ``1 << int(Flag.NAME)``.
"""
