"""Triton kernels: what a GPU runs in the place of plain PyTorch. Tensors in, tensors out; no model, no state
class.
"""
