"""What the function finds only by its layer."""

NAME = "from the layer"
