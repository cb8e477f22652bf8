"""What a key press costs in the prompt explorer, from the key to the changed page, in a real JupyterLab and Chromium.

A conversation of some 4,100 tokens is edited, a key at a time; beside it, in the same JupyterLab, what one would write
by hand: a text area, both prompts rendered anew, difflib, and a table with a row for each token. Run it as
``python -m benchmarks.explorer_typing``. Times are milliseconds on the page's own clock.
"""

import argparse
import json
import tempfile
from pathlib import Path

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from tests.helpers import browsing, jupyter

WORD = "typing"
EXPLORER = """import k2lab.notebook as k2
k2.explore({file!r}, left="k2-nano:old", right="k2-nano:current")"""
BY_HAND = """import json
from difflib import SequenceMatcher
from html import escape
import ipywidgets
import k2lab.notebook as k2
sides = [k2.open_source(k2.folders.assemble(name)) for name in ("old", "current")]
text, table = ipywidgets.Textarea(value=open({file!r}).read()), ipywidgets.HTML()

def show(change=None):
    left, right = (k2.render(side, k2.Request.of(**json.loads(text.value))) for side in sides)
    rows = []
    matcher = SequenceMatcher(None, left.token_ids, right.token_ids, autojunk=False)
    for tag, start, end, other, last in matcher.get_opcodes():
        for offset in range(max(end - start, last - other)):
            cells = [tag]
            for side, first, stop in ((left, start, end), (right, other, last)):
                token = side.token_ids[first + offset] if first + offset < stop else None
                cells += ["", ""] if token is None else [token, escape(side.tokenizer.decode([token]))]
            rows.append("<tr>" + "".join(f"<td>{{cell}}</td>" for cell in cells) + "</tr>")
    table.value = f"<table>{{''.join(rows)}}</table>"

text.observe(show, "value")
show()
ipywidgets.VBox([text, table])"""
CLOCK = """([shown, box]) => {
  window.took = [];
  box.addEventListener('input', () => { window.pressed = performance.now(); });
  new MutationObserver(() => requestAnimationFrame(() => {
    if (window.pressed) { window.took.push(performance.now() - window.pressed); window.pressed = 0; }
  })).observe(shown, { subtree: true, childList: true, characterData: true });
  const place = box.value.indexOf('TYPE-HERE');
  box.focus();
  box.setSelectionRange(place, place);
}"""


def conversation(tokens):
    """A talk of so many tokens, nearly, and a place to type in it."""
    said = [f"Line {number}: the weather in Paris is {number % 40} degrees.\n" for number in range(tokens // 27)]
    return {"messages": [{"role": "user", "content": "".join(said) + "TYPE-HERE"}]}


def typed(page, shown, box, keys):
    """Milliseconds of each key until the page has changed."""
    page.evaluate(CLOCK, [shown.element_handle(), box.element_handle()])
    for number in range(keys):
        page.keyboard.press(WORD[number % len(WORD)])
        page.wait_for_function(f"window.took.length > {number}")
        page.wait_for_timeout(100)
    return sorted(page.evaluate("window.took"))


def told(name, took):
    p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    print(f"{name:24}{p50:8.0f}{p95:8.0f}{took[-1]:8.0f}   n = {len(took)}", flush=True)


def main(options):
    talk = conversation(options.tokens)
    prompt = render(open_source(folders.assemble("current")), Request.of(talk["messages"]))
    print(f"{len(prompt.token_ids)} tokens; ms from a key to the changed page\n{'':24}{'p50':>8}{'p95':>8}{'most':>8}")
    with tempfile.TemporaryDirectory() as place, browsing.browser() as chromium, jupyter.started(Path(place)) as lab:
        (lab.folder / "talk.json").write_text(json.dumps(talk))
        for name, cell, found in (
            ("explorer", EXPLORER, ".k2-pair"),
            ("by hand, with difflib", BY_HAND, ".widget-html"),
        ):
            with browsing.opened(chromium) as page:
                output = lab.ran(page, cell.format(file="talk.json")).output(0)
                shown, box = output.locator(found).last, output.locator("textarea").first
                shown.wait_for()
                told(name, typed(page, shown, box, options.keys))
            lab.end_kernels()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4100)
    parser.add_argument("--keys", type=int, default=40)
    main(parser.parse_args())
