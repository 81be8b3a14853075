"""`make mutants`. Called by this file's path, it looks at the tree it is called in."""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path.cwd())
    import tests

    tests.__path__.append(str(Path(__file__).parents[1]))

from tests.mutation.command import main

if __name__ == "__main__":
    sys.exit(main())
