"""``ufgraphfr serve``: a finished run as a page and a service over HTTP."""

import logging
import signal
import socket
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from ufgraphfr.core.errors import MissingExtra


def serve(
    folder: Annotated[Path, typer.Argument(help="A finished run folder, or a link to one.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    host: Annotated[str, typer.Option(help="Address; by default this machine alone.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Serve recommendations over HTTP, with a page at / and its description at /openapi.json.

    Nothing of a request is kept or logged. SIGHUP loads what the folder, or the link, holds now;
    SIGTERM answers what was asked and ends.
    """
    try:
        from ufgraphfr.serve.http import Served, create_app
    except ModuleNotFoundError as error:
        raise MissingExtra("ufgraphfr serve", "serve") from error
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    served = Served(folder, data_dir)
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=served.reload).start())
    answer_until_told(create_app(served), served.version, host, port)


def answer_until_told(
    app: Any, version: str, host: str, port: int, listener: socket.socket | None = None
) -> None:
    """Serve an application at an address, or at a socket that listens, until SIGTERM.

    What was asked by then is answered.
    """
    import torch
    import uvicorn

    # requests are answered beside each other; more threads for one would wait, at full speed
    torch.set_num_threads(1)
    shown = f"[{host}]" if ":" in host else host
    where = f"http://{shown}:{port}/" if listener is None else listener.getsockname()
    print(f"serving {version} at {where} (end with Ctrl-C)", flush=True)
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(settings).run(None if listener is None else [listener])
