"""Whose features all figures rest on: the judge, its net and training, and EfficientNet-lite0; `eyes` resolves which.

In: images, uint8 (N, C, H, W). Out: features (N, d), the judge's classes, and how far it can be trusted.
"""
