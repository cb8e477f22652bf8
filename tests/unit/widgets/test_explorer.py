"""The prompt explorer's widget in a kernel-less process: controls change the state, and the twin shows it."""

import pytest

from k2lab.errors import InputError
from k2lab.widgets.explorer import explore


def test_typing_changes_the_prompts_and_a_fault_keeps_the_last_ones():
    shown = explore("get_weather", left="k2-nano:old", right="k2-nano:current")
    before = shown.compared.left.prompt.text
    shown.editor.value = shown.editor.value.replace("Paris", "Lisbon")
    assert "Lisbon" in shown.compared.left.prompt.text
    shown.editor.value += "}"
    assert "Lisbon" in shown.compared.left.prompt.text
    assert "not JSON" in shown.pair.pair.lines["fault"]
    assert "not JSON" in shown.view().text
    assert before != shown.compared.left.prompt.text


def test_each_control_has_a_label_and_changes_the_state():
    shown = explore("foreign_id")
    for controls in (shown.left, shown.right):
        boxes = [controls.source, controls.other, controls.button, controls.declared, *controls.flags.values()]
        assert all(box.description for box in boxes)
    shown.right.flags["repair"].value = "all"
    shown.left.source.value = "k2-nano:current"
    shown.right.source.value = "k2-nano:current"
    shown.left.declared.value = False
    assert (shown.state.right.repair, shown.state.left.declared) == ("all", False)
    assert "message 1 (assistant)" in shown.pair.pair.lines["said"]


def test_picking_a_conversation_writes_it_into_the_editor():
    shown = explore("foreign_id")
    shown.pick.value = "empty_content"
    assert shown.state.written == shown.editor.value
    assert shown.state.fault == ""


def test_a_server_is_asked_by_its_button_and_its_failure_is_one_line():
    shown = explore("get_weather")
    assert shown.left.button.disabled
    shown.left.other.value = "http://127.0.0.1:9/v1"
    assert not shown.left.button.disabled
    shown.fetch("left").join(20)
    assert "nobody answers" in shown.pair.pair.lines["fault"]
    assert shown.pair.pair.lines["busy"] == ""


def test_the_twin_stands_beside_the_widget():
    bundle = explore("get_weather")._repr_mimebundle_()
    assert "first difference" in bundle["text/plain"]
    assert "first difference" in bundle["text/html"]


def test_what_is_no_conversation_is_refused_in_one_line():
    with pytest.raises(InputError):
        explore({"tools": []})
