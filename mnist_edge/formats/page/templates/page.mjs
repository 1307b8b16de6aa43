
// The page around it.

const SIDE = 280; // of the picture that strokes make
const PEN = 20; // width of a stroke, a fourteenth of it
const KEY_STEP = 8; // by which an arrow key moves the pen
const LIVE_MILLISECONDS = 120; // between two readings while somebody draws
const CAMERA_MILLISECONDS = 250;
const CAMERA_SIDE = 360;
const MAX_PIXELS = 64e6; // of a picture that was chosen
const MOST_BARS = 12;

const element = (id) => document.getElementById(id);
const metadata = JSON.parse(element("metadata").textContent);
const paper = element("paper");
const video = element("video");
const scratch = document.createElement("canvas");

const model = await load(bytesOf(element("module").textContent));
const ready = performance.now();

let strokes = [];
let pen = null; // the pointer that draws
let keys = { x: SIDE / 2, y: SIDE / 2, down: false, shown: false };
let picture = null; // what was chosen, and its answer
let stream = null;
let lastReading = 0;

/** Bytes of base64. */
function bytesOf(text) {
  return Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
}

/** Without the alpha of a picture that has no transparent pixel, which then is as a file without alpha. */
function withoutAlpha(pixels) {
  for (let index = 3; index < pixels.length; index += 4) {
    if (pixels[index] !== 255) {
      return pixels;
    }
  }
  const opaque = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    opaque[to] = pixels[from];
    opaque[to + 1] = pixels[from + 1];
    opaque[to + 2] = pixels[from + 2];
  }
  return opaque;
}

/** Draw on a canvas that nobody sees, and answer what is on it. */
function readDrawn(wide, high, draw) {
  scratch.width = wide;
  scratch.height = high;
  const context = scratch.getContext("2d", { willReadFrequently: true });
  draw(context);
  const start = performance.now();
  const answer = model.predict(withoutAlpha(context.getImageData(0, 0, wide, high).data), wide, high);
  return { ...answer, milliseconds: performance.now() - start };
}

/** The picture in a file, decoded by the browser, upright. */
async function bitmapOf(blob) {
  const name = blob.name ? `“${blob.name}”` : "This";
  try {
    if (blob.type === "image/svg+xml") {
      throw new TypeError("drawn, not made of pixels");
    }
    const options = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(blob, options);
    if (bitmap.width * bitmap.height <= MAX_PIXELS) {
      return bitmap;
    }
    bitmap.close();
  } catch {
    throw new Error(`${name} is not a picture that this browser can read: choose a PNG, JPEG, WebP, GIF or BMP.`);
  }
  throw new Error(`${name} has more than ${MAX_PIXELS / 1e6} megapixels: choose a smaller picture.`);
}

/** Answer a file, show it, and return the answer. */
async function readFile(blob) {
  stopCamera();
  const bitmap = await bitmapOf(blob);
  const answer = readDrawn(bitmap.width, bitmap.height, (context) => context.drawImage(bitmap, 0, 0));
  strokes = [];
  picture = { bitmap, answer };
  show(answer);
  redraw();
  return answer;
}

async function readFileOrSay(blob) {
  try {
    await readFile(blob);
  } catch (error) {
    strokes = [];
    picture = null;
    redraw();
    showNothing(error.message, "bad");
  }
}

/** Answer the strokes; `settled` once the pen is lifted. */
function readStrokes(settled) {
  lastReading = performance.now();
  if (!strokes.length) {
    showNothing("Nothing to read yet.");
    return;
  }
  const answer = readDrawn(SIDE, SIDE, (context) => {
    context.fillStyle = "white";
    context.fillRect(0, 0, SIDE, SIDE);
    paint(context, SIDE, "black");
  });
  show(answer, settled);
}

