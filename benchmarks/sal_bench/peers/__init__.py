"""The same checkpoint through what a user would take instead: PyTorch, plain ONNX Runtime, plain OpenVINO, and ours.

Every contestant is a process of its own, so that no thread pool disturbs another's, and steps only while it is told to.
"""
