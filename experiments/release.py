"""python experiments/release.py RUN NAME [--into FOLDER]: see paper_lenet/commands/release.py."""

import _start

if __name__ == "__main__":
    _start.command("release")
