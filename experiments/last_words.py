"""What a process says if it ends without having been able to say it.

A child process holds the words and waits for the end of a pipe, which comes however
the process ends: killed, out of memory, or aborted from C++.
"""

import subprocess
import sys


class LastWords:
    """Prints `words` to standard error when this process ends, unless withdrawn."""

    def __init__(self, words: str):
        self._child = subprocess.Popen(
            [sys.executable, "-P", __file__],  # no module of this folder hides another
            stdin=subprocess.PIPE,
            start_new_session=True,  # out of the reach of Ctrl-C
            text=True,
        )
        self._child.stdin.write(words)
        self._child.stdin.flush()

    def withdraw(self) -> None:
        """Ends the child, silently."""
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()


if __name__ == "__main__":
    print(sys.stdin.read(), file=sys.stderr)
