// Draws two prompts from a compact list of ids. All text is set as textContent: nothing of a prompt is ever HTML.
const CONTEXT = 12, LONGEST = 600;
const empty = () => ({ number: 0, left: [], right: [], segments: [], pieces: new Map(), lines: {} });

function ids(buffer) {
  return Array.from(new Int32Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength)));
}

function spliced(list, at, drop, put) {
  return list.slice(0, at).concat(put, list.slice(at + drop));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const seen = (piece) => piece.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "·");

function initialize(state, { model }) {
  const onMessage = (content, buffers) => {
    if (content.base !== state.number && content.base !== 0) {
      model.send({ ask: "whole" });
      return;
    }
    if (content.base === 0) Object.assign(state, { left: [], right: [], segments: [] });
    state.left = spliced(state.left, ...content.left, ids(buffers[0]));
    state.right = spliced(state.right, ...content.right, ids(buffers[1]));
    state.segments = spliced(state.segments, ...content.segments);
    for (const [id, piece] of Object.entries(content.pieces)) state.pieces.set(Number(id), piece);
    Object.assign(state.lines, content.lines);
    state.number = content.number;
    for (const listener of state.listeners) listener();
  };
  model.on("msg:custom", onMessage);
  model.send({ ask: "whole" });
  return () => model.off("msg:custom", onMessage);
}

function turnsOf(state) {
  const turns = [];
  let left = 0, right = 0;
  for (const [tag, l, r, owner] of state.segments) {
    let turn = turns.at(-1);
    if (!turn || turn.owner !== owner) {
      turn = { owner, parts: [], left, right, nl: 0, nr: 0, differs: 0 };
      turns.push(turn);
    }
    turn.parts.push({ tag, left, right, l, r });
    turn.nl += l; turn.nr += r; turn.differs += tag ? 1 : 0;
    left += l; right += r;
  }
  return turns;
}

function signature(state, turn) {
  const parts = turn.parts.map((p) => `${p.tag},${p.l},${p.r}`).join(";");
  const tokens = (side, start, count) => state[side].slice(start, start + count).join(",");
  return `${parts}|${tokens("left", turn.left, turn.nl)}|${tokens("right", turn.right, turn.nr)}`;
}

function chips(state, ids, start, end, kind) {
  const made = document.createDocumentFragment();
  for (let i = start; i < end; i++) {
    const piece = state.pieces.get(ids[i]) ?? "";
    const special = /^<\|.*\|>$/.test(piece) ? " special" : "";
    const chip = element("span", { class: `tok ${kind}${special}`, title: `token ${i}, id ${ids[i]}` },
      element("bdi", { class: "piece" }, seen(piece)), element("span", { class: "id" }, String(ids[i])));
    made.append(chip, piece.includes("\n") ? element("br") : document.createElement("wbr"));
  }
  return made;
}

function run(state, side, part, count, start, unfolded, redraw, key) {
  const ids = state[side], end = start + count;
  const kind = part.tag === 0 ? "" : side === "left" ? "gone" : "come";
  const most = part.tag === 0 ? 2 * CONTEXT + 8 : LONGEST;
  if (count <= most || unfolded.has(key)) return [chips(state, ids, start, end, kind)];
  const shown = part.tag === 0 ? CONTEXT : LONGEST / 2, hidden = count - 2 * shown;
  const words = part.tag === 0 ? `${hidden} equal tokens` : `${hidden} more tokens`;
  const fold = element("button", { class: "fold", type: "button", "aria-label": `show ${words}, ${side}`,
    onclick: () => { unfolded.add(key); redraw(key, side); } }, `⋯ ${words} ⋯`);
  return [chips(state, ids, start, start + shown, kind), fold, chips(state, ids, end - shown, end, kind)];
}

function cell(state, side, turn, unfolded, redraw) {
  const made = element("div", { class: `side on-${side}`, role: "group", "aria-label": `${side}: ${turn.owner}` });
  turn.parts.forEach((part, number) => {
    const count = side === "left" ? part.l : part.r;
    if (count) made.append(...run(state, side, part, count, part[side], unfolded, redraw, number));
  });
  if (!made.childNodes.length) made.append(element("span", { class: "none" }, "nothing here"));
  return made;
}

