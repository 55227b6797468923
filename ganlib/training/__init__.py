"""One loop for every game: state, checkpoints, watch, alarms, results, publishing. `game` says what a game is.

In: packed images, the judge, a game. Out: both ends of a training, its curves and alarms; the same bytes if resumed.
"""
