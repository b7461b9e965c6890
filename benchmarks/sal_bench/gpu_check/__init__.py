"""One command for a machine with a GPU: everything that wants one is run, and a report of it is written.

``python -m sal_bench.gpu_check`` (or ``make gpu-check``). It needs PyTorch with CUDA and what ``sal-export`` needs;
each engine that is not installed is left out with its reason. ``--rehearse`` runs the same on a CPU, with ONNX Runtime
in the place of TensorRT, to show that the check itself works.
"""
