"""Generated images against real ones: every figure with its interval and what real images reach at equal counts.

In: images, or features of them. Out: metrics/evaluate.json and its tables. A new figure is a row of `table.METRICS`.
"""
