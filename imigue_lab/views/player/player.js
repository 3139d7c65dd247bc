// Plays one video or clip by the times of its frames: pictures on a canvas, and the skeleton drawn on them.
//
// Python sends a `scene` (all but the pictures), and `pictures` for the requested frames; `edition`
// identifies the scene that pictures belong to. Shared traits: frame, playing.

const AHEAD = 32; // frames buffered beyond the current one
const BATCH = 8; // pictures per request: the kernel serves other views as well
const REST = 150; // ms without a new frame before pictures beyond it are requested
const KEPT = 900; // cached pictures
const SHARE_EVERY = 80; // ms between updates of `frame` in Python while playing
const WIDEST = 640;
const TALLEST = 440;
const PATIENCE = 5000; // ms without an answer, after which the player says so
const SILENT =
  "The kernel does not answer: if a cell is running, wait for it; otherwise run the cells again.";

function make(tag, name, parent, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  parent.append(element);
  return element;
}

function render({ model, el }) {
  const root = make("div", "lab-player", el);
  root.tabIndex = 0;
  const silent = make("div", "silent", root, SILENT);
  silent.hidden = true;
  const title = make("div", "title", root);
  const canvas = make("canvas", "picture", root);
  const bar = make("div", "bar", root);
  const scrub = make("input", "scrub", bar);
  const mark = make("div", "mark", bar);
  const row = make("div", "row", root);
  const back = make("button", "back", row, "‹ frame");
  const play = make("button", "play", row, "play");
  const on = make("button", "on", row, "frame ›");
  const speed = make("select", "speed", row);
  const when = make("span", "when", row);
  make("div", "keys", root, "← → one frame · space plays and pauses");
  const notes = make("div", "notes", root);
  scrub.type = "range";
  scrub.setAttribute("aria-label", "frame");
  speed.setAttribute("aria-label", "speed");
  for (const [text, value] of [["¼ speed", 0.25], ["½ speed", 0.5], ["1 ×", 1], ["2 ×", 2]]) {
    speed.add(new Option(text, value, value === 1, value === 1));
  }

  const pen = canvas.getContext("2d", { willReadFrequently: true }); // on the CPU: otherwise
  // Chromium without a GPU displays a drawing some frames later
  let scene = null;
  let points = null; // x, y of each point of each frame
  let weights = null;
  let pictures = new Map(); // frame -> ImageBitmap, or a sentence explaining why there is none
  let requested = false; // a request is pending
  let shown = 0;
  let shared = -1; // the frame last sent to Python
  let sharedAt = 0;
  let clock = null; // {frame, time} of the start of playing
  let running = 0; // the pending animation frame
  let resting = 0; // the timer of REST
  let waiting = 0; // the timer of PATIENCE

  const marked = () => scene.marked ?? [scene.first, scene.last];
  const inFilm = (n) => scene.film && n >= scene.film[0] && n < scene.film[1];
  const ready = (n) => !inFilm(n) || pictures.has(n);
  const second = (n) => scene.times[n - scene.first];
  const clamp = (n) => Math.min(Math.max(n, scene.first), scene.last);

  function ask(content) {
    clearTimeout(waiting);
    waiting = setTimeout(() => (silent.hidden = false), PATIENCE);
    model.send(content);
  }

  function missing(reach) {
    const found = [];
    for (let n = shown; n <= Math.min(shown + reach, scene.last) && found.length < BATCH; n++) {
      if (!ready(n)) found.push(n);
    }
    return found;
  }

  function request(reach) {
    if (requested || !scene) return;
    const frames = missing(reach);
    if (!frames.length) return;
    requested = true;
    ask({ kind: "pictures", edition: scene.edition, frames });
  }

  function requestMore() {
    clearTimeout(resting);
    if (running) return request(AHEAD);
    request(0); // a selected frame is served immediately
    resting = setTimeout(() => request(BATCH), REST);
  }

  function drop() {
    while (pictures.size > KEPT) {
      const [oldest, picture] = pictures.entries().next().value;
      pictures.delete(oldest);
      picture.close?.();
    }
  }

  function drawSentence(sentence) {
    pen.fillStyle = "#444";
    pen.font = "15px sans-serif";
    pen.textAlign = "center";
    const lines = [""];
    for (const word of sentence.split(" ")) {
      if (pen.measureText(lines.at(-1) + word).width > canvas.width * 0.85) lines.push("");
      lines[lines.length - 1] += `${word} `;
    }
    lines.forEach((line, i) =>
      pen.fillText(line, canvas.width / 2, 30 + 20 * i),
    );
  }

  function drawSkeleton() {
    const { first, points: count, colours, bones } = scene.skeleton;
    const start = (shown - first) * count;
    if (start < 0 || 2 * start >= points.length) return;
    const scale = canvas.width / scene.size[0];
    const x = (i) => points[2 * (start + i)] * scale;
    const y = (i) => points[2 * (start + i) + 1] * scale;
    pen.lineWidth = 2.5;
    for (const [parent, child] of bones) {
      if (Number.isNaN(x(parent)) || Number.isNaN(x(child))) continue;
      pen.strokeStyle = colours[child];
      pen.beginPath();
      pen.moveTo(x(parent), y(parent));
      pen.lineTo(x(child), y(child));
      pen.stroke();
    }
    for (let i = 0; i < count; i++) {
      if (Number.isNaN(x(i))) continue;
      const radius = weights ? 1.5 + 9 * Math.sqrt(weights[start + i]) : 3.5;
      pen.fillStyle = colours[i];
      pen.beginPath();
      pen.arc(x(i), y(i), radius, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  function draw() {
    if (!scene || !ready(shown)) return; // keeps the last picture with its own skeleton
    pen.fillStyle = "#f4f4f6";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const picture = pictures.get(shown);
    if (typeof picture === "string") drawSentence(picture);
    else if (picture) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (!scene.film && !scene.skeleton) drawSentence(`Nothing to display: ${scene.notes.join("; ")}`);
    if (scene.skeleton) drawSkeleton();
    canvas.dataset.frame = shown;
  }

  function share(now = Infinity) {
    if (shown === shared || now - sharedAt < SHARE_EVERY) return;
    shared = shown;
    sharedAt = now === Infinity ? performance.now() : now;
    model.set("frame", shown);
    model.save_changes();
  }

  function show(frame) {
    shown = clamp(frame);
    scrub.value = shown;
    when.textContent = `second ${second(shown).toFixed(2)} · frame ${shown}`;
    draw();
    requestMore();
  }

  function step(frames) {
    if (!scene) return;
    stop();
    show(shown + frames);
    share();
  }

  function start() {
    if (!scene || running) return;
    const [, last] = marked();
    const from = shown >= last || shown < scene.first ? marked()[0] : shown;
    show(from);
    clock = null;
    running = requestAnimationFrame(tick);
    play.textContent = "pause";
    model.set("playing", true);
    model.save_changes();
  }

  function stop() {
    if (!running) return;
    cancelAnimationFrame(running);
    running = 0;
    play.textContent = "play";
    model.set("playing", false);
    share();
    model.save_changes();
  }

  function playFrom(frame) {
    if (!scene) return;
    stop();
    show(frame);
    start();
  }

  function tick(now) {
    clock ??= { frame: shown, time: now };
    const passed = ((now - clock.time) / 1000) * Number(speed.value);
    let next = Math.max(clock.frame, shown);
    while (next < marked()[1] && second(next + 1) - second(clock.frame) <= passed) next++;
    if (!ready(next)) clock = null; // waits for pictures, then continues from here
    else if (next !== shown) show(next);
    requestMore();
    share(now);
    if (shown >= marked()[1]) stop();
    else running = requestAnimationFrame(tick);
  }

  function setScene(content, buffers) {
    const moved = !scene || scene.title !== content.title;
    scene = content;
    const floats = (view) => view && new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    points = floats(buffers[0]);
    weights = scene.skeleton?.weighted ? floats(buffers[1]) : null;
    for (const picture of pictures.values()) picture.close?.();
    pictures = new Map();
    requested = false;
    delete canvas.dataset.frame; // nothing of this scene is displayed yet
    const [width, height] = scene.size;
    const scale = Math.min(WIDEST / width, TALLEST / height);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    title.textContent = scene.title;
    notes.textContent = scene.notes.join(" · ");
    scrub.min = scene.first;
    scrub.max = scene.last;
    const span = Math.max(1, scene.last - scene.first);
    const [from, to] = marked();
    mark.style.display = scene.marked ? "block" : "none";
    mark.style.left = `${(100 * (from - scene.first)) / span}%`;
    mark.style.width = `${(100 * (to - from)) / span}%`;
    if (moved) stop();
    show(model.get("frame"));
  }

  async function takePictures(content, buffers) {
    if (content.edition !== scene?.edition) return;
    const opened = await Promise.all(
      buffers.map((bytes, i) =>
        bytes.byteLength
          ? createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))
          : content.why[content.frames[i]],
      ),
    );
    if (content.edition !== scene.edition) return;
    content.frames.forEach((frame, i) => pictures.set(frame, opened[i]));
    requested = false;
    drop();
    draw();
    requestMore();
  }

  function receive(content, buffers) {
    clearTimeout(waiting);
    silent.hidden = true;
    if (content.kind === "scene") setScene(content, buffers);
    else if (content.kind === "play") playFrom(content.frame);
    else takePictures(content, buffers);
  }

  function follow() {
    if (!scene || model.get("frame") === shared) return;
    shared = model.get("frame");
    clock = null;
    if (shared !== shown) show(shared);
  }

  const follows = () => (model.get("playing") ? start() : stop());
  play.onclick = () => (running ? stop() : start());
  back.onclick = () => step(-1);
  on.onclick = () => step(1);
  scrub.oninput = () => {
    if (running) clock = null;
    show(Number(scrub.value));
    share();
  };
  speed.onchange = () => {
    clock = null;
  };
  const press = (event) => {
    const { target, key } = event;
    if (!root.contains(target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": play.onclick }[key];
    if (does || key.startsWith("Arrow")) event.stopPropagation();
    if (!does || (key === " " && target.matches("button, select"))) return; // space presses these
    event.preventDefault();
    does();
  };
  window.addEventListener("keydown", press, { capture: true }); // before JupyterLab's shortcuts
  model.on("msg:custom", receive);
  model.on("change:frame", follow);
  model.on("change:playing", follows);
  ask({ kind: "scene" });
  return () => {
    stop();
    clearTimeout(resting);
    clearTimeout(waiting);
    window.removeEventListener("keydown", press, { capture: true });
    model.off("msg:custom", receive);
    model.off("change:frame", follow);
    model.off("change:playing", follows);
  };
}

export default { render };
