"""Generators and discriminators: tensors in, tensors out. A new architecture is a module and a row of `families`.

In: latents and labels, or images. Out: images in [-1, 1], or logits; `sampling` makes pixels of latents.
"""
