"""What the code of a model folder may do to a real engine."""

import json

from k2lab import engine
from tests.helpers.models import copied


def test_a_folder_with_code_is_refused_before_anything_starts(tmp_path, k2lab):
    folder, ran = copied("current", tmp_path / "model"), tmp_path / "ran"
    (folder / "tok.py").write_text(f"open({str(ran)!r}, 'w')\nclass Tok: ...\n")
    config = json.loads((folder / "config.json").read_text())
    before = engine.running()
    for entry, said in (
        ("tok.Tok", "comes with Python code (tok.py): read it, then pass --trust-remote-code"),
        ("code/tok.Tok", "code that lies elsewhere: it is not run, whatever the consent"),
        ("/x/repo--tok.Tok", "code that lies elsewhere: it is not run, whatever the consent"),
        ("evil/repo--tok.Tok", "code that lies elsewhere: it is not run, whatever the consent"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": entry}}))
        done = k2lab("-q", "engine", "serve", "0.32.0", "--model", folder)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("k2lab: ") and done.stderr.count("\n") == 1 and said in done.stderr
    assert not ran.exists() and engine.running() == before
