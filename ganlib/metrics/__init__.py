"""What both the watch of a training and the evaluation measure in features.

In: features (N, d) with classes. Out: distances, neighbourhoods, shares and spread of classes. Editing it retrains, so
that a figure which only the evaluation shows belongs in evaluation.
"""
