"""Opens every .arrow file below a run folder with pandas, polars, pyarrow, DuckDB and datasets, and an export with load_from_disk.

    python scripts/notebooks/check_openers.py data/runs/tiny [exported-folder]

Every opener must find the same number of rows and the same column names. One line a file; exit status 1 on any difference.
The exported folder is what scripts/export-dataset.ts made of preferences/train.arrow and preferences/held-out.arrow.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import datasets
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.feather

datasets.disable_progress_bars()
logging.getLogger("datasets").setLevel(logging.ERROR)


def with_pyarrow(path):
    table = pyarrow.ipc.open_file(path).read_all()
    table.validate(full=True)
    return table.num_rows, table.column_names


def with_pandas(path):
    frame = pandas.read_feather(path)
    return len(frame), list(frame.columns)


def with_polars(path):
    frame = polars.read_ipc(path)
    return frame.height, frame.columns


def with_duckdb(path):
    with duckdb.connect() as connection:
        result = connection.from_arrow(pyarrow.ipc.open_file(path).read_all())
        return result.shape[0], result.columns


def with_datasets(path):
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.load_dataset("arrow", data_files=str(path), split="train", cache_dir=cache)
        return data.num_rows, data.column_names


OPENERS = {
    "pyarrow": with_pyarrow,
    "pandas": with_pandas,
    "polars": with_polars,
    "duckdb": with_duckdb,
    "datasets": with_datasets,
}


def compare(name, found):
    """Prints one line for what the openers found; True where they agree."""
    failures = [f"{opener}: {result}" for opener, result in found.items() if isinstance(result, Exception)]
    if not failures:
        first_opener, first = next(iter(found.items()))
        for opener, result in found.items():
            if result != first:
                failures.append(f"{opener} finds {result}, {first_opener} {first}")
    if failures:
        print(f"FAIL {name}: {'; '.join(failures)}")
        return False
    rows, columns = next(iter(found.values()))
    print(f"ok   {name}: {rows} rows, {len(columns)} columns with {', '.join(found)}")
    return True


def attempt(opener, path):
    try:
        rows, columns = opener(path)
        return rows, list(columns)
    except Exception as error:  # any error of any library is a finding
        return error


def main(run, exported=None):
    files = sorted(Path(run).rglob("*.arrow"))
    if not files:
        print(f"{run}: no .arrow files; expected a run folder. Run npm run align.")
        return 1
    results = [
        compare(path.relative_to(run), {name: attempt(opener, path) for name, opener in OPENERS.items()})
        for path in files
    ]
    if exported is not None:
        for split, data in datasets.load_from_disk(exported).items():
            source = Path(run) / "preferences" / f"{split.replace('_', '-')}.arrow"
            found = {"pyarrow": attempt(with_pyarrow, source), "load_from_disk": (data.num_rows, data.column_names)}
            same = data[:] == pyarrow.ipc.open_file(source).read_all().to_pydict()
            results.append(compare(f"exported {split}", found) and same)
            if not same:
                print(f"FAIL exported {split}: its values differ from those of {source}")
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("check_openers.py: expected a run folder and perhaps an exported folder")
    sys.exit(main(*sys.argv[1:]))
