"""The ground: parameters, files, errors, seeds, precision, several processes, weights and packed images on disk.

In: params.yaml and what earlier stages have left. Out: checked parameters, arrays, whole files, one line of error.
"""
