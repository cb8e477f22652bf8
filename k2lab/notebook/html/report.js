"use strict";
(() => {
  const root = document.documentElement;
  if (root.dataset.k2Ready) return;
  root.dataset.k2Ready = "yes";
  const all = (where, what) => [...where.querySelectorAll(what)];
  const made = (tag, given, ...inside) => { const one = Object.assign(document.createElement(tag), given); one.append(...inside); return one; };
  const button = (words, act, name) => made("button", { type: "button", className: name || "", textContent: words, onclick: act });
  const said = made("span", { className: "k2-quiet" });
  said.setAttribute("role", "status");

  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  const switched = button("theme: auto", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    switched.textContent = "theme: " + theme;
  });
  const folding = (words, what) => {
    let open = false;
    const one = button("show " + words, () => {
      open = !open;
      for (const fold of all(document, what)) fold.open = open;
      one.textContent = (open ? "hide " : "show ") + words;
      one.setAttribute("aria-pressed", String(open));
    });
    one.setAttribute("aria-pressed", "false");
    return one;
  };
  const tools = document.querySelector(".k2-tools");
  if (tools) {
    tools.append(said);
    if (document.querySelector(".k2-code")) tools.append(folding("all code", ".k2-code"));
    if (document.querySelector("main details")) tools.append(folding("everything", "main details"));
    tools.append(switched);
    tools.hidden = false;
  }

  if (matchMedia("(max-width: 60em)").matches) for (const one of all(document, ".k2-contents > details")) one.open = false;

  const copied = async (text) => {
    try { await navigator.clipboard.writeText(text); }
    catch {
      const area = made("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    said.textContent = "copied " + text.length.toLocaleString("en") + " characters";
  };
  const copyable = (one, text, what) => {
    const copy = button("copy", () => copied(text()), "k2-copy");
    copy.setAttribute("aria-label", "copy " + what);
    const held = made("div", { className: "k2-copied" });
    one.replaceWith(held);
    held.append(one, copy);
  };
  for (const one of all(document, "main pre")) {
    const text = () => {
      const alone = one.cloneNode(true);
      for (const label of all(alone, ".k2-output :is(i, a, mark)")) label.remove(); // what we say is not what was said
      return alone.textContent;
    };
    if (text().trim().length > 1) copyable(one, text, one.closest(".k2-code") ? "this code" : "this text");
  }
  for (const one of all(document, "main [data-copy]")) {
    const copy = button("copy", () => copied(one.dataset.copy), "k2-copy-id");
    copy.setAttribute("aria-label", "copy " + (one.dataset.copyName || one.dataset.copy.slice(0, 80)));
    one.after(" ", copy);
  }

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell ? (cell.dataset.sort || cell.textContent).trim() : "";
  };
  const number = (text) => {
    const found = /^[^\d+\-\u2212.]{0,2}([+\-\u2212]?[\d,]*\.?\d+(?:e[+-]?\d+)?)/i.exec(text);
    return found ? Number(found[1].replaceAll(",", "").replace("\u2212", "-")) : NaN;
  };
  const order = (column, down) => (a, b) => {
    const x = value(a, column), y = value(b, column), m = number(x), n = number(y);
    const less = Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y, "en", { numeric: true }) : m - n;
    return down ? -less : less;
  };
  const sortable = (table, head, rows) => [...head.cells].forEach((cell, column) => {
    const words = cell.textContent.trim();
    if (!words) return;
    cell.textContent = "";
    cell.append(button(words, () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const where = rows[0].parentNode;
      where.append(...rows.slice().sort(order(column, down)));
      said.textContent = "sorted by " + words + (down ? ", descending" : ", ascending");
    }, "k2-sort"));
  });
  const searchable = (table, rows) => {
    const field = made("input", { type: "search" });
    const count = made("span", { className: "k2-quiet", textContent: rows.length + " rows" });
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      let left = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        left += row.hidden ? 0 : 1;
      }
      count.textContent = left + " of " + rows.length + " rows";
    });
    table.before(made("div", { className: "k2-search" }, made("label", {}, "search ", field), count));
  };
  for (const table of all(document, "table.k2-rows, .k2 table, .k2-figures table")) {
    const head = table.tHead ? table.tHead.rows[0] : table.rows[0];
    if (!head || [...head.cells].some((cell) => cell.tagName !== "TH" || cell.colSpan > 1)) continue;
    const rows = [...table.rows].filter((row) => row.parentNode.tagName === "TBODY" && row !== head);
    const plain = rows.every((row) => row.parentNode === rows[0].parentNode && row.cells.length === head.cells.length && [...row.cells].every((cell) => cell.rowSpan === 1));
    if (rows.length < 2 || !plain) continue;
    sortable(table, head, rows);
    if (rows.length > 15) searchable(table, rows);
  }

  const reachable = () => {
    for (const one of all(document, ".k2-out, .k2-out .k2, .k2-out pre, .k2-drawn > div"))
      if (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight) one.tabIndex = 0;
  };
  addEventListener("toggle", reachable, true);
  addEventListener("resize", reachable);
  reachable();

  const shown = () => {
    let name = "";
    try { name = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const goal = name && document.getElementById(name);
    for (let one = goal; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    if (goal) goal.scrollIntoView();
  };
  addEventListener("hashchange", shown);
  shown();
})();
