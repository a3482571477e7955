// Charts of the report, as SVG. Ours, because what the page needs is a few hundred lines, while the
// chart libraries that can be embedded bring several hundred kilobytes into every report and have
// neither the heat map with numbers nor the time line; and a report that is kept for years should not
// depend on one.
//
// A chart is drawn for the width of its place and drawn again when that changes, so that text keeps its
// size on a phone. Colours are CSS variables: another theme needs no drawing. Text of users enters by
// textContent alone.
"use strict";

const Charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SMALL = 7;  // width of a character of 12 px, on the safe side

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined) continue;
      node.append(child instanceof Node ? child : String(child));
    }
    return node;
  }
  const h = (tag, attributes, ...children) =>
    fill(document.createElement(tag), attributes, children);
  const s = (tag, attributes, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);
  const color = (index) => `var(--c${index % 6})`;

  // 0.000012 -> "1.2e-5", 0.0036412 -> "0.00364", 1234.5 -> "1,235".
  function short(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "-";
    const size = Math.abs(value);
    if (size !== 0 && size < 1e-4) return value.toExponential(1);
    if (size < 1) return value.toLocaleString("en-US", {maximumSignificantDigits: 3});
    const decimals = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
    return value.toLocaleString("en-US", {maximumFractionDigits: decimals});
  }
  const fixed = (value, decimals) => value === null || value === undefined ? "-" :
    value.toLocaleString("en-US", {minimumFractionDigits: decimals, maximumFractionDigits: decimals});
  const withUnit = (text, unit) => unit ? `${text}\u00a0${unit}` : text;
  const axisTitle = (axis) => axis.unit ? `${axis.label} (${axis.unit})` : axis.label;
  const cut = (text, length) => text.length > length ? text.slice(0, Math.max(1, length - 1)) + "…" : text;
  // For names that differ at their ends.
  const cutStart = (text, length) => text.length > length ? "…" + text.slice(text.length - Math.max(1, length - 1)) : text;

  // A scale from values to pixels, with its ticks.
  function scale(values, from, to, logarithmic, include) {
    let low = Math.min(...values), high = Math.max(...values);
    for (const value of include || []) { low = Math.min(low, value); high = Math.max(high, value); }
    if (!Number.isFinite(low)) { low = 0; high = 1; }
    if (logarithmic) {
      if (low === high) { low /= 2; high *= 2; }
      const a = Math.log10(low), b = Math.log10(high);
      const ticks = [];
      for (let e = Math.floor(a); e <= Math.ceil(b); ++e) {
        for (const m of b - a > 2.2 ? [1] : [1, 2, 5]) {
          const tick = m * 10 ** e;
          if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
        }
      }
      const at = (v) => from + (Math.log10(v) - a) / (b - a) * (to - from);
      return {at, ticks: ticks.length > 1 ? ticks : [low, high], low, high};
    }
    if (low === high) { low -= Math.abs(low) / 2 || 0.5; high += Math.abs(high) / 2 || 0.5; }
    const wanted = Math.max(2, Math.min(6, Math.abs(to - from) / 60));
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= raw * 0.999);
    low = Math.floor(low / step + 1e-9) * step;
    high = Math.ceil(high / step - 1e-9) * step;
    const ticks = [];
    for (let i = 0; i <= Math.round((high - low) / step); ++i) ticks.push(+(low + i * step).toPrecision(12));
    return {at: (v) => from + (v - low) / (high - low) * (to - from), ticks, low, high};
  }

  // A place that `draw(width)` fills with an SVG, now and whenever its width changes.
  function plot(kind, label, draw) {
    const place = h("div", {class: "plot", "data-chart": kind});
    let drawn = 0;
    const redraw = () => {
      const width = Math.floor(place.clientWidth);
      if (width < 1 || width === drawn) return;
      drawn = width;
      const {height, nodes} = draw(width);
      place.replaceChildren(s("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label}, nodes));
    };
    place.redraw = () => { drawn = 0; redraw(); };
    new ResizeObserver(() => requestAnimationFrame(redraw)).observe(place);
    return place;
  }

  function legend(entries) {
    if (entries.length < 2 && !entries.some((e) => e.always)) return null;
    return h("div", {class: "legend"}, entries.map((entry) =>
      h("span", {}, h("i", {class: entry.box ? "box" : entry.dash ? "dash" : "", style: `color:${entry.color};border-color:${entry.color}`}), entry.name)));
  }

  const card = (title, note, ...parts) => h("figure", {class: "card"}, h("h3", {}, title), parts, h("p", {class: "note"}, note || ""));

  // Axes of a field of x and y; returns the scales and the nodes.
  function axes(width, height, spec, xs, ys, options = {}) {
    const trial = scale(ys, 0, height, spec.y.logarithmic, options.includeY);
    const left = Math.max(34, 10 + SMALL * Math.max(...trial.ticks.map((t) => short(t).length)));
    const top = 28, bottom = 40, right = options.right || 14;
    const y = scale(ys, height - bottom, top, spec.y.logarithmic, options.includeY);
    const x = scale(xs, left + 4, width - right, spec.x.logarithmic, options.includeX);
    if (!spec.x.logarithmic && !options.round) {
      // The field ends at the data, not at the next round number.
      const lo = Math.min(...xs, ...(options.includeX || [])), hi = Math.max(...xs, ...(options.includeX || []));
      if (hi > lo) {
        x.at = (v) => left + 4 + (v - lo) / (hi - lo) * (width - right - left - 4);
        x.ticks = x.ticks.filter((t) => t >= lo - 1e-9 && t <= hi + 1e-9);
        if (options.wholeX) x.ticks = x.ticks.filter(Number.isInteger);
      }
    }
    const nodes = [s("text", {class: "axis", x: 0, y: 11}, cut(axisTitle(spec.y), Math.floor(width / 6.4)))];
    for (const tick of y.ticks) {
      nodes.push(s("line", {class: "grid-line", x1: left, x2: width - right, y1: y.at(tick), y2: y.at(tick)}),
                 s("text", {class: "tick", x: left - 6, y: y.at(tick) + 4, "text-anchor": "end"}, short(tick)));
    }
    let last = -100;
    for (const tick of x.ticks) {
      const at = x.at(tick), half = short(tick).length * SMALL / 2;
      if (at - half < last + 6 || at + half > width + 2) continue;
      last = at + half;
      nodes.push(s("text", {class: "tick", x: at, y: height - bottom + 17, "text-anchor": "middle"}, short(tick)));
    }
    nodes.push(s("line", {class: "base", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom}),
               s("text", {class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle"}, cut(axisTitle(spec.x), Math.floor((width - left) / 6.4))));
    return {x, y, nodes, left, top, bottom: height - bottom, right: width - right};
  }

  const defined = (series) => series.y.map((v, i) => [series.x[i], v, i]).filter(([x, v]) => x !== null && v !== null && v !== undefined && Number.isFinite(v));

  // Lines with bands. Series may say color, dash, thin, sizes (of points), tips.
  function lines(spec) {
    const series = spec.series.map((one, i) => ({color: color(i), ...one}));
    const xs = [], ys = [];
    for (const one of series) {
      for (const [x, y] of defined(one)) { xs.push(x); ys.push(y); }
      ys.push(...(one.low || []), ...(one.high || []));
    }
    if (!ys.length) return card(spec.title, spec.note, h("p", {class: "absent"}, "no values"));
    const place = plot("lines", spec.title, (width) => {
      const height = spec.height || Math.max(220, Math.min(300, width * 0.55));
      const field = axes(width, height, spec, xs, ys, spec);
      const nodes = field.nodes;
      for (const one of series) {
        const points = defined(one);
        if (one.low && one.low.length) {
          const up = points.map(([x, , i]) => `${field.x.at(x)},${field.y.at(one.high[i])}`);
          const down = points.map(([x, , i]) => `${field.x.at(x)},${field.y.at(one.low[i])}`).reverse();
          nodes.push(s("polygon", {points: up.concat(down).join(" "), fill: one.color, "fill-opacity": 0.16}));
        }
        nodes.push(s("polyline", {
          points: points.map(([x, y]) => `${field.x.at(x)},${field.y.at(y)}`).join(" "), fill: "none", stroke: one.color,
          "stroke-width": one.thin ? 1 : 2.2, "stroke-opacity": one.thin ? 0.55 : 1, "stroke-dasharray": one.dash ? "5 4" : null, "stroke-linejoin": "round"}));
        if (one.thin || one.dots === false || points.length > 120) continue;
        for (const [x, y, i] of points) {
          const band = one.low && one.low.length ? ` (${short(one.low[i])} to ${short(one.high[i])})` : "";
          nodes.push(s("circle", {cx: field.x.at(x), cy: field.y.at(y), r: one.sizes ? one.sizes[i] : 3, fill: one.color,
            "data-tip": one.tips ? one.tips[i] : `${one.name}\n${spec.x.label} ${withUnit(short(x), spec.x.unit)}: ${withUnit(short(y), spec.y.unit)}${band}`}));
        }
      }
      return {height, nodes};
    });
    const seen = new Set();
    const entries = series.filter((one) => !one.hidden && !seen.has(one.name) && seen.add(one.name));
    return card(spec.title, spec.note, legend(entries), place);
  }

  // Groups of horizontal bars: names of any length stand beside them, on a phone too.
  function bars(spec) {
    const series = spec.series.map((one, i) => ({color: color(i), ...one}));
    const values = series.flatMap((one) => [...one.y, ...(one.low || []), ...(one.high || [])]);
    const place = plot("bars", spec.title, (width) => {
      const longest = Math.max(...spec.x_labels.map((name) => name.length));
      // Names that would take too much of a phone's width stand above their bars.
      const above = longest * SMALL + 8 > width * 0.42;
      const left = above ? 4 : Math.max(30, longest * SMALL + 8);
      const thick = series.length > 2 ? 12 : 16, gap = above ? 24 : 10, group = series.length * thick + gap;
      const bottom = 40, height = spec.x_labels.length * group + bottom + 4;
      const textOf = (one, g) => one.texts ? one.texts[g] : short(one.y[g]);
      const numbers = 8 + SMALL * Math.max(...series.flatMap((one) => one.y.map((_, g) => textOf(one, g).length)));
      const x = scale(values, left, width - numbers - 4, spec.y.logarithmic, spec.y.logarithmic ? [] : [0]);
      const zero = spec.y.logarithmic ? left : x.at(0), nodes = [];
      for (const tick of x.ticks) {
        nodes.push(s("line", {class: "grid-line", x1: x.at(tick), x2: x.at(tick), y1: 0, y2: height - bottom}),
                   s("text", {class: "tick", x: x.at(tick), y: height - bottom + 16, "text-anchor": "middle"}, short(tick)));
      }
      spec.x_labels.forEach((name, g) => {
        const top = g * group + (above ? gap - 5 : gap / 2);
        nodes.push(above ? s("text", {x: left, y: top - 5}, cut(name, Math.floor(width / 6.9)))
                         : s("text", {x: left - 6, y: top + series.length * thick / 2 + 4, "text-anchor": "end"}, name));
        series.forEach((one, k) => {
          const value = one.y[g], at = x.at(value), y = top + k * thick;
          let end = Math.max(at, zero);
          nodes.push(s("rect", {x: Math.min(at, zero), y: y + 1, width: Math.max(1, Math.abs(at - zero)), height: thick - 2, rx: 2, fill: one.color,
            "data-tip": `${name}\n${series.length > 1 ? one.name + ": " : ""}${withUnit(short(value), spec.y.unit)}`}));
          if (one.low && one.low.length) {
            const a = x.at(one.low[g]), b = x.at(one.high[g]), m = y + thick / 2;
            end = Math.max(end, b);
            nodes.push(s("path", {d: `M${a},${m}H${b}M${a},${m - 3}v6M${b},${m - 3}v6`, stroke: "var(--ink)", fill: "none", "stroke-width": 1.2}));
          }
          nodes.push(s("text", {class: "tick", x: end + 5, y: y + thick / 2 + 4}, textOf(one, g)));
        });
      });
      nodes.push(s("line", {class: "base", x1: zero, x2: zero, y1: 0, y2: height - bottom}),
                 s("text", {class: "axis", x: (left + width) / 2, y: height - 4, "text-anchor": "middle"}, cut(axisTitle(spec.y), Math.floor((width - left) / 6.4))));
      return {height, nodes};
    });
    return card(spec.title, spec.note, legend(series.map((one) => ({...one, box: true}))), place);
  }

  // `cell(row, column)` gives {strength 0..1, color, text, tip}.
  function matrix(spec) {
    const place = plot("matrix", spec.title, (width) => {
      const rows = spec.y_labels.length, columns = spec.x_labels.length;
      const left = Math.min(width * 0.3, Math.max(24, Math.max(...spec.y_labels.map((n) => n.length)) * SMALL + 10));
      const w = Math.min(spec.largest || 76, (width - left - 2) / columns), tall = Math.max(Math.min(w, 34), spec.square ? Math.min(w, 60) : 18);
      const top = 18, labels = 20, height = top + rows * tall + labels + 20, nodes = [];
      nodes.push(s("text", {class: "axis", x: 0, y: 12}, cut(axisTitle(spec.y), Math.floor(width / 6.4))));
      const every = Math.ceil(Math.max(1, Math.max(...spec.x_labels.map((n) => Math.min(n.length, 8))) * SMALL / w)) || 1;
      for (let r = 0; r < rows; ++r) {
        const y = top + r * tall;
        if (tall >= 11 || r % Math.ceil(12 / tall) === 0) {
          nodes.push(s("text", {class: "tick", x: left - 6, y: y + tall / 2 + 4, "text-anchor": "end"}, cut(spec.y_labels[r], Math.floor((left - 6) / 6.9))));
        }
        for (let c = 0; c < columns; ++c) {
          const cell = spec.cell(r, c), x = left + c * w;
          nodes.push(s("rect", {x, y, width: Math.max(0.5, w - 1), height: Math.max(0.5, tall - 1), rx: w > 12 ? 3 : 0, fill: cell.color, "fill-opacity": 0.07 + 0.93 * cell.strength, "data-tip": cell.tip,
            stroke: cell.marked ? "var(--ink)" : null, "stroke-width": cell.marked ? 2.5 : null}));
          if (w >= 17 && cell.text !== "" && cell.text.length * 6.6 <= w) {
            nodes.push(s("text", {class: cell.strength > 0.55 ? "strong" : "", x: x + w / 2, y: y + tall / 2 + 4, "text-anchor": "middle", "pointer-events": "none"}, cell.text));
          }
        }
      }
      for (let c = 0; c < columns; c += every) {
        nodes.push(s("text", {class: "tick", x: left + c * w + w / 2, y: top + rows * tall + 14, "text-anchor": "middle"}, cut(spec.x_labels[c], Math.max(2, Math.floor(every * w / 6.9)))));
      }
      nodes.push(s("text", {class: "axis", x: left + columns * w / 2, y: height - 4, "text-anchor": "middle"}, cut(axisTitle(spec.x), Math.floor((width - left) / 6.4))));
      return {height, nodes};
    });
    return card(spec.title, spec.note, place);
  }

  function heatMap(spec) {
    const all = spec.values.flat(), log = spec.value.logarithmic;
    const of = (v) => log ? Math.log(v) : v;
    const low = Math.min(...all.map(of)), high = Math.max(...all.map(of));
    return matrix({...spec, note: [`Colour: ${axisTitle(spec.value)}, ${short(Math.min(...all))} (faint) to ${short(Math.max(...all))}.`,
                                   spec.mark ? "The framed cell is recommended." : "", spec.note].filter(Boolean).join(" "),
      cell: (r, c) => {
        const value = spec.values[r][c];
        return {strength: high > low ? (of(value) - low) / (high - low) : 0.3, color: "var(--c0)", text: short(value),
          marked: spec.mark && spec.mark.row === r && spec.mark.column === c,
          tip: `${spec.y.label} ${spec.y_labels[r]}, ${spec.x.label} ${spec.x_labels[c]}\n${spec.value.label}: ${withUnit(short(value), spec.value.unit)}`};
      }});
  }

  function scatter(spec) {
    const series = spec.series.map((one, i) => ({color: color(i), ...one}));
    const xs = series.flatMap((one) => one.x), ys = series.flatMap((one) => one.y);
    if (!ys.length) return card(spec.title, spec.note, h("p", {class: "absent"}, "no values"));
    const place = plot("scatter", spec.title, (width) => {
      const height = Math.max(260, Math.min(380, width * 0.6));
      const field = axes(width, height, spec, xs, ys, {...spec, round: true, right: 18});
      const nodes = field.nodes, taken = [];
      for (const one of series) {
        one.x.forEach((value, i) => {
          const x = field.x.at(value), y = field.y.at(one.y[i]), label = one.labels ? one.labels[i] : "";
          if (one.low && one.low.length) nodes.push(s("line", {x1: x, x2: x, y1: field.y.at(one.low[i]), y2: field.y.at(one.high[i]), stroke: one.color, "stroke-width": 1.2}));
          nodes.push(s("circle", {cx: x, cy: y, r: 4.5, fill: one.color,
            "data-tip": `${label ? label + ", " : ""}${one.name}\n${spec.x.label}: ${withUnit(short(value), spec.x.unit)}\n${spec.y.label}: ${withUnit(short(one.y[i]), spec.y.unit)}`}));
          if (!label) return;
          // The first of these places that nothing stands in; none: the tip says it.
          const wide = label.length * 6.6;
          for (const [dx, dy, anchor] of [[8, 4, "start"], [-8, 4, "end"], [0, -9, "middle"], [0, 18, "middle"]]) {
            const from = x + dx - (anchor === "end" ? wide : anchor === "middle" ? wide / 2 : 0);
            const box = [from, y + dy - 10, from + wide, y + dy + 3];
            if (box[0] < field.left || box[2] > width || box[1] < field.top - 6 || box[3] > field.bottom) continue;
            if (taken.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) continue;
            taken.push(box);
            nodes.push(s("text", {class: "tick", x: x + dx, y: y + dy, "text-anchor": anchor}, label));
            break;
          }
        });
      }
      return {height, nodes};
    });
    return card(spec.title, spec.note, legend(series.map((one) => ({...one, box: true}))), place);
  }

  // Rows of spans: {title, rows: [{name, spans: [{from, to, color, lost, again, tip}]}], note}; seconds.
  function timeLine(spec) {
    const end = Math.max(1e-3, ...spec.rows.flatMap((row) => row.spans.map((span) => span.to)));
    const place = plot("time-line", spec.title, (width) => {
      const left = Math.min(width * 0.34, Math.max(40, Math.max(...spec.rows.map((row) => row.name.length)) * SMALL + 8));
      const tall = 26, bottom = 40, height = spec.rows.length * tall + bottom;
      const x = scale([0, end], left, width - 10, false);
      const at = (v) => left + v / end * (width - 10 - left), nodes = [
        s("defs", {}, s("pattern", {id: "lost", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
          s("rect", {width: 6, height: 6, fill: "var(--bad)", "fill-opacity": 0.25}), s("rect", {width: 2.5, height: 6, fill: "var(--bad)"})))];
      for (const tick of x.ticks.filter((t) => t <= end)) {
        nodes.push(s("line", {class: "grid-line", x1: at(tick), x2: at(tick), y1: 0, y2: height - bottom}),
                   s("text", {class: "tick", x: at(tick), y: height - bottom + 16, "text-anchor": "middle"}, short(tick)));
      }
      spec.rows.forEach((row, r) => {
        const y = r * tall;
        nodes.push(s("text", {x: left - 6, y: y + tall / 2 + 4, "text-anchor": "end"}, cutStart(row.name, Math.floor((left - 8) / 6.9))));
        for (const span of row.spans) {
          nodes.push(s("rect", {x: at(span.from), y: y + 4, width: Math.max(1.2, at(span.to) - at(span.from) - 0.5), height: tall - 8, rx: 2,
            fill: span.lost ? "url(#lost)" : span.color, stroke: span.again ? "var(--ink)" : null, "stroke-width": span.again ? 1.5 : null, "data-tip": span.tip,
            "data-lost": span.lost ? "true" : null}));
        }
      });
      nodes.push(s("line", {class: "base", x1: left, x2: width - 10, y1: height - bottom, y2: height - bottom}),
                 s("text", {class: "axis", x: (left + width) / 2, y: height - 4, "text-anchor": "middle"}, "seconds since the first lease"));
      return {height, nodes};
    });
    return card(spec.title, spec.note, legend(spec.legend), place);
  }

  // Tips follow the pointer, or a tap.
  function enableTips(tip) {
    const show = (event) => {
      const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
      if (!target) { tip.hidden = true; return; }
      tip.textContent = target.getAttribute("data-tip");
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, window.innerWidth - box.width - 8))}px`;
      tip.style.top = `${event.clientY + 16 + box.height > window.innerHeight ? event.clientY - box.height - 12 : event.clientY + 16}px`;
    };
    document.addEventListener("pointermove", show);
    document.addEventListener("pointerdown", show);
    document.addEventListener("scroll", () => { tip.hidden = true; }, {passive: true});
  }

  return {h, s, short, fixed, color, cut, scale, plot, card, legend, lines, bars, matrix, heatMap, scatter, timeLine, enableTips, withUnit};
})();
