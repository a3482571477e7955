// The report's panels, drawn from the block of JSON in the page (deploy/results.schema.json).
"use strict";

(() => {
  const {h, s, short, fixed, color, cut, plot, card, legend, withUnit} = Charts;
  const results = JSON.parse(document.getElementById("results").textContent);
  const report = document.getElementById("report");
  const contents = document.getElementById("contents");
  const TEACHER = "var(--c0)", STUDENT = "var(--c1)", HARD = "var(--hard)";
  const share = (part, whole) => whole > 0 ? 100 * part / whole : null;
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const asPercent = (p) => p !== 0 && p < 5e-5 ? `${(100 * p).toExponential(1)}\u00a0%` : `${(100 * p).toFixed(2)}\u00a0%`;
  const digits = (v, count) => Number.isFinite(v) ? String(+v.toPrecision(count)) : "-";
  const asSeconds = (t) => t >= 3600 ? `${Math.floor(t / 3600)} h ${Math.round(t % 3600 / 60)} min` : t >= 100 ? `${Math.floor(t / 60)} min ${Math.round(t % 60)} s` : `${short(t)} s`;

  function softmax(logits, temperature) {
    const most = Math.max(...logits);
    const powers = logits.map((z) => Math.exp((z - most) / temperature));
    const total = sum(powers);
    return powers.map((e) => e / total);
  }

  // What logits say at a temperature: of classes softmax, of labels a sigmoid for each.
  const kindOf = (panels) => (panels.answer || {kind: "classes"}).kind;
  const shares = (kind, logits, temperature) => kind === "multilabel" ? logits.map((z) => 1 / (1 + Math.exp(-z / temperature))) : softmax(logits, temperature);
  const KINDS = {
    classes: {unit: "nats", squashed: (T) => `softmax(z / ${T})`, now: "q₁", hard: () => "CE(y, q₁)", label: ["one class, 100 %", "100 %"], formula: "L = α T² KL(p‖q) + (1 − α) CE(y, q₁)", soft: "KL(p‖q) at T"},
    multilabel: {unit: "nats", squashed: (T) => `sigmoid(z / ${T})`, now: "q₁", hard: () => "BCE(y, q₁)", label: ["each label 0 or 1", "0 or 1"], formula: "L = α T² KL(p‖q) + (1 − α) BCE(y, q₁)", soft: "binary KL at T"},
    values: {unit: "", squashed: () => "z", now: "s", hard: (name) => `${name}(y, s)`, label: ["its values", "values"], formula: "L = α soft(z, s) + (1 − α) hard(y, s)", soft: ""},
  };

  let sections = 0;
  function section(place, title, ...parts) {
    const id = `section-${++sections}`;
    place.append(h("h2", {id}, title), ...parts.flat(Infinity).filter(Boolean));
    return id;
  }
  const absent = (panels, ...names) => (panels.absent || []).filter((one) => names.includes(one.panel))
    .map((one) => h("p", {class: "absent"}, `Not shown (${one.panel}): ${one.reason}.`));

  // ---- tables and figures of results.json

  function cellText(cell, column) {
    if (cell === null) return "-";
    if (typeof cell === "string") return cell;
    if (typeof cell === "number") return withUnit(fixed(cell, column.decimals), column.unit);
    return withUnit(`${fixed(cell.value, column.decimals)} ± ${fixed(cell.half_width, column.decimals)}`, column.unit);
  }
  function table(spec) {
    const numeric = spec.columns.map((_, c) => spec.rows.some((row) => row[c] !== null && typeof row[c] !== "string"));
    return card(spec.title, spec.note, h("div", {class: "scroll"}, h("table", {},
      h("thead", {}, h("tr", {}, spec.columns.map((column, c) => h("th", {class: numeric[c] ? "number" : ""}, column.name)))),
      h("tbody", {}, spec.rows.map((row) => h("tr", {}, row.map((cell, c) => h("td", {class: numeric[c] ? "number" : ""}, cellText(cell, spec.columns[c])))))))));
  }
  function figure(spec) {
    if (spec.kind === "lines") return Charts.lines(spec);
    if (spec.kind === "bars") return Charts.bars(spec);
    if (spec.kind === "heat_map") return Charts.heatMap(spec);
    return Charts.scatter(spec);
  }
  const pairs = (rows) => h("div", {class: "scroll"}, h("table", {class: "pairs"}, h("tbody", {}, rows.map(([name, ...values]) =>
    h("tr", {}, h("td", {}, name), values.map((value) => h("td", {}, value)))))));

  // ---- one run

  const modelOf = (panels, role) => (panels.models || []).find((one) => one.role === role);

  function headline(panels) {
    const models = panels.models || [];
    const teacher = modelOf(panels, "teacher"), student = modelOf(panels, "student"), tiles = [];
    const tile = (value, text) => tiles.push(h("div", {class: "card tile"}, h("b", {}, value), h("span", {}, text)));
    const listed = models.find((one) => one.figures);
    if (listed) return headlineByKind(panels, models, student, teacher);
    if (student) {
      tile(`${fixed(share(student.correct_count, student.sample_count), 2)} %`, `accuracy of the student on ${short(student.sample_count)} samples`);
      if (teacher) {
        tile(`${fixed(share(teacher.correct_count, teacher.sample_count), 2)} %`, "accuracy of the teacher");
        tile(`${short(teacher.parameter_count / student.parameter_count)} ×`, "fewer parameters than the teacher");
        tile(`${fixed(share(student.agreement_count, student.sample_count), 2)} %`, "agreement with the teacher");
      }
    }
    const rows = [["", ...models.map((one) => one.role)],
      ["architecture", ...models.map((one) => one.architecture || "a file of your own")],
      ["parameters", ...models.map((one) => one.parameter_count.toLocaleString("en-US"))],
      ["file", ...models.map((one) => `${fixed(one.file_byte_count / 1000, 1)} KB`)],
      ["accuracy", ...models.map((one) => `${fixed(share(one.correct_count, one.sample_count), 2)} %`)],
      ["errors", ...models.map((one) => `${one.sample_count - one.correct_count} of ${one.sample_count}`)],
      ["cross entropy", ...models.map((one) => `${fixed(one.cross_entropy, 4)} nats`)],
      ["calibration error", ...models.map((one) => fixed(one.calibration_error, 4))],
      ["agrees with teacher", ...models.map((one) => one.agreement_count === undefined ? "-" : `${fixed(share(one.agreement_count, one.sample_count), 2)} %`)]];
    return [tiles.length ? h("div", {class: "tiles"}, tiles) : null, models.length ? h("div", {class: "card"}, pairs(rows)) : null, absent(panels, "teacher", "student", "run")];
  }

  // Of other answers than one class for a sample: the figures that their kind has.
  function headlineByKind(panels, models, student, teacher) {
    const textOf = (model, name) => (model.figures.find((one) => one.name === name) || {text: "-"}).text, tiles = [];
    const tile = (value, text) => tiles.push(h("div", {class: "card tile"}, h("b", {}, value), h("span", {}, text)));
    const names = [...new Set(models.flatMap((one) => one.figures.map((figure) => figure.name)))];
    if (student) {
      for (const name of names.slice(0, 2)) tile(textOf(student, name), `${name} of the student on ${short(student.sample_count)} samples`);
      if (teacher) {
        tile(textOf(teacher, names[0]), `${names[0]} of the teacher`);
        tile(`${short(teacher.parameter_count / student.parameter_count)} ×`, "fewer parameters than the teacher");
      }
    }
    const rows = [["", ...models.map((one) => one.role)],
      ["architecture", ...models.map((one) => one.architecture || "a file of your own")],
      ["parameters", ...models.map((one) => one.parameter_count.toLocaleString("en-US"))],
      ["file", ...models.map((one) => `${fixed(one.file_byte_count / 1000, 1)} KB`)],
      ...names.map((name) => [name, ...models.map((one) => textOf(one, name))])];
    return [h("div", {class: "tiles"}, tiles), h("div", {class: "card"}, pairs(rows)), absent(panels, "teacher", "student", "run")];
  }

  function drawPicture(canvas, sample) {
    const [channels, height, width] = sample.shape;
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height), plane = width * height;
    for (let i = 0; i < plane; ++i) {
      for (let c = 0; c < 3; ++c) image.data[4 * i + c] = sample.pixels[(channels >= 3 ? c : 0) * plane + i];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // Classes that can be told apart in a picture: all of a few, else those that matter for the sample.
  function classesOf(logits, label, count, most) {
    const all = [...Array(count).keys()];
    if (count <= most) return all;
    const chosen = all.sort((a, b) => logits[b] - logits[a]).slice(0, most);
    if (label >= 0 && !chosen.includes(label)) chosen[most - 1] = label;
    return chosen.sort((a, b) => a - b);
  }

  // The colour of a class in a mask, as ClassColour in mask_picture.h; class 0 has none.
  function classColour(label) {
    const sixth = (label * 137.508 % 360) / 60;
    return [0, 4, 2].map((shift) => Math.round(255 * Math.min(1, Math.max(0, Math.abs((sixth + shift) % 6 - 3) - 1))));
  }
  // The picture with half of each pixel's class over it, and a frame around the pixel that is chosen.
  function drawMask(canvas, sample, classes, position) {
    const [height, width] = sample.positions, plane = height * width;
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const colours = new Map();
    for (let i = 0; i < plane; ++i) {
      const label = classes[i];
      if (label > 0 && !colours.has(label)) colours.set(label, classColour(label));
      for (let c = 0; c < 3; ++c) {
        const under = sample.pixels ? sample.pixels[(sample.shape[0] >= 3 ? c : 0) * plane + i] : 0;
        image.data[4 * i + c] = label > 0 ? (under + colours.get(label)[c] + 1) >> 1 : under;
      }
      if (i === position) image.data.set([255, 0, 255], 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // What a sample is made of, besides a picture.
  function inputNodes(sample) {
    return (sample.inputs || []).map((input) => {
      const title = h("div", {class: "meta"}, `${input.name}, ${input.shape.join(" × ") || "one number"}`);
      if (input.text !== undefined) return [title, h("p", {class: "words"}, input.text)];
      if (input.features) return [title, h("div", {class: "scroll features"}, h("table", {class: "pairs"}, h("tbody", {}, input.features.map((one) => h("tr", {}, h("td", {}, one.name), h("td", {class: "number"}, digits(one.value, 6))))))),
        input.features.length < input.shape[0] ? h("p", {class: "note"}, `and ${input.shape[0] - input.features.length} more`) : null];
      if (input.tokens) return [title, h("p", {class: "words"}, input.tokens.join(" "), input.tokens.length < (input.shape[0] || 1) ? " …" : "")];
      if (input.low === undefined) return [title];
      const series = input.values ? plot("series", input.name, (width) => {
        const height = 90, y = Charts.scale([input.low, input.high], height - 4, 4, false), channels = input.shape.length > 1 ? input.shape[0] : 1;
        const length = input.values.length / channels, step = (width - 4) / Math.max(1, length - 1);
        return {height, nodes: [...Array(channels).keys()].slice(0, 6).map((c) => s("polyline", {fill: "none", stroke: color(c), "stroke-width": 1,
          points: input.values.slice(c * length, (c + 1) * length).map((v, i) => `${2 + i * step},${y.at(v)}`).join(" ")}))};
      }) : null;
      return [title, series, h("p", {class: "note"}, `${short(input.low)} to ${short(input.high)}, mean ${short(input.mean)}`)];
    });
  }

  function samplePanel(panels) {
    const samples = panels.samples || [], names = panels.class_names || [], kind = kindOf(panels), n = names.length;
    if (!samples.length) return absent(panels, "samples");
    const run = panels.flow ? panels.flow.temperature : 4;
    let sample = samples[0], temperature = run, position = 0;
    const nameOf = (k) => names[k] === undefined ? String(k) : names[k];
    const logitsOf = (role) => { const all = sample[`${role}_logits`]; return all && all.length >= (position + 1) * n ? all.slice(position * n, (position + 1) * n) : undefined; };
    const judge = () => logitsOf("teacher") || logitsOf("student");
    const labelOf = () => sample.labels ? sample.labels[position] : sample.label === undefined ? -1 : sample.label;
    const numbersOf = () => sample.label_numbers ? sample.label_numbers.slice(position * n, (position + 1) * n) : undefined;
    // Bold in the figures: the class of the label, or each label that is right.
    const isRight = (k) => { const numbers = numbersOf(); return numbers ? numbers[k] === 1 : k === labelOf(); };
    const canvas = h("canvas", {role: "img"}), about = h("div", {class: "meta"}), stage = h("div", {class: "picture"}), words = h("div", {});
    const output = h("output", {});
    // The slider is logarithmic, 0.5 to 100.
    const toSlider = (t) => Math.round(1000 * Math.log(t / 0.5) / Math.log(200));
    const fromSlider = (v) => +(0.5 * 200 ** (v / 1000)).toPrecision(2);
    const slider = h("input", {type: "range", min: 0, max: 1000, step: 1, "aria-label": "Temperature", id: `temperature-${sections}`});
    const seriesOf = () => {
      const list = [], numbers = numbersOf(), teacher = logitsOf("teacher"), student = logitsOf("student");
      if (numbers || labelOf() >= 0) list.push({name: "hard target", key: "hard", color: HARD, p: names.map((_, k) => isRight(k) ? 1 : 0)});
      if (teacher) list.push({name: "teacher at T (soft target)", key: "teacher", color: TEACHER, p: shares(kind, teacher, temperature)});
      if (student) list.push({name: "student at T", key: "student", color: STUDENT, p: shares(kind, student, temperature)});
      return list;
    };
    const bars = plot("soft-targets", "Hard and soft targets of one sample", (width) => {
      if (!judge()) return {height: 20, nodes: [s("text", {class: "tick", x: 0, y: 14}, "the answers at each pixel are too many to be in this page")]};
      const series = seriesOf(), classes = classesOf(judge(), labelOf(), n, 12);
      const longest = Math.max(...classes.map((k) => nameOf(k).length));
      const left = Math.min(Math.max(26, longest * 8 + 14), width * 0.34), right = 64;
      const thick = series.length > 2 ? 9 : 11, group = series.length * thick + 8, height = classes.length * group + 4, nodes = [];
      classes.forEach((k, g) => {
        const top = g * group + 4;
        nodes.push(s("text", {x: left - 8, y: top + series.length * thick / 2 + 4, "text-anchor": "end", "font-weight": isRight(k) ? 700 : null}, cut(nameOf(k), Math.floor((left - 10) / 6.2))));
        series.forEach((one, i) => {
          const p = one.p[k];
          nodes.push(s("rect", {x: left, y: top + i * thick, width: Math.max(0.5, p * (width - left - right)), height: thick - 1, rx: 1.5, fill: one.color,
            "data-class": k, "data-series": one.key, "data-p": p, "data-tip": `${nameOf(k)}\n${one.name}: ${asPercent(p)}`}));
        });
        const shown = series.find((one) => one.key === "teacher") || series[series.length - 1];
        nodes.push(s("text", {class: "tick", x: width - 2, y: top + series.length * thick / 2 + 4, "text-anchor": "end"}, asPercent(shown.p[k])));
      });
      nodes.push(s("line", {class: "base", x1: left, x2: left, y1: 0, y2: height}));
      return {height, nodes};
    });
    bars.classList.add("soft-targets");

    // softmax(z / T) at the four temperatures of the textbooks.
    const quartet = kind === "values" ? [] : [1, 3, 10, 100].map((t) => {
      const place = plot("softmax", `${kind === "multilabel" ? "sigmoid" : "softmax"} at T = ${t}`, (width) => {
        const logits = judge();
        if (!logits) return {height: 20, nodes: []};
        const p = shares(kind, logits, t);
        const classes = classesOf(logits, labelOf(), n, 12), height = 132, base = 104, w = (width - 4) / classes.length;
        const nodes = [0.5, 1].map((v) => s("line", {class: "grid-line", x1: 0, x2: width, y1: base - v * 92, y2: base - v * 92}));
        classes.forEach((k, g) => {
          nodes.push(s("rect", {x: 2 + g * w + w * 0.12, y: base - Math.max(0.6, p[k] * 92), width: w * 0.76, height: Math.max(0.6, p[k] * 92), rx: 1.5,
            fill: sample.teacher_logits ? TEACHER : STUDENT, "data-tip": `${nameOf(k)}: ${asPercent(p[k])}`}));
          nodes.push(s("text", {class: "tick", x: 2 + (g + 0.5) * w, y: base + 15, "text-anchor": "middle", "font-weight": isRight(k) ? 700 : null}, cut(nameOf(k), Math.max(1, Math.floor(w / 7)))));
        });
        nodes.push(s("line", {class: "base", x1: 0, x2: width, y1: base, y2: base}));
        const outcomes = kind === "multilabel" ? p.flatMap((v) => [v, 1 - v]) : p;
        const entropy = -sum(outcomes.map((v) => v > 0 ? v * Math.log(v) : 0)) / (kind === "multilabel" ? n : 1);
        nodes.push(s("text", {class: "tick", x: width - 2, y: 12, "text-anchor": "end"}, `entropy ${entropy.toFixed(2)} nats`));
        return {height, nodes};
      });
      return {place, node: h("figure", {class: "card"}, h("h3", {}, `T = ${t}`), place)};
    });
    const curveHost = h("div", {});
    const drawCurve = () => {
      const logits = judge();
      if (!logits || kind === "values") { curveHost.replaceChildren(); return; }
      const p1 = shares(kind, logits, 1);
      const top = [...p1.keys()].sort((a, b) => p1[b] - p1[a]).slice(0, 5);
      const ts = [...Array(47).keys()].map((i) => 0.5 * 200 ** (i / 46));
      curveHost.replaceChildren(Charts.lines({title: "Probability by temperature", x: {label: "temperature T", unit: "", logarithmic: true}, y: {label: "probability", unit: "", logarithmic: false}, includeY: [0],
        series: top.map((k) => ({name: nameOf(k), x: ts, y: ts.map((t) => shares(kind, logits, t)[k]), dots: false})),
        note: kind === "multilabel" ? "The five likeliest labels of this sample. Low T sharpens each; at high T all come near 50\u00a0%."
          : `The five likeliest classes of this sample. Low T sharpens the choice; at high T all ${names.length} classes come near ${asPercent(1 / names.length)}.`}));
    };
    // Values have no bars of probabilities.
    const valueHost = h("div", {class: "scroll"});
    const drawValues = () => {
      const columns = [["label", numbersOf()], ["teacher", logitsOf("teacher")], ["student", logitsOf("student")]].filter(([, list]) => list);
      valueHost.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "value"), columns.map(([name]) => h("th", {class: "number"}, name)))),
        h("tbody", {}, names.slice(0, 100).map((name, k) => h("tr", {}, h("td", {}, name), columns.map(([, list]) => h("td", {class: "number"}, digits(list[k], 5))))))),
        n > 100 ? h("p", {class: "note"}, `and ${n - 100} more`) : "");
    };
    const isMask = () => (sample.positions || []).length === 2;
    const choose = (i) => { position = i; show(); };
    // Masks are looked at pixel by pixel, texts token by token.
    const drawStage = () => {
      stage.classList.toggle("masks", isMask() && kind === "classes");
      words.replaceChildren(...inputNodes(sample).flat(Infinity).filter(Boolean));
      if (isMask() && kind === "classes") {
        stage.replaceChildren(...[["hard label", sample.labels], ["teacher", sample.teacher_choices], ["student", sample.student_choices]].filter(([, classes]) => classes).map(([name, classes]) => {
          const [height, width] = sample.positions, view = drawMask(h("canvas", {class: "mask", role: "img", "aria-label": `${sample.name}, ${name}`}), sample, classes, position);
          view.addEventListener("click", (event) => {
            const box = view.getBoundingClientRect(), at = (v, from, size, count) => Math.min(count - 1, Math.max(0, Math.floor((v - from) / size * count)));
            choose(at(event.clientY, box.top, box.height, height) * width + at(event.clientX, box.left, box.width, width));
          });
          return h("figure", {class: "masked"}, view, h("figcaption", {class: "meta"}, name));
        }), about);
      } else if (sample.pixels) {
        drawPicture(canvas, sample);
        stage.replaceChildren(canvas, about);
      } else {
        stage.replaceChildren(about);
      }
      if (!sample.tokens) return;
      words.append(h("div", {class: "meta"}, "Choose a token:"), h("div", {class: "tokens"}, sample.tokens.map((token, i) => {
        const known = sample.labels && sample.labels[i] >= 0, right = known && (sample.student_choices || sample.teacher_choices || [])[i] === sample.labels[i];
        return h("button", {type: "button", class: right ? "right" : known ? "wrong" : null, "aria-pressed": i === position ? "true" : "false", "data-position": i,
          "data-tip": `${token || i}\n${known ? `label ${nameOf(sample.labels[i])}` : "no label"}${sample.teacher_choices ? `\nteacher ${nameOf(sample.teacher_choices[i])}` : ""}${sample.student_choices ? `\nstudent ${nameOf(sample.student_choices[i])}` : ""}`,
          onclick: () => choose(i)}, token || String(i));
      })));
      if (kind === "classes") words.append(h("p", {class: "note"}, `Underlined: the ${sample.student_choices ? "student" : "teacher"} chooses the label there. ${sample.positions[0] > sample.shown_position_count ? `${sample.positions[0] - sample.shown_position_count} more positions are not shown, or hold nothing.` : ""}`));
    };
    const whereOf = () => !sample.positions ? "" : isMask() ? `pixel ${Math.floor(position / sample.positions[1])}, ${position % sample.positions[1]}` : `position ${position}${sample.tokens && sample.tokens[position] ? `: ${sample.tokens[position]}` : ""}`;
    const labelText = () => {
      const numbers = numbersOf(), label = labelOf();
      if (kind === "values") return "";
      if (numbers) return `labels: ${names.filter((_, k) => numbers[k] === 1).join(", ") || "none"}`;
      return label >= 0 ? `label: ${nameOf(label)}` : "no label";
    };
    const update = () => {
      canvas.setAttribute("aria-label", sample.name);
      about.replaceChildren(...[sample.name, whereOf(), labelText(), sample.why, sample.entropy === undefined ? "" : `entropy at T = 1: ${short(sample.entropy)} nats`].filter(Boolean).map((text) => h("div", {}, text)));
      output.textContent = `T = ${short(temperature)}`;
      if (kind === "values") drawValues(); else bars.redraw();
    };
    const show = () => {
      drawStage(); update(); drawCurve();
      for (const {place} of quartet) place.redraw();
    };
    const setTemperature = (t) => { temperature = t; slider.value = toSlider(t); update(); };
    slider.addEventListener("input", () => { temperature = fromSlider(Number(slider.value)); update(); });
    const thumbs = samples.map((one, i) => h("button", {type: "button", class: one.pixels ? null : "named", title: one.why, "aria-label": `${one.name}, ${one.why}`, "aria-pressed": one === sample ? "true" : "false", onclick: (event) => {
      sample = one; position = 0;
      for (const other of thumbs) other.setAttribute("aria-pressed", other === event.currentTarget ? "true" : "false");
      show();
    }}, one.pixels ? drawPicture(h("canvas", {}), one) : `${i + 1}: ${one.why}`));
    const chips = [...new Set([1, 3, 10, 100, run])].sort((a, b) => a - b).map((t) =>
      h("button", {type: "button", onclick: () => setTemperature(t)}, t === run ? `T = ${short(t)}, this run` : `T = ${t}`));
    slider.value = toSlider(temperature);
    show();
    const answers = kind === "values" ? [valueHost] : [
      h("div", {class: "slider"}, h("label", {for: slider.id}, "temperature"), slider, output),
      h("div", {class: "chips"}, chips),
      legend(seriesOf().map((one) => ({name: one.name, color: one.color, box: true}))), bars,
      h("p", {class: "note"}, `The page computes ${kind === "multilabel" ? "sigmoid" : "softmax"}(z / T) from the logits z of the model files. Numbers at the right are the teacher's, if there is one.`)];
    const narrow = samples.some((one) => one.pixels) && !samples[0].positions;
    return [h("div", {class: "card"},
      h("div", {class: "thumbs"}, thumbs),
      h("div", {class: narrow ? "sample" : "sample wide"}, h("div", {}, stage, words), h("div", {}, answers))),
      quartet.length ? [h("h2", {}, "What temperature does to it"),
        h("div", {class: "grid two"}, quartet.map((one) => one.node)), h("div", {style: "height:14px"}), curveHost] : null, absent(panels, "samples")];
  }

  // The two losses joining, with this run's numbers.
  function flowPanel(panels) {
    const flow = panels.flow;
    if (!flow || !flow.step) return [h("p", {class: "absent"}, "Not shown: no round is complete.")];
    const about = KINDS[kindOf(panels)], values = kindOf(panels) === "values";
    // Losses of values have no temperature.
    const t2 = values ? 1 : flow.temperature ** 2, soft = flow.alpha * t2 * flow.soft_loss, hard = (1 - flow.alpha) * flow.hard_loss, total = soft + hard;
    const own = (flow.loss_name === "kd" || values) && !flow.scheduled;
    const place = plot("loss-flow", "How the two losses join", (width) => {
      const wide = width >= 640;
      const W = wide ? 760 : 340, nodes = [];
      const box = (x, y, w, tall, lines, accent) => {
        nodes.push(s("rect", {class: "box", x, y, width: w, height: tall, rx: 8, style: accent ? `stroke:${accent};stroke-width:2` : null}));
        const step = lines.some((line) => line.startsWith("=")) ? 21 : 17;
        lines.forEach((line, i) => nodes.push(s("text", {x: x + w / 2, y: y + tall / 2 + (step > 17 ? 5 : 4) + (i - (lines.length - 1) / 2) * step, "text-anchor": "middle",
          class: line.startsWith("=") ? "big" : i ? "tick" : ""}, line.replace(/^=/, ""))));
        return {x, y, w, h: tall};
      };
      const arrow = (points) => nodes.push(s("polyline", {class: "arrow", points: points.map((p) => p.join(",")).join(" "), "marker-end": "url(#head)"}));
      nodes.push(s("defs", {}, s("marker", {id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto"}, s("path", {d: "M0,0L8,4L0,8z", fill: "var(--soft)"}))));
      const T = short(flow.temperature), no = flow.alpha === 0;
      const name = flow.loss_name === "kd" ? about.soft : values ? `${flow.loss_name}(z, s)` : `soft term: ${flow.loss_name}`;
      const hardName = about.hard(flow.loss_name), weight = values ? `× α = ${short(flow.alpha)}` : `× α T² = ${short(flow.alpha)} · ${short(t2)}`;
      let height;
      if (wide) {
        height = 280;
        const x = box(0, 112, 84, 56, ["sample x", "and label y"]);
        const teacher = box(120, 20, 150, 56, [no ? "no teacher" : "teacher", no ? "(alpha is 0)" : values ? "z" : `p = ${about.squashed(T)}`], TEACHER);
        const student = box(120, 112, 150, 56, ["student", values ? "s" : `q = ${about.squashed(T)}, q₁`], STUDENT);
        const label = box(120, 204, 150, 56, ["label y", about.label[0]], HARD);
        const kl = box(310, 58, 140, 64, [name, `=${short(flow.soft_loss)}`], TEACHER);
        const ce = box(310, 160, 140, 64, [hardName, `=${short(flow.hard_loss)}`], HARD);
        const softBox = box(484, 58, 128, 64, [weight, `=${short(soft)}`], TEACHER);
        const hardBox = box(484, 160, 128, 64, [`× (1 − α) = ${short(1 - flow.alpha)}`, `=${short(hard)}`], HARD);
        const end = box(648, 100, 110, 80, ["L", `=${short(own ? total : flow.loss)}`, ...(values ? [] : ["nats"])], "var(--c2)");
        arrow([[84, 132], [102, 132], [102, 48], [118, 48]]); arrow([[84, 140], [118, 140]]); arrow([[84, 148], [102, 148], [102, 232], [118, 232]]);
        arrow([[270, 48], [290, 48], [290, 80], [308, 80]]); arrow([[270, 132], [290, 132], [290, 100], [308, 100]]);
        arrow([[270, 148], [290, 148], [290, 182], [308, 182]]); arrow([[270, 232], [290, 232], [290, 204], [308, 204]]);
        arrow([[450, 90], [482, 90]]); arrow([[450, 192], [482, 192]]);
        arrow([[612, 90], [630, 90], [630, 128], [646, 128]]); arrow([[612, 192], [630, 192], [630, 152], [646, 152]]);
        void [x, teacher, student, label, kl, ce, softBox, hardBox, end];
      } else {
        height = 500;
        box(105, 0, 130, 44, ["sample x, label y"]);
        box(0, 78, 108, 58, [no ? "no teacher" : "teacher", no ? "(alpha is 0)" : about.squashed(T)], TEACHER);
        box(116, 78, 108, 58, ["student", values ? "s" : "q at T, and q₁"], STUDENT);
        box(232, 78, 108, 58, ["label y", about.label[1]], HARD);
        box(10, 176, 150, 62, [name, `=${short(flow.soft_loss)}`], TEACHER);
        box(180, 176, 150, 62, [hardName, `=${short(flow.hard_loss)}`], HARD);
        box(10, 276, 150, 62, [weight, `=${short(soft)}`], TEACHER);
        box(180, 276, 150, 62, [`× (1 − α) = ${short(1 - flow.alpha)}`, `=${short(hard)}`], HARD);
        box(95, 388, 150, 80, ["L", `=${short(own ? total : flow.loss)}`, ...(values ? [] : ["nats"])], "var(--c2)");
        arrow([[140, 44], [140, 60], [54, 60], [54, 76]]); arrow([[170, 44], [170, 76]]); arrow([[200, 44], [200, 60], [286, 60], [286, 76]]);
        arrow([[54, 136], [54, 174]]); arrow([[156, 136], [156, 156], [116, 156], [116, 174]]); arrow([[184, 136], [184, 156], [224, 156], [224, 174]]); arrow([[286, 136], [286, 174]]);
        arrow([[85, 238], [85, 274]]); arrow([[255, 238], [255, 274]]);
        arrow([[85, 338], [85, 360], [140, 360], [140, 386]]); arrow([[255, 338], [255, 360], [200, 360], [200, 386]]);
      }
      const scaled = Math.min(1.15, width / W);
      return {height: Math.ceil(height * scaled), nodes: [s("g", {transform: `translate(${(width - W * scaled) / 2}) scale(${scaled})`}, nodes)]};
    });
    let note = `Means over the samples of round ${flow.step}. The run reports L = ${short(flow.loss)}`;
    if (!own) note += flow.scheduled ? "; alpha or T follow a schedule, the numbers in the boxes use their start values." : `; its soft term is "${flow.loss_name}", which has weights of its own.`;
    else if (Math.abs(total - flow.loss) <= 0.005 * Math.max(Math.abs(flow.loss), 1e-6)) note += `, which is what the picture adds up to.`;
    else note += `; the sum differs where not all samples have labels, or labels are smoothed.`;
    return [card(about.formula, note, place)];
  }

  function roundsPanel(panels) {
    const rounds = panels.rounds || [], replicas = panels.replicas || [];
    if (!rounds.length) return absent(panels, "rounds");
    const x = {label: "rounds completed", unit: "", logarithmic: false}, steps = rounds.map((r) => r.step);
    const byReplica = new Map();
    for (const one of replicas) {
      if (!byReplica.has(one.replica)) byReplica.set(one.replica, []);
      byReplica.get(one.replica).push(one);
    }
    const termOf = (title, key, note) => Charts.lines({title, note, wholeX: true, x, y: {label: title.toLowerCase(), unit: KINDS[kindOf(panels)].unit, logarithmic: false}, includeY: [0],
      series: [...[...byReplica].map(([k, list]) => ({name: byReplica.size > 1 ? "each replica" : `replica ${k}`, x: list.map((r) => r.step), y: list.map((r) => r[key]), thin: true, color: "var(--c5)"})),
               {name: "averaged", x: steps, y: rounds.map((r) => r[key]), color: "var(--c1)"}]});
    const accuracy = rounds.filter((r) => r.accuracy !== undefined);
    const series = [{name: "student", x: accuracy.map((r) => r.step), y: accuracy.map((r) => 100 * r.accuracy), color: STUDENT}];
    const agreement = rounds.filter((r) => r.agreement !== undefined);
    if (agreement.length) series.push({name: "agreement with the teacher", x: agreement.map((r) => r.step), y: agreement.map((r) => 100 * r.agreement), color: "var(--c2)"});
    const teacher = modelOf(panels, "teacher"), wholeRun = steps.length ? [steps[0], steps[steps.length - 1]] : [];
    const dashed = (at) => ({name: "teacher", x: wholeRun, y: [at, at], color: TEACHER, dash: true, dots: false});
    if (teacher && steps.length && kindOf(panels) !== "values") series.push(dashed(teacher.accuracy !== undefined ? 100 * teacher.accuracy : share(teacher.correct_count, teacher.sample_count)));
    const what = panels.answer ? panels.answer.kind === "multilabel" ? "All labels right" : panels.answer.kind === "classes" ? "Accuracy at positions" : "" : "Accuracy of the averaged student";
    // What else an evaluation of this kind of answers measures.
    const others = [["mean_iou", "Mean IoU"], ["perplexity", "Perplexity"], ["micro_f1", "Micro F1"], ["mean_average_precision", "Mean average precision"], ["mean_squared_error", "Mean squared error"], ["r2", "R²"]]
      .map(([key, title]) => {
        const known = rounds.filter((r) => Number.isFinite(r[key]));
        if (!known.length) return null;
        const lines = [{name: "student", x: known.map((r) => r.step), y: known.map((r) => r[key]), color: STUDENT}];
        const of_teacher = !teacher ? null : key === "perplexity" ? Math.exp(teacher.cross_entropy) : teacher[key];
        if (Number.isFinite(of_teacher)) lines.push(dashed(of_teacher));
        return Charts.lines({title: `${title} of the averaged student`, wholeX: true, x, y: {label: title.toLowerCase(), unit: "", logarithmic: false}, series: lines});
      }).filter(Boolean);
    const flow = panels.flow || {};
    return [h("div", {class: "grid two"},
      accuracy.length ? Charts.lines({title: what, wholeX: true, x, y: {label: panels.answer && panels.answer.positions.length ? "positions that count" : "evaluation samples", unit: "%", logarithmic: false}, series}) : others.length ? null : h("p", {class: "absent"}, "The run was not evaluated."),
      others,
      termOf("Total loss", "loss", ""),
      flow.alpha > 0 ? termOf("Soft term", "soft_loss", kindOf(panels) === "values" ? "Without α." : "Without α and T².") : h("p", {class: "absent"}, "No soft term: alpha is 0."),
      flow.alpha < 1 ? termOf("Hard term", "hard_loss", "Without 1 − α.") : h("p", {class: "absent"}, "No hard term: alpha is 1.")),
      absent(panels, "rounds", "replicas")];
  }

  function confusionPanel(panels) {
    const names = panels.class_names || [], n = names.length, drawn = [];
    const models = (panels.models || []).filter((one) => one.confusion && one.confusion.length === n * n);
    const labels = names.map((name) => cut(name, 12));
    const x = {label: "chosen", unit: ""}, y = {label: "label", unit: ""};
    for (const model of models) {
      const off = Math.max(1, ...model.confusion.filter((_, i) => Math.floor(i / n) !== i % n));
      drawn.push(Charts.matrix({title: `Errors of the ${model.role}`, square: true, x_labels: labels, y_labels: labels, x, y,
        note: `${sum(model.confusion) - sum(model.confusion.filter((_, i) => i % (n + 1) === 0))} errors; the diagonal (green) is right.`,
        cell: (r, c) => {
          const count = model.confusion[r * n + c], right = r === c;
          const whole = sum(model.confusion.slice(r * n, r * n + n)) || 1;
          return {strength: right ? 0.1 + 0.25 * count / whole : count / off, color: right ? "var(--c2)" : count ? "var(--bad)" : "var(--hard)",
            text: count ? String(count) : "", tip: `label ${names[r]}, chosen ${names[c]}: ${count} of ${whole}`};
        }}));
    }
    if (models.length === 2) {
      const [teacher, student] = [modelOf(panels, "teacher"), modelOf(panels, "student")];
      const differences = student.confusion.map((v, i) => v - teacher.confusion[i]);
      const most = Math.max(1, ...differences.map(Math.abs));
      drawn.push(Charts.matrix({title: "Student minus teacher", square: true, x_labels: labels, y_labels: labels, x, y,
        note: "Orange: the student does it more often; blue: the teacher.",
        cell: (r, c) => {
          const d = differences[r * n + c];
          return {strength: Math.abs(d) / most, color: d > 0 ? STUDENT : d < 0 ? TEACHER : "var(--hard)", text: d ? (d > 0 ? `+${d}` : `−${-d}`) : "",
            tip: `label ${names[r]}, chosen ${names[c]}: student ${student.confusion[r * n + c]}, teacher ${teacher.confusion[r * n + c]}`};
        }}));
    }
    return [drawn.length ? h("div", {class: `grid ${drawn.length > 2 ? "three" : "two"}`}, drawn) : null, absent(panels, "confusion"),
            drawn.length || (panels.absent || []).some((one) => one.panel === "confusion") ? null : h("p", {class: "absent"}, "Not shown: no model could be asked.")];
  }

  // Figures of each label, or of each value.
  function detailPanel(panels) {
    const values = kindOf(panels) === "values", names = panels.class_names || [], most = 40;
    const figures = values ? [["mean_squared_error", "Mean squared error"], ["r2", "R²"]] : [["f1", "F1"], ["average_precision", "Average precision"]];
    const of = (model) => model[values ? "values" : "labels"] || {};
    const drawn = figures.map(([key, title]) => {
      const models = (panels.models || []).filter((one) => (of(one)[key] || []).length === names.length);
      if (!models.length) return null;
      return Charts.bars({title, x: {label: "", unit: ""}, y: {label: title.toLowerCase(), unit: "", logarithmic: false}, x_labels: names.slice(0, most).map((name) => cut(name, 24)),
        series: models.map((one) => ({name: one.role, color: one.role === "teacher" ? TEACHER : STUDENT, y: of(one)[key].slice(0, most)})),
        note: names.length > most ? `The first ${most} of ${names.length}.` : ""});
    }).filter(Boolean);
    return [drawn.length ? h("div", {class: "grid two top"}, drawn) : h("p", {class: "absent"}, "Not shown: no model could be asked.")];
  }

  function calibrationPanel(panels) {
    const models = (panels.models || []).filter((one) => one.calibration && one.calibration.length);
    if (!models.length) return [h("p", {class: "absent"}, "Not shown: no model could be asked.")];
    const series = [{name: "as sure as right", x: [0, 100], y: [0, 100], dash: true, dots: false, color: HARD}];
    for (const model of models) {
      const bins = model.calibration.filter((bin) => bin.sample_count > 0), most = Math.max(...bins.map((b) => b.sample_count));
      series.push({name: model.role, color: model.role === "teacher" ? TEACHER : STUDENT,
        x: bins.map((b) => 100 * b.confidence_sum / b.sample_count), y: bins.map((b) => 100 * b.correct_count / b.sample_count),
        sizes: bins.map((b) => 3 + 6 * Math.sqrt(b.sample_count / most)),
        tips: bins.map((b) => `${model.role}\n${short(100 * b.confidence_sum / b.sample_count)} % sure, ${short(100 * b.correct_count / b.sample_count)} % right\n${b.sample_count} samples`)});
    }
    const counted = models[models.length - 1].calibration, width = 100 / counted.length;
    return [h("div", {class: "grid two top"}, Charts.lines({title: "Calibration", height: 300, x: {label: "confidence of the choice", unit: "%", logarithmic: false}, y: {label: "right", unit: "%", logarithmic: false}, includeY: [0, 100], includeX: [0, 100], series,
      note: models.map((one) => `${one.role}: expected calibration error ${fixed(one.calibration_error, 4)}`).join("; ") + ". Larger points hold more samples."}),
      Charts.bars({title: "Samples by confidence", x: {label: "", unit: ""}, y: {label: "samples", unit: "", logarithmic: false},
        ...(() => { const rows = counted.map((_, i) => i).filter((i) => models.some((m) => m.calibration[i].sample_count > 0));
          return {x_labels: rows.map((i) => `${Math.round(i * width)}–${Math.round((i + 1) * width)} %`), series: models.map((m) => ({name: m.role, color: m.role === "teacher" ? TEACHER : STUDENT, y: rows.map((i) => m.calibration[i].sample_count)}))}; })()}))];
  }

  function timePanel(panels) {
    const leases = panels.leases || [], parts = [];
    if (leases.length) {
      const start = Math.min(...leases.map((one) => one.granted)), now = Math.max(...leases.map((one) => Math.max(one.ended, one.granted)));
      const colors = {initialise: "var(--c3)", train: "var(--c0)", evaluate: "var(--c2)"};
      const lost = (one) => !["done", "active"].includes(one.outcome);
      const keyOf = (one) => `${one.kind} ${one.round} ${one.replica}`;
      const seen = new Set(), rows = new Map();
      for (const one of leases) {
        if (!rows.has(one.worker_id)) rows.set(one.worker_id, {name: one.worker || one.worker_id, spans: []});
        const end = one.ended || now, again = seen.has(keyOf(one));
        rows.get(one.worker_id).spans.push({from: one.granted - start, to: end - start, color: colors[one.kind], lost: lost(one), again,
          tip: `${one.kind}, round ${one.round}${one.kind === "train" ? `, replica ${one.replica}` : ""}\n${one.outcome}, ${short(end - one.granted)} s${again ? "\ndone again: an earlier lease of this task was lost" : ""}`});
        if (lost(one)) seen.add(keyOf(one));
      }
      const bad = leases.filter(lost);
      parts.push(Charts.timeLine({title: "Who did which task when", rows: [...rows.values()],
        legend: [{name: "train", color: colors.train, box: true}, {name: "evaluate", color: colors.evaluate, box: true}, {name: "initialise", color: colors.initialise, box: true}, {name: "lost or given back", color: "var(--bad)", box: true}],
        note: `${leases.length} leases to ${rows.size} ${rows.size === 1 ? "worker" : "workers"}. ${bad.length ? "Framed: a task that was done again." : "Nothing was lost."}`}));
      const line = (one) => h("tr", {}, [`${one.kind}${one.kind === "initialise" ? "" : `, round ${one.round}`}${one.kind === "train" ? `, replica ${one.replica}` : ""}`, one.worker || one.worker_id, short(one.granted - start), one.ended ? short(one.ended - one.granted) : "-", one.outcome]
        .map((text, c) => h("td", {class: c === 2 || c === 3 ? "number" : ""}, text)));
      const list = (some) => h("div", {class: "scroll"}, h("table", {class: "wide"}, h("thead", {}, h("tr", {}, ["task", "worker", "at, s", "held, s", "outcome"].map((text, c) => h("th", {class: c === 2 || c === 3 ? "number" : ""}, text)))), h("tbody", {}, some.map(line))));
      if (bad.length) parts.push(h("div", {class: "card", style: "margin-top:14px"}, h("h3", {}, "Lost or given back"), list(bad.slice(0, 50)), bad.length > 50 ? h("p", {class: "note"}, `and ${bad.length - 50} more`) : null));
      const all = h("details", {}, h("summary", {}, `All ${leases.length} leases`));
      all.addEventListener("toggle", () => { if (all.open && all.children.length === 1) all.append(list(leases)); });
      parts.push(all);
    }
    const time = (panels.time || []).filter((one) => one.seconds > 0), total = sum(time.map((one) => one.seconds));
    if (time.length) {
      parts.push(h("div", {style: "height:14px"}), Charts.bars({title: "Where the workers' time went", x: {label: "", unit: ""}, y: {label: "seconds of all workers together", unit: "s", logarithmic: false},
        x_labels: time.map((one) => one.name), series: [{name: "seconds", y: time.map((one) => one.seconds), color: "var(--c0)", texts: time.map((one) => `${short(one.seconds)} s, ${fixed(100 * one.seconds / total, 1)} %`)}],
        note: "Training: forward, backward and steps. Weights down and up: what a lease took besides its training."}));
    }
    return [...parts, absent(panels, "leases", "time")];
  }

  function specPanel(panels) {
    const run = panels.run || {}, code = (text) => text ? h("code", {}, text) : "-";
    const facts = [["run", code(run.run_id)], ["state", run.state_reason ? `${run.state}: ${run.state_reason}` : run.state || "-"],
      ["bit-identity", run.inexact ? "workers of unlike numerics, or a quorum, took part: equal bits are not promised" : "the same RunSpec gives the same weights"],
      ["leases lost", short(run.lost_lease_count)],
      ["submitted", run.submitted_unix_seconds ? new Date(1000 * run.submitted_unix_seconds).toISOString().replace("T", " ").slice(0, 19) + " UTC" : "-"],
      ["weights, SHA-256", code(run.weights_sha256)], ["first weights", code(run.initial_weights_sha256)], ["teacher digest", code(run.teacher_digest)], ["data set digest", code(run.dataset_digest)]];
    return [h("div", {class: "card"}, pairs(facts)), h("div", {class: "card", style: "margin-top:14px"},
      h("details", {}, h("summary", {}, "RunSpec, every key"), pairs((panels.spec || []).map((one) => [one.key, h("code", {}, one.value)])))), absent(panels, "spec")];
  }

  function runPanels(place, panels) {
    const ids = [];
    const add = (title, nav, parts) => ids.push([nav, section(place, title, parts)]);
    add("In short", "In short", headline(panels));
    add(kindOf(panels) === "values" ? "One sample, its label and the answers" : "One sample, hard and soft targets", "Soft targets", samplePanel(panels));
    add("How the two losses join", "Loss", flowPanel(panels));
    add("Round by round", "Rounds", roundsPanel(panels));
    if (kindOf(panels) === "classes") {
      add("Which classes are confused", "Confusion", confusionPanel(panels));
      add("As sure as right?", "Calibration", calibrationPanel(panels));
    } else {
      add(kindOf(panels) === "values" ? "Value by value" : "Label by label", "Details", detailPanel(panels));
    }
    add("Workers, tasks and time", "Time line", timePanel(panels));
    add("RunSpec and digests", "RunSpec", specPanel(panels));
    return ids;
  }

  // ---- the page

  function draw() {
    document.title = `${results.title} · Distillery`;
    report.replaceChildren(h("h1", {}, results.title), h("p", {class: "lead"}, results.summary));
    const facts = [];
    if (results.dataset) facts.push(`data: ${results.dataset}`);
    if (results.scale) facts.push(`scale: ${results.scale}`);
    if (results.seeds.length) facts.push(`${results.seeds.length === 1 ? "seed" : "seeds"} ${results.seeds.join(", ")}`);
    if (results.wall_seconds > 0) facts.push(`took ${asSeconds(results.wall_seconds)}`);
    report.append(h("p", {class: "meta"}, facts.join(" · ")), results.command ? h("p", {class: "meta"}, h("code", {}, results.command)) : "");
    const ids = [];
    if (results.tables.length) ids.push(["Tables", section(report, "Tables", h("div", {class: "grid"}, results.tables.map(table)))]);
    if (results.figures.length) ids.push(["Figures", section(report, "Figures", h("div", {class: `grid ${results.figures.length > 1 ? "two" : ""}`}, results.figures.map(figure)))]);
    const runs = results.runs.filter((run) => run.panels);
    const place = h("div", {});
    const show = (run) => { place.replaceChildren(); return runPanels(place, run.panels); };
    if (runs.length > 1) {
      const tabs = runs.map((run, i) => h("button", {type: "button", "aria-pressed": i === 0 ? "true" : "false", onclick: (event) => {
        for (const other of tabs) other.setAttribute("aria-pressed", other === event.currentTarget ? "true" : "false");
        show(run);
      }}, runs.filter((other) => other.name === run.name).length > 1 ? `${run.name}, seed ${run.seed}` : run.name));
      ids.push(["Runs", section(report, "The runs", h("div", {class: "tabs"}, tabs))]);
    }
    report.append(place);
    if (runs.length) {
      const own = show(runs[0]);
      if (runs.length === 1) ids.push(...own);
    }
    const others = results.runs.filter((run) => !run.panels);
    if (others.length) {
      section(report, runs.length ? "Other runs" : "Runs", h("div", {class: "card"}, h("details", {}, h("summary", {}, `${others.length} runs`),
        pairs(others.map((run) => [run.name, `seed ${run.seed}`, h("code", {}, run.weights_sha256.slice(0, 16) || "-")])))));
    }
    contents.replaceChildren(...ids.map(([name, id]) => h("a", {href: `#${id}`}, name)));
  }

  const theme = document.getElementById("theme"), dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("distillery-theme"); } catch (error) { void error; }  // not for files in some browsers
  const apply = () => {
    const now = chosen || (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now;
    theme.textContent = now === "dark" ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Use the ${now === "dark" ? "light" : "dark"} theme`);
  };
  theme.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("distillery-theme", chosen); } catch (error) { void error; }
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
  Charts.enableTips(document.getElementById("tip"));
  draw();
})();