/** Paint the strokes, smoothed, on a square. */
function paint(context, side, ink) {
  const scale = side / SIDE;
  context.lineWidth = PEN * scale;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = ink;
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0].x * scale, stroke[0].y * scale);
    for (let index = 1; index < stroke.length; index += 1) {
      const [from, to] = [stroke[index - 1], stroke[index]];
      context.quadraticCurveTo(from.x * scale, from.y * scale, ((from.x + to.x) / 2) * scale, ((from.y + to.y) / 2) * scale);
    }
    const end = stroke[stroke.length - 1];
    context.lineTo(end.x * scale, end.y * scale);
    context.stroke();
  }
}

/** Draw what is seen of the paper again. */
function redraw() {
  const context = paper.getContext("2d");
  const side = paper.width;
  const style = getComputedStyle(document.documentElement);
  context.clearRect(0, 0, side, side);
  if (picture) {
    drawPicture(context, side, style.getPropertyValue("--accent"));
  }
  paint(context, side, style.getPropertyValue("--ink"));
  if (keys.shown && document.activeElement === paper) {
    context.beginPath();
    context.arc((keys.x * side) / SIDE, (keys.y * side) / SIDE, (PEN * side) / SIDE / 2 + 3, 0, 2 * Math.PI);
    context.lineWidth = keys.down ? 8 : 3;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.stroke();
  }
  element("invitation").hidden = Boolean(strokes.length || picture || stream);
  element("undo").disabled = element("clear").disabled = !(strokes.length || picture);
}

function drawPicture(context, side, color) {
  const { bitmap, answer } = picture;
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [left, top] = [(side - bitmap.width * scale) / 2, (side - bitmap.height * scale) / 2];
  context.imageSmoothingEnabled = scale < 4;
  context.drawImage(bitmap, left, top, bitmap.width * scale, bitmap.height * scale);
  if (answer.box) {
    const [x, y, right, bottom] = answer.box;
    context.lineWidth = 4;
    context.strokeStyle = color;
    context.strokeRect(left + x * scale, top + y * scale, (right - x) * scale, (bottom - y) * scale);
  }
}

