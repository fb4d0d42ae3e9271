"""From a finished build to the board and back: the archive that goes there, the board.json that returns."""
