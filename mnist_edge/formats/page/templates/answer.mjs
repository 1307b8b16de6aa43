// What is said of a picture.

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
  element("seen").setAttribute("aria-label", "What the model saw");
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
    label.textContent = label.title = labels[index];
    bar.firstChild.firstChild.style.width = `${100 * probabilities[index]}%`;
    share.textContent = percent(probabilities[index]);
  });
}
