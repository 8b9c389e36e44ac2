"""Executes notebooks and keeps what they print.

    python scripts/notebooks/execute.py output-folder notebook.ipynb…

The first cell that fails is printed with its error, and the exit status is 1. Notebooks run in their own folder, as
Jupyter runs them.
"""

import json
import sys
import sysconfig
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

CELL_SECONDS = 120


def install_deno_kernel():
    """Tells Jupyter about Deno within this environment alone; `deno jupyter --install` would write to the home folder."""
    deno = Path(sysconfig.get_path("scripts")) / ("deno.exe" if sys.platform == "win32" else "deno")
    folder = Path(sys.prefix) / "share" / "jupyter" / "kernels" / "deno"
    folder.mkdir(parents=True, exist_ok=True)
    kernel = {
        "argv": [str(deno), "jupyter", "--kernel", "--conn", "{connection_file}"],
        "display_name": "Deno",
        "language": "typescript",
    }
    (folder / "kernel.json").write_text(json.dumps(kernel))


def failure(notebook):
    """The cell whose output is an error: its number, source and error."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell {number}:\n{cell.source}\n--\n{output.ename}: {output.evalue}"
    return None


def execute(path, output_folder):
    """Executes one notebook; returns what went wrong, or None."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=notebook.metadata.kernelspec.name,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return failure(notebook) or str(error)
    finally:
        output_folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, output_folder / path.name)
    return None


def main(output_folder, *paths):
    install_deno_kernel()
    for path in map(Path, paths):
        start = time.monotonic()
        problem = execute(path, Path(output_folder))
        if problem is not None:
            print(f"FAIL {path.name}, {problem}")
            return 1
        print(f"ok   {path.name}: all cells ran in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
