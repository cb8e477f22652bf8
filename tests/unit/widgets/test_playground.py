"""The playground's widget in a process without a page: controls change the state, releases are asked behind it."""

import sys

import pytest

from k2lab import engine
from k2lab.engine import warm
from k2lab.errors import InputError
from k2lab.widgets.playground import play
from tests.helpers import fake_parser
from tests.helpers.processes import gone, until

posix = pytest.mark.skipif(sys.platform != "linux", reason="engines run on Linux")


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A playground whose one engine is a stand-in."""
    fake_parser.write(tmp_path / "path")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setattr(engine, "available", lambda: [])
    made = play("Hi! there", engines=[sys.executable])
    yield made
    made.close()
    warm.end_all()


def test_controls_have_labels_and_change_the_state():
    shown = play(engines=())
    assert all(box.description for box in (shown.pick, shown.editor, shown.tools, shown.button, shown.stop_button))
    assert shown.slider.label and shown.button.disabled
    shown.pick.value = "no functions. prefix"
    assert "search:2" in shown.editor.value and "wire strict: ✗ lost" in shown.live.said
    shown.slider.value = 3
    assert shown.state.chunk == 3 and "3 tokens at a time" in shown.shown.value
    shown.editor.value += "!"
    assert (shown.pick.value, shown.state.case, shown.state.written[-1]) == ("", None, "!")
    shown.tools.value = "["
    assert "not JSON" in shown.live.said and "not JSON" in shown.view().text
    with pytest.raises(InputError, match="has no case 'x'"):
        play(case="x")


def test_the_twin_stands_beside_the_widget():
    bundle = play(case="documented form", engines=())._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "read_news" in bundle["text/plain"] and "k2-output" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_half_a_surrogate_pair_reaches_no_page():
    shown = play("a\ud800b", [{"type": "function", "function": {"name": "f", "description": "\udfff"}}], engines=())
    assert shown.editor.value == "a\ufffdb" and "U+FFFD" in shown.view().text
    for widget in (shown.editor, shown.tools, shown.shown, shown.live):
        str(widget.get_state()).encode()


@posix
def test_releases_are_asked_by_the_button_and_then_about_each_edit(shown):
    [asker] = shown.askers
    shown.slider.value = 2
    assert asker.parser.pid is None and shown.columns[-1].words == "not asked: press Ask"
    shown.button.click()
    assert shown.columns[-1].words == "asking …" and not shown.stop_button.disabled
    shown.wait()
    assert shown.columns[-1].whole.content == "Hi! there"
    assert "“! there” never comes" in shown.view().text or "comes where the whole text gives" in shown.view().text
    assert "in chunks it differs from character 2 on" in shown.live.said
    pid = asker.parser.pid
    for text in ("one", "two", "three"):
        shown.editor.value = text
        assert shown.columns[-1].whole is None or shown.columns[-1].whole.content == text
    shown.wait()
    assert shown.columns[-1].whole.content == "three" and asker.parser.pid == pid
    shown.close()
    assert gone(pid)


@posix
def test_stop_ends_what_is_under_way_and_a_lost_process_is_a_line(shown):
    [asker] = shown.askers
    shown.ask().wait()
    shown.editor.value = "DIE"
    shown.wait()
    assert "its process ended" in shown.columns[-1].words
    shown.editor.value = "back"
    shown.wait()
    assert shown.columns[-1].whole.content == "back"
    shown.editor.value = "SLEEP"
    assert until(lambda: asker.busy_s and asker.busy_s > 0.1)
    pid = asker.parser.pid
    shown.stop_button.click()
    assert gone(pid) and shown.columns[-1].words.startswith("stopped") and shown.stop_button.disabled
    shown.editor.value = "later"
    assert "not asked" in shown.columns[-1].words and asker.parser.pid is None
