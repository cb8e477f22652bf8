"""A notebook file, read: what nbformat knows as one, or the reason why it is none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from k2lab import files, jsonread
from k2lab.errors import InputError, first_line


def read_notebook(path: Path) -> Any:
    """A valid notebook, in nbformat's form of today; raises :class:`InputError` in one line where a file is none.

    >>> from k2lab import paths
    >>> read_notebook(paths.notebooks_dir() / "1_generation_prompt.ipynb").nbformat
    4
    """
    import nbformat

    text = files.read_text(path, "notebook")
    try:
        lone = jsonread.lone_surrogate(jsonread.read_json(text))
        if lone is not None:
            raise InputError(f"notebook {path} holds half a surrogate pair, which is not text: {ascii(lone)[:80]}")
        with warnings.catch_warnings(action="ignore"):  # cells without ids: they get some
            older = nbformat.reader.reads(text)
            nbformat.validate(older)  # first: to convert what is invalid is logged in many lines
            notebook = nbformat.convert(older, 4)
            nbformat.validate(notebook)
    except (InputError, MemoryError):
        raise
    except jsonread.NotJSON as error:
        raise InputError(f"notebook {path} is not JSON: {error if text.strip() else 'it is empty'}") from None
    except Exception as error:  # whatever nbformat's readers of five formats run into
        told = isinstance(error, ValueError | nbformat.ValidationError)
        why = first_line(error) if told else "its parts are not where nbformat has them"
        raise InputError(f"{path} is not a notebook: {why}") from None
    return notebook
