// Points on a plane: hover names them, a press chooses one, the wheel zooms, dragging moves.
//
// Python sends a `scene` (places, colours, shapes) when asked, and a name for a point hovered over.
// Shared trait: chosen, the number of a point, or -1.

const WIDTH = 640;
const HEIGHT = 520;
const EDGE = 24; // pixels around the points at first
const NEAR = 12; // pixels within which a point is meant
const STAR = 2; // the shape that is drawn last and largest

function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function star(pen, x, y, radius) {
  pen.beginPath();
  for (let corner = 0; corner < 10; corner++) {
    const reach = corner % 2 ? radius * 0.45 : radius;
    const angle = (Math.PI * corner) / 5 - Math.PI / 2;
    pen.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  pen.closePath();
}

function render({ model, el }) {
  const root = make("div", "lab-points", el);
  const canvas = make("canvas", "plane", root);
  const side = make("div", "side", root);
  const legend = make("div", "legend", side);
  const label = make("div", "name", root);
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const pen = canvas.getContext("2d");
  let scene = null;
  let places = null; // x, y of each point in pixels before zooming
  let colours = null;
  let shapes = null;
  let view = { x: 0, y: 0, scale: 1 };
  let hovered = -1;
  let held = null; // where a drag began
  let due = 0;

  const x = (n) => places[2 * n] * view.scale + view.x;
  const y = (n) => places[2 * n + 1] * view.scale + view.y;

  function mark(n, shape, ink) {
    const reach = shape === STAR ? 10 : 4;
    pen.fillStyle = ink;
    pen.strokeStyle = shape === STAR ? "#111" : ink;
    pen.lineWidth = shape === STAR ? 0.8 : 1.4;
    if (shape === STAR) {
      star(pen, x(n), y(n), reach);
      pen.fill();
      pen.stroke();
    } else if (shape === 1) {
      pen.beginPath(); // a diamond
      pen.moveTo(x(n), y(n) - reach);
      pen.lineTo(x(n) + reach, y(n));
      pen.lineTo(x(n), y(n) + reach);
      pen.lineTo(x(n) - reach, y(n));
      pen.closePath();
      pen.stroke();
    } else {
      pen.beginPath();
      pen.arc(x(n), y(n), reach - 0.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  function ring(n, ink) {
    if (n < 0 || n >= shapes.length) return;
    pen.strokeStyle = ink;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x(n), y(n), 13, 0, 2 * Math.PI);
    pen.stroke();
  }

  function draw() {
    due = 0;
    if (!scene) return;
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    let first = -1;
    for (const last of [false, true]) {
      for (let n = 0; n < shapes.length; n++) {
        if ((shapes[n] === STAR) !== last) continue;
        if (last && first < 0) first = n;
        mark(n, shapes[n], scene.palette[colours[n]] ?? scene.nothing);
      }
    }
    ring(hovered, "#555");
    ring(model.get("chosen"), "#d55e00");
    canvas.dataset.chosen = model.get("chosen");
    if (first >= 0) canvas.dataset.star = `${x(first) / WIDTH} ${y(first) / HEIGHT}`;
  }

  const redraw = () => (due ||= requestAnimationFrame(draw));

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * WIDTH;
    const py = ((event.clientY - box.top) / box.height) * HEIGHT;
    let [best, found] = [NEAR * NEAR, -1];
    for (let n = 0; n < shapes.length; n++) {
      const far = (x(n) - px) ** 2 + (y(n) - py) ** 2 - (shapes[n] === STAR ? 40 : 0);
      if (far < best) [best, found] = [far, n];
    }
    return { px, py, found };
  }

  function setScene(content, buffers) {
    scene = content;
    const copy = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const own = new Float32Array(copy(buffers[0]));
    colours = new Int8Array(copy(buffers[1]));
    shapes = new Uint8Array(copy(buffers[2]));
    const { low, high } = scene;
    const scale = Math.min(
      (WIDTH - 2 * EDGE) / Math.max(high[0] - low[0], 1e-9),
      (HEIGHT - 2 * EDGE) / Math.max(high[1] - low[1], 1e-9),
    );
    const left = (WIDTH - scale * (high[0] - low[0])) / 2;
    const top = (HEIGHT - scale * (high[1] - low[1])) / 2;
    places = own.map((v, i) => (i % 2 ? top + scale * (high[1] - v) : left + scale * (v - low[0])));
    legend.replaceChildren(
      ...scene.names.map((name, n) => {
        const line = document.createElement("div");
        const spot = make("span", "spot", line);
        spot.style.background = scene.palette[n];
        line.append(name);
        return line;
      }),
    );
    redraw();
  }

  function receive(content, buffers) {
    if (content.kind === "scene") setScene(content, buffers);
    else if (content.point === hovered) label.textContent = content.name;
  }

  canvas.onpointermove = (event) => {
    if (!scene) return;
    const { px, py, found } = nearest(event);
    if (held) {
      view = { ...view, x: held.x + px - held.px, y: held.y + py - held.py };
      held.moved ||= Math.hypot(px - held.px, py - held.py) > 4;
      redraw();
    } else if (found !== hovered) {
      hovered = found;
      if (found >= 0) model.send({ kind: "name", point: found });
      redraw();
    }
  };
  canvas.onpointerdown = (event) => {
    if (!scene) return;
    canvas.setPointerCapture(event.pointerId);
    const { px, py } = nearest(event);
    held = { px, py, x: view.x, y: view.y, moved: false };
  };
  canvas.onpointerup = (event) => {
    if (!held) return;
    const { found } = nearest(event);
    if (!held.moved && found >= 0) {
      model.set("chosen", found);
      model.save_changes();
    }
    held = null;
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
  model.on("msg:custom", receive);
  model.on("change:chosen", redraw);
  model.send({ kind: "scene" });
  return () => {
    cancelAnimationFrame(due);
    model.off("msg:custom", receive);
    model.off("change:chosen", redraw);
  };
}

export default { render };
