// What is seen of the paper.

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
  const [x, y, right, bottom] = answer.box ?? [0, 0, bitmap.width, bitmap.height];
  if (right - x < bitmap.width || bottom - y < bitmap.height) {
    context.lineWidth = 4;
    context.strokeStyle = color;
    context.strokeRect(left + x * scale, top + y * scale, (right - x) * scale, (bottom - y) * scale);
  }
}
