"""The judge: the small classifier whose features all figures rest on, its training, and what it makes of images.

In: images, uint8 (N, C, H, W). Out: features (N, 64) and classes.
"""
