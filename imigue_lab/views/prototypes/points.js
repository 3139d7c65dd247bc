// Points on a plane: hovering names a point, pressing chooses it, the wheel zooms, dragging pans.
//
// Python sends the `scene` (places, looks, kinds) and the name of a hovered point on request.
// Shared trait: chosen, the number of a point, or -1.

const WIDTH = 560;
const HEIGHT = 420;
const EDGE = 24; // pixels around the points at first
const NEAR = 12; // pixels within which a point is hit
const CLIP = 1; // kinds: drawn with an open mark;
const PROTOTYPE = 2; // drawn last and largest, with an edge

function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function star(points, inner) {
  // corners at radius 1.15 and `inner` in turn, the first at the top
  return Array.from({ length: 2 * points }, (_, n) => {
    const [radius, angle] = [n % 2 ? inner : 1.15, (Math.PI * n) / points];
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

const OUTLINES = {
  // corners of each mark, for radius 1
  square: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
  "triangle-up": [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
  "triangle-down": [[0, 1.1], [1.05, -0.8], [-1.05, -0.8]],
  "triangle-left": [[-1.1, 0], [0.8, 1.05], [0.8, -1.05]],
  diamond: [[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]],
  cross: [
    [-0.38, -1.1], [0.38, -1.1], [0.38, -0.38], [1.1, -0.38], [1.1, 0.38], [0.38, 0.38],
    [0.38, 1.1], [-0.38, 1.1], [-0.38, 0.38], [-1.1, 0.38], [-1.1, -0.38], [-0.38, -0.38],
  ],
  "triangle-right": [[1.1, 0], [-0.8, 1.05], [-0.8, -1.05]],
  hourglass: [[-0.9, -1], [0.9, -1], [-0.9, 1], [0.9, 1]],
  x: [
    [0, -0.5], [0.6, -1.1], [1.1, -0.6], [0.5, 0], [1.1, 0.6], [0.6, 1.1],
    [0, 0.5], [-0.6, 1.1], [-1.1, 0.6], [-0.5, 0], [-1.1, -0.6], [-0.6, -1.1],
  ],
  star: star(5, 0.5),
  pentagon: star(5, 1.15 * Math.cos(Math.PI / 5)),
  hexagram: star(6, 0.66),
};

function mark(pen, x, y, kind, outline, ink) {
  const radius = kind === PROTOTYPE ? 8 : 4;
  pen.beginPath();
  for (const [dx, dy] of OUTLINES[outline] ?? []) pen.lineTo(x + radius * dx, y + radius * dy);
  if (outline === "circle") pen.arc(x, y, radius * 0.95, 0, 2 * Math.PI);
  pen.closePath();
  pen.fillStyle = ink;
  pen.strokeStyle = kind === PROTOTYPE ? "#111" : ink;
  pen.lineWidth = kind === PROTOTYPE ? 1.6 : 1.3;
  if (kind !== CLIP) pen.fill();
  if (kind !== 0) pen.stroke();
}

function render({ model, el }) {
  const root = make("div", "lab-points", el);
  root.tabIndex = 0;
  const canvas = make("canvas", "plane", root);
  const label = make("div", "name", root);
  const legend = make("div", "legend", root);
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const pen = canvas.getContext("2d");
  let scene = null;
  let places = null; // x, y of each point in pixels before zooming
  let looks = null; // the number of a colour and a mark
  let kinds = null;
  let view = { x: 0, y: 0, scale: 1 };
  let hovered = -1;
  let drag = null; // where a drag began
  let pending = 0; // animation frame

  const x = (n) => places[2 * n] * view.scale + view.x;
  const y = (n) => places[2 * n + 1] * view.scale + view.y;

  function ring(n, ink) {
    if (n < 0 || n >= kinds.length) return;
    pen.strokeStyle = ink;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x(n), y(n), 13, 0, 2 * Math.PI);
    pen.stroke();
  }

  function draw() {
    pending = 0;
    if (!scene) return;
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    let first = -1;
    for (const last of [false, true]) {
      for (let n = 0; n < kinds.length; n++) {
        if ((kinds[n] === PROTOTYPE) !== last) continue;
        if (last && first < 0) first = n;
        const ink = scene.palette[looks[n]] ?? scene.unknown;
        mark(pen, x(n), y(n), kinds[n], scene.marks[looks[n]] ?? "circle", ink);
      }
    }
    ring(hovered, "#555");
    ring(model.get("chosen"), "#d55e00");
    canvas.dataset.chosen = model.get("chosen");
    if (first >= 0) canvas.dataset.prototype = `${x(first) / WIDTH} ${y(first) / HEIGHT}`;
  }

  const redraw = () => (pending ||= requestAnimationFrame(draw));

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * WIDTH;
    const py = ((event.clientY - box.top) / box.height) * HEIGHT;
    let [best, found] = [NEAR * NEAR, -1];
    for (let n = 0; n < kinds.length; n++) {
      const far = (x(n) - px) ** 2 + (y(n) - py) ** 2 - (kinds[n] === PROTOTYPE ? 40 : 0);
      if (far < best) [best, found] = [far, n];
    }
    return { px, py, found };
  }

  function setScene(content, buffers) {
    scene = content;
    const copy = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const own = new Float32Array(copy(buffers[0]));
    looks = new Int16Array(copy(buffers[1]));
    kinds = new Uint8Array(copy(buffers[2]));
    const { low, high } = scene;
    const scale = Math.min(
      (WIDTH - 2 * EDGE) / Math.max(high[0] - low[0], 1e-9),
      (HEIGHT - 2 * EDGE) / Math.max(high[1] - low[1], 1e-9),
    );
    const left = (WIDTH - scale * (high[0] - low[0])) / 2;
    const top = (HEIGHT - scale * (high[1] - low[1])) / 2;
    places = own.map((v, i) => (i % 2 ? top + scale * (high[1] - v) : left + scale * (v - low[0])));
    legend.replaceChildren();
    scene.kinds.forEach((name, kind) => explain(name, kind, "circle", scene.unknown));
    make("hr", "", legend);
    scene.names.forEach((name, n) => explain(name, 0, scene.marks[n], scene.palette[n]));
    redraw();
  }

  function explain(name, kind, outline, ink) {
    const line = make("div", "", legend);
    const spot = make("canvas", "spot", line);
    [spot.width, spot.height] = [20, 20];
    mark(spot.getContext("2d"), 10, 10, kind, outline, ink);
    line.append(name);
  }

  function receive(content, buffers) {
    if (content.kind === "scene") setScene(content, buffers);
    else if (content.point === hovered) label.textContent = content.name;
  }

  canvas.onpointermove = (event) => {
    if (!scene) return;
    const { px, py, found } = nearest(event);
    if (drag) {
      view = { ...view, x: drag.x + px - drag.px, y: drag.y + py - drag.py };
      drag.moved ||= Math.hypot(px - drag.px, py - drag.py) > 4;
      redraw();
    } else if (found !== hovered) {
      hovered = found;
      if (found >= 0) model.send({ kind: "name", point: found });
      else label.textContent = "";
      redraw();
    }
  };
  canvas.onpointerleave = () => {
    hovered = -1;
    label.textContent = "";
    redraw();
  };
  canvas.onpointerdown = (event) => {
    if (!scene) return;
    canvas.setPointerCapture(event.pointerId);
    const { px, py } = nearest(event);
    drag = { px, py, x: view.x, y: view.y, moved: false };
  };
  canvas.onpointerup = (event) => {
    if (!drag) return;
    const { found } = nearest(event);
    if (!drag.moved && found >= 0) {
      model.set("chosen", found);
      model.save_changes();
    }
    drag = null;
    redraw();
  };
  canvas.onwheel = (event) => {
    if (!scene) return;
    event.preventDefault();
    const { px, py } = nearest(event);
    const scale = Math.min(Math.max(view.scale * Math.exp(-event.deltaY / 400), 0.5), 60);
    const grown = scale / view.scale;
    view = { x: px - grown * (px - view.x), y: py - grown * (py - view.y), scale };
    redraw();
  };
  canvas.ondblclick = () => {
    view = { x: 0, y: 0, scale: 1 };
    redraw();
  };
  const keep = (event) => {
    // from JupyterLab, which would select another cell or fold a section
    if (root.contains(event.target) && event.key.startsWith("Arrow")) event.stopPropagation();
  };
  window.addEventListener("keydown", keep, { capture: true });
  model.on("msg:custom", receive);
  model.on("change:chosen", redraw);
  model.send({ kind: "scene" });
  return () => {
    cancelAnimationFrame(pending);
    window.removeEventListener("keydown", keep, { capture: true });
    model.off("msg:custom", receive);
    model.off("change:chosen", redraw);
  };
}

export default { render };
