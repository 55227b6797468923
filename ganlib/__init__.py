"""A GAN pipeline's library: what the stages compose.

Images come in through datasets, which pack them; training lets a game of games play with networks and functional, and
watches it through features and metrics; evaluation holds what was generated against real images; looking shows what
latents do; report puts it on a page. All stand on core. Arrows run from later rooms to earlier ones only.
"""
