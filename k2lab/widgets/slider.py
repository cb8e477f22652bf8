"""A slider with a label, as the browser draws it: arrows, Home and End move it, and it says its value in words."""

from __future__ import annotations

import anywidget
import traitlets

from k2lab.show.parts import sheet

SCRIPT = """
export default {
  render({ model, el }) {
    el.classList.add("k2", "k2-slider");
    const made = (tag, into) => into.appendChild(document.createElement(tag));
    const label = made("label", el), input = made("input", el), words = made("output", el);
    input.type = "range";
    input.id = `k2-slider-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    label.htmlFor = words.htmlFor = input.id;
    label.textContent = model.get("label");
    const draw = () => {
      input.max = model.get("most");
      input.value = model.get("value");
      const value = Number(input.value);
      words.textContent = value ? `${value} token${value === 1 ? "" : "s"} at a time` : model.get("none");
      input.setAttribute("aria-valuetext", words.textContent);
    };
    input.addEventListener("input", () => { model.set("value", Number(input.value)); model.save_changes(); draw(); });
    model.on("change", draw);
    draw();
  },
};
"""
STYLE = """
.k2-slider.k2 { display: flex; flex-wrap: wrap; align-items: center; gap: .6em; padding: .2em 2px; }
.k2-slider.k2 { background: none; overflow: visible; }
.k2-slider label { min-width: 8em; text-align: right; white-space: nowrap; }
.k2-slider input { width: 20em; accent-color: var(--k2-accent); }
.k2-slider input:focus-visible { outline: 2px solid var(--k2-accent); outline-offset: 2px; }
"""


class Slider(anywidget.AnyWidget):
    """Whole numbers from 0 to ``most``; ``none`` says what 0 means. Within a ``Workbench``, which keeps its keys."""

    _esm = SCRIPT
    _css = sheet() + STYLE
    label = traitlets.Unicode("").tag(sync=True)
    none = traitlets.Unicode("").tag(sync=True)
    most = traitlets.Int(64).tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
