"""What two long prompts side by side cost: aligned, written as HTML, and laid out in Chromium.

Two prompts of k2-nano's tokenizer whose one message differs in ten places, by k2lab and beside it by difflib with a
bare table, a row for each token. Run it as ``python -m benchmarks.show_diff``; Chromium's part is left out where there
is none. Times are seconds of this process, the least of a few; Chromium's is until the page has its height.
"""

import argparse
import html
import shutil
import tempfile
import time
from difflib import SequenceMatcher
from pathlib import Path

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.alignment import diff
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.show import views

PLACES = 10


def prompts(length):
    """Two prompts of so many ids, nearly."""
    source = open_source(folders.assemble("current"))
    lines = [
        f"Line {number}: the weather in Paris is {number % 40} degrees, I think.\n" for number in range(length // 35)
    ]
    other = list(lines)
    for place in range(PLACES):
        other[(2 * place + 1) * len(lines) // (2 * PLACES)] = f"Here something else is said, for the {place}th time.\n"
    return [render(source, Request.of([{"role": "user", "content": "".join(said)}])) for said in (lines, other)]


def by_k2lab(left, right):
    return diff(left, right)


def k2lab_page(found, tokenizer):
    return views.side_by_side(found, tokenizer)._repr_html_()


def by_difflib(left, right):
    return SequenceMatcher(None, left.token_ids, right.token_ids, autojunk=False).get_opcodes()


def bare_page(codes, left, right):
    rows = []
    for tag, start, end, other, other_end in codes:
        for offset in range(max(end - start, other_end - other)):
            cells = [tag]
            for side, place, last in ((left, start, end), (right, other, other_end)):
                there = place + offset < last
                token = side.token_ids[place + offset] if there else ""
                cells += [token, html.escape(side.tokenizer.decode([token])) if there else ""]
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def least(work, times):
    """The result, and the least seconds of a few times."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        made = work()
        took.append(time.perf_counter() - began)
    return made, min(took)


def laid_out_s(page, times):
    """Seconds until Chromium has loaded a page and knows its height; ``None`` where there is no Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder, "page.html")
        path.write_text(f"<!doctype html><meta charset=utf-8>{page}", encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        took = least(
            lambda: (tab.goto(f"file://{path}", timeout=300_000), tab.evaluate("document.body.offsetHeight")), times
        )[1]
        browser.close()
    return took


def main(length, with_difflib):
    left, right = prompts(length)
    print(f"{len(left.token_ids)} and {len(right.token_ids)} ids that differ in {PLACES} places")
    found, aligned = least(lambda: by_k2lab(left, right), 3)
    page, written = least(lambda: k2lab_page(found, right.tokenizer), 3)
    told("k2lab", aligned, written, page, 3)
    if with_difflib:
        codes, aligned = least(lambda: by_difflib(left, right), 1)
        page, written = least(lambda: bare_page(codes, left, right), 1)
        told("difflib and a bare table", aligned, written, page, 1)


def told(name, aligned, written, page, times):
    shown = laid_out_s(page, times)
    browser = "no Chromium" if shown is None else f"{shown:.2f} s in Chromium, {aligned + written + shown:.2f} s in all"
    print(
        f"{name:26}{aligned:.2f} s to align, {written:.2f} s to write {len(page) / 1e6:.2f} MB, {browser}", flush=True
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--length", type=int, default=100_000, help="ids of a prompt")
    parser.add_argument("--no-difflib", action="store_true", help="k2lab's own figures alone")
    options = parser.parse_args()
    main(options.length, not options.no_difflib)
