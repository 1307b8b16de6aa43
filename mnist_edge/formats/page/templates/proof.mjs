// Test vectors, figures and contract.

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

function showVerdict(well, text) {
  element("verdict").className = well ? "good" : "bad";
  setText("verdict", text);
}

element("prove").addEventListener("click", async () => {
  let found;
  try {
    found = await prove();
  } catch (error) {
    showVerdict(false, `It can't be checked in this browser: ${error.message}`);
    return;
  }
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
  showVerdict(well, `${passed} of ${found.length} test vectors passed${well ? "" : ": do not rely on this page here"}.`);
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
