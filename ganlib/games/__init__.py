"""Who plays against whom: a file a game, with the names of `ganlib.training.game.Game`.

In: images and labels, and random streams. Out: updated networks, and scalars to log. A new game is a file here, its
section in `core.schema.GamesParams`, and one test.
"""
