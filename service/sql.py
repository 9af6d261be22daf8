"""Statements live in .sql files, one each, beside the code that runs them."""

from importlib.resources import files


def statements(package: str) -> dict[str, bytes]:
    """The statements of a package's `sql` folder by name; bytes, so that nothing is ever pasted into them."""
    folder = files(package).joinpath("sql")
    return {
        file.name.removesuffix(".sql"): file.read_bytes() for file in folder.iterdir() if file.name.endswith(".sql")
    }
