// Curves and heat maps over time with a cursor; clicking, dragging or ← → moves the shared `frame`.

const WIDTH = 520;
const LINE = 46; // pixels of a lane of lines
const HEAT = 84; // of a heat map
const TITLE = 16; // above each
// ColorBrewer's RdBu, reversed: blue, white, red.
const SCALE = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];

function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1);
  const low = Math.min(Math.floor(place), SCALE.length - 2);
  return SCALE[low].map((c, i) => Math.round(c + (place - low) * (SCALE[low + 1][i] - c)));
}

function heat(lane, values) {
  const map = document.createElement("canvas");
  [map.width, map.height] = [lane.windows, lane.rows];
  const pen = map.getContext("2d");
  for (let row = 0; row < lane.rows; row++) {
    for (let t = 0; t < lane.windows; t++) {
      const value = values[row * lane.windows + t];
      if (Number.isNaN(value)) continue;
      pen.fillStyle = `rgb(${colour((value - lane.low) / (lane.high - lane.low))})`;
      pen.fillRect(t, lane.rows - 1 - row, 1, 1);
    }
  }
  return map;
}

function drawLines(pen, lane, values, top) {
  const span = Math.max(lane.high - lane.low, 1e-9);
  pen.lineWidth = lane.stroke;
  lane.lines.forEach(([, stroke], row) => {
    pen.strokeStyle = stroke;
    pen.beginPath();
    let down = false; // a gap lifts the pen
    for (let t = 0; t < lane.windows; t++) {
      const value = values[row * lane.windows + t];
      const x = ((t + 0.5) / lane.windows) * WIDTH;
      const y = top + LINE - 3 - ((value - lane.low) / span) * (LINE - 6);
      if (!Number.isNaN(value)) down ? pen.lineTo(x, y) : pen.moveTo(x, y);
      down = !Number.isNaN(value);
    }
    pen.stroke();
  });
}

function drawNames(pen, lines, y) {
  let x = WIDTH;
  for (const [name, stroke] of [...lines].reverse()) {
    pen.fillStyle = stroke;
    x -= pen.measureText(name).width + 12;
    pen.fillText(name, x, y);
  }
}

function ends(low, high, digits = 2) {
  // both as text, with as many digits as make them differ
  const [from, to] = [low, high].map((value) => String(Number(value.toPrecision(digits))));
  return from === to && digits < 17 ? ends(low, high, digits + 1) : [from, to];
}

function drawScale(pen, lane, top) {
  const [low, high] = ends(lane.low, lane.high);
  pen.fillStyle = "#666";
  pen.font = "10px sans-serif";
  if (lane.lines.length) {
    pen.fillText(high, 2, top + TITLE + 9);
    pen.fillText(low, 2, top + TITLE + LINE - 2);
    return;
  }
  const bar = WIDTH - 70 - pen.measureText(high).width;
  pen.fillText(low, bar - 4 - pen.measureText(low).width, top + 12);
  pen.fillText(high, bar + 68, top + 12);
  for (let x = 0; x < 64; x++) {
    pen.fillStyle = `rgb(${colour(x / 63)})`;
    pen.fillRect(bar + x, top + 4, 1, 9);
  }
}

const heightOf = (lane) => TITLE + (lane.lines.length ? LINE : HEAT);

function drawLanes(lanes, values) {
  const picture = document.createElement("canvas");
  const heights = lanes.map(heightOf);
  [picture.width, picture.height] = [WIDTH, heights.reduce((a, b) => a + b, 0)];
  const pen = picture.getContext("2d");
  pen.imageSmoothingEnabled = false;
  let [top, offset] = [0, 0];
  lanes.forEach((lane, i) => {
    const own = values.subarray(offset, offset + lane.rows * lane.windows);
    offset += own.length;
    const area = top + TITLE;
    pen.fillStyle = "#f4f4f6";
    pen.fillRect(0, area, WIDTH, heights[i] - TITLE);
    if (lane.lines.length) drawLines(pen, lane, own, area);
    else pen.drawImage(heat(lane, own), 0, area, WIDTH, HEAT);
    pen.fillStyle = "#222";
    pen.font = "12px sans-serif";
    pen.fillText(lane.title, 0, top + 12);
    if (lane.lines.length > 1) drawNames(pen, lane.lines, top + 12);
    if (lane.stroke < 4) drawScale(pen, lane, top); // thicker ones are bars
    top += heights[i];
  });
  return picture;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lab-player lab-lanes";
  root.tabIndex = 0;
  const canvas = document.createElement("canvas");
  const when = document.createElement("div");
  canvas.style.background = "#fff";
  canvas.style.cursor = "crosshair";
  canvas.style.touchAction = "none";
  root.append(canvas, when);
  el.append(root);
  const lanes = model.get("lanes");
  const bytes = model.get("values");
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const picture = drawLanes(lanes, new Float32Array(copy));
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pen = canvas.getContext("2d", { willReadFrequently: true }); // see player.js
  const frames = lanes[0].windows * model.get("window");

  function draw() {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0);
    const frame = model.get("frame");
    canvas.dataset.frame = frame;
    if (!model.get("shown")) {
      when.textContent = "the player shows another video; click here to return";
      return;
    }
    const window = Math.floor(frame / model.get("window"));
    when.textContent = `window ${window} · second ${model.get("times")[frame].toFixed(2)}`;
    pen.fillStyle = "#111";
    pen.fillRect((frame / frames) * WIDTH - 1, 0, 2, canvas.height);
  }

  function show(wanted) {
    const frame = Math.min(Math.max(wanted, 0), frames - 1);
    if (model.get("shown")) {
      model.set("frame", frame);
      model.save_changes();
    }
    return frame;
  }

  function goTo(event) {
    const box = canvas.getBoundingClientRect();
    return show(Math.floor(((event.clientX - box.left) / box.width) * frames));
  }

  function step(event) {
    const { target, key } = event;
    if (!root.contains(target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!key.startsWith("Arrow")) return;
    event.stopPropagation();
    event.preventDefault();
    const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (by) show(model.get("frame") + by);
  }

  function release(event) {
    const box = canvas.getBoundingClientRect();
    let below = ((event.clientY - box.top) / box.height) * canvas.height; // its bottom edge
    const lane = lanes.findIndex((own) => (below -= heightOf(own)) < 0);
    if (lane < 0) return;
    const height = -below / (heightOf(lanes[lane]) - TITLE); // as a share, from the bottom
    model.send({ lane, height, frame: goTo(event) });
  }

  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    goTo(event);
  };
  canvas.onpointerup = release;
  canvas.onpointermove = (event) => event.buttons && goTo(event);
  window.addEventListener("keydown", step, { capture: true }); // before JupyterLab's shortcuts
  model.on("change:frame", draw);
  model.on("change:shown", draw);
  draw();
  return () => {
    window.removeEventListener("keydown", step, { capture: true });
    model.off("change:frame", draw);
    model.off("change:shown", draw);
  };
}

export { ends }; // for its test
export default { render };
