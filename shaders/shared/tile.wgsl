// tile