function setText(id, text) {
  if (element(id).textContent !== text) {
    element(id).textContent = text; // a screen reader says again what is written again
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Show an answer; one that is not settled is not said aloud. */
function show(answer, settled = true) {
  if (answer.status === "no_digit") {
    showNothing("No digit.", "doubt");
    return;
  }
  const sure = answer.status === "ok";
  showLabel(answer.label);
  if (settled) {
    const others = answer.otherDigits ? ": there is more than one digit" : "";
    element("status").className = `status ${sure ? "good" : "doubt"}`;
    setText("status", `${answer.label} – ${sure ? "sure" : "not sure"}, ${percent(answer.confidence)}${others}`);
  }
  element("seen").setAttribute("aria-label", `What the model saw of ${answer.label}`);
  drawImage(element("seen"), answer.image);
  showBars(answer.probabilities, answer.index);
  setText("time", `Read in ${answer.milliseconds.toFixed(1)} ms. The page was ready ${ready.toFixed(0)} ms after it was opened.`);
}

function showLabel(label) {
  element("label").textContent = label;
  element("label").classList.toggle("long", label.length > 3);
}

function showNothing(why, kind = "") {
  showLabel("–");
  element("status").className = `status ${kind}`;
  setText("status", why);
  element("seen").getContext("2d").clearRect(0, 0, width, height);
  showBars(labels.map(() => 0), -1);
  element("time").textContent = "\u00a0";
}

/** An image as the model takes it: bytes, row by row. */
function drawImage(canvas, image) {
  const pixels = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      pixels.data[4 * pixel + channel] = image[pixel * channels + Math.min(channel, channels - 1)];
    }
    pixels.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function row(cells) {
  const line = document.createElement("tr");
  cells.forEach((content, index) => {
    const cell = document.createElement(index ? "td" : "th");
    if (!index) {
      cell.scope = "row";
    }
    cell.append(content);
    line.append(cell);
  });
  return line;
}

function showBars(probabilities, best) {
  let order = labels.map((_, index) => index);
  if (labels.length > MOST_BARS) {
    order = order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
  }
  const lines = element("bars");
  if (!lines.children.length) {
    for (let count = 0; count < order.length; count += 1) {
      const track = document.createElement("div");
      const fill = document.createElement("div");
      track.className = "track";
      fill.className = "fill";
      track.append(fill);
      lines.append(row(["", track, ""]));
    }
  }
  order.forEach((index, place) => {
    const [label, bar, share] = lines.children[place].children;
    lines.children[place].className = index === best ? "best" : "";
    label.textContent = labels[index];
    bar.firstChild.firstChild.style.width = `${100 * probabilities[index]}%`;
    share.textContent = percent(probabilities[index]);
  });
}

function clear() {
  stopCamera();
  strokes = [];
  picture = null;
  keys.down = false;
  redraw();
  showNothing("Nothing to read yet.");
}

function undo() {
  stopCamera();
  if (!strokes.length) {
    clear();
    return;
  }
  strokes.pop();
  keys.down = false;
  redraw();
  readStrokes(true);
}

/** Where a pointer is, in the picture that strokes make. */
function pointOf(event) {
  const bounds = paper.getBoundingClientRect();
  return { x: ((event.clientX - bounds.left) * SIDE) / bounds.width, y: ((event.clientY - bounds.top) * SIDE) / bounds.height };
}

function begin(point) {
  stopCamera();
  picture = null;
  strokes.push([point]);
  redraw();
}

function extend(points) {
  strokes[strokes.length - 1].push(...points);
  redraw();
  if (performance.now() - lastReading > LIVE_MILLISECONDS) {
    readStrokes(false);
  }
}

paper.addEventListener("pointerdown", (event) => {
  if (pen !== null || event.button !== 0) {
    return;
  }
  pen = event.pointerId;
  paper.setPointerCapture(pen);
  keys.shown = keys.down = false;
  begin(pointOf(event));
});

paper.addEventListener("pointermove", (event) => {
  if (event.pointerId === pen) {
    const all = event.getCoalescedEvents?.() ?? [];
    extend((all.length ? all : [event]).map(pointOf));
  }
});

for (const name of ["pointerup", "pointercancel"]) {
  paper.addEventListener(name, (event) => {
    if (event.pointerId === pen) {
      pen = null;
      readStrokes(true);
    }
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

paper.addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  if (!arrow && event.key !== " ") {
    return;
  }
  event.preventDefault();
  keys.shown = true;
  if (arrow) {
    const inside = (value) => Math.min(SIDE, Math.max(0, value));
    keys = { ...keys, x: inside(keys.x + KEY_STEP * arrow[0]), y: inside(keys.y + KEY_STEP * arrow[1]) };
    if (keys.down) {
      extend([{ x: keys.x, y: keys.y }]);
    }
  } else {
    keys.down = !keys.down;
    if (keys.down) {
      begin({ x: keys.x, y: keys.y });
    } else {
      readStrokes(true);
    }
  }
  redraw();
});
paper.addEventListener("focus", redraw);
paper.addEventListener("blur", redraw);

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    undo();
  } else if (event.key === "Escape") {
    clear();
  }
});

element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", clear);
element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (file) {
    await readFileOrSay(file);
  }
  target.value = "";
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && readFileOrSay(dataTransfer.files[0]));
document.addEventListener("paste", ({ clipboardData }) => clipboardData.files[0] && readFileOrSay(clipboardData.files[0]));

/** The middle of what the camera sees now, which stays when the camera is put off. */
function readCamera() {
  const side = Math.min(video.videoWidth, video.videoHeight);
  if (!stream || !side) {
    return;
  }
  const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  const answer = readDrawn(CAMERA_SIDE, CAMERA_SIDE, (context) =>
    context.drawImage(video, left, top, side, side, 0, 0, CAMERA_SIDE, CAMERA_SIDE),
  );
  const kept = document.createElement("canvas");
  kept.width = kept.height = CAMERA_SIDE;
  kept.getContext("2d").drawImage(scratch, 0, 0);
  picture = { bitmap: kept, answer };
  show(answer);
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    showNothing("This browser gives a page the camera only over https: choose a picture instead.", "bad");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "The camera was not allowed" : "There is no camera that can be used";
    showNothing(`${why}: choose a picture instead.`, "bad");
    return;
  }
  strokes = [];
  picture = null;
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
  element("camera").setAttribute("aria-pressed", "true");
  stream.timer = setInterval(readCamera, CAMERA_MILLISECONDS);
  redraw();
}

