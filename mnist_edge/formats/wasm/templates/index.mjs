// @title@: reads pictures with the WebAssembly module beside this file, in browsers and Node. Written by mnist-edge.

/** What the module was exported with: labels, input, preprocessing, temperature, thresholds. */
export const contract = @contract@;

/** What each logit stands for. */
export const labels = contract.task.labels;

const [channels, height, width] = contract.task.input.shape;
const NO_DIGIT = 1;
const BYTES = ["Uint8Array", "Uint8ClampedArray"];
const MODULE_ADLER32 = @adler32@;

/** Load the module: from beside this file, from another URL, or from its bytes. */
export async function load(source = new URL("model.wasm", import.meta.url)) {
  const isAddress = ["String", "URL"].includes(kindOf(source));
  const bytes = viewOf(isAddress ? await read(new URL(source, base())) : source).slice(); // WebAssembly takes no shared memory
  if (adler32(bytes) !== MODULE_ADLER32) {
    throw new Error(
      `these ${bytes.length} bytes are not the model.wasm that index.mjs was exported with: ` +
        "take both from one export, and empty caches that may hold another",
    );
  }
  const { instance } = await WebAssembly.instantiate(bytes);
  return new Model(instance.exports);
}

/** The class of a value, which may be another frame's. */
function kindOf(value) {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** Bytes that are given in any form; throws a TypeError for what is not bytes. */
function viewOf(source) {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  }
  if (["ArrayBuffer", "SharedArrayBuffer"].includes(kindOf(source))) {
    return new Uint8Array(source);
  }
  throw new TypeError(`expected a URL or the bytes of a module, not ${kindOf(source)}`);
}

/** The checksum of bytes (RFC 1950), also where no page may use crypto.subtle. */
function adler32(bytes) {
  let [low, high] = [1, 0];
  for (const byte of bytes) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return high * 65536 + low;
}

/** What a relative URL is relative to: the page, or in Node the folder in which it runs. */
function base() {
  return globalThis.document?.baseURI ?? globalThis.location?.href ?? `file://${process.cwd().replace(/[%?#]/g, encodeURIComponent)}/`;
}

async function read(url) {
  if (url.protocol === "file:" && typeof process !== "undefined") {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`cannot read ${url}: ${response.status}`);
  }
  return response.arrayBuffer();
}

/** Throw a TypeError unless an array is of one of these types: JavaScript would convert its numbers, and cut them off. */
function expect(array, ...types) {
  const given = ArrayBuffer.isView(array) ? array[Symbol.toStringTag] : typeof array; // the class may be another frame's
  if (!types.includes(given)) {
    throw new TypeError(`expected a ${types.join(" or a ")}, not ${given}`);
  }
}

/** A network in memory of its own. */
export class Model {
  #module;

  constructor(module) {
    this.#module = module;
  }

  /** Read a picture: rows of pixels of 1 (gray), 3 (RGB) or 4 (RGBA) bytes, upright. */
  predict(pixels, pictureWidth, pictureHeight) {
    const module = this.#module;
    if (!module.prepare) {
      throw new Error(`the preprocessing ${contract.task.preprocessing} does not exist here: prepare the picture, and classify()`);
    }
    expect(pixels, ...BYTES);
    const bytes = module.workspace_bytes(pictureWidth, pictureHeight) >>> 0;
    const perPixel = pixels.length / (pictureWidth * pictureHeight);
    if (!bytes || ![pictureWidth, pictureHeight].every(Number.isInteger) || ![1, 3, 4].includes(perPixel)) {
      throw new RangeError(`${pixels.length} bytes are not a picture of ${pictureWidth} × ${pictureHeight} pixels`);
    }
    const start = module.__heap_base.value;
    const room = start + Math.ceil(pixels.length / 16) * 16;
    this.#grow(room + bytes);
    new Uint8Array(module.memory.buffer).set(pixels, start);
    const code = module.prepare(start, pictureWidth, pictureHeight, perPixel, room, bytes);
    if (code === NO_DIGIT) {
      return { status: "no_digit" };
    }
    const found = this.#answer();
    const whole = [0, 0, 0, 0, pictureWidth, pictureHeight]; // where no digit is looked for
    const [otherDigits, , ...box] = module.info ? new Int32Array(module.memory.buffer, module.info(), 6) : whole;
    const status = found.certain && otherDigits === 0 ? "ok" : "uncertain";
    return { status, ...found, otherDigits, box, image: this.#bytes(module.image(), channels * height * width) };
  }

  /** Answer an image that is as the model takes it: bytes, row by row, the channels of a pixel beside each other. */
  classify(image) {
    expect(image, ...BYTES);
    if (image.length !== channels * height * width) {
      throw new RangeError(`an image has ${channels * height * width} bytes, not ${image.length}`);
    }
    new Uint8Array(this.#module.memory.buffer).set(image, this.#module.image());
    return this.#answer();
  }

  /** The logits of an image as floats, row by row, the channels of a pixel beside each other. */
  run(values) {
    expect(values, "Float32Array");
    if (values.length !== channels * height * width) {
      throw new RangeError(`an image has ${channels * height * width} values, not ${values.length}`);
    }
    const module = this.#module;
    new Float32Array(module.memory.buffer).set(values, module.values() / 4);
    module.run();
    return new Float32Array(module.memory.buffer, module.logits(), labels.length).slice();
  }

  /** How many of the test vectors give other logits here than they must, in any bit: 0 where all is well. */
  selfTest() {
    return this.#module.self_test();
  }

  #answer() {
    const module = this.#module;
    module.classify();
    const logits = new Float32Array(module.memory.buffer, module.logits(), labels.length).slice();
    const greatest = Math.max(...logits);
    const weights = Array.from(logits, (logit) => Math.exp((logit - greatest) / contract.temperature));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const probabilities = weights.map((weight) => weight / sum);
    const answer = new Int32Array(module.memory.buffer, module.answer(), 5);
    const index = answer[0];
    return {
      index,
      label: labels[index],
      confidence: probabilities[index],
      probabilities,
      logits,
      certain: answer[4] === 1,
    };
  }

  #bytes(start, length) {
    return new Uint8Array(this.#module.memory.buffer, start, length).slice();
  }

  #grow(end) {
    const missing = end - this.#module.memory.buffer.byteLength;
    if (missing > 0) {
      this.#module.memory.grow(Math.ceil(missing / 65536));
    }
  }
}
