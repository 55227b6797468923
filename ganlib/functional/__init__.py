"""Pure functions of tensors: losses, augmentation, latents, moving averages. A new loss is a row of `losses.LOSSES`.

In: logits, images, latents, and all that chance has drawn. Out: tensors; nothing is changed in place but an average.
"""
