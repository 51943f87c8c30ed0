// SPDX-License-Identifier: MIT
// Small charts of the last samples, newest on the right, drawn anew each second.

const kNamespace = "http://www.w3.org/2000/svg";
const kEdge = { top: 10, right: 10, bottom: 22, left: 48 };
export const kSpan = 180; // samples, one a second

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(kNamespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** From 0 to a round number that is not below `value`: where to put marks, and how high a value stands, 0 to 1. */
function evenScale(value) {
  const power = 10 ** Math.floor(Math.log10(value / 3));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n * 3 >= value);
  const count = Math.ceil(value / step);
  const top = count * step;
  return { marks: Array.from({ length: count + 1 }, (_, i) => i * step), share: (one) => one / top };
}

/** From one power of ten to another, for what differs by so much that the small would not be seen. */
function powerScale(lowest, highest) {
  const bottom = Math.floor(Math.log10(lowest));
  const top = Math.max(Math.ceil(Math.log10(highest)), bottom + 2);
  return {
    marks: Array.from({ length: top - bottom + 1 }, (_, i) => 10 ** (bottom + i)),
    share: (one) => Math.max(0, (Math.log10(one) - bottom) / (top - bottom)),
  };
}

export class Chart {
  /**
   * `series`: [{ name, className, of: (sample) => number or null }]; `format`: number to text; `least`: the scale
   * goes up to that, at least; with `powers` it goes by powers of ten, and values are dots and not lines.
   */
  constructor(figure, { series, format, least, powers = false }) {
    this.series = series;
    this.format = format;
    this.least = least;
    this.powers = powers;
    this.samples = [];
    this.limit = null; // { value, name }, a line across
    this.chosen = null; // seconds ago
    this.title = figure.querySelector("figcaption").textContent.replace(/\s+/g, " ").trim();
    this.svg = element("svg", { role: "img", tabindex: "0" });
    this.legend = document.createElement("div");
    this.legend.className = "legend";
    this.when = document.createElement("small");
    this.when.className = "when";
    figure.querySelector("figcaption").append(this.when);
    figure.append(this.svg, this.legend);
    this.#listen();
  }

  show(samples, limit = null) {
    this.samples = samples;
    this.limit = limit;
    this.draw();
  }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (width === 0) return;
    this.box = { width, height, inner: width - kEdge.left - kEdge.right };
    const values = this.samples.flatMap((sample) => this.series.map((one) => one.of(sample))).filter((one) => one > 0);
    const highest = Math.max(this.least, 1.1 * (this.limit?.value ?? 0), ...values);
    this.scale = this.powers ? powerScale(Math.min(this.least, ...values), highest) : evenScale(highest);
    this.svg.replaceChildren(...this.#grid(), ...this.series.flatMap((one) => this.#marks(one)), ...this.#rules());
    this.#describe();
  }

  #listen() {
    const choose = (ago) => {
      this.chosen = ago === null ? null : Math.min(Math.max(Math.round(ago), 0), kSpan - 1);
      this.draw();
    };
    this.svg.addEventListener("pointermove", (event) => {
      const left = this.svg.getBoundingClientRect().left;
      choose(((kEdge.left + this.box.inner - (event.clientX - left)) / this.box.inner) * (kSpan - 1));
    });
    this.svg.addEventListener("pointerleave", () => choose(null));
    this.svg.addEventListener("blur", () => choose(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (step) choose((this.chosen ?? 0) + step);
    });
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  #x(ago) {
    return kEdge.left + this.box.inner * (1 - ago / (kSpan - 1));
  }

  #y(value) {
    const inner = this.box.height - kEdge.top - kEdge.bottom;
    return kEdge.top + inner * (1 - this.scale.share(value));
  }

  #ago(index) {
    return this.samples.length - 1 - index;
  }

  #grid() {
    const right = kEdge.left + this.box.inner;
    const bottom = this.box.height - 6;
    const lines = this.scale.marks.flatMap((mark) => [
      element("line", { class: "grid", x1: kEdge.left, x2: right, y1: this.#y(mark), y2: this.#y(mark) }),
      element("text", { x: kEdge.left - 6, y: this.#y(mark) + 4, "text-anchor": "end" }, this.format(mark)),
    ]);
    const times = [[kSpan - 1, "−3 min", "middle"], [120, "−2 min", "middle"], [60, "−1 min", "middle"],
      [0, "now", "end"]];
    return lines.concat(times.map(([ago, text, anchor]) =>
      element("text", { x: this.#x(ago), y: bottom, "text-anchor": anchor }, text)));
  }

  #marks({ className, of }) {
    const points = this.samples.map((sample, index) => ({ x: this.#x(this.#ago(index)), value: of(sample) }))
      .filter((point) => point.value !== null);
    if (points.length === 0) return [];
    if (this.powers) {
      return points.map(({ x, value }) =>
        element("circle", { class: `dot ${className}`, cx: x.toFixed(1), cy: this.#y(value).toFixed(1), r: 2 }));
    }
    const path = points.map(({ x, value }) => `${x.toFixed(1)},${this.#y(value).toFixed(1)}`).join(" ");
    const area = `${points[0].x},${this.#y(0)} ${path} ${points.at(-1).x},${this.#y(0)}`;
    return [element("polygon", { class: `area ${className}`, points: area }),
      element("polyline", { class: `line ${className}`, points: path })];
  }

  #rules() {
    const rules = [];
    if (this.limit) {
      const y = this.#y(this.limit.value);
      rules.push(element("line", { class: "limit", x1: kEdge.left, x2: kEdge.left + this.box.inner, y1: y, y2: y }));
    }
    if (this.chosen !== null) {
      const x = this.#x(this.chosen);
      rules.push(element("line", { class: "rule", x1: x, x2: x, y1: kEdge.top, y2: this.#y(0) }));
    }
    return rules;
  }

  #item(name, className, value) {
    const item = document.createElement("span");
    const swatch = document.createElement("i");
    const figure = document.createElement("b");
    swatch.className = className;
    figure.textContent = value === null ? "–" : this.format(value);
    item.append(swatch, `${name} `, figure);
    return item;
  }

  /** In words: below the chart, and for who does not see it. */
  #describe() {
    const sample = this.samples.at(-1 - (this.chosen ?? 0));
    const items = this.series.map(({ name, className, of }) => this.#item(name, className, sample ? of(sample) : null));
    if (this.limit) items.push(this.#item(this.limit.name, "limit", this.limit.value));
    this.when.textContent = this.chosen === null ? "" : `${this.chosen} s ago`;
    this.legend.replaceChildren(...items);
    const words = items.map((item) => item.textContent).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}: ${words}. Arrow keys look back.`);
  }
}
