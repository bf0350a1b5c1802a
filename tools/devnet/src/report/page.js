"use strict";
(() => {
  const data = JSON.parse(document.getElementById("columns").textContent);
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const { lines, columns } = data[figure.dataset.chart];
    const svg = figure.querySelector("svg");
    const cursor = figure.querySelector(".cursor");
    const readout = figure.querySelector(".readout");
    if (!cursor || columns.length === 0) continue;
    const note = readout.textContent;
    const rule = cursor.querySelector(".rule");
    const dots = cursor.querySelectorAll(".dot");
    let shown = -1;

    const part = (name, text, className) => {
      const element = document.createElement(name);
      element.textContent = text;
      if (className) element.className = className;
      return element;
    };
    const show = (place) => {
      if (place === shown) return;
      shown = place;
      const column = columns[place];
      rule.setAttribute("x1", column.x);
      rule.setAttribute("x2", column.x);
      readout.replaceChildren(part("b", column.head));
      column.values.forEach((value, index) => {
        dots[index].setAttribute("visibility", value ? "inherit" : "hidden");
        if (!value) return;
        dots[index].setAttribute("cx", column.x);
        dots[index].setAttribute("cy", value[0]);
        const [className, label] = lines[index];
        const item = part("span", "");
        item.append(part("i", "", className), `${label} `, part("b", value[1]));
        readout.append(item, " ");
      });
      cursor.setAttribute("visibility", "visible");
    };
    const hide = () => {
      shown = -1;
      cursor.setAttribute("visibility", "hidden");
      readout.textContent = note;
    };
    const nearest = (x) => {
      let best = 0;
      columns.forEach((column, place) => {
        if (Math.abs(column.x - x) < Math.abs(columns[best].x - x)) best = place;
      });
      return best;
    };

    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      show(nearest(((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width));
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const from = shown < 0 ? (step > 0 ? -1 : columns.length) : shown;
      show(Math.min(Math.max(from + step, 0), columns.length - 1));
    });
  }
})();
