"""From files to packed arrays: folders, archives, torchvision's sets; decoding, checking, splitting by content.

In: whatever people have. Out: uint8 arrays, meta.json, rejected.csv. A new format is read in `decode` or `trees`, a new
set of torchvision is a row of `torchvision_sets`.
"""
