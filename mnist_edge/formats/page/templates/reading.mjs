// Pixels → answers.

/** Bytes of base64. */
function bytesOf(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index += 1) {
    bytes[index] = letters.charCodeAt(index);
  }
  return bytes;
}

/** Draw on a canvas that nobody sees, and answer what is on it. */
function readDrawn(wide, high, draw) {
  scratch.width = wide;
  scratch.height = high;
  const context = scratch.getContext("2d", { willReadFrequently: true });
  draw(context);
  const start = performance.now();
  const answer = model.predict(context.getImageData(0, 0, wide, high).data, wide, high);
  return { ...answer, milliseconds: performance.now() - start };
}

/** Begin something else than what goes on, and return its turn. */
function beginTurn() {
  stopCamera();
  turn += 1;
  return turn;
}

/** Answer a file, show it while it is this turn, and return the answer. */
async function readInTurn(own, blob) {
  const bitmap = await bitmapOf(blob);
  const answer = readDrawn(bitmap.width, bitmap.height, (context) => context.drawImage(bitmap, 0, 0));
  if (turn === own) {
    startOver({ bitmap, answer });
    show(answer);
    redraw();
  }
  return answer;
}

/** Answer a file, show it unless somebody has gone on meanwhile, and return the answer. */
function readFile(blob) {
  return readInTurn(beginTurn(), blob);
}

async function readFileOrSay(blob) {
  const own = beginTurn();
  try {
    await readInTurn(own, blob);
  } catch (error) {
    if (turn === own) {
      startOver();
      redraw();
      showNothing(error.message, "bad");
    }
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
