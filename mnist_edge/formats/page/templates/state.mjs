// The page: what it knows.

const SIDE = 280; // of the picture that strokes make
const PEN = 20; // width of a stroke, a fourteenth of it
const KEY_STEP = 8; // by which an arrow key moves the pen
const LIVE_MILLISECONDS = 120; // between two readings while somebody draws
const CAMERA_MILLISECONDS = 250;
const CAMERA_SIDE = 360;
const MAX_PIXELS = 64e6; // of a picture that was chosen
const MAX_SIDE = 32767; // of its sides: that of the preprocessing
const MOST_BARS = 12;

const element = (id) => document.getElementById(id);
const metadata = JSON.parse(element("metadata").textContent);
const paper = element("paper");
const video = element("video");
const scratch = document.createElement("canvas");

const model = await load(bytesOf(element("module").textContent)).catch((error) => {
  element("status").textContent = globalThis.WebAssembly
    ? `The model can't be loaded: ${error.message}`
    : "This browser can't run WebAssembly: open the page in another one.";
  element("invitation").hidden = element("prove").disabled = true;
  throw error;
});
const ready = performance.now();

let strokes = [];
let pen = null; // the pointer that draws
let keys = { x: SIDE / 2, y: SIDE / 2, down: false, shown: false };
let picture = null; // what was chosen, and its answer
let stream = null; // of the camera
let cameraRequest = null; // which one it is on for, also while the browser asks whether the page may have it
let turn = 0; // of what was begun last: a file that is still being decoded by then is not shown
let lastReading = 0;

/** Forget what was drawn, also a stroke that is not finished, and what was chosen; show a picture instead. */
function startOver(shown = null) {
  pen = null;
  keys.down = false;
  strokes = [];
  picture = shown;
}
