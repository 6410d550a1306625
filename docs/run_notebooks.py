"""The notebooks: run from nothing while the site is built, and shown with what they printed."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS = 300
"""The longest that a cell may take, on a machine that has other things to do."""


def ran(path: Path) -> Any:
    """A notebook with its outputs; it finds and leaves nothing outside a folder of its own.

    Raises:
        CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        # their `!python` is this one, and what is as small as here is quickest on one thread
        programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        cache = str(Path(folder) / "cache")
        own = {"PATH": programs, "OMP_NUM_THREADS": "1", "UFGRAPHFR_CACHE": cache}
        # not that it can be reached on this machine alone, by who has its key
        quiet = ["--IPKernelApp.log_level=ERROR"]
        client = NotebookClient(notebook, timeout=SECONDS, resources=where, extra_arguments=quiet)
        client.execute(env=os.environ | own)
    return notebook


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook, which is there to be fetched too; called by mkdocs."""
    from mkdocs.structure.files import File
    from nbconvert import MarkdownExporter

    for file in [each for each in files if each.src_uri.endswith(".ipynb")]:
        text, _ = MarkdownExporter().from_notebook_node(ran(Path(file.abs_src_path)))
        # the theme's own tables, and outputs of one cell in one block
        text = text.replace('<table border="1" class="dataframe">', "<table>")
        text = re.sub(r"\n{3,}", "\n\n", text)
        text += f"\nThis page was run while the site was built: [the notebook]({file.name}.ipynb)."
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text))
    return files