function stopCamera() {
  if (!stream) {
    return;
  }
  clearInterval(stream.timer);
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  video.hidden = true;
  video.srcObject = null;
  element("camera").setAttribute("aria-pressed", "false");
  redraw();
}

element("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()));

/** Numbers that were deflated and written as base64. */
async function unpacked(text) {
  const inflated = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(inflated).arrayBuffer();
}

/** Run the test vectors, and return what came out of each. */
async function prove() {
  const vectors = JSON.parse(metadata["mnist_edge.test_vectors"]);
  const images = new Uint8Array(await unpacked(vectors.images));
  const expected = new Float32Array(await unpacked(vectors.expected_logits ?? vectors.trained_logits));
  const pixels = height * width;
  return vectors.labels.map((label, number) => {
    const image = new Uint8Array(channels * pixels);
    for (let channel = 0; channel < channels; channel += 1) {
      for (let pixel = 0; pixel < pixels; pixel += 1) {
        image[pixel * channels + channel] = images[(number * channels + channel) * pixels + pixel];
      }
    }
    const wanted = expected.subarray(number * labels.length, (number + 1) * labels.length);
    const { index, logits } = model.classify(image);
    const difference = Math.max(...logits.map((logit, place) => Math.abs(logit - wanted[place])));
    return { image, label, index, difference, passed: difference <= vectors.bound };
  });
}

element("prove").addEventListener("click", async () => {
  const found = await prove();
  const lines = found.map(({ image, label, index, difference, passed }) => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Image of ${labels[label]}`);
    drawImage(canvas, image);
    return row([canvas, labels[label], labels[index], String(Number(difference.toPrecision(2))), passed ? "passed" : "FAILED"]);
  });
  element("rows").replaceChildren(...lines);
  element("vectors").hidden = false;
  const passed = found.filter((each) => each.passed).length;
  const well = passed === found.length && model.selfTest() === 0;
  element("verdict").className = well ? "good" : "bad";
  setText("verdict", `${passed} of ${found.length} test vectors passed${well ? "" : ": do not rely on this page here"}.`);
});

const number = (value) => value.toLocaleString("en-US");

function describe() {
  const { images, accuracy, trained_accuracy: trained, agreement, max_abs_diff: difference } = JSON.parse(metadata["mnist_edge.figures"]);
  const same = `${number(Math.round(agreement * images))} of ${number(images)}`;
  element("claim").textContent =
    `The model in this page answers ${(100 * accuracy).toFixed(2)} % of ${number(images)} test images correctly, ` +
    `and ${same} as the model that was trained. It carries ${JSON.parse(metadata["mnist_edge.test_vectors"]).labels.length} ` +
    "images with the numbers that they must give.";
  const figures = {
    "Accuracy": `${(100 * accuracy).toFixed(2)} % of ${number(images)} test images`,
    "Accuracy as trained": `${(100 * trained).toFixed(2)} %`,
    "Same answers": same,
    "Largest |Δlogit|": difference.toPrecision(3),
    "Precision": `${contract.precision}, ${contract.scheme}`,
    "Checkpoint (SHA-256)": contract.checkpoint,
    "Checksum of this file": metadata["mnist_edge.checksum"].split(":")[1],
    "Preprocessing": contract.task.preprocessing,
    "License": contract.license,
  };
  for (const [name, value] of Object.entries(figures)) {
    const [term, description] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    description.textContent = value;
    element("figures").append(term, description);
  }
  element("contract").textContent = JSON.stringify(contract, null, 2);
}

describe();
showNothing("Nothing to read yet.");
redraw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

/** For tests, and for who writes scripts around the page. */
globalThis.mnistEdge = Object.freeze({ model, readFile, prove });
document.documentElement.dataset.ready = "true";
