// Pens, keys and files.

function clear() {
  beginTurn();
  startOver();
  redraw();
  showNothing("Nothing to read yet.");
}

function undo() {
  beginTurn();
  if (!strokes.length) {
    clear();
    return;
  }
  strokes.pop();
  pen = null;
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
  beginTurn();
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
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
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