class Turn {
  constructor() {
    this.unfolded = new Set();
    this.chosen = null;
    this.node = element("section", { class: "turn" });
    this.button = element("button", { type: "button", class: "turn-head", onclick: () => this.toggle() });
    this.node.append(this.button);
  }
  get open() { return this.chosen ?? this.turn.differs > 0; }
  toggle() { this.chosen = !this.open; this.draw(); }
  update(state, turn) {
    const now = signature(state, turn);
    this.turn = turn; this.state = state;
    if (now === this.signature) return this.head();
    this.signature = now;
    this.unfolded.clear();
    this.draw();
  }
  head() {
    const { owner, differs, nl, nr } = this.turn;
    const count = nl === nr ? `${nl}` : `${nl} | ${nr}`;
    const what = differs ? `≠ differs in ${differs} place${differs > 1 ? "s" : ""}` : "= equal";
    this.button.textContent = `${this.open ? "▾" : "▸"} ${owner} — ${what}, ${count} tokens`;
    this.button.setAttribute("aria-expanded", String(this.open));
    this.node.classList.toggle("differs", differs > 0);
  }
  draw() {
    this.head();
    this.body?.remove();
    this.body = null;
    if (!this.open) return;
    const redraw = (key, side) => { this.draw(); this.button.focus(); };
    this.body = element("div", { class: "two" }, cell(this.state, "left", this.turn, this.unfolded, redraw),
      cell(this.state, "right", this.turn, this.unfolded, redraw));
    this.node.append(this.body);
  }
}

function render(state, { el }) {
  el.classList.add("k2", "k2-pair");
  const said = element("p", { class: "said", role: "status", "aria-live": "polite" });
  const fault = element("p", { class: "fault", role: "alert" });
  const notes = element("div", { class: "notes" });
  const showIds = element("input", { type: "checkbox" });
  showIds.addEventListener("change", () => el.classList.toggle("with-ids", showIds.checked));
  let place = -1;
  const go = (step) => {
    const heads = [...turnsBox.querySelectorAll(".differs .turn-head")];
    if (!heads.length) return;
    place = (place + step + heads.length) % heads.length;
    heads[place].scrollIntoView({ block: "nearest" });
    heads[place].focus();
  };
  const copied = (side) => async () => {
    await navigator.clipboard.writeText(JSON.stringify(state[side]));
    done.textContent = `${state[side].length} ids of the ${side} side are copied`;
  };
  const done = element("span", { class: "done", role: "status" });
  const bar = element("div", { class: "bar" },
    element("label", {}, showIds, " ids under the pieces"),
    element("button", { type: "button", onclick: () => go(1) }, "next difference"),
    element("button", { type: "button", onclick: () => go(-1) }, "previous difference"),
    element("button", { type: "button", onclick: copied("left") }, "copy left ids"),
    element("button", { type: "button", onclick: copied("right") }, "copy right ids"), done);
  const titles = element("div", { class: "two titles" }, element("div"), element("div"));
  const turnsBox = element("div", { class: "turns" });
  el.append(fault, said, bar, notes, titles, turnsBox);
  const made = new Map();
  const draw = () => {
    const { lines } = state;
    fault.textContent = lines.fault ?? "";
    said.textContent = lines.said ?? "";
    el.setAttribute("aria-busy", String(Boolean(lines.busy)));
    el.classList.toggle("busy", Boolean(lines.busy));
    titles.children[0].textContent = `− left: ${lines.left ?? ""}`;
    titles.children[1].textContent = `+ right: ${lines.right ?? ""}`;
    notes.replaceChildren(...(lines.notes ?? "").split("\n").filter(Boolean).map((n) => element("p", {}, n)));
    const turns = turnsOf(state), seenNow = new Map(), nodes = [];
    for (const turn of turns) {
      const times = seenNow.get(turn.owner) ?? 0;
      seenNow.set(turn.owner, times + 1);
      const key = `${turn.owner} ${times}`;
      if (!made.has(key)) made.set(key, new Turn());
      const one = made.get(key);
      one.update(state, turn);
      nodes.push(one.node);
    }
    const keep = new Set(nodes);
    for (const [key, one] of made) if (!keep.has(one.node)) { one.node.remove(); made.delete(key); }
    nodes.forEach((node, i) => { if (turnsBox.children[i] !== node) turnsBox.insertBefore(node, turnsBox.children[i] ?? null); });
    el.dataset.number = String(state.number);
  };
  state.listeners.add(draw);
  draw();
  return () => state.listeners.delete(draw);
}

export default () => {
  const state = { ...empty(), listeners: new Set() }; // one for each model, whatever views it has
  return { initialize: (given) => initialize(state, given), render: (given) => render(state, given) };
};
