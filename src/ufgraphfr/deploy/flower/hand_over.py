"""Stands for the engine's ``flwr-clientapp``: hands its words to the warm process, see `supernode`.

The engine starts it for each message, so it takes nothing but the standard library, and is run as
a file. If nobody takes the words it becomes the engine's own command.
"""

import json
import os
import socket
import sys

PLACE, COMMAND = "UFGRAPHFR_WARM", "UFGRAPHFR_CLIENTAPP"
"""Environment variables: the folder of the warm process's socket, and the engine's command."""
NAME, TAKEN, SECONDS = "socket", b"1", 5.0


def main(words: list[str]) -> None:
    """Hand over, or run the command."""
    if not taken(words):
        command = os.environ[COMMAND]
        os.execv(command, [command, *words])


def taken(words: list[str]) -> bool:
    """Whether the warm process has begun with these words."""
    try:
        # by its folder's number: a socket's name may be 107 bytes long, and its path longer
        folder = os.open(os.environ[PLACE], os.O_PATH | os.O_DIRECTORY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(SECONDS)
            connection.connect(f"/proc/self/fd/{folder}/{NAME}")
            connection.sendall(json.dumps(words).encode())
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) == TAKEN
    except (OSError, KeyError):
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
